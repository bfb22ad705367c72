"""What would make a flow faster: every remedy that fits its recorded runs, tried on them, the one that saves most first.

This is another question than where the time goes. The longest part of a run may be a buyer's answer that nobody here can
hasten, while a call of a third of that length could be answered from a cache.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from leadtrace.analysis.intervals import nearest_rank
from leadtrace.analysis.recomputed import Cached, Change, InParallel, TimedOut, recompute

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leadtrace.analysis.passages import Passage, Piece

__all__ = ["Tried", "hit_times", "tried"]

_MOST_PAIRS = 5
_ENOUGH_FOR_A_TAIL = 20
_WORTH_TELLING = 0.005


@dataclass(slots=True, frozen=True)
class Tried:
    """One remedy over some runs: what they took together, and would have."""

    change: Change
    before_ns: int
    after_ns: int
    runs_changed: int
    """In how many runs it makes any difference."""

    @property
    def faster(self) -> float:
        """The share of the runs' time that it saves."""
        return (self.before_ns - self.after_ns) / self.before_ns if self.before_ns else 0.0


def tried(passages: Sequence[Passage]) -> list[Tried]:
    """The remedies that save at least half a percent of the time, the one that saves most first."""
    found = []
    before = sum(one.root.length_ns for one in passages)
    for change in _remedies(passages):
        after = [recompute(one, [change]).after_ns for one in passages]
        changed = sum(new != one.root.length_ns for new, one in zip(after, passages, strict=True))
        found.append(Tried(change, before, sum(after), changed))
    return sorted(
        (one for one in found if one.faster >= _WORTH_TELLING), key=lambda one: (-one.faster, str(one.change))
    )


def hit_times(passages: Sequence[Passage], name: str) -> list[float]:
    """How long the recorded answers of this call from a cache took, in rising order."""
    return sorted(
        piece.duration_ms
        for passage in passages
        for piece in passage.root.walk()
        if piece.name == name and piece.cache_hit and piece.finished
    )


def _remedies(passages: Sequence[Passage]) -> Iterator[Change]:
    lengths: dict[str, list[float]] = {}
    for passage in passages:
        for piece in passage.root.walk():
            if piece.word == "enhancement" and piece.finished:
                lengths.setdefault(piece.name, []).append(piece.duration_ms)
    for name, several in sorted(lengths.items()):
        hits = hit_times(passages, name)
        yield Cached(name, hit_ms=nearest_rank(hits, 0.5) if hits else 0.0)
        if len(several) >= _ENOUGH_FOR_A_TAIL:
            yield TimedOut(name, nearest_rank(sorted(several), 0.95))
    groups = Counter(group for passage in passages for group in _in_turn(passage.root))
    for names, _ in sorted(groups.items(), key=lambda one: (-one[1], one[0]))[:_MOST_PAIRS]:
        yield InParallel(names)


def _in_turn(root: Piece) -> set[tuple[str, ...]]:
    """Enhancements that one caller asked one after the other: each neighbouring pair, and all of a longer row."""
    found: set[tuple[str, ...]] = set()
    for piece in root.walk():
        row = [one for one in piece.below if one.word == "enhancement"]
        turns = [(a, b) for a, b in pairwise(row) if a.ended_ns <= b.began_ns and a.name != b.name]
        found.update((a.name, b.name) for a, b in turns)
        names = tuple(dict.fromkeys(one.name for one in row))
        if len(names) > 2 and len(turns) == len(row) - 1:
            found.add(names)
    return found
