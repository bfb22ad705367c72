"""Looking into encoded records without protobuf: what recovery and erasure must know of records made by this package.

It reads what `encode` writes. Of a record that it does not understand it answers what it could read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leadtrace.otlp.wire import wire_fields

if TYPE_CHECKING:
    from leadtrace.otlp.records import Value

__all__ = ["Peeked", "log_time", "parent_of", "peek_log", "peek_span", "uid_of"]

_double = struct.Struct("<d")


@dataclass(slots=True)
class Peeked:
    """A log record or a span, as far as the writing side must know it."""

    name: str = ""
    time_ns: int = 0
    """Of a span its start."""
    end_ns: int = 0
    trace_id: int = 0
    span_id: int = 0
    flags: int = 0
    attributes: dict[str, Value] = field(default_factory=dict)


def _body(record: bytes) -> bytes:
    """The message in a framed field."""
    return next((value for _, value in wire_fields(record) if isinstance(value, bytes)), b"")


def log_time(record: bytes) -> int:
    """A framed log record's time."""
    for number, value in wire_fields(_body(record)):
        if number == 1 and isinstance(value, int):
            return value
    return 0


def peek_log(record: bytes) -> Peeked:
    """A framed log record."""
    found = Peeked()
    for number, value in wire_fields(_body(record)):
        if isinstance(value, int):
            if number == 1:
                found.time_ns = value
            elif number == 8:
                found.flags = value
        elif number == 6:
            _pair(value, found.attributes)
        elif number == 9:
            found.trace_id = int.from_bytes(value, "big")
        elif number == 10:
            found.span_id = int.from_bytes(value, "big")
        elif number == 12:
            found.name = value.decode("utf-8", "replace")
    return found


def peek_span(record: bytes) -> Peeked:
    """A framed span; its events and links are left out."""
    found = Peeked()
    for number, value in wire_fields(_body(record)):
        if isinstance(value, int):
            if number == 7:
                found.time_ns = value
            elif number == 8:
                found.end_ns = value
        elif number == 1:
            found.trace_id = int.from_bytes(value, "big")
        elif number == 2:
            found.span_id = int.from_bytes(value, "big")
        elif number == 5:
            found.name = value.decode("utf-8", "replace")
        elif number == 9:
            _pair(value, found.attributes)
    return found


def parent_of(record: bytes) -> int:
    """A framed span's parent, 0 where it has none."""
    return next(
        (
            int.from_bytes(value, "big")
            for number, value in wire_fields(_body(record))
            if number == 4 and isinstance(value, bytes)
        ),
        0,
    )


_UID = b"\x0a\x0elog.record.uid\x12"


def uid_of(record: bytes) -> str:
    """`log.record.uid` of a framed log record, '' where it has none."""
    at = record.find(_UID)
    if at < 0:
        return ""
    start = at + len(_UID) + 3  # the AnyValue's length, its string's tag and length
    found = record[start : start + 28]
    return found.decode("ascii", "replace") if len(found) == 28 else ""


def _pair(message: bytes, into: dict[str, Value]) -> None:
    key, found = "", None
    for number, value in wire_fields(message):
        if number == 1 and isinstance(value, bytes):
            key = value.decode("utf-8", "replace")
        elif number == 2 and isinstance(value, bytes):
            found = _value(value, 0)
    if key and found is not None:
        into[key] = found


def _value(message: bytes, depth: int) -> Value | None:
    for number, value in wire_fields(message):
        if isinstance(value, bytes):
            match number:
                case 1:
                    return value.decode("utf-8", "replace")
                case 5 if depth < 20:
                    items = (_value(one, depth + 1) for _, one in wire_fields(value) if isinstance(one, bytes))
                    return [one for one in items if one is not None]
                case 6 if depth < 20:
                    found: dict[str, Value] = {}
                    for _, one in wire_fields(value):
                        if isinstance(one, bytes):
                            _pair(one, found)
                    return found
                case 7:
                    return value
        else:
            match number:
                case 2:
                    return bool(value)
                case 3:
                    return value - (1 << 64) if value >= 1 << 63 else value
                case 4:
                    return float(_double.unpack(value.to_bytes(8, "little"))[0])
    return None
