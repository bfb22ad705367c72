"""Recorded values as text that is safe to print: no control character or escape sequence reaches a terminal."""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["cut", "duration", "moment", "money", "plain", "value", "width_of"]

# Controls, escapes, line and paragraph separators, and what turns the direction of text: all could forge a screen.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_VISIBLE = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def plain(text: str) -> str:
    """The text on one line, with every character that a terminal would act on written as an escape."""
    return _UNSAFE.sub(lambda found: _VISIBLE.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


def width_of(text: str) -> int:
    """How many columns a terminal takes for it."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def cut(text: str, width: int) -> str:
    """The text in at most that many columns, its end marked where something was left out."""
    if width_of(text) <= width:
        return text
    kept, used = [], 1
    for one in text:
        used += width_of(one)
        if used > width:
            break
        kept.append(one)
    return "".join(kept).rstrip() + "…"


def value(found: object, longest: int = 120) -> str:
    """One recorded value, short and safe."""
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, float):
        text = f"{found:.10g}" if abs(found) < 1e15 else repr(found)
    elif isinstance(found, bytes):
        text = f"{len(found)} bytes"
    elif isinstance(found, (list, tuple)):
        text = ", ".join(value(one, longest) for one in found[:12]) + (" …" if len(found) > 12 else "")
    elif isinstance(found, dict):
        text = ", ".join(f"{key}={value(one, longest)}" for key, one in list(found.items())[:12])
    else:
        text = str(found)[: longest * 4]
    return cut(plain(text), longest)


def duration(ms: float) -> str:
    """A span of time as a person says it, in at most two units."""
    if not math.isfinite(ms):  # as it came from elsewhere
        return f"{ms} ms"
    if ms < 0:
        return f"-{duration(-ms)}"
    if ms < 0.05:
        return "0 ms"
    if ms < 10:
        return f"{ms:.1f}".removesuffix(".0") + " ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    for big, large, small, little in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= big:
            rest = whole % big // small
            return f"{whole // big} {large}" + (f" {rest} {little}" if rest else "")
    return f"{whole} s"


def money(amount: Decimal, currency: str) -> str:
    """An amount with at least two places and none that say nothing."""
    exact = amount.normalize()
    places = max(2, -int(exact.as_tuple().exponent))
    return f"{exact:.{places}f} {plain(currency)}"


def moment(time_ns: int) -> str:
    """A time as date and time of day in UTC, to the millisecond."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    try:
        found = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{time_ns} ns"
    return f"{found:%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d} UTC"
