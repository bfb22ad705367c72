"""One file of the journal: who writes it, how it is locked, how it is read while it grows.

    BOOT-NUMBER-SALT.ltj      the process's boot id, which of its segments, the salt of the checksums

A segment is locked (flock) by its writer from before it can be seen until it is sealed, so a free lock on one without a
seal means that its process died. A forked child inherits no lock: it closes what it inherited and opens its own.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from leadtrace.journal.frames import LONGEST, Frame, Scan, Type, pack, scan
from leadtrace.journal.locks import open_locked
from leadtrace.otlp.sink import Signal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leadtrace.journal.locks import Locked

__all__ = [
    "Head",
    "Segment",
    "SegmentReader",
    "append_whole",
    "create",
    "lock_of_the_dead",
    "pack_signal",
    "sync_folder",
]

_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9]{6,})-([0-9a-f]{8})\.ltj")
FORMAT: Final = 1
"""The form of segments that is written and read here, said in their heads; a head that says none is of the first."""
CHUNK: Final = 1 << 20
NO_SIGNAL: Final = 0xFFFE
"""The number of a signal that found none in its segment; the one above it is for recovery."""
_HEAD_BYTES: Final = 256 << 10
_TAIL: Final = 64 << 10


@dataclass(slots=True, frozen=True, order=True)
class Segment:
    """A segment by its name."""

    boot: str
    number: int
    salt: int
    path: Path = field(compare=False)

    @classmethod
    def of(cls, path: Path) -> Segment | None:
        """The segment of that path; None where the name is none of ours."""
        found = _NAME.fullmatch(path.name)
        return cls(found[1], int(found[2]), int(found[3], 16), path) if found else None

    @classmethod
    def new(cls, folder: Path, head: Head) -> Segment:
        """The segment that is to be made for that head, with a salt of its own."""
        salt = secrets.randbits(32)
        return cls(head.boot, head.number, salt, folder / f"{head.boot}-{head.number:06d}-{salt:08x}.ltj")

    @property
    def stem(self) -> str:
        return self.path.stem


@dataclass(slots=True, frozen=True)
class Head:
    """Who wrote a segment. Empty where both copies of it are damaged."""

    boot: str = ""
    number: int = 0
    pid: int = 0
    host: str = ""
    service: str = ""
    started_ns: int = 0
    first_sequence: int = 1
    """The first event of that process that is in the journal; what was made before had no journal."""
    lanes: tuple[str, ...] = ()
    """Who must have acknowledged the segment before it goes: `DESTINATION.KIND`."""
    resource: bytes = b""
    """The encoded resource that its records share."""
    format: int = FORMAT
    machine: str = ""
    """The start of the machine on which it was begun, '' where that has no name."""
    uptime_ns: int = 0
    """Since then, at `started_ns`: the same distance for all segments of it while nobody sets the clock."""

    def as_json(self) -> bytes:
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "resource"}
        return json.dumps({**shown, "resource": self.resource.hex()}).encode()

    def packed(self, salt: int) -> bytes:
        """Its frame, twice: what a segment begins with."""
        return pack(Type.HEAD, self.as_json(), salt) * 2

    @classmethod
    def from_json(cls, body: bytes) -> Head:
        try:
            said = json.loads(body)
            form = int(said.get("format", 1))
            if form > FORMAT:  # whatever else it says, in whatever form
                return cls(format=form, service=str(said.get("service", "")))
            return cls(
                str(said["boot"]),
                int(said["number"]),
                int(said["pid"]),
                str(said["host"]),
                str(said["service"]),
                int(said["started_ns"]),
                int(said["first_sequence"]),
                tuple(str(one) for one in said["lanes"]),
                bytes.fromhex(said["resource"]),
                form,
                str(said.get("machine", "")),
                int(said.get("uptime_ns", 0)),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


def create(folder: Path, head: Head) -> tuple[Segment, Locked]:
    """A new segment, locked and with its head in it before anybody can see it; and the file to append to."""
    segment = Segment.new(folder, head)
    draft = folder / f".{segment.path.name}"
    file = open_locked(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND)
    if file is None:
        raise OSError(errno.EAGAIN, "a new file is locked by another")
    try:
        append_whole(file.descriptor, head.packed(segment.salt))
        os.rename(draft, segment.path)
    except BaseException:
        file.close()
        draft.unlink(missing_ok=True)
        raise
    return segment, file


def append_whole(descriptor: int, content: bytes) -> None:
    """Append all of it or nothing, where nobody else writes; raises OSError where there is no room."""
    size = os.fstat(descriptor).st_size
    written = os.write(descriptor, content)
    if written != len(content):
        os.ftruncate(descriptor, size)
        raise OSError(errno.ENOSPC, "no space left")


def sync_data(descriptor: int) -> None:
    """Make what was written outlive the machine; macOS knows no fdatasync."""
    (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(descriptor)


def sync_folder(folder: Path) -> None:
    """Make names in a folder outlive the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock_of_the_dead(segment: Segment) -> Iterator[int | None]:
    """The segment's lock, as a descriptor to append to, where its writer is gone; None where it lives or another has it."""
    try:
        file = open_locked(segment.path, os.O_RDWR | os.O_APPEND)
    except OSError:
        file = None
    if file is None:
        yield None
        return
    try:
        yield file.descriptor if segment.path.exists() else None
    finally:
        file.close()


