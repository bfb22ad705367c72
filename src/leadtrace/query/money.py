"""Cost and revenue as recorded, summed exactly: per currency, each call and each delivery once."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from leadtrace.query.model import Money

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.otlp.records import Value

__all__ = ["Purse", "amount", "currency_of"]

DEFAULT_CURRENCY = "USD"
"""Where a record names none: the settings' own default, which the words write out."""

_MOST_DIGITS = 400
"""Of an amount told as text: as many as the largest double has."""


def amount(value: object) -> Decimal | None:
    """Money back from a recorded number by its shortest decimal form; None where it is no amount."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, str):
        try:
            found = Decimal(value)
        except InvalidOperation:
            return None
        # "1E+999999999" is twelve letters, and a gigabyte once it is written out.
        return (
            found
            if found.is_finite() and abs(found.adjusted()) <= _MOST_DIGITS and len(value) <= _MOST_DIGITS
            else None
        )
    return None


def currency_of(attributes: Mapping[str, Value], attribute: str) -> str:
    """The currency beside an amount: in its namespace or the one above, else the bare one."""
    namespace = attribute.rpartition(".")[0]
    while namespace:
        found = attributes.get(f"{namespace}.currency")
        if found:
            return str(found)
        namespace = namespace.rpartition(".")[0]
    return str(attributes.get("currency") or DEFAULT_CURRENCY)


@dataclass(slots=True)
class Purse:
    """Sums by currency."""

    costs: dict[str, Decimal]
    revenues: dict[str, Decimal]
    returns: dict[str, Decimal]

    @classmethod
    def empty(cls) -> Purse:
        return cls(defaultdict(Decimal), defaultdict(Decimal), defaultdict(Decimal))

    def spend(self, attributes: Mapping[str, Value], *names: str) -> None:
        for name in names:
            if (found := amount(attributes.get(name))) is not None:
                self.costs[currency_of(attributes, name)] += found

    def earn(self, attributes: Mapping[str, Value], name: str) -> None:
        if (found := amount(attributes.get(name))) is not None:
            self.revenues[currency_of(attributes, name)] += found

    def give_back(self, attributes: Mapping[str, Value], name: str, fallback: str = "") -> None:
        """A return names its currency, else takes that of the sale that it undoes."""
        if (found := amount(attributes.get(name))) is not None:
            said = {**attributes, "currency": attributes.get("currency") or fallback}
            self.returns[currency_of(said, name)] += found

    def contents(self) -> list[Money]:
        currencies = sorted({*self.costs, *self.revenues, *self.returns})
        return [
            Money(
                one,
                self.costs.get(one, Decimal()),
                self.revenues.get(one, Decimal()),
                self.returns.get(one, Decimal()),
            )
            for one in currencies
        ]


def total(purses: Iterable[Money], currency: str) -> Money:
    """What there is in that currency."""
    return next((one for one in purses if one.currency == currency), Money(currency))
