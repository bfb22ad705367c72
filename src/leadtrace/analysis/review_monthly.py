"""The sections of the monthly review."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from leadtrace.analysis.business import Deliveries, Takings
from leadtrace.analysis.health import HealthHour
from leadtrace.analysis.health_figures import Worked
from leadtrace.analysis.performance import Improvable, PathPart
from leadtrace.analysis.reliability import Circuit, Ending, Partner
from leadtrace.analysis.review_figures import share
from leadtrace.analysis.review_rows import ReviewBars, ReviewHours, ReviewLinks, ReviewTable
from leadtrace.analysis.review_shared import SAMPLE, cached, cost_bars, failed_tries, mean_duration, takings
from leadtrace.analysis.review_spoken import (
    MOST,
    minute,
    money_changed,
    points_told,
    priced,
    rate_told,
    relative,
    versioned,
)
from leadtrace.query.printable import duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.analysis.model import Row
    from leadtrace.analysis.review_figures import Reviewed
    from leadtrace.analysis.review_rows import Part

__all__ = ["architecture_review", "cost_analysis", "service_reliability", "system_optimization"]

_RECOVERED: Final = """
SELECT CASE WHEN name = 'error.recovered' THEN recovery_action ELSE fallback_instead_of END, name, count(*)
FROM lead_events
WHERE name IN ('error.recovered', 'fallback.used')
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2"""
_LINKS: Final = """
SELECT coalesce(r.flow_name, ''),
  CASE WHEN substr(e.name, 1, 9) = 'delivery.' THEN e.buyer
    WHEN e.enhancement_service = '' THEN e.enhancement_name ELSE e.enhancement_service END AS target,
  count(*), sum(CASE WHEN e.kind = 'failure' THEN 1 ELSE 0 END),
  count(DISTINCT e.run_key)
