"""The journal's books: of every event that a process numbered, what became of it.

A segment that goes leaves its figures in `ledger/BOOT.json`, written before the segment is removed and with the
segment's number, so that a crash between the two counts nothing twice. What is still there is counted from the segments
themselves.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leadtrace.journal.aside import set_aside
from leadtrace.journal.folder import write_whole
from leadtrace.journal.frames import RECORDS, Type
from leadtrace.journal.segment import Segment, SegmentReader, lock_of_the_dead
from leadtrace.otlp.clock import ClockNote
from leadtrace.otlp.ledger import Ledger, sequence_of
from leadtrace.otlp.peek import uid_of
from leadtrace.otlp.ranges import EMPTY, Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.journal.cursor import Progress
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.segment import Head

__all__ = [
    "Contents",
    "Figures",
    "book_of",
    "clock_notes",
    "close_books",
    "contents",
    "enter",
    "ledgers",
    "note_erased",
    "prune_books",
    "refused_ends",
]

_KEPT_BOOKS_S = 90 * 86_400
_STALE_S = 3600
_READINGS = 10
_OF_LANES = ("acknowledged", "set_aside", "forgotten")


@dataclass(slots=True)
class Contents:
    """What lies in one segment, counted."""

    logs: int = 0
    traces: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    numbers: Ranges = EMPTY
    """Of the events of its own boot."""
    refused: Ranges = EMPTY
    refused_count: int = 0
    """Everything that found no room, spans too."""
    damaged: int = 0

    def add(self, more: Contents) -> None:
        """What lies in a further segment of the same process."""
        self.logs += more.logs
        self.traces += more.traces
        for kind, count in more.kept.items():
            self.kept[kind] = self.kept.get(kind, 0) + count
        self.numbers |= more.numbers
        self.refused |= more.refused
        self.refused_count += more.refused_count
        self.damaged += more.damaged


def contents(reader: SegmentReader, *, whole: bool = False) -> Contents:
    """Count a segment as far as it is written."""
    found = Contents()
    numbers: list[int] = []
    refused: list[list[int]] = []
    boot = reader.segment.boot
    offset = 0
    while True:
        part = reader.read(offset, whole=whole)
        found.damaged += sum(end - start for start, end in part.damaged)
        for frame in part.frames:
            kind = RECORDS.get(frame.type)
            if kind == "logs":
                found.logs += 1
                numbered = sequence_of(uid_of(frame.record))
                if numbered is not None and numbered[0] == boot:
                    numbers.append(numbered[1])
            elif kind == "traces":
                found.traces += 1
            elif frame.type is Type.KEPT:
                name = kept_kind(frame.body)
                found.kept[name] = found.kept.get(name, 0) + 1
            elif frame.type is Type.REFUSED:
                said = _json(frame.body)
                refused.extend(said.get("ranges", ()))
                found.refused_count += int(said.get("count", 0))
        if part.end == offset:
            break
        offset = part.end
    numbers.sort()
    found.numbers = Ranges.of_numbers(numbers)
    found.refused = Ranges.of(*refused)
    return found


def kept_kind(body: bytes) -> str:
    """The kind of a kept record."""
    return body[1 : 1 + body[0]].decode("utf-8", "replace") if body else ""


def refused_ends(body: bytes) -> list[int]:
    """The keys of words and spans that ended, though their ends found no room."""
    found = _json(body).get("ended", ())
    return [key for key in found if isinstance(key, int)] if isinstance(found, list) else []


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# --- the book of a boot -----------------------------------------------------------------------------------------------


def book_of(folder: Folder, boot: str) -> dict[str, Any]:
    """A process's book as it is written; an empty one where there is none."""
    try:
        found = json.loads((folder.path / "ledger" / f"{boot}.json").read_bytes())
    except (OSError, ValueError):
        found = {}
    if not isinstance(found, dict) or found.get("boot") != boot:
        found = {"boot": boot, "merged": [], "logs": 0, "traces": 0, "acknowledged": [], "refused": [], "erased": []}
    return found


def _write_book(folder: Folder, book: dict[str, Any]) -> None:
    book["written_ns"] = time.time_ns()
    write_whole(folder.path / "ledger" / f"{book['boot']}.json", json.dumps(book).encode())


def _add(book: dict[str, Any], name: str, more: Ranges) -> None:
    book[name] = (Ranges.of(*book.get(name, ())) | more).as_json()


