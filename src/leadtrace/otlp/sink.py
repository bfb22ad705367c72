"""The one seam of the writing side: `Sink.append(signal, record) -> Receipt`, and `keep` for what OTLP never carries.

`emit` makes a record's identity and bytes once and hands them here; the journal on disk takes them, or a bounded memory
sink, or a test's list in `capture()`. Whoever appends never learns which.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["NOWHERE", "Receipt", "Signal", "Sink"]


@dataclass(slots=True, frozen=True, eq=False)
class Signal:
    """What a record's bytes are: log records or spans of one instrumentation scope.

    `scope` is the encoded head that such records share: a ScopeLogs (or ScopeSpans) message that has its scope and schema
    URL and no records yet. A record is one framed `log_records` (or `spans`) field, so that head and records, put one behind
    another, are a valid message. Signals are compared by identity: make one per scope and keep it.
    """

    kind: Literal["logs", "traces"]
    scope: bytes
    foreign: bool = False
    """Whether another library's instrumentation made it: where room is short, such records are refused first."""


@dataclass(slots=True, frozen=True)
class Receipt:
    """What became of an emitted event.

    `uid` is its `log.record.uid`; `saved` is true only when it is in the journal's file, false in memory; `why` says in a
    word why it is not saved (`in memory`, `full`, `off`, `span only` …). `await receipt` waits until it is as durable as
    the settings promise, and gives the receipt back; in memory there is nothing to wait for. Where the disk failed to keep
    it, what comes back says so: `saved` is false, and `why` is the disk's error.
    """

    uid: str
    saved: bool = False
    why: str = ""
    _journal: _Durable | None = field(default=None, repr=False, compare=False)
    _position: int = field(default=0, repr=False, compare=False)

    def __await__(self) -> Generator[Any, Any, Receipt]:
        if self._journal is not None:
            why = yield from self._journal.durable(self._position).__await__()
            if why:
                return Receipt(self.uid, False, why)
        return self


class _Durable(Protocol):
    """What a receipt waits with: whoever wrote the record."""

    async def durable(self, position: int) -> str: ...


class Sink(Protocol):
    """Takes encoded records.

    Any thread may append, and so may a running event loop: `append` does not block on the network, takes no lock that is
    held across I/O, and never raises for storage. Order within one thread is kept.
    """

    def append(self, signal: Signal, record: bytes, *, uid: str = "", opens: int = 0, closes: int = 0) -> Receipt:
        """Take one framed record of that signal; the answer says whether it is safe, and if not why.

        `uid` is the record's own, where it has one. `opens` and `closes` are the key (its span's id) of a word whose end
        must be told even if this process dies, on its start event and on its end event.
        """
        ...

    def keep(self, kind: str, content: bytes) -> Receipt:
        """Take one record that never goes over OTLP: `content` is its maker's own (`lead_event`: an encrypted payload).

        On disk before this returns where there is a journal (`saved`); whoever imports that kind takes it from there, at
        least once. As `append`, it never raises for storage, and any thread may call it.
        """
        ...

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was appended before this call has been acknowledged by its receivers, at most that long."""
        ...

    def close(self, timeout_s: float) -> None:
        """Flush at most that long and stop; what is appended later is refused and counted."""
        ...


NOWHERE = Receipt("", saved=False, why="off")
