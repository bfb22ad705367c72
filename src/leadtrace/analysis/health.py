"""How well the system does, hour by hour: healthy, degraded, crisis; what changed, why, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final

from leadtrace.analysis.health_causes import Cause, causes
from leadtrace.analysis.health_figures import HOUR, read_hours
from leadtrace.analysis.health_state import LIMITS, Limits, Standing, findings, health
from leadtrace.analysis.misspelt import FLOWS
from leadtrace.analysis.model import Rate, Report, Row, Sample, Window, from_micro, limited
from leadtrace.analysis.options import Options, choices, option
from leadtrace.analysis.registry import Analysis
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leadtrace.analysis.health_figures import Hours
    from leadtrace.analysis.health_state import Aspect, Counts, Figures, State
    from leadtrace.catalogue.system import SystemHealthChanged
    from leadtrace.store.relations.interface import Relations

__all__ = [
    "HEALTH",
    "HealthCascade",
    "HealthCause",
    "HealthChange",
    "HealthHour",
    "HealthNow",
    "HealthOptions",
    "HealthRevenue",
    "health_report",
    "set_for",
    "thresholds",
]


_WARM: Final = 24 * HOUR
_ERRORS: Final = (
    "errors: runs in which something other than an enhancement failed for good, or a grave error was told; "
    "tries that were made good are not among them"
)


@dataclass(slots=True, frozen=True, kw_only=True)
class HealthOptions(Options):
    flow: str = option("", "Only runs of the flow of this name.", names=FLOWS)
    baseline_hours: int = option(168, "How many hours before each hour are its baseline.")
    healthy_errors: float = option(LIMITS.healthy_errors, "Share of failed runs below which there is nothing to say.")
    crisis_errors: float = option(LIMITS.crisis_errors, "Share of failed runs above which it is a crisis.")
    healthy_enhancements: float = option(
        LIMITS.healthy_enhancements, "Share of enhancements that succeed from which there is nothing to say."
    )
    degraded_enhancements: float = option(LIMITS.degraded_enhancements, "Below it degraded, whatever is usual.")
    healthy_ms: float = option(LIMITS.healthy_ms, "Mean duration of a flow below which there is nothing to say.")
    crisis_ms: float = option(LIMITS.crisis_ms, "Mean duration of a flow above which it is a crisis.")
    factor: float = option(LIMITS.factor, "How many times its usual value a figure must be, to be worse.")
    confidence: float = option(LIMITS.confidence, "How sure it must be that a share differs from the usual one.")
    release: float = option(LIMITS.release, "A limit that was crossed is left below this share of it.")
    hold_hours: float = option(LIMITS.hold_ns / HOUR, "How long figures must be better before the state is.")
    least: int = option(LIMITS.least, "Fewer runs in an hour than that, and the state before stands.")

    def limits(self) -> Limits:
        return Limits(
            healthy_errors=self.healthy_errors,
            crisis_errors=self.crisis_errors,
            healthy_enhancements=self.healthy_enhancements,
            degraded_enhancements=self.degraded_enhancements,
            healthy_ms=self.healthy_ms,
            crisis_ms=self.crisis_ms,
            factor=self.factor,
            confidence=self.confidence,
            release=self.release,
            hold_ns=int(self.hold_hours * HOUR),
            least=self.least,
        )


def thresholds(text: str) -> dict[str, float]:
    """The options of `health` that a text sets, as `LEADTRACE_HEALTH` does: `crisis_errors=0.03, healthy_ms=1500`.

    Raises `SettingsError` for a name that is none of its numbers, or a value that is no number.
    """
    known = {one.name: one.type for one in choices(HealthOptions) if one.type in (int, float)}
    found: dict[str, float] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, value = (one.strip() for one in part.partition("="))
        if name not in known:
            raise SettingsError(f"LEADTRACE_HEALTH: there is no threshold {name!r}", expected=", ".join(known))
        try:
            found[name] = known[name](value)
        except ValueError:
            raise SettingsError(f"LEADTRACE_HEALTH: {name} is {known[name].__name__}", got=repr(value)) from None
    return found


def set_for(report: str, text: str) -> dict[str, Any]:
    """The options of a report that `LEADTRACE_HEALTH` sets: of `performance` the limits of durations, of `review` the text."""
    found = thresholds(text)
    if report == "review":
        return {"health": text}
    if report == "performance":
        return {name: found[name] for name in ("healthy_ms", "crisis_ms") if name in found}
    return dict(found) if report == "health" else {}


@dataclass(slots=True, frozen=True)
class HealthNow(Row):
    """The state at the window's end."""

    section: ClassVar[str] = "now"
    state: str
    since_ns: int
    """When it was seen first, of the running hour at most now; 0 where nothing could be concluded."""
    reasons: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class HealthChange(Row):
    """The system went over to another state: what `system.health.changed` says."""

    section: ClassVar[str] = "changes"
    at_ns: int
    """The end of the hour whose figures showed it; of the running hour, now: its figures so far."""
    from_state: str
    to_state: str
    reasons: tuple[str, ...]

    def as_event(self, flow: str = "") -> SystemHealthChanged:
        """The event that tells it. Reports emit nothing: whoever evaluates over and over, such as the watch, does."""
        from leadtrace.catalogue.system import SystemHealthChanged

        known = None if self.from_state == "unknown" else self.from_state
        return SystemHealthChanged(
            from_=known, to=self.to_state, reasons=list(self.reasons) or None, subject=flow or None
        )


