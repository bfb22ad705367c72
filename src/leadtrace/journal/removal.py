"""Removing a lead from the journal's files, also while they are written and sent.

    a frame with a record of the lead alone          overwritten in place by one that says nothing, as long as it was
    … of several leads                               by the same record without this one, as long as it was
    … that names nobody, beneath a span of the lead  as the first
    … whose text holds the id                        with `erased` in its place

A segment keeps its length, so that nobody who reads it loses his place: neither a living writer, who goes on behind, nor
a sender that waits for its receiver. What is removed is noted in the books as erased.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from leadtrace.errors import SealError
from leadtrace.journal.aside import rewrite_aside
from leadtrace.journal.books import kept_kind, note_erased
from leadtrace.journal.erasing import lead_of_kept
from leadtrace.journal.frames import RECORDS, Frame, Type, erased_frame, pack
from leadtrace.journal.segment import SegmentReader
from leadtrace.journal.tombstones import turn_away
from leadtrace.journal.volatile import VolatileWriting
from leadtrace.otlp.edit import named_in, names_somebody, only_lead, replace_text, without_leads
from leadtrace.otlp.lead_event import KIND
from leadtrace.otlp.ledger import sequence_of
from leadtrace.otlp.peek import parent_of
from leadtrace.otlp.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from leadtrace.journal.aside import Aside
    from leadtrace.journal.endpoints import Kind
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.segment import Segment

__all__ = ["Removed", "erase_late", "remove_lead"]

_SHORT: Final = 8  # an id of fewer letters stands in other words by chance: those are left alone
_PASSES: Final = 5
_WORDS: Final = frozenset({Type.LOG, Type.LOG_OPENS, Type.LOG_CLOSES, Type.SPAN, Type.SPAN_ENDS, Type.SPAN_BEGINS})


@dataclass(slots=True)
class Removed:
    """What was removed from a journal. Nothing of the person is in it."""

    events: int = 0
    spans: int = 0
    kept: int = 0
    """Lead events that nobody had taken in yet."""
    set_aside: int = 0
    changed: int = 0
    """Records that stay for others, without this lead."""
    ranges: dict[str, Ranges] = field(default_factory=dict)
    """By boot, the numbers of the events that were removed."""
    left: list[str] = field(default_factory=list)
    """What could not be made sure of, in sentences; empty where all is gone."""

    def as_json(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("events", "spans", "kept", "set_aside", "changed")}
        return {**counts, "ranges": {boot: one.as_json() for boot, one in self.ranges.items()}, "left": self.left}


class _Nameless(NamedTuple):
    """A frame whose record names nobody."""

    segment: Segment
    frame: Frame
    span: tuple[int, int] | None
    """Trace and span, where it is a span."""


def remove_lead(folder: Folder, lead_ids: Sequence[str], tenant: str | None = None) -> Removed:
    """Remove a lead, recorded under those ids, and turn away what is still recorded of it; `tenant` None is any.

    Asked again, it removes what has come to be there since. Raises JournalError where the folder is held for too long, and
    OSError where its files cannot be written.
    """
    turn_away(folder, lead_ids, tenant)
    one = _Removal(folder, lead_ids, tenant)
    for _ in range(_PASSES):
        if not one.walk():  # whoever was amid a write to the journal has been met by the next pass
            break
    one.replace_words()
    one.set_aside()
    for boot, numbers in one.numbers.items():
        one.told.ranges[boot] = Ranges.of_numbers(sorted(numbers))
    for boot in one.numbers.keys() | one.spans.keys():
        note_erased(folder, boot, one.told.ranges.get(boot, Ranges()), one.spans[boot])
    one.search()
    for unread in folder.unread():
        one.told.left.append(
            f"{unread.path.name} was written by a later leadtrace and cannot be looked into: erase with that one as well"
        )
    return one.told


class _Removal:
    """One removal: what it found so far."""

    def __init__(self, folder: Folder, lead_ids: Sequence[str], tenant: str | None) -> None:
        self._folder = folder
        self._ids = frozenset(lead_ids)
        self._tenant = tenant
        self._bytes = [one.encode("utf-8", "surrogatepass") for one in lead_ids]
        long = [rb"(?<![\w-])" + re.escape(one) + rb"(?![\w-])" for one in self._bytes if len(one) >= _SHORT]
        self._mentions = re.compile(b"|".join(long)) if long else None
        self._gone: set[tuple[int, int]] = set()
        """Trace and span of what went."""
        self._traces: frozenset[int] = frozenset()
        """The traces of those, as the last pass left them: what names nobody is looked at in these alone."""
        self.told = Removed()
        self.numbers: dict[str, set[int]] = defaultdict(set)
        self.spans: dict[str, int] = defaultdict(int)

    def gone(self, tenant: str, lead_id: str) -> bool:
        return lead_id in self._ids and self._tenant in (None, tenant)

    def walk(self) -> int:
        """Look at every frame once, and remove; how many were changed."""
        changed = 0
        beneath: dict[tuple[int, int], list[_Nameless]] = defaultdict(list)
        for segment in self._folder.segments():
            with contextlib.suppress(FileNotFoundError):
                changed += self._walk_segment(segment, beneath)
        open_ones = list(self._gone)
        several: dict[Segment, list[Frame]] = defaultdict(list)
        while open_ones:
            for one in beneath.pop(open_ones.pop(), ()):
                several[one.segment].append(one.frame)
                if one.span is not None and one.span not in self._gone:
                    self._gone.add(one.span)
                    open_ones.append(one.span)
        for segment, frames in several.items():
            with contextlib.suppress(FileNotFoundError), _open(segment) as descriptor:
                for frame in frames:
                    self._erase(segment, frame, descriptor)
                    changed += 1
                os.fdatasync(descriptor)
        self._traces = frozenset(trace for trace, _ in self._gone)
        return changed

    def _walk_segment(self, segment: Segment, beneath: dict[tuple[int, int], list[_Nameless]]) -> int:
        changed = 0
        traces = [one.to_bytes(16, "big") for one in self._traces]
        if not _holds(segment.path, [*self._bytes, *traces]):  # nearly all of them, at the speed of reading
            return 0
        with SegmentReader(segment) as reader, _open(segment) as descriptor:
            for frame in _frames(reader):
                if frame.type in _WORDS or frame.type is Type.STILL_OPEN:
                    if names_somebody(frame.body):
                        changed += self._holds_id(frame) and self._change(segment, frame, descriptor)
                    elif self._traces:
                        above, span = _placed(frame)
                        if above[0] in self._traces:
                            beneath[above].append(_Nameless(segment, frame, span))
                elif frame.type is Type.KEPT and self._is_kept(frame):
                    self._erase(segment, frame, descriptor)
                    changed += 1
            if changed:
                os.fdatasync(descriptor)
        return changed

    def _holds_id(self, frame: Frame) -> bool:
        """The cheap question before the others."""
        return any(one in frame.body for one in self._bytes)

    def _change(self, segment: Segment, frame: Frame, descriptor: int) -> bool:
        """Remove a record that names somebody, or the lead from it; whether it had to be."""
        kind, at = _kind_of(frame)
        record = frame.body[at:]
        left = without_leads(record, kind, self.gone)
        if left is None:
            named = named_in(record, kind)
            if named.span_id and (kind == "traces" or frame.type is Type.LOG_OPENS):
                self._gone.add((named.trace_id, named.span_id))
            self._erase(segment, frame, descriptor)
        elif left is not record:
            self._write(segment, frame, frame.body[:at] + left, descriptor)
        return left is not record

    def _write(self, segment: Segment, frame: Frame, body: bytes, descriptor: int) -> None:
        os.pwrite(descriptor, pack(frame.type, body, segment.salt), frame.start)
        self.told.changed += 1

    def replace_words(self) -> None:
        """Put `erased` where what is left holds the id in its words."""
        if self._mentions is None:
            return
        for segment in self._folder.segments():
            if not _holds(segment.path, self._bytes):
                continue
            with contextlib.suppress(FileNotFoundError), SegmentReader(segment) as reader, _open(segment) as descriptor:
                for frame in _frames(reader):
                    if (frame.type in _WORDS or frame.type is Type.STILL_OPEN) and self._holds_id(frame):
                        kind, at = _kind_of(frame)
                        left = self._unmentioned(frame.body[at:], kind)
                        if left != frame.body[at:]:
                            self._write(segment, frame, frame.body[:at] + left, descriptor)
                os.fdatasync(descriptor)

    def _unmentioned(self, record: bytes, kind: Kind) -> bytes:
        """A record of others without the id in its words. One of another tenant's lead of that id is left alone."""
        if self._mentions is None or not self._ids.isdisjoint(named_in(record, kind).leads):
            return record
        return replace_text(record, kind, self._mentions)

    def _erase(self, segment: Segment, frame: Frame, descriptor: int) -> None:
        kind = "kept" if frame.type is Type.KEPT else _kind_of(frame)[0]
        _erase_frame(segment, frame, descriptor)
        if kind == "kept":
            self.told.kept += 1
        elif frame.type is not Type.STILL_OPEN and frame.type is not Type.SPAN_BEGINS:  # those are sent by nobody
            if kind == "logs":
                self.told.events += 1
                numbered = sequence_of(named_in(_record(frame), "logs").uid)
                if numbered is not None:
                    self.numbers[numbered[0]].add(numbered[1])
            else:
                self.told.spans += 1
                self.spans[segment.boot] += 1

    def _is_kept(self, frame: Frame) -> bool:
        if kept_kind(frame.body) != KIND:
            return False
        try:
            tenant, lead_id = lead_of_kept(frame.body[1 + frame.body[0] :])
        except SealError:
            return False
        return self.gone(tenant, lead_id)

    def set_aside(self) -> None:
        """What receivers refused for good."""

        def stays(one: Aside) -> bool:
            if without_leads(one.record, one.kind, self.gone) is not None:
                return True
            numbered = sequence_of(one.uid)
            if numbered is not None:
                self.numbers[numbered[0]].add(numbered[1])
            return False

        def edited(one: Aside) -> bytes:
            return self._unmentioned(without_leads(one.record, one.kind, self.gone) or b"", one.kind)

        self.told.set_aside = rewrite_aside(self._folder, stays, edited)

    def search(self) -> None:
        """Every byte of the folder's files, for the ids: where one is left, it is said in which file."""
        needles = [one for one in self._bytes if len(one) >= _SHORT]
        for path in sorted(self._folder.path.rglob("*")):
            if needles and path.is_file() and _holds(path, needles):
                place = path.relative_to(self._folder.path)
                self.told.left.append(f"the id is still in the journal's file {place}: ask again")


