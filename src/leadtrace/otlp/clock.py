"""One clock: a wall anchor plus the monotonic clock, so that no duration is ever wrong and no event moves backwards.

    wall time = anchor + monotonic        the anchor is taken once, and again when the two have drifted apart

A step of the wall clock (NTP, a suspended machine) does not tear a timeline: times go on from the old anchor until
the drift is noticed, then the next record says `clock_reanchored` in its marks. Recorded times are never rewritten.
"""

from __future__ import annotations

import time

__all__ = ["Clock"]

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
