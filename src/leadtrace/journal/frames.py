"""The journal's form on the disk: frames behind one another, each with a mark, a checksum, a type and a length.

    segment  frame frame frame …            a file; its name has the salt of its checksums
    frame    mark 4 · crc32 4 · type 1 · length 4 · body
    record   signal number 2 · [key of a word or span 8] · the record's OTLP bytes

A frame whose checksum does not fit is passed over and the next mark is looked for, so that one damaged frame costs itself
and nothing else. The checksum is salted by the segment: what looks like a frame inside a record's text is none.
"""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

__all__ = [
    "HEADER",
    "LONGEST",
    "RECORDS",
    "Frame",
    "Scan",
    "Type",
    "erased_frame",
    "erased_kind",
    "key_of",
    "pack",
    "record_of",
    "scan",
]

MARK: Final = b"\xabLT\xba"
HEADER: Final = 13
"""Bytes of a frame before its body."""
LONGEST: Final = 64 << 20
"""Bytes of a body: no record is longer, and a length beyond it is damage."""

_INNER = Struct("<BI")
_HEAD = Struct("<IBI")
_CRC = Struct("<I").pack
_SIGNAL = Struct("<H")
_KEYED = Struct("<HQ")


class Type(enum.IntEnum):
    """What a frame holds."""

    HEAD = 1
    """JSON: who writes the segment. Written twice, so that one damaged frame does not take it away."""
    SIGNAL = 2
    """Number, kind and head of an instrumentation scope, before the first record of it; written twice as well."""
    LOG = 3
    SPAN = 4
    LOG_OPENS = 5
    """The start event of a word whose end matters after a crash, with the word's key."""
    LOG_CLOSES = 6
    SPAN_BEGINS = 7
    """A foreign span as it began: stays in the journal; recovery closes it where its end never came."""
    SPAN_ENDS = 8
    STILL_OPEN = 9
    """What LOG_OPENS or SPAN_BEGINS said in an earlier segment, again: earlier segments may go."""
    KEPT = 10
    """A record of a kind of its own that never leaves over OTLP: kind, content."""
    REFUSED = 11
    """JSON: a range of records that found no room."""
    SEAL = 12
    """JSON: nothing follows; the segment's totals."""
    ERASED = 13
    """What was removed with a person's data: a letter for its kind (`l`, `t`, `k`), and zeros in place of the rest."""


RECORDS: Final = {
    Type.LOG: "logs",
    Type.LOG_OPENS: "logs",
    Type.LOG_CLOSES: "logs",
    Type.SPAN: "traces",
    Type.SPAN_ENDS: "traces",
}
"""The types that are sent, and as what."""

_TYPES: Final = {int(one): one for one in Type}
KEYED: Final = frozenset({Type.LOG_OPENS, Type.LOG_CLOSES, Type.SPAN_BEGINS, Type.SPAN_ENDS})


class Frame(NamedTuple):
    """One intact frame, and where it stands in its segment."""

    type: Type
    body: bytes
    start: int
    end: int

    @property
    def signal(self) -> int:
        """The number of a record's signal."""
        return int(_SIGNAL.unpack_from(self.body)[0])

    @property
    def record(self) -> bytes:
        """A record's OTLP bytes."""
        return self.body[10:] if self.type in KEYED else self.body[2:]

    @property
    def key(self) -> int:
        """The key of the word or span that the frame opens or closes."""
        return int(_KEYED.unpack_from(self.body)[1])


@dataclass(slots=True)
class Scan:
    """What a stretch of a segment holds."""

    frames: list[Frame]
    end: int
    """Up to where the stretch is understood: from here the next scan goes on."""
    damaged: list[tuple[int, int]]
    """Where it holds no intact frame, from and to."""


def pack(type_: Type, body: bytes, salt: int) -> bytes:
    """One frame."""
    inner = _INNER.pack(type_, len(body)) + body
    return MARK + _CRC(zlib.crc32(inner, salt)) + inner


def record_of(signal: int, record: bytes, key: int | None = None) -> bytes:
    """The body of a record's frame."""
    return (_SIGNAL.pack(signal) if key is None else _KEYED.pack(signal, key)) + record


def erased_frame(frame: Frame, salt: int) -> bytes:
    """What stands in the place of a frame that was erased, as long as that was."""
    kind = RECORDS.get(frame.type, "kept")  # what is never sent counts with none that is
    return pack(Type.ERASED, kind[:1].encode() + bytes(len(frame.body) - 1), salt)


def erased_kind(frame: Frame) -> str:
    """The kind of the record that stood in an erased frame's place; '' where that was never sent."""
    return {b"l": "logs", b"t": "traces"}.get(frame.body[:1], "")


def key_of(body: bytes) -> int:
    return int(_KEYED.unpack_from(body)[1])


def scan(data: bytes, base: int, salt: int, *, whole: bool) -> Scan:
    """The frames in `data`, which stands at `base` in its segment.

    `whole`: nothing will follow, so a frame without its end is damage; otherwise it may still be on its way, unless an
    intact frame stands behind it.
    """
    found = Scan([], base, [])
    frames, view, length = found.frames, memoryview(data), len(data)
    unpack, crc32, types = _HEAD.unpack_from, zlib.crc32, _TYPES
    at = 0
    bad_from = -1
    while at + HEADER <= length:
        if data.startswith(MARK, at):
            crc, type_, size = unpack(data, at + 4)
            end = at + HEADER + size
            if end <= length and crc32(view[at + 8 : end], salt) == crc and type_ in types:
                if bad_from >= 0:
                    found.damaged.append((base + bad_from, base + at))
                    bad_from = -1
                frames.append(Frame(types[type_], data[at + HEADER : end], base + at, base + end))
                at = end
                continue
        if bad_from < 0:
            bad_from = at
        following = data.find(MARK, at + 1)
        if following < 0:
            at = length
            break
        at = following
    if whole:
        if bad_from < 0 and at < length:
            bad_from = at
        if bad_from >= 0:
            found.damaged.append((base + bad_from, base + length))
        found.end = base + length
    else:
        found.end = base + (bad_from if bad_from >= 0 else at)
    return found
