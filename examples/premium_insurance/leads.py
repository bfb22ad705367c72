"""A lead as it comes in, and the file that leads come in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

__all__ = ["FILE", "Lead", "Unreadable", "read_leads"]

FILE = Path(__file__).with_name("leads.jsonl")
"""The committed data: `python -m premium_insurance.make_leads --seed 7 --leads 300` makes it again, byte for byte."""


@dataclass(frozen=True, slots=True)
class Lead:
    """One person who asked for an insurance quote. Contact data is as typed, mistakes included."""

    id: str | None
    """None where the partner's file has none: the pipeline gives one."""
    source: str
    campaign: str
    campaign_group: str
    received_at: datetime
    first_name: str
    last_name: str
    email: str
    phone: str
    zip: str
    state: str
    product: str
    price: Decimal
    """What we paid for it, in dollars."""
    sell_to: int
    """How many buyers may have it; 1 is an exclusive lead, which goes to auction."""
    consent_id: str
    consent_at: datetime


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no lead: kept aside with the reason, so that it can be mended and sent again."""

    line: int
    reason: str


def read_leads(lines: Iterable[str]) -> Iterator[Lead | Unreadable]:
    """The leads of a file, and each line that is none, in the file's order."""
    for number, line in enumerate(lines, 1):
        try:
            yield _lead(json.loads(line))
        except (ValueError, TypeError, ArithmeticError) as error:
            yield Unreadable(number, _why(error))


def _lead(found: Any) -> Lead:
    if not isinstance(found, dict):
        raise TypeError("expected an object")
    known = {field.name for field in fields(Lead)}
    if missing := sorted(known - found.keys()):
        raise ValueError(f"no {', '.join(missing)}")
    if unknown := sorted(found.keys() - known):
        raise ValueError(f"unknown field {', '.join(unknown)}")
    values = dict(found)
    for moment in ("received_at", "consent_at"):
        values[moment] = datetime.fromisoformat(values[moment])
    values["price"] = Decimal(values["price"])
    return Lead(**values)


def _why(error: Exception) -> str:
    # Never the line itself: it holds somebody's contact data.
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at column {error.colno}"
    if isinstance(error, ArithmeticError):
        return "price is not a number"
    return str(error)
