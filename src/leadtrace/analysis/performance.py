"""How long flows and their steps take, what a run waits for, what would make it faster, and what it uses of the machine."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from leadtrace.analysis.critical_path import critical_path, self_time_ns
from leadtrace.analysis.health_state import LIMITS
from leadtrace.analysis.improvable import tried
from leadtrace.analysis.misspelt import FLOWS
from leadtrace.analysis.model import LEAST, Rate, Report, Row, Sample, Window, limited
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.passages import oddities
from leadtrace.analysis.registry import Analysis
from leadtrace.analysis.sampled import COMPLETED, SampledRuns, runs_drawn
from leadtrace.query.printable import duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.analysis.passages import Passage
    from leadtrace.store.relations.interface import Relations

__all__ = [
    "PERFORMANCE",
    "FlowTime",
    "Improvable",
    "PathPart",
    "PerformanceOptions",
    "Resources",
    "Slowest",
    "StepTime",
    "Waited",
    "performance",
]

_DAY_NS: Final = 86_400 * 10**9

# Means are made in Python of whole microseconds: doubles add up to another sum in another order. Durations by nearest rank.
# The baseline is of the flow, whatever its version: a new one is to be measured against the old.
_FLOWS: Final = """
WITH runs AS (
  SELECT flow_name, flow_version, coalesce(duration_ms, (end_ns - start_ns) / 1000000.0) AS duration_ms, outcome,
    CASE WHEN end_ns >= $since THEN 1 ELSE 0 END AS inside
  FROM lead_runs
  WHERE end_ns >= $earliest AND ($until = 0 OR end_ns < $until) AND ($flow = '' OR flow_name = $flow)
),
completed AS (
  SELECT * FROM runs WHERE duration_ms IS NOT NULL AND outcome NOT IN ('', 'failed', 'cancelled', 'interrupted')
),
baselines AS (
  SELECT flow_name, count(*) AS runs, nearest_rank(duration_ms, 50) AS p50, nearest_rank(duration_ms, 95) AS p95
  FROM completed WHERE inside = $baseline GROUP BY flow_name
)
SELECT r.flow_name, r.flow_version, count(*),
  nearest_rank(r.duration_ms, 50),
  nearest_rank(r.duration_ms, 90),
  nearest_rank(r.duration_ms, 95),
  nearest_rank(r.duration_ms, 99),
  sum(CAST(round(r.duration_ms * 1000) AS BIGINT)), max(r.duration_ms),
  coalesce(max(b.runs), 0), max(b.p50), max(b.p95),
  sum(CASE WHEN r.duration_ms <= b.p50 THEN 1 ELSE 0 END),
  sum(CASE WHEN r.duration_ms > b.p95 THEN 1 ELSE 0 END),
  sum(CASE WHEN r.duration_ms < $healthy THEN 1 ELSE 0 END),
  sum(CASE WHEN r.duration_ms > $crisis THEN 1 ELSE 0 END)
FROM completed r LEFT JOIN baselines b ON b.flow_name = r.flow_name
WHERE r.inside = 1
GROUP BY r.flow_name, r.flow_version
ORDER BY r.flow_name, r.flow_version"""

_OTHERS: Final = """
SELECT
  sum(CASE WHEN outcome = 'failed' THEN 1 ELSE 0 END),
  sum(CASE WHEN outcome = 'cancelled' THEN 1 ELSE 0 END),
  sum(CASE WHEN outcome = 'interrupted' THEN 1 ELSE 0 END),
  sum(CASE WHEN outcome = '' THEN 1 ELSE 0 END),
  sum(CASE WHEN outcome NOT IN ('', 'failed', 'cancelled', 'interrupted')
    AND coalesce(duration_ms, (end_ns - start_ns) / 1000000.0) IS NULL THEN 1 ELSE 0 END)
