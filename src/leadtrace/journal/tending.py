"""The thread behind a journal's sink: what is due is synced, large segments are left, what needs somebody is told.

It does all that takes the disk's time or another process's, so that who appends need not.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from leadtrace.journal.books import prune_books

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leadtrace.journal.durability import Durability
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.lanes import Lane
    from leadtrace.journal.once import Once
    from leadtrace.journal.turning import Bounds, Turning

__all__ = ["Tending"]

_log = logging.getLogger("leadtrace")

_WARN_AT: Final = 0.7
_WARN_OF_ASIDE_AT: Final = 0.25
_ROOM_AGAIN: Final = 0.95
_SYNC_EVERY_S: Final = 0.1
_LOOK_EVERY_S: Final = 1.0
_PRUNE_EVERY_S: Final = 3600.0
_DOUBT_EVERY_S: Final = 60.0


class Tending:
    """`tell_losses` is called when there is room to tell what was refused; `appended` are the records of each kind so far."""

    def __init__(
        self,
        folder: Folder,
        bounds: Bounds,
        turning: Turning,
        durability: Durability,
        lanes: Sequence[Lane],
        lock: threading.RLock,
        once: Once,
        *,
        warn_age_s: float,
        appended: Callable[[str], int],
        tell_losses: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._bounds = bounds
        self._turning = turning
        self._durability = durability
        self._lanes = lanes
        self._lock = lock
        self._once = once
        self._warn_age_s = warn_age_s
        self._appended = appended
        self._tell_losses = tell_losses
        self.full = False
        """Whether something found no room, and there is none yet."""
        self.thread: threading.Thread | None = None
        """None until it was started, and where the interpreter starts no more."""
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._noted_sequence = 0
        self._progress: dict[str, tuple[int, float]] = {}

    def start(self) -> None:
        """The lock is held."""
        if self.thread is None and not self._turning.closed:
            self.thread = threading.Thread(target=self._run, name="leadtrace-journal", daemon=True)
            try:
                self.thread.start()
            except RuntimeError:  # the interpreter is shutting down
                self.thread = None

    def wake(self) -> None:
        """Look now whether something is due."""
        self._wake.put(None)

    def _run(self) -> None:
        next_look = next_pruning = next_doubt = 0.0
        while not self._turning.closed:
            dirty = self._durability.fsync == "interval" and self._durability.due
            with contextlib.suppress(Empty):
                self._wake.get(timeout=_SYNC_EVERY_S if dirty else _LOOK_EVERY_S)
            try:
                if self._durability.due:
                    self._durability.sync(self._turning.segments)
                writing = self._turning.writing
                now = time.monotonic()
                doubtful = self._durability.failed and now >= next_doubt
                large = writing is not None and writing.bytes - writing.carried >= self._bounds.segment
                if doubtful:  # what comes does not lie behind what the disk forgot
                    next_doubt = now + _DOUBT_EVERY_S
                    self._durability.failed = False
                    self._once.over("fsync")
                if large or doubtful or now >= next_look:
                    next_look = now + _LOOK_EVERY_S
                    self._look(large or (doubtful and writing is not None))
                    self._once.over("tend")
                if now >= next_pruning:
                    next_pruning = now + _PRUNE_EVERY_S
                    prune_books(self._folder, time.time())
            except OSError as why:
                self._once.warn("tend", f"the journal cannot be tended: {why}")
            except Exception:  # noqa: BLE001 - this thread must go on
                _log.exception("leadtrace: the journal could not be tended")

    def _look(self, due: bool) -> None:
        """`due`: a new segment is to be begun."""
        turning = self._turning
        if turning.volatile.segments:
            turning.look_at_memory()
        if not turning.in_memory:
            self._look_at_room()
            if not self._look_at_segment(due):
                return
            self.note_last()
            turning.finish_retiring()
            self._warn_of_age()
            self._folder.keep_reserve()
        self._tell_where_there_is_room()

    def _look_at_room(self) -> None:
        """Count what is on the disk, by all processes."""
        turning, capacity = self._turning, self._bounds.capacity
        aside = self._folder.aside_bytes()  # it is on the same disk, and somebody has to look at it
        everything = self._folder.bytes()
        if aside >= capacity * _WARN_OF_ASIDE_AT:
            self._once.warn(
                "aside",
                f"{aside >> 20} MiB of the journal are records that receivers refused: see leadtrace journal aside",
            )
        with self._lock:
            turning.own = turning.writing.bytes if turning.writing else 0
            turning.others = aside + max(0, everything - turning.own)
            used = turning.others + turning.own
        if used >= capacity * _WARN_AT:
            self._once.warn("fill", f"the journal is {used / capacity:.0%} full ({used >> 20} MiB wait)")
        else:
            self._once.over("fill")

    def _look_at_segment(self, due: bool) -> bool:
        """Go on in a new one where that is due; false where the old one was gone."""
        writing = self._turning.writing
        if writing is None:
            return True
        if not writing.segment.path.exists():
            self._turning.replace_removed(writing)
            return False
        if due or (writing.records and self._folder.asked_to_rotate(writing.segment.boot)):
            self._turning.rotate()
        return True

    def note_last(self) -> None:
        """Note the number of the last event beside the segments, for where a machine loses the end of one."""
        writing, last = self._turning.writing, self._turning.last_sequence
        if writing is not None and last != self._noted_sequence:
            self._noted_sequence = last
            self._folder.note_last(writing.segment.boot, last)

    def _tell_where_there_is_room(self) -> None:
        turning = self._turning
        with self._lock:
            if self.full and turning.others + turning.own > turning.bound * _ROOM_AGAIN:
                return
            self.full = False
        self._tell_losses()

    def _warn_of_age(self) -> None:
        """Of other segments the files say how old they are; of what this process waits for, its own clock."""
        own = {one.segment for one in self._turning.segments()}
        began = []
        for one in self._folder.segments():
            if one not in own:
                with contextlib.suppress(OSError):
                    began.append(one.path.stat().st_mtime)
        now = time.monotonic()
        oldest = time.time() - min(began) if began else 0.0
        for lane in self._lanes:
            done, since = self._progress.get(lane.name, (-1, now))
            if done != lane.done or done >= self._appended(lane.kind):
                done, since = lane.done, now
            self._progress[lane.name] = (done, since)
            oldest = max(oldest, now - since)
        if oldest > self._warn_age_s:
            self._once.warn("age", f"records wait in the journal for more than {self._warn_age_s / 3600:.1f} h")
        else:
            self._once.over("age")
