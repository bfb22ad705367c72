"""When something comes: at certain hours, on certain weekdays, or again and again at the same distance. Pure functions.

Moments are counted in quarters of an hour, so that every time zone's hours can be made of them. Traffic, counted alike, says how
often it could have come: what happens only by day because all work is done by day is no pattern.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Final

from leadtrace.analysis.chance import at_least

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

__all__ = ["CYCLES", "QUARTER", "Rhythm", "peaks", "periodic", "when"]

QUARTER: Final = 900 * 10**9
"""The length of a piece of time, in nanoseconds."""
CYCLES: Final = 3
"""So many whole cycles at least must have been seen before something is called periodic."""

_HOUR: Final = 4 * QUARTER
_DAY: Final = 24 * _HOUR
_SPLITS: Final = (_HOUR, 6 * _HOUR, _DAY, 4 * _DAY, 10 * _DAY)
_TOLERANCE: Final = 0.05
_SILENT: Final = 3.0
"""So many must have been expected in a pause, by the traffic in it, before it counts as one."""
_RARE: Final = 0.001
_LIFT: Final = 2.0
_LEAST: Final = 5


@dataclass(slots=True, frozen=True)
class Rhythm:
    """It comes again at the same distance."""

    period_ns: int
    cycles: int
    """Whole cycles seen."""
    next_ns: int
    """When it is expected next."""


def when(pieces: Mapping[int, int], zone: tzinfo) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How often by hour of the day, and by weekday (Monday first), in a time zone."""
    hours, weekdays = [0] * 24, [0] * 7
    for at, count in pieces.items():
        moment = _local(at, zone)
        hours[moment.hour] += count
        weekdays[moment.weekday()] += count
    return tuple(hours), tuple(weekdays)


def peaks(
    pieces: Mapping[int, int], traffic: Mapping[int, int], zone: tzinfo
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Hours and weekdays at which it comes far more often than traffic explains, and on at least three days, or in three
    weeks: one bad afternoon is no pattern of afternoons."""
    return (
        _peaks(pieces, traffic, lambda at: _local(at, zone).hour, lambda at: _local(at, zone).toordinal(), 24),
        _peaks(pieces, traffic, lambda at: _local(at, zone).weekday(), lambda at: _local(at, zone).toordinal() // 7, 7),
    )


def _local(at: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at // 10**9, zone)


def _peaks(
    pieces: Mapping[int, int],
    traffic: Mapping[int, int],
    place: Callable[[int], int],
    turn: Callable[[int], int],
    places: int,
) -> tuple[int, ...]:
    usual: Counter[int] = Counter()
    for at, count in traffic.items():
        usual[place(at)] += count
    mine: Counter[int] = Counter()
    turns: dict[int, set[int]] = {}
    for at, count in pieces.items():
        mine[place(at)] += count
        turns.setdefault(place(at), set()).add(turn(at))
    total, of = sum(mine.values()), sum(usual.values())
    if not of:
        return ()
    return tuple(
        one
        for one, count in sorted(mine.items())
        if count >= _LEAST
        and len(turns[one]) >= CYCLES
        and count * of >= _LIFT * usual[one] * total
        and at_least(count, total, usual[one] / of) * places < _RARE
    )


def periodic(pieces: Mapping[int, int], traffic: Mapping[int, int], until_ns: int, now_ns: int) -> Rhythm | None:
    """Its rhythm; None where it has none, where fewer than `CYCLES` cycles were seen, or where it did not come when it was due.

    Pieces near each other are one coming. The distances between comings differ by at most a twentieth, each coming is short
    against its distance, and in the pauses enough traffic passed that silence means something; where there are fewer errors
    than that, regularity alone must be of twice as many cycles.
    """
    if len(pieces) <= CYCLES:
        return None
    total = sum(pieces.values())
    moments = sorted(traffic)
    passed = list(itertools.accumulate((traffic[at] for at in moments), initial=0))
    found: Rhythm | None = None
    for split in _SPLITS:
        comings = _comings(sorted(pieces), split)
        distances = [later[0] - earlier[0] for earlier, later in itertools.pairwise(comings)]
        if len(distances) < CYCLES:
            continue
        usual = round(median(distances))
        loose = max(round(_TOLERANCE * usual), _HOUR // 2)
        if usual < 3 * split or any(abs(one - usual) > loose for one in distances):
            continue
        if any(3 * (last - first) > usual for first, last in comings):
            continue
        pauses = [
            passed[bisect_left(moments, later[0])] - passed[bisect_left(moments, earlier[1] + QUARTER)]
            for earlier, later in itertools.pairwise(comings)
        ]
        silent = bool(passed[-1]) and all(pause * total >= _SILENT * passed[-1] for pause in pauses)
        if not silent and len(distances) < 2 * CYCLES:
            continue
        due = comings[-1][0] + usual
        if due + loose < until_ns:
            continue
        while due < now_ns:
            due += usual
        if found is None or len(distances) > found.cycles:
            found = Rhythm(usual, len(distances), due)
    return found


def _comings(moments: list[int], split: int) -> list[tuple[int, int]]:
    """First and last piece of each run of pieces with pauses shorter than `split`."""
    found: list[tuple[int, int]] = []
    for at in moments:
        if found and at - found[-1][1] < split:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found
