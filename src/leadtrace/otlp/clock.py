"""One clock: a wall anchor plus the monotonic clock, so that no duration is ever wrong and no event moves backwards.

    wall time = anchor + monotonic        the anchor is taken once, and again when the two have drifted apart

A step of the wall clock (NTP, a suspended machine) does not tear a timeline: times go on from the old anchor until
the drift is noticed, then the next record says `clock_reanchored` in its marks. Recorded times are never rewritten.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Clock", "ClockNote", "Jump", "jumps", "machine_boot", "uptime_ns"]

_DRIFT_NS = 100_000_000
_CHECK_EVERY_NS = 1_000_000_000


class Clock:
    """Unix nanoseconds that never go backwards within an anchor. Any thread may ask."""

    __slots__ = ("_anchor", "_next_check", "reanchored")

    monotonic = staticmethod(time.monotonic_ns)
    """Nanoseconds from an arbitrary point: for durations."""

    def __init__(self) -> None:
        mono = time.monotonic_ns()
        self._anchor = time.time_ns() - mono
        self._next_check = mono + _CHECK_EVERY_NS
        self.reanchored = False
        """True from a re-anchoring until `take_mark` is called for the next record."""

    def now(self) -> int:
        return self.both()[1]

    def both(self) -> tuple[int, int]:
        """One moment by the monotonic clock and in Unix nanoseconds: what begins then ends at the latter plus its duration."""
        mono = self.monotonic()
        if mono >= self._next_check:
            self._check(mono)
        return mono, self._anchor + mono

    def take_mark(self) -> bool:
        """Whether the clock was re-anchored since the last call: that record is to be marked."""
        if not self.reanchored:
            return False
        self.reanchored = False
        return True

    def _check(self, mono: int) -> None:
        self._next_check = mono + _CHECK_EVERY_NS
        anchor = time.time_ns() - mono
        if abs(anchor - self._anchor) > _DRIFT_NS:
            self._anchor = anchor
            self.reanchored = True


@dataclass(slots=True, frozen=True)
class ClockNote:
    """The machine's two clocks at one moment, as one process wrote them down."""

    machine: str
    """`machine_boot`: of one start of the machine all have the same distance between the two, unless its clock was set."""
    host: str
    uptime_ns: int
    wall_ns: int
    boot: str = ""
    """Whose it is; '' for who looks now."""
    service: str = ""
    pid: int = 0


@dataclass(slots=True, frozen=True)
class Jump:
    """A machine's clock was set between two moments: by so much, forward where that is more than 0."""

    before: ClockNote
    after: ClockNote

    @property
    def by_ns(self) -> int:
        return (self.after.wall_ns - self.before.wall_ns) - (self.after.uptime_ns - self.before.uptime_ns)


def jumps(notes: Iterable[ClockNote], least_ns: int) -> list[Jump]:
    """Where a machine's clock was set by more than that, in the order of its own time."""
    found = []
    last: dict[tuple[str, str], ClockNote] = {}
    for one in sorted(notes, key=lambda one: one.uptime_ns):
        before = last.get((one.machine, one.host))
        last[one.machine, one.host] = one
        if before is not None and abs((jump := Jump(before, one)).by_ns) > least_ns:
            found.append(jump)
    return found


def uptime_ns() -> int:
    """Nanoseconds since the machine was started, those in which it slept included; where that is not known, of an
    arbitrary point that stays while the machine runs.
    """
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@functools.cache
def machine_boot() -> str:
    """What the system calls this start of the machine; '' where it has no name for it, and uptimes are not compared."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
