"""The sink in memory: bounded, sent in the background, in order, tried again without end.

    append ──► queue of logs   ──► thread ──► requests of up to 512 records ──► receiver
           └─► queue of traces ──► thread ──►                                   (retry, split, set aside)

Each kind of records has a lane of its own, so that a receiver that cannot take one kind holds up nothing of the
other. What is queued counts until it is acknowledged or set aside. As it fills, spans of other libraries are refused
first, then spans of leadtrace, events last. What a process has not sent when it dies is lost: this sink promises order
and no silent loss while the process lives, not more.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from leadtrace.journal.delivering import LONGEST_ASKED_S, GaveUpError, Piece, deliver
from leadtrace.journal.losses import Losses, Lost, SetAside, Statistics
from leadtrace.journal.transport import uninstrumented
from leadtrace.otlp.sink import Receipt, Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadtrace.journal.answers import Answer
    from leadtrace.journal.endpoints import Kind
    from leadtrace.journal.transport import Transport

__all__ = ["MemorySink"]

_log = logging.getLogger("leadtrace")

_IN_MEMORY = Receipt("", saved=False, why="in memory")
_FULL = Receipt("", saved=False, why="full")
_CLOSED = Receipt("", saved=False, why="closed")
_OFF = Receipt("", saved=False, why="off")

_FOREIGN_SPANS, _SPANS = 0.8, 0.9  # of the capacity; events may fill all of it
_ROOM_AGAIN = 0.5
EXIT_S = 5.0
"""How long the end of a process waits for a receiver that answers; one that does not gets one more try."""


class _Lane:
    """The queue of one kind, and the thread that empties it. All but `wake` is touched under the sink's lock only."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.restart()

    def restart(self) -> None:
        self.queue: deque[tuple[Signal, bytes]] = deque()
        self.queued_bytes = 0
        self.appended = 0
        self.done = 0
        self.thread: threading.Thread | None = None
        self.idle = False
        self.hurry = False
        self.failing = False
        self.given_up = False
        # A SimpleQueue may be put to from a finalizer that interrupts a put of the same thread; an Event may not.
        self.wake: SimpleQueue[None] = SimpleQueue()


