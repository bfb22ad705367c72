"""How figures of a review are said: changes, shares, versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leadtrace.analysis.review_rows import ReviewBars
from leadtrace.query.printable import moment, plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from leadtrace.analysis.model import Rate
    from leadtrace.analysis.review_figures import Reviewed
    from leadtrace.analysis.review_rows import Part

__all__ = [
    "MOST",
    "bars_of",
    "changed",
    "minute",
    "money_changed",
    "points_told",
    "priced",
    "rate_told",
    "relative",
    "versioned",
]

MOST: Final = 10
"""Lines of a table and bars of a picture: the reports have the rest."""


def priced(amount: Decimal, currency: str) -> str:
    """An amount with its currency, at least two places and none that say nothing."""
    places = max(2, -int(amount.normalize().as_tuple().exponent))
    return f"{amount:,.{places}f} {plain(currency)}"


def bars_of(part: Part, name: str, now: Mapping[str, int], before: Mapping[str, int]) -> ReviewBars:
    names = sorted(now, key=lambda one: (-now[one], one))[:MOST]
    return ReviewBars(
        part,
        name,
        "",
        "",
        tuple(names),
        tuple(float(now[one]) for one in names),
        tuple(float(before.get(one, 0)) for one in names),
    )


def changed(reviewed: Reviewed, now: float, before: float) -> str:
    change = reviewed.change(now, before)
    return f"{change:+.0%}" if change is not None else "new"


def money_changed(reviewed: Reviewed, now: Decimal, before: Decimal | None) -> str:
    return changed(reviewed, float(now), float(before)) if before else "new"


def relative(now: float, before: float | None) -> str:
    return f"{now / before - 1:+.0%}" if before else "new"


def rate_told(one: Rate) -> str:
    return f"{one.value:.1%}" if one.value is not None else f"{one.numerator:,} of {one.denominator:,}"


def points_told(one: Rate, before: Rate | None) -> str:
    if before is None or one.value is None or before.value is None:
        return ""
    return f"{(one.value - before.value) * 100:+.1f} points"


def versioned(flow: str, version: str) -> str:
    return f"{flow} v{version}" if version else flow


def minute(time_ns: int) -> str:
    return moment(time_ns)[:16]
