"""What a run would have taken and cost, had something been otherwise: worked out again on its recorded times.

    recorded   validate ├──┤ phone ├─────────┤ identity ├──────┤ deliver ├──────┤
    parallel   validate ├──┤ phone ├─────────┤ deliver ├──────┤
                           identity ├──────┤

Only the recorded order says what waited for what: a word that began after another under the same caller had ended is taken
to have waited for it, and the caller's own time between the two stays as it was. Without any change the reckoning gives the
recorded duration, to the nanosecond.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from leadtrace.query.printable import duration
from leadtrace.query.vocabulary import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from leadtrace.analysis.passages import Passage, Piece

__all__ = ["Cached", "Change", "InParallel", "LeftOut", "Recomputed", "TimedOut", "recompute"]


@dataclass(slots=True, frozen=True)
class Cached:
    """This call is answered from a cache in `hit_ms`: all its calls that were not already, or that share of them."""

    name: str
    share: float = 1.0
    hit_ms: float = 0.0

    def __str__(self) -> str:
        return f"cache {self.name}" + (f" for {self.share:.0%} of its calls" if self.share < 1 else "")


@dataclass(slots=True, frozen=True)
class InParallel:
    """These run beside each other where they lie under the same caller: all begin when the first of them does."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"run {', '.join(self.names[:-1])} and {self.names[-1]} in parallel"


@dataclass(slots=True, frozen=True)
class TimedOut:
    """This call is given up after so long."""

    name: str
    after_ms: float

    def __str__(self) -> str:
        return f"give {self.name} up after {duration(self.after_ms)}"


@dataclass(slots=True, frozen=True)
class LeftOut:
    """This is not called at all."""

    name: str

    def __str__(self) -> str:
        return f"leave {self.name} out"


Change: TypeAlias = "Cached | InParallel | TimedOut | LeftOut"


@dataclass(slots=True)
class Recomputed:
    """One run as it would have been."""

    before_ns: int
    after_ns: int
    saved: dict[str, Decimal] = field(default_factory=dict)
    """Cost that would not have arisen, by currency."""
    tally: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often what was done, or could not be, by a word for it and the name it is about: `hit`, `hit_already`, `missed`,
    `left_out`, `cut`, `longer`, `beside`, `apart`, `overtaken`."""


def recompute(passage: Passage, changes: Sequence[Change]) -> Recomputed:
    """The run's duration and cost under these changes; with none of them, what was recorded."""
    told = Recomputed(passage.root.length_ns, passage.root.length_ns)
    everything = list(passage.root.walk())
    lengths = _fixed(passage, everything, changes, told)
    groups = [one for one in changes if isinstance(one, InParallel)]
    grouped = {name for group in groups for name in group.names}
    for piece in reversed(everything):  # what lies beneath a piece comes before it
        if id(piece) in lengths:
            continue
        if _stays(piece, lengths, grouped):
            lengths[id(piece)] = piece.length_ns
        else:
            lengths[id(piece)] = _arranged(piece, lengths, groups, told)
    for group in groups:
        there = sum(any(piece.name == name for piece in everything[1:]) for name in group.names)
        if there > 1 and not told.tally["beside", str(group)]:
            told.tally["apart", str(group)] += 1
    told.after_ns = lengths[id(passage.root)]
    return told


def _fixed(
    passage: Passage, everything: Sequence[Piece], changes: Sequence[Change], told: Recomputed
) -> dict[int, int]:
    """The new lengths of the pieces that a change is about by name, by the piece's identity; what it saves into `told`."""
    lengths: dict[int, int] = {}
    inside: set[int] = set()
    calls: Counter[str] = Counter()
    by_name: dict[str, list[Change]] = {}
    for change in sorted(changes, key=_strongest_first):
        if not isinstance(change, InParallel):
            by_name.setdefault(change.name, []).append(change)
    for piece in everything[1:]:
        if id(piece) in inside or piece.name not in by_name:
            continue
        calls[piece.name] += 1
        for change in by_name[piece.name]:
            length = _changed(change, piece, f"{passage.run.run_id}\0{calls[piece.name]}", told.tally)
            if length is None:
                continue
            lengths[id(piece)] = length
            beneath = list(piece.walk())
            inside.update(map(id, beneath))
            if not isinstance(change, TimedOut):  # whoever gives a call up may be billed for it all the same
                for one in beneath:
                    if one.cost:
                        told.saved[one.currency] = told.saved.get(one.currency, Decimal()) + one.cost
            break
    return lengths


