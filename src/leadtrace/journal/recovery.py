"""After a crash: what a dead process left open is closed by what its journal says, and nothing is invented.

For each open flow `flow.interrupted`, for each open delivery `delivery.unconfirmed`, for each span of another library that
began and never ended its span, ended at the process's last record and marked. They are written into the dead process's
own segment, which this process holds the lock of, under the dead process's resource; each has an identity derived from
what it closes, so that two recoveries make one event.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import struct
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from leadtrace import catalogue
from leadtrace.journal.books import book_of, kept_kind, refused_ends
from leadtrace.journal.frames import KEYED, RECORDS, Frame, Type, key_of, pack, record_of
from leadtrace.journal.segment import Segment, SegmentReader, append_whole, lock_of_the_dead, pack_signal
from leadtrace.otlp import encode
from leadtrace.otlp.ledger import recovered_boot, sequence_of
from leadtrace.otlp.peek import log_time, peek_log, peek_span, uid_of
from leadtrace.version import __version__

if TYPE_CHECKING:
    from leadtrace.journal.folder import Folder
    from leadtrace.otlp.records import Value
    from leadtrace.otlp.sink import Signal

__all__ = ["MARK", "derived_uid", "recover", "unfinished"]

_log = logging.getLogger("leadtrace")

_RECENT: Final = 4_096
"""Of so many of the last records the time and the number are looked at: the last ones are among them, whichever thread wrote."""

MARK: Final = "recovered"
"""In `leadtrace.marks` of what recovery wrote."""


@dataclass(slots=True)
class _Left:
    """What a dead process left."""

    opened: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """The start events of words without an end, by key: signal number, record."""
    began: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """The beginnings of foreign spans without an end."""
    closed: set[int] = field(default_factory=set)
    """What has ended: where a process went on to a new segment, an end may stand before what it ends is told again."""
    last_sequence: int = 0
    last_ns: int = 0
    highest_signal: int = -1
    read_to: int = 0
    """The number of the segment that was read last."""

    def forget_open_before(self, number: int, ended: set[int]) -> None:
        """Of what is open in a segment without a seal, where a later one has its seal, this one says nothing any more.

        The process went on, on a disk that would not take the seal: it told again, in a later one, what was open then.
        """
        if any(self.read_to < one < number for one in ended):
            self.opened.clear()
            self.began.clear()


@dataclass(slots=True)
class _Own:
    """What one of its segments holds."""

    kept: set[str] = field(default_factory=set)
    records: int = 0


def recover(folder: Folder, segment: Segment) -> bool:
    """Close and seal what the dead process of that segment left; false where it lives, or where another is at it.

    A process that died while it went on to a new segment left two without a seal: they are read as one.
    """
    with contextlib.ExitStack() as held:
        found: list[tuple[SegmentReader, int]] = []
        for one in folder.segments():
            if one.boot != segment.boot:
                continue
            try:
                reader = held.enter_context(SegmentReader(one))
            except OSError:
                continue
            if reader.seal is not None:
                continue
            descriptor = held.enter_context(lock_of_the_dead(one))
            if descriptor is None:
                return False
            found.append((reader, descriptor))
        if not found:
            return False
        left = _Left(last_sequence=folder.last_noted(segment.boot))
        ended = _ended_numbers(folder, segment.boot, {reader.segment for reader, _ in found})
        contents: list[_Own] = []
        for reader, _ in found:
            left.forget_open_before(reader.segment.number, ended)
            contents.append(_read(reader, left))
            left.read_to = reader.segment.number
        left.forget_open_before(sys.maxsize, ended)
        (*olders, (newest, last)) = found
        _hold_back_cursors(folder, [reader for reader, _ in found])
        # What closes comes first and the newest one's seal last: whoever dies in between leaves enough to go on from.
        closing = _closing(newest, left)
        if closing and not _write(folder, newest, last, closing):
            return False
        for (reader, descriptor), own in zip(olders, contents[:-1], strict=True):
            if not _end(folder, reader, descriptor, own, left):
                return False
        contents[-1].records += len(closing)
        if not _end(folder, newest, last, contents[-1], left):
            return False
        if left.opened or left.began:
            _log.warning(
                "leadtrace: process %s of %s ended amid %d flows and deliveries; they are closed as interrupted",
                newest.head.pid,
                newest.head.service or "an unknown service",
                len(left.opened),
            )
    return True


def _ended_numbers(folder: Folder, boot: str, open_ones: set[Segment]) -> set[int]:
    """The numbers of a process's segments that have a seal, of those that are gone as well."""
    there = {one.number for one in folder.segments() if one.boot == boot and one not in open_ones}
    return there | {int(one) for one in book_of(folder, boot)["merged"]}


