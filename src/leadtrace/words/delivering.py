"""Handing events to handlers, away from the code that told them: one thread, in order, behind a bounded queue.

    put ──► [ waiting, at most LIMIT ] ──► one thread ──► call

A full queue refuses what comes: whoever tells an event never waits for a handler. The thread begins with the first
event; a forked child begins anew, because what waits in the parent is the parent's to hand over.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LIMIT", "Queue", "at_exit", "drain", "put"]

LIMIT = 10_000
"""How many events wait at most. An event is a few kilobytes, so this is tens of megabytes in the worst case."""

_EXIT_S = 2.0
"""How long the end of a process waits for handlers."""


class Queue:
    """Items in order for one thread, which calls `work` with each. Any thread may put."""

    def __init__(self, work: Callable[[Any], None], limit: int = LIMIT) -> None:
        self._work = work
        self._limit = limit
        # Reentrant, because a signal handler or a finalizer may tell an event in the middle of a put.
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[Any] = deque()
        self._came = 0
        self._done = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def put(self, item: Any) -> bool:
        """Take an item; false where the queue is full or closed."""
        with self._changed:
            if self._closed or len(self._waiting) >= self._limit or not self._running():
                return False
            self._waiting.append(item)
            self._came += 1
            self._changed.notify_all()
        return True

    def _running(self) -> bool:
        if self._thread is not None:
            return True
        thread = threading.Thread(target=self._serve, name="leadtrace-handlers", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: no new threads
            return False
        self._thread = thread
        _end_with_the_process()
        return True

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                item = self._waiting.popleft()
            try:
                self._work(item)
            finally:
                with self._changed:
                    self._done += 1
                    self._changed.notify_all()

    def drain(self, timeout_s: float) -> bool:
        """Wait until all that was put before this call has been handed over, at most that long."""
        if threading.current_thread() is self._thread:
            return False  # a handler cannot wait for itself
        until = time.monotonic() + timeout_s
        with self._changed:
            wanted = self._came
            while self._done < wanted and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return self._done >= wanted

    def close(self, timeout_s: float) -> int:
        """Drain at most that long and take nothing more; gives how many were left."""
        self.drain(timeout_s)
        with self._changed:
            self._closed = True
            left = self._came - self._done
            self._waiting.clear()
            self._changed.notify_all()
        return left


_queue: Queue | None = None
_making = threading.RLock()


def put(item: Any, work: Callable[[Any], None]) -> bool:
    """Put an item into this process's queue, whose thread calls `work` with it; false where there is no room."""
    global _queue
    queue = _queue
    if queue is None:
        with _making:
            if _queue is None:
                _queue = Queue(work, LIMIT)
            queue = _queue
    return queue.put(item)


def drain(timeout_s: float) -> bool:
    """Wait until this process's queue has handed over what was put before, at most that long."""
    return _queue.drain(timeout_s) if _queue is not None else True


def at_exit() -> None:
    """The end of the process: what waits is handed over, for a bounded time; what is left is said."""
    if _queue is not None and (left := _queue.close(_EXIT_S)):
        with contextlib.suppress(Exception):  # the log's own handlers may be gone
            import logging

            logging.getLogger("leadtrace").warning(
                "%d events were not handed to handlers before the process ended", left
            )


def _end_with_the_process() -> None:
    """Asked for when the thread begins, late, so that it comes before the sink closes: what handlers tell is still saved.

    A child of `multiprocessing` leaves by os._exit, past atexit: its own finalizers are where it can still wait. They run
    by falling priority, the sink's at 1.
    """
    atexit.unregister(at_exit)
    atexit.register(at_exit)
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, at_exit, exitpriority=10)


def _after_fork() -> None:
    global _queue, _making
    _queue = None
    _making = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
