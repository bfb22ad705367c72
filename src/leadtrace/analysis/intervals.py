"""How sure a figure is: intervals of shares and means, and quantiles by nearest rank. Pure functions, no data of their own."""

from __future__ import annotations

import math
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

from leadtrace.analysis.chance import incomplete_beta

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "difference_of_means",
    "mean_interval",
    "nearest_rank",
    "newcombe",
    "t_quantile",
    "wilson",
]


def nearest_rank(ordered: Sequence[float], share: float) -> float:
    """The quantile of values in rising order: the smallest that at least that share of them does not exceed.

    Always one of the values. Raises ValueError for none.
    """
    if not ordered:
        raise ValueError("a quantile needs at least one value")
    # 0.95 of 20 is a hair above 19 in doubles, and would take the twentieth.
    return ordered[max(1, math.ceil(round(share * len(ordered), 9))) - 1]


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share. Raises ValueError for no trials."""
    if trials <= 0:
        raise ValueError("an interval needs at least one trial")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    middle = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else max(0.0, (middle - spread) / scale)
    high = 1.0 if successes == trials else min(1.0, (middle + spread) / scale)
    return low, high


def newcombe(
    successes: int, trials: int, other_successes: int, other_trials: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Newcombe's interval of the difference of two shares, the first less the second."""
    one, other = successes / trials, other_successes / other_trials
    low, high = wilson(successes, trials, confidence)
    other_low, other_high = wilson(other_successes, other_trials, confidence)
    difference = one - other
    return (
        difference - math.sqrt((one - low) ** 2 + (other_high - other) ** 2),
        difference + math.sqrt((high - one) ** 2 + (other - other_low) ** 2),
    )


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval of a mean. Raises ValueError for fewer than two values."""
    if len(values) < 2:
        raise ValueError("an interval of a mean needs at least two values")
    mean = fmean(values)
    error = math.sqrt(_variance(values, mean) / len(values))
    reach = t_quantile((1 + confidence) / 2, len(values) - 1) * error
    return mean - reach, mean + reach


def difference_of_means(
    values: Sequence[float], others: Sequence[float], confidence: float = 0.95
) -> tuple[float, float]:
    """Welch's interval of the difference of two means, the first less the second; both need at least two values."""
    if len(values) < 2 or len(others) < 2:
        raise ValueError("an interval of a difference needs at least two values on either side")
    mean, other = fmean(values), fmean(others)
    one, two = _variance(values, mean) / len(values), _variance(others, other) / len(others)
    if one + two == 0:
        return mean - other, mean - other
    freedom = (one + two) ** 2 / (one**2 / (len(values) - 1) + two**2 / (len(others) - 1))
    reach = t_quantile((1 + confidence) / 2, freedom) * math.sqrt(one + two)
    return mean - other - reach, mean - other + reach


def t_quantile(share: float, freedom: float) -> float:
    """The quantile of Student's t for any positive degrees of freedom, by bisection of its distribution function."""
    if share == 0.5:
        return 0.0
    if share < 0.5:
        return -t_quantile(1 - share, freedom)
    low, high = 0.0, 2.0
    while _t_below(high, freedom) < share:
        high *= 2
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        if _t_below(middle, freedom) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_below(t: float, freedom: float) -> float:
    return 1 - incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2


def _variance(values: Sequence[float], mean: float) -> float:
    return math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1)
