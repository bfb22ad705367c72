"""Lead events behind the words: kept by the sink, taken over into the outbox, claimed by senders. See `LeadEvents`."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from leadtrace.journal import claims
from leadtrace.journal.outbox import Outbox
from leadtrace.journal.waiting import due_in_s, waiting
from leadtrace.otlp.lead_event import KIND, Kept, Turn
from leadtrace.otlp.sealing import Sealer
from leadtrace.otlp.sink import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from leadtrace.otlp.lead_event import Arrival, Settled, Telling
    from leadtrace.otlp.sink import Sink

    Drain: TypeAlias = Callable[[Path, str, Callable[[list[bytes]], None]], int]
    """Hands kept records of a folder and a kind on, at least once; see `leadtrace.journal.kept.drain`."""

__all__ = ["KeptLeadEvents"]

_MOST_IN_MEMORY: Final = 10_000
_LARGEST: Final = 1 << 20


@runtime_checkable
class _Holds(Protocol):
    """A sink that keeps in memory."""

    def take_kept(self, kind: str) -> list[bytes]: ...


class KeptLeadEvents:
    """The lead events of a journal's folder; without one (`folder` None), those that `sink` holds in memory.

    `sink` None: they are held by the outbox in memory; a callable: the sink is made with the first lead event, and closed
    here. `keys`: the key ring, current first, read at the first lead event. `drain`: how kept records are read from the folder.
    """

    def __init__(
        self,
        sink: Sink | Callable[[], Sink | None] | None,
        folder: Path | None,
        keys: Callable[[], Sequence[bytes]],
        drain: Drain | None = None,
    ) -> None:
        self.folder = folder
        self.outbox = Outbox(folder)
        self.outbox.on_fork = self._renew
        self.malformed = 0
        """How many came in malformed since the process began."""
        self._make_sink = sink if callable(sink) else None
        self._sink: Sink | None = None if callable(sink) else sink
        self._keys = keys
        self._drain = drain
        self._renew()

    def _renew(self) -> None:
        self._more = threading.Condition()
        self._version = 0
        self._held: list[bytes] = []
        self._unsettled: list[Settled] = []  # what could not be written down, for the next step
        self._sealer: Sealer | None = None

    @property
    def sealer(self) -> Sealer:
        """Raises `SettingsError` where encryption is not installed, or has no key."""
        if self._sealer is None:
            self._sealer = Sealer(self._keys(), self._keys)
        return self._sealer

    @property
    def location(self) -> str:
        return self.outbox.location

    def keep(self, arrival: Arrival) -> Receipt:
        record = Kept.of(arrival, self.sealer).packed()
        if len(record) > _LARGEST:
            return Receipt("", saved=False, why="too large")
        if self._make_sink is not None:
            with self._more:
                if self._sink is None:
                    self._sink = self._make_sink()
        receipt = self._sink.keep(KIND, record) if self._sink is not None else self._hold(record)
        with self._more:
            self.malformed += bool(arrival.malformed)
            self._version += 1
            self._more.notify_all()
        return receipt

    def _hold(self, record: bytes) -> Receipt:
        if self.folder is not None:
            return Receipt("", saved=False, why="disk")  # there was to be a journal, and there cannot be
        if self._in_memory() >= _MOST_IN_MEMORY:
            return Receipt("", saved=False, why="full")
        self._put([record])
        return Receipt("", saved=False, why="in memory")

    def bring_in(self) -> list[Telling]:
        if self.folder is not None and self._drain is not None:
            self._drain(self.folder, KIND, lambda records: self._put(records))
        if isinstance(self._sink, _Holds) and (self.folder is not None or self._in_memory() < _MOST_IN_MEMORY):
            self._held += self._sink.take_kept(KIND)
            if self._held:
                self._put(self._held)  # where that fails they are still held, for the next time
                self._held = []
        return claims.reap(self.outbox, time.time_ns())

    def _put(self, records: list[bytes]) -> None:
        self.outbox.put(records, time.time_ns())

    def _in_memory(self) -> int:
        with self.outbox.transaction() as database:
            (count,) = database.execute("SELECT count(*) FROM lead_events WHERE sealed IS NOT NULL").fetchone()
        return int(count)

    def turn(self, destination: str, settled: Settled | None, told: Sequence[str]) -> Turn:
        with self._more:
            if settled is not None:
                self._unsettled.append(settled)
            together, self._unsettled = self._unsettled, []
        if not destination and not together and not told:
            return Turn()
        try:
            return claims.step(self.outbox, self.sealer, destination, together, told, time.time_ns())
        except BaseException:
            with self._more:
                self._unsettled = together + self._unsettled
            raise

    def settle(self, settled: Settled | None, told: Sequence[str]) -> Turn:
        return self.turn("", settled, told)

    def due_in_s(self, destination: str) -> float | None:
        return due_in_s(self.outbox, destination, time.time_ns())

    def waiting(self, destinations: Collection[str]) -> int:
        return waiting(self.outbox, destinations)

    @property
    def version(self) -> int:
        return self._version

    def wait(self, version: int, timeout_s: float) -> None:
        with self._more:
            self._more.wait_for(lambda: self._version != version, timeout_s)

    def close(self) -> int:
        """Let the outbox go; how many in memory were never sent, and are lost."""
        lost = 0
        if self.folder is None and isinstance(self._sink, _Holds) and (held := self._sink.take_kept(KIND)):
            self._put(held)
        if self.folder is None and self.outbox.exists():
            with self.outbox.transaction() as database:
                (lost,) = database.execute(
                    "SELECT count(*) FROM lead_events WHERE state IN ('waiting', 'claimed')"
                ).fetchone()
        self.outbox.close()
        if self._make_sink is not None and self._sink is not None:
            self._sink.close(1.0)
            self._sink = None
        return lost
