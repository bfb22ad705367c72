"""Answers: what came of a word, said by the code that knows.

An answer is returned by the function, made from what it returned (`answer=`, `outcome=`), or given by the handle's method
of the same name. The last one given wins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

__all__ = ["Answer", "Money", "accepted", "failed", "pending", "rejected", "unconfirmed"]

Money: TypeAlias = "int | float | Decimal"
"""An amount in major units of its currency."""


@dataclass(slots=True, frozen=True)
class Answer:
    """One of accepted, rejected, pending, unconfirmed, failed, with its fields (keywords as the functions below take them)."""

    verdict: Literal["accepted", "rejected", "pending", "unconfirmed", "failed"]
    reason: str = ""
    fields: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


def accepted(*, revenue: Money | None = None, currency: str | None = None, **fields: object) -> Answer:
    """It was taken: a buyer bought the lead, for `revenue` in major units of `currency` (default: the settings')."""
    return _answer("accepted", "", revenue=revenue, currency=currency, **fields)


def rejected(reason: str = "", *, code: object = None, **fields: object) -> Answer:
    """A valid no: `reason` in the other side's words, `code` its code."""
    return _answer("rejected", reason, code=None if code is None else str(code), **fields)


def pending(reference: object = None, **fields: object) -> Answer:
    """Taken in, decided later; `reference` is the other side's, by which the later answer is told."""
    return _answer("pending", "", reference=None if reference is None else str(reference), **fields)


def unconfirmed(why: str = "", **fields: object) -> Answer:
    """Nobody knows whether it was taken."""
    return _answer("unconfirmed", why, **fields)


def failed(
    reason: str = "",
    *,
    category: str | None = None,
    subcategory: str | None = None,
    cause: str | None = None,
    cost: Money | None = None,
    **fields: object,
) -> Answer:
    """It did not work, though nothing was raised.

    Category, subcategory and cause are the catalogue's closed lists; `cost` is what was billed all the same.
    """
    return _answer("failed", reason, category=category, subcategory=subcategory, cause=cause, cost=cost, **fields)


def _answer(
    verdict: Literal["accepted", "rejected", "pending", "unconfirmed", "failed"], reason: str, **fields: object
) -> Answer:
    given = {key: value for key, value in fields.items() if value is not None}
    return Answer(verdict, str(reason), MappingProxyType(given))
