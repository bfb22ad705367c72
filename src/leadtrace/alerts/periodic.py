"""Errors that come again and again at the same distance, and when they are due next. Pure."""

from __future__ import annotations

import itertools
from statistics import median
from typing import TYPE_CHECKING, Final

from leadtrace.alerts.model import PERIODIC, Due
from leadtrace.alerts.rules import HOUR
from leadtrace.alerts.spoken import span_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CYCLES", "bursts", "next_due"]

CYCLES: Final = 3
"""So many times at least the error must have come again at its distance."""

_LOOSE: Final = 0.1
"""How far from the usual distance one may be, as a share of it."""
_SHORTEST: Final = 12 * HOUR
"""A shorter distance is not worth a date."""


def next_due(name: str, hours: Mapping[int, int], until_ns: int, now_ns: int) -> Due | None:
    """When the error is due again; None where it has no rhythm, or has lost it.

    `hours` has how often it came by hour, up to `until_ns`. It has a rhythm where the last `CYCLES` distances between its
    bursts differ little, and has lost it where a burst that was due within `hours` did not come.
    """
    begun = bursts(hours)
    distances = [later - earlier for earlier, later in itertools.pairwise(begun)]
    if len(distances) < CYCLES:
        return None
    usual = round(median(distances))
    if usual < _SHORTEST or any(abs(one - usual) > max(_LOOSE * usual, HOUR) for one in distances):
        return None
    due = begun[-1] + usual
    if due + max(round(_LOOSE * usual), 2 * HOUR) < until_ns:
        return None
    while due + usual < now_ns:
        due += usual
    why = f"seen {len(begun)} times, every {span_text(usual)}"
    return Due(f"{PERIODIC}{name}", due, why)


def bursts(hours: Mapping[int, int]) -> list[int]:
    """When each burst began: hours in which it came, those less than half a day after one before are the same burst."""
    found: list[int] = []
    last = None
    for at in sorted(hours):
        if last is None or at - last >= _SHORTEST // 2 + HOUR:
            found.append(at)
        last = at
    return found
