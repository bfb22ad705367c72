"""How well the system does, decided from figures alone: healthy, degraded or crisis, with hysteresis.

    standing = Standing()
    for figures in hours:                      # or each time that a watch looks
        standing = health(figures, standing)   # pure: same figures, same standing before, same answer

Absolute limits decide where they can: an error rate above `crisis_errors` is a crisis, one below `healthy_errors` is none of
its matter. In between, the trend against the baseline decides: a figure is worse only where it is `factor` times its usual
value and chance explains that with less than `1 - confidence`. It gets worse at once and better only after `hold_ns`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final, Literal, TypeAlias

from leadtrace.analysis.intervals import nearest_rank, newcombe
from leadtrace.analysis.model import LEAST, Rate

__all__ = [
    "LIMITS",
    "Aspect",
    "Cascade",
    "Counts",
    "Figures",
    "Finding",
    "Limits",
    "Standing",
    "State",
    "findings",
    "health",
]

State: TypeAlias = Literal["unknown", "healthy", "degraded", "crisis"]
Aspect: TypeAlias = Literal["errors", "enhancements", "timeouts", "cache", "duration", "cascade", "revenue"]

_RANK: Final[dict[State, int]] = {"unknown": 0, "healthy": 1, "degraded": 2, "crisis": 3}
_HIGH: Final = 0.95


@dataclass(slots=True, frozen=True, kw_only=True)
class Limits:
    """Where healthy ends and crisis begins. The absolute ones are the sources' own."""

    healthy_errors: float = 0.001
    """Share of runs in which something failed; below it there is nothing to say."""
    crisis_errors: float = 0.05
    healthy_enhancements: float = 0.98
    """Share of enhancements that succeeded; from it on there is nothing to say."""
    degraded_enhancements: float = 0.9
    """Below it degraded, whatever is usual."""
    healthy_ms: float = 1_000.0
    """Mean duration of a flow; below it there is nothing to say."""
    crisis_ms: float = 10_000.0
    factor: float = 1.5
    """How many times its usual value a figure must be, to be worse."""
    confidence: float = 0.999
    """How sure it must be that a share differs from the usual one."""
    release: float = 0.8
    """A limit that was crossed is left below that share of it: what hovers around a limit does not flap."""
    hold_ns: int = 2 * 3_600 * 10**9
    """How long figures must have been better before the state is."""
    least: int = LEAST
    """Fewer runs than that, and nothing is concluded."""

    def holding(self, state: State) -> Limits:
        """The limits for a system that is in that state already: harder to leave than to enter."""
        if state in ("unknown", "healthy"):
            return self
        eased = 1 + (self.factor - 1) * self.release
        if state == "degraded":
            return replace(self, factor=eased)
        return replace(
            self,
            factor=eased,
            crisis_errors=self.crisis_errors * self.release,
            crisis_ms=self.crisis_ms * self.release,
        )


LIMITS: Final = Limits()
"""What holds where nobody says otherwise, for every report."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Counts:
    """What happened in some time; they add up."""

    started: int = 0
    """Flows that began."""
    runs: int = 0
    """Runs that ended, sold, or in which something failed: what the error rate is of."""
    failed: int = 0
    """Of those, runs in which something other than an enhancement failed for good, or a grave error was told."""
    sold: int = 0
    """Of those, runs in which a buyer accepted."""
    timed: int = 0
    """Runs that ended and said how long they took."""
    took_us: int = 0
    enhancements: int = 0
    """Enhancements that succeeded or failed; cancelled ones are not among them."""
    enhancement_failures: int = 0
    timeouts: int = 0
    """Of the failures."""
    cancelled: int = 0
    """Enhancements that were cancelled."""
    hits: int = 0
    """Enhancements that a cache answered."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(Counts)})

    @property
    def mean_ms(self) -> float | None:
        """Mean duration of the runs that ended."""
        return self.took_us / self.timed / 1000 if self.timed else None


