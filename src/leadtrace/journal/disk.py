"""The sink on the disk: a record is in the journal when `append` returns, and leaves when its receivers have acknowledged it.

    append ──► one write(2) to this process's segment ──► Receipt(saved)        any thread, also a running event loop
                      │
                      ├─ tending thread: fsync, new segments, room, requests, losses told
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
import errno
import itertools
import logging
import os
import socket
import threading
import time
import weakref
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from leadtrace.errors import JournalError
from leadtrace.journal.books import prune_books
from leadtrace.journal.delivering import GaveUpError
from leadtrace.journal.durability import Durability, Fsync, on_a_loop
from leadtrace.journal.folder import NO_ROOM
from leadtrace.journal.frames import Type, record_of
from leadtrace.journal.kept import pack_kept
from leadtrace.journal.lanes import Lane
from leadtrace.journal.losses import Statistics
from leadtrace.journal.refusals import Refusals
from leadtrace.journal.segment import NO_SIGNAL, Head
from leadtrace.journal.tombstones import erased_among
from leadtrace.journal.volatile import Volatile, VolatileWriting
from leadtrace.journal.writing import Writing
from leadtrace.otlp import identity
from leadtrace.otlp.clock import machine_boot, uptime_ns
from leadtrace.otlp.sink import Receipt, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leadtrace.journal.folder import Folder
    from leadtrace.journal.losses import Lost
    from leadtrace.journal.transport import Transport

__all__ = ["JournalSink"]

_log = logging.getLogger("leadtrace")

_FOREIGN, _SPANS = 0.8, 0.9  # of the capacity; events may fill all of it
_WARN_AT: Final = 0.7
_WARN_OF_ASIDE_AT: Final = 0.25
_ROOM_AGAIN: Final = 0.95
_SYNC_EVERY_S: Final = 0.1
_TEND_EVERY_S: Final = 1.0
_PRUNE_EVERY_S: Final = 3600.0
_DOUBT_EVERY_S: Final = 60.0
_STEADY_S: Final = 60.0
"""A disk that fails again within it is tried less often, at last this seldom."""
_REMIND_EVERY_S: Final = 60.0
_OF_MEMORY: Final = 1 / 16
"""How large a segment in memory becomes, of all that may be there: what is sent goes by segments."""
_MOST_OPEN: Final = 10_000
_MOST_SIGNALS: Final = 1_000
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
        self._capacity, self._segment_bytes, self._warn_age_s = capacity_bytes, segment_bytes, warn_age_s
        self._memory_bytes = memory_bytes
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
        self._writing: Writing | None = None
        self._retiring: list[Writing] = []
        self._open: dict[int, tuple[Writing, bytes]] = {}
        self._appended = {"logs": 0, "traces": 0}
        self._others_bytes = self._own_bytes = 0
        self._refusals = Refusals()
        self._last_sequence = 0
        self._noted_sequence = 0
        self._first_sequence = 0
        self._full = False
        self._failed_open_at = 0.0
        self._bound = self._capacity
        self._volatile = Volatile(self.folder, self._required)
        self._on_disk_since = -_STEADY_S
        self._try_disk_at = self._try_disk_after_s = self._remind_at = 0.0
        self._lost = {"logs": 0, "traces": 0}
        self._warned: set[str] = set()
        self._closing = self._closed = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._tending: threading.Thread | None = None
        self._turning = threading.Lock()  # whoever begins, ends or leaves a segment; never taken by who appends
        self._progress: dict[str, tuple[int, float]] = {}
        self._durability = Durability(self._fsync, self._lock, self._ask_to_sync, self._warn)

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
        with self._lock:
            if self._closed:
                return self._refuse(signal, record, uid, "closed", kept, ends)
            if self._others_bytes + self._own_bytes + size > self._bound * share:
                self._full = True
                return self._refuse(signal, record, uid, "full", kept, ends)
            try:
                writing = self._writing or self._begin_segment()
                before = writing.bytes
                try:
                    number = writing.number_of(signal) if signal is not None else 0
                except OSError as why:
                    if why.errno in NO_ROOM:
                        raise
                    writing = self._go_to_memory(writing, why)
                    before = writing.bytes
                    number = writing.number_of(signal) if signal is not None else 0
                self._own_bytes += writing.bytes - before
            except OSError as why:
                return self._refuse(signal, record, uid, _reason(why), kept, ends)
            writing.users += 1
        try:
            body = record if signal is None else record_of(number, record, key)
            frame = writing.frame(type_, body)
            try:
                writing.write(frame)
            except OSError as why:
                with self._lock:
                    if why.errno in NO_ROOM:
                        self._full = True
                        return self._refuse(signal, record, uid, _reason(why), kept, ends)
                    if not self._closed:
                        self._go_to_memory(writing, why)
                return self._write(signal, record, type_, uid, key, kept)
            with self._lock:
                position = self._count(writing, signal, len(frame), type_, body, uid, key, kept)
            receipt = Receipt(uid, True, "", self._durability, position)
            if writing.volatile:
                receipt = Receipt(uid, False, "in memory")
            elif self._fsync == "always":
                if on_a_loop():
                    self._durability.ask()
                elif not self._durability.sync_now(writing, position, alone=not self._retiring):
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
        self._own_bytes += size
        self._durability.written += 1
        if uid and uid[:16] == writing.segment.boot:
            self._last_sequence = max(self._last_sequence, int(uid[16:], 16))
        if writing.volatile and isinstance(writing, VolatileWriting) and type_ is not Type.SPAN_BEGINS:
            kind = kept or (signal.kind if signal is not None else "")
            writing.by_kind[kind] = writing.by_kind.get(kind, 0) + 1
        if kept:
            writing.kept.add(kept)
        elif signal is not None and type_ is not Type.SPAN_BEGINS:
            self._appended[signal.kind] += 1
        if key is not None:
            if type_ is Type.LOG_OPENS or type_ is Type.SPAN_BEGINS:
                self._open[key] = (writing, bytes((type_,)) + body)
                if len(self._open) > _MOST_OPEN:
                    self._forget_a_span()
            else:
                self._open.pop(key, None)
        return self._durability.written

    def _forget_a_span(self) -> None:
        """Of spans of other libraries that never end, the oldest: told again and again they would fill the journal."""
        for key, (_, body) in self._open.items():
            if body[0] == Type.SPAN_BEGINS:
                del self._open[key]
                break
        self._warn("open", f"more than {_MOST_OPEN} spans are open: the oldest are not told if this process dies")

    def _refuse(
        self, signal: Signal | None, record: bytes, uid: str, why: str, kept: str, ends: int | None = None
    ) -> Receipt:
        if ends is not None and self._open.pop(ends, None) is not None:
            self._refusals.ended(ends)
        self._refusals.add(kept or (signal.kind if signal is not None else ""), why, uid, record)
        self._start_tending()
        return Receipt(uid, False, why)

    def _begin_segment(self) -> Writing:
        """Open this process's first segment; in memory where the disk fails. Raises OSError where it is full. The caller
        holds the lock.
        """
        now = time.monotonic()
        if now - self._failed_open_at < 0.5:
            raise OSError(errno.ENOSPC, "no space left")
        try:
            writing = self._new_segment()
        except OSError as why:
            if why.errno not in NO_ROOM:
                return self._go_to_memory(None, why)
            self._failed_open_at = now
            raise
        if self._writing is not None:  # a finalizer that ran amid this has begun one
            self._end_segment(writing, still_open=False)
            return self._writing
        self._put_in_place(writing)
        self._start_tending()
        return writing

    def _new_segment(self) -> Writing:
        writing = Writing.begin(self.folder, self._next_head(), durable=self._fsync != "off")
        self._own_bytes += writing.bytes
        return writing

    def _next_head(self) -> Head:
        here = identity.current()
        if not self._first_sequence:
            self._first_sequence = here.next_sequence
        return Head(
            here.boot,
            next(_numbers),
            os.getpid(),
            socket.gethostname(),
            self._service,
            time.time_ns(),
            self._first_sequence,
            self._required,
            self.resource,
            machine=machine_boot(),
            uptime_ns=uptime_ns(),
        )

    def _go_to_memory(self, failed: Writing | None, why: OSError) -> Writing:
        """Go on in memory, because the disk takes nothing; what is to be written to. The caller holds the lock.

        `failed` is what could not be written to: where another thread has gone on from there already, it is done.
        """
        if self._writing is not failed and self._writing is not None:
            return self._writing
        writing = self._volatile.begin(self._next_head())
        if failed is not None:
            self._retiring.append(failed)
        self._put_in_place(writing)
        now = time.monotonic()
        steady = now - self._on_disk_since >= _STEADY_S
        self._try_disk_after_s = _TEND_EVERY_S if steady else min(2 * self._try_disk_after_s, _STEADY_S)
        self._try_disk_at = now + self._try_disk_after_s
        if now >= self._remind_at:
            self._remind_at = now + _REMIND_EVERY_S
            _log.error(
                "leadtrace: the journal's disk takes nothing (%s): records wait IN MEMORY, and what is not sent when the"
                " process dies is LOST; %s is tried again",
                why.strerror or why,
                self.folder.path,
            )
        self._start_tending()
        return writing

    def _put_in_place(self, writing: Writing) -> None:
        """Write there from now on. The caller holds the lock."""
        self._writing = writing
        if writing.volatile:
            self._bound = self._memory_bytes
            self._count_memory()
        elif self._bound != self._capacity:
            self._bound = self._capacity
            self._others_bytes, self._own_bytes = 0, writing.bytes  # until the next look
        for lane in self._lanes:
            lane.take(writing)

    def _count_memory(self) -> None:
        """What lies in memory, while that is where records go."""
        self._own_bytes = self._writing.bytes if self._writing else 0
        self._others_bytes = max(0, self._volatile.bytes - self._own_bytes)

    def _ask_to_sync(self) -> None:
        with self._lock:
            self._start_tending()
            alone = self._tending is None
        if alone:  # the interpreter starts no more threads
            self._durability.sync(self._segments)
        self._wake.put(None)

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
        next_look = next_pruning = next_doubt = 0.0
        while not self._closed:
            dirty = self._fsync == "interval" and self._durability.due
            with contextlib.suppress(Empty):
                self._wake.get(timeout=_SYNC_EVERY_S if dirty else _TEND_EVERY_S)
            try:
                if self._durability.due:
                    self._durability.sync(self._segments)
                writing = self._writing
                now = time.monotonic()
                doubtful = self._durability.failed and now >= next_doubt
                due = writing is not None and (writing.bytes - writing.carried >= self._segment_bytes or doubtful)
                if doubtful:  # what comes does not lie behind what the disk forgot
                    next_doubt = now + _DOUBT_EVERY_S
                    self._durability.failed = False
                    self._warned.discard("fsync")
                if due or now >= next_look:
                    next_look = now + _TEND_EVERY_S
                    self._look(due)
                    self._warned.discard("tend")
                if now >= next_pruning:
                    next_pruning = now + _PRUNE_EVERY_S
                    prune_books(self.folder, time.time())
            except OSError as why:
                self._warn("tend", f"the journal cannot be tended: {why}")
            except Exception:  # noqa: BLE001 - this thread must go on
                _log.exception("leadtrace: the journal could not be tended")

    def _segments(self) -> list[Writing]:
        """Those that are being written, the one before the newest for a moment as well."""
        return [one for one in (*self._retiring, self._writing) if one is not None]

    def _look(self, due: bool) -> None:
        if self._volatile.segments:
            self._look_at_memory()
        if self._writing is not None and self._writing.volatile:
            return
        aside = self.folder.aside_bytes()  # it is on the same disk, and somebody has to look at it
        self._others_bytes = aside + max(0, self.folder.bytes() - (self._writing.bytes if self._writing else 0))
        if aside >= self._capacity * _WARN_OF_ASIDE_AT:
            self._warn(
                "aside",
                f"{aside >> 20} MiB of the journal are records that receivers refused: see leadtrace journal aside",
            )
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
                self._gone(writing)
                return
            if due or (writing.records and self.folder.asked_to_rotate(writing.segment.boot)):
                self.rotate()
        self._note_last()
        if self._retiring:  # the disk was full when they should have ended
            with self._turning:
                self._finish_retiring()
        self._warn_of_age()
        self.folder.keep_reserve()
        if roomy and self._refusals.untold:
            self._tell_losses()

    def rotate(self) -> None:
        """Go on in a new segment, and seal the old one; what is open is told again in the new one, before the seal.

        Raises OSError where the disk is full: the old one is sealed once there is room.
        """
        with self._turning:
            if not self._closed:
                self._turn_to(self._new_segment())

    def _rotate_in_memory(self) -> None:
        """As `rotate`, while the disk fails: what is sent of them goes segment by segment."""
        with self._turning:
            if not self._closed:
                with self._lock:
                    fresh = self._volatile.begin(self._next_head())
                self._turn_to(fresh)

    def _turn_to(self, fresh: Writing) -> None:
        """Go on in that segment. The caller holds the turning."""
        if (before := self._writing) is not None:  # here, so that who appends need not
            for signal in before.signals[:_MOST_SIGNALS]:
                fresh.number_of(signal)
            fresh.carried = fresh.bytes
        with self._lock:
            old = self._writing
            self._put_in_place(fresh)
            if old is not None:
                self._retiring.append(old)
        self._finish_retiring()

    def _finish_retiring(self) -> None:
        """Tell again what is open in segments that are left, and seal them. The caller holds the turning.

        Raises OSError where the disk is full. On one that fails they wait for it; where it takes what is new, and not their
        ends, they are left to whoever reads them next.
        """
        for old in list(self._retiring):
            old.until_quiet()
            with self._lock:
                fresh = self._writing
            if fresh is not None:
                self._carry_over(old, fresh)
            try:
                self._retire(old, "rotated")
            except OSError as why:
                if why.errno in NO_ROOM:
                    raise
                if fresh is not None and not fresh.volatile:
                    _log.warning("leadtrace: a segment of the journal was left without its end: %s", why)
                    old.close()
                    with self._lock:
                        self._retiring.remove(old)

    # --- while the disk fails -----------------------------------------------------------------------------------------

    def _look_at_memory(self) -> None:
        """Let go of what was sent, try the disk, and write out what waits when it is back."""
        for sent in self._volatile.done():
            with self._lock:
                self._volatile.segments.remove(sent)
            for lane in self._lanes:
                lane.leave(sent)
            self._volatile.remember(sent)
        with self._lock:
            writing = self._writing
            in_memory = writing is not None and writing.volatile
            if in_memory:
                self._count_memory()
            roomy = not self._full or self._others_bytes + self._own_bytes <= self._bound * _ROOM_AGAIN
        now = time.monotonic()
        if in_memory and now >= self._try_disk_at:
            in_memory = not self._back_on_disk()
        if in_memory:
            if writing is not None and writing.bytes - writing.carried >= self._memory_bytes * _OF_MEMORY:
                self._rotate_in_memory()
            if now >= self._remind_at:
                self._remind_at = now + _REMIND_EVERY_S
                _log.error(
                    "leadtrace: %d records wait in memory: the journal's disk takes nothing, and they are LOST when the"
                    " process dies",
                    sum(self._volatile.waiting.values()),
                )
            if roomy and self._refusals.untold:
                self._tell_losses()
        else:
            self._land()

    def _back_on_disk(self) -> bool:
        """Try to go on there; whether that went well."""
        try:
            self.folder.make()
            self.rotate()
        except (OSError, JournalError):
            now = time.monotonic()
            self._try_disk_after_s = min(2 * self._try_disk_after_s, _STEADY_S)
            self._try_disk_at = now + self._try_disk_after_s
            return False
        self._on_disk_since = time.monotonic()
        return True

    def _land(self, *, even_open: bool = False) -> None:
        """Write out what waited in memory; where that fails it is tried with each look."""
        try:
            if even_open:
                self.folder.make()
            landed = self._volatile.land(durable=self._fsync != "off", even_open=even_open)
        except (OSError, JournalError) as why:
            self._warn("land", f"what waits in memory cannot be written to the journal: {why}")
        else:
            self._warned.discard("land")
            if landed or not even_open:
                _log.warning(
                    "leadtrace: the journal's disk is back: %d records that waited in memory are saved in %s",
                    landed,
                    self.folder.path,
                )

    # --- turning to new segments --------------------------------------------------------------------------------------

    def _carry_over(self, old: Writing, fresh: Writing) -> None:
        with self._lock:
            for key in erased_among(self.folder, self._open):
                del self._open[key]
            before = {key: one for key, one in self._open.items() if one[0] is old}
            told = {key: self._told_again(body, old, fresh) for key, (_, body) in before.items()}
        content = b"".join(fresh.frame(Type.STILL_OPEN, body) for body in told.values())
        if not content:
            return
        fresh.write(content)
        with self._lock:
            fresh.bytes += len(content)
            fresh.carried += len(content)
            for key, body in told.items():
                if self._open.get(key) is before[key]:  # it may have ended meanwhile
                    self._open[key] = (fresh, body)
        if self._fsync != "off":
            self._durability.sync(self._segments)

    def _told_again(self, body: bytes, old: Writing, fresh: Writing) -> bytes:
        """What opened a word, as a new segment has it: a signal's number is the segment's own."""
        number = int.from_bytes(body[1:3], "little")
        if number != NO_SIGNAL:
            number = fresh.number_of(old.signals[number])
        return body[:1] + number.to_bytes(2, "little") + body[3:]

    def _retire(self, old: Writing, reason: str) -> None:
        """Seal a segment once nobody writes to it any more, and let go of its lock."""
        old.until_quiet()
        last = max(self._last_sequence, self._refusals.last_sequence)
        sync = self._durability.sync_last if self._fsync != "off" else None
        old.seal(self.folder, {"reason": reason, "last_sequence": last}, sync)
        with self._lock:
            if old in self._retiring:
                self._retiring.remove(old)

    def _note_last(self) -> None:
        writing, last = self._writing, self._last_sequence
        if writing is not None and last != self._noted_sequence:
            self._noted_sequence = last
            self.folder.note_last(writing.segment.boot, last)

    def _gone(self, writing: Writing) -> None:
        """The segment was removed under us: what it held is lost for the disk; go on in a new one.

        It is ended like any other: what is open is told again, and the lanes, who have it open, read it to its end.
        """
        self._warn("gone", f"the journal's segment was removed by somebody: {writing.segment.path}")
        try:
            self.folder.make()
            self.rotate()
        except (OSError, JournalError) as why:
            cause = why if isinstance(why, OSError) else OSError(errno.ENOENT, str(why))
            with self._lock:
                self._go_to_memory(writing, cause)

    def _warn_of_age(self) -> None:
        """Of other segments the files say how old they are; of what this process waits for, its own clock."""
        own = {one.segment for one in self._segments()}
        began = []
        for one in self.folder.segments():
            if one not in own:
                with contextlib.suppress(OSError):
                    began.append(one.path.stat().st_mtime)
        now = time.monotonic()
        oldest = time.time() - min(began) if began else 0.0
        for lane in self._lanes:
            done, since = self._progress.get(lane.name, (-1, now))
            if done != lane.done or done >= self._appended[lane.kind]:
                done, since = lane.done, now
            self._progress[lane.name] = (done, since)
            oldest = max(oldest, now - since)
        if oldest > self._warn_age_s:
            self._warn("age", f"records wait in the journal for more than {self._warn_age_s / 3600:.1f} h")
        else:
            self._warned.discard("age")

    def _warn(self, what: str, sentence: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            _log.warning("leadtrace: %s", sentence)

    def _tell_losses(self) -> None:
        """Name the ranges that were refused, now that there is room: in the journal's books, and as an event."""
        with self._lock:
            self._full = False
            losses, body, taken = self._refusals.take()
            writing = self._writing if body else None
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
                self._own_bytes += len(frame)
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
            in_memory = self._volatile.waiting if self._volatile.segments else {}
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
        self._note_last()
        turning = self._turning.acquire(timeout=_EXIT_STALLED_S)  # a disk that hangs holds up no end
        with self._lock:
            self._closed = True
            writing, self._writing = self._writing, None
            still_open = bool(self._open)
        self._wake.put(None)
        self._durability.settle(writing)
        for lane in self._lanes:
            lane.stop(min(until, time.monotonic() + 0.2), patient=False)
        ended = [lane for lane in self._lanes if lane.join(0.3)]
        if turning:
            try:
                self._end_segments(writing, still_open)
                if self._volatile.segments:
                    self._land(even_open=True)
            finally:
                self._turning.release()
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
            lost, self._volatile.segments = self._volatile.waiting, []
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

    def _end_segments(self, writing: Writing | None, still_open: bool) -> None:
        for old in list(self._retiring):  # its end found no room before
            self._end_segment(old, still_open)
        if writing is not None:
            self._end_segment(writing, still_open)

    def _end_segment(self, writing: Writing, still_open: bool) -> None:
        writing.until_quiet()
        try:
            if still_open:
                pass  # without a seal: recovery closes what is open, as after a crash
            elif not writing.records and not writing.volatile:
                writing.segment.path.unlink(missing_ok=True)
            else:
                self._retire(writing, "closed")
        except OSError as why:
            _log.debug("leadtrace: a segment of the journal has no seal: %s", why)
        finally:
            writing.close()

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
        was_closed = self._closed
        self._renew()  # what was open is closed already: see `leadtrace.journal.locks`
        self._closed = self._closing = was_closed
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
