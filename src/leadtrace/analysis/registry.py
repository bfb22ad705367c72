"""Which reports there are: a line each. `leadtrace report NAME`, `Reader.report(name)` and the reading API find them here.

A new analysis is a file beside this one that declares an `Analysis`, and a line below.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from leadtrace.analysis.model import Report, Row
from leadtrace.analysis.options import Options
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leadtrace.store.relations.interface import Relations

__all__ = ["COMMANDS", "REPORTS", "Analysis", "analysis"]

REPORTS: Final[Mapping[str, tuple[str, str]]] = {
    "frequency": ("leadtrace.analysis.frequency:FREQUENCY", "Events by name, kind, flow and time."),
    "health": ("leadtrace.analysis.health:HEALTH", "Healthy, degraded or crisis, hour by hour, and the likely causes."),
    "performance": (
        "leadtrace.analysis.performance:PERFORMANCE",
        "How long flows and steps take, what runs wait for, what would help.",
    ),
    "what-if": (
        "leadtrace.analysis.what_if:WHAT_IF",
        "Recorded runs with a cache, in parallel, another time-out, or without something.",
    ),
    "patterns": (
        "leadtrace.analysis.patterns:PATTERNS",
        "Common sequences of events, where leads stop, how many get from step to step.",
    ),
    "errors": (
        "leadtrace.analysis.errors:ERRORS",
        "Errors grouped: where they concentrate, when they come, whether they grow, what to do.",
    ),
    "roi": (
        "leadtrace.analysis.roi:ROI",
        "What enhancements cost and return: calls, cache, billed failures, value measured or declared.",
    ),
    "business": (
        "leadtrace.analysis.business:BUSINESS",
        "Revenue, cost and margin per currency, as of a date; how deliveries ended.",
    ),
    "capacity": ("leadtrace.analysis.capacity:CAPACITY", "Volume against capacity, and when a limit will be met."),
    "outbound": (
        "leadtrace.analysis.outbound:OUTBOUND",
        "Cold outbound: sends, limits and rests by sender, health, pools, reassignments.",
    ),
    "reliability": (
        "leadtrace.analysis.reliability:RELIABILITY",
        "Availability, failures, latency, retries, open circuits; credentials and limits about to end.",
    ),
    "ads": (
        "leadtrace.analysis.ads:ADS",
        "Lead events received, saved, sent and malformed, by platform down to the advertisement.",
    ),
    "review": (
        "leadtrace.analysis.review:REVIEW",
        "The weekly or monthly review, each figure beside the period before.",
    ),
    "series": ("leadtrace.analysis.series:SERIES", "What happened over time, by what names it: the figures of alerts."),
}
"""Where each analysis is and what it answers: told here, so that listing them imports none."""

COMMANDS: Final[Mapping[str, str]] = {
    "compare": "leadtrace.analysis.compare:COMPARE",
    "lint": "leadtrace.analysis.lint:LINT",
    "surroundings": "leadtrace.analysis.surroundings:SURROUNDINGS",
}
"""Questions that are commands of their own, or part of one: `Reader.report` and the reading API answer them all the same."""

O = TypeVar("O", bound=Options)  # noqa: E741 - it stands for options
R = TypeVar("R", bound=Row)


@dataclass(slots=True, frozen=True)
class Analysis(Generic[O, R]):
    """One question: what may be asked, what comes back, and who answers it."""

    name: str
    run: Callable[[Relations, O], Report[R]]
    """A pure function of the relations and the options, whose `now_ns` is the moment."""
    options: type[O]
    rows: tuple[type[R], ...]
    """The sorts of row; one, or several that each name their `section`."""
    traces_suffice: bool = True
    """Whether spans with their span events are enough for it: then it runs on what was fetched from Jaeger too."""
    few: bool = False
    """Whether it looks at a few records that an index finds, and not at a whole window."""
    hidden: tuple[str, ...] = ()
    """Fields of rows that the table leaves out, JSON and Python do not."""
    beneath: tuple[str, ...] = ()
    """Fields that say a sentence: the table tells them beneath their row."""
    shares: tuple[str, ...] = ()
    """Fields with a plain number that is a share: the table has it in per cent."""
    picture: str = ""
    """`module:function` of what draws a report for people, given it and a width, as lines of styled pieces."""
    pictured: tuple[type[R], ...] = ()
    """Sorts of row that the picture shows: no table repeats them."""


def analysis(name: str) -> Analysis[Any, Any]:
    """The analysis of that name. Raises `SettingsError` where there is none."""
    where = COMMANDS.get(name) or (REPORTS[name][0] if name in REPORTS else "")
    if not where:
        near = get_close_matches(name, list(REPORTS), n=1)
        raise SettingsError(
            f"no report {name!r}" + (f"; did you mean {near[0]}?" if near else ""), reports=", ".join(REPORTS)
        )
    module, _, attribute = where.partition(":")
    found: Analysis[Any, Any] = getattr(import_module(module), attribute)
    return found
