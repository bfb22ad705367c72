"""What is known of one group of errors, from counts alone: where it concentrates, when it comes, whether it grows, what to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from leadtrace.analysis.chance import at_least
from leadtrace.analysis.concentration import Concentration, concentrations
from leadtrace.analysis.model import LEAST, Rate, Row
from leadtrace.analysis.rhythm import Rhythm, peaks, periodic, when
from leadtrace.catalogue.troubleshooting import suggestion_for
from leadtrace.query.printable import duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from leadtrace.catalogue.troubleshooting import Advice

__all__ = ["DIMENSIONS", "Dimension", "ErrorGroup", "Tally", "Traffic", "judged", "trend"]

Dimension = Literal["buyer", "service", "campaign", "version", "host"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("buyer", "service", "campaign", "version", "host")

_TREND_LEAST: Final = 10
_TREND_RARE: Final = 0.01
_WEEKDAYS: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


@dataclass(slots=True)
class Tally:
    """Counts of one group. `affected` counts leads, or errors where they belong to none: one lead's many retries are one."""

    key: str
    type: str = ""
    category: str = ""
    subcategory: str = ""
    cause: str = ""
    step: str = ""
    message: str = ""
    word: str = ""
    """The word that it arose under, of the enclosing work rather than of a try."""
    errors: int = 0
    leads: int = 0
    affected: int = 0
    in_tries: int = 0
    runs: int = 0
    stopped: int = 0
    """Runs that it ended."""
    first_ns: int = 0
    last_ns: int = 0
    pieces: Counter[int] = field(default_factory=Counter)
    """Affected ones by quarter of an hour."""
    history: Mapping[int, int] = field(default_factory=dict)
    """Errors by quarter of an hour, also from before the window."""
    values: dict[Dimension, Counter[str]] = field(default_factory=dict)
    """Affected ones by value; '' where it is not known."""
    samples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Traffic:
    """What went on beside the errors: work that began, by value of each dimension and by quarter of an hour."""

    values: dict[Dimension, Counter[str]] = field(default_factory=dict)
    pieces: Mapping[int, int] = field(default_factory=dict)
    history: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class ErrorGroup(Row):
    """Errors of one kind from one place. Its figures are of the window; the rhythm is of all that was recorded before, too."""

    section: ClassVar[str] = "groups"
    group: str
    """The fingerprint; of failures and failed tries what they have in common."""
    type: str
    category: str
    subcategory: str
    cause: str
    step: str
    message: str
    errors: int
    leads: int
    share: Rate
    in_tries: int
    """Those of a single try; the rest of work as a whole."""
    flows_stopped: Rate
    """Runs that it ended."""
    pattern: str
    """What they have in common, in words; '' for nothing."""
    trend: Literal["rising", "falling", "steady", "too few to tell"]
    """The second half of the window against the first, by the work that began in each."""
    earlier: int
    later: int
    concentrations: tuple[Concentration, ...]
    """The least probable first."""
    hours: tuple[int, ...]
    """By hour of the day, from midnight on."""
    peak_hours: tuple[int, ...]
    weekdays: tuple[int, ...]
    """From Monday on."""
    peak_weekdays: tuple[int, ...]
    period_ms: float | None
    cycles: int
    """Whole cycles seen: at least three, or 0 where it is not periodic."""
    next_expected_ns: int | None
    first_ns: int
    last_ns: int
    related_errors: int
    """Others of the group in the window."""
    pattern_detected: bool
    title: str
    suggestion: str
    sample_leads: tuple[str, ...]
    """The last five, the latest first."""


