"""Spans of time and shares as people write them, and spans read back."""

from __future__ import annotations

import re
from typing import Final

from leadtrace.query.printable import duration

__all__ = ["UNITS", "read_span", "share_text", "span_text"]

_SECOND: Final = 1_000_000_000
UNITS: Final = {
    "ms": _SECOND // 1000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "min": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86_400 * _SECOND,
    "w": 7 * 86_400 * _SECOND,
}
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)")


def read_span(text: str) -> int | None:
    """`90s`, `15m`, `1h 30m`, `30d` as nanoseconds; None where it is no span of time."""
    total, at, text = 0, 0, text.strip().lower()
    while at < len(text):
        found = _SPAN.match(text, at)
        if found is None:
            return None
        total += round(float(found[1]) * UNITS[found[2]])
        at = found.end()
        while at < len(text) and text[at] == " ":
            at += 1
    return total if text else None


def span_text(span_ns: int) -> str:
    """In at most two units: `1 h 30 min`, `3 d`."""
    return duration(round(max(0, span_ns) / _SECOND) * 1000.0) if span_ns >= _SECOND else f"{span_ns // 1_000_000} ms"


def share_text(share: float) -> str:
    return f"{share * 100:.3g} %"