FROM lead_runs
WHERE coalesce(end_ns, start_ns) >= $since AND ($until = 0 OR coalesce(end_ns, start_ns) < $until)
  AND ($flow = '' OR flow_name = $flow)"""

_SLOWEST: Final = """
SELECT tenant, lead_id, run_id
FROM lead_runs
WHERE end_ns >= $since AND ($until = 0 OR end_ns < $until) AND ($flow = '' OR flow_name = $flow)
  AND lead_id <> '' AND coalesce(duration_ms, (end_ns - start_ns) / 1000000.0) IS NOT NULL
  AND outcome NOT IN ('', 'failed', 'cancelled', 'interrupted')
ORDER BY coalesce(duration_ms, (end_ns - start_ns) / 1000000.0) DESC, run_id
LIMIT $size"""

_STEPS: Final = """
WITH ended AS (
  SELECT coalesce(r.flow_name, '') AS flow_name, coalesce(r.flow_version, '') AS flow_version, e.word AS word,
    CASE WHEN e.word = 'delivery' AND e.buyer <> '' THEN 'deliver to ' || e.buyer ELSE e.word_name END AS step,
    e.duration_ms AS duration_ms, e.kind AS kind
  FROM lead_events e
  LEFT JOIN lead_runs r ON r.run_key = e.run_key
  WHERE e.word <> '' AND e.word <> 'flow' AND e.kind <> 'start' AND e.duration_ms IS NOT NULL
    AND ($flow = '' OR r.flow_name = $flow)
)
SELECT flow_name, flow_version, word, step, count(*),
  sum(CASE WHEN kind IN ('failure', 'attempt_failure') THEN 1 ELSE 0 END),
  nearest_rank(duration_ms, 50),
  nearest_rank(duration_ms, 95),
  sum(CAST(round(duration_ms * 1000) AS BIGINT)), max(duration_ms)
FROM ended
GROUP BY flow_name, flow_version, word, step
ORDER BY flow_name, flow_version, sum(CAST(round(duration_ms * 1000) AS BIGINT)) DESC, word, step"""

_RESOURCES: Final = """
SELECT flow_name, flow_version, count(*),
  nearest_rank(cpu_ms, 50),
  nearest_rank(cpu_ms, 95),
  sum(CASE WHEN concurrent_flows = 1 THEN 1 ELSE 0 END),
  sum(CASE WHEN concurrent_flows = 1 THEN CAST(round(cpu_ms * 1000) AS BIGINT) END),
  max(peak_memory_bytes), sum(concurrent_flows), count(concurrent_flows), max(concurrent_flows)
FROM lead_events
WHERE name = 'flow.completed' AND cpu_ms IS NOT NULL AND ($flow = '' OR flow_name = $flow)
GROUP BY flow_name, flow_version
ORDER BY flow_name, flow_version"""


@dataclass(slots=True, frozen=True, kw_only=True)
class PerformanceOptions(Options):
    flow: str = option("", "Only runs of the flow of this name.", names=FLOWS)
    sample: int = option(200, "How many runs are read whole, for the critical path and what would help; 0: all.")
    baseline_days: float = option(28.0, "How long before the window the flow's own baseline begins.")
    healthy_ms: float = option(LIMITS.healthy_ms, "The absolute limit below which a run is healthy.")
    crisis_ms: float = option(LIMITS.crisis_ms, "The absolute limit above which a run is in crisis.")


@dataclass(slots=True, frozen=True)
class FlowTime(Row):
    """How long the completed runs of one flow version took."""

    section: ClassVar[str] = "flows"
    flow: str
    version: str
    runs: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    max_ms: float
    baseline_runs: int
    """Completed runs of the flow, of any version, that the bands are relative to."""
    baseline_p50_ms: float | None
    baseline_p95_ms: float | None
    fast: Rate | None
    """At most the baseline's median; None without a baseline."""
    normal: Rate | None
    """Above it, and at most the baseline's 95th percentile."""
    slow: Rate | None
    """Above that."""
    healthy: Rate
    """Below the absolute limit of a healthy run."""
    crisis: Rate
    """Above the absolute limit of a crisis."""


