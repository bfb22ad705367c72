"""With against without, like compared with like: a difference of means within strata, weighted by those with. Pure, exact sums.

Each stratum has what became of its leads, with and without, as counts by value in integers (micro-units, or 0 and 1).
A stratum counts where both sides have at least two leads: elsewhere there is nothing to compare with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from leadtrace.analysis.model import LEAST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Compared", "compared"]

_PLACES: Final = Decimal("0.000001")
_Z: Final = NormalDist().inv_cdf(0.975)


@dataclass(slots=True, frozen=True)
class Compared:
    """A mean with against without, over the strata that have both. Without a difference the note says why."""

    leads_with: int
    leads_without: int
    strata: int
    mean_with: Decimal | None
    mean_without: Decimal | None
    """Weighted as those with are spread over the strata."""
    difference: Decimal | None
    low: Decimal | None
    """At 95 %, as `high`."""
    high: Decimal | None
    note: str


def compared(
    strata: Iterable[tuple[Mapping[int, int], Mapping[int, int]]], unit: int = 1, least: int = LEAST
) -> Compared:
    """Compare counts by value, (with, without) of each stratum; values are in `unit`ths."""
    leads = others = used = 0
    total, total_other, variance = Fraction(), Fraction(), Fraction()
    for having, lacking in strata:
        n, m = sum(having.values()), sum(lacking.values())
        if n < 2 or m < 2:
            continue
        leads, others, used = leads + n, others + m, used + 1
        mean, spread = _moments(having, n)
        other, other_spread = _moments(lacking, m)
        total += n * mean
        total_other += n * other
        variance += n * n * (spread / n + other_spread / m)
    if leads < least or others < least:
        note = (
            f"too few to tell: {leads} leads with and {others} without that are alike, at least {least} of each needed"
        )
        return Compared(leads, others, used, None, None, None, None, None, note)
    scale = leads * unit
    difference = (total - total_other) / scale
    reach = _Z * math.sqrt(variance) / scale
    return Compared(
        leads,
        others,
        used,
        _decimal(total / scale),
        _decimal(total_other / scale),
        _decimal(difference),
        _decimal(Fraction(float(difference) - reach)),
        _decimal(Fraction(float(difference) + reach)),
        "",
    )


def _moments(counts: Mapping[int, int], number: int) -> tuple[Fraction, Fraction]:
    """Mean and sample variance."""
    total = sum(value * count for value, count in counts.items())
    squares = sum(value * value * count for value, count in counts.items())
    return Fraction(total, number), Fraction(squares * number - total * total, number * (number - 1))


def _decimal(exact: Fraction) -> Decimal:
    return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(_PLACES)
