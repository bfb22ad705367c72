"""What health is judged by: runs and work of each hour, counted where the records are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from leadtrace.analysis.health_state import Cascade, Counts, Figures
from leadtrace.analysis.intervals import newcombe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from leadtrace.store.relations.interface import Relations, Row

__all__ = ["HOUR", "Hours", "Ran", "Side", "Work", "Worked", "read_hours"]

HOUR: Final = 3_600 * 10**9
Side: TypeAlias = Literal["enhancement", "delivery", "own"]

_ENDS: Final = "'flow.completed', 'flow.failed', 'flow.cancelled', 'flow.interrupted'"
# A run counts once an hour, however many of its steps failed. An enhancement that failed is counted among enhancements;
# of errors only grave ones count here: each failed try tells one, and most are made good. What is asked for by name and what
# by kind are two questions, because columns skip what has neither.
_TOLD: Final = """time_ns, run_key, name, kind, service, service_version, flow_name, flow_version, error_severity,
      duration_ms"""
_ENDED: Final = f"'flow.started', 'delivery.accepted', 'error.occurred', {_ENDS}"
_RUNS: Final = f"""
SELECT piece, service, service_version, flow_name, flow_version, sum(started),
  sum(CASE WHEN ended + failed + sold > 0 THEN 1 ELSE 0 END), sum(failed), sum(sold),
  sum(CASE WHEN took_us IS NULL THEN 0 ELSE 1 END), coalesce(sum(took_us), 0)
FROM (
  SELECT time_ns - time_ns % 3600000000000 AS piece, run_key, max(service) AS service,
    max(service_version) AS service_version, max(flow_name) AS flow_name, max(flow_version) AS flow_version,
    max(CASE WHEN name = 'flow.started' THEN 1 ELSE 0 END) AS started,
    max(CASE WHEN name IN ({_ENDS}) THEN 1 ELSE 0 END) AS ended,
    max(CASE WHEN kind = 'failure' AND substr(name, 1, 12) <> 'enhancement.' THEN 1
      WHEN name = 'error.occurred' AND error_severity IN ('high', 'critical') THEN 1 ELSE 0 END) AS failed,
    max(CASE WHEN name = 'delivery.accepted' THEN 1 ELSE 0 END) AS sold,
    max(CASE WHEN name IN ({_ENDS}) AND duration_ms >= 0 AND duration_ms < 1e12
      THEN CAST(round(duration_ms * 1000) AS BIGINT) END) AS took_us
  FROM (
    SELECT {_TOLD} FROM lead_events WHERE name IN ({_ENDED}) {{of_flow}}
    UNION ALL
    SELECT {_TOLD} FROM lead_events WHERE kind = 'failure' AND name NOT IN ({_ENDED}) {{of_flow}}
  ) told
  WHERE run_key IS NOT NULL
  GROUP BY 1, 2
) runs
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5"""  # noqa: S608 - of constants alone
_WORK: Final = """
SELECT time_ns - time_ns % 3600000000000 AS piece,
  CASE WHEN substr(name, 1, 12) = 'enhancement.' THEN 'enhancement'
    WHEN substr(name, 1, 9) = 'delivery.' THEN 'delivery' ELSE 'own' END AS side,
  CASE WHEN substr(name, 1, 12) = 'enhancement.'
      THEN CASE WHEN enhancement_service = '' THEN enhancement_name ELSE enhancement_service END
    WHEN substr(name, 1, 9) = 'delivery.' THEN buyer ELSE word_name END AS label,
  sum(CASE WHEN kind = 'cancelled' THEN 0 ELSE 1 END),
  sum(CASE WHEN kind = 'failure' THEN 1 ELSE 0 END),
  sum(CASE WHEN kind = 'failure' AND (failure_subcategory = 'timeout' OR error_subcategory = 'timeout') THEN 1 ELSE 0 END),
  sum(CASE WHEN kind = 'cancelled' THEN 1 ELSE 0 END),
  sum(CASE WHEN cache_hit = 1 THEN 1 ELSE 0 END),
  sum(CASE WHEN kind <> 'cancelled' AND duration_ms >= 0 AND duration_ms < 1e12 THEN 1 ELSE 0 END),
  coalesce(sum(CASE WHEN kind <> 'cancelled' AND duration_ms >= 0 AND duration_ms < 1e12
    THEN CAST(round(duration_ms * 1000) AS BIGINT) END), 0)