def _erase_frame(segment: Segment, frame: Frame, descriptor: int) -> None:
    """Overwrite a frame in its place with one that says nothing but of what kind it was."""
    os.pwrite(descriptor, erased_frame(frame, segment.salt), frame.start)


def erase_late(
    folder: Folder,
    where: Segment | VolatileWriting,
    frames: Sequence[Frame],
    kind: Kind,
    gone: Callable[[str, str], bool],
) -> None:
    """Remove those of the frames, of that kind, that name erased leads; noted in the books."""
    segment = where.segment if isinstance(where, VolatileWriting) else where
    numbers: dict[str, list[int]] = defaultdict(list)
    spans = 0
    with _overwriting(where) as overwrite:
        for frame in frames:
            if RECORDS.get(frame.type) != kind or not names_somebody(frame.body):
                continue
            record = frame.record
            quick = only_lead(record)
            if quick is not None and not gone(*quick):  # nearly all of them
                continue
            left = without_leads(record, kind, gone)
            if left is record:
                continue
            if left is not None:
                body = frame.body[: len(frame.body) - len(record)] + left
                overwrite(pack(frame.type, body, segment.salt), frame.start)
                continue
            overwrite(erased_frame(frame, segment.salt), frame.start)
            numbered = sequence_of(named_in(record, kind).uid) if kind == "logs" else None
            if numbered is not None:
                numbers[numbered[0]].append(numbered[1])
            spans += kind == "traces"
    told = [(boot, Ranges.of_numbers(sorted(several)), 0) for boot, several in numbers.items()]
    if spans:
        told.append((segment.boot, Ranges(), spans))
    for one in told:
        if isinstance(where, VolatileWriting):
            where.note_erased(*one)
        else:
            note_erased(folder, *one)


