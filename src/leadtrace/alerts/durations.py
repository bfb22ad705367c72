"""Durations counted into bins that grow with them, so that windows add up and any quantile can be told of the sum.

A bin is a 32nd of a doubling: what is told of a quantile is at most 1.1 % from it. Bin 0 is one microsecond.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Bins", "added", "bin_of", "how_many", "quantile", "share_above"]

Bins: TypeAlias = "tuple[tuple[int, int], ...]"

_PER_DOUBLING: Final = 32
_LEAST_MS: Final = 0.001


def bin_of(ms: float) -> int:
    """The bin of a duration; what is no time at all is in the first."""
    return round(math.log2(ms / _LEAST_MS) * _PER_DOUBLING) if ms > _LEAST_MS else 0


def added(several: Iterable[Bins]) -> Bins:
    """The bins of all of them together, in order."""
    total: Counter[int] = Counter()
    for bins in several:
        for index, count in bins:
            total[index] += count
    return tuple(sorted(total.items()))


def how_many(bins: Bins) -> int:
    return sum(count for _, count in bins)


def quantile(bins: Bins, share: float) -> float:
    """The nearest-rank quantile in milliseconds; 0 of nothing."""
    rank, passed = max(1, math.ceil(share * how_many(bins))), 0
    for index, count in bins:
        passed += count
        if passed >= rank:
            return _middle(index)
    return 0.0


def share_above(bins: Bins, ms: float) -> float:
    """Which share took longer than that; 0 of nothing."""
    total = how_many(bins)
    return sum(count for index, count in bins if _middle(index) > ms) / total if total else 0.0


def _middle(index: int) -> float:
    return float(_LEAST_MS * 2 ** (index / _PER_DOUBLING))
