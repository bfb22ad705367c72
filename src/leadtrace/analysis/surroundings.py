"""What stands around one lead: errors like its own, whether they form a pattern, and how long its flows usually take.

Asked for each timeline that is shown, so it looks at a few hundred records only: those that arrived nearest to the lead's own. The
report `errors` says the same of a whole window.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from leadtrace.analysis.concentration import concentrations
from leadtrace.analysis.intervals import nearest_rank
from leadtrace.analysis.model import Report, Row, Sample, Window
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis
from leadtrace.query.surroundings import Kindred, Surroundings, Usual

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from leadtrace.store.relations.interface import Relations

__all__ = ["SURROUNDINGS", "FlowUsual", "KindredErrors", "SurroundingsOptions", "surroundings", "surroundings_of"]

_NEAREST: Final = 150
_HOUR_NS: Final = 3_600 * 10**9
_LEAST: Final = 5

_ERRORS: Final = """
SELECT error_fingerprint, time_ns, tenant || '/' || lead_id, service, host, service_version
FROM all_events
WHERE name = 'error.occurred' AND arrival {side} $arrival
ORDER BY arrival {order}
LIMIT $nearest"""
_STARTS: Final = """
SELECT '', time_ns, '', service, host, service_version
FROM all_events
WHERE name = 'flow.started' AND arrival {side} $arrival
ORDER BY arrival {order}
LIMIT $nearest"""
_ENDS: Final = """
SELECT flow_name, duration_ms
FROM all_events
WHERE name = 'flow.completed' AND arrival <= $arrival
ORDER BY arrival DESC
LIMIT $nearest"""


@dataclass(slots=True, frozen=True, kw_only=True)
class SurroundingsOptions(Options):
    fingerprint: tuple[str, ...] = option((), "Errors of these fingerprints.")
    flow: tuple[str, ...] = option((), "How long these flows usually take.")
    arrival: int = option(0, "The place in the order of arrival around which is looked; 0: the end.")


@dataclass(slots=True, frozen=True)
class KindredErrors(Row):
    """Errors of one fingerprint among those looked at."""

    section: ClassVar[str] = "errors"
    fingerprint: str
    errors: int
    leads: int
    looked_at: int
    """Errors of any fingerprint that were looked at."""
    pattern: str


@dataclass(slots=True, frozen=True)
class FlowUsual(Row):
    """How long the flow's runs took that were completed last before."""

    section: ClassVar[str] = "flows"
    flow: str
    runs: int
    p50_ms: float
    p95_ms: float


def surroundings(relations: Relations, options: SurroundingsOptions) -> Report[Row]:
    """Look around that place in the order of arrival."""
    arrival = options.arrival or 2**62
    rows: list[Row] = []
    errors = _around(relations, _ERRORS, arrival) if options.fingerprint else []
    starts = _around(relations, _STARTS, arrival) if options.fingerprint else []
    for fingerprint in options.fingerprint:
        alike = [one for one in errors if one.fingerprint == fingerprint]
        leads = len({one.lead for one in alike})
        rows.append(KindredErrors(fingerprint, len(alike), leads, len(errors), _pattern(alike, starts)))
    runs = 0
    if options.flow:
        ended = relations.query(_ENDS, {"arrival": arrival, "nearest": 4 * _NEAREST})
        for flow in options.flow:
            took = sorted(float(ms) for name, ms in ended if name == flow and ms is not None)
            runs += len(took)
            if took:
                rows.append(FlowUsual(flow, len(took), nearest_rank(took, 0.5), nearest_rank(took, 0.95)))
    return Report(
        SURROUNDINGS.name,
        Window(options.since_ns, options.until_ns),
        Sample({"errors": len(errors), "runs": runs}),
        tuple(rows),
    )


def surroundings_of(found: Report[Any]) -> Surroundings:
    """The report's rows as a timeline takes them."""
    return Surroundings(
        {one.fingerprint: Kindred(one.errors, one.leads, one.pattern) for one in found.of(KindredErrors)},
        {one.flow: Usual(one.runs, one.p50_ms, one.p95_ms) for one in found.of(FlowUsual)},
    )


@dataclass(slots=True, frozen=True)
class _Told:
    fingerprint: str
    time_ns: int
    lead: str
    service: str
    host: str
    release: str


def _around(relations: Relations, sql: str, arrival: int) -> list[_Told]:
    found: list[_Told] = []
    for side, order in (("<=", "DESC"), (">", "ASC")):
        given: dict[str, str | int | float | None] = {"arrival": arrival, "nearest": _NEAREST}
        found += [_Told(*row) for row in relations.query(sql.format(side=side, order=order), given)]
    return found


def _pattern(alike: Sequence[_Told], starts: Sequence[_Told]) -> str:
    """What these errors have in common that runs of the same services have not, as a sentence; '' for nothing."""
    if len(alike) < _LEAST or len({one.lead for one in alike}) < _LEAST:
        return ""
    services = {one.service for one in alike}
    runs = [one for one in starts if one.service in services]
    found = [
        (one.chance, f"{one.affected} of {one.of} {what} {one.value}, where {one.usual:.0%} of runs are")
        for what, mine, theirs in (
            ("on host", [one.host for one in alike], [one.host for one in runs]),
            ("in version", [one.release for one in alike], [one.release for one in runs]),
            ("at the hour (UTC)", _hours(alike), _hours(runs)),
        )
        for one in concentrations(what, Counter(mine), Counter(theirs), sampled=True)
    ]
    return min(found)[1] if found else ""


def _hours(told: Iterable[_Told]) -> list[str]:
    return [f"{one.time_ns // _HOUR_NS % 24}" for one in told]


SURROUNDINGS: Final = Analysis(
    "surroundings", surroundings, SurroundingsOptions, (KindredErrors, FlowUsual), traces_suffice=False, few=True
)
