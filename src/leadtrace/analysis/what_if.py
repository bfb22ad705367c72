"""`what-if`: recorded runs as they would have been with a cache, in parallel, with another time-out, or without something.

leadtrace report what-if --cache "Phone Intelligence" --parallel "Identity,Address" --timeout "Identity=2s"
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar, Final

from leadtrace.analysis.intervals import difference_of_means, mean_interval, nearest_rank
from leadtrace.analysis.misspelt import FLOWS, Names, meant
from leadtrace.analysis.model import LEAST, Rate, Report, Row, Sample, Window, major
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.passages import oddities
from leadtrace.analysis.recomputed import Cached, Change, InParallel, LeftOut, TimedOut, recompute
from leadtrace.analysis.registry import Analysis
from leadtrace.analysis.sampled import COMPLETED, runs_drawn
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from leadtrace.analysis.passages import Passage
    from leadtrace.analysis.sampled import SampledRuns
    from leadtrace.store.relations.interface import Relations

__all__ = [
    "WHAT_IF",
    "Duration",
    "Earned",
    "Effect",
    "WhatIfOptions",
    "changes_of",
    "recomputed_runs",
    "what_if",
]


_VERSIONS: Final = Names("version", "SELECT DISTINCT flow_version FROM lead_runs WHERE flow_version <> ''")


@dataclass(slots=True, frozen=True, kw_only=True)
class WhatIfOptions(Options):
    cache: tuple[str, ...] = option((), "NAME: this call is answered from a cache; NAME=60% for a share of its calls.")
    parallel: tuple[str, ...] = option((), "A,B: these run beside each other instead of one after the other.")
    timeout: tuple[str, ...] = option((), "NAME=2s: this call is given up after so long (ms, s or min).")
    without: tuple[str, ...] = option((), "NAME: this is left out.")
    flow: str = option("", "Only runs of the flow of this name.", names=FLOWS)
    version: str = option("", "Only runs of this version of the flow.", names=_VERSIONS)
    sample: int = option(500, "How many runs are worked out again; 0: all.")


@dataclass(slots=True, frozen=True)
class Duration(Row):
    """What the runs of one flow version took, and would have."""

    section: ClassVar[str] = "duration"
    flow: str
    version: str
    runs: int
    p50_ms: float
    new_p50_ms: float
    p95_ms: float
    new_p95_ms: float
    mean_ms: float
    new_mean_ms: float
    faster: float
    """The share of the runs' time together that is saved, 0 to 1; below 0 where they would take longer."""
    runs_changed: Rate
    saved_low_ms: float | None = None
    """What a run saves on average, between this and `saved_high_ms` at 95 %; None where the runs are too few to say."""
    saved_high_ms: float | None = None


@dataclass(slots=True, frozen=True)
class Earned(Row):
    """What they cost and earned, and would have, per currency."""

    section: ClassVar[str] = "money"
    flow: str
    version: str
    runs: int
    currency: str
    cost: Decimal
    new_cost: Decimal
    revenue: Decimal
    margin: Decimal
    new_margin: Decimal


@dataclass(slots=True, frozen=True)
class Effect(Row):
    """What one of several changes does when it is the only one: together they save less than their sum, or more."""

    section: ClassVar[str] = "each_alone"
    flow: str
    version: str
    change: str
    saved_ms: float
    """Per run, on average."""
    faster: float


def what_if(relations: Relations, options: WhatIfOptions) -> Report[Row]:
    """Work recorded runs out again. Raises `SettingsError` for a change that cannot be read, and a name that none of them has."""
    changes = changes_of(options)
    part = relations.part
    sampled = runs_drawn(relations, options.sample, options.flow, options.version)
    runs = _Completed(sampled)
    rows, notes = recomputed_runs(runs, changes)
    return Report(
        WHAT_IF.name,
        Window(part.since_ns, part.until_ns),
        Sample({"runs": runs.count, "runs_in_window": sampled.of}),
        tuple(rows),
        (
            f"Worked out on {sampled.text}; {runs.count} of these were completed.",
            *notes,
        ),
        tuple(sampled.incomplete),
    )


_KEPT: Final = 2_000
"""Runs that are kept in memory; of more, each is read twice."""


@dataclass(slots=True)
class _Completed:
    """The completed runs among those drawn, as often as they are gone through."""

    sampled: SampledRuns
    count: int = 0
    kept: list[Passage] | None = None

    def __iter__(self) -> Iterator[Passage]:
        if self.kept is not None:
            yield from self.kept
            return
        self.count, kept = 0, []
        for passage in self.sampled:
            if passage.run.ended_by in COMPLETED:
                self.count += 1
                if self.count <= _KEPT:
                    kept.append(passage)
                yield passage
        if self.count <= _KEPT:
            self.kept = kept


