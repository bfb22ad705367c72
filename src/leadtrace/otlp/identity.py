"""Who a record is: its uid, made where it happens, and the ids of runs, traces and spans where no SDK makes them.

    log.record.uid = 16 hex digits of the process's boot id, 12 of its counter      e.g. 5f0c9a3be1d47702 00000000002a

The same uid is the same record, wherever it is met; a hole in a boot's sequence is a loss. A fork is a new boot.
"""

from __future__ import annotations

import itertools
import os
import random

__all__ = ["Identity", "current", "use"]


class Identity:
    """Makes ids. `seed` makes them repeatable, for tests; without one they come from the system's randomness."""

    __slots__ = ("_count", "_last", "_random", "_seed", "boot")

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self.renew()

    def renew(self) -> None:
        """Begin a new boot: a new boot id, a counter from zero, and ids unlike those of the parent process."""
        seed: int | bytes = self._seed if self._seed is not None else os.urandom(16)
        self._random = random.Random(seed)  # noqa: S311 - ids must be unlike, not secret
        self.boot = f"{self._random.getrandbits(64) or 1:016x}"
        self._count = itertools.count(1)
        self._last = 0

    def uid(self) -> str:
        self._last = number = next(self._count)
        return f"{self.boot}{number:012x}"

    @property
    def next_sequence(self) -> int:
        """The number that the next uid has, or a later one where other threads make some at this moment."""
        return self._last + 1

    def trace_id(self) -> int:
        return self._random.getrandbits(128) or 1

    def span_id(self) -> int:
        return self._random.getrandbits(64) or 1

    def token(self, prefix: str) -> str:
        """An id of ours for a person to read: `run_3f…`, `delivery_9a…` (16 hex digits)."""
        return f"{prefix}_{self._random.getrandbits(64):016x}"


_current = Identity()


def current() -> Identity:
    """The identity of this process."""
    return _current


def use(identity: Identity) -> Identity:
    """Make ids with that one from now on (tests); gives back the one before."""
    global _current
    before, _current = _current, identity
    return before


def _after_fork() -> None:
    _current.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
