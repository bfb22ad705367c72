"""The sections of the weekly review, and the glance that both reviews begin with."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from leadtrace.analysis.capacity import ResourceRow, VolumeRow
from leadtrace.analysis.error_groups import ErrorGroup
from leadtrace.analysis.health import HealthCause, HealthHour
from leadtrace.analysis.health_figures import HOUR
from leadtrace.analysis.performance import FlowTime, StepTime
from leadtrace.analysis.review_figures import DAY, count, money, share
from leadtrace.analysis.review_rows import ReviewBars, ReviewFigure, ReviewHours, ReviewSeries, ReviewTable
from leadtrace.analysis.review_shared import (
    SAMPLE,
    cached,
    cost_bars,
    failed_tries,
    failing_runs,
    mean_duration,
    takings,
)
from leadtrace.analysis.review_spoken import MOST, bars_of, changed, minute, points_told, priced, rate_told, relative
from leadtrace.analysis.roi import Calls, Return
from leadtrace.query.printable import duration, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from leadtrace.analysis.model import Row
    from leadtrace.analysis.review_figures import Reviewed
    from leadtrace.analysis.review_rows import Part

__all__ = ["capacity_planning", "error_trends", "glance", "performance_patterns", "roi_of"]

_ERRORS: Final = """
SELECT time_ns - time_ns % 86400000000000 AS day, error_category, error_subcategory, count(*)
FROM lead_events
WHERE name = 'error.occurred' AND amends = ''
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3"""


def glance(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    now, before = reviewed.now, reviewed.before
    yield count(reviewed, part, "flows begun", now.started, before.started, "flows", "up")
    yield share(part, "runs sold", (now.sold, now.runs), (before.sold, before.runs), "runs", "up")
    yield failing_runs(part, reviewed)
    yield share(
        part,
        "enhancements that succeeded",
        (now.enhancements - now.enhancement_failures, now.enhancements),
        (before.enhancements - before.enhancement_failures, before.enhancements),
        "enhancements",
        "up",
    )
    yield mean_duration(part, reviewed)
    yield from takings(part, reviewed)
    yield reviewed.daily(part, "flows begun a day", "", lambda one: float(one.started))
    hours = reviewed.health.of(HealthHour)
    yield ReviewHours(part, "health by hour", tuple(one.hour_ns for one in hours), tuple(one.state for one in hours))
    causes = [one for one in reviewed.health.of(HealthCause) if one.rank <= 3]
    if causes:
        lines = tuple(
            (
                minute(one.began_ns),
                minute(one.ended_ns) if one.ended_ns else "lasts",
                one.state,
                f"{one.cause}: {one.name}" if one.name else one.cause,
                f"{one.weight:.0%}",
                "; ".join(one.evidence),
            )
            for one in causes[-MOST:]
        )
        heads = ("began", "ended", "state", "likely cause", "explains", "evidence")
        yield ReviewTable(part, "times that were not healthy", "health", heads, (4,), lines, "")


def error_trends(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    now, before = reviewed.query(_ERRORS)
    total, total_before = sum(row[3] for row in now), sum(row[3] for row in before)
    yield count(reviewed, part, "errors that occurred", total, total_before, "errors", "down")
    yield failing_runs(part, reviewed)
    yield failed_tries(part, reviewed)
    yield _errors_a_day(part, reviewed, now, before)
    by_sort, sort_before = (
        _by(rows, lambda row: "/".join(filter(None, row[1:3])) or "unsorted") for rows in (now, before)
    )
    yield bars_of(part, "errors by sort", by_sort, sort_before)
    yield from _groups(part, reviewed)


def _groups(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    """The largest groups of errors, with what they have in common and what to do."""
    now, before = (report.of(ErrorGroup) for report in reviewed.both("errors"))
    usual = {one.group: one.errors for one in before}
    lines = tuple(
        (
            f"{one.type or 'error'} in {one.step}" if one.step else one.type or one.group,
            f"{one.errors:,}",
            f"{usual.get(one.group, 0):,}",
            changed(reviewed, one.errors, usual.get(one.group, 0)),
            f"{one.leads:,}",
            one.pattern,
            one.suggestion,
        )
        for one in now[:MOST]
    )
    if lines:
        heads = ("error", "now", "before", "change", "leads", "pattern", "what to do")
        note = f"{len(now) - MOST} more groups" if len(now) > MOST else ""
        yield ReviewTable(part, "largest groups", "errors", heads, (1, 2, 3, 4), lines, note)


def _by(rows: Iterable[tuple[Any, ...]], key: Callable[[tuple[Any, ...]], str]) -> Counter[str]:
    found = Counter[str]()
    for row in rows:
        found[key(row)] += row[3]
    return found


def _errors_a_day(
    part: Part, reviewed: Reviewed, now: Iterable[tuple[Any, ...]], before: Iterable[tuple[Any, ...]]
) -> ReviewSeries:
    told, usual = Counter[int](), Counter[int]()
    for row in now:
        told[row[0]] += row[3]
    for row in before:
        usual[row[0]] += row[3]
    period = reviewed.period
    days = [period.since_ns + day * DAY for day in range(-(-(period.until_ns - period.since_ns) // DAY))]
    return ReviewSeries(
        part,
        "errors a day",
        "",
        tuple(days),
        tuple(float(told[one]) for one in days),
        tuple(
            float(usual[one])
            for one in (period.before_ns + number * DAY for number in range(len(days)))
            if one < period.before_until_ns
        ),
    )


def performance_patterns(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    yield mean_duration(part, reviewed)
    yield reviewed.daily(part, "mean duration of a flow", "ms", lambda one: one.mean_ms)
    now, before = reviewed.both("performance", sample=SAMPLE)
    flows = {(one.flow, one.version): one for one in before.of(FlowTime)}
    lines = tuple(
        (
            f"{one.flow} v{one.version}" if one.version else one.flow,
            f"{one.runs:,}",
            duration(one.p50_ms),
            duration(one.p95_ms),
            relative(one.p95_ms, was.p95_ms if was else None),
            duration(one.max_ms),
        )
        for one in now.of(FlowTime)[:MOST]
        for was in [flows.get((one.flow, one.version))]
    )
    if lines:
        heads = ("flow", "runs", "half within", "95% within", "change", "longest")
        yield ReviewTable(part, "flows", "performance", heads, (1, 2, 3, 4, 5), lines, "")
    yield from _slow_steps(part, now, before)
    by_hour = Counter[int]()
    for hour in reviewed.hours.hours(reviewed.period.since_ns, reviewed.period.until_ns):
        by_hour[hour // HOUR % 24] += reviewed.hours.counts(hour).started
    if by_hour:
        labels = tuple(f"{hour:02d}" for hour in range(24))
        values = tuple(float(by_hour[hour]) for hour in range(24))
        yield ReviewBars(part, "flows begun by hour of day (UTC)", "", "", labels, values, ())


def _slow_steps(part: Part, now: Any, before: Any) -> Iterable[Row]:
    def spent(report: Any) -> dict[tuple[str, str], tuple[float, int, float]]:
        found: dict[tuple[str, str], tuple[float, int, float]] = {}
        for one in report.of(StepTime):
            time, calls, slow = found.get((one.word, one.name), (0.0, 0, 0.0))
            found[one.word, one.name] = (time + one.mean_ms * one.calls, calls + one.calls, max(slow, one.p95_ms))
        return found

    told, usual = spent(now), spent(before)
    lines = []
    for key, (time, calls, slow) in sorted(told.items(), key=lambda one: (-one[1][0], one[0]))[:MOST]:
        was = usual.get(key)
        lines.append(
            (
                f"{key[1]} ({key[0]})",
                f"{calls:,}",
                duration(time / calls),
                relative(time / calls, was[0] / was[1] if was else None),
                duration(slow),
            )
        )
    if lines:
        heads = ("step", "calls", "mean", "change", "95% within")
        yield ReviewTable(part, "where time goes", "performance", heads, (1, 2, 3, 4), tuple(lines), "most time first")


def roi_of(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    now, before = reviewed.both("roi", by="enhancement")
    calls, usual = ({one.enhancement: one for one in report.of(Calls)} for report in (now, before))
    yield cached(part, reviewed)
    spent, spent_before = (_spent(report.of(Return)) for report in (now, before))
    for currency in sorted(spent | spent_before):
        one, other = spent.get(currency, _NOTHING), spent_before.get(currency, _NOTHING)
        for at, name, calls_at, of, good in _MONEY:
            if one[at] or other[at]:
                sums, usual_sums = (one[at], one[calls_at]), (other[at], other[calls_at])
                yield money(reviewed, part, name, sums, usual_sums, currency, of, good)
    yield from cost_bars(part, now, before)
    lines = []
    for row in now.of(Return):
        call = calls.get(row.enhancement)
        if call is None or call.piece_ns is not None:
            continue
        then = usual.get(row.enhancement)
        lines.append(
            (
                row.enhancement,
                f"{call.attempts:,}",
                rate_told(call.successes),
                points_told(call.successes, then.successes if then else None),
                rate_told(call.cache_hits_of_attempts),
                points_told(call.cache_hits_of_attempts, then.cache_hits_of_attempts if then else None),
                priced(row.cost, row.currency),
                priced(row.cache_savings, row.currency),
                _returned(row),
            )
        )
    if lines:
        heads = ("enhancement", "attempts", "success", "change", "from cache", "change", "cost", "saved", "net ROI")
        note = "net ROI: value less cost, of cost; measured on matched leads where there is enough of them"
        yield ReviewTable(part, "enhancements", "roi", heads, tuple(range(1, 9)), tuple(lines[: 2 * MOST]), note)


_MONEY: Final[tuple[tuple[Literal[0, 1, 2], str, Literal[3, 4], str, Literal["up", "down"]], ...]] = (
    (0, "cost of enhancements", 3, "billed calls", "down"),
    (1, "saved by caches", 3, "billed calls", "up"),
    (2, "cost of failed calls", 4, "billed failures", "down"),
)
_NOTHING: Final = (Decimal(0), Decimal(0), Decimal(0), 0, 0)


def _spent(rows: Iterable[Return]) -> dict[str, tuple[Decimal, Decimal, Decimal, int, int]]:
    found: dict[str, tuple[Decimal, Decimal, Decimal, int, int]] = {}
    for one in rows:
        cost, saved, failed, calls, failures = found.get(one.currency, _NOTHING)
        found[one.currency] = (
            cost + one.cost,
            saved + one.cache_savings,
            failed + one.billed_failure_cost,
            calls + one.billed_calls,
            failures + one.billed_failures,
        )
    return found


def _returned(row: Return) -> str:
    for percent, how in ((row.declared_net_roi_percent, "declared"), (row.measured_net_roi_percent, "measured")):
        if percent is not None:
            return f"{percent:,.0f}% {how}"
    return "no value told" if row.cost else "no cost"


def capacity_planning(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    found = reviewed.both("capacity")[0]
    now, before = reviewed.now, reviewed.before
    yield count(reviewed, part, "flows begun", now.started, before.started, "flows", "up")
    busiest, busiest_before = (
        max((one.flows for one in report.of(VolumeRow)), default=0) for report in reviewed.both("capacity")
    )
    yield _largest(part, "busiest hour", busiest, busiest_before)
    yield reviewed.daily(part, "flows begun a day", "", lambda one: float(one.started))
    resources = sorted(found.of(ResourceRow), key=lambda one: (-one.peak, one.resource, one.service, one.host))
    if resources:
        fullest: dict[str, float] = {}
        for one in resources:
            fullest.setdefault(
                " ".join(filter(None, (one.resource.replace("_", " "), one.service, one.host))), one.peak
            )
        names = list(fullest)[:MOST]
        yield ReviewBars(
            part,
            "largest share of the maximum in use",
            "share",
            "",
            tuple(names),
            tuple(fullest[one] for one in names),
            (),
        )
    lines = tuple(
        (
            one.resource.replace("_", " "),
            " ".join(filter(None, (one.service, one.host))),
            f"{one.usual:.0%}",
            f"{one.peak:.0%}",
            f"{one.trend_a_day:+.2%}" if one.trend_a_day is not None else "",
            f"{one.fit:.2f}" if one.fit is not None else "",
            moment(one.full_ns)[:10] if one.full_ns else "",
            one.note,
        )
        for one in resources[:MOST]
    )
    heads = ("resource", "of", "usual", "peak", "a day", "fit R²", "full on", "")
    note = "" if lines else "; ".join(found.notes)
    yield ReviewTable(part, "resources", "capacity", heads, (2, 3, 4, 5), lines, note)


def _largest(part: Part, name: str, now: int, before: int) -> Row:
    change = now / before - 1 if before else None
    return ReviewFigure(
        part, name, "", float(now), None, "", now, "flows", float(before), None, before, change, "", True, ""
    )
