"""The sink on the disk: a record is in the journal when `append` returns, and leaves when its receivers have acknowledged it.

    append ──► one write(2) to this process's segment ──► Receipt(saved)        any thread, also a running event loop
                      │
                      ├─ a thread that tends (`leadtrace.journal.tending`): fsync, room, requests, losses told
      ├─ new segments, in time and when the disk fails (`leadtrace.journal.turning`)
                      └─ lanes (`leadtrace.journal.lanes`): to the receivers

A disk that takes nothing, because it fails, is read-only or was taken away, costs the promise and not the records: they go on in
segments in memory (`leadtrace.journal.volatile`), with a warning, and onto the disk when it is back. On a full disk they are
refused instead.

`fsync=always`: on the disk when `append` returns, on an event loop when the receipt has been awaited; survives the death of
the machine. `interval`: within 100 ms. `off`: when the system likes. All of them survive the death of the process.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from leadtrace.journal.delivering import GaveUpError
from leadtrace.journal.durability import Durability, Fsync, on_a_loop
from leadtrace.journal.folder import NO_ROOM
from leadtrace.journal.frames import Type, record_of
from leadtrace.journal.kept import pack_kept
from leadtrace.journal.lanes import Lane
from leadtrace.journal.losses import Statistics
from leadtrace.journal.once import Once
from leadtrace.journal.refusals import Refusals
from leadtrace.journal.tending import Tending
from leadtrace.journal.turning import Bounds, Turning
from leadtrace.journal.volatile import VolatileWriting
from leadtrace.otlp.sink import Receipt, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leadtrace.journal.folder import Folder
    from leadtrace.journal.losses import Lost
    from leadtrace.journal.transport import Transport
    from leadtrace.journal.writing import Writing

__all__ = ["JournalSink"]

_log = logging.getLogger("leadtrace")

_FOREIGN, _SPANS = 0.8, 0.9  # of the capacity; events may fill all of it
EXIT_S: Final = 5.0
"""How long the end of a process waits for receivers that keep acknowledging; for one that does not, less than a second."""
_EXIT_STALLED_S: Final = 0.7


class JournalSink:
    """A `Sink` into a journal's folder, and the lanes that empty it.

    `resource` is the encoded head that all records share, `service` its `service.name`; `transports` a transport for each
    destination by name, of which those in `optional` hold nothing back. `capacity_bytes` bounds the segments of all
    processes in the folder and what was set aside together, `memory_bytes` what is in memory while the disk fails;
    `segment_bytes` is when a new segment is begun; `warn_age_s` when waiting is told.
    """

    def __init__(
        self,
        folder: Folder,
        transports: Mapping[str, Transport],
        resource: bytes,
        *,
        service: str = "",
        fsync: Fsync = "interval",
        optional: frozenset[str] = frozenset(),
        capacity_bytes: int = 1 << 30,
        memory_bytes: int = 64 << 20,
        segment_bytes: int = 16 << 20,
        warn_age_s: float = 3600.0,
        interval_s: float = 0.2,
        on_loss: Callable[[Lost], None] | None = None,
        exit_s: float = EXIT_S,
    ) -> None:
        """Raises JournalError where the folder cannot be made or written."""
        folder.make()
        self.folder = folder
        self.resource = resource
        self.on_loss = on_loss
        self._service = service
        self._fsync = fsync
        self._bounds = Bounds(capacity_bytes, memory_bytes, segment_bytes)
        self._warn_age_s = warn_age_s
        self._exit_s = exit_s
        self._lanes = [
            Lane(folder, name, kind, transport, service=service, interval_s=interval_s)
            for name, transport in transports.items()
            for kind in sorted(transport.kinds)
        ]
        self._by_kind = {kind: [lane for lane in self._lanes if lane.kind == kind] for kind in ("logs", "traces")}
        self._required = tuple(lane.name for lane in self._lanes if lane.name.rpartition(".")[0] not in optional)
        self._renew()
        _living.add(self)

    def _renew(self) -> None:
        """The state of a process that has written nothing yet: at the beginning, and in a forked child."""
        self._lock = threading.RLock()  # re-entrant: a finalizer may append while its own thread appends
        self._appended = {"logs": 0, "traces": 0}
        self._lost = {"logs": 0, "traces": 0}
        self._refusals = Refusals()
        self._closing = False
        once = Once()
        self._durability = Durability(self._fsync, self._lock, self._ask_to_sync, once.warn)
        self._turning = Turning(
            self.folder,
            self._bounds,
            self._lanes,
            self._required,
            self._service,
            self.resource,
            self._durability,
            self._lock,
            once,
        )
        self._tending = Tending(
            self.folder,
            self._bounds,
            self._turning,
            self._durability,
            self._lanes,
            self._lock,
            once,
            warn_age_s=self._warn_age_s,
            appended=self._appended.__getitem__,
            tell_losses=self._tell_losses,
        )

    # --- appending ----------------------------------------------------------------------------------------------------

    def append(self, signal: Signal, record: bytes, *, uid: str = "", opens: int = 0, closes: int = 0) -> Receipt:
        """Write one record; refused where there is no room, where nobody takes its kind, and after `close`."""
        if not self._by_kind[signal.kind]:
            return Receipt(uid, False, "off")
        if signal.kind == "logs":
            type_ = Type.LOG_OPENS if opens else Type.LOG_CLOSES if closes else Type.LOG
        else:
            type_ = Type.SPAN_ENDS if closes else Type.SPAN
        return self._write(signal, record, type_, uid, opens or closes or None)

    def begin(self, signal: Signal, record: bytes, key: int) -> Receipt:
        """Write down that a span of another library began: it stays here, and recovery closes it where its end never comes."""
        if not self._by_kind["traces"]:
            return Receipt("", False, "off")
        return self._write(signal, record, Type.SPAN_BEGINS, "", key)

    def keep(self, kind: str, content: bytes) -> Receipt:
        """Write one record of its maker's own kind, which `leadtrace.journal.kept.drain` hands out."""
        return self._write(None, pack_kept(kind, content), Type.KEPT, "", None, kind)

    def _write(
        self, signal: Signal | None, record: bytes, type_: Type, uid: str, key: int | None, kept: str = ""
    ) -> Receipt:
        size = len(record) + 32
        share = _share(signal)
        ends = key if type_ is Type.LOG_CLOSES or type_ is Type.SPAN_ENDS else None
        turning = self._turning
        with self._lock:
            if turning.closed:
                return self._refuse(signal, record, uid, "closed", kept, ends)
            if turning.others + turning.own + size > turning.bound * share:
                self._tending.full = True
                return self._refuse(signal, record, uid, "full", kept, ends)
            try:
                writing, number = turning.place(signal)
            except OSError as why:
                return self._refuse(signal, record, uid, _reason(why), kept, ends)
            if self._tending.thread is None:
                self._tending.start()
            writing.users += 1
        try:
            body = record if signal is None else record_of(number, record, key)
            frame = writing.frame(type_, body)
            try:
                writing.write(frame)
            except OSError as why:
                with self._lock:
                    if why.errno in NO_ROOM:
                        self._tending.full = True
                        return self._refuse(signal, record, uid, _reason(why), kept, ends)
                    if not turning.closed:
                        turning.go_to_memory(writing, why)
                return self._write(signal, record, type_, uid, key, kept)
            with self._lock:
                position = self._count(writing, signal, len(frame), type_, body, uid, key, kept)
            receipt = Receipt(uid, True, "", self._durability, position)
            if writing.volatile:
                receipt = Receipt(uid, False, "in memory")
            elif self._fsync == "always":
                if on_a_loop():
                    self._durability.ask()
                elif not self._durability.sync_now(writing, position, alone=not turning.retiring):
                    receipt = Receipt(uid, False, self._durability.why)
        finally:
            with self._lock:
                writing.users -= 1
        if signal is not None and type_ is not Type.SPAN_BEGINS:
            for lane in self._lanes:  # the other kind's too: a segment goes when all have read it
                if lane.thread is None:
                    lane.start()
            for lane in self._by_kind[signal.kind]:
                lane.nudge()
        return receipt

    def _count(
        self,
        writing: Writing,
        signal: Signal | None,
        size: int,
        type_: Type,
        body: bytes,
        uid: str,
        key: int | None,
        kept: str,
    ) -> int:
        writing.bytes += size
        writing.records += 1
        turning = self._turning
        turning.own += size
        self._durability.written += 1
        if uid and uid[:16] == writing.segment.boot:
            turning.last_sequence = max(turning.last_sequence, int(uid[16:], 16))
        if writing.volatile and isinstance(writing, VolatileWriting) and type_ is not Type.SPAN_BEGINS:
            kind = kept or (signal.kind if signal is not None else "")
            writing.by_kind[kind] = writing.by_kind.get(kind, 0) + 1
        if kept:
            writing.kept.add(kept)
        elif signal is not None and type_ is not Type.SPAN_BEGINS:
            self._appended[signal.kind] += 1
        if key is not None:
            if type_ is Type.LOG_OPENS or type_ is Type.SPAN_BEGINS:
                turning.opened(key, writing, bytes((type_,)) + body)
            else:
                turning.open.pop(key, None)
        return self._durability.written

    def _refuse(
        self, signal: Signal | None, record: bytes, uid: str, why: str, kept: str, ends: int | None = None
    ) -> Receipt:
        if ends is not None and self._turning.open.pop(ends, None) is not None:
            self._refusals.ended(ends)
        self._refusals.add(kept or (signal.kind if signal is not None else ""), why, uid, record)
        self._turning.last_refused = self._refusals.last_sequence
        self._tending.start()
        return Receipt(uid, False, why)

    def _ask_to_sync(self) -> None:
        with self._lock:
            self._tending.start()
            alone = self._tending.thread is None
        if alone:  # the interpreter starts no more threads
            self._durability.sync(self._turning.segments)
        self._tending.wake()

    def start(self) -> None:
        """Begin to tend and to send what earlier processes left."""
        with self._lock:
            self._tending.start()
        for lane in self._lanes:
            lane.start()

    def rotate(self) -> None:
        """Go on in a new segment now. Raises OSError where the disk takes none."""
        self._turning.rotate()

    # --- what was refused ---------------------------------------------------------------------------------------------

    def _tell_losses(self) -> None:
        """Name the ranges that were refused, now that there is room: in the journal's books, and as an event."""
        if not self._refusals.untold:
            return
        with self._lock:
            losses, body, taken = self._refusals.take()
            writing = self._turning.writing if body else None
            if writing is not None:
                writing.users += 1
        if body and not self._note_refusals(writing, body):
            with self._lock:
                self._refusals.give_back(taken)
        for lost in losses:
            _log.warning("leadtrace: %d records (%s) were refused: %s", lost.count, lost.kind, lost.why)
            if self.on_loss is not None:
                try:
                    self.on_loss(lost)
                except Exception:  # noqa: BLE001 - the tending goes on
                    _log.exception("leadtrace: a loss could not be told")

    def _note_refusals(self, writing: Writing | None, body: bytes) -> bool:
        if writing is None:
            return False
        frame = writing.frame(Type.REFUSED, body)
        try:
            if (
                self._closing
            ):  # the last chance to say what became of those numbers: nothing else wants the room any more
                self.folder.with_reserve(lambda: writing.write(frame))
            else:
                writing.write(frame)
        except OSError:
            return False
        else:
            with self._lock:
                writing.bytes += len(frame)
                writing.records += 1
                self._turning.own += len(frame)
            return True
        finally:
            with self._lock:
                writing.users -= 1

    # --- what is known ------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> Statistics:
        with self._lock:
            dropped = self._refusals.losses.dropped
            appended = dict(self._appended)
            in_memory = self._turning.volatile.waiting
        waits = sum(
            max((appended[kind] - lane.done - self._lost[kind] for lane in lanes), default=0)
            for kind, lanes in self._by_kind.items()
        )
        error = next((lane.last_error for lane in self._lanes if lane.last_error), "")
        return Statistics(
            sum(lane.acknowledged for lane in self._lanes),
            waits,
            sum(in_memory.get(kind, 0) for kind in ("logs", "traces")),
            dropped,
            sum(lane.aside for lane in self._lanes),
            sum(lane.retries for lane in self._lanes),
            error,
        )

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that this process appended before is acknowledged or set aside; false where time ran out."""
        return self._flush(timeout_s, lambda: False)

    def _flush(self, timeout_s: float, hopeless: Callable[[], bool]) -> bool:
        with self._lock:
            targets = dict(self._appended)
        until = time.monotonic() + timeout_s
        for lane in self._lanes:
            if lane.done < targets[lane.kind]:
                lane.start()
                lane.nudge(hurry=True)
        for lane in self._lanes:
            if lane.thread is None and lane.done < targets[lane.kind]:  # the interpreter starts no more threads
                with contextlib.suppress(GaveUpError):
                    lane.sweep(until)
            while not lane.wait_for(targets[lane.kind], min(0.1, until - time.monotonic())):
                if time.monotonic() >= until or lane.given_up or hopeless():
                    return False
        return True

    # --- the end ------------------------------------------------------------------------------------------------------

    def close(self, timeout_s: float, *, patient: bool = False) -> None:
        """Send what waits, at most that long, and stop; what is not sent stays in the journal for the next process.

        Unless `patient` it goes as soon as a receiver fails, or says nothing for less than a second.
        """
        with self._lock:
            if self._closing:
                return
            self._closing = True
        until = time.monotonic() + timeout_s
        if self._durability.written or self._refusals.untold:
            self._tell_losses()
            self._flush(timeout_s, (lambda: False) if patient else self._stalled())
        self._tending.note_last()
        turning = self._turning
        hand = turning.hand.acquire(timeout=_EXIT_STALLED_S)  # a disk that hangs holds up no end
        with self._lock:
            turning.closed = True
            writing, turning.writing = turning.writing, None
            still_open = bool(turning.open)
        self._tending.wake()
        self._durability.settle(writing)
        for lane in self._lanes:
            lane.stop(min(until, time.monotonic() + 0.2), patient=False)
        ended = [lane for lane in self._lanes if lane.join(0.3)]
        if hand:
            try:
                turning.end(writing, still_open)
            finally:
                turning.hand.release()
        for lane in self._lanes:
            if lane in ended:
                self._last_pass(lane)
            lane.close()
        self._lose_what_is_in_memory()
        left = self.stats.queued
        if left:
            _log.warning("leadtrace: %d records wait in the journal %s", left, self.folder.path)
        _living.discard(self)

    def _lose_what_is_in_memory(self) -> None:
        """Its time is over: what was neither sent nor written out is counted as lost, and said."""
        with self._lock:
            volatile = self._turning.volatile
            lost, volatile.segments = volatile.waiting, []
            for kind, count in lost.items():
                self._refusals.losses.drop(kind, "in memory", time.time_ns(), count)
                if kind in self._lost:
                    self._lost[kind] += count
        if lost:
            told = ", ".join(f"{count} {kind}" for kind, count in sorted(lost.items()))
            _log.error("leadtrace: the journal's disk did not come back: records in memory are LOST (%s)", told)

    def _stalled(self) -> Callable[[], bool]:
        last = [time.monotonic(), sum(lane.done for lane in self._lanes)]

        def stalled() -> bool:
            done = sum(lane.done for lane in self._lanes)
            if done != last[1]:
                last[:] = [time.monotonic(), done]
            return any(lane.failing for lane in self._lanes) or time.monotonic() - last[0] > _EXIT_STALLED_S

        return stalled

    def _last_pass(self, lane: Lane) -> None:
        """Read the seals, so that a segment of which all is acknowledged goes with its process."""
        try:
            lane.settle_ends()
        except Exception:  # noqa: BLE001 - at the end of a process: the next one reads them
            _log.debug("leadtrace: the journal's last pass failed", exc_info=True)

    def retire(self) -> None:
        """Another sink takes the place: what waits is sent in the background, nothing new comes."""
        threading.Thread(
            target=self.close, args=(30.0,), kwargs={"patient": False}, name="leadtrace-retire", daemon=True
        ).start()

    def _after_fork(self) -> None:
        """In a child: what was written is the parent's, which lives; its locks are let go of here, and a segment of its own
        is opened with the first record."""
        was_closed = self._turning.closed
        self._renew()  # what was open is closed already: see `leadtrace.journal.locks`
        self._turning.closed = self._closing = was_closed
        for lane in self._lanes:
            lane.forget()


def _share(signal: Signal | None) -> float:
    """How full the journal may be for a record of that signal."""
    if signal is None:
        return 1.0
    if signal.foreign:
        return _FOREIGN
    return 1.0 if signal.kind == "logs" else _SPANS


def _reason(why: OSError) -> str:
    return "disk full" if why.errno in NO_ROOM else f"disk: {why.strerror or why}"


_living: weakref.WeakSet[JournalSink] = weakref.WeakSet()


def _in_child() -> None:
    for sink in list(_living):
        sink._after_fork()


@atexit.register
def _at_exit() -> None:
    for sink in list(_living):
        sink.close(sink._exit_s, patient=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
