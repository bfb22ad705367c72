"""Counting tries: which number an attempt has, whether it is a retry, and how long was waited before it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

__all__ = ["Begun", "Tries"]


@dataclass(slots=True, frozen=True)
class Begun:
    """What is known of an attempt when it begins."""

    number: int
    retry: bool
    waited_ns: int = 0


@dataclass(slots=True)
class Tries:
    """The attempts of one name under one word, in the order in which they ended."""

    last: int = 0
    """The number of the last attempt that began."""
    failed: bool = False
    """Whether the last ended attempt failed (or was cancelled)."""
    open: int = 0
    ended_mono: int = 0
    first_mono: int = 0
    """When the first attempt of the current series began: a series is a failure and its retries."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begin(self, now_mono: int, number: int | None = None) -> Begun:
        """One is a retry only if the last ended attempt failed and none is open; otherwise it is number 1 again."""
        with self.lock:
            retry = self.failed and self.open == 0
            if number is not None:
                retry = retry or number > 1
                found = number
            else:
                found = self.last + 1 if retry else 1
            waited = now_mono - self.ended_mono if retry and self.ended_mono else 0
            if not retry:
                self.first_mono = now_mono
            self.last = found
            self.open += 1
            return Begun(found, retry, waited)

    def end(self, now_mono: int, failed: bool, number: int) -> int:
        """Take an attempt's end. Gives how long the series took where this success recovers it from a failure, else 0."""
        with self.lock:
            recovered = not failed and number > 1 and self.failed
            self.open -= 1
            self.failed = failed
            self.ended_mono = now_mono
            return now_mono - self.first_mono if recovered and self.first_mono else int(recovered)
