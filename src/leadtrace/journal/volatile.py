"""Segments that no disk has: written in memory while the journal's disk takes nothing, sent from there, written out when it
is back.

    disk fails ──► a segment in memory, as large as a file would be ──► lanes, as from a file
                                      │
    disk is back ──► the same bytes under the same name, with the cursors as they stand; the process goes on in a new file

Such a segment is a file in all but where it lies: what was sent of it is sent once, and what is in the books is as it would be.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, ClassVar

from leadtrace.errors import JournalError
from leadtrace.journal.aside import put_aside
from leadtrace.journal.books import Figures, enter, note_erased
from leadtrace.journal.cursor import Cursor, Progress
from leadtrace.journal.locks import open_locked
from leadtrace.journal.segment import Segment, SegmentReader, append_whole, sync_folder
from leadtrace.journal.writing import Writing
from leadtrace.otlp.ranges import EMPTY, Ranges

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from leadtrace.journal.delivering import Piece
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.segment import Head

__all__ = ["Volatile", "VolatileCursor", "VolatileReader", "VolatileWriting"]


class VolatileCursor:
    """How far a lane has come in a segment in memory; in a file as well from when the segment is in one."""

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.progress = Progress()
        self._landed: Cursor | None = None
        self._closed = False

    @property
    def saved(self) -> bool:
        return self._landed is None or self._landed.saved

    def save(self) -> None:
        if self._landed is not None:
            self._landed.save()

    def land(self, folder: Folder, segment: Segment) -> None:
        """Have a file from now on, while its lane goes on. Raises OSError."""
        landed = self._landed = Cursor.made(folder.path / "cursors" / self.lane, segment, self.progress)
        said = b""
        while said != self.progress.packed():  # the lane may have come further meanwhile
            said = self.progress.packed()
            landed.save()
        if self._closed:
            landed.close()

    def take_off(self) -> None:
        """The segment got no file after all."""
        landed, self._landed = self._landed, None
        if landed is not None:
            landed.close()

    def close(self) -> None:
        self._closed = True
        if self._landed is not None:
            self._landed.close()


class VolatileWriting(Writing):
    """Appended to as a file is. That one append is whole before the next is bytearray's own doing."""

    volatile: ClassVar[bool] = True

    def __init__(self, folder: Folder, head: Head) -> None:
        self.segment = Segment.new(folder.segments_path, head)
        self._content = bytearray(head.packed(self.segment.salt))
        self._start(head, len(self._content))
        self.cursors: dict[str, VolatileCursor] = {}
        self.sealed = False
        self.by_kind: dict[str, int] = {}
        """Records of each kind, those that never leave under theirs."""
        self.asides: list[tuple[str, bytes, Piece, str, int]] = []
        """What receivers refused for good: lane, resource, records, why, how many of them."""
        self.erased: dict[str, Ranges] = {}
        """Numbers that were removed with a person's data and are not in the books yet, by boot."""
        self.erased_spans = 0

    @property
    def size(self) -> int:
        return len(self._content)

    def write(self, content: bytes) -> None:
        self._content += content

    def read(self, length: int, offset: int) -> bytes:
        return bytes(self._content[offset : offset + length])

    def overwrite(self, content: bytes, offset: int) -> None:
        self._content[offset : offset + len(content)] = content

    def sync(self) -> None:
        """Nothing makes it outlive the process."""

    def _write_seal(self, folder: Folder, frame: bytes) -> None:  # noqa: ARG002 - as a file's
        self.write(frame)
        self.sealed = True

    def close(self) -> None:
        """Nobody else could have it."""

    def cursor(self, lane: str) -> VolatileCursor:
        """That lane's, made with the first call."""
        return self.cursors.setdefault(lane, VolatileCursor(lane))

    def note_erased(self, boot: str, numbers: Ranges, spans: int) -> None:
        self.erased[boot] = self.erased.get(boot, EMPTY) | numbers
        self.erased_spans += spans

    def waiting(self, required: Collection[str]) -> dict[str, int]:
        """Records by kind that one of those lanes has not settled, and all that are kept for others."""
        left = dict(self.by_kind)
        for kind in ("logs", "traces"):
            settled = [
                one.progress.acknowledged + one.progress.set_aside + one.progress.erased
                for lane, one in self.cursors.items()
                if lane in required and lane.endswith(kind)
            ]
            left[kind] = left.get(kind, 0) - min(settled, default=0)
        return {kind: count for kind, count in left.items() if count > 0}

    def done(self, required: Collection[str]) -> bool:
        """Whether nothing of it is left to do."""
        lanes = [self.cursors[lane] for lane in required if lane in self.cursors]
        return self.sealed and not self.kept and not self.asides and all(one.progress.done for one in lanes)

    def land(self, folder: Folder, *, durable: bool) -> None:
        """Become a file, with what was sent of it noted beside it. Raises OSError or JournalError: then it is as before."""
        for boot, numbers in list(self.erased.items()):
            note_erased(folder, boot, numbers, self.erased_spans if boot == self.segment.boot else 0)
            del self.erased[boot]
        path = self.segment.path
        draft = path.with_name(f".{path.name}")
        draft.unlink(missing_ok=True)
        file = open_locked(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        if file is None:
            raise JournalError(f"another process has {draft} in hand")
        try:
            append_whole(file.descriptor, bytes(self._content))
            if durable:
                os.fsync(file.descriptor)
            while self.asides:
                lane, resource, records, why, count = self.asides[0]
                put_aside(folder, lane, self.segment, resource, records, why, count)
                del self.asides[0]
            for cursor in self.cursors.values():  # before anybody can see it and send it again
                cursor.land(folder, self.segment)
            os.rename(draft, path)
        except BaseException:
            for cursor in self.cursors.values():
                cursor.take_off()
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        finally:
            file.close()
        if durable:
            sync_folder(path.parent)


class VolatileReader(SegmentReader):
    """Reads a segment in memory."""

    def __init__(self, writing: VolatileWriting) -> None:
        self._writing = writing
        super().__init__(writing.segment)

    def _open(self) -> None:
        """It lies open."""

    def close(self) -> None:
        """It goes with the last who knows it."""

    @property
    def size(self) -> int:
        return self._writing.size

    def _bytes(self, length: int, offset: int) -> bytes:
        return self._writing.read(length, offset)


class Volatile:
    """The segments of this process that no disk has, the oldest first. The list changes under the sink's lock."""

    def __init__(self, folder: Folder, required: Collection[str]) -> None:
        self._folder = folder
        self._required = required
        self.segments: list[VolatileWriting] = []
        self._figures: Figures | None = None
        """Of those that were sent from memory as a whole."""
        self._erased: dict[str, tuple[Ranges, int]] = {}

    @property
    def bytes(self) -> int:
        return sum(one.size for one in self.segments)

    @property
    def waiting(self) -> dict[str, int]:
        """Records by kind that are lost if the process dies now."""
        found: dict[str, int] = {}
        for one in self.segments:
            for kind, count in one.waiting(self._required).items():
                found[kind] = found.get(kind, 0) + count
        return found

    def begin(self, head: Head) -> VolatileWriting:
        made = VolatileWriting(self._folder, head)
        self.segments.append(made)
        return made

    def done(self) -> list[VolatileWriting]:
        """Those that all required lanes are done with: to be held no longer, and to be remembered."""
        return [one for one in self.segments if one.done(self._required)]

    def remember(self, one: VolatileWriting) -> None:
        """Keep the figures of one that is held no longer, for the books. From one thread."""
        progress: Mapping[str, Progress] = {lane: cursor.progress for lane, cursor in one.cursors.items()}
        figures = Figures.of(VolatileReader(one), progress)
        if self._figures is None:
            self._figures = figures
        else:
            self._figures.add(figures)
        for boot, numbers in one.erased.items():
            before = self._erased.get(boot, (EMPTY, 0))
            spans = one.erased_spans if boot == one.segment.boot else 0
            self._erased[boot] = (before[0] | numbers, before[1] + spans)

    def land(self, *, durable: bool, even_open: bool = False) -> int:
        """Write out what has ended, and the figures of what is gone; how many records waited there.

        `even_open`: what has no end as well, because nothing comes any more. Raises OSError or JournalError.
        """
        if self._figures is not None:
            enter(self._folder, self._figures.head.boot, self._figures)
            self._figures = None
        for boot, (numbers, spans) in list(self._erased.items()):
            note_erased(self._folder, boot, numbers, spans)
            del self._erased[boot]
        landed = 0
        for one in [one for one in self.segments if one.sealed or even_open]:
            one.until_quiet()
            waited = sum(one.waiting(self._required).values())
            one.land(self._folder, durable=durable)
            self.segments.remove(one)
            self._folder.remove_if_done(one.segment)
            landed += waited
        return landed
