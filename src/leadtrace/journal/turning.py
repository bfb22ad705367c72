"""The segments that a process writes: the first, the one after that, those in memory while the disk fails, and how each ends.

begin ──► writing ── rotate ──► retiring: what is open in it is told again in the new one, then it is sealed
            │
            └─ the disk takes nothing ──► in memory ── the disk is back ──► a new file; what waited becomes one too
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leadtrace.errors import JournalError
from leadtrace.journal.folder import NO_ROOM
from leadtrace.journal.frames import Type
from leadtrace.journal.segment import NO_SIGNAL, Head
from leadtrace.journal.tombstones import erased_among
from leadtrace.journal.volatile import Volatile
from leadtrace.journal.writing import Writing
from leadtrace.otlp import identity
from leadtrace.otlp.clock import machine_boot, uptime_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadtrace.journal.durability import Durability
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.lanes import Lane
    from leadtrace.journal.once import Once
    from leadtrace.otlp.sink import Signal

__all__ = ["Bounds", "Turning"]

_log = logging.getLogger("leadtrace")

_TRY_DISK_S: Final = 1.0
_STEADY_S: Final = 60.0
"""A disk that fails again within it is tried less often, at last this seldom."""
_REMIND_EVERY_S: Final = 60.0
_OF_MEMORY: Final = 1 / 16
"""How large a segment in memory becomes, of all that may be there: what is sent goes by segments."""
_MOST_OPEN: Final = 10_000
_MOST_SIGNALS: Final = 1_000


@dataclass(slots=True, frozen=True)
class Bounds:
    """In bytes: what all processes of the folder may have on the disk, what this one may have in memory while the disk fails,
    and when a new segment is begun.
    """

    capacity: int = 1 << 30
    memory: int = 64 << 20
    segment: int = 16 << 20


class Turning:
    """Any thread may call `place` and `go_to_memory`, with `lock` held; whoever goes on to a new segment holds `hand`."""

    def __init__(
        self,
        folder: Folder,
        bounds: Bounds,
        lanes: Sequence[Lane],
        required: tuple[str, ...],
        service: str,
        resource: bytes,
        durability: Durability,
        lock: threading.RLock,
        once: Once,
    ) -> None:
        self._folder = folder
        self._bounds = bounds
        self._lanes = lanes
        self._required = required
        self._service = service
        self._resource = resource
        self._durability = durability
        self._durable = durability.fsync != "off"
        self._lock = lock
        self._once = once
        self.hand = threading.Lock()
        """Held by whoever begins, ends or leaves a segment, over the disk's time; never by who appends."""
        self.writing: Writing | None = None
        self.retiring: list[Writing] = []
        self.volatile = Volatile(folder, required)
        self.open: dict[int, tuple[Writing, bytes]] = {}
        """What has begun and not ended, by key: where it stands, and its type with the body of its frame."""
        self.last_sequence = self.last_refused = 0
        """The highest numbers of events that were written, and that found no room."""
        self.closed = False
        self.own = self.others = 0
        """Bytes of the segment that is written, and of all else that counts."""
        self.bound = bounds.capacity
        """How many there may be, where records go now."""
        self._first_sequence = 0
        self._no_room_at = 0.0
        self._on_disk_since = -_STEADY_S
        self._try_disk_at = self._try_disk_after_s = self._remind_at = 0.0

    @property
    def in_memory(self) -> bool:
        """Whether records go there, because the disk takes nothing."""
        return self.writing is not None and self.writing.volatile

    def segments(self) -> list[Writing]:
        """Those that are being written, the one before the newest for a moment as well."""
        return [one for one in (*self.retiring, self.writing) if one is not None]

    # --- for who appends; the lock is held ----------------------------------------------------------------------------

    def place(self, signal: Signal | None) -> tuple[Writing, int]:
        """Where a record of that signal goes, and the signal's number there. Raises OSError where the disk is full."""
        writing = self.writing or self._begin()
        before = writing.bytes
        number = 0
        if signal is not None:
            try:
                number = writing.number_of(signal)
            except OSError as why:
                if why.errno in NO_ROOM:
                    raise
                writing = self.go_to_memory(writing, why)
                before = writing.bytes
                number = writing.number_of(signal)
        self.own += writing.bytes - before
        return writing, number

    def go_to_memory(self, failed: Writing | None, why: OSError) -> Writing:
        """Go on in memory, because the disk takes nothing; what is to be written to.

        `failed` is what could not be written to: where another thread has gone on from there already, it is done.
        """
        if self.writing is not failed and self.writing is not None:
            return self.writing
        writing = self.volatile.begin(self._next_head())
        if failed is not None:
            self.retiring.append(failed)
        self._put_in_place(writing)
        now = time.monotonic()
        steady = now - self._on_disk_since >= _STEADY_S
        self._try_disk_after_s = _TRY_DISK_S if steady else min(2 * self._try_disk_after_s, _STEADY_S)
        self._try_disk_at = now + self._try_disk_after_s
        if now >= self._remind_at:
            self._remind_at = now + _REMIND_EVERY_S
            _log.error(
                "leadtrace: the journal's disk takes nothing (%s): records wait IN MEMORY, and what is not sent when the"
                " process dies is LOST; %s is tried again",
                why.strerror or why,
                self._folder.path,
            )
        return writing

    def opened(self, key: int, writing: Writing, content: bytes) -> None:
        """Something began there that recovery closes where its end never comes."""
        self.open[key] = (writing, content)
        if len(self.open) > _MOST_OPEN:
            self._forget_a_span()

    def _forget_a_span(self) -> None:
        """Of spans of other libraries that never end, the oldest: told again and again they would fill the journal."""
        for key, (_, body) in self.open.items():
            if body[0] == Type.SPAN_BEGINS:
                del self.open[key]
                break
        self._once.warn("open", f"more than {_MOST_OPEN} spans are open: the oldest are not told if this process dies")

    def _begin(self) -> Writing:
        """This process's first segment; in memory where the disk fails. Raises OSError where it is full."""
        now = time.monotonic()
        if now - self._no_room_at < 0.5:
            raise OSError(errno.ENOSPC, "no space left")
        try:
            writing = self.new_segment()
        except OSError as why:
            if why.errno not in NO_ROOM:
                return self.go_to_memory(None, why)
            self._no_room_at = now
            raise
        if self.writing is not None:  # a finalizer that ran amid this has begun one
            self._end(writing, still_open=False)
            return self.writing
        self._put_in_place(writing)
        return writing

    def new_segment(self) -> Writing:
        """A file that nobody writes to yet. Raises OSError."""
        writing = Writing.begin(self._folder, self._next_head(), durable=self._durable)
        self.own += writing.bytes
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
            self._resource,
            machine=machine_boot(),
            uptime_ns=uptime_ns(),
        )

    def _put_in_place(self, writing: Writing) -> None:
        self.writing = writing
        if writing.volatile:
            self.bound = self._bounds.memory
            self._count_memory()
        elif self.bound != self._bounds.capacity:
            self.bound = self._bounds.capacity
            self.others, self.own = 0, writing.bytes  # until the next look
        for lane in self._lanes:
            lane.take(writing)

    def _count_memory(self) -> None:
        self.own = self.writing.bytes if self.writing else 0
        self.others = max(0, self.volatile.bytes - self.own)

    # --- a new segment ------------------------------------------------------------------------------------------------

    def rotate(self) -> None:
        """Go on in a new segment, and seal the old one; what is open is told again in the new one, before the seal.

        Raises OSError where the disk takes no new one, or is full: then the old one is sealed once there is room.
        """
        with self.hand:
            if not self.closed:
                self._turn_to(self.new_segment())

    def _rotate_in_memory(self) -> None:
        with self.hand:
            if not self.closed:
                with self._lock:
                    fresh = self.volatile.begin(self._next_head())
                self._turn_to(fresh)

    def _turn_to(self, fresh: Writing) -> None:
        if (before := self.writing) is not None:  # here, so that who appends need not
            try:
                for signal in before.signals[:_MOST_SIGNALS]:
                    fresh.number_of(signal)
            except OSError:
                fresh.segment.path.unlink(missing_ok=True)
                fresh.close()
                raise
            fresh.carried = fresh.bytes
        with self._lock:
            old = self.writing
            self._put_in_place(fresh)
            if old is not None:
                self.retiring.append(old)
        self._finish_retiring()

    def finish_retiring(self) -> None:
        """End those for which there was no room when they should have ended. Raises OSError where there still is none."""
        if self.retiring:
            with self.hand:
                self._finish_retiring()

    def _finish_retiring(self) -> None:
        """Tell again what is open in segments that are left, and seal them.

        On a disk that fails they wait for it; where it takes what is new, and not their ends, they are left to whoever reads
        them next.
        """
        for old in list(self.retiring):
            old.until_quiet()
            with self._lock:
                fresh = self.writing
            if fresh is not None:
                self._carry_over(old, fresh)
            try:
                self._retire(old, "rotated")
            except OSError as why:
                if why.errno in NO_ROOM:
                    raise
                if not self.in_memory:
                    _log.warning("leadtrace: a segment of the journal was left without its end: %s", why)
                    old.close()
                    with self._lock:
                        self.retiring.remove(old)

    def _carry_over(self, old: Writing, fresh: Writing) -> None:
        with self._lock:
            for key in erased_among(self._folder, self.open):
                del self.open[key]
            before = {key: one for key, one in self.open.items() if one[0] is old}
            told = {key: self._told_again(body, old, fresh) for key, (_, body) in before.items()}
        content = b"".join(fresh.frame(Type.STILL_OPEN, body) for body in told.values())
        if not content:
            return
        fresh.write(content)
        with self._lock:
            fresh.bytes += len(content)
            fresh.carried += len(content)
            for key, body in told.items():
                if self.open.get(key) is before[key]:  # it may have ended meanwhile
                    self.open[key] = (fresh, body)
        if self._durable:
            self._durability.sync(self.segments)

    def _told_again(self, body: bytes, old: Writing, fresh: Writing) -> bytes:
        """What opened a word, as a new segment has it: a signal's number is the segment's own."""
        number = int.from_bytes(body[1:3], "little")
        if number != NO_SIGNAL:
            number = fresh.number_of(old.signals[number])
        return body[:1] + number.to_bytes(2, "little") + body[3:]

    def _retire(self, old: Writing, reason: str) -> None:
        """Seal a segment once nobody writes to it any more, and let go of its lock."""
        old.until_quiet()
        sync = self._durability.sync_last if self._durable else None
        last = max(self.last_sequence, self.last_refused)
        old.seal(self._folder, {"reason": reason, "last_sequence": last}, sync)
        with self._lock:
            if old in self.retiring:
                self.retiring.remove(old)

    def replace_removed(self, writing: Writing) -> None:
        """The segment was removed under us: what it held is lost for the disk; go on in a new one.

        It is ended like any other: what is open is told again, and the lanes, who have it open, read it to its end.
        """
        self._once.warn("gone", f"the journal's segment was removed by somebody: {writing.segment.path}")
        try:
            self._folder.make()
            self.rotate()
        except (OSError, JournalError) as why:
            cause = why if isinstance(why, OSError) else OSError(errno.ENOENT, str(why))
            with self._lock:
                self.go_to_memory(writing, cause)

    # --- while the disk fails -----------------------------------------------------------------------------------------

    def look_at_memory(self) -> None:
        """Let go of what was sent, try the disk, and write out what waits when it is back."""
        for sent in self.volatile.done():
            with self._lock:
                self.volatile.segments.remove(sent)
            for lane in self._lanes:
                lane.leave(sent)
            self.volatile.remember(sent)
        now = time.monotonic()
        if self.in_memory and now >= self._try_disk_at:
            self._try_disk()
        if not self.in_memory:
            self._land()
            return
        with self._lock:
            self._count_memory()
        writing = self.writing
        if writing is not None and writing.bytes - writing.carried >= self._bounds.memory * _OF_MEMORY:
            self._rotate_in_memory()
        if now >= self._remind_at:
            self._remind_at = now + _REMIND_EVERY_S
            _log.error(
                "leadtrace: %d records wait in memory: the journal's disk takes nothing, and they are LOST when the"
                " process dies",
                sum(self.volatile.waiting.values()),
            )

    def _try_disk(self) -> None:
        now = time.monotonic()
        try:
            self._folder.make()
            self.rotate()
        except (OSError, JournalError):
            self._try_disk_after_s = min(2 * self._try_disk_after_s, _STEADY_S)
            self._try_disk_at = now + self._try_disk_after_s
        else:
            self._on_disk_since = now

    def _land(self, *, at_the_end: bool = False) -> None:
        """Write out what waited in memory; where that fails it is tried with each look."""
        try:
            if at_the_end:
                self._folder.make()
            landed = self.volatile.land(durable=self._durable, even_open=at_the_end)
        except (OSError, JournalError) as why:
            self._once.warn("land", f"what waits in memory cannot be written to the journal: {why}")
            return
        self._once.over("land")
        if landed or not at_the_end:
            _log.warning(
                "leadtrace: the journal's disk is back: %d records that waited in memory are saved in %s",
                landed,
                self._folder.path,
            )

    # --- the end ------------------------------------------------------------------------------------------------------

    def end(self, writing: Writing | None, still_open: bool) -> None:
        """Seal what is written, and write out what waits in memory. The hand is held.

        `still_open`: something has begun and not ended. Then there is no seal: recovery closes it, as after a crash.
        """
        for old in list(self.retiring):  # its end found no room before
            self._end(old, still_open)
        if writing is not None:
            self._end(writing, still_open)
        if self.volatile.segments:
            self._land(at_the_end=True)

    def _end(self, writing: Writing, still_open: bool) -> None:
        writing.until_quiet()
        try:
            if not writing.records and not writing.volatile and not still_open:
                writing.segment.path.unlink(missing_ok=True)
            elif not still_open:
                self._retire(writing, "closed")
        except OSError as why:
            _log.debug("leadtrace: a segment of the journal has no seal: %s", why)
        finally:
            writing.close()


_numbers = itertools.count(1)
"""Of this process's segments: two sinks of one process, one after the other, have no number twice."""
