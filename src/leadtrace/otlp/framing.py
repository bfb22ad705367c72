"""Protobuf's framing, walked without making anything of it: what a message holds, counted before it is parsed.

Two bytes on the wire can be a span, an event or an attribute, and become a hundred in memory. So what is large is counted
first, level by level, and refused where it holds more parts than any real sender's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from leadtrace.errors import OtlpError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MAX_RECORDS", "TooManyRecordsError", "check_parts", "fields"]

MAX_RECORDS: Final = 200_000
"""Spans, span events and log records in one request, and parts of one record. Real senders stay below a tenth of it."""

_LENGTH_DELIMITED: Final = 2


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    try:
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
            if shift > 63:
                raise DecodeError("a number of more than ten bytes")
    except IndexError:
        raise DecodeError("the message ends within a number") from None


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The length-delimited fields of a message: number, and where their content begins and ends; others are skipped."""
    at = start
    while at < end:
        tag = data[at]
        if tag < 0x80:
            at += 1
        else:
            tag, at = _varint(data, at)
        wire, number = tag & 7, tag >> 3
        if number == 0:
            raise DecodeError("a field numbered 0")
        if wire == _LENGTH_DELIMITED:
            size, at = _varint(data, at)
            stop = at + size
            if stop > end:
                raise DecodeError("a field ends beyond its message")
            yield number, at, stop
            at = stop
        elif wire == 0:
            _, at = _varint(data, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise DecodeError(f"wire type {wire}")
        if at > end:
            raise DecodeError("a field ends beyond its message")


class TooManyRecordsError(OtlpError):
    """A request holds more records, or one record more parts, than are taken; in several requests they are welcome."""

    def __init__(self) -> None:
        super().__init__(
            f"more than {MAX_RECORDS:,} records in one request, or parts of one record: send smaller batches"
        )


_LARGE: Final = 64 << 10  # below it, nothing can hold enough parts to matter
_DEEPEST: Final = 100  # where the parser stops by itself

# Which fields of which message are messages that can hold many parts: message -> field number -> message.
_HOLDERS: Final[Mapping[str, Mapping[int, str]]] = {
    "resource": {1: "pair"},
    "scope": {3: "pair"},
    "span": {9: "pair", 11: "event", 13: "link"},
    "event": {3: "pair"},
    "link": {4: "pair"},
    "log": {5: "value", 6: "pair"},
    "pair": {2: "value"},
    "value": {5: "list", 6: "map"},
    "list": {1: "value"},
    "map": {1: "pair"},
}


def check_parts(message: bytes, kind: str) -> bytes:
    """The message itself; raises TooManyRecordsError where it, or a message within it, has more than MAX_RECORDS parts."""
    if len(message) >= _LARGE:
        _check(message, 0, len(message), kind, 0)
    return message


def _check(data: bytes, start: int, end: int, kind: str, depth: int) -> None:
    holders = _HOLDERS[kind]
    for count, (number, begin, stop) in enumerate(fields(data, start, end), start=1):
        if count > MAX_RECORDS:
            raise TooManyRecordsError
        if stop - begin >= _LARGE and number in holders and depth < _DEEPEST:
            _check(data, begin, stop, holders[number], depth + 1)
