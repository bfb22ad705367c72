"""Where requests of both protocols meet: a bounded queue, one thread that decodes and stores, an answer for each.

    HTTP ─┐                       writer thread
          ├─► waiting (bounded) ─► inflate · decode · one transaction for all that waits ─► answers
    gRPC ─┘

A request is answered when it is on the disk. What waits goes into one transaction together, so that many small requests
cost one flush of the disk. When too much waits, new requests are told to come back; a request that does not decode is
refused by itself and the others around it are stored.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from leadtrace.errors import LeadtraceError, OtlpError, SourceError
from leadtrace.otlp.decode import decode_logs, decode_traces
from leadtrace.otlp.decode_json import decode_logs_json, decode_traces_json
from leadtrace.otlp.framing import TooManyRecordsError
from leadtrace.store.append import Appended

if TYPE_CHECKING:
    from leadtrace.otlp.records import EventRecord, SpanRecord

__all__ = [
    "MAX_BODY",
    "BusyError",
    "Counts",
    "Encoding",
    "FailedError",
    "Intake",
    "SignalName",
    "TooLargeError",
    "UnavailableError",
]

_log = logging.getLogger("leadtrace.receiver")

SignalName: TypeAlias = Literal["traces", "logs"]
Encoding: TypeAlias = Literal["protobuf", "json"]

MAX_BODY: Final = 16 << 20
"""Bytes of one request, as it came and inflated; the Collector's batches stay far below."""

_MAX_HELD: Final = 64 << 20  # bytes of all requests that are being read or wait
_MAX_WAITING: Final = 1_000  # requests
_TOGETHER: Final = (
    4 << 20
)  # bytes of requests in one transaction: what bounds its length, and the memory of its records


class BusyError(LeadtraceError):
    """Too much waits already: come back in `retry_after_s`."""

    retry_after_s = 1


class UnavailableError(LeadtraceError):
    """The store cannot take it now: come back in `retry_after_s`."""

    retry_after_s = 5


class FailedError(LeadtraceError):
    """A mistake of ours: the request was neither read nor refused, and sending it again would not help."""


class TooLargeError(LeadtraceError):
    """The request is larger than `MAX_BODY`, as it came or inflated."""


class _Appends(Protocol):
    def append(self, spans: list[SpanRecord], events: list[EventRecord]) -> Appended: ...


@dataclass(slots=True)
class Counts:
    """What the intake has done since it was made; read by /metrics while it changes, which a counter may."""

    requests: int = 0
    received: Counter[str] = field(default_factory=Counter)
    """Records by `spans` (without their events), `span_events`, `log_records`."""
    appended: Appended = field(default_factory=Appended)
    refused: Counter[str] = field(default_factory=Counter)
    """Requests by reason."""


@dataclass(slots=True)
class _Request:
    signal: SignalName
    encoding: Encoding
    gzip: bool
    body: bytes
    answer: asyncio.Future[None]
    error: Exception | None = None