FROM lead_events
WHERE name IN ('enhancement.success', 'enhancement.failed', 'enhancement.cancelled', 'delivery.accepted',
    'delivery.rejected', 'delivery.failed', 'delivery.unconfirmed', 'operation.completed', 'operation.failed',
    'validation.passed', 'validation.failed', 'rule.satisfied', 'rule.rejected') {of_flow}
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3"""
_FAILED: Final = """
SELECT time_ns - time_ns % 3600000000000 AS piece, tenant, lead_id, trace_id, span_id, parent_span_id, time_ns,
  CASE WHEN substr(name, 1, 12) = 'enhancement.'
      THEN CASE WHEN enhancement_service = '' THEN enhancement_name ELSE enhancement_service END
    WHEN substr(name, 1, 9) = 'delivery.' THEN buyer ELSE word_name END AS step
FROM lead_events
WHERE kind = 'failure' AND lead_id <> '' AND word NOT IN ('flow', 'attempt') AND substr(name, 1, 5) <> 'flow.' {of_flow}
ORDER BY time_ns, arrival"""
_LEADS: Final = """
SELECT piece, count(*)
FROM (
  SELECT DISTINCT time_ns - time_ns % 3600000000000 AS piece, lead_key FROM lead_events
  WHERE lead_key IS NOT NULL AND time_ns >= {first} AND time_ns < {last}
    AND time_ns - time_ns % 3600000000000 IN ({hours}) {of_flow}
) leads
GROUP BY piece
ORDER BY piece"""
_REVENUE: Final = """
SELECT time_ns - time_ns % 3600000000000 AS piece, currency, sum(revenue_micro)
FROM lead_events
WHERE name = 'delivery.accepted' AND revenue_micro IS NOT NULL {of_flow}
GROUP BY 1, 2
ORDER BY 1, 2"""
_CIRCUITS: Final = """
SELECT time_ns - time_ns % 3600000000000 AS piece, circuit_name, count(*)
FROM lead_events
WHERE name = 'circuit.opened'
GROUP BY 1, 2
ORDER BY 1, 2"""
_OF_FLOW: Final = "AND run_key IN (SELECT run_key FROM lead_runs WHERE flow_name = $flow)"
_LEAST_SHARED: Final = 3
_SURE: Final = 0.99


class Work(NamedTuple):
    """Something that is called or done: a service, a buyer, a step of our own."""

    side: Side
    label: str


class Ran(NamedTuple):
    """What ran: versions that may change."""

    service: str
    service_version: str
    flow: str
    flow_version: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Worked:
    """How often something was called, and how it went; they add up."""

    ends: int = 0
    failures: int = 0
    timeouts: int = 0
    cancelled: int = 0
    hits: int = 0
    timed: int = 0
    took_us: int = 0

    def __add__(self, other: Worked) -> Worked:
        return Worked(
            ends=self.ends + other.ends,
            failures=self.failures + other.failures,
            timeouts=self.timeouts + other.timeouts,
            cancelled=self.cancelled + other.cancelled,
            hits=self.hits + other.hits,
            timed=self.timed + other.timed,
            took_us=self.took_us + other.took_us,
        )


@dataclass(slots=True)
class Hours:
    """All hours of a window and of the baseline before it, each by its beginning."""

    ran: dict[int, dict[Ran, Counts]] = field(default_factory=lambda: defaultdict(dict))
    work: dict[int, dict[Work, Worked]] = field(default_factory=lambda: defaultdict(dict))
    cascades: dict[int, list[Cascade]] = field(default_factory=lambda: defaultdict(list))
    revenue: dict[int, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """Micro-units by currency."""
    circuits: dict[int, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """How often each circuit opened."""
    _counts: dict[int, Counts] = field(default_factory=dict)

    def counts(self, hour: int) -> Counts:
        """Everything that happened in one hour."""
        if hour not in self._counts:
            self._counts[hour] = self._counted(hour)
        return self._counts[hour]

    def _counted(self, hour: int) -> Counts:
        runs = sum(self.ran.get(hour, {}).values(), Counts())
        calls = sum((one for work, one in self.work.get(hour, {}).items() if work.side == "enhancement"), Worked())
        return runs + Counts(
            enhancements=calls.ends,
            enhancement_failures=calls.failures,
            timeouts=calls.timeouts,
            cancelled=calls.cancelled,
            hits=calls.hits,
        )

    def hours(self, since_ns: int = 0, until_ns: int = 0) -> list[int]:
        """The hours in which anything ran or was called, in order."""
        known = self.ran.keys() | self.work.keys()
        return sorted(one for one in known if one >= since_ns and (not until_ns or one < until_ns))

    def figures(self, hours: Iterable[int], baseline: Sequence[int], least: int, part: tuple[int, int]) -> Figures:
        """Those hours as one piece of time, beside their baseline; `part` is the window, where it cuts an hour."""
        taken = sorted(hours)
        counted = {one: self.counts(one) for one in baseline}
        means = sorted(one.mean_ms for one in counted.values() if one.mean_ms is not None and one.timed >= least)
        return Figures(
            since_ns=max(taken[0], part[0]),
            until_ns=min(taken[-1] + HOUR, part[1] or taken[-1] + HOUR),
            now=sum((self.counts(one) for one in taken), Counts()),
            usual=sum(counted.values(), Counts()),
            usual_hourly_ms=tuple(means),
            cascades=tuple(cascade for one in taken for cascade in self.cascades.get(one, ())),
        )


def read_hours(relations: Relations, flow: str = "", judged_ns: int = 0) -> Hours:
    """Count what the relations hold, by hour; with a flow's name only what its runs did.

    Cascades, which ask after every lead, only of the hours that begin at `judged_ns` or later.
    """
    found = Hours()
    of_flow, parameters = (_OF_FLOW, {"flow": flow}) if flow else ("", {})
    part = relations.part
    judged = relations.within(max(judged_ns, part.since_ns), part.until_ns)

    def rows(text: str, among: Relations = relations) -> list[Row]:
        return among.query(text.replace("{of_flow}", of_flow), parameters)

    for piece, *ran, started, runs, failed, sold, timed, took in rows(_RUNS):
        found.ran[piece][Ran(*(one or "" for one in ran))] = Counts(
            started=started, runs=runs, failed=failed, sold=sold, timed=timed, took_us=int(took)
        )
    for piece, side, label, ends, failures, timeouts, cancelled, hits, timed, took in rows(_WORK):
        found.work[piece][Work(side, label)] = Worked(
            ends=ends,
            failures=failures,
            timeouts=timeouts,
            cancelled=cancelled,
            hits=hits,
            timed=timed,
            took_us=int(took),
        )
    for piece, currency, micro in rows(_REVENUE):
        found.revenue[piece][currency] = int(micro)
    for piece, circuit, opened in rows(_CIRCUITS):
        found.circuits[piece][circuit] = opened

    def leads(hours: Sequence[int]) -> dict[int, int]:
        text = _LEADS.replace("{first}", str(hours[0])).replace("{last}", str(hours[-1] + HOUR))
        return dict(rows(text.replace("{hours}", ", ".join(map(str, hours))), judged))

    _read_cascades(found, rows(_FAILED, judged), leads)
    return found


def _read_cascades(found: Hours, failures: Sequence[Row], leads: Callable[[Sequence[int]], Mapping[int, int]]) -> None:
    """Pairs of steps where the leads of one that failed fail in the other more often than the other leads do.

    `leads` counts all leads of each of these hours: those in which enough leads failed in two steps, mostly few.
    """
    # A failure that only came up from a word beneath is the same failure: the innermost counts.
    outer = {(trace, parent) for _, _, _, trace, _, parent, _, step in failures if parent and step}
    first: dict[int, dict[str, dict[tuple[str, str], int]]] = {}
    for piece, tenant, lead, trace, span, _, time_ns, step in failures:
        if step and (not span or (trace, span) not in outer):
            first.setdefault(piece, {}).setdefault(step, {}).setdefault((tenant, lead), time_ns)
    pairs = [
        (piece, one, other)
        for piece, steps in first.items()
        for one, other in combinations(sorted(steps), 2)
        if len(steps[one].keys() & steps[other].keys()) >= _LEAST_SHARED
    ]
    if not pairs:
        return
    seen = leads(sorted({piece for piece, _, _ in pairs}))
    for piece, one, other in pairs:
        of_one, of_other = first[piece][one], first[piece][other]
        shared = of_one.keys() & of_other.keys()
        without = seen[piece] - len(of_one)
        if not without or newcombe(len(shared), len(of_one), len(of_other) - len(shared), without, _SURE)[0] <= 0:
            continue
        in_order = 2 * sum(of_one[lead] <= of_other[lead] for lead in shared) >= len(shared)
        begins, then = (one, other) if in_order else (other, one)
        chance = len(of_one) * len(of_other) / seen[piece]
        found.cascades[piece].append(Cascade(begins, then, len(shared), chance))
