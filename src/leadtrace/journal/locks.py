"""Files that this process holds locked, whichever thread has them in hand: a forked child lets go of every one.

A lock (flock) lies on the open file, which a child shares: as long as the child has it open the lock would stand, also when
its parent has closed the file or died. The thread that had it in hand is not there in the child to close it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Locked", "open_locked"]

_guard = threading.RLock()  # held over each fork, so that no file is open and not known of
_all: set[Locked] = set()


class Locked:
    """One locked file. `descriptor` is -1 once it was let go of, so that its number is never used for another file."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        """Use `open_locked`."""
        self.descriptor = descriptor

    def close(self) -> None:
        """Let go of it, also where a program that was just started still has the file open. Again is nothing."""
        with _guard:
            descriptor, self.descriptor = self.descriptor, -1
            if descriptor >= 0:
                _all.discard(self)
                with contextlib.suppress(OSError):
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
                with contextlib.suppress(OSError):
                    os.close(descriptor)


def open_locked(path: Path, flags: int) -> Locked | None:
    """Open a file, readable by its owner only, and lock it; None where another has the lock. Raises OSError."""
    with _guard:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        found = Locked(descriptor)
        _all.add(found)
        return found


def _in_child() -> None:
    """The locks are the parent's: the files are closed here and not unlocked."""
    global _guard
    _guard = threading.RLock()
    for one in _all:
        descriptor, one.descriptor = one.descriptor, -1
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _all.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _guard.acquire(), after_in_parent=lambda: _guard.release(), after_in_child=_in_child
    )
