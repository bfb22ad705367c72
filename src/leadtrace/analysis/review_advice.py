"""Advice of the troubleshooting list, where its condition holds: in the section that it belongs to, with the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leadtrace.analysis.health import HealthHour
from leadtrace.analysis.health_figures import Worked
from leadtrace.analysis.intervals import newcombe
from leadtrace.analysis.model import LEAST
from leadtrace.analysis.review_rows import ReviewAdvice
from leadtrace.catalogue.troubleshooting import suggestion_for, symptom
from leadtrace.query.printable import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from leadtrace.analysis.health_figures import Work
    from leadtrace.analysis.review_figures import Reviewed
    from leadtrace.analysis.review_rows import Part
    from leadtrace.catalogue.troubleshooting import Advice

__all__ = ["advice_of"]

_SURE: Final = 0.99
_SLOWER: Final = 1.2
"""So many times the mean of the period before, and flows run slowly."""
_ERRORS_RISE: Final = 1.2
_FEW_HITS: Final = 0.1
"""A cache that is there and answers less than that has few hits."""
_TIMEOUTS: Final = 0.05
_CATEGORIES: Final = """
SELECT error_category, error_subcategory, count(*)
FROM lead_events
WHERE name = 'error.occurred' AND amends = ''
GROUP BY 1, 2
ORDER BY 1, 2"""


def advice_of(part: Part, reviewed: Reviewed) -> Iterator[ReviewAdvice]:
    """The rows of the list whose condition holds."""
    for condition in _CONDITIONS.get(part, ()):
        for advice, because in condition(reviewed):
            if advice is not None:
                yield ReviewAdvice(part, advice.title, because, advice.causes, advice.actions)


def _states(reviewed: Reviewed) -> Iterator[tuple[Advice | None, str]]:
    hours = reviewed.health.of(HealthHour)
    for state in ("crisis", "degraded"):
        number = sum(1 for one in hours if one.state == state)
        if number:
            yield symptom(state), f"{number} of {len(hours)} hours were in the state {state}"


def _many_errors(reviewed: Reviewed) -> Iterator[tuple[Advice | None, str]]:
    now, before = reviewed.now, reviewed.before
    if now.runs < LEAST:
        return
    rate = now.failed / now.runs
    if rate > reviewed.limits.crisis_errors:
        yield (
            symptom("high_error_rate"),
            f"{rate:.1%} of {now.runs:,} runs had a failure, more than {reviewed.limits.crisis_errors * 100:g}%",
        )
        return
    if before.runs < LEAST:
        return
    usual = before.failed / before.runs
    low = newcombe(now.failed, now.runs, before.failed, before.runs, _SURE)[0]
    if low > 0 and rate >= _ERRORS_RISE * usual:
        yield (
            symptom("high_error_rate"),
            f"{rate:.2%} of {now.runs:,} runs had a failure, {usual:.2%} of {before.runs:,} the period before",
        )


def _slow_flows(reviewed: Reviewed) -> Iterator[tuple[Advice | None, str]]:
    now, before = reviewed.now, reviewed.before
    if now.mean_ms is None or now.timed < LEAST:
        return
    if now.mean_ms > reviewed.limits.crisis_ms:
        yield symptom("slow_flow"), f"flows take {duration(now.mean_ms)} on average ({now.timed:,} flows)"
    elif before.mean_ms is not None and before.timed >= LEAST and now.mean_ms >= _SLOWER * before.mean_ms:
        told = f"flows take {duration(now.mean_ms)} on average ({now.timed:,} flows)"
        yield symptom("slow_flow"), f"{told}, {duration(before.mean_ms)} the period before ({before.timed:,})"


def _few_hits(reviewed: Reviewed) -> Iterator[tuple[Advice | None, str]]:
    for work, one in _enhancements(reviewed.work):
        was = reviewed.work_before.get(work, Worked())
        if one.ends < LEAST or not (one.hits or was.hits):
            continue
        rate = one.hits / one.ends
        if was.ends >= LEAST and newcombe(one.hits, one.ends, was.hits, was.ends, _SURE)[1] < 0:
            usual = was.hits / was.ends
            yield (
                symptom("low_cache_hit_rate"),
                f"{work.label}: {rate:.1%} of {one.ends:,} came from the cache, {usual:.1%} of {was.ends:,} the period before",
            )
        elif rate < _FEW_HITS:
            yield symptom("low_cache_hit_rate"), f"{work.label}: {rate:.1%} of {one.ends:,} came from the cache"


def _timeouts(reviewed: Reviewed) -> Iterator[tuple[Advice | None, str]]:
    for work, one in sorted(reviewed.work.items(), key=lambda item: (-item[1].timeouts, item[0].label)):
        if work.side == "own" or one.ends < LEAST or one.timeouts < _TIMEOUTS * one.ends:
            continue
        told = {f"{work.side}.failure.category": "technical", f"{work.side}.failure.subcategory": "timeout"}
        yield suggestion_for(told), f"{work.label}: {one.timeouts:,} of {one.ends:,} calls timed out"


def _categories(reviewed: Reviewed) -> Iterator[tuple[Advice | None, str]]:
    now, before = ({(row[0], row[1]): row[2] for row in rows} for rows in reviewed.query(_CATEGORIES))
    for category, subcategory in (("processing", "parsing"), ("system", "resource")):
        number, usual = now.get((category, subcategory), 0), before.get((category, subcategory), 0)
        if number:
            yield (
                suggestion_for({"error.category": category, "error.subcategory": subcategory}),
                f"{number:,} errors of the sort {category}/{subcategory}, {usual:,} the period before",
            )


def _enhancements(work: Mapping[Work, Worked]) -> list[tuple[Work, Worked]]:
    return sorted((one for one in work.items() if one[0].side == "enhancement"), key=lambda one: one[0].label)


_CONDITIONS: Final[Mapping[str, tuple[Callable[[Reviewed], Iterator[tuple[Advice | None, str]]], ...]]] = {
    "At a glance": (_states,),
    "Error trends": (_many_errors, _categories),
    "Performance patterns": (_slow_flows,),
    "Enhancement ROI": (_few_hits, _timeouts),
    "System optimization": (_slow_flows, _few_hits),
    "Service reliability": (_many_errors, _timeouts, _categories),
}
