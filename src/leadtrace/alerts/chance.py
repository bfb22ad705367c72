"""How probable a count is by chance alone: too few leads, too many failures. Exact sums, in logarithms."""

from __future__ import annotations

import math

__all__ = ["at_least_bad", "at_most"]


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


def at_least_bad(bad: int, count: int, share: float, correlation: float) -> float:
    """How probable so many failures or more are among `count`, where `share` of them fail.

    `correlation` is how much failures come together (0: each by itself; the intra-class correlation of a beta-binomial).
    """
    if bad <= 0:
        return 1.0
    if bad > count or share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    together = max(correlation, 1e-9)
    weight = 1 / together - 1
    good_weight, bad_weight = (1 - share) * weight, share * weight
    whole = math.lgamma(count + 1) - _beta(bad_weight, good_weight)

    def log_of(k: int) -> float:
        return whole - math.lgamma(k + 1) - math.lgamma(count - k + 1) + _beta(k + bad_weight, count - k + good_weight)

    if bad <= count - bad:
        return max(0.0, 1.0 - _summed([log_of(k) for k in range(bad)]))
    return _summed([log_of(k) for k in range(bad, count + 1)])


def _beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)


def _summed(logs: list[float]) -> float:
    most = max(logs)
    return min(1.0, math.exp(most) * math.fsum(math.exp(one - most) for one in logs))