@dataclass(slots=True, frozen=True)
class StepTime(Row):
    """How long one step, enhancement, delivery, check or try took, over every call that ended."""

    section: ClassVar[str] = "steps"
    flow: str
    version: str
    word: str
    name: str
    calls: int
    failed: int
    p50_ms: float
    p95_ms: float
    mean_ms: float
    max_ms: float


@dataclass(slots=True, frozen=True)
class PathPart(Row):
    """What the runs waited for: one word's own time on the critical path, tries and foreign spans beneath it included."""

    section: ClassVar[str] = "critical_path"
    flow: str
    version: str
    word: str
    name: str
    bottleneck: bool
    """Whether it has the most of all parts of this flow version."""
    path_ms: float
    """Per run, on average over the runs looked at, those without it included."""
    share: Rate
    """Of the runs' time together, in milliseconds."""
    on_path: Rate
    """Runs whose critical path it is on."""
    self_ms: float
    """Its own time per run, on the path or beside it."""


@dataclass(slots=True, frozen=True)
class Waited:
    """A stretch of one run's critical path."""

    name: str
    after_ms: float
    """From the run's begin."""
    ms: float


@dataclass(slots=True, frozen=True)
class Slowest(Row):
    """One of the runs that took longest, with what it waited for."""

    section: ClassVar[str] = "slowest"
    flow: str
    version: str
    lead_id: str
    run_id: str
    duration_ms: float
    waited: tuple[Waited, ...]
    """Its critical path in order, tries and foreign spans as part of their word."""


@dataclass(slots=True, frozen=True)
class Improvable(Row):
    """One change that would have made the recorded runs faster; `what-if` tells its assumptions."""

    section: ClassVar[str] = "most_improvable"
    flow: str
    version: str
    change: str
    saved_ms: float
    """Per run, on average over the runs looked at."""
    faster: float
    """The share of the runs' time that it saves, 0 to 1."""
    runs_changed: Rate


@dataclass(slots=True, frozen=True)
class Resources(Row):
    """What completed runs used of their process, as they told it themselves at their end."""

    section: ClassVar[str] = "resources"
    flow: str
    version: str
    runs: int
    cpu_p50_ms: float
    cpu_p95_ms: float
    runs_alone: int
    """Runs beside which no other flow was open in the process: only their CPU time is theirs alone."""
    cpu_alone_ms: float | None
    """The mean of those."""
    peak_memory_bytes: int | None
    concurrent_mean: float | None
    concurrent_max: int | None


def performance(relations: Relations, options: PerformanceOptions) -> Report[Row]:
    """Times of flows and steps exactly, over every run and call; critical path and remedies over a sample of whole runs."""
    part = relations.part
    given: dict[str, str | int | float | None] = {
        "flow": options.flow,
        "since": part.since_ns,
        "until": part.until_ns,
    }
    earliest = max(part.since_ns - round(options.baseline_days * _DAY_NS), 0) if part.since_ns else 0
    limits = {"healthy": options.healthy_ms, "crisis": options.crisis_ms}
    base = {"earliest": earliest, "baseline": 0 if part.since_ns else 1}
    flows = [_flow_time(row) for row in relations.query(_FLOWS, given | limits | base)]
    steps = [_step_time(row) for row in relations.query(_STEPS, given)]
    resources = [_resources(row) for row in relations.query(_RESOURCES, given)]
    ((failed, cancelled, interrupted, open_, endless),) = relations.query(_OTHERS, given)
    sampled = runs_drawn(relations, options.sample, options.flow)
    parts, changes, looked_at, notes = _looked_into(sampled)
    slowest = SampledRuns(relations, _drawn(relations.query(_SLOWEST, given | {"size": _MOST_SLOW})), 0, 0)
    slow = sorted(map(_slow, slowest), key=lambda one: (-one.duration_ms, one.run_id))
    rows, cut = limited((flows, parts, changes, slow, steps, resources), options.limit)
    if endless:
        notes.append(f"{endless:,} completed runs say no duration and have no start: they are not among these.")
    counts = {
        "completed_runs": sum(one.runs for one in flows),
        "failed_runs": failed or 0,
        "cancelled_runs": cancelled or 0,
        "interrupted_runs": interrupted or 0,
        "open_runs": open_ or 0,
        "ended_calls": sum(one.calls for one in steps),
        "runs_read_whole": looked_at,
    }
    return Report(
        PERFORMANCE.name,
        Window(part.since_ns, part.until_ns),
        Sample(counts),
        tuple(rows),
        (*_notes(options, flows, bool(part.since_ns)), *notes, *cut),
        tuple(dict.fromkeys((*sampled.incomplete, *slowest.incomplete))),
    )