def _strongest_first(change: Change) -> int:
    return (LeftOut, Cached, TimedOut, InParallel).index(type(change))


def _changed(change: Change, piece: Piece, call: str, tally: Counter[tuple[str, str]]) -> int | None:
    """The piece's new length in nanoseconds; None where the change leaves this call alone."""
    match change:
        case LeftOut(name):
            tally["left_out", name] += 1
            return 0
        case Cached(name, share, hit_ms):
            if piece.cache_hit:
                tally["hit_already", name] += 1
                return None
            if share < 1 and _chance(f"{call}\0{name}") >= share:
                tally["missed", name] += 1
                return None
            tally["hit", name] += 1
            return round(hit_ms * 1e6)
        case TimedOut(name, after_ms):
            limit = round(after_ms * 1e6)
            if piece.length_ns > limit:
                tally["cut", name] += 1
                return limit
            if _gave_up(piece) and piece.length_ns < limit:
                tally["longer", name] += 1
                return limit
    return None


def _chance(of: str) -> float:
    """A number from 0 up to 1 that is always the same for the same call: an answer does not change when asked again."""
    return int.from_bytes(hashlib.blake2b(of.encode(), digest_size=8).digest(), "big") / 2**64


def _gave_up(piece: Piece) -> bool:
    """Whether the call ended by its own time-out."""
    told = piece.attributes
    return "timeout" in (
        text(told, "enhancement.failure.subcategory"),
        text(told, "delivery.failure.subcategory"),
        text(told, "error.subcategory"),
    )


def _stays(piece: Piece, lengths: Mapping[int, int], grouped: AbstractSet[str]) -> bool:
    """Whether all beneath the piece is as long as it was and in its place, so that arranging it would change nothing."""
    return piece.began_ns <= piece.ended_ns and all(
        lengths[id(one)] == one.ended_ns - one.began_ns and one.name not in grouped for one in piece.below
    )


def _arranged(piece: Piece, lengths: dict[int, int], groups: Sequence[InParallel], told: Recomputed) -> int:
    """The piece's length with what lies beneath it in its new place: in nanoseconds, as all times here from its begin."""
    if not piece.below:
        return piece.length_ns
    by_end = sorted(range(len(piece.below)), key=lambda at: (piece.below[at].ended_ns, at))
    ends: list[int] = []
    before: list[int] = []
    members: dict[InParallel, dict[str, int]] = {group: {} for group in groups}
    first: dict[InParallel, int] = {}
    old_end = new_end = 0
    for at, child in enumerate(piece.below):
        while len(before) < len(by_end):
            one = by_end[len(before)]
            if one >= at or piece.below[one].ended_ns > child.began_ns:
                break
            old_end = max(old_end, piece.below[one].ended_ns) if before else piece.below[one].ended_ns
            new_end = max(new_end, ends[one]) if before else ends[one]
            before.append(one)
        begin = new_end + child.began_ns - old_end if before else child.began_ns - piece.began_ns
        for group, begun in members.items():
            if child.name not in group.names or child.name in begun:
                continue
            if begun:
                told.tally["beside", str(group)] += 1
                if before:
                    begin = min(begin, max(begun.values()) + child.began_ns - old_end)
                    for name in _overtaken(piece, [one for one in before if one > first[group]], group):
                        told.tally["overtaken", name] += 1
            else:
                first[group] = at
            begun[child.name] = begin
        ends.append(begin + lengths[id(child)])
    held = [at for at, child in enumerate(piece.below) if child.ended_ns <= piece.ended_ns]
    if not held:
        return piece.length_ns
    last_old = max(piece.below[at].ended_ns for at in held)
    return max(ends[at] for at in held) + piece.ended_ns - last_old


def _overtaken(piece: Piece, between: Sequence[int], group: InParallel) -> set[str]:
    """What lay between members of the group: the later ones would no longer wait for it."""
    return {name for at in between if (name := piece.below[at].name) not in group.names}
