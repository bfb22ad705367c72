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

_MOST_DOUBTS = 100


class Durability:
    """Counts what was written and what of it is on the disk; `lock` is the sink's, `ask` has its tending thread sync."""

    def __init__(
        self, fsync: Fsync, lock: threading.RLock, ask: Callable[[], None], warn: Callable[[str, str], None]
    ) -> None:
        self.fsync = fsync
        self.written = 0
        """Records; a record's position is the number of those written with it."""
        self.synced = 0
        """Of those, how many need no more syncing: on the disk, or known not to be."""
        self.asked = False
        self.failed = False
        """A sync failed: what is written from now on should go elsewhere."""
        self.why = ""
        """Why the last one failed."""
        self._unsure: list[tuple[int, int, str]] = []
        self._lock = lock
        self._ask = ask
        self._warn = warn
        self._waiters: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[str]]] = []

    @property
    def due(self) -> bool:
        """Whether the tending thread has something to sync."""
        return self.fsync != "off" and (self.asked or self.written > self.synced)

    async def durable(self, position: int) -> str:
        """Wait until what was written up to that position is as durable as the settings promise; '' or why it is not."""
        if self.fsync == "off":
            return ""
        if self.synced >= position:
            return self._doubt(position)
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        with self._lock:
            self._waiters.append((position, loop, future))
        self.ask()
        return await future

    def _doubt(self, position: int) -> str:
        return next((why for low, high, why in self._unsure if low < position <= high), "")

    def ask(self) -> None:
        """Have what is written synced soon, elsewhere."""
        self.asked = True
        self._ask()

    def sync_now(self, writing: Writing, position: int, *, alone: bool) -> bool:
        """From the thread that wrote, whether it is on the disk; `alone`: nothing written before lies in another segment."""
        good = self._sync(writing)
        if good and alone:
            with self._lock:
                self.synced = max(self.synced, position)
        return good

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
        self._reached(target, "" if all(good) else self.why)

    def sync_last(self, writing: Writing) -> None:
        """A segment that ends: what of it the disk does not keep is not made good by syncing those that follow."""
        if not self._sync(writing):
            self._reached(self.written, self.why)

    def settle(self, writing: Writing | None) -> None:
        """At the end: sync once more, and let nobody wait any longer."""
        good = True
        if writing is not None and self.fsync != "off" and self.written > self.synced:
            good = self._sync(writing)
        self._reached(self.written, "" if good else self.why)

    def _sync(self, writing: Writing) -> bool:
        """A system that failed to write pages forgets them: a later sync that succeeds says nothing of them."""
        try:
            writing.sync()
        except OSError as why:
            self.why = f"disk: {why.strerror or why}"
            self.failed = True
            self._warn("fsync", f"the journal's disk does not keep what is written: {why}")
            return False
        return True

    def _reached(self, position: int, why: str) -> None:
        """All up to that position is on the disk, or will never be sure to be, for that reason."""
        with self._lock:
            if why and position > self.synced:
                self._unsure = [*self._unsure[1 - _MOST_DOUBTS :], (self.synced, position, why)]
            self.synced = max(self.synced, position)
            ready = [(loop, future, self._doubt(at)) for at, loop, future in self._waiters if at <= self.synced]
            self._waiters = [one for one in self._waiters if one[0] > self.synced]
        for loop, future, said in ready:
            with contextlib.suppress(RuntimeError):  # a loop that has closed waits for nothing
                loop.call_soon_threadsafe(_resolve, future, said)


def _resolve(future: asyncio.Future[str], why: str) -> None:
    if not future.done():
        future.set_result(why)


def on_a_loop() -> bool:
    """Whether this thread runs an event loop now; asked without importing asyncio."""
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None