def recomputed_runs(passages: Iterable[Passage], changes: Sequence[Change]) -> tuple[list[Row], list[str]]:
    """The rows and the assumptions for these runs, which are gone through twice. Raises `SettingsError` for a name that none
    of them has."""
    met = _Met.of(passages, changes)
    _check_names(met, changes)
    changes = [_with_hit_time(one, met) for one in changes]
    flows: dict[tuple[str, str], _Runs] = {}
    tally: Counter[tuple[str, str]] = Counter()
    for passage in passages:
        new = recompute(passage, changes)
        alone = [recompute(passage, [one]).after_ns for one in changes] if len(changes) > 1 else []
        flows.setdefault((passage.run.name, passage.run.version), _Runs()).add(passage, new.after_ns, new.saved, alone)
        tally += new.tally
    rows: list[Row] = []
    rows += [_duration(flow, version, runs) for (flow, version), runs in sorted(flows.items())]
    for (flow, version), runs in sorted(flows.items()):
        total = sum(runs.before)
        for at, change in enumerate(changes if len(changes) > 1 else ()):
            saved = total - runs.alone[at]
            rows.append(
                Effect(flow, version, str(change), saved / len(runs.before) / 1e6, saved / total if total else 0.0)
            )
    for (flow, version), runs in sorted(flows.items()):
        rows += _money(flow, version, runs)
    return rows, _assumptions(met, changes, tally)


def _numbers() -> array[float]:
    return array("d")


@dataclass(slots=True)
class _Met:
    """What the runs hold, as far as the changes ask: gathered before any is worked out again."""

    runs: int = 0
    words: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By name, as which words it stands in the runs."""
    hits: dict[str, array[float]] = field(default_factory=lambda: defaultdict(_numbers))
    """How long the answers from the cache took, of names that a cache is asked for."""
    earned: dict[str, tuple[array[float], array[float]]] = field(
        default_factory=lambda: defaultdict(lambda: (_numbers(), _numbers()))
    )
    """What runs with and without its success earned, of names that are to be left out."""
    currencies: set[str] = field(default_factory=set)
    unfinished: int = 0
    shifted: int = 0

    @classmethod
    def of(cls, passages: Iterable[Passage], changes: Sequence[Change]) -> _Met:
        met = cls()
        cached = {one.name for one in changes if isinstance(one, Cached)}
        left_out = {one.name for one in changes if isinstance(one, LeftOut)}
        for passage in passages:
            met.runs += 1
            met.unfinished += bool(passage.unfinished)
            met.shifted += bool(passage.shifted)
            met.currencies.update(money.currency for money in passage.run.money)
            succeeded = set()
            for piece in passage.root.walk():
                if piece is not passage.root:
                    met.words[piece.name].add(piece.word)
                if piece.name in cached and piece.cache_hit and piece.finished:
                    met.hits[piece.name].append(piece.duration_ms)
                if piece.outcome == "enhancement.success":
                    succeeded.add(piece.name)
            for name in left_out:
                met.earned[name][name not in succeeded].append(float(sum(one.revenue for one in passage.run.money)))
        return met


@dataclass(slots=True)
class _Runs:
    """One flow version's runs, before and after."""

    before: array[int] = field(default_factory=lambda: array("q"))
    after: array[int] = field(default_factory=lambda: array("q"))
    alone: list[int] = field(default_factory=list)
    """For each change, what the runs would have taken together with it alone."""
    cost: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    revenue: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    saved: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, passage: Passage, after: int, saved: dict[str, Decimal], alone: Sequence[int]) -> None:
        self.before.append(passage.root.length_ns)
        self.after.append(after)
        self.alone = [a + b for a, b in zip(self.alone or [0] * len(alone), alone, strict=True)]
        for money in passage.run.money:
            self.cost[money.currency] += money.cost
            self.revenue[money.currency] += money.revenue
        for currency, amount in saved.items():
            self.saved[currency] += amount


def _duration(flow: str, version: str, runs: _Runs) -> Duration:
    before, after = sorted(one / 1e6 for one in runs.before), sorted(one / 1e6 for one in runs.after)
    total, new_total = sum(runs.before), sum(runs.after)
    saved = [(old - new) / 1e6 for old, new in zip(runs.before, runs.after, strict=True)]
    low, high = mean_interval(saved) if len(saved) >= LEAST else (None, None)
    return Duration(
        flow,
        version,
        len(before),
        nearest_rank(before, 0.5),
        nearest_rank(after, 0.5),
        nearest_rank(before, 0.95),
        nearest_rank(after, 0.95),
        total / len(before) / 1e6,
        new_total / len(after) / 1e6,
        (total - new_total) / total if total else 0.0,
        Rate(sum(one != 0 for one in saved), len(before), "runs", 1),
        low,
        high,
    )


def _money(flow: str, version: str, runs: _Runs) -> Iterable[Earned]:
    for currency in sorted({*runs.cost, *runs.revenue, *runs.saved}):
        cost, revenue, saved = runs.cost[currency], runs.revenue[currency], runs.saved[currency]
        yield Earned(
            flow,
            version,
            len(runs.before),
            currency,
            *map(major, (cost, cost - saved, revenue, revenue - cost, revenue - cost + saved)),
        )


def _with_hit_time(change: Change, met: _Met) -> Change:
    hits = sorted(met.hits[change.name]) if isinstance(change, Cached) and change.name in met.hits else []
    return replace(change, hit_ms=nearest_rank(hits, 0.5)) if isinstance(change, Cached) and hits else change