_MOST_SLOW: Final = 5


def _drawn(rows: Iterable[tuple[Any, ...]]) -> list[tuple[str, str, str]]:
    return [(str(tenant), str(lead), str(run)) for tenant, lead, run in rows]


def _slow(passage: Passage) -> Slowest:
    waited: list[Waited] = []
    for stretch in critical_path(passage.root):
        name = stretch.piece.home.name
        if waited and waited[-1].name == name:
            waited[-1] = replace(waited[-1], ms=waited[-1].ms + stretch.ms)
        else:
            waited.append(Waited(name, (stretch.began_ns - passage.root.began_ns) / 1e6, stretch.ms))
    run = passage.run
    return Slowest(run.name, run.version, passage.lead_id, run.run_id, passage.duration_ms, tuple(waited))


def _flow_time(row: tuple[Any, ...]) -> FlowTime:
    flow, version, runs, p50, p90, p95, p99, total, most, base_runs, base_p50, base_p95, fast, slow, healthy, crisis = (
        row
    )
    known = base_runs >= LEAST

    def rate(count: int) -> Rate:
        return Rate(int(count or 0), int(runs), "completed runs")

    return FlowTime(
        flow,
        version,
        runs,
        p50,
        p90,
        p95,
        p99,
        _mean_ms(total, runs),
        most,
        base_runs,
        base_p50,
        base_p95,
        rate(fast) if known else None,
        rate(runs - fast - slow) if known else None,
        rate(slow) if known else None,
        rate(healthy),
        rate(crisis),
    )


def _step_time(row: tuple[Any, ...]) -> StepTime:
    flow, version, word, name, calls, failed, p50, p95, total, most = row
    return StepTime(flow, version, word, name, calls, int(failed), p50, p95, _mean_ms(total, calls), most)


def _mean_ms(total_us: int, of: int) -> float:
    return int(total_us) / of / 1000


def _resources(row: tuple[Any, ...]) -> Resources:
    flow, version, runs, p50, p95, alone, alone_us, memory, concurrent, told, most = row
    return Resources(
        flow,
        version,
        runs,
        p50,
        p95,
        int(alone or 0),
        _mean_ms(alone_us, alone) if alone else None,
        memory,
        int(concurrent) / told if told else None,
        most,
    )


@dataclass(slots=True)
class _Part:
    """One word's share of the runs looked at."""

    path_ns: int = 0
    self_ns: int = 0
    runs: int = 0


_KEPT: Final = 1_000


@dataclass(slots=True)
class _Looked:
    """The runs of one flow version that were read whole."""

    runs: int = 0
    total_ns: int = 0
    kept: list[Passage] = field(default_factory=list)
    """Those on which remedies are tried: no more than memory has room for, however many are looked at."""
    parts: dict[tuple[str, str], _Part] = field(default_factory=lambda: defaultdict(_Part))

    def add(self, passage: Passage) -> None:
        self.runs += 1
        self.total_ns += passage.root.length_ns
        if len(self.kept) < _KEPT:
            self.kept.append(passage)
        met = set()
        for stretch in critical_path(passage.root):
            home = stretch.piece.home
            self.parts[home.word, home.name].path_ns += stretch.ended_ns - stretch.began_ns
            met.add((home.word, home.name))
        for key in met:
            self.parts[key].runs += 1
        for piece in passage.root.walk():
            self.parts[piece.home.word, piece.home.name].self_ns += self_time_ns(piece)