@dataclass(slots=True, frozen=True)
class Cascade:
    """Failures in two steps that share leads, more than chance explains."""

    first: str
    """The step that failed first in most of those leads."""
    then: str
    leads: int
    """Leads in which both failed."""
    by_chance: float
    """How many there would be if the two had nothing to do with each other."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Figures:
    """What a judgement is made of: one piece of time, and the time before it."""

    since_ns: int
    until_ns: int
    now: Counts
    usual: Counts = Counts()
    """The baseline: the same over the time before."""
    usual_hourly_ms: tuple[float, ...] = ()
    """The mean duration of each hour of the baseline that had enough runs, in rising order."""
    cascades: tuple[Cascade, ...] = ()


@dataclass(slots=True, frozen=True)
class Finding:
    """One figure that is not as it should be."""

    aspect: Aspect
    state: State
    """The state that it alone makes."""
    sentence: str


@dataclass(slots=True, frozen=True)
class Standing:
    """The state that a system is in, and what is needed to judge it the next time."""

    state: State = "unknown"
    since_ns: int = 0
    """The end of the figures that showed it first."""
    reasons: tuple[str, ...] = ()
    better_since_ns: int = 0
    """From when on figures have been better than the state; 0 where they are not."""
    better_worst: State = "unknown"
    """The worst of them."""


def health(figures: Figures, before: Standing, limits: Limits = Limits()) -> Standing:
    """The standing after these figures. With too few runs the one before stands."""
    if figures.now.runs < limits.least:
        return before
    found = findings(figures, limits.holding(before.state))
    state = _state_of(found)
    reasons = tuple(one.sentence for one in found)
    if before.state == "unknown" or _RANK[state] > _RANK[before.state]:
        return Standing(state, figures.until_ns, reasons)
    if state == before.state:
        return Standing(state, before.since_ns, reasons)
    since = before.better_since_ns or figures.since_ns
    worst = max(state, before.better_worst, key=_RANK.__getitem__) if before.better_since_ns else state
    if figures.until_ns - since >= limits.hold_ns:
        told = reasons if worst == state else ()
        return Standing(worst, figures.until_ns, told or (f"better for {(figures.until_ns - since) / 3.6e12:.3g} h",))
    return Standing(before.state, before.since_ns, reasons or before.reasons, since, worst)


def _state_of(found: list[Finding]) -> State:
    aspects = {one.aspect for one in found}
    if {"cascade", "revenue"} <= aspects:
        return "crisis"
    return max((one.state for one in found), key=_RANK.__getitem__, default="healthy")


def findings(figures: Figures, limits: Limits) -> list[Finding]:
    """What is not as it should be, the gravest first."""
    now, usual = figures.now, figures.usual
    found = [
        _errors(now, usual, limits),
        _duration(figures, limits),
        _enhancements(now, usual, limits),
        _share(
            "timeouts",
            "enhancements timed out",
            now.timeouts,
            now.enhancements,
            usual.timeouts,
            usual.enhancements,
            limits,
        ),
        _drop(
            "cache",
            "enhancements came from a cache",
            now.hits,
            now.enhancements,
            usual.hits,
            usual.enhancements,
            limits,
        ),
        _drop("revenue", "runs were sold", now.sold, now.runs, usual.sold, usual.runs, limits),
        *(
            Finding(
                "cascade",
                "degraded",
                f"failures cascade: {one.leads:,} leads failed in {one.first} and in {one.then} "
                f"({one.by_chance:.1f} by chance)",
            )
            for one in figures.cascades
        ),
    ]
    return sorted((one for one in found if one), key=lambda one: -_RANK[one.state])


def _errors(now: Counts, usual: Counts, limits: Limits) -> Finding | None:
    share = Rate(now.failed, now.runs, "runs", limits.least).value
    if share is None or share < limits.healthy_errors:
        return None
    if share > limits.crisis_errors:
        return Finding(
            "errors", "crisis", f"{share:.1%} of {now.runs:,} runs failed, the limit is {limits.crisis_errors:.1%}"
        )
    return _share("errors", "runs failed", now.failed, now.runs, usual.failed, usual.runs, limits)


def _enhancements(now: Counts, usual: Counts, limits: Limits) -> Finding | None:
    failing = Rate(now.enhancement_failures, now.enhancements, "enhancements", limits.least).value
    if failing is None or 1 - failing >= limits.healthy_enhancements:
        return None
    if 1 - failing < limits.degraded_enhancements:
        return Finding(
            "enhancements",
            "degraded",
            f"{1 - failing:.1%} of {now.enhancements:,} enhancements succeeded, the limit is {limits.degraded_enhancements:.1%}",
        )
    return _share(
        "enhancements",
        "enhancements failed",
        now.enhancement_failures,
        now.enhancements,
        usual.enhancement_failures,
        usual.enhancements,
        limits,
    )


def _duration(figures: Figures, limits: Limits) -> Finding | None:
    mean, timed = figures.now.mean_ms, figures.now.timed
    if mean is None or timed < limits.least or mean < limits.healthy_ms:
        return None
    if mean > limits.crisis_ms:
        return Finding(
            "duration",
            "crisis",
            f"flows take {_seconds(mean)} on average ({timed:,} flows), the limit is {_seconds(limits.crisis_ms)}",
        )
    usual = figures.usual.mean_ms
    if usual is None or not figures.usual_hourly_ms:
        return None
    high = nearest_rank(figures.usual_hourly_ms, _HIGH)
    if mean < limits.factor * usual or mean <= high:
        return None
    return Finding(
        "duration",
        "degraded",
        f"flows take {_seconds(mean)} on average ({timed:,} flows), usual is {_seconds(usual)} "
        f"({figures.usual.timed:,} flows; 95% of {len(figures.usual_hourly_ms)} hours up to {_seconds(high)})",
    )


def _share(
    aspect: Aspect, what: str, part: int, whole: int, usual_part: int, usual_whole: int, limits: Limits
) -> Finding | None:
    """A share that rose against its usual value."""
    if min(whole, usual_whole) < limits.least:
        return None
    if part / whole < limits.factor * usual_part / usual_whole:
        return None
    if newcombe(part, whole, usual_part, usual_whole, limits.confidence)[0] <= 0:
        return None
    return Finding(aspect, "degraded", _compared(what, part, whole, usual_part, usual_whole))


def _drop(
    aspect: Aspect, what: str, part: int, whole: int, usual_part: int, usual_whole: int, limits: Limits
) -> Finding | None:
    """A share that fell against its usual value."""
    if min(whole, usual_whole) < limits.least:
        return None
    if part / whole * limits.factor > usual_part / usual_whole:
        return None
    if newcombe(part, whole, usual_part, usual_whole, limits.confidence)[1] >= 0:
        return None
    return Finding(aspect, "degraded", _compared(what, part, whole, usual_part, usual_whole))


def _compared(what: str, part: int, whole: int, usual_part: int, usual_whole: int) -> str:
    return f"{part / whole:.1%} of {whole:,} {what}, usual is {usual_part / usual_whole:.1%} of {usual_whole:,}"


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.2f} s" if ms < 10_000 else f"{ms / 1000:.1f} s"
