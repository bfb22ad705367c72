"""The journal's folder: its segments, how far every receiver has come in them, what was set aside, what went.

    JOURNAL/
      segments/BOOT-NUMBER-SALT.ltj         what was recorded; goes when everybody who must has acknowledged it
      cursors/DESTINATION.KIND/BOOT-…       how far that receiver has come in that segment
      cursors/kept.KIND/BOOT-…              the same for records that never leave over OTLP
      aside/DESTINATION.KIND.jsonl          what a receiver refused for good, with the reason
      ledger/BOOT.json                      what became of the segments of a process that are gone
      lanes/DESTINATION.KIND.json           the last answer of a receiver
      numbers/BOOT                          the number of the last event that a process wrote, as of a second ago
      rotate/BOOT                           asks a living process to go on in a new segment
      reserve                               room to close and send what is there when the disk is full

All of it is readable by its owner only.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from leadtrace.errors import JournalError
from leadtrace.journal.cursor import Cursor, Progress, read_progress
from leadtrace.journal.locks import open_locked
from leadtrace.journal.segment import FORMAT, Head, Segment, SegmentReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["NO_ROOM", "Folder", "LaneState", "Unread", "write_whole"]

T = TypeVar("T")

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of a full disk, quota or file."""
_RESERVE: Final = 128 << 10
_FOLDERS: Final = ("segments", "cursors", "aside", "ledger", "lanes", "numbers", "rotate")


@dataclass(slots=True, frozen=True)
class LaneState:
    """What a receiver last said; times are Unix nanoseconds, 0 for never."""

    acknowledged_ns: int = 0
    failed_ns: int = 0
    error: str = ""


@dataclass(slots=True, frozen=True)
class Unread:
    """A segment in a form that is not known here."""

    path: Path
    format: int
    """What its head says; 0 where not even its name is known."""
    boot: str
    service: str