@dataclass(slots=True, frozen=True)
class HealthCause(Row):
    """A likely cause of a time that was not healthy, with what speaks for it; of each time the weightiest first."""

    section: ClassVar[str] = "causes"
    began_ns: int
    ended_ns: int | None
    """None while it lasts."""
    state: str
    """The worst state of that time."""
    rank: int
    cause: Cause
    name: str
    weight: float
    """How much of what went wrong beyond the usual it explains, from 0 to 1; weights of causes overlap."""
    evidence: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class HealthCascade(Row):
    """Failures in two steps that share more leads than chance explains, in one hour."""

    section: ClassVar[str] = "cascades"
    hour_ns: int
    first: str
    then: str
    leads: int
    by_chance: float


@dataclass(slots=True, frozen=True)
class HealthRevenue(Row):
    """What a time that was not healthy earned, beside what its flows usually earn."""

    section: ClassVar[str] = "revenue"
    began_ns: int
    ended_ns: int | None
    currency: str
    flows: int
    revenue: Decimal
    expected: Decimal
    """The baseline's revenue per flow that began, times the flows that began."""
    impact: Decimal
    """Revenue less what was expected: negative is a loss."""


@dataclass(slots=True, frozen=True)
class HealthHour(Row):
    """One hour's figures and the state after it."""

    section: ClassVar[str] = "hours"
    hour_ns: int
    minutes: int
    """How much of the hour lies in the window."""
    state: str
    flows: int
    """Flows that ended, sold or failed."""
    errors: Rate
    enhancements: Rate
    """Successes."""
    timeouts: Rate
    cache_hits: Rate
    mean_ms: float | None
    """None where no flow ended."""
    note: str


@dataclass(slots=True)
class _Episode:
    """A time that was not healthy, while it is gathered."""

    hours: list[int]
    state: State
    aspects: set[Aspect]
    ended_ns: int | None = None


def health_report(relations: Relations, options: HealthOptions) -> Report[Row]:
    """Judge each hour of the window against the time before it."""
    limits = options.limits()
    back = options.baseline_hours * HOUR
    since = options.since_ns
    wide = relations.within(since - since % HOUR - back, options.until_ns) if since else relations
    hours = read_hours(wide, options.flow, max(since - since % HOUR - _WARM - HOUR, 0))
    running = options.now_ns - options.now_ns % HOUR if options.now_ns else -1
    known = hours.hours()
    standing, rows, changes, episodes = Standing(), [], [], list[_Episode]()
    usual_of: dict[int, list[int]] = {}
    so_far = False
    for hour in known:
        baseline = [one for one in known if hour - back <= one < hour]
        if hour + HOUR <= since:
            # The state that the window begins with: judged a day before, so that a hold there is over.
            if hour + _WARM >= since:
                standing = health(hours.figures([hour], baseline, limits.least, (0, 0)), standing, limits)
            continue
        usual_of[hour] = baseline
        until = options.until_ns
        if hour == running:
            until = min(until or options.now_ns, options.now_ns)
        figures = hours.figures([hour], baseline, limits.least, (since, until))
        before, standing = standing, health(figures, standing, limits)
        if standing.state != before.state:
            changes.append(HealthChange(standing.since_ns, before.state, standing.state, standing.reasons))
        enough = figures.now.runs >= limits.least
        aspects = {one.aspect for one in findings(figures, limits.holding(before.state))} if enough else set()
        _gather(episodes, hour, standing, aspects, bool(before.state in ("degraded", "crisis")))
        so_far = hour == running and until == options.now_ns
        told = _notes_of(hours.counts(hour), limits, bool(baseline), figures if so_far else None)
        rows.append(_hour(hours, hour, standing, figures, limits, told))
    sorts: tuple[Sequence[Row], ...] = (
        [HealthNow(standing.state, standing.since_ns, standing.reasons)] if rows else [],
        changes,
        [row for one in episodes for row in _causes(hours, one, usual_of[one.hours[0]])],
        [row for one in episodes for row in _revenue(hours, one, usual_of[one.hours[0]])],
        [
            HealthCascade(row.hour_ns, one.first, one.then, one.leads, one.by_chance)
            for row in rows
            for one in hours.cascades.get(row.hour_ns, ())
        ],
        rows,
    )
    # What is nearest to now, and the likeliest causes.
    found, left_out = limited(sorts, options.limit, newest=(HealthChange, HealthRevenue, HealthCascade, HealthHour))
    total = [hours.counts(row.hour_ns) for row in rows]
    return Report(
        HEALTH.name,
        Window(options.since_ns, options.until_ns),
        Sample(
            {
                "hours": len(rows),
                "runs": sum(one.runs for one in total),
                "enhancements": sum(one.enhancements for one in total),
                "cancelled_enhancements": sum(one.cancelled for one in total),
                "baseline_hours": len({one for some in usual_of.values() for one in some}),
            }
        ),
        tuple(found),
        (*_notes(rows, usual_of, sum(one.started - one.timed for one in total), options, so_far), *left_out),
    )


