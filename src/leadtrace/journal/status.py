"""How the journal stands: what waits for whom, since when, and what is wrong."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from leadtrace.journal.aside import set_aside
from leadtrace.journal.books import book_of
from leadtrace.journal.frames import RECORDS
from leadtrace.journal.recovery import unfinished
from leadtrace.journal.segment import SegmentReader, lock_of_the_dead

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from leadtrace.journal.folder import Folder

__all__ = ["LaneStatus", "Status", "abandoned_do", "status", "unread_told"]

_MOST_NAMED = 5


@dataclass(slots=True)
class LaneStatus:
    """One receiver and one kind of records."""

    lane: str
    waiting: int = 0
    acknowledged_ns: int = 0
    failed_ns: int = 0
    error: str = ""
    forgotten: int = 0
    """Let go of unsent, by `leadtrace journal forget`."""
    abandoned: bool = False
    """Whether something waits, and nobody sends there any more: neither a living process nor, by its settings, who asks."""

    @property
    def destination(self) -> str:
        return self.lane.rpartition(".")[0]

    @property
    def failing(self) -> bool:
        """Whether its last answer was a failure, with something to send."""
        return self.failed_ns > self.acknowledged_ns and self.waiting > 0


@dataclass(slots=True)
class Status:
    """A journal at one moment. Times are Unix nanoseconds, 0 for none."""

    folder: str
    lanes: list[LaneStatus] = field(default_factory=list)
    segments: int = 0
    bytes: int = 0
    oldest_ns: int = 0
    """When the oldest segment was begun that somebody waits for."""
    alive: int = 0
    """Processes that write now."""
    dead: int = 0
    """Processes that died and were not taken over yet."""
    open_words: int = 0
    open_spans: int = 0
    set_aside: int = 0
    refused: int = 0
    damaged: int = 0
    """Bytes."""
    unread: list[str] = field(default_factory=list)
    """Segments that only a later leadtrace can read, by name: what waits there is counted nowhere here."""
    unreadable: int = 0
    """Segments that the disk does not give; nor is what waits there counted."""
    unreadable_why: str = ""

    @property
    def waiting(self) -> int:
        """Records, for the receiver that has most before it."""
        kinds: dict[str, int] = {}
        for one in self.lanes:
            kind = one.lane.rpartition(".")[2]
            kinds[kind] = max(kinds.get(kind, 0), one.waiting)
        return sum(kinds.values())

    @property
    def wrong(self) -> bool:
        needs_somebody = self.set_aside or self.refused or self.damaged or self.unread or self.unreadable
        return bool(needs_somebody or any(one.failing or one.abandoned for one in self.lanes))

    def as_json(self) -> dict[str, Any]:
        return {"schema": "leadtrace.journal/1", "waiting": self.waiting, "wrong": self.wrong, **asdict(self)}

    def lines(self, now_ns: int) -> Iterator[str]:
        """For a person."""
        age = f", the oldest for {_span(now_ns - self.oldest_ns)}" if self.oldest_ns and self.waiting else ""
        yield f"{self.folder}: {self.waiting} records wait{age}; {self.segments} segments, {self.bytes / (1 << 20):.1f} MiB"
        yield f"processes: {self.alive} write, {self.dead} died and wait to be taken over"
        for one in self.lanes:
            told = f"  {one.lane}: {one.waiting} wait"
            if one.acknowledged_ns:
                told += f", last acknowledged {_span(now_ns - one.acknowledged_ns)} ago"
            if one.failing:
                told += f"; FAILS since then: {one.error}"
            if one.forgotten:
                told += f"; {one.forgotten} let go of unsent"
            yield told
        for destination in sorted({one.destination for one in self.lanes if one.abandoned}):
            yield f"nobody sends to {destination} any more, and segments are kept for it: {abandoned_do(destination)}"
        if self.open_words or self.open_spans:
            yield f"open now: {self.open_words} flows and deliveries, {self.open_spans} spans of other libraries"
        if self.set_aside:
            yield f"set aside: {self.set_aside} records that a receiver refused; see leadtrace journal aside"
        if self.unreadable:
            yield f"NOT READ: the disk does not give {self.unreadable} segments: {self.unreadable_why}"
        if self.unread:
            yield unread_told(self.unread)
        if self.refused:
            yield f"refused: {self.refused} records that found no room"
        if self.damaged:
            yield f"damaged: {self.damaged} bytes that hold no intact record"


def status(folder: Folder, configured: Collection[str] | None = None) -> Status:
    """Look at a journal, also while it is written; `configured` are the destinations of who asks, None for not known."""
    found = Status(str(folder.path))
    sent_to: set[str] = set()
    lanes: dict[str, LaneStatus] = {}
    for segment in folder.segments():
        try:
            with SegmentReader(segment) as reader:
                _look_at(folder, reader, found, lanes, sent_to)
        except FileNotFoundError:  # it went meanwhile
            continue
        except OSError as why:
            found.unreadable += 1
            found.unreadable_why = why.strerror or str(why)
    for path in (folder.path / "lanes").glob("*.json"):
        lanes.setdefault(path.stem, LaneStatus(path.stem))
    for path in (folder.path / "ledger").glob("*.json"):
        book = book_of(folder, path.stem)
        found.refused += int(book.get("refused_count", 0))
        found.damaged += int(book.get("damaged", 0))
        for lane, counts in book.get("lanes", {}).items():
            if counts.get("forgotten"):
                lanes.setdefault(lane, LaneStatus(lane)).forgotten += int(counts["forgotten"])
    for name, one in sorted(lanes.items()):
        state = folder.lane_state(name)
        one.acknowledged_ns, one.failed_ns, one.error = state.acknowledged_ns, state.failed_ns, state.error
        unknown = configured is not None and one.destination not in configured
        one.abandoned = unknown and one.waiting > 0 and name not in sent_to
        found.lanes.append(one)
    for unread in folder.unread():
        found.unread.append(unread.path.name)
        with contextlib.suppress(OSError):  # it may have gone by now
            found.bytes += unread.path.stat().st_size
    found.set_aside = sum(1 for _ in set_aside(folder))
    return found


def _look_at(
    folder: Folder, reader: SegmentReader, found: Status, lanes: dict[str, LaneStatus], sent_to: set[str]
) -> None:
    """Count one segment. Raises OSError where the disk does not give it."""
    segment, size = reader.segment, reader.size
    head, seal = reader.head, reader.seal
    counts, damaged, refused = _count(folder, reader, list(head.lanes))
    found.segments += 1
    found.bytes += size
    if seal is None:
        with lock_of_the_dead(segment) as dead:
            found.alive += dead is None
            found.dead += dead is not None
            if dead is None:
                sent_to.update(head.lanes)
        words, spans = unfinished(reader)
        found.open_words += words
        found.open_spans += spans
    found.damaged += damaged
    found.refused += refused
    for lane, waiting in counts.items():
        of_lane = lanes.setdefault(lane, LaneStatus(lane))
        of_lane.waiting += waiting
        of_lane.forgotten += folder.progress(lane, segment).forgotten
    if any(counts.values()) and head.started_ns:
        found.oldest_ns = min(found.oldest_ns or head.started_ns, head.started_ns)


def unread_told(names: list[str]) -> str:
    """That there are such segments, and that nothing happens to them."""
    some = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
    are = "segments were" if len(names) > 1 else "segment was"
    return f"not read: {len(names)} {are} written by a later leadtrace and wait for it, as they are: {some}"


def abandoned_do(destination: str) -> str:
    """What somebody can do about a destination to which nobody sends."""
    return f"name it in LEADTRACE_ALSO_TO again, or leadtrace journal forget {destination}"


def _count(folder: Folder, reader: SegmentReader, lanes: list[str]) -> tuple[dict[str, int], int, int]:
    """Records behind each lane's cursor; damaged bytes; refusals noted."""
    from leadtrace.journal.books import contents

    offsets = {lane: folder.progress(lane, reader.segment).offset for lane in lanes}
    waiting = dict.fromkeys(lanes, 0)
    at = min(offsets.values(), default=0)
    while offsets:
        part = reader.read(at)
        for frame in part.frames:
            kind = RECORDS.get(frame.type)
            if kind is None:
                continue
            for lane, offset in offsets.items():
                if frame.start >= offset and lane.endswith(kind):
                    waiting[lane] += 1
        if part.end == at:
            break
        at = part.end
    counted = contents(reader)
    return waiting, counted.damaged, counted.refused_count


def _span(ns: int) -> str:
    seconds = max(0.0, ns / 1e9)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