def _check_names(met: _Met, changes: Sequence[Change]) -> None:
    for change in changes if met.runs else ():
        for name in change.names if isinstance(change, InParallel) else (change.name,):
            if name not in met.words:
                raise SettingsError(f"none of the {met.runs:,} runs looked at has a {name!r}; {meant(name, met.words)}")
            if "delivery" in met.words[name] and isinstance(change, (Cached, LeftOut)):
                raise SettingsError(f"{name} is a delivery: it is what earns, and can be neither cached nor left out")


def _assumptions(met: _Met, changes: Sequence[Change], tally: Counter[tuple[str, str]]) -> list[str]:
    told = [
        (
            "Assumed: a word that began after another under the same caller had ended waited for it; a caller's own time between "
            "its calls stays; outcomes and revenue stay as they were recorded, before returns."
        )
    ]
    for change in changes:
        match change:
            case Cached(name, _, hit_ms):
                hits = tally["hit", name]
                how = (
                    "as the median of those recorded from the cache"
                    if hit_ms
                    else "because none from a cache is recorded"
                )
                told.append(
                    f"{change}: {_several(hits, 'call')} would be answered from the cache, in {hit_ms:g} ms ({how}), and cost "
                    f"nothing, those that failed among them; {tally['hit_already', name]} were already, "
                    f"{tally['missed', name]} not."
                )
            case LeftOut(name):
                told.append(
                    f"{change}: {_several(tally['left_out', name], 'call')} and what they cost are gone. "
                    f"That buyers would pay as much without "
                    f"what it tells is not known.{_earned_without(met, name)}"
                )
            case TimedOut(name):
                told.append(
                    f"{change}: {_several(tally['cut', name], 'call')} would be cut off; they cost what they did, and the flow "
                    "goes on as it did."
                )
                if longer := tally["longer", name]:
                    told.append(
                        f"{longer} calls of {name} had been given up sooner; how long they would have taken nobody knows, so that "
                        "they are taken to need all the new time and to fail again."
                    )
            case InParallel():
                together, apart = tally["beside", str(change)], tally["apart", str(change)]
                told.append(
                    f"{change}: done {together} times, taking it that none needs another's result"
                    + (f"; in {apart} runs they have no caller in common and stay as they were" if apart else "")
                    + "."
                )
    overtaken = sorted(name for (what, name), _ in tally.items() if what == "overtaken")
    if overtaken:
        told.append(f"What would run in parallel no longer waits for {', '.join(overtaken)}, which lay between.")
    told += oddities(met.unfinished, met.shifted, "runs")
    if 0 < met.runs < LEAST:
        told.append(f"Only {_several(met.runs, 'run')}: too few to promise anything of others.")
    return told


def _several(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _earned_without(met: _Met, name: str) -> str:
    """What runs with and without this earned, where both are enough: no proof, for the two may differ otherwise too."""
    if len(met.currencies) != 1:
        return ""
    with_, without = met.earned[name]
    if min(len(with_), len(without)) < LEAST:
        return ""
    low, high = difference_of_means(with_, without)
    return (
        f" Runs in which it succeeded ({len(with_)}) earned {fmean(with_):.2f} {min(met.currencies)} on average, the others "
        f"({len(without)}) {fmean(without):.2f}: a difference of {low:.2f} to {high:.2f} at 95 %, whatever its cause."
    )


_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min)")
_UNITS = {"ms": 1.0, "s": 1_000.0, "min": 60_000.0}
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def changes_of(options: WhatIfOptions) -> list[Change]:
    """The changes that the options say. Raises `SettingsError` where there is none, or one that cannot be read."""
    changes: list[Change] = [_cached(text) for text in options.cache]
    for text in options.parallel:
        names = tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
        if len(names) < 2:
            raise SettingsError("parallel needs two names or more, with a comma between", got=text)
        changes.append(InParallel(names))
    for text in options.timeout:
        name, separator, after = text.rpartition("=")
        found = _TIME.fullmatch(after.strip().lower())
        if not separator or found is None:
            raise SettingsError(
                "timeout is a name and a time", expected='"Identity Verification=2s", or ms or min', got=text
            )
        changes.append(TimedOut(name.strip(), float(found[1]) * _UNITS[found[2]]))
    changes += [LeftOut(text.strip()) for text in options.without]
    if not changes:
        raise SettingsError("what-if needs a change", expected="cache, parallel, timeout or without")
    return changes


def _cached(text: str) -> Cached:
    name, separator, share = text.rpartition("=")
    found = _PERCENT.fullmatch(share.strip())
    if not separator or found is None:
        return Cached(text.strip())
    if float(found[1]) > 100:
        raise SettingsError("a share of calls is at most 100 %", got=text)
    return Cached(name.strip(), float(found[1]) / 100)


WHAT_IF: Final = Analysis(
    "what-if",
    what_if,
    WhatIfOptions,
    (Duration, Effect, Earned),
    picture="leadtrace.analysis.performance_picture:draw_what_if",
    pictured=(Duration, Effect),
)
