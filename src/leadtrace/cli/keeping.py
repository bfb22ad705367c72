"""What `leadtrace serve` does for its store beside receiving: columns brought up to date, what is too old removed.

Columns are made by a child process of low priority, so that receiving does not wait; this process only registers each
file. A child that fails is tried again later; reports then read rows, which are the truth anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from leadtrace.errors import LeadtraceError
from leadtrace.store.columns.copying import made_from_json
from leadtrace.store.columns.files import missing
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.retain import retain

if TYPE_CHECKING:
    from leadtrace.store.embedded import EmbeddedStore
    from leadtrace.store.retain import Retained

__all__ = ["Keeping"]

_log: Final = logging.getLogger("leadtrace")


class _StoppedError(Exception):
    """The server ends."""


@dataclass(slots=True)
class Keeping:
    """What is to be done, and how often it is looked after."""

    columns: bool = True
    keep_s: float | None = None

    look_s: ClassVar[float] = 5
    many: ClassVar[int] = 20_000
    """So many new records are copied as soon as that is seen; fewer wait."""
    wait_s: ClassVar[float] = 600
    retain_every_s: ClassVar[float] = 3_600

    async def run(self, store: EmbeddedStore, stop: asyncio.Event) -> None:
        """Look after the store until the server ends."""
        copied = retained = float("-inf")
        columns = self.columns and not missing()
        upkeep = Upkeep(store)
        while not stop.is_set():
            now = time.monotonic()
            try:
                if columns:
                    behind = await asyncio.to_thread(upkeep.behind)
                    if behind >= self.many or (behind and now - copied >= self.wait_s):
                        copied = now
                        await self._copy(store, upkeep, stop)
                if self.keep_s and now - retained >= self.retain_every_s:
                    retained = now
                    await asyncio.to_thread(self._retain, store, stop)
            except (LeadtraceError, OSError, ValueError) as problem:
                _log.warning("the store is not looked after: %s; trying again in a minute", problem)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 60)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self.look_s)

    async def _copy(self, store: EmbeddedStore, upkeep: Upkeep, stop: asyncio.Event) -> None:
        await asyncio.to_thread(upkeep.begin)
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "leadtrace.store.columns.copying",
            str(store.path),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        stopping = asyncio.create_task(stop.wait())
        try:
            while True:
                reading = asyncio.create_task(child.stdout.readline())
                await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    return
                line = reading.result()
                if not line:
                    break
                await asyncio.to_thread(upkeep.accept, made_from_json(line))
                child.stdin.write(b"\n")
            told = await child.stderr.read()
            if await child.wait():
                last = told.decode(errors="replace").strip().rpartition("\n")[2]
                raise OSError(f"copying into columns failed: {last or child.returncode}")
        finally:
            stopping.cancel()
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()

    def _retain(self, store: EmbeddedStore, stop: asyncio.Event) -> None:
        assert self.keep_s is not None

        def told(_: Retained) -> None:
            if stop.is_set():
                raise _StoppedError
            time.sleep(0.01)  # so that those who append come in between

        with contextlib.suppress(_StoppedError):
            retain(store, time.time_ns() - int(self.keep_s * 1e9), told)
