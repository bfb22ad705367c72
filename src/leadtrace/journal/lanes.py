"""A lane: one destination and one kind of records, and the thread that takes them there from the journal.

    own segments, as they grow  ─┐
    segments of processes that   ├─►  requests of up to 512 records  ──►  receiver  ──►  cursor  ──►  the segment may go
    died, of the same service   ─┘        (again, halved, set aside)

Several lanes, of several processes, work in one folder: a segment's cursor is locked by whoever sends it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from leadtrace.errors import JournalError
from leadtrace.journal.aside import put_aside
from leadtrace.journal.delivering import LONGEST_ASKED_S, GaveUpError, Piece, deliver
from leadtrace.journal.folder import NO_ROOM, LaneState
from leadtrace.journal.frames import RECORDS, Type, erased_kind
from leadtrace.journal.recovery import recover
from leadtrace.journal.segment import Segment, SegmentReader
from leadtrace.journal.tombstones import JournalTombstones
from leadtrace.journal.transport import uninstrumented
from leadtrace.journal.volatile import VolatileReader, VolatileWriting

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadtrace.journal.answers import Answer
    from leadtrace.journal.cursor import Cursor
    from leadtrace.journal.endpoints import Kind
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.frames import Frame
    from leadtrace.journal.transport import Transport
    from leadtrace.journal.volatile import VolatileCursor
    from leadtrace.journal.writing import Writing

__all__ = ["Lane"]

_log = logging.getLogger("leadtrace")

_BATCH: Final = 512
_BATCH_BYTES: Final = 1 << 20
_LOOK_EVERY_S: Final = 2.0
"""How often segments of other processes are looked for."""
_SAY_EVERY_S: Final = 5.0


class _Open:
    """A segment in hand: its reader, and its cursor, once they could be opened."""

    def __init__(
        self,
        segment: Segment,
        reader: SegmentReader | None = None,
        cursor: Cursor | VolatileCursor | None = None,
        memory: VolatileWriting | None = None,
    ) -> None:
        self.segment = segment
        self._reader = reader
        self.cursor = cursor
        self.memory = memory
        """The segment itself, where it lies in memory."""
        self.counted = False
        """Whether what had been settled of it before is counted."""

    @classmethod
    def of_memory(cls, writing: VolatileWriting, lane: str) -> _Open:
        return cls(writing.segment, VolatileReader(writing), writing.cursor(lane), writing)

    @property
    def reader(self) -> SegmentReader:
        """Raises OSError where it cannot be opened."""
        if self._reader is None:
            self._reader = SegmentReader(self.segment)
        return self._reader

    def open(self, folder: Folder, lane: str) -> bool:
        """Open what is not open yet; false where another has the cursor. Raises OSError."""
        found = self.reader
        if self.cursor is None:
            self.cursor = folder.cursor(lane, found.segment)
        return self.cursor is not None

    @property
    def elsewhere(self) -> bool:
        """Whether under its name there is another file by now, because the disk went and came back; raises OSError."""
        return self._reader is not None and self.memory is None and not self._reader.is_at_its_path()

    def close(self) -> None:
        """Let go of what is open; `open` may open it again."""
        if self._reader is not None and self.memory is None:
            self._reader.close()
            self._reader = None
        if self.cursor is not None:
            self.cursor.close()
            self.cursor = None


class _ErasedMeanwhileError(Exception):
    """A lead was erased while a batch waited for its receiver: what it holds is to be read again."""


class Lane:
    """Sends one kind of records to one destination.

    `service`: only segments of that service are taken over from other processes; None: of any. `adopt` false: own segments
    alone. `interval_s` is how long a record waits for others to go with.
    """

    def __init__(
        self,
        folder: Folder,
        destination: str,
        kind: Kind,
        transport: Transport,
        *,
        service: str | None = None,
        adopt: bool = True,
        interval_s: float = 0.2,
    ) -> None:
        self.name: Final = f"{destination}.{kind}"
        self.kind: Final = kind
        self._folder = folder
        self._transport = transport
        self._service = service
        self._adopt = adopt
        self._interval_s = interval_s
        self._erased = JournalTombstones(folder)
        self.on_settled: Callable[[], None] | None = None
        self.restart()

    def restart(self) -> None:
        """The state of a process that has sent nothing yet: at the beginning, and in a forked child."""
        self._lock = threading.RLock()  # re-entrant: a finalizer may append, and start this lane, in its own thread
        self._ended = self._left_behind = False
        self._settled = threading.Condition(threading.Lock())
        self._own: list[_Open] = []
        self.done = 0
        """Own records that were acknowledged or set aside."""
        self.acknowledged = self.aside = self.retries = self.damaged = 0
        self.last_error = ""
        self.failing = False
        self.given_up = False
        self.idle = False
        self._hurry = False
        self._stop = False
        self._give_up_at: float | None = None
        self._tries = 0  # failures in a row that end it, once it is to end; 0: none does
        self._in_a_row = 0
        self._look_at = 0.0
        self._said_at = 0.0
        self._seen = self._erased.state
        self._warned: set[str] = set()
        # A SimpleQueue may be put to from a finalizer that interrupts a put of the same thread; an Event may not.
        self.wake: SimpleQueue[None] = SimpleQueue()
        self.thread: threading.Thread | None = None

    def forget(self) -> None:
        """In a forked child: let go of what is the parent's, and begin anew."""
        for one in self._own:
            one.close()
        self._transport.reset()
        self.restart()

    def start(self) -> None:
        with self._lock:
            if self.thread is None and not self._stop:
                self.thread = threading.Thread(target=self._run, name=f"leadtrace-{self.name}", daemon=True)
                try:
                    self.thread.start()
                except RuntimeError:  # the interpreter is shutting down: what waits is in the journal
                    self.thread = None

    def take(self, writing: Writing) -> None:
        """A new segment of this process; its cursor is taken at once, so that nobody else sends from it.

        Where files cannot be opened now they are when it is read.
        """
        if isinstance(writing, VolatileWriting):
            opened = _Open.of_memory(writing, self.name)
        else:
            opened = _Open(writing.segment)
            with contextlib.suppress(OSError):
                opened.open(self._folder, self.name)
        with self._lock:
            self._own.append(opened)

    def leave(self, writing: VolatileWriting) -> None:
        """One in memory that is held for nobody's sake any longer."""
        with self._lock:
            self._own = [one for one in self._own if one.memory is not writing]

    def nudge(self, *, hurry: bool = False) -> None:
        if hurry:
            self._hurry = True
        if self.idle or hurry:
            self.idle = False
            self.wake.put(None)

    def wait_for(self, target: int, timeout_s: float) -> bool:
        """Wait until so many own records are settled; false where time ran out or the lane gave up."""
        with self._settled:
            self._settled.wait_for(lambda: self.done >= target or self.given_up, max(0.0, timeout_s))
        return self.done >= target

    def stop(self, until: float, *, patient: bool) -> None:
        """Give up at that time (monotonic) at the latest; not `patient`: after one more failure."""
        self._tries = 0 if patient else 1
        self._give_up_at = until
        self._stop = True
        self.wake.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; false where it still waits for its receiver and is left behind."""
        thread = self.thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def close(self) -> None:
        """Let go of all segments: now, or where the thread still waits for its receiver once it ends."""
        with self._lock:
            if self.thread is not None and not self._ended:
                self._left_behind = True
                return
        self._let_go()

    def _let_go(self) -> None:
        for one in self._own:
            one.close()
        self._own.clear()
        self._transport.close()

    def sweep(self, until: float, *, tries: int = 1) -> bool:
        """One pass over all that there is, in the calling thread; whether anything moved.

        Raises GaveUpError at that time (monotonic), or after so many failures of the receiver in a row.
        """
        self._give_up_at, self._tries = until, tries
        with uninstrumented():
            self._look_at = 0.0
            return self._pass()

    def settle_ends(self) -> None:
        """Read the seals of own segments of which all is sent, so that they go; sends nothing. After the thread's end."""
        for one in list(self._own):
            cursor = one.cursor
            if cursor is None:
                continue
            rest = one.reader.read(cursor.progress.offset).frames
            if not any(RECORDS.get(frame.type) == self.kind for frame in rest):
                self._drain(one, cursor, own=True)
            if cursor.progress.done:
                self._own.remove(one)
                one.close()
                self._folder.remove_if_done(one.segment)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with uninstrumented():
            try:
                while True:
                    moved = False
                    try:
                        moved = self._pass()
                    except OSError as why:  # a disk that is full, a folder that went: what waits stays where it is
                        self._trouble(f"the journal cannot be read or its cursors written: {why}")
                        self._hurry = False
                        self._sleep(1.0)
                    except GaveUpError:
                        raise
                    except Exception as why:  # noqa: BLE001 - a lane that ends sends nothing any more
                        self._trouble(f"a lane of the journal stumbled: {type(why).__name__}: {why}")
                        self._hurry = False
                        self._sleep(1.0)
                    if self._stop and not moved:
                        return
                    if not moved:
                        self._rest()
                    elif not self._hurry and not self._stop:
                        self._sleep(self._interval_s)  # so that small records go together
            except GaveUpError:
                pass
            finally:
                with self._settled:
                    self.given_up = True
                    self._settled.notify_all()
                with self._lock:
                    self._ended = True
                    left = self._left_behind
                if left:
                    self._let_go()

    def _pass(self) -> bool:
        with self._lock:
            own = list(self._own)
        moved = False
        failed: OSError | None = None
        for one in own:
            try:
                moved |= self._pass_own(one)
            except OSError as why:  # those behind it may lie elsewhere: in memory, where the disk fails
                failed = why
                self._look_where_it_is(one)
        if failed is not None:
            raise failed
        now = time.monotonic()
        if self._adopt and now >= self._look_at and not self._stop:
            more = self._adopt_others()
            self._look_at = 0.0 if more and own else time.monotonic() + _LOOK_EVERY_S
            moved |= more
        return moved

    def _look_where_it_is(self, one: _Open) -> None:
        """What cannot be read may be a file of a disk that was taken away: it is opened anew where that came back."""
        try:
            if one.elsewhere:
                one.close()
        except FileNotFoundError:  # as one of a process that died, once it is there again
            self._end_own(one)
        except OSError:
            pass

    def _pass_own(self, one: _Open) -> bool:
        try:
            if not one.open(self._folder, self.name):
                return False
        except FileNotFoundError:  # it went before it could be read
            self._end_own(one)
            return False
        cursor = one.cursor
        if cursor is None:
            return False
        if not one.counted:
            one.counted = True
            progress = cursor.progress
            self._count(progress.acknowledged + progress.set_aside + progress.erased)
        moved = self._drain(one, cursor, own=True)
        if cursor.progress.done:
            if not cursor.saved:
                self._save(cursor)
            if cursor.saved:  # else nobody would know of it: all of it would be sent again
                self._end_own(one)
                self._folder.remove_if_done(one.segment)
        return moved

    def _end_own(self, one: _Open) -> None:
        with self._lock:
            if one in self._own:  # one in memory may have been left meanwhile
                self._own.remove(one)
        one.close()

    def _adopt_others(self) -> bool:
        """What others left; one segment at a time, where this process has records of its own to send between."""
        moved = False
        with self._lock:
            own = {one.segment for one in self._own}
        for segment in self._folder.segments():
            if segment in own:
                continue
            try:
                moved |= self._adopt_one(segment)
            except (GaveUpError, OSError):
                raise
            except Exception as why:  # noqa: BLE001 - one that cannot be read must not hold up those behind it
                self._trouble(f"the journal's segment {segment.stem} cannot be sent: {type(why).__name__}: {why}")
            if moved and own:
                break
        return moved

    def _adopt_one(self, segment: Segment) -> bool:
        if self._folder.progress(self.name, segment).done:
            if not self._folder.remove_if_done(segment):
                self._seal_again(segment)
            return False
        with contextlib.ExitStack() as held:
            try:
                reader = held.enter_context(SegmentReader(segment))
            except OSError:
                return False
            head = reader.head
            if (self._service is not None and head.service != self._service) or (
                head.lanes and self.name not in head.lanes
            ):
                return False
            if reader.seal is None:
                recover(self._folder, segment)  # nothing where its writer lives
            cursor = self._folder.cursor(self.name, segment)
            if cursor is None:
                return False
            held.callback(cursor.close)
            self._save_or_leave(cursor)
            moved = self._drain(_Open(segment, reader, cursor), cursor, own=False)
            done = cursor.progress.done
        if done:
            self._folder.remove_if_done(segment)
        return moved

    def _seal_again(self, segment: Segment) -> None:
        """One that is done and has no seal lost it with the machine: nothing else would ever let it go."""
        with contextlib.suppress(OSError):
            with SegmentReader(segment) as reader:
                sealed = reader.seal is not None
            if not sealed:
                recover(self._folder, segment)

    def _save_or_leave(self, cursor: Cursor) -> None:
        """Of a dead process nobody remembers how far it has come: where that cannot be noted it would be sent again and
        again. Raises OSError then; on a full disk it goes on, because what leaves makes room."""
        try:
            self._folder.with_reserve(cursor.save)
        except OSError as why:
            if why.errno not in NO_ROOM:
                raise

    def _drain(self, one: _Open, cursor: Cursor | VolatileCursor, *, own: bool) -> bool:
        """Send what there is of a segment; whether there was any."""
        progress = cursor.progress
        moved = False
        while not progress.done:
            self._seen = self._erased.state  # before anything is read: who is erased from here on is noticed at sending
            part = one.reader.read(progress.offset)
            if part.end == progress.offset:
                break
            if self._erased.look():
                self._erase_late(one, part.frames)
                part = one.reader.read(progress.offset)
            try:
                moved |= self._send_all(one, cursor, part.frames, own)
            except _ErasedMeanwhileError:
                continue  # from where the cursor stands, and as it is written now
            damaged = sum(end - start for start, end in part.damaged)
            if damaged:
                progress.damaged += damaged
                self.damaged += damaged
                _log.error(
                    "leadtrace: %d bytes of the journal's segment %s are damaged and passed over",
                    damaged,
                    one.segment.stem,
                )
            progress.offset = part.end
            last = part.frames[-1] if part.frames else None
            progress.done = last is not None and last.type is Type.SEAL and last.end == part.end == one.reader.size
            self._save(cursor)
        return moved

    def _send_all(self, one: _Open, cursor: Cursor | VolatileCursor, frames: list[Frame], own: bool) -> bool:
        """Send those records of a stretch, in batches; whether there were any."""
        progress = cursor.progress
        batch: list[Frame] = []
        size, moved = 0, False
        for frame in frames:
            if frame.type is Type.ERASED and erased_kind(frame) == self.kind:
                if batch:
                    self._send(one, cursor, batch, own)
                    batch, size = [], 0
                progress.erased += 1
                progress.offset = frame.end
                self._save(cursor)
                if own:
                    self._count(1)
                continue
            if RECORDS.get(frame.type) != self.kind:
                continue
            if batch and (len(batch) >= _BATCH or size + len(frame.body) > _BATCH_BYTES):
                self._send(one, cursor, batch, own)
                batch, size = [], 0
            batch.append(frame)
            size += len(frame.body)
            moved = True
        if batch:
            self._send(one, cursor, batch, own)
        return moved

    def _erase_late(self, one: _Open, frames: list[Frame]) -> None:
        """What was recorded of erased leads after they were: removed here, and not sent."""
        from leadtrace.journal.removal import erase_late

        erase_late(self._folder, one.memory or one.segment, frames, self.kind, self._erased.gone)

    def _send(self, one: _Open, cursor: Cursor | VolatileCursor, frames: list[Frame], own: bool) -> None:
        batch: Piece = [(one.reader.signal(frame.signal, self.kind), frame.record) for frame in frames]
        resource, progress = one.reader.head.resource, cursor.progress
        at = 0
        for piece, aside, why in deliver(self._transport, self.kind, resource, batch, self):
            if aside:
                self._put_aside(one, resource, piece, why, aside)
                self._tell_aside(aside, why)
            at += len(piece)
            progress.acknowledged += len(piece) - aside
            progress.set_aside += aside
            progress.offset = frames[at - 1].end
            self._save(cursor)
            self.acknowledged += len(piece) - aside
            self.aside += aside
            if own:
                self._count(len(piece))

    def _put_aside(self, one: _Open, resource: bytes, piece: Piece, why: str, count: int) -> None:
        try:
            self._folder.with_reserve(
                lambda: put_aside(self._folder, self.name, one.segment, resource, piece, why, count)
            )
        except (OSError, JournalError):
            if one.memory is None:
                raise
            one.memory.asides.append((self.name, resource, piece, why, count))

    def _save(self, cursor: Cursor | VolatileCursor) -> None:
        """Where it cannot be noted, sending goes on all the same: to send twice is safe, and what leaves makes room."""
        try:
            self._folder.with_reserve(cursor.save)
        except OSError as why:
            if why.errno not in NO_ROOM:
                self._tell_once(f"how far {self.name} has come cannot be noted: {why}")

    def _count(self, settled: int) -> None:
        with self._settled:
            self.done += settled
            self._settled.notify_all()
        if self.on_settled is not None:
            self.on_settled()

    def _tell_aside(self, count: int, why: str) -> None:
        self.last_error = why
        if self._is_news(why):
            _log.warning("leadtrace: %d records (%s) are set aside: %s", count, self.kind, why)

    def _tell_once(self, why: str) -> None:
        self.last_error = why
        if self._is_news(why):
            _log.error("leadtrace: %s", why)

    def _is_news(self, why: str) -> bool:
        news = why not in self._warned and len(self._warned) < 100
        self._warned.add(why)
        return news

    def _trouble(self, why: str) -> None:
        if why != self.last_error:
            self.last_error = why
            _log.error("leadtrace: %s", why)
        if self._stop:
            raise GaveUpError(why)

    def _rest(self) -> None:
        """Wait until there may be something to do."""
        self._hurry = False
        self.idle = True
        with contextlib.suppress(Empty):
            self.wake.get(timeout=max(0.05, self._look_at - time.monotonic()) if self._adopt else None)
        self.idle = False
        if not self._hurry and not self._stop:
            self._sleep(self._interval_s)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stop and not self._hurry and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(Empty):
                self.wake.get(timeout=left)

    # --- patience, as `deliver` asks for it ---------------------------------------------------------------------------

    def sending(self) -> None:
        if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
            raise GaveUpError("time is up")
        if self._erased.state != self._seen:
            raise _ErasedMeanwhileError

    def failed(self, answer: Answer) -> None:
        self.retries += 1
        self.last_error = answer.why
        if not self.failing:
            self.failing = True
            _log.warning("leadtrace: %s cannot be delivered now and wait in the journal (%s)", self.kind, answer.why)
            self._said_at = 0.0
        self._say(LaneState(self._folder.lane_state(self.name).acknowledged_ns, time.time_ns(), answer.why))
        self._in_a_row += 1
        if 0 < self._tries <= self._in_a_row:
            raise GaveUpError(answer.why)

    def answered(self) -> None:
        self._in_a_row = 0
        if self.failing:
            self.failing = False
            self._said_at = 0.0
        self._say(LaneState(acknowledged_ns=time.time_ns()))

    def _say(self, state: LaneState) -> None:
        now = time.monotonic()
        if now - self._said_at >= _SAY_EVERY_S or self._said_at == 0.0:
            self._said_at = now
            self._folder.say_lane_state(self.name, state)

    def wait(self, wait_s: float, asked: bool) -> None:
        """A flush or the end cuts it short, but not what the receiver asked, which is believed up to an hour."""
        until = time.monotonic() + min(wait_s, LONGEST_ASKED_S)
        while True:
            end = self._give_up_at
            hurry, self._hurry = self._hurry, False
            now = time.monotonic()
            if end is not None and (now >= end or 0 < self._tries <= self._in_a_row or (asked and until > end)):
                raise GaveUpError("the process ends")
            if not asked and (hurry or end is not None):
                until = min(until, now + (0.05 if hurry else 0.25))
            if now >= until:
                return
            with contextlib.suppress(Empty):
                self.wake.get(timeout=(until if end is None else min(until, end)) - now)
