"""What a kind looks at when it judges one group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadtrace.alerts.model import Verdict

if TYPE_CHECKING:
    from leadtrace.alerts.model import Normal, Observations, Series, Signal
    from leadtrace.alerts.rules import Group, Rules

__all__ = ["View", "closed", "number", "unknown"]


@dataclass(frozen=True, slots=True)
class View:
    """One rule's target at one moment."""

    rules: Rules
    observations: Observations
    target: str
    group: Group | None
    """None of kinds without groups."""
    now_ns: int
    seen_ns: int
    """Up to when data are looked at."""
    began_ns: int = 0
    """Of the alert that stands already, pending or told: when it began; 0 where none does."""
    held_ns: int = 0
    """Of the same: up to when it was seen to hold."""

    def series(self, signal: Signal, name: str = "") -> Series | None:
        return self.observations.series.get((signal, name or self.target))

    def normal(self, signal: Signal) -> Normal | None:
        return self.observations.normal.get((signal, self.target))


def unknown(why: str) -> Verdict:
    """Nothing can be said."""
    return Verdict(None, why)


def closed(view: View) -> Verdict | None:
    """The verdict where the target's group is closed, None where it is open."""
    if view.group is not None and not view.group.calendar.is_open(view.seen_ns):
        return Verdict(None, "closed", closed=True)
    return None


def number(value: float) -> str:
    """A number as people write it: three digits that say something, or all those before the point."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
