"""When what was written outlives the machine, and who waits for that."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import asyncio
    import threading
    from collections.abc import Callable, Sequence

    from leadtrace.journal.writing import Writing

__all__ = ["Durability", "Fsync", "on_a_loop"]

Fsync = Literal["always", "interval", "off"]


class Durability:
    """Counts what was written and what of it is on the disk; `lock` is the sink's, `ask` has its tending thread sync."""

    def __init__(
        self, fsync: Fsync, lock: threading.RLock, ask: Callable[[], None], warn: Callable[[str, str], None]
    ) -> None:
        self.fsync = fsync
        self.written = 0
        """Records; a record's position is the number of those written with it."""
        self.synced = 0
        self.asked = False
        self._lock = lock
        self._ask = ask
        self._warn = warn
        self._waiters: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @property
    def due(self) -> bool:
        """Whether the tending thread has something to sync."""
        return self.fsync != "off" and (self.asked or self.written > self.synced)

    async def durable(self, position: int) -> None:
        """Wait until what was written up to that position is as durable as the settings promise."""
        if self.fsync == "off" or self.synced >= position:
            return
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiters.append((position, loop, future))
        self.ask()
        await future

    def ask(self) -> None:
        """Have what is written synced soon, elsewhere."""
        self.asked = True
        self._ask()

    def sync_now(self, writing: Writing, position: int, *, alone: bool) -> None:
        """From the thread that wrote; `alone`: nothing that was written before lies in another segment."""
        if self._sync(writing) and alone:
            with self._lock:
                self.synced = max(self.synced, position)

    def sync(self, several: Callable[[], Sequence[Writing]]) -> None:
        """Sync the segments that are being written, and tell those who wait."""
        with self._lock:
            self.asked = False
            target = self.written
            found = several()
            for one in found:
                one.users += 1
        try:
            good = [self._sync(one) for one in found]
        finally:
            with self._lock:
                for one in found:
                    one.users -= 1
        self._reached(target if all(good) else self.synced)

    def settle(self, writing: Writing | None) -> None:
        """At the end: sync once more, and let nobody wait any longer."""
        if writing is not None and self.fsync != "off" and self.written > self.synced:
            self._sync(writing)
        self._reached(self.written)

    def _sync(self, writing: Writing) -> bool:
        try:
            writing.sync()
        except OSError as why:
            self._warn("fsync", f"the journal's disk does not keep what is written: {why}")
            return False
        return True

    def _reached(self, position: int) -> None:
        with self._lock:
            self.synced = max(self.synced, position)
            ready = [one for one in self._waiters if one[0] <= self.synced]
            self._waiters = [one for one in self._waiters if one[0] > self.synced]
        for _, loop, future in ready:
            with contextlib.suppress(RuntimeError):  # a loop that has closed waits for nothing
                loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def on_a_loop() -> bool:
    """Whether this thread runs an event loop now; asked without importing asyncio."""
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None
