"""How far one receiver has come in one segment: a small file, locked by whoever sends, rewritten at each acknowledgement."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from leadtrace.journal.locks import open_locked

if TYPE_CHECKING:
    from pathlib import Path

    from leadtrace.journal.locks import Locked
    from leadtrace.journal.segment import Segment

__all__ = ["Cursor", "Progress", "read_progress"]

_SIZE = 1024


@dataclass(slots=True)
class Progress:
    """What is done of a segment, in records of the lane's kind."""

    offset: int = 0
    acknowledged: int = 0
    set_aside: int = 0
    erased: int = 0
    """Removed with a person's data before they were sent."""
    damaged: int = 0
    """Bytes that held no intact frame."""
    done: bool = False
    """The segment is sealed and all of it has been dealt with."""
    kept: list[str] = field(default_factory=list)
    """Kinds of records that wait for readers of their own, as the seal tells."""
    forgotten: int = 0
    """Let go of unsent, because the receiver is there no longer."""

    def packed(self) -> bytes:
        text = json.dumps(asdict(self)).encode()
        return f"{zlib.crc32(text):08x} ".encode() + text + b"\n"

    @classmethod
    def unpacked(cls, content: bytes) -> Progress:
        """From the beginning, where the content is damaged: sending twice is safe, skipping is not."""
        crc, _, text = content.rstrip(b"\0 ").partition(b"\n")[0].partition(b" ")
        try:
            if int(crc, 16) == zlib.crc32(text):
                return cls(**json.loads(text))
        except (ValueError, TypeError):
            pass
        return cls()


def read_progress(folder: Path, segment: Segment) -> Progress:
    """As it stands, without a lock."""
    try:
        return Progress.unpacked((folder / segment.stem).read_bytes())
    except OSError:
        return Progress()


class Cursor:
    """The right to send one segment to one receiver, and how far that has come."""

    def __init__(self, file: Locked, progress: Progress) -> None:
        """Use `of` or `made`."""
        self._file = file
        self.progress = progress
        self.saved = True
        """Whether the file says what `progress` says, as far as the last `save` knows."""

    @classmethod
    def made(cls, folder: Path, segment: Segment, progress: Progress) -> Cursor:
        """The cursor of a segment that nobody can see yet, with what is done of it already. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = open_locked(folder / segment.stem, os.O_RDWR | os.O_CREAT)
        if file is None:
            raise OSError(errno.EAGAIN, "a new cursor is locked by another")
        found = cls(file, progress)
        try:
            found.save()
        except BaseException:
            file.close()
            raise
        return found

    @classmethod
    def of(cls, folder: Path, segment: Segment) -> Cursor | None:
        """The cursor of that segment in a lane's folder; None where another sender has it or the segment is gone."""
        path = folder / segment.stem
        flags = os.O_RDWR | os.O_CREAT
        try:
            file = open_locked(path, flags)
        except FileNotFoundError:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = open_locked(path, flags)
        if file is None:
            return None
        try:
            if not segment.path.exists():  # it went while we looked: whoever removed it held this lock
                path.unlink(missing_ok=True)
                file.close()
                return None
            found = cls(file, Progress.unpacked(os.pread(file.descriptor, _SIZE, 0)))
            if not os.fstat(file.descriptor).st_size:
                with contextlib.suppress(OSError):
                    found.save()  # its room on the disk, while there is some: later it is only overwritten
        except BaseException:
            file.close()
            raise
        return found

    def save(self) -> None:
        """Write down how far it has come. Survives the process; where the machine dies, some is sent again."""
        self.saved = False
        os.pwrite(self._file.descriptor, self.progress.packed().ljust(_SIZE), 0)
        self.saved = True

    def close(self) -> None:
        self._file.close()
