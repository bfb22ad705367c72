"""The sink on the disk: a record is in the journal when `append` returns, and leaves when its receivers have acknowledged it.

    append ──► one write(2) to this process's segment ──► Receipt(saved)        any thread, also a running event loop
                      │
                      ├─ tending thread: fsync, new segments, room, requests, losses told
                      └─ lanes (`leadtrace.journal.lanes`): to the receivers

`fsync=always`: on the disk when `append` returns, on an event loop when the receipt has been awaited; survives the death of
the machine. `interval`: within 100 ms. `off`: when the system likes. All of them survive the death of the process.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import itertools
import json
import logging
import os
import socket
import sys
import threading
import time
import weakref
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from leadtrace.journal.books import prune_books
from leadtrace.journal.delivering import GaveUpError
from leadtrace.journal.folder import NO_ROOM
from leadtrace.journal.frames import Type, pack, record_of
from leadtrace.journal.kept import pack_kept
from leadtrace.journal.lanes import Lane
from leadtrace.journal.losses import Losses, Statistics
from leadtrace.journal.segment import Head, Segment, append_whole, create, pack_signal, sync_data, sync_folder
from leadtrace.journal.tombstones import erased_among
from leadtrace.otlp import identity
from leadtrace.otlp.ledger import sequence_of
from leadtrace.otlp.peek import uid_of
from leadtrace.otlp.ranges import EMPTY, Ranges
from leadtrace.otlp.sink import Receipt, Signal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from typing import Literal

    from leadtrace.journal.folder import Folder
    from leadtrace.journal.losses import Lost
    from leadtrace.journal.transport import Transport

__all__ = ["JournalSink"]

_log = logging.getLogger("leadtrace")

_FOREIGN, _SPANS = 0.8, 0.9  # of the capacity; events may fill all of it
_WARN_AT: Final = 0.7
_ROOM_AGAIN: Final = 0.95
_SYNC_EVERY_S: Final = 0.1
_TEND_EVERY_S: Final = 1.0
_PRUNE_EVERY_S: Final = 3600.0
EXIT_S: Final = 5.0
"""How long the end of a process waits for receivers that keep acknowledging; for one that does not, less than a second."""
_EXIT_STALLED_S: Final = 0.7


class _Writing:
    """The segment that this process writes. All but the descriptor's own writes is touched under the sink's lock only."""

    def __init__(self, segment: Segment, descriptor: int, head: Head) -> None:
        self.segment = segment
        self.descriptor = descriptor
        self.head = head
        self.numbers: dict[int, int] = {}
        self.signals: list[Signal] = []  # keeps them alive: `numbers` knows them by their address
        self.users = 0
        self.bytes = 0
        self.records = 0
        self.kept: set[str] = set()
        self.retired = False

    def number_of(self, signal: Signal) -> int | None:
        return self.numbers.get(id(signal))


class JournalSink:
    """A `Sink` into a journal's folder, and the lanes that empty it.

    `resource` is the encoded head that all records share, `service` its `service.name`; `transports` a transport for each
    destination by name, of which those in `optional` hold nothing back. `capacity_bytes` bounds the segments of all
    processes in the folder together; `segment_bytes` is when a new segment is begun; `warn_age_s` when waiting is told.
    """

    def __init__(
        self,
        folder: Folder,
        transports: Mapping[str, Transport],
        resource: bytes,
        *,
        service: str = "",
        fsync: Literal["always", "interval", "off"] = "interval",
        optional: frozenset[str] = frozenset(),
        capacity_bytes: int = 1 << 30,
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
        self._capacity, self._segment_bytes, self._warn_age_s = capacity_bytes, segment_bytes, warn_age_s
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
        self._writing: _Writing | None = None
        self._retiring: list[_Writing] = []
        self._open: dict[int, tuple[_Writing, bytes]] = {}
        self._appended = {"logs": 0, "traces": 0}
        self._written = self._synced = 0
        self._waiters: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._others_bytes = self._own_bytes = 0
        self._losses = Losses()
        self._refused = EMPTY
        self._refused_numbers: list[int] = []
        self._refused_count = 0
        self._last_sequence = 0
        self._first_sequence = 0
        self._last_ns = 0
        self._full = False
        self._failed_open_at = 0.0
        self._warned: set[str] = set()
        self._closing = self._closed = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._tending: threading.Thread | None = None
        self._sync_asked = False

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
        with self._lock:
            if self._closed:
                return self._refuse(signal, record, uid, "closed", kept)
            if self._others_bytes + self._own_bytes + size > self._capacity * share:
                self._full = True
                return self._refuse(signal, record, uid, "full", kept)
            try:
                writing = self._writing or self._begin_segment()
                number = self._number_of(writing, signal) if signal is not None else 0
            except OSError as why:
                return self._refuse(signal, record, uid, _reason(why), kept)
            writing.users += 1
        body = record if signal is None else record_of(number, record, key)
        frame = pack(type_, body, writing.segment.salt)
        try:
            written = os.write(writing.descriptor, frame)
            if written != len(frame):
                raise OSError(errno.ENOSPC, "no space left")
        except OSError as why:
            with self._lock:
                writing.users -= 1
                self._full = True
                return self._refuse(signal, record, uid, _reason(why), kept)
        with self._lock:
            position = self._count(writing, signal, len(frame), type_, body, uid, key, kept)
        receipt = Receipt(uid, True, "", self, position)
        if self._fsync == "always":
            if _on_a_loop():
                self._ask_to_sync()
            else:
                self._sync_now(writing, position)
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
        writing: _Writing,
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
        self._own_bytes += size
        self._written += 1
        if uid and uid[:16] == writing.segment.boot:
            self._last_sequence = max(self._last_sequence, int(uid[16:], 16))
        if kept:
            writing.kept.add(kept)
        elif signal is not None and type_ is not Type.SPAN_BEGINS:
            self._appended[signal.kind] += 1
        if key is not None:
            if type_ is Type.LOG_OPENS or type_ is Type.SPAN_BEGINS:
                self._open[key] = (writing, bytes((type_,)) + body)
            else:
                self._open.pop(key, None)
        return self._written

    def _refuse(self, signal: Signal | None, record: bytes, uid: str, why: str, kept: str) -> Receipt:
        kind = kept or (signal.kind if signal is not None else "")
        self._losses.drop(kind, why, time.time_ns())
        self._refused_count += 1
        numbered = sequence_of(uid or (uid_of(record) if kind == "logs" else ""))
        if numbered is not None:
            self._refused_numbers.append(numbered[1])
            self._last_sequence = max(self._last_sequence, numbered[1])
            if len(self._refused_numbers) >= 10_000:
                self._gather_refused()
        self._start_tending()
        return Receipt(uid, False, why)

    def _gather_refused(self) -> None:
        self._refused |= Ranges.of_numbers(sorted(self._refused_numbers))
        self._refused_numbers.clear()

    def _number_of(self, writing: _Writing, signal: Signal) -> int:
        """A signal's number in a segment; its definition is written before the first record that uses it."""
        number = writing.number_of(signal)
        if number is None:
            number = len(writing.signals)
            frame = pack(Type.SIGNAL, pack_signal(number, signal), writing.segment.salt) * 2
            if os.write(writing.descriptor, frame) != len(frame):
                raise OSError(errno.ENOSPC, "no space left")
            writing.bytes += len(frame)
            self._own_bytes += len(frame)
            writing.numbers[id(signal)] = number
            writing.signals.append(signal)
        return number

    def _begin_segment(self) -> _Writing:
        """Open this process's first segment, or one after what it wrote to went away. The caller holds the lock."""
        now = time.monotonic()
        if now - self._failed_open_at < 0.5:
            raise OSError(errno.EIO, "the journal cannot be written")
        try:
            self._writing = writing = self._new_segment()
        except OSError:
            self._failed_open_at = now
            raise
        for lane in self._lanes:
            lane.take(writing.segment)
        self._start_tending()
        return writing

    def _new_segment(self) -> _Writing:
        here = identity.current()
        if not self._first_sequence:
            self._first_sequence = here.next_sequence
        head = Head(
            here.boot,
            next(_numbers),
            os.getpid(),
            socket.gethostname(),
            self._service,
            time.time_ns(),
            self._first_sequence,
            self._required,
            self.resource,
        )
        segment, descriptor = create(self.folder.segments_path, head)
        if self._fsync != "off":
            sync_folder(self.folder.segments_path)
        writing = _Writing(segment, descriptor, head)
        writing.bytes = os.fstat(descriptor).st_size
        self._own_bytes += writing.bytes
        return writing

    # --- durability ---------------------------------------------------------------------------------------------------

    async def durable(self, position: int) -> None:
        """Wait until what was written up to that position is as durable as the settings promise."""
        if self._fsync == "off" or self._synced >= position:
            return
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiters.append((position, loop, future))
        self._ask_to_sync()
        await future

    def _ask_to_sync(self) -> None:
        self._sync_asked = True
        self._start_tending()
        self._wake.put(None)

    def _sync_now(self, writing: _Writing, position: int) -> None:
        """From the thread that wrote. What was written to the same segment before is durable with it."""
        try:
            sync_data(writing.descriptor)
        except OSError as why:
            self._warn("fsync", f"the journal's disk does not keep what is written: {why}")
            return
        with self._lock:
            if not self._retiring:  # else something that was written before may lie in the segment before
                self._synced = max(self._synced, position)

    def _sync(self) -> None:
        with self._lock:
            self._sync_asked = False
            target = self._written
            several = [one for one in (*self._retiring, self._writing) if one is not None]
            for one in several:
                one.users += 1
        try:
            for one in several:
                with contextlib.suppress(OSError):
                    sync_data(one.descriptor)
        finally:
            with self._lock:
                for one in several:
                    one.users -= 1
                self._synced = max(self._synced, target)
                ready = [one for one in self._waiters if one[0] <= self._synced]
                self._waiters = [one for one in self._waiters if one[0] > self._synced]
        for _, loop, future in ready:
            with contextlib.suppress(RuntimeError):  # a loop that has closed waits for nothing
                loop.call_soon_threadsafe(_resolve, future)

    # --- tending ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tend and to send what earlier processes left."""
        with self._lock:
            self._start_tending()
        for lane in self._lanes:
            lane.start()

    def _start_tending(self) -> None:
        if self._tending is None and not self._closed:
            self._tending = threading.Thread(target=self._tend, name="leadtrace-journal", daemon=True)
            try:
                self._tending.start()
            except RuntimeError:  # the interpreter is shutting down
                self._tending = None

    def _tend(self) -> None:
        next_look = next_pruning = 0.0
        while not self._closed:
            dirty = self._fsync == "interval" and self._written > self._synced
            with contextlib.suppress(Empty):
                self._wake.get(timeout=_SYNC_EVERY_S if dirty else _TEND_EVERY_S)
            try:
                if self._fsync != "off" and (self._sync_asked or self._written > self._synced):
                    self._sync()
                writing = self._writing
                due = writing is not None and writing.bytes >= self._segment_bytes
                now = time.monotonic()
                if due or now >= next_look:
                    next_look = now + _TEND_EVERY_S
                    self._look(due)
                if now >= next_pruning:
                    next_pruning = now + _PRUNE_EVERY_S
                    prune_books(self.folder, time.time())
            except OSError as why:
                self._warn("tend", f"the journal cannot be tended: {why}")
            except Exception:  # noqa: BLE001 - this thread must go on
                _log.exception("leadtrace: the journal could not be tended")

    def _look(self, due: bool) -> None:
        self._others_bytes = max(0, self.folder.bytes() - (self._writing.bytes if self._writing else 0))
        with self._lock:
            self._own_bytes = self._writing.bytes if self._writing else 0
            used = self._others_bytes + self._own_bytes
            writing = self._writing
            roomy = not self._full or used <= self._capacity * _ROOM_AGAIN
        if used >= self._capacity * _WARN_AT:
            self._warn("fill", f"the journal is {used / self._capacity:.0%} full ({used >> 20} MiB wait)")
        else:
            self._warned.discard("fill")
        if writing is not None:
            if not writing.segment.path.exists():
                self._gone()
            elif due or (writing.records and self.folder.asked_to_rotate(writing.segment.boot)):
                self.rotate()
        self._warn_of_age()
        self.folder.keep_reserve()
        if roomy and (self._refused_count or self._losses.untold):
            self._tell_losses()

    def rotate(self) -> None:
        """Go on in a new segment, and seal the old one; what is open is told again in the new one, before the seal."""
        fresh = self._new_segment()
        with self._lock:
            old, self._writing = self._writing, fresh
            if old is not None:
                self._retiring.append(old)
        for lane in self._lanes:
            lane.take(fresh.segment)
        if old is None:
            return
        _until_quiet(old)
        with self._lock:
            for key in erased_among(self.folder, self._open):
                del self._open[key]
            told = [
                self._told_again(key, body, old, fresh) for key, (where, body) in self._open.items() if where is old
            ]
            self._open.update((key, (fresh, body)) for key, body in told)
        content = b"".join(pack(Type.STILL_OPEN, body, fresh.segment.salt) for _, body in told)
        if content and os.write(fresh.descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, "no space left")
        with self._lock:
            fresh.bytes += len(content)
        if self._fsync != "off":
            sync_data(fresh.descriptor)
        self._retire(old, "rotated")

    def _told_again(self, key: int, body: bytes, old: _Writing, fresh: _Writing) -> tuple[int, bytes]:
        """What opened a word, as a new segment has it: a signal's number is the segment's own."""
        signal = old.signals[int.from_bytes(body[1:3], "little")]
        return key, body[:1] + self._number_of(fresh, signal).to_bytes(2, "little") + body[3:]

    def _retire(self, old: _Writing, reason: str) -> None:
        """Seal a segment once nobody writes to it any more, and let go of its lock."""
        _until_quiet(old)
        with self._lock:
            self._gather_refused()
            seal = {
                "reason": reason,
                "last_sequence": self._last_sequence,
                "last_ns": time.time_ns(),
                "kept": sorted(old.kept),
            }
        frame = pack(Type.SEAL, json.dumps(seal).encode(), old.segment.salt)
        try:
            self.folder.with_reserve(lambda: append_whole(old.descriptor, frame))
            if self._fsync != "off":
                sync_data(old.descriptor)
        finally:
            with self._lock:
                old.retired = True
                if old in self._retiring:
                    self._retiring.remove(old)
            os.close(old.descriptor)  # an unsealed one is recovered by whoever looks next

    def _gone(self) -> None:
        """The segment was removed under us: what it held is lost for the disk; go on in a new one."""
        self._warn(
            "gone", f"the journal's segment was removed by somebody: {self._writing and self._writing.segment.path}"
        )
        with self._lock:
            old, self._writing = self._writing, None
        self.folder.make()
        if old is not None:
            _until_quiet(old)
            os.close(old.descriptor)

    def _warn_of_age(self) -> None:
        own = self._writing.segment if self._writing else None
        began = []
        for one in self.folder.segments():
            if one != own:
                with contextlib.suppress(OSError):
                    began.append(one.path.stat().st_mtime)
        if began and time.time() - min(began) > self._warn_age_s:
            self._warn("age", f"records wait in the journal for more than {self._warn_age_s / 3600:.1f} h")

    def _warn(self, what: str, sentence: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            _log.warning("leadtrace: %s", sentence)

    def _tell_losses(self) -> None:
        """Name the ranges that were refused, now that there is room: in the journal's books, and as an event."""
        with self._lock:
            self._full = False
            losses = self._losses.take_untold()
            self._gather_refused()
            refused, count = self._refused, self._refused_count
            self._refused, self._refused_count = EMPTY, 0
            writing = self._writing
        if count and writing is not None:
            body = json.dumps({"count": count, "ranges": refused.as_json()}).encode()
            frame = pack(Type.REFUSED, body, writing.segment.salt)
            try:
                if os.write(writing.descriptor, frame) != len(frame):
                    raise OSError(errno.ENOSPC, "no space left")
            except OSError:
                with self._lock:
                    self._refused |= refused
                    self._refused_count += count
        for lost in losses:
            _log.warning("leadtrace: %d records (%s) were refused: %s", lost.count, lost.kind, lost.why)
            if self.on_loss is not None:
                try:
                    self.on_loss(lost)
                except Exception:  # noqa: BLE001 - the tending goes on
                    _log.exception("leadtrace: a loss could not be told")

    # --- what is known ------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> Statistics:
        with self._lock:
            dropped = self._losses.dropped
            appended = dict(self._appended)
        waits = sum(
            max((appended[lane.kind] - lane.done for lane in lanes), default=0) for lanes in self._by_kind.values()
        )
        error = next((lane.last_error for lane in self._lanes if lane.last_error), "")
        return Statistics(
            sum(lane.acknowledged for lane in self._lanes),
            waits,
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
        if self._written or self._refused_count:
            self._tell_losses()
            self._flush(timeout_s, (lambda: False) if patient else self._stalled())
        with self._lock:
            self._closed = True
            writing, self._writing = self._writing, None
            still_open = bool(self._open)
        self._wake.put(None)
        if self._fsync != "off":
            self._sync_last(writing)
        for lane in self._lanes:
            lane.stop(min(until, time.monotonic() + 0.2), patient=False)
        ended = [lane for lane in self._lanes if lane.join(0.3)]
        if writing is not None:
            self._end_segment(writing, still_open)
        for lane in ended:
            self._last_pass(lane)
            lane.close()
        left = self.stats.queued
        if left:
            _log.warning("leadtrace: %d records wait in the journal %s", left, self.folder.path)
        _living.discard(self)

    def _stalled(self) -> Callable[[], bool]:
        last = [time.monotonic(), sum(lane.done for lane in self._lanes)]

        def stalled() -> bool:
            done = sum(lane.done for lane in self._lanes)
            if done != last[1]:
                last[:] = [time.monotonic(), done]
            return any(lane.failing for lane in self._lanes) or time.monotonic() - last[0] > _EXIT_STALLED_S

        return stalled

    def _sync_last(self, writing: _Writing | None) -> None:
        if writing is not None and self._written > self._synced:
            with contextlib.suppress(OSError):
                sync_data(writing.descriptor)
        with self._lock:
            self._synced = self._written
            waiters, self._waiters = self._waiters, []
        for _, loop, future in waiters:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, future)

    def _end_segment(self, writing: _Writing, still_open: bool) -> None:
        _until_quiet(writing)
        if still_open:
            os.close(writing.descriptor)  # without a seal: recovery closes what is open, as after a crash
        elif not writing.records:
            writing.segment.path.unlink(missing_ok=True)
            os.close(writing.descriptor)
        else:
            with contextlib.suppress(OSError):
                self._retire(writing, "closed")

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
        inherited = [one for one in (*self._retiring, self._writing) if one is not None and not one.retired]
        was_closed = self._closed
        self._renew()
        self._closed = self._closing = was_closed
        for one in inherited:
            with contextlib.suppress(OSError):
                os.close(one.descriptor)
        for lane in self._lanes:
            lane.forget()


def _share(signal: Signal | None) -> float:
    """How full the journal may be for a record of that signal."""
    if signal is None:
        return 1.0
    if signal.foreign:
        return _FOREIGN
    return 1.0 if signal.kind == "logs" else _SPANS


def _until_quiet(writing: _Writing) -> None:
    """Wait for those who are amid a write to it; each is one system call away from its end."""
    until = time.monotonic() + 5
    while writing.users and time.monotonic() < until:
        time.sleep(0.0005)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _on_a_loop() -> bool:
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


def _reason(why: OSError) -> str:
    return "disk full" if why.errno in NO_ROOM else f"disk: {why.strerror or why}"


_numbers = itertools.count(1)
"""Of this process's segments: two sinks of one process, one after the other, have no number twice."""

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
