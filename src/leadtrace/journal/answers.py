"""What a receiver said to a request, whatever the protocol, and the little of its body that matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from leadtrace.otlp.wire import wire_fields

__all__ = ["Answer", "partial_success", "retry_delay_s", "status_message"]


@dataclass(slots=True, frozen=True)
class Answer:
    """One answer.

    `taken`: acknowledged. `later`: the same request may succeed another time. `refused`: it never will; where `split`
    is true smaller requests may. `rejected` of an accepted request's records were not kept, and nobody says which.
    """

    outcome: Literal["taken", "later", "refused"]
    why: str = ""
    retry_after_s: float | None = None
    split: bool = False
    rejected: int = 0


def partial_success(body: bytes) -> tuple[int, str]:
    """How many records an Export…ServiceResponse says were rejected, and its message; (0, '') where it says nothing."""
    for number, value in wire_fields(body):
        if number == 1 and isinstance(value, bytes):
            rejected, message = 0, ""
            for inner, one in wire_fields(value):
                if inner == 1 and isinstance(one, int):
                    rejected = one
                elif inner == 2 and isinstance(one, bytes):
                    message = one.decode("utf-8", "replace")
            return (rejected if rejected < 1 << 63 else 0), message
    return 0, ""


def status_message(body: bytes) -> str:
    """The message of a google.rpc.Status, '' where the bytes are none."""
    for number, value in wire_fields(body):
        if number == 2 and isinstance(value, bytes):
            return value.decode("utf-8", "replace")[:300]
    return ""


def retry_delay_s(status: bytes) -> float | None:
    """The delay that a google.rpc.Status asks for by a RetryInfo among its details, None without one."""
    for number, detail in wire_fields(status):
        if number != 3 or not isinstance(detail, bytes):
            continue
        parts = dict(wire_fields(detail))
        url, info = parts.get(1), parts.get(2, b"")
        if not isinstance(url, bytes) or not url.endswith(b"google.rpc.RetryInfo") or not isinstance(info, bytes):
            continue
        delay = dict(wire_fields(info)).get(1, b"")
        if isinstance(delay, bytes):
            duration = dict(wire_fields(delay))
            seconds, nanos = duration.get(1, 0), duration.get(2, 0)
            if isinstance(seconds, int) and isinstance(nanos, int):
                return seconds + nanos / 1e9
    return None
