"""Sets of whole numbers as runs: what was counted one after the other takes no more room than its holes.

    Ranges.of_numbers([1, 2, 3, 7, 8])      1-3, 7-8
    Ranges.of((1, 8)) - that                4-6

Both ends of a run belong to it. Runs are in order, do not touch, and never overlap, so equal sets are equal.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["EMPTY", "Ranges"]


class Ranges:
    """A set of whole numbers; never changed once made."""

    __slots__ = ("_runs",)

    def __init__(self, runs: tuple[tuple[int, int], ...] = ()) -> None:
        """Use `of` or `of_numbers`, which bring runs into their form; these here have it."""
        self._runs = runs

    @classmethod
    def of(cls, *runs: Iterable[int]) -> Ranges:
        """Of runs (first, last), in any order and over each other; one that ends before it begins is refused."""
        pairs: list[tuple[int, int]] = []
        for first, last in runs:
            if last < first:
                raise ValueError(f"a range ends where it begins or later, not {first}-{last}")
            pairs.append((first, last))
        pairs.sort()
        joined: list[tuple[int, int]] = []
        for first, last in pairs:
            if joined and first <= joined[-1][1] + 1:
                if last > joined[-1][1]:
                    joined[-1] = (joined[-1][0], last)
            else:
                joined.append((first, last))
        return cls(tuple(joined))

    @classmethod
    def of_numbers(cls, numbers: Iterable[int]) -> Ranges:
        """Of single numbers, in any order; fastest where they rise."""
        runs: list[tuple[int, int]] = []
        first = last = 0
        begun = False
        for number in numbers:
            if begun and number == last + 1:
                last = number
                continue
            if begun:
                runs.append((first, last))
            first = last = number
            begun = True
        if begun:
            runs.append((first, last))
        return cls.of(*runs)

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """The runs in order, each as its first and its last number."""
        return self._runs

    @property
    def count(self) -> int:
        """How many numbers there are. (`len` would have to fit a machine's word.)"""
        return sum(last - first + 1 for first, last in self._runs)

    def __bool__(self) -> bool:
        return bool(self._runs)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._runs, number, key=_first) - 1
        return at >= 0 and number <= self._runs[at][1]

    def __iter__(self) -> Iterator[int]:
        for first, last in self._runs:
            yield from range(first, last + 1)

    def __eq__(self, other: object) -> bool:
        return self._runs == other._runs if isinstance(other, Ranges) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._runs)

    def __or__(self, other: Ranges) -> Ranges:
        if not other._runs or not self._runs:
            return self if self._runs else other
        return Ranges.of(*self._runs, *other._runs)

    def __and__(self, other: Ranges) -> Ranges:
        found: list[tuple[int, int]] = []
        mine, theirs = iter(self._runs), iter(other._runs)
        one, two = next(mine, None), next(theirs, None)
        while one and two:
            first, last = max(one[0], two[0]), min(one[1], two[1])
            if first <= last:
                found.append((first, last))
            if one[1] < two[1]:
                one = next(mine, None)
            else:
                two = next(theirs, None)
        return Ranges(tuple(found))

    def __sub__(self, other: Ranges) -> Ranges:
        if not self._runs or not other._runs:
            return self
        return self & other.outside(self._runs[0][0], self._runs[-1][1])

    def outside(self, first: int, last: int) -> Ranges:
        """The numbers from `first` to `last` that are not in here."""
        found: list[tuple[int, int]] = []
        at = first
        for begin, end in self._runs:
            if begin > last:
                break
            if begin > at:
                found.append((at, begin - 1))
            at = max(at, end + 1)
        if at <= last:
            found.append((at, last))
        return Ranges(tuple(found))

    def as_json(self) -> list[list[int]]:
        """`[[1, 3], [7, 8]]`; `Ranges.of(*that)` reads it back."""
        return [[first, last] for first, last in self._runs]

    def __str__(self) -> str:
        return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in self._runs)

    def __repr__(self) -> str:
        return f"Ranges.of({', '.join(map(repr, self._runs))})"


def _first(run: tuple[int, int]) -> int:
    return run[0]


EMPTY: Final = Ranges()
"""No number."""