def _end(folder: Folder, reader: SegmentReader, descriptor: int, own: _Own, left: _Left) -> bool:
    """Seal a segment; one that holds nothing goes."""
    if not own.records:
        reader.segment.path.unlink(missing_ok=True)
        return True
    seal = {
        "reason": "recovered",
        "last_sequence": left.last_sequence,
        "last_ns": left.last_ns,
        "kept": sorted(own.kept),
    }
    return _write(folder, reader, descriptor, [pack(Type.SEAL, json.dumps(seal).encode(), reader.segment.salt)])


def _write(folder: Folder, reader: SegmentReader, descriptor: int, frames: list[bytes]) -> bool:
    content = b"".join(frames)
    try:
        folder.with_reserve(lambda: append_whole(descriptor, content))
        os.fsync(descriptor)
    except OSError as why:
        _log.warning("leadtrace: what process %s left open cannot be closed now: %s", reader.head.pid, why)
        return False
    return True


def _hold_back_cursors(folder: Folder, readers: list[SegmentReader]) -> None:
    """A machine that died may have kept how far a receiver had come and lost the end of what it came through.

    A cursor behind the end would pass over what is now written there, or wait there for ever.
    """
    for reader in readers:
        for lane in folder.lanes():
            progress = folder.progress(lane, reader.segment)
            if not progress.done and progress.offset <= reader.size:
                continue
            cursor = folder.cursor(lane, reader.segment)
            if cursor is None:  # whoever reads there now has seen the end with its own eyes
                continue
            try:
                cursor.progress.offset = min(cursor.progress.offset, reader.size)
                cursor.progress.done = False
                folder.with_reserve(cursor.save)
            finally:
                cursor.close()


def _read(reader: SegmentReader, left: _Left) -> _Own:
    own = _Own()
    offset = 0
    recent: deque[Frame] = deque(maxlen=_RECENT)
    while True:
        part = reader.read(offset, whole=True)
        for frame in part.frames:
            if frame.type in RECORDS:
                own.records += 1
                recent.append(frame)
            if frame.type is not Type.LOG and frame.type is not Type.SPAN:
                _take(left, own, frame)
        if part.end == offset:
            break
        offset = part.end
    for frame in recent:
        _look_at(left, frame, reader.segment.boot)
    return own


def _look_at(left: _Left, frame: Frame, boot: str) -> None:
    """When a record was made, and its number."""
    left.highest_signal = max(left.highest_signal, frame.signal)
    record = frame.record
    if RECORDS[frame.type] == "traces":
        left.last_ns = max(left.last_ns, peek_span(record).end_ns)
        return
    left.last_ns = max(left.last_ns, log_time(record))
    numbered = sequence_of(uid_of(record))
    if numbered is not None and numbered[0] == boot:
        left.last_sequence = max(left.last_sequence, numbered[1])


