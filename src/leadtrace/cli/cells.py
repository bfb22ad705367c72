"""One column of a report's table: its heading, and each value as a person reads it."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from leadtrace.analysis.model import Rate
from leadtrace.query.printable import cut, duration, moment, plain, value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["cells", "heading", "is_number", "is_zero"]

_LONGEST: Final = 120
"""Of one cell; what is longer is cut, JSON has it whole."""
_UNITS: Final = ("_ns", "_ms", "_percent", "_bytes")
"""Ends of names that say a unit: the cells have it."""
_MOST_PLACES: Final = 6


def heading(name: str) -> str:
    """A field's name as words, without the unit that its cells have."""
    for unit in _UNITS:
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def is_number(found: object) -> bool:
    """Whether it stands to the right."""
    return found is None or (isinstance(found, (int, float, Decimal, Rate)) and not isinstance(found, bool))


def is_zero(found: object) -> bool:
    """Whether it says that there is nothing of it."""
    return isinstance(found, (int, float, Decimal)) and not isinstance(found, bool) and not found


def cells(name: str, values: Sequence[Any], *, share: bool = False) -> list[str]:
    """The values of one field: times as moments, durations with their unit, shares in per cent and with what they are of.

    Amounts have as many places as a column of them needs: cents, or three digits where all are less than one.
    """
    places = _places(one for one in values if isinstance(one, Decimal))
    return [_cell(name, one, share, places) for one in values]


def _cell(name: str, found: Any, share: bool = False, places: int = 2) -> str:
    if found is None or found == "":
        return ""
    if isinstance(found, tuple):
        return cut(", ".join(_cell(name, one) for one in found), _LONGEST)
    if isinstance(found, Rate):
        return f"{found.numerator:,} of {found.denominator:,}" if found.value is None else _share(found)
    if isinstance(found, Decimal):
        if name.endswith("_percent"):
            return f"{found:,.1f}%"
        return f"{found:,.2f}\N{MULTIPLICATION SIGN}" if name.endswith("_on_cost") else _amount(found, places)
    if name.endswith("_ns"):
        return moment(found)[: len("2026-11-26 10:30:00")].removesuffix(" 00:00:00") if found else ""
    if name.endswith("_ms"):
        return duration(found)
    if name.endswith("_bytes"):
        return f"{found / (1 << 20):,.1f} MiB"
    if isinstance(found, bool):
        return value(found)
    if isinstance(found, int):
        return f"{found:,}"
    if isinstance(found, float):
        return f"{found:.1%}" if share else _figure(found)
    if dataclasses.is_dataclass(found):
        told = ((one.name, _cell(one.name, getattr(found, one.name))) for one in dataclasses.fields(found))
        return cut(", ".join(f"{heading(key)} {text}" for key, text in told if text), _LONGEST)
    return cut(plain(str(found)), _LONGEST)


def _share(rate: Rate) -> str:
    assert rate.value is not None
    return f"{rate.value:.1%} of {rate.denominator:,}"


def _figure(found: float) -> str:
    """A number without a unit, to three digits, or whole where it is large."""
    return f"{found:,.0f}" if abs(found) >= 100 or found == int(found) else f"{found:.3g}"


def _places(amounts: Iterable[Decimal]) -> int:
    several = [one.normalize() for one in amounts if one]
    largest = max((abs(one) for one in several), default=Decimal(1))
    if largest >= 1:
        return 2
    said = max(-int(one.as_tuple().exponent) for one in several)
    return max(2, min(2 - largest.adjusted(), said, _MOST_PLACES))


def _amount(found: Decimal, places: int) -> str:
    """Rounded; what would be nothing then has its first digits."""
    if found and not round(found, places):
        places = 1 - found.adjusted()
    return f"{found:,.{places}f}"
