"""A straight line through figures over time: how steep, how sure, and where it meets a limit. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from leadtrace.analysis.intervals import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Line", "fit"]


@dataclass(slots=True, frozen=True)
class Line:
    """The least-squares line of some points."""

    points: int
    at: float
    """The mean of the points' places, where `level` is the line's height."""
    level: float
    slope: float
    low: float
    """Student's interval of the slope at 95 %."""
    high: float
    fit: float
    """R²: how much of what the points differ by the line explains, from 0 to 1."""

    @property
    def rises(self) -> bool:
        """Whether chance alone would hardly make it rise so."""
        return self.low > 0

    @property
    def falls(self) -> bool:
        return self.high < 0

    def meets(self, limit: float, slope: float | None = None) -> float | None:
        """Where the line (or one of another slope through its middle) reaches the limit; None where it never does."""
        steep = self.slope if slope is None else slope
        if steep <= 0:
            return None
        return self.at + (limit - self.level) / steep


def fit(places: Sequence[float], heights: Sequence[float]) -> Line | None:
    """The line through those points; None for fewer than three, or where all stand at one place."""
    if len(places) < 3:
        return None
    at, level = fmean(places), fmean(heights)
    spread = math.fsum((one - at) ** 2 for one in places)
    if spread == 0:
        return None
    slope = math.fsum((one - at) * (height - level) for one, height in zip(places, heights, strict=True)) / spread
    around = math.fsum((height - level) ** 2 for height in heights)
    left = math.fsum((height - level - slope * (one - at)) ** 2 for one, height in zip(places, heights, strict=True))
    reach = t_quantile(0.975, len(places) - 2) * math.sqrt(left / (len(places) - 2) / spread)
    explained = 1 - left / around if around > 0 else 1.0
    return Line(len(places), at, level, slope, slope - reach, slope + reach, max(0.0, explained))
