"""Letting go of what waits for a receiver that is there no longer.

A segment is kept for every receiver that was required when it was begun, also for one that nobody sends to any more: that is
what makes a receiver that is only down lose nothing, and nobody but a person can tell the two apart.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from leadtrace.journal.aside import rewrite_aside, set_aside
from leadtrace.journal.frames import RECORDS
from leadtrace.journal.recovery import recover
from leadtrace.journal.segment import SegmentReader, lock_of_the_dead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from leadtrace.journal.cursor import Progress
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.segment import Segment

__all__ = ["Forgotten", "forget", "would_forget"]

_PATIENCE_S = 1.0


@dataclass(slots=True)
class Forgotten:
    """What is let go of."""

    records: dict[str, int] = field(default_factory=lambda: {"logs": 0, "traces": 0})
    """That the receiver never got, by kind."""
    set_aside: int = 0
    """That it refused for good."""
    segments: int = 0
    left: list[str] = field(default_factory=list)
    """What still waits for it, in sentences: living processes send there."""

    @property
    def some(self) -> bool:
        return bool(self.segments or self.set_aside)


def would_forget(folder: Folder, destination: str) -> Forgotten:
    """What `forget` would let go of now; changes nothing."""
    found = Forgotten(set_aside=sum(_is_of(one.lane, destination) for one in set_aside(folder)))
    for segment, reader, lanes in _kept_for(folder, destination):
        if not _ends(reader, partial(_is_free, segment)):
            found.left.append(_sends(reader))
            continue
        behind = {lane: _behind(reader, lane, folder.progress(lane, segment)) for lane in lanes}
        for lane, count in behind.items():
            found.records[_kind(lane)] += count
        found.segments += 1
    return found


def forget(folder: Folder, destination: str) -> Forgotten:
    """Let go of all that waits for that destination, and of what it refused; how many records that were is in the books.

    A segment that no other receiver waits for goes with it. Those that living processes write are left.
    """
    found = Forgotten()
    for segment, reader, lanes in _kept_for(folder, destination):
        if not _ends(reader, partial(recover, folder, segment)):
            found.left.append(_sends(reader))
            continue
        let_go = [_let_go(folder, segment, reader, lane, found) for lane in lanes]
        found.segments += any(let_go)
        folder.remove_if_done(segment)
    found.set_aside = rewrite_aside(folder, lambda one: not _is_of(one.lane, destination))
    if not found.left:
        for lane in folder.lanes():
            if _is_of(lane, destination):
                (folder.path / "lanes" / f"{lane}.json").unlink(missing_ok=True)
    return found


def _kept_for(folder: Folder, destination: str) -> Iterator[tuple[Segment, SegmentReader, list[str]]]:
    """The segments that are kept for that destination, with its lanes that are not done."""
    for segment in folder.segments():
        with contextlib.suppress(FileNotFoundError), SegmentReader(segment) as reader:  # it may go meanwhile
            lanes = [lane for lane in folder.required(reader.head, {}) if _is_of(lane, destination)]
            open_ones = [lane for lane in lanes if not folder.progress(lane, segment).done]
            if open_ones:
                yield segment, reader, open_ones


def _ends(reader: SegmentReader, ending: Callable[[], bool]) -> bool:
    """Whether it is sealed, or `ending` makes an end of it; who just recovers it holds it for a moment, as a writer does."""
    until = time.monotonic() + _PATIENCE_S
    while reader.seal is None and not ending():
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)  # another process ends it: there is nothing of its to wait on
    return True


def _is_free(segment: Segment) -> bool:
    with lock_of_the_dead(segment) as dead:
        return dead is not None


def _let_go(folder: Folder, segment: Segment, reader: SegmentReader, lane: str, found: Forgotten) -> bool:
    cursor = folder.cursor(lane, segment)
    if cursor is None:
        if segment.path.exists():
            found.left.append(f"another process sends {segment.stem} to {lane.rpartition('.')[0]} now: ask again")
        return False
    try:
        progress = cursor.progress
        behind = _behind(reader, lane, progress)
        progress.forgotten += behind
        progress.offset, progress.done = reader.size, True
        folder.with_reserve(cursor.save)
        found.records[_kind(lane)] += behind
    finally:
        cursor.close()
    return True


def _behind(reader: SegmentReader, lane: str, progress: Progress) -> int:
    """Records of the lane's kind that it has not been through."""
    count, at = 0, progress.offset
    while True:
        part = reader.read(at)
        count += sum(RECORDS.get(frame.type) == _kind(lane) for frame in part.frames)
        if part.end == at:
            return count
        at = part.end


def _is_of(lane: str, destination: str) -> bool:
    return lane.rpartition(".")[0] == destination


def _kind(lane: str) -> str:
    return lane.rpartition(".")[2]


def _sends(reader: SegmentReader) -> str:
    head = reader.head
    return f"process {head.pid} of {head.service or 'an unknown service'} writes for it: end that first"