class SegmentReader:
    """Reads a segment, also while it is written. Not for several threads at once; close it."""

    def __init__(self, segment: Segment) -> None:
        """Raises OSError where it cannot be opened; FileNotFoundError where it is gone."""
        self.segment = segment
        self._open()
        self._head: Head | None = None
        self._signals: dict[int, Signal] = {}
        self._known_to = 0  # up to where signals have been gathered

    def __enter__(self) -> SegmentReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        self._descriptor = os.open(self.segment.path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def is_at_its_path(self) -> bool:
        """Whether that file is still the one of its name. Raises OSError, FileNotFoundError where there is none."""
        return os.path.samestat(os.fstat(self._descriptor), self.segment.path.stat())

    def _bytes(self, length: int, offset: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    @property
    def head(self) -> Head:
        if self._head is None:
            found = scan(self._bytes(_HEAD_BYTES, 0), 0, self.segment.salt, whole=False)
            self._head = next((Head.from_json(one.body) for one in found.frames if one.type is Type.HEAD), Head())
        return self._head

    @property
    def seal(self) -> dict[str, Any] | None:
        """What the seal at its end says, None where it has none (yet)."""
        size = self.size
        start = max(0, size - _TAIL)
        found = scan(self._bytes(_TAIL, start), start, self.segment.salt, whole=False)
        last = found.frames[-1] if found.frames else None
        if last is None or last.type is not Type.SEAL or last.end != size:
            return None
        try:
            return cast("dict[str, Any]", json.loads(last.body))
        except ValueError:
            return {}

    def read(self, offset: int, *, whole: bool = False) -> Scan:
        """Frames from that offset on, about a mebibyte of them; `whole` where nothing more will be written.

        Its `end` is where to go on; the same as `offset` where nothing more is there yet.
        """
        if offset > self._known_to:
            self._gather_signals(offset)
        length = CHUNK
        while True:
            data = self._bytes(length, offset)
            at_end = len(data) < length
            found = scan(data, offset, self.segment.salt, whole=whole and at_end)
            if found.end > offset or at_end or length > 4 * LONGEST:
                break
            length *= 4  # one frame is longer than that, or the damage is
        if found.damaged:  # somebody may have been overwriting a frame in this moment: see removal
            again = scan(self._bytes(length, offset), offset, self.segment.salt, whole=whole and at_end)
            found = again if again.end >= found.end else found
        self._learn(found.frames)
        self._known_to = max(self._known_to, found.end)
        return found

    def signal(self, number: int, kind: Literal["logs", "traces"]) -> Signal:
        """A record's signal; where that was damaged one without a scope, because the record itself is intact."""
        found = self._signals.get(number)
        if found is None or found.kind != kind:
            found = self._signals[number] = Signal(kind, b"")
        return found

    def _gather_signals(self, up_to: int) -> None:
        while (before := self._known_to) < up_to:
            if self.read(before).end == before:
                break
        self._known_to = max(self._known_to, up_to)

    def _learn(self, frames: list[Frame]) -> None:
        for one in frames:
            if one.type is Type.SIGNAL:
                number, signal = unpack_signal(one.body)
                self._signals.setdefault(number, signal)


def pack_signal(number: int, signal: Signal) -> bytes:
    """A signal's definition: number, kind, whether it is foreign, scope."""
    return (
        number.to_bytes(2, "little")
        + (b"l" if signal.kind == "logs" else b"t")
        + bytes((signal.foreign,))
        + signal.scope
    )


def unpack_signal(body: bytes) -> tuple[int, Signal]:
    kind: Literal["logs", "traces"] = "logs" if body[2:3] == b"l" else "traces"
    return int.from_bytes(body[:2], "little"), Signal(kind, body[4:], foreign=body[3:4] == b"\x01")