class MemorySink:
    """A `Sink` that holds records in memory until `transport` has delivered them.

    `resource` is the encoded head that all requests share. `capacity` and `capacity_bytes` bound what waits; `batch`
    and `batch_bytes` a request; `kept_capacity` and `kept_capacity_bytes` what is kept and not yet taken. `interval_s` is
    how long a record waits for others to go with. `on_loss` is told, on the sending thread, what was refused once there
    is room again.
    """

    def __init__(
        self,
        transport: Transport,
        resource: bytes,
        *,
        capacity: int = 100_000,
        capacity_bytes: int = 64 << 20,
        batch: int = 512,
        batch_bytes: int = 1 << 20,
        interval_s: float = 0.2,
        on_loss: Callable[[Lost], None] | None = None,
        kept_capacity: int = 10_000,
        kept_capacity_bytes: int = 16 << 20,
        exit_s: float = EXIT_S,
    ) -> None:
        self.resource = resource
        self.on_loss = on_loss
        self._transport = transport
        self._capacity, self._capacity_bytes = capacity, capacity_bytes
        self._kept_capacity, self._kept_capacity_bytes = kept_capacity, kept_capacity_bytes
        self._batch, self._batch_bytes, self._interval_s = batch, batch_bytes, interval_s
        self._lanes: dict[Kind, _Lane] = {kind: _Lane(kind) for kind in sorted(transport.kinds)}
        self._closing = self._closed = self._retired = False
        self._exit_s = exit_s
        self._renew()
        _living.add(self)

    def _renew(self) -> None:
        """The state of a process that has sent nothing yet: at the beginning, and in a forked child."""
        self._lock = threading.RLock()  # re-entrant: a finalizer may append while its own thread appends
        self._settled = threading.Condition(threading.Lock())
        self._count = self._bytes = self._sent = self._retries = 0
        self._last_error = ""
        self._warned: set[str] = set()
        self._losses = Losses()
        self._kept: dict[str, deque[bytes]] = {}
        self._kept_count = self._kept_bytes = 0
        self._give_up_at: float | None = None
        self._patient = True

    # The appending side

    def start(self) -> None:
        """Nothing to do: the threads start with the first record."""

    def append(
        self,
        signal: Signal,
        record: bytes,
        *,
        uid: str = "",  # noqa: ARG002 - what is in memory has no books
        opens: int = 0,  # noqa: ARG002 - nor anything to recover
        closes: int = 0,  # noqa: ARG002
    ) -> Receipt:
        """Queue one record; refused where there is no room, where nobody takes its kind, and after `close`."""
        kind = signal.kind
        lane = self._lanes.get(kind)
        if lane is None:
            return _OFF
        size = len(record)
        with self._lock:
            if self._closed:
                self._losses.drop(kind, "closed", time.time_ns())
                return _CLOSED
            share = 1.0 if kind == "logs" else _FOREIGN_SPANS if signal.foreign else _SPANS
            if self._count >= self._capacity * share or self._bytes + size > self._capacity_bytes * share:
                self._losses.drop(kind, "full", time.time_ns())
                return _FULL
            lane.queue.append((signal, record))
            before = lane.queued_bytes
            lane.queued_bytes = before + size
            lane.appended += 1
            self._count += 1
            self._bytes += size
            if lane.idle:
                lane.idle = False
                lane.wake.put(None)
            elif len(lane.queue) == self._batch or before < self._batch_bytes <= lane.queued_bytes:
                lane.wake.put(None)
            if lane.thread is None:
                self._start(lane)
        return _IN_MEMORY

    def keep(self, kind: str, content: bytes) -> Receipt:
        """Hold one record for whoever takes that kind in this process (`take_kept`); refused where there is no room."""
        with self._lock:
            if self._closed:
                self._losses.drop(kind, "closed", time.time_ns())
                return _CLOSED
            if self._kept_count >= self._kept_capacity or self._kept_bytes + len(content) > self._kept_capacity_bytes:
                self._losses.drop(kind, "full", time.time_ns())
                return _FULL
            self._kept.setdefault(kind, deque()).append(content)
            self._kept_count += 1
            self._kept_bytes += len(content)
        return _IN_MEMORY

    def take_kept(self, kind: str) -> list[bytes]:
        """What was kept of that kind, in order; it is the caller's from here on."""
        with self._lock:
            found = self._kept.pop(kind, None) or ()
            self._kept_count -= len(found)
            self._kept_bytes -= sum(map(len, found))
        if found:
            self._tell_losses()
        return list(found)

    def _start(self, lane: _Lane) -> None:
        lane.thread = threading.Thread(target=self._run, args=(lane,), name=f"leadtrace-{lane.kind}", daemon=True)
        try:
            lane.thread.start()
        except RuntimeError:  # the interpreter is shutting down: `close` sends what is left
            lane.thread = None

    @property
    def stats(self) -> Statistics:
        with self._lock:
            return Statistics(
                self._sent,
                self._count,
                self._count,
                self._losses.dropped,
                self._losses.aside_count,
                self._retries,
                self._last_error,
            )

    @property
    def aside(self) -> list[SetAside]:
        """The last that were set aside, with what the receiver said."""
        with self._lock:
            return list(self._losses.aside)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was appended before is acknowledged or set aside; false where time ran out first."""
        with self._lock:
            targets = {kind: lane.appended for kind, lane in self._lanes.items()}
            until = time.monotonic() + timeout_s
            for lane in self._lanes.values():
                if lane.done < lane.appended:
                    lane.hurry = True
                    lane.wake.put(None)
        for lane in self._lanes.values():
            if lane.thread is None and lane.queue:
                self._drain(lane, until)
        with self._settled:
            return self._settled.wait_for(
                lambda: all(lane.done >= targets[kind] or lane.given_up for kind, lane in self._lanes.items()),
                max(0.0, until - time.monotonic()),
            ) and all(lane.done >= targets[kind] for kind, lane in self._lanes.items())

    def close(self, timeout_s: float, *, patient: bool = True) -> None:
        """Send what is queued, at most that long, and stop; not `patient`: give up after one more failure."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._patient = patient
            self._give_up_at = until = time.monotonic() + timeout_s
        if self.flush(timeout_s):
            self._tell_losses()
            self.flush(until - time.monotonic())
        with self._lock:
            self._closed = True
            left = self._count
            threads = [lane.thread for lane in self._lanes.values() if lane.thread is not None]
            for lane in self._lanes.values():
                if lane.queue or lane.done < lane.appended:
                    self._losses.drop(lane.kind, "closed", time.time_ns(), lane.appended - lane.done)
                    self._count -= len(lane.queue)
                    self._bytes -= lane.queued_bytes
                    lane.queue.clear()
                    lane.queued_bytes = 0
                lane.wake.put(None)
            for kind, waiting in self._kept.items():
                self._losses.drop(kind, "closed", time.time_ns(), len(waiting))
            untaken, self._kept_count, self._kept_bytes = self._kept_count, 0, 0
            self._kept.clear()
        for thread in threads:
            thread.join(0.2 if left else 1.0)  # one that waits for a receiver is left behind: it is a daemon
        if not any(thread.is_alive() for thread in threads):
            self._transport.close()
        if left:
            _log.warning(
                "leadtrace: %d records were not delivered before the end (%s)", left, self._last_error or "slow"
            )
        if untaken:
            _log.warning("leadtrace: %d kept records were not taken before the end and are lost", untaken)
        _living.discard(self)

    def retire(self) -> None:
        """Send what is queued in the background and let the threads end; another sink has taken the place."""
        with self._lock:
            self._retired = True
            for lane in self._lanes.values():
                lane.wake.put(None)

    # The sending side

    def _run(self, lane: _Lane) -> None:
        with uninstrumented():
            while batch := self._next(lane):
                if not self._deliver(lane, batch):
                    with self._settled:
                        lane.given_up = True
                        self._settled.notify_all()
                    return

    def _drain(self, lane: _Lane, until: float) -> None:
        """Send from the calling thread, where no other can be started any more."""
        with uninstrumented():
            self._patient, self._give_up_at = False, until
            while lane.queue and time.monotonic() < until:
                if not self._deliver(lane, self._take(lane)):
                    return

    def _next(self, lane: _Lane) -> list[tuple[Signal, bytes]] | None:
        """Wait for records, then for more to go with them; None when the sink is closed and the lane empty."""
        while True:
            with self._lock:
                if lane.queue:
                    break
                if self._closed or self._retired:
                    lane.thread = None
                    return None
                lane.idle = True
            lane.wake.get()
        until = time.monotonic() + self._interval_s
        while True:
            with self._lock:
                whole = len(lane.queue) >= self._batch or lane.queued_bytes >= self._batch_bytes
                if whole or lane.hurry or self._closed:
                    break
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                lane.wake.get(timeout=left)
            except Empty:
                break
        return self._take(lane)

    def _take(self, lane: _Lane) -> list[tuple[Signal, bytes]]:
        batch: list[tuple[Signal, bytes]] = []
        size = 0
        with self._lock:
            while lane.queue and len(batch) < self._batch:
                size += len(lane.queue[0][1])
                if batch and size > self._batch_bytes:
                    break
                batch.append(lane.queue.popleft())
                lane.queued_bytes -= len(batch[-1][1])
            if not lane.queue:
                lane.hurry = False
        return batch

    def _deliver(self, lane: _Lane, batch: Piece) -> bool:
        """Bring a batch to its receiver, in pieces where it refuses the whole; false where it was given up."""
        try:
            for piece, aside, why in deliver(self._transport, lane.kind, self.resource, batch, _Waiting(self, lane)):
                self._settle(lane, piece, aside, why)
        except GaveUpError:
            return False
        return True

    def _failed(self, lane: _Lane, answer: Answer) -> None:
        with self._lock:
            self._retries += 1
            self._last_error = answer.why
            first, lane.failing = not lane.failing, True
        if first:
            _log.warning("leadtrace: %s cannot be delivered now and wait in memory (%s)", lane.kind, answer.why)

    def _pause(self, lane: _Lane, wait_s: float, asked: bool) -> bool:
        """Wait before the next try. A flush or the end cuts it short, but not what the receiver asked. False: give up."""
        until = time.monotonic() + min(wait_s, LONGEST_ASKED_S)
        while True:
            with self._lock:
                end = self._give_up_at
                hurry, lane.hurry = lane.hurry, False
            now = time.monotonic()
            if end is not None and (now >= end or (asked and until > end)):
                return False
            if not asked and (hurry or end is not None):
                until = min(until, now + (0.05 if hurry else 0.25))
            if now >= until:
                return True
            try:
                lane.wake.get(timeout=(until if end is None else min(until, end)) - now)
            except Empty:
                continue

    def _settle(self, lane: _Lane, piece: list[tuple[Signal, bytes]], aside: int, why: str) -> None:
        """Take a piece off the account: it is acknowledged, or set aside."""
        news = False
        with self._lock:
            self._count -= len(piece)
            self._bytes -= sum(len(record) for _, record in piece)
            self._sent += len(piece) - aside
            if aside:
                self._last_error = why
                self._losses.put_aside(lane.kind, [record for _, record in piece], aside, why, time.time_ns())
                news = why not in self._warned and len(self._warned) < 100
                self._warned.add(why)
            room = self._count <= self._capacity * _ROOM_AGAIN and self._bytes <= self._capacity_bytes * _ROOM_AGAIN
        if room:
            self._tell_losses()  # before the piece counts as done: who flushes next finds it told
        with self._settled:
            lane.done += len(piece)
            self._settled.notify_all()
        if news:
            _log.warning("leadtrace: %d records (%s) are set aside: %s", aside, lane.kind, why)

    def _tell_losses(self) -> None:
        with self._lock:
            losses = self._losses.take_untold()
        for lost in losses:
            _log.warning("leadtrace: %d records (%s) were refused: %s", lost.count, lost.kind, lost.why)
            if self.on_loss is not None:
                try:
                    self.on_loss(lost)
                except Exception:  # noqa: BLE001 - the sending goes on
                    _log.exception("leadtrace: a loss could not be told")

    def _after_fork(self) -> None:
        """In a child: what was queued belongs to the parent, which sends it."""
        self._renew()
        for lane in self._lanes.values():
            lane.restart()
        self._transport.reset()


class _Waiting:
    """The patience of a lane: a failure while the sink closes impatiently is the last one."""

    def __init__(self, sink: MemorySink, lane: _Lane) -> None:
        self._sink = sink
        self._lane = lane
        self._closing = False

    def sending(self) -> None:
        with self._sink._lock:
            self._closing = self._sink._give_up_at is not None

    def failed(self, answer: Answer) -> None:
        self._sink._failed(self._lane, answer)
        if self._closing and not self._sink._patient:
            raise GaveUpError(answer.why)

    def answered(self) -> None:
        self._lane.failing = False

    def wait(self, wait_s: float, asked: bool) -> None:
        if not self._sink._pause(self._lane, wait_s, asked):
            raise GaveUpError("the sink closes")


_living: weakref.WeakSet[MemorySink] = weakref.WeakSet()


def _in_child() -> None:
    for sink in list(_living):
        sink._after_fork()


@atexit.register
def _at_exit() -> None:
    for sink in list(_living):
        sink.close(sink._exit_s, patient=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