@dataclass(slots=True)
class Figures:
    """What segments that go leave in the book of their process."""

    head: Head
    contents: Contents
    merged: list[int]
    """The numbers of those segments."""
    last_sequence: int = 0
    last_ns: int = 0
    lanes: dict[str, dict[str, int]] = field(default_factory=dict)
    """By lane, how many records were acknowledged, set aside, forgotten."""

    @classmethod
    def of(cls, reader: SegmentReader, progress: Mapping[str, Progress]) -> Figures:
        """Those of one segment, with how far each lane has come in it."""
        seal = reader.seal or {}
        return cls(
            reader.head,
            contents(reader),
            [reader.segment.number],
            int(seal.get("last_sequence", 0)),
            int(seal.get("last_ns", 0)),
            {lane: {name: getattr(one, name) for name in _OF_LANES} for lane, one in progress.items()},
        )

    def add(self, more: Figures) -> None:
        """Those of a later segment of the same process."""
        self.contents.add(more.contents)
        self.merged += more.merged
        self.last_sequence = max(self.last_sequence, more.last_sequence)
        self.last_ns = max(self.last_ns, more.last_ns)
        for lane, counts in more.lanes.items():
            _add_counts(self.lanes.setdefault(lane, {}), counts)


def _add_counts(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        sums[name] = sums.get(name, 0) + count


def close_books(folder: Folder, segment: Segment, reader: SegmentReader, lanes: Iterable[str]) -> None:
    """Put the figures of a segment that goes into its process's book. The caller holds all its cursors."""
    enter(folder, segment.boot, Figures.of(reader, {lane: folder.progress(lane, segment) for lane in lanes}))


def enter(folder: Folder, boot: str, told: Figures) -> None:
    """Put figures into the book of that process; those of a segment that are there already are not put there twice."""
    head, counted = told.head, told.contents
    with folder.alone("ledger"):
        book = book_of(folder, boot)
        if not set(told.merged).isdisjoint(book["merged"]):
            return
        book["merged"] += told.merged
        book.update(pid=head.pid, host=head.host, service=head.service, started_ns=head.started_ns)
        if head.machine:
            book["clock"] = [head.machine, head.uptime_ns, head.started_ns]
        book["first_sequence"] = min(book.get("first_sequence", head.first_sequence), head.first_sequence)
        book["last_sequence"] = max(book.get("last_sequence", 0), told.last_sequence, folder.last_noted(boot))
        book["ended_ns"] = max(book.get("ended_ns", 0), told.last_ns)
        book["logs"] += counted.logs
        book["traces"] += counted.traces
        book["damaged"] = book.get("damaged", 0) + counted.damaged
        book["refused_count"] = book.get("refused_count", 0) + counted.refused_count
        by_lane = book.setdefault("lanes", {})
        for lane, counts in told.lanes.items():
            _add_counts(by_lane.setdefault(lane, {}), counts)
        _add(book, "acknowledged", counted.numbers)
        _add(book, "refused", counted.refused)
        _write_book(folder, book)


def note_erased(folder: Folder, boot: str, numbers: Ranges, spans: int = 0) -> None:
    """Numbers that `erase` removed: known of for ever, and no loss."""
    with folder.alone("ledger"):
        book = book_of(folder, boot)
        _add(book, "erased", numbers)
        book["erased_spans"] = book.get("erased_spans", 0) + spans
        _write_book(folder, book)


def prune_books(folder: Folder, now_s: float) -> None:
    """Forget processes of which nothing is left and whose book has not changed for 90 days, and cursors into segments
    that are gone.
    """
    segments, unread = folder.segments(), folder.unread()
    living = {one.boot for one in segments} | {one.boot for one in unread}
    stems = {one.stem for one in segments} | {one.path.stem for one in unread}
    for lane in folder.lanes():
        for cursor in (folder.path / "cursors" / lane).iterdir():
            with contextlib.suppress(OSError):
                if cursor.name not in stems and now_s - cursor.stat().st_mtime > _STALE_S:
                    cursor.unlink()
    for name in ("rotate", "numbers"):  # the books have the number by now
        for said in (folder.path / name).glob("*"):
            with contextlib.suppress(OSError):
                if said.name not in living and now_s - said.stat().st_mtime > _STALE_S:
                    said.unlink()
    for path in (folder.path / "ledger").glob("*.json"):
        try:
            if path.stem not in living and now_s - path.stat().st_mtime > _KEPT_BOOKS_S:
                path.unlink()
        except OSError:
            continue


# --- the whole of it --------------------------------------------------------------------------------------------------


def ledgers(folder: Folder) -> list[Ledger]:
    """What the journal accounts for, a ledger for each process that it knows, the oldest first.

    Read again where a segment went into the books or another was begun meanwhile: its numbers would seem to be missing.
    """
    for _ in range(_READINGS):
        before = _standing(folder)
        found = _ledgers(folder)
        if _standing(folder) == before:
            break
    return found


def _standing(folder: Folder) -> tuple[list[Segment], set[tuple[str, int, int]]]:
    """What changes when a segment begins or ends: the segments, and the books as they were last written."""
    books = set()
    for path in (folder.path / "ledger").glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            there = path.stat()
            books.add((path.stem, there.st_ino, there.st_mtime_ns))
    return folder.segments(), books


def _ledgers(folder: Folder) -> list[Ledger]:
    aside: dict[str, list[int]] = {}
    for one in set_aside(folder):
        numbered = sequence_of(one.uid)
        if numbered is not None:
            aside.setdefault(numbered[0], []).append(numbered[1])
    segments: dict[str, list[Segment]] = {}
    for segment in folder.segments():
        segments.setdefault(segment.boot, []).append(segment)
    boots = {path.stem for path in (folder.path / "ledger").glob("*.json")} | set(segments)
    unread = {one.boot for one in folder.unread()}
    found = [_ledger(folder, boot, segments.get(boot, ()), aside.get(boot, ()), boot in unread) for boot in boots]
    return sorted(found, key=lambda one: (one.started_ns, one.boot))


def clock_notes(folder: Folder) -> list[ClockNote]:
    """What each process's last segments say of the machine's clock, those that are gone by the books; in no order."""
    found = []
    for path in (folder.path / "ledger").glob("*.json"):
        book = book_of(folder, path.stem)
        if isinstance(noted := book.get("clock"), list):
            machine, uptime, wall = noted
            found.append(
                ClockNote(str(machine), book["host"], int(uptime), int(wall), path.stem, book["service"], book["pid"])
            )
    for segment in folder.segments():
        with contextlib.suppress(OSError), SegmentReader(segment) as reader:
            head = reader.head
            if head.machine:
                found.append(
                    ClockNote(
                        head.machine, head.host, head.uptime_ns, head.started_ns, head.boot, head.service, head.pid
                    )
                )
    return found


def _ledger(folder: Folder, boot: str, segments: Iterable[Segment], aside: Iterable[int], unread: bool) -> Ledger:
    book = book_of(folder, boot)
    acknowledged = Ranges.of(*book.get("acknowledged", ()))
    refused = Ranges.of(*book.get("refused", ()))
    erased = Ranges.of(*book.get("erased", ()))
    waiting, alive = EMPTY, False
    last, first = max(book.get("last_sequence", 0), folder.last_noted(boot)), book.get("first_sequence", 0)
    ended, started = book.get("ended_ns", 0), book.get("started_ns", 0)
    service, pid, host = book.get("service", ""), book.get("pid", 0), book.get("host", "")
    for segment in segments:
        if segment.number in book["merged"]:
            continue  # its figures are in the book; whoever wrote them died before removing it
        try:
            reader = SegmentReader(segment)
        except OSError:
            continue
        with reader:
            head, seal = reader.head, reader.seal
            if head.boot:
                service, pid, host = head.service, head.pid, head.host
                started = started or head.started_ns
                first = min(first, head.first_sequence) if first else head.first_sequence
            if seal is None:
                with lock_of_the_dead(segment) as dead:
                    alive = alive or dead is None
            counted = contents(reader)
            done = _acknowledged_in(folder, segment, reader)
            acknowledged |= done & counted.numbers
            waiting |= counted.numbers - done
            refused |= counted.refused
            last = max(last, int((seal or {}).get("last_sequence", 0)))
            ended = max(ended, int((seal or {}).get("last_ns", 0)))
    set_apart = Ranges.of_numbers(sorted(aside)) - erased
    known = acknowledged | waiting | set_apart
    last = max([last, *(run[1] for one in (known, refused, erased) for run in one.runs[-1:])])
    if first > 1:
        refused |= Ranges.of((1, first - 1)) - known
    return Ledger(
        boot,
        str(service),
        int(pid),
        str(host),
        int(started),
        int(ended),
        alive,
        last,
        acknowledged - set_apart - erased,
        waiting - erased,
        set_apart,
        refused - known - erased,
        erased,
        unread,
    )


def _acknowledged_in(folder: Folder, segment: Segment, reader: SegmentReader) -> Ranges:
    """The numbers that stand before the cursors of all its lanes for events."""
    lanes = [lane for lane in reader.head.lanes if lane.endswith(".logs")]
    offset = min((folder.progress(lane, segment).offset for lane in lanes), default=0)
    numbers: list[int] = []
    at = 0
    while at < offset:
        part = reader.read(at)
        for frame in part.frames:
            if frame.end <= offset and RECORDS.get(frame.type) == "logs":
                numbered = sequence_of(uid_of(frame.record))
                if numbered is not None and numbered[0] == segment.boot:
                    numbers.append(numbered[1])
        if part.end == at:
            break
        at = part.end
    return Ranges.of_numbers(sorted(numbers))
