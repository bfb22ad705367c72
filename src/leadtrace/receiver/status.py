"""google.rpc.Status, in which OTLP tells errors: as protobuf, as JSON, and in gRPC's trailers.

Three fields are all of it, so they are written here by hand: the package that brings the class is not otherwise needed.
"""

from __future__ import annotations

from typing import Final

import orjson

__all__ = ["INTERNAL", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "retry_details", "status_body"]

INVALID_ARGUMENT: Final = 3
RESOURCE_EXHAUSTED: Final = 8
INTERNAL: Final = 13
UNAVAILABLE: Final = 14

_RETRY_INFO: Final = b"type.googleapis.com/google.rpc.RetryInfo"


def status_body(code: int, message: str, json: bool) -> bytes:
    """A Status as the body of an HTTP answer."""
    if json:
        return orjson.dumps({"code": code, "message": message})
    return _number(1, code) + _bytes(2, message.encode())


def retry_details(code: int, message: str, seconds: int) -> bytes:
    """A Status with a RetryInfo, for the trailer `grpc-status-details-bin`: without it a sender does not come back."""
    retry_info = _bytes(1, _number(1, seconds))  # RetryInfo.retry_delay, a Duration
    details = _bytes(1, _RETRY_INFO) + _bytes(2, retry_info)
    return _number(1, code) + _bytes(2, message.encode()) + _bytes(3, details)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