def _gather(episodes: list[_Episode], hour: int, standing: Standing, aspects: set[Aspect], was_bad: bool) -> None:
    if standing.state not in ("degraded", "crisis"):
        if was_bad and episodes:
            episodes[-1].ended_ns = standing.since_ns
        return
    if not was_bad or not episodes:
        episodes.append(_Episode([], standing.state, set()))
    one = episodes[-1]
    # What better hours that are only waited out would say is no part of why it was bad.
    if aspects or not one.hours:
        one.hours.append(hour)
    one.aspects |= aspects
    if standing.state == "crisis":
        one.state = "crisis"


def _hour(hours: Hours, hour: int, standing: Standing, figures: Figures, limits: Limits, note: str) -> HealthHour:
    now = hours.counts(hour)
    return HealthHour(
        hour,
        _minutes(figures),
        standing.state,
        now.runs,
        Rate(now.failed, now.runs, "runs", limits.least),
        Rate(now.enhancements - now.enhancement_failures, now.enhancements, "enhancements", limits.least),
        Rate(now.timeouts, now.enhancements, "enhancements", limits.least),
        Rate(now.hits, now.enhancements, "enhancements", limits.least),
        now.mean_ms,
        note,
    )


def _causes(hours: Hours, one: _Episode, baseline: Sequence[int]) -> list[HealthCause]:
    return [
        HealthCause(
            one.hours[0], one.ended_ns, one.state, rank, found.cause, found.name, round(found.weight, 4), found.evidence
        )
        for rank, found in enumerate(causes(hours, one.hours, baseline, one.aspects), start=1)
    ]


def _revenue(hours: Hours, one: _Episode, baseline: Sequence[int]) -> list[HealthRevenue]:
    began = sum(hours.counts(hour).started for hour in baseline)
    if not began:
        return []
    flows = sum(hours.counts(hour).started for hour in one.hours)
    usual, now = _earned(hours.revenue, baseline), _earned(hours.revenue, one.hours)
    found = []
    for currency in sorted(usual | now):
        expected = usual.get(currency, 0) * flows // began
        earned = now.get(currency, 0)
        found.append(
            HealthRevenue(
                one.hours[0],
                one.ended_ns,
                currency,
                flows,
                from_micro(earned),
                from_micro(expected).quantize(Decimal("0.01")),
                from_micro(earned - expected).quantize(Decimal("0.01")),
            )
        )
    return found


def _earned(revenue: Mapping[int, Mapping[str, int]], hours: Sequence[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for hour in hours:
        for currency, micro in revenue.get(hour, {}).items():
            found[currency] = found.get(currency, 0) + micro
    return found


def _minutes(figures: Figures) -> int:
    return round((figures.until_ns - figures.since_ns) / 60e9)


def _notes_of(now: Counts, limits: Limits, has_usual: bool, so_far: Figures | None) -> str:
    """What must be known of one hour; `so_far` are the figures of one that is still running."""
    notes = [f"still running, {_minutes(so_far)} minutes so far"] if so_far is not None else []
    if now.runs < limits.least:
        notes.append(f"too few to tell: {now.runs} runs, at least {limits.least} needed")
    elif not has_usual:
        notes.append("no baseline yet: absolute limits alone decide")
    return "; ".join(notes)


def _notes(
    rows: Sequence[HealthHour],
    usual_of: Mapping[int, Sequence[int]],
    open_ones: int,
    options: HealthOptions,
    so_far: bool,
) -> tuple[str, ...]:
    notes = [_ERRORS]
    if so_far:
        notes.append(
            f"the last hour is still running: its state is of its first {rows[-1].minutes} minutes, and may be another at its end"
        )
    few = sum(1 for one in rows if one.flows < options.least)
    if few:
        notes.append(
            f"{few:,} of {len(rows):,} hours had fewer than {options.least:,} runs: the state before them stands"
        )
    bare = sum(1 for one in rows if not usual_of[one.hour_ns])
    if bare:
        notes.append(f"{bare:,} of {len(rows):,} hours have no baseline: there absolute limits alone decide")
    if open_ones > 0:
        notes.append(
            f"{open_ones:,} more flows began than ended and said how long they took: they are in no mean duration"
        )
    return tuple(notes)


HEALTH: Final = Analysis(
    "health",
    health_report,
    HealthOptions,
    (HealthNow, HealthChange, HealthCause, HealthRevenue, HealthCascade, HealthHour),
    beneath=("reasons", "evidence", "note"),
    shares=("weight",),
)