def judged(
    tally: Tally, traffic: Traffic, total: int, zone: tzinfo, until_ns: int, now_ns: int, tests: int = 1
) -> ErrorGroup:
    """The group as its counts say. `total` is all errors of the answer, `tests` the number of groups looked at."""
    found = sorted(
        (
            one
            for name in DIMENSIONS
            for one in concentrations(name, tally.values.get(name, {}), traffic.values.get(name, {}), tests)
        ),
        key=lambda one: (one.chance, -one.lift, one.dimension),
    )
    hours, weekdays = when(tally.pieces, zone)
    peak_hours, peak_weekdays = peaks(tally.pieces, traffic.pieces, zone)
    rhythm = periodic(tally.history or tally.pieces, traffic.history or traffic.pieces, until_ns, now_ns)
    grows, earlier, later = trend(tally.pieces, traffic.pieces)
    advice = _advice(tally)
    pattern = _in_words(found, peak_hours, hours, peak_weekdays, rhythm)
    return ErrorGroup(
        tally.key,
        tally.type,
        tally.category,
        tally.subcategory,
        tally.cause,
        tally.step,
        tally.message,
        tally.errors,
        tally.leads,
        Rate(tally.errors, total, "errors", 1),
        tally.in_tries,
        Rate(tally.stopped, tally.runs, "runs", LEAST),
        pattern,
        grows,
        earlier,
        later,
        tuple(found),
        hours,
        peak_hours,
        weekdays,
        peak_weekdays,
        rhythm.period_ns / 1e6 if rhythm else None,
        rhythm.cycles if rhythm else 0,
        rhythm.next_ns if rhythm else None,
        tally.first_ns,
        tally.last_ns,
        tally.errors - 1,
        bool(pattern) or grows == "rising",
        advice.title if advice else "",
        _suggestion(advice, found, rhythm),
        tuple(tally.samples[:5]),
    )


def trend(
    pieces: Mapping[int, int], traffic: Mapping[int, int]
) -> tuple[Literal["rising", "falling", "steady", "too few to tell"], int, int]:
    """Errors in either half of the time in which there was traffic, against what its work makes expect."""
    moments = traffic or pieces
    if not moments:
        return "too few to tell", 0, 0
    middle = (min(moments) + max(moments)) // 2
    later = sum(count for at, count in pieces.items() if at > middle)
    earlier = sum(pieces.values()) - later
    work = sum(traffic.values())
    share = sum(count for at, count in traffic.items() if at > middle) / work if work else 0.5
    if earlier + later < _TREND_LEAST or not 0 < share < 1:
        return "too few to tell", earlier, later
    if at_least(later, earlier + later, share) < _TREND_RARE / 2:
        return "rising", earlier, later
    if at_least(earlier, earlier + later, 1 - share) < _TREND_RARE / 2:
        return "falling", earlier, later
    return "steady", earlier, later


def _advice(tally: Tally) -> Advice | None:
    told: dict[str, Any] = {
        "error.category": tally.category,
        "error.subcategory": tally.subcategory,
        "error.cause": tally.cause,
        "error.type": tally.type,
        "leadtrace.word": tally.word,
    }
    return suggestion_for({name: value for name, value in told.items() if value})


def _suggestion(advice: Advice | None, found: list[Concentration], rhythm: Rhythm | None) -> str:
    """What the pattern asks for comes before what the error alone does."""
    if advice is None:
        return ""
    if rhythm is not None and advice.if_periodic:
        return advice.if_periodic
    if advice.if_one_buyer and any(one.dimension == "buyer" and one.share >= 0.9 for one in found):
        return advice.if_one_buyer
    return advice.suggestion


def _in_words(
    found: list[Concentration],
    peak_hours: tuple[int, ...],
    hours: tuple[int, ...],
    peak_weekdays: tuple[int, ...],
    rhythm: Rhythm | None,
) -> str:
    parts = [
        f"{'all' if one.affected == one.of else f'{one.share:.0%}'} of {one.dimension} {one.value} "
        f"({one.affected} of {one.of}, {one.usual:.0%} of the work)"
        for one in found[:3]
    ]
    if peak_hours:
        among = sum(hours[hour] for hour in peak_hours)
        parts.append(f"{among / sum(hours):.0%} between {_spans(peak_hours)}")
    if peak_weekdays:
        parts.append("mostly on " + ", ".join(_WEEKDAYS[day] for day in peak_weekdays))
    if rhythm is not None:
        parts.append(f"every {duration(rhythm.period_ns / 1e6)}, {rhythm.cycles} cycles seen")
    return "; ".join(parts)


def _spans(hours: tuple[int, ...]) -> str:
    """Hours as spans of the day: 14:00 and 16:00, 20:00 and 21:00."""
    spans: list[list[int]] = []
    for hour in hours:
        if spans and spans[-1][1] == hour:
            spans[-1][1] = hour + 1
        else:
            spans.append([hour, hour + 1])
    return ", ".join(f"{first}:00 and {last}:00" for first, last in spans)