@contextlib.contextmanager
def _overwriting(where: Segment | VolatileWriting) -> Iterator[Callable[[bytes, int], None]]:
    """What changes a segment in its place; on the disk when the block ends, where it is on one."""
    if isinstance(where, VolatileWriting):
        yield where.overwrite
        return
    changed = False
    with _open(where) as descriptor:

        def overwrite(content: bytes, offset: int) -> None:
            nonlocal changed
            changed = True
            os.pwrite(descriptor, content, offset)

        yield overwrite
        if changed:
            os.fdatasync(descriptor)


@contextlib.contextmanager
def _open(segment: Segment) -> Iterator[int]:
    descriptor = os.open(segment.path, os.O_WRONLY | os.O_CLOEXEC)  # not to append: pwrite would go to the end then
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _frames(reader: SegmentReader) -> Iterator[Frame]:
    offset = 0
    while True:
        part = reader.read(offset)
        yield from part.frames
        if part.end == offset:
            return
        offset = part.end


def _kind_of(frame: Frame) -> tuple[Kind, int]:
    """What a frame's record is, and where in the body it begins."""
    if frame.type is Type.STILL_OPEN:
        return ("logs" if frame.body[0] == Type.LOG_OPENS else "traces"), 11
    at = len(frame.body) - len(frame.record)
    return ("traces" if frame.type is Type.SPAN_BEGINS or RECORDS.get(frame.type) == "traces" else "logs"), at


def _record(frame: Frame) -> bytes:
    return frame.body[_kind_of(frame)[1] :]


def _placed(frame: Frame) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """What a record that names nobody lies beneath; and, of a span, what itself is."""
    kind, at = _kind_of(frame)
    record = frame.body[at:]
    named = named_in(record, kind)
    if kind == "logs":
        return (named.trace_id, named.span_id), None
    return (named.trace_id, parent_of(record)), (named.trace_id, named.span_id)


def _holds(path: Path, needles: Sequence[bytes]) -> bool:
    longest = max(map(len, needles))
    tail = b""
    with contextlib.suppress(OSError), path.open("rb") as file:
        while chunk := file.read(1 << 20):
            if any(one in tail + chunk for one in needles):
                return True
            tail = chunk[-longest:]
    return False