def _take(left: _Left, own: _Own, frame: Frame) -> None:
    kind = frame.type
    if kind is Type.SIGNAL or kind in KEYED:
        left.highest_signal = max(left.highest_signal, frame.signal)
    if kind is Type.LOG_OPENS:
        left.opened[frame.key] = (frame.signal, frame.record)
    elif kind is Type.LOG_CLOSES:
        left.opened.pop(frame.key, None)
        left.closed.add(frame.key)
    elif kind is Type.SPAN_BEGINS:
        left.began[frame.key] = (frame.signal, frame.record)
        left.last_ns = max(left.last_ns, peek_span(frame.record).time_ns)
    elif kind is Type.SPAN_ENDS:
        left.began.pop(frame.key, None)
        left.closed.add(frame.key)
    elif kind is Type.STILL_OPEN:
        inner = frame.body[1:]
        signal = int.from_bytes(inner[:2], "little")
        into = left.opened if frame.body[0] == Type.LOG_OPENS else left.began
        if key_of(inner) not in left.closed:
            into[key_of(inner)] = (signal, inner[10:])
    elif kind is Type.REFUSED:
        own.records += 1
        for key in refused_ends(frame.body):
            left.opened.pop(key, None)
            left.began.pop(key, None)
            left.closed.add(key)
    elif kind is Type.KEPT:
        own.records += 1
        own.kept.add(kept_kind(frame.body))


def _closing(reader: SegmentReader, left: _Left) -> list[bytes]:
    """The frames that close what is open, for that segment."""
    segment = reader.segment
    frames: list[bytes] = []
    if left.opened:
        number = left.highest_signal + 1
        signal: Signal = encode.signal("logs", "leadtrace", __version__, catalogue.SCHEMA_URL)
        frames += [pack(Type.SIGNAL, pack_signal(number, signal), segment.salt)] * 2
        for key, (_, start) in left.opened.items():
            event = _end_of(start, left.last_ns)
            if event is not None:
                frames.append(pack(Type.LOG_CLOSES, record_of(number, event, key), segment.salt))
    for key, (number, begun) in left.began.items():
        frames.append(pack(Type.SPAN_ENDS, record_of(number, _ended(begun, left.last_ns), key), segment.salt))
    return frames


def derived_uid(uid: str) -> str:
    """The identity of the event that closes what that event began: always the same one."""
    return f"{recovered_boot(uid[:16])}{uid[16:]}"


def _end_of(start: bytes, last_ns: int) -> bytes | None:
    begun = peek_log(start)
    said = begun.attributes
    uid = str(said.get("log.record.uid", ""))
    word = str(said.get("leadtrace.word", ""))
    name = "delivery.unconfirmed" if word == "delivery" else "flow.interrupted"
    spec = catalogue.get(name)
    if spec is None:
        return None
    told: dict[str, Value] = {
        key: value for key, value in said.items() if key not in ("log.record.uid", "leadtrace.kind", "leadtrace.marks")
    }
    told["leadtrace.kind"] = spec.kind.value
    told["leadtrace.marks"] = [MARK]
    if word == "delivery":
        told["delivery.reason"] = "interrupted"
    else:
        told["leadtrace.word"] = "flow"
        told["flow.summary.final_outcome"] = "interrupted"
    if sequence_of(uid) is not None:
        told["log.record.uid"] = derived_uid(uid)
    at = max(last_ns, begun.time_ns)
    duration = (at - begun.time_ns) / 1e6
    told["delivery.duration_ms" if word == "delivery" else "flow.summary.total_duration_ms"] = duration
    return encode.log_record(
        name,
        at,
        told,
        trace_id=begun.trace_id,
        span_id=begun.span_id,
        trace_flags=begun.flags & 0xFF,
        severity_number=17,
    )


def _ended(begun: bytes, last_ns: int) -> bytes:
    """A span that began, ended: what protobuf finds again later in a message stands, so the end is put behind it."""
    span = peek_span(begun)
    body = begun[1:]
    size, at = 0, 0
    for at, byte in enumerate(body):
        size |= (byte & 127) << (7 * at)
        if byte < 128:
            break
    inner = body[at + 1 : at + 1 + size]
    end = struct.pack("<BQ", 0x41, max(last_ns, span.time_ns))
    marks = encode.pairs(b"\x4a", {"leadtrace.marks": [MARK]})
    return encode.framed(b"\x12", inner + end + marks)


def unfinished(reader: SegmentReader) -> tuple[int, int]:
    """How many flows, deliveries and resumes, and how many foreign spans, are open in a segment as far as it is written."""
    left = _Left()
    _read(reader, left)
    return len(left.opened), len(left.began)