FROM lead_events e
LEFT JOIN lead_runs r ON r.run_key = e.run_key
WHERE e.name IN ('enhancement.success', 'enhancement.failed', 'delivery.accepted', 'delivery.rejected', 'delivery.failed',
  'delivery.unconfirmed')
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2"""
_PROCESSES: Final = """
SELECT service, service_version, count(DISTINCT CASE WHEN host <> '' THEN host END), count(*), min(time_ns), max(time_ns)
FROM lead_events
GROUP BY 1, 2
ORDER BY 1, 6 DESC, 2"""


def system_optimization(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    yield mean_duration(part, reviewed)
    yield cached(part, reviewed)
    yield failed_tries(part, reviewed)
    yield reviewed.daily(part, "mean duration of a flow", "ms", lambda one: one.mean_ms)
    found = reviewed.both("performance", sample=SAMPLE)[0]
    changes = sorted(found.of(Improvable), key=lambda one: (-one.saved_ms, one.change))[:MOST]
    if changes:
        lines = tuple(
            (
                versioned(one.flow, one.version),
                one.change,
                duration(one.saved_ms),
                f"{one.faster:.1%}",
                rate_told(one.runs_changed),
            )
            for one in changes
        )
        heads = ("flow", "change", "saves a run", "faster", "of runs")
        note = "worked out again on recorded runs; the report what-if states the assumptions"
        yield ReviewTable(part, "what would help most", "what-if", heads, (2, 3, 4), lines, note)
    path = [one for one in found.of(PathPart) if one.path_ms > 0]
    path.sort(key=lambda one: (-one.path_ms, one.name))
    if path:
        yield ReviewBars(
            part,
            "what runs wait for, per run",
            "ms",
            "",
            tuple(f"{one.name} · {versioned(one.flow, one.version)}" for one in path[:MOST]),
            tuple(one.path_ms for one in path[:MOST]),
            (),
        )
    recovered = reviewed.query(_RECOVERED)[0]
    if recovered:
        made_good = tuple(
            (action or "unnamed", "fallback" if name == "fallback.used" else "recovery", f"{number:,}")
            for action, name, number in recovered[:MOST]
        )
        yield ReviewTable(part, "what was made good", "frequency", ("by", "sort", "times"), (2,), made_good, "")


def cost_analysis(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    yield from takings(part, reviewed)
    now, before = reviewed.both("roi", by="enhancement")
    yield from cost_bars(part, now, before)
    for by, title in (("source", "by source"), ("flow", "by flow"), ("buyer", "by buyer")):
        told, usual = reviewed.both("business", by=by)
        then = {(one.of, one.currency): one for one in usual.of(Takings)}
        rows = sorted(
            told.of(Takings), key=lambda one: (-(one.margin if one.margin is not None else one.revenue), one.of)
        )
        lines = []
        for one in rows[:MOST]:
            was = then.get((one.of, one.currency))
            lines.append(
                (
                    one.of or "not told",
                    f"{one.leads:,}",
                    priced(one.revenue, one.currency),
                    money_changed(reviewed, one.revenue, was.revenue if was else None),
                    priced(one.returned, one.currency) if one.returned else "",
                    priced(one.cost, one.currency) if one.cost is not None else "",
                    priced(one.margin, one.currency) if one.margin is not None else "",
                )
            )
        if lines:
            heads = (by, "leads", "revenue", "change", "returned", "cost", "margin")
            yield ReviewTable(part, f"money {title}", "business", heads, (1, 2, 3, 4, 5, 6), tuple(lines), "")


def service_reliability(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    external = {work: one for work, one in reviewed.work.items() if work.side != "own" and work.label}
    usual = reviewed.work_before
    now_all = sum(external.values(), Worked())
    before_all = sum((one for work, one in usual.items() if work.side != "own" and work.label), Worked())
    without = (now_all.ends - now_all.failures, now_all.ends), (before_all.ends - before_all.failures, before_all.ends)
    yield share(part, "calls to others without a failure", *without, "calls", "up")
    late = (now_all.timeouts, now_all.ends), (before_all.timeouts, before_all.ends)
    yield share(part, "calls to others that timed out", *late, "calls", "down")
    now, _ = reviewed.both("business", by="total")
    deliveries = now.of(Deliveries)
    if deliveries:
        before = reviewed.both("business", by="total")[1].of(Deliveries)
        one, other = deliveries[0].success, before[0].success if before else None
        yield share(
            part,
            "deliveries accepted",
            (one.numerator, one.denominator),
            (other.numerator, other.denominator) if other else (0, 0),
            one.of,
            "up",
        )
    ordered = sorted(external.items(), key=lambda one: (-one[1].failures, -one[1].ends, one[0].label))
    yield from _partners(part, reviewed)
    if external:
        failing = [(work, one) for work, one in ordered if one.failures][:MOST]
        if failing:
            yield ReviewBars(
                part,
                "calls that failed",
                "",
                "",
                tuple(work.label for work, _ in failing),
                tuple(float(one.failures) for _, one in failing),
                tuple(float(usual.get(work, Worked()).failures) for work, _ in failing),
            )
    hours = reviewed.health.of(HealthHour)
    yield ReviewHours(part, "health by hour", tuple(one.hour_ns for one in hours), tuple(one.state for one in hours))


def _partners(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    now, before = reviewed.both("reliability")
    usual = {(one.sort, one.name): one for one in before.of(Partner)}
    opened = {one.name: one for one in now.of(Circuit)}
    lines = []
    for one in now.of(Partner)[: 2 * MOST]:
        was, circuit = usual.get((one.sort, one.name)), opened.get(one.name)
        lines.append(
            (
                f"{one.name} ({one.sort})",
                f"{one.calls:,}",
                rate_told(one.availability),
                points_told(one.availability, was.availability if was else None),
                f"{one.unanswered:,}",
                f"{one.retries:,}",
                duration(one.p95_ms) if one.p95_ms is not None else "",
                relative(one.p95_ms, was.p95_ms if was else None) if one.p95_ms is not None else "",
                f"{circuit.opened:,} for {duration(circuit.open_ms)}" if circuit else "",
            )
        )
    if lines:
        heads = (
            "service or buyer",
            "calls",
            "available",
            "change",
            "unanswered",
            "retries",
            "95% within",
            "change",
            "circuit open",
        )
        note = "available: answered, a no or no data included, of the calls that went out"
        yield ReviewTable(part, "services and buyers", "reliability", heads, (1, 2, 3, 4, 5, 6, 7), tuple(lines), note)
    ending = [
        (
            f"{one.name} ({one.sort})",
            one.what,
            f"{one.refused:,}",
            minute(one.next_expected_ns) if one.next_expected_ns else "",
            one.evidence,
            one.suggestion,
        )
        for one in now.of(Ending)[:MOST]
    ]
    if ending:
        columns = ("of", "what", "refused", "expected", "evidence", "what to do")
        yield ReviewTable(part, "about to end", "reliability", columns, (2,), tuple(ending), "")


def architecture_review(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    links = reviewed.query(_LINKS)[0]
    named = [row for row in links if row[1]]
    if named:
        shown = named[: 3 * MOST]
        yield ReviewLinks(
            part,
            "what flows depend on",
            tuple(row[0] or "no flow" for row in shown),
            tuple(row[1] for row in shown),
            tuple(row[2] for row in shown),
            tuple(row[3] for row in shown),
        )
    runs, failures, calls = Counter[str](), Counter[str](), Counter[str]()
    for _, target, number, failed, of_runs in named:
        runs[target] += of_runs
        failures[target] += failed
        calls[target] += number
    replaced = {row[0]: row[2] for row in reviewed.query(_RECOVERED)[0] if row[1] == "fallback.used"}
    total = reviewed.now.runs
    lines = tuple(
        (
            target,
            f"{calls[target]:,}",
            f"{min(1.0, number / total):.0%} of {total:,}" if total else "",
            f"{failures[target]:,}",
            f"{replaced[target]:,}" if target in replaced else "none used",
        )
        for target, number in runs.most_common(2 * MOST)
    )
    if lines:
        heads = ("service or buyer", "calls", "runs that use it", "failures", "fallbacks")
        yield ReviewTable(
            part,
            "dependencies",
            "reliability",
            heads,
            (1, 2, 3, 4),
            lines,
            "one that most runs use and that has no fallback stops them all",
        )
    now, before = reviewed.query(_PROCESSES)
    known = {(row[0], row[1]) for row in before}
    ran = tuple(
        (
            row[0] or "unnamed",
            row[1] or "no version",
            f"{row[2]:,}",
            f"{row[3]:,}",
            minute(row[4]),
            minute(row[5]),
            "" if (row[0], row[1]) in known or not known else "new",
        )
        for row in now[: 2 * MOST]
    )
    columns = ("service", "version", "hosts", "events", "first seen", "last seen", "")
    yield ReviewTable(part, "what ran", "frequency", columns, (2, 3), ran, "")
    found = reviewed.ask("lint", reviewed.period.since_ns, reviewed.period.until_ns, sample=SAMPLE)
    rules = Counter[str]()
    for one in found.rows:
        rules[one.rule] += one.count
    wrong = tuple((rule.replace("_", " "), f"{number:,}") for rule, number in rules.most_common(MOST))
    note = f"of a sample of {SAMPLE} leads" if wrong else f"nothing that cannot be true in a sample of {SAMPLE} leads"
    yield ReviewTable(part, "what is wrong with the data", "lint", ("finding", "times"), (1,), wrong, note)
