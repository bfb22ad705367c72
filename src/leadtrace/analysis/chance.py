"""How probable something is by chance alone: so few, so many, two groups that differ so much; and of many looks together.

Pure functions, exact for counts and shares, by ranks for numbers. An effect is always the same sort of number, so that shares
and numbers can be ranked beside each other: how much likelier it is that one of the first group has more of it than one of the
second, less the other way round, -1 to 1. For a share that is the plain difference of the two shares; for numbers it is
Cliff's delta.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["adjusted", "at_least", "at_most", "cliffs_delta", "fisher", "incomplete_beta", "rank_test"]


def at_most(count: int, mean: float, variance: float) -> float:
    """How probable so few or fewer are, where `mean` are expected: negative binomial, Poisson where it varies no more."""
    if mean <= 0:
        return 1.0
    if count < 0:
        return 0.0
    if variance <= mean * (1 + 1e-9):
        # e^-mean · mean^k / k!, each from the one before; in logarithms, for e^-1000 is nothing to a float.
        log, logs = -mean, [-mean]
        for k in range(1, count + 1):
            log += math.log(mean / k)
            logs.append(log)
    else:
        size = mean * mean / (variance - mean)
        failure = mean / (size + mean)
        log = size * math.log1p(-failure)
        logs = [log]
        for k in range(1, count + 1):
            log += math.log(failure * (k + size - 1) / k)
            logs.append(log)
    return _summed(logs)


def at_least(count: int, of: int, share: float, correlation: float = 0.0) -> float:
    """How probable so many or more are among `of`, each with that chance: binomial.

    `correlation` is how much they come together: 0 each by itself, else the intra-class correlation of a beta-binomial.
    """
    if count <= 0:
        return 1.0
    if count > of or share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    if correlation < 1e-9:
        return incomplete_beta(count, of - count + 1, share)
    weight = 1 / correlation - 1
    yes, no = share * weight, (1 - share) * weight
    whole = math.lgamma(of + 1) - _log_beta(yes, no)

    def log_of(k: int) -> float:
        return whole - math.lgamma(k + 1) - math.lgamma(of - k + 1) + _log_beta(k + yes, of - k + no)

    if count <= of - count:
        return max(0.0, 1.0 - _summed([log_of(k) for k in range(count)]))
    return _summed([log_of(k) for k in range(count, of + 1)])


def fisher(count: int, of: int, other_count: int, other_of: int) -> float:
    """Fisher's exact test, two-sided: how likely a difference of the two shares as large as this is by chance alone."""
    drawn, total = count + other_count, of + other_of
    low, high = max(0, drawn - other_of), min(of, drawn)
    here = _log_likelihood(count, of, drawn, total)
    # Ties are computed along different ways and may differ in the last digits.
    likely = math.fsum(
        math.exp(one)
        for k in range(low, high + 1)
        if (one := _log_likelihood(k, of, drawn, total)) <= here + 1e-7 * max(1.0, abs(here))
    )
    return min(1.0, likely)


def _log_likelihood(count: int, of: int, drawn: int, total: int) -> float:
    return _log_choose(of, count) + _log_choose(total - of, drawn - count) - _log_choose(total, drawn)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def cliffs_delta(values: Sequence[float], others: Sequence[float]) -> float:
    """How much likelier one of `values` is above one of `others` than below it."""
    ranks, _ = _ranks(values, others)
    above = math.fsum(ranks) - len(values) * (len(values) + 1) / 2  # pairs won, ties as halves
    return 2 * above / (len(values) * len(others)) - 1


def rank_test(values: Sequence[float], others: Sequence[float]) -> float:
    """Mann and Whitney's test, two-sided, by the normal approximation with ties and continuity corrected."""
    one, two = len(values), len(others)
    ranks, ties = _ranks(values, others)
    above = math.fsum(ranks) - one * (one + 1) / 2
    total = one + two
    spread = one * two / 12 * (total + 1 - ties / (total * (total - 1))) if total > 1 else 0.0
    off = abs(above - one * two / 2) - 0.5
    if spread <= 0 or off <= 0:
        return 1.0
    return 2 * NormalDist().cdf(-off / math.sqrt(spread))


def _ranks(values: Sequence[float], others: Sequence[float]) -> tuple[list[float], float]:
    """The ranks of `values` among both, ties as their mean; and what ties take from the spread."""
    everything = sorted([(one, True) for one in values] + [(one, False) for one in others])
    mine: list[float] = []
    ties, at = 0.0, 0
    while at < len(everything):
        upto = at
        while upto < len(everything) and everything[upto][0] == everything[at][0]:
            upto += 1
        alike = upto - at
        ties += alike**3 - alike
        mine += [(at + 1 + upto) / 2] * sum(is_mine for _, is_mine in everything[at:upto])
        at = upto
    return mine, ties


def adjusted(chances: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjustment: of those below 0.05, about one in twenty is chance, however many were looked at."""
    order = sorted(range(len(chances)), key=lambda at: chances[at], reverse=True)
    found = [1.0] * len(chances)
    least = 1.0
    for place, at in enumerate(order):
        least = min(least, chances[at] * len(chances) / (len(chances) - place))
        found[at] = least
    return found


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for step in range(1, 500):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for part in (even, odd):
            d = 1 / ((1 + part * d) or tiny)
            c = (1 + part / c) or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * fraction


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)


def _summed(logs: list[float]) -> float:
    most = max(logs)
    return min(1.0, math.exp(most) * math.fsum(math.exp(one - most) for one in logs))
