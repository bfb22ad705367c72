"""How many leads a group should have: its own count by hour of the week, learnt from history, and how sure that is.

A slot is a local hour of the week, 0 on Monday from midnight to one. What is learnt of a slot is leads per open hour. Counts
vary more than chance alone where days are better and worse; `spread` says how much (the variance of a count with mean m is
m + spread · m²: a negative binomial, at 0 a Poisson distribution).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from leadtrace.alerts.calendar import local_time
from leadtrace.alerts.rules import HOUR

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from leadtrace.alerts.calendar import Calendar, Span

__all__ = ["QUARTER", "Expected", "Forecast", "learn"]

QUARTER: Final = HOUR // 4
"""History is counted by the quarter of an hour: every time zone's hours begin with one."""

_SLOTS: Final = 168


class Forecast(NamedTuple):
    """What a window should have."""

    mean: float
    variance: float
    """Of the count itself and of what was learnt, together."""
    times: int
    """How often the window's least known slot was seen."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What was learnt of one group."""

    rates: tuple[float, ...]
    """Leads per open hour, a slot each."""
    times: tuple[int, ...]
    """How often each slot was seen open."""
    spread: float = 0.0

    def forecast(self, calendar: Calendar, since_ns: int, until_ns: int) -> Forecast:
        """What that window should have, its closed time left out."""
        mean = unsure = 0.0
        times: int | None = None
        for slot, hours in _by_slot(calendar, since_ns, until_ns):
            here, seen = self.rates[slot] * hours, self.times[slot]
            mean += here
            if seen:
                unsure += (here * hours + self.spread * here * here) / seen
            times = seen if times is None else min(times, seen)
        return Forecast(mean, mean + self.spread * mean * mean + unsure, times or 0)

    def mean(self, calendar: Calendar, since_ns: int, until_ns: int) -> float:
        return self.forecast(calendar, since_ns, until_ns).mean


def learn(
    quarters: Mapping[int, int], calendar: Calendar, since_ns: int, until_ns: int, without: Sequence[Span] = ()
) -> Expected:
    """What is normal for a group, from its leads by quarter of an hour in that window.

    `quarters` has the beginning of each quarter (a multiple of `QUARTER`) that had any leads, and how many. `without` are
    stretches to leave out: incidents, whose silence is not normal. Closed time, holidays and pauses teach nothing.
    """
    since_ns, until_ns = -(-since_ns // QUARTER) * QUARTER, until_ns // QUARTER * QUARTER
    cells: dict[tuple[int, datetime.date], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for span in calendar.spans(since_ns, until_ns):
        for start in range(span.start_ns // QUARTER * QUARTER, span.end_ns, QUARTER):
            if any(one.start_ns < start + QUARTER and start < one.end_ns for one in without):
                continue
            cell = cells[_slot(calendar.zone, start)]
            cell[0] += quarters.get(start, 0)
            cell[1] += (min(start + QUARTER, span.end_ns) - max(start, span.start_ns)) / HOUR
    counts, hours, times = [0.0] * _SLOTS, [0.0] * _SLOTS, [0] * _SLOTS
    for (slot, _), (count, open_hours) in cells.items():
        counts[slot] += count
        hours[slot] += open_hours
        times[slot] += 1
    rates = tuple(count / there if there else 0.0 for count, there in zip(counts, hours, strict=True))
    return Expected(rates, tuple(times), _spread(cells, rates, times))


@lru_cache(maxsize=100_000)
def _slot(zone: ZoneInfo, at_ns: int) -> tuple[int, datetime.date]:
    """The hour of the week and the date there; asked again each day for the same weeks, and for every group."""
    local = local_time(zone, at_ns)
    return local.weekday() * 24 + local.hour, local.date()


def _spread(
    cells: Mapping[tuple[int, datetime.date], Sequence[float]], rates: Sequence[float], times: Sequence[int]
) -> float:
    """By the method of moments over all slots: what the counts vary beyond chance, in units of their mean squared."""
    beyond = squares = 0.0
    for (slot, _), (count, hours) in cells.items():
        if (seen := times[slot]) < 2:
            continue
        mean = rates[slot] * hours
        # The mean was made of these very counts, which are so much nearer to it than to the true one.
        beyond += (count - mean) ** 2 * seen / (seen - 1) - mean
        squares += mean * mean
    return max(0.0, beyond / squares) if squares else 0.0


def _by_slot(calendar: Calendar, since_ns: int, until_ns: int) -> Iterator[tuple[int, float]]:
    """The open time of a window by slot, in hours."""
    for start, end in calendar.spans(since_ns, until_ns):
        at = start
        while at < end:
            local = calendar.local(at)
            into = (local.minute * 60 + local.second) * 1_000_000_000 + at % 1_000_000_000
            until = min(end, at + HOUR - into)
            yield local.weekday() * 24 + local.hour, (until - at) / HOUR
            at = until