def _looked_into(sampled: SampledRuns) -> tuple[list[PathPart], list[Improvable], int, list[str]]:
    """What runs waited for and what would have helped, by flow version; how many were looked at; what is to be said of it."""
    flows: dict[tuple[str, str], _Looked] = {}
    unfinished = shifted = looked_at = 0
    for passage in sampled:
        if passage.run.ended_by not in COMPLETED:
            continue
        looked_at += 1
        flows.setdefault((passage.run.name, passage.run.version), _Looked()).add(passage)
        unfinished += bool(passage.unfinished)
        shifted += bool(passage.shifted)
    parts: list[PathPart] = []
    changes: list[Improvable] = []
    for (flow, version), looked in sorted(flows.items()):
        parts += _parts(flow, version, looked)
        changes += _changes(flow, version, looked)
    notes = [
        f"Critical path and what would help are worked out on {sampled.text}; of those, {looked_at:,} were completed and whole."
    ]
    notes += oddities(unfinished, shifted, "runs")
    if any(one.runs > len(one.kept) for one in flows.values()):
        notes.append(f"What would help was tried on {_KEPT:,} runs of each flow version at most.")
    if sampled.unknown:
        notes.append(
            f"{sampled.unknown:,} of the runs drawn are not told as ended on their lead's timeline and were left out."
        )
    if sampled.without_lead:
        notes.append(f"{sampled.without_lead:,} runs name no lead and are not among those read whole.")
    if looked_at and looked_at < LEAST:
        notes.append(f"Only {looked_at} runs were read whole: too few to say what usually is the bottleneck.")
    return parts, changes, looked_at, notes


def _parts(flow: str, version: str, looked: _Looked) -> list[PathPart]:
    runs, total = looked.runs, looked.total_ns
    ranked = sorted(looked.parts.items(), key=lambda one: (-one[1].path_ns, one[0]))
    return [
        PathPart(
            flow,
            version,
            word,
            name,
            place == 0 and part.path_ns > 0,
            part.path_ns / runs / 1e6,
            Rate(round(part.path_ns / 1e6), round(total / 1e6), "ms of the runs' time", 1),
            Rate(part.runs, runs, "runs read whole", 1),
            part.self_ns / runs / 1e6,
        )
        for place, ((word, name), part) in enumerate(ranked)
        if part.path_ns or part.self_ns
    ]


def _changes(flow: str, version: str, looked: _Looked) -> list[Improvable]:
    runs = len(looked.kept)
    return [
        Improvable(
            flow,
            version,
            str(one.change),
            (one.before_ns - one.after_ns) / runs / 1e6,
            one.faster,
            Rate(one.runs_changed, runs, "runs that it was tried on", 1),
        )
        for one in tried(looked.kept)
    ]


def _notes(options: PerformanceOptions, flows: list[FlowTime], windowed: bool) -> list[str]:
    days = f"{options.baseline_days:g} days before the window" if windowed else "same runs, because no window was given"
    notes = [
        (
            f"Bands are relative to the flow's own baseline, of all its versions, from the {days}: fast is at most the median, "
            f"slow above the 95th percentile. Healthy is below {duration(options.healthy_ms)}, "
            f"crisis above {duration(options.crisis_ms)}."
        ),
        "Durations are of completed runs alone, by nearest rank, over every run and every call of the window.",
    ]
    notes += [
        f"{one.flow} v{one.version}: its baseline has {one.baseline_runs} runs, fewer than {LEAST}: no bands."
        for one in flows
        if one.fast is None
    ]
    notes += [
        f"{one.flow} v{one.version}: only {one.runs} runs; of so few the percentiles say little."
        for one in flows
        if one.runs < LEAST
    ]
    return notes


PERFORMANCE: Final = Analysis(
    "performance",
    performance,
    PerformanceOptions,
    (FlowTime, PathPart, Improvable, Slowest, StepTime, Resources),
    hidden=("max_ms",),
    picture="leadtrace.analysis.performance_picture:draw_performance",
    pictured=(FlowTime, PathPart, Improvable, Slowest),
)
