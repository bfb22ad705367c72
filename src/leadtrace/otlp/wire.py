"""The little of protobuf's wire form that the writing side reads, without a library: answers, and its own records again."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["wire_fields"]


def wire_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message, as far as it is one: number, and the number or the bytes that it holds.

    Fixed-width numbers are given as unsigned integers.
    """
    at, length = 0, len(message)
    while at < length:
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:
                number, at = _varint(message, at)
                yield tag >> 3, number
            case 1:
                if at + 8 > length:
                    return
                yield tag >> 3, struct.unpack_from("<Q", message, at)[0]
                at += 8
            case 2:
                size, at = _varint(message, at)
                if at + size > length:
                    return
                yield tag >> 3, message[at : at + size]
                at += size
            case 5:
                if at + 4 > length:
                    return
                yield tag >> 3, struct.unpack_from("<I", message, at)[0]
                at += 4
            case _:
                return


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
    return number, len(message)