class Folder:
    """One journal's folder. Any process and any thread may use it; what must not happen twice is locked by file."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.segments_path: Final = path / "segments"
        self._heads: dict[str, Head] = {}
        """Of segments that were seen, by name: a head never changes."""

    def make(self) -> None:
        """Make what is missing. Raises JournalError where that cannot be, or where nothing can be written into it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in _FOLDERS:
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
            probe = self.segments_path / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            probe.unlink()
        except OSError as cause:
            raise JournalError(
                f"the journal's folder {self.path} cannot be written", cause=cause.strerror or str(cause)
            ) from cause
        self.keep_reserve()

    def keep_reserve(self) -> None:
        """Set some room aside, where there is enough."""
        reserve = self.path / "reserve"
        with contextlib.suppress(OSError):
            space = os.statvfs(self.path)
            if not reserve.exists() and space.f_bavail * space.f_frsize > 4 * _RESERVE:
                write_whole(reserve, b"\0" * _RESERVE, durable=False)

    def with_reserve(self, action: Callable[[], T]) -> T:
        """Do what lets records leave; where the disk is full, in the room that was set aside for it."""
        try:
            return action()
        except OSError as why:
            if why.errno not in NO_ROOM:
                raise
            try:
                (self.path / "reserve").unlink()
            except OSError:
                raise why from None
            return action()

    def exists(self) -> bool:
        return self.segments_path.is_dir()

    def segments(self) -> list[Segment]:
        """All that can be read here, those of a process in the order of their numbers."""
        found = (Segment.of(self.segments_path / name) for name in self._names())
        return sorted(one for one in found if one is not None and self._head(one).format <= FORMAT)

    def unread(self) -> list[Unread]:
        """What a later leadtrace wrote, in a form that is not known here: left as it is, by everybody."""
        found = []
        for name in sorted(self._names()):
            segment = Segment.of(self.segments_path / name)
            head = self._head(segment) if segment is not None else Head(format=0)
            if segment is None or head.format > FORMAT:
                boot = segment.boot if segment is not None else ""
                found.append(Unread(self.segments_path / name, head.format, boot, head.service))
        return found

    def _names(self) -> list[str]:
        """Of finished files: those that are just being made have a dot before them."""
        try:
            names = [name for name in os.listdir(self.segments_path) if not name.startswith(".")]
        except FileNotFoundError:
            return []
        for gone in self._heads.keys() - names:
            self._heads.pop(gone, None)
        return names

    def _head(self, segment: Segment) -> Head:
        found = self._heads.get(segment.path.name)
        if found is None:
            try:
                with SegmentReader(segment) as reader:
                    found = self._heads[segment.path.name] = reader.head
            except OSError:  # it went, or the disk fails: whoever reads it meets that
                return Head()
        return found

    def bytes(self) -> int:
        """How many bytes the segments take."""
        return _bytes_in(self.segments_path)

    def aside_bytes(self) -> int:
        """How many bytes what was set aside takes."""
        return _bytes_in(self.path / "aside")

    # --- cursors and the going of segments ----------------------------------------------------------------------------

    def lanes(self) -> list[str]:
        """Everybody who has ever read here: `DESTINATION.KIND`, `kept.KIND`."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(os.listdir(self.path / "cursors"))
        return []

    def cursor(self, lane: str, segment: Segment) -> Cursor | None:
        """The right to read that segment for a lane; None where another has it, or the segment is gone."""
        return Cursor.of(self.path / "cursors" / lane, segment)

    def progress(self, lane: str, segment: Segment) -> Progress:
        return read_progress(self.path / "cursors" / lane, segment)

    def required(self, head: Head, seal: dict[str, Any]) -> list[str]:
        """The lanes that must be done with a sealed segment before it goes; all there are where its head is damaged."""
        known = [lane for lane in self.lanes() if not lane.startswith("kept.")]
        if not head.boot and not known:
            known = ["unknown.logs"]  # nobody who sends has been here yet
        return [*(head.lanes if head.boot else known), *(f"kept.{kind}" for kind in seal.get("kept", ()))]

    def remove_if_done(self, segment: Segment) -> bool:
        """Let a segment go if all that must have are done with it; its books are kept."""
        try:
            reader = SegmentReader(segment)
        except OSError:
            return False
        with reader, contextlib.ExitStack() as held:
            seal = reader.seal
            if seal is None:
                return False
            lanes = self.required(reader.head, seal)
            if not all(self.progress(lane, segment).done for lane in lanes):
                return False
            for lane in lanes:
                cursor = self.cursor(lane, segment)
                if cursor is None:
                    return False  # somebody is at it: whoever ends last removes it
                held.callback(cursor.close)
                if not cursor.progress.done:
                    return False
            from leadtrace.journal.books import close_books

            self.with_reserve(lambda: close_books(self, segment, reader, lanes))
            segment.path.unlink(missing_ok=True)
            for lane in self.lanes():  # an optional one that is amid it goes on with the file that it has open
                (self.path / "cursors" / lane / segment.stem).unlink(missing_ok=True)
        return True

    # --- what receivers said ------------------------------------------------------------------------------------------

    def lane_state(self, lane: str) -> LaneState:
        try:
            return LaneState(**json.loads((self.path / "lanes" / f"{lane}.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return LaneState()

    def say_lane_state(self, lane: str, state: LaneState) -> None:
        """Overwritten as a whole; of two senders the last one counts."""
        shown = {name: getattr(state, name) for name in state.__dataclass_fields__}
        with contextlib.suppress(OSError):  # a disk that is full: the state is for people, not for the sending
            write_whole(self.path / "lanes" / f"{lane}.json", json.dumps(shown).encode(), durable=False)

    # --- how far a process came ---------------------------------------------------------------------------------------

    def note_last(self, boot: str, number: int) -> None:
        """Overwritten in its place: where the end of a process's segment is cut off it says how much is missing."""
        with contextlib.suppress(OSError):  # a disk that is full: then its segments alone say it
            descriptor = os.open(self.path / "numbers" / boot, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, b"%012x\n" % number, 0)
            finally:
                os.close(descriptor)

    def last_noted(self, boot: str) -> int:
        """0 where nothing, or nothing that can be read, was noted."""
        try:
            return int((self.path / "numbers" / boot).read_bytes()[:12], 16)
        except (OSError, ValueError):
            return 0

    # --- asking a living process --------------------------------------------------------------------------------------

    def ask_to_rotate(self, boot: str) -> None:
        """Have the process of that boot go on in a new segment; it does within a second or two."""
        (self.path / "rotate" / boot).touch(mode=0o600)

    def asked_to_rotate(self, boot: str) -> bool:
        """Whether that process has been asked; asking is forgotten with this."""
        try:
            (self.path / "rotate" / boot).unlink()
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def alone(self, name: str, timeout_s: float = 30.0) -> Iterator[None]:
        """A lock among processes, for short changes of the folder's own files."""
        until = time.monotonic() + timeout_s
        while (file := open_locked(self.path / f".{name}.lock", os.O_RDWR | os.O_CREAT)) is None:
            if time.monotonic() >= until:
                raise JournalError(f"another process holds {self.path / name} for too long")
            time.sleep(0.01)
        try:
            yield
        finally:
            file.close()


def _bytes_in(folder: Path) -> int:
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                total += entry.stat().st_size
    return total


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """The new content or the old one, never half of it; `durable`: also where the machine dies."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