class Intake:
    """Takes request bodies and answers when they are stored; made, started and stopped on one event loop."""

    def __init__(self, store: _Appends) -> None:
        self._store = store
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="leadtrace-intake", daemon=True)
        self._held = 0
        self._waiting = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False
        self._trouble = ""
        self.counts = Counts()

    @property
    def held_bytes(self) -> int:
        """Bytes of requests that are being read or wait."""
        return self._held

    @property
    def waiting(self) -> int:
        """Requests that wait for the writer or are with it."""
        return self._waiting

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Store what waits and end; requests that come later are told that the store is unavailable."""
        self._stopped = True
        self._queue.put(None)
        while self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, 1)

    def hold(self, size: int) -> None:
        """Count bytes that are being read; raises BusyError where all requests together would hold too much."""
        if self._held and self._held + size > _MAX_HELD:
            self.counts.refused["busy"] += 1
            raise BusyError("too many requests wait to be stored")
        self._held += size

    def let_go(self, size: int) -> None:
        """Count bytes that were held as gone."""
        self._held -= size

    def refuse(self, reason: str) -> None:
        """Count a request that was refused before it came here."""
        self.counts.refused[reason] += 1

    async def take(self, signal: SignalName, encoding: Encoding, body: bytes, gzip: bool = False) -> None:
        """Wait until a request's records are on the disk. Its bytes have been held, and are let go of here.

        Raises OtlpError where it does not decode, TooLargeError, BusyError, UnavailableError, FailedError.
        """
        if self._loop is None or self._stopped:
            self.let_go(len(body))
            raise UnavailableError("the server is stopping")
        if self._waiting >= _MAX_WAITING:
            self.let_go(len(body))
            self.refuse("busy")
            raise BusyError("too many requests wait to be stored")
        request = _Request(signal, encoding, gzip, body, self._loop.create_future())
        self._waiting += 1
        self._queue.put(request)
        await request.answer

    # --- the writer thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            together, size, last = [first], len(first.body), False
            while size < _TOGETHER:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                    break
                together.append(more)
                size += len(more.body)
            self._store_together(together)
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._answer, together)
            if last:
                return

    def _answer(self, together: list[_Request]) -> None:
        for request in together:
            self._waiting -= 1
            self._held -= len(request.body)  # only now: a sender that goes away leaves its request in the queue
            if request.answer.done():  # the sender went away
                continue
            if request.error:
                request.answer.set_exception(request.error)
            else:
                request.answer.set_result(None)

    def _store_together(self, together: list[_Request]) -> None:
        counts = self.counts
        spans: list[SpanRecord] = []
        events: list[EventRecord] = []
        decoded: list[tuple[_Request, list[SpanRecord], list[EventRecord]]] = []
        for request in together:
            counts.requests += 1
            try:
                new_spans, new_events = _decode(request)
            except (OtlpError, TooLargeError) as cause:
                request.error = cause
                large = isinstance(cause, TooLargeError | TooManyRecordsError)
                self.refuse("too_large" if large else "malformed")
                continue
            except Exception as cause:  # noqa: BLE001 - this thread serves everybody
                _log.error("cannot read a request", exc_info=cause)
                request.error = FailedError("the request could not be read", cause=type(cause).__name__)
                self.refuse("failed")
                continue
            decoded.append((request, new_spans, new_events))
            spans += new_spans
            events += new_events
        if not decoded:
            return
        counts.received["spans"] += len(spans)
        counts.received["span_events"] += sum(len(one.events) for one in spans)
        counts.received["log_records"] += len(events)
        try:
            counts.appended.add(self._store.append(spans, events))
            self._trouble = ""
        except Exception as cause:  # noqa: BLE001 - a server answers its senders, whatever happened
            if len(decoded) == 1 or isinstance(cause, SourceError):
                for request, _, _ in decoded:
                    self._cannot_store(request, cause)
                return
            for request, own_spans, own_events in decoded:  # one of them may be what the store stumbles over
                try:
                    counts.appended.add(self._store.append(own_spans, own_events))
                except Exception as cause:  # noqa: BLE001
                    self._cannot_store(request, cause)

    def _cannot_store(self, request: _Request, cause: Exception) -> None:
        self.refuse("store")
        trouble = str(cause)
        if trouble != self._trouble:  # told once, until something is stored again
            self._trouble = trouble
            _log.error("cannot store: %s", trouble, exc_info=None if isinstance(cause, SourceError) else cause)
        request.error = UnavailableError("the store cannot take records now", cause=type(cause).__name__)


def _decode(request: _Request) -> tuple[list[SpanRecord], list[EventRecord]]:
    body = inflate(request.body) if request.gzip else request.body
    if request.signal == "traces":
        return (decode_traces_json if request.encoding == "json" else decode_traces)(body), []
    return [], (decode_logs_json if request.encoding == "json" else decode_logs)(body)


def inflate(body: bytes) -> bytes:
    """Gunzip with a bound; raises TooLargeError beyond it, OtlpError where it is not gzip or is cut short."""
    parts: list[bytes] = []
    room = MAX_BODY
    rest = body
    try:
        while rest:  # gzip files put one behind another are one
            one = zlib.decompressobj(wbits=31)
            part = one.decompress(rest, room + 1)
            if len(part) > room:
                raise TooLargeError(f"the request is larger than {MAX_BODY:,} bytes when inflated")
            if not one.eof:
                raise OtlpError("the gzip body is cut short")
            parts.append(part)
            room -= len(part)
            rest = one.unused_data
    except zlib.error as cause:
        raise OtlpError("the body is not gzip", cause=str(cause)) from cause
    return b"".join(parts)
