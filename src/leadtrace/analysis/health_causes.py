"""Which of the likely causes the data point to: service degradation, volume spike, configuration change, external API.

A cause weighs what it explains, from 0 to 1. Of what went wrong beyond the usual (failures, or time taken), an external
service has the share that lies in calls to it, our own steps theirs, a new version the share of the runs on it. A volume
spike has the share of the runs that are more than usual. Weights of different causes overlap: they do not add up to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from leadtrace.analysis.health_figures import HOUR, Ran, Work, Worked
from leadtrace.analysis.health_state import Counts
from leadtrace.analysis.intervals import newcombe
from leadtrace.query.printable import duration, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leadtrace.analysis.health_figures import Hours
    from leadtrace.analysis.health_state import Aspect

__all__ = ["CAUSES", "Cause", "Weighed", "causes"]

Cause: TypeAlias = Literal["service degradation", "volume spike", "configuration change", "external API"]
CAUSES: Final[tuple[Cause, ...]] = ("service degradation", "volume spike", "configuration change", "external API")

_LEAST_WEIGHT: Final = 0.05
_EVERYWHERE: Final = 3
"""So many services that get worse at once have something in common, and it is nearer than they are."""
_CHANGE: Final = 6 * HOUR
"""A version that appeared so long before it began may be behind it."""
_SPIKE: Final = 1.3
_WORSE: Final = 2.0
_SOME: Final = 5
"""Fewer failures than that beyond the usual are no excess of that service."""


@dataclass(slots=True, frozen=True)
class Weighed:
    """One candidate with what speaks for it."""

    cause: Cause
    name: str
    """The service, step or version; '' where it has no name."""
    weight: float
    evidence: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class _Excess:
    """How much more than usual went wrong somewhere."""

    failures: float
    time_us: float
    now: Worked
    usual: Worked


def causes(hours: Hours, during: Sequence[int], baseline: Sequence[int], aspects: Iterable[Aspect]) -> list[Weighed]:
    """The candidates for those hours, the weightiest first; empty where the baseline is."""
    if not baseline:
        return []
    slow, failing = _what_is_wrong(aspects)
    excess = _excesses(hours, during, baseline)
    found = [
        *_services(hours, during, excess, slow, failing),
        *_spike(hours, during, baseline),
        *_changes(hours, during, baseline, slow, failing),
    ]
    return sorted(
        (one for one in found if one.weight >= _LEAST_WEIGHT), key=lambda one: (-one.weight, one.cause, one.name)
    )


def _what_is_wrong(aspects: Iterable[Aspect]) -> tuple[bool, bool]:
    told = set(aspects)
    slow = bool(told & {"duration", "cache"})
    return slow, bool(told - {"duration", "cache"}) or not slow


def _excesses(hours: Hours, during: Sequence[int], baseline: Sequence[int]) -> dict[Work, _Excess]:
    now, usual = _sum_work(hours, during), _sum_work(hours, baseline)
    found = {}
    for work, one in now.items():
        before = usual.get(work, Worked())
        expected = one.ends * before.failures / before.ends if before.ends else 0.0
        time = 0.0
        if before.timed and one.timed:
            time = max(0.0, one.took_us - one.timed * before.took_us / before.timed)
        found[work] = _Excess(max(0.0, one.failures - expected), time, one, before)
    return found


def _sum_work(hours: Hours, which: Iterable[int]) -> dict[Work, Worked]:
    found: dict[Work, Worked] = {}
    for hour in which:
        for work, one in hours.work.get(hour, {}).items():
            found[work] = found.get(work, Worked()) + one
    return found


def _services(
    hours: Hours, during: Sequence[int], excess: Mapping[Work, _Excess], slow: bool, failing: bool
) -> list[Weighed]:
    all_failures = sum(one.failures for one in excess.values())
    all_time = sum(one.time_us for one in excess.values())
    found, worse = [], 0
    largest = 0.0
    for work, one in excess.items():
        weights, evidence = [], []
        if failing and all_failures and _fails_more(one):
            weights.append(one.failures / all_failures)
            evidence.append(_failures_told(one, all_failures))
        if slow and all_time and _is_slower(one):
            weights.append(one.time_us / all_time)
            evidence.append(_time_told(one, all_time))
        if not weights:
            continue
        external = work.side != "own"
        worse += external
        weight = max(weights)
        largest = max(largest, weight if external else 0.0)
        opened = sum(hours.circuits.get(hour, {}).get(work.label, 0) for hour in during)
        if external and opened:
            evidence.append(f"its circuit opened {opened} times" if opened > 1 else "its circuit opened once")
        found.append(
            Weighed("external API" if external else "service degradation", work.label, weight, tuple(evidence))
        )
    if worse >= _EVERYWHERE:
        called = sum(1 for work in excess if work.side != "own")
        found.append(
            Weighed(
                "service degradation",
                "",
                1 - largest,
                (
                    f"{worse} of {called} services and buyers got worse at the same time: what they share is on this side",
                ),
            )
        )
    return found


def _fails_more(one: _Excess) -> bool:
    if one.failures < _SOME:
        return False
    if not one.usual.ends:
        return True
    return newcombe(one.now.failures, one.now.ends, one.usual.failures, one.usual.ends, 0.99)[0] > 0


def _is_slower(one: _Excess) -> bool:
    if not (one.usual.timed and one.now.timed):
        return False
    return one.now.took_us / one.now.timed > 1.2 * one.usual.took_us / one.usual.timed


def _failures_told(one: _Excess, everywhere: float) -> str:
    told = f"{one.now.failures:,} of {one.now.ends:,} failed"
    if one.now.timeouts:
        told += f" ({one.now.timeouts:,} timed out)"
    usual = f"usual is {one.usual.failures / one.usual.ends:.1%} of {one.usual.ends:,}" if one.usual.ends else "new"
    return f"{told}, {usual}; {one.failures / everywhere:.0%} of all failures beyond the usual"


def _time_told(one: _Excess, everywhere: float) -> str:
    mean, usual = one.now.took_us / one.now.timed / 1000, one.usual.took_us / one.usual.timed / 1000
    return (
        f"takes {duration(mean)} on average ({one.now.timed:,}), usual is {duration(usual)} ({one.usual.timed:,}); "
        f"{one.time_us / everywhere:.0%} of all time beyond the usual"
    )


def _spike(hours: Hours, during: Sequence[int], baseline: Sequence[int]) -> list[Weighed]:
    by_hour: dict[int, list[int]] = {}
    for hour in baseline:
        by_hour.setdefault(hour // HOUR % 24, []).append(hours.counts(hour).started)
    # An hour of day of which there are few is compared with all hours.
    everything = [one for some in by_hour.values() for one in some]
    expected = 0.0
    for hour in during:
        like = by_hour.get(hour // HOUR % 24, [])
        like = like if len(like) >= 3 else everything
        expected += sum(like) / len(like)
    came = sum(hours.counts(hour).started for hour in during)
    if came < _SPIKE * expected or came - expected < 3 * max(expected, 1.0) ** 0.5:
        return []
    times = f"{came / expected:.1f} times the usual {expected:,.0f}" if expected else "none are usual"
    return [Weighed("volume spike", "", 1 - expected / came, (f"{came:,} flows began, {times} for these hours",))]


def _changes(hours: Hours, during: Sequence[int], baseline: Sequence[int], slow: bool, failing: bool) -> list[Weighed]:
    """Versions of a service or a flow that appeared shortly before, or during it."""
    usual = sum((hours.counts(hour) for hour in baseline), Counts())
    if not usual.runs:
        return []
    rate = usual.failed / usual.runs
    mean = usual.took_us / usual.timed if usual.timed else None
    began, found = min(during), []
    for kind in ("service", "flow"):
        first: dict[tuple[str, str], int] = {}
        for hour in sorted({*baseline, *during}):
            for ran in hours.ran.get(hour, {}):
                first.setdefault(_version(kind, ran), hour)
        now: dict[tuple[str, str], Counts] = {}
        for hour in during:
            for ran, one in hours.ran.get(hour, {}).items():
                now[_version(kind, ran)] = now.get(_version(kind, ran), Counts()) + one
        for (name, version), one in now.items():
            new = first[name, version] >= began - _CHANGE
            known_before = any(other == name and at < first[name, version] for (other, _), at in first.items())
            if not version or not new or not known_before:
                continue
            others = sum((other for (of, its), other in now.items() if of == name and its != version), Counts())
            weights, evidence = [], []
            if failing and one.failed >= _SOME:
                everywhere = sum(max(0.0, other.failed - rate * other.runs) for other in now.values())
                weight = max(0.0, one.failed - rate * one.runs) / everywhere if everywhere else 0.0
                weights.append(weight * _contrast(one, others))
                evidence.append(_runs_told(one, others, usual))
            if slow and mean and one.timed:
                everywhere = sum(max(0.0, other.took_us - mean * other.timed) for other in now.values())
                more = max(0.0, one.took_us - mean * one.timed)
                apart = not others.timed or one.took_us / one.timed > 1.2 * others.took_us / others.timed
                weights.append(more / everywhere * (1.0 if apart else 0.3) if everywhere else 0.0)
                evidence.append(f"its flows take {duration(one.took_us / one.timed / 1000)} on average ({one.timed:,})")
            if weights:
                found.append(
                    Weighed(
                        "configuration change",
                        f"{name} {version}",
                        max(weights) * (1.0 if others.runs else 0.7),
                        (f"first seen in the hour of {moment(first[name, version])[:16]} UTC", *evidence),
                    )
                )
    return found


def _version(kind: str, ran: Ran) -> tuple[str, str]:
    return (ran.service, ran.service_version) if kind == "service" else (ran.flow, ran.flow_version)


def _contrast(one: Counts, others: Counts) -> float:
    """Whether runs of other versions at the same time fail less: then it is the version; else it says little."""
    if not others.runs or not one.runs:
        return 1.0
    return 1.0 if newcombe(one.failed, one.runs, others.failed, others.runs, 0.99)[0] > 0 else 0.3


def _runs_told(one: Counts, others: Counts, usual: Counts) -> str:
    beside = f", of other versions at the same time {others.failed:,} of {others.runs:,}" if others.runs else ""
    return f"{one.failed:,} of its {one.runs:,} runs failed{beside}, usual is {usual.failed / usual.runs:.1%} of {usual.runs:,}"
