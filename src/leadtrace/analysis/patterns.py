"""What usually follows what: common sequences of events, where leads stop, how many get from step to step, and rare sequences
that end badly."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from leadtrace.analysis.chance import at_least
from leadtrace.analysis.homes import with_homes
from leadtrace.analysis.model import LEAST, Rate, Report, Row, Sample, Window, limited
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis
from leadtrace.errors import SettingsError
from leadtrace.query.vocabulary import FLOW_ENDS, kind_of, sequence_of, text
from leadtrace.store.relations.interface import MOST_IN_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leadtrace.otlp.records import EventRecord
    from leadtrace.query.model import Timeline
    from leadtrace.store.relations.interface import Relations, Tables

__all__ = ["PATTERNS", "Conversion", "PatternOptions", "Sequences", "Stop", "find_common_event_patterns", "patterns"]

STEPS: Final = ("lead.received", "flow.started", "enhancement.success", "delivery.started", "delivery.accepted")
"""What a lead usually goes through."""
BAD: Final = ("failed", "interrupted", "cancelled", "undelivered")
"""Outcomes that are an end nobody wanted; a buyer's no is a valid answer."""

_LONGEST: Final = 6
_COMMON: Final = 0.01
_RARE: Final = 0.05
_CHANCE: Final = 0.001

# Whose events they are. A flow may learn its lead after it began: what it told before is that lead's, too.
_STRAYS: Final = "SELECT run_key FROM lead_events WHERE lead_key IS NULL"
_MINE: Final = {
    "lead": """
  SELECT e.lead_key AS who, {columns} FROM lead_events e WHERE e.lead_key IS NOT NULL AND {which}
  UNION ALL
  SELECT h.lead_key, {columns} FROM lead_events e
  JOIN homes h ON h.run_key = e.run_key
  WHERE e.lead_key IS NULL AND {which}""",
    "run": "SELECT e.run_key AS who, {columns} FROM lead_events e WHERE e.run_key IS NOT NULL AND {which}",
    "trace": "SELECT e.trace_id AS who, {columns} FROM lead_events e WHERE e.trace_id <> '' AND {which}",
}
# Who ended badly: by the last end of a run, of the lead, the run or the trace; as one text whose greatest is the last.
_OF_RUNS: Final = """
  SELECT {who} AS who, max(substr('0000000000000000000' || CAST(end_ns AS VARCHAR), -19) || outcome) AS ended
  FROM lead_runs WHERE {which} AND end_ns >= $since GROUP BY {who}"""
_ENDED: Final = {
    "lead": _OF_RUNS.format(who="lead_key", which="lead_key IS NOT NULL"),
    "run": _OF_RUNS.format(who="run_key", which="run_key IS NOT NULL"),
    "trace": """
  SELECT trace_id AS who, max(substr('0000000000000000000' || CAST(time_ns AS VARCHAR), -19) || CASE
    WHEN name <> 'flow.completed' THEN substr(name, 6) WHEN final_outcome <> '' THEN final_outcome ELSE 'completed' END) AS ended
  FROM all_events
  WHERE name IN ('flow.completed', 'flow.failed', 'flow.cancelled', 'flow.interrupted') AND time_ns >= $since AND trace_id <> ''
  GROUP BY trace_id""",
}
# In the order of time; what one process told at one moment, in the order in which it told it. Labels become short numbers, so
# that whose events are alike are counted together: of many leads there are few sequences, and only these are looked through.
_NUMBERED: Final = """
SELECT label, row_number() OVER (ORDER BY label) - 1 AS number
FROM (SELECT DISTINCT {label} AS label FROM lead_events e WHERE {which}) labels"""
_TOLD_ALIKE: Final = """
WITH each_one AS (
  SELECT t.who AS who, in_order(n.number, t.time_ns, t.sequence) AS told,
    CASE WHEN min(t.boot) <> max(t.boot) THEN 1 ELSE 0 END AS several
  FROM ({mine}) t
  JOIN numbered n ON n.label = t.label
  GROUP BY t.who
)
SELECT o.told, o.several, CASE WHEN d.ended IS NOT NULL THEN 1 ELSE 0 END,
  CASE WHEN substr(d.ended, 20) IN ({bad}) THEN 1 ELSE 0 END, count(*)
FROM each_one o
LEFT JOIN ({ended}) d ON d.who = o.who
GROUP BY 1, 2, 3, 4"""

_STOPS: Final = """
SELECT flow_name, last_event, last_about, outcome, count(*)
FROM lead_stops
GROUP BY 1, 2, 3, 4
ORDER BY 5 DESC, 1, 2, 3, 4"""


@dataclass(slots=True, frozen=True, kw_only=True)
class PatternOptions(Options):
    length: int = option(3, "How many events a sequence has: 2 to 6.")
    per: Literal["lead", "run", "trace"] = option("lead", "Whose events follow one another.")
    by: Literal["name", "word"] = option("name", "`word` tells events of one name apart by what they are about.")
    starts: bool = option(False, "With the events by which work begins, too: each is followed by its end.")
    steps: tuple[str, ...] = option(
        (),
        f"An event that leads get to, in order; may be given again.  [default: those that occur of {', '.join(STEPS)}]",
    )
    bad: tuple[str, ...] = option((), f"An outcome that is a bad end; may be given again.  [default: {', '.join(BAD)}]")


@dataclass(slots=True, frozen=True)
class Sequences(Row):
    """Events that follow one another, of one lead (run, trace) each."""

    section: ClassVar[str] = "sequences"
    sort: Literal["common", "rare_and_bad"]
    """`common`: with at least one in a hundred; `rare_and_bad`: with at most one in twenty, and ending badly far more often."""
    sequence: tuple[str, ...]
    times: int
    share: Rate
    """Of the leads (runs, traces), those that have it."""
    ended_badly: Rate
    """Of those that have it and whose flow has ended."""
    lift: float | None
    """How many times as often as all that ended; None where too few did, or none of them badly."""
    chance: float | None
    """Of rare ones: how probable so many bad ends are by chance, times the number of sequences looked at."""


@dataclass(slots=True, frozen=True)
class Stop(Row):
    """The last that is told of runs, their start and their ends aside."""

    section: ClassVar[str] = "stops"
    flow: str
    last_event: str
    what: str
    """What it is about: the validation, enhancement, buyer or step."""
    outcome: str
    """'' while it is open."""
    runs: int
    share: Rate
    """Of the flow's runs that began in the window."""


@dataclass(slots=True, frozen=True)
class Conversion(Row):
    """How many leads get to a step, of those that got to the one before."""

    section: ClassVar[str] = "conversion"
    step: str
    leads: int
    """Leads with this step and all before it, in whatever order their clocks say."""
    of_previous: Rate
    of_first: Rate
    median_ms: float | None
    """From the first of the step before to the first of this one, where it came later."""
    out_of_order: int
    """Leads whose first of this step is older than that of the step before: a clock that is off, or another order."""


def patterns(relations: Relations, options: PatternOptions) -> Report[Row]:
    """Sequences, stops and conversion of the window's events."""
    if not 2 <= options.length <= _LONGEST:
        raise SettingsError(f"length of the report patterns is from 2 to {_LONGEST}", got=options.length)
    which = "e.kind <> 'alert'" if options.starts else "e.kind <> 'start' AND e.kind <> 'alert'"
    bad = _bad(options)
    given: dict[str, str | int | float | None] = {"since": options.since_ns}
    given |= {f"bad_{number}": one for number, one in enumerate(bad)}
    marks = ", ".join(f"$bad_{number}" for number in range(len(bad)))
    homes = with_homes(relations, "homes", _STRAYS, {}, {})
    tables = {**homes, "numbered": _NUMBERED.format(label=_label(options.by), which=which)}
    names = [str(label) for (label,) in relations.query("SELECT label FROM numbered ORDER BY number", tables=tables)]
    if len(names) > MOST_IN_ORDER:
        raise SettingsError(
            f"{len(names):,} different labels are too many to follow", at_most=MOST_IN_ORDER, do="ask by name"
        )
    columns = f"""{_label(options.by)} AS label, e.time_ns AS time_ns, coalesce(e.boot, 0) AS boot,
    coalesce(e.sequence, 0) AS sequence"""
    alike = relations.query(
        _TOLD_ALIKE.format(
            ended=_ENDED[options.per], mine=_MINE[options.per].format(columns=columns, which=which), bad=marks
        ),
        given,
        tables,
    )
    grams = _grams(alike, names, options.length)
    number = sum(row[4] for row in alike)
    several, ended_at_all, ended_badly = (sum(row[4] for row in alike if row[which]) for which in (1, 2, 3))
    plural = f"{options.per}s"
    sequences = _sequences(grams, number, ended_badly, ended_at_all, plural)
    stops = _stops(relations)
    conversion = _conversion(relations, options, homes)
    rows, notes = limited((sequences, stops, conversion), options.limit)
    if several:
        notes.append(
            f"{several:,} {plural} have events of several processes: their order is that of these processes' clocks"
        )
    if ended_at_all < number:
        notes.append(f"{number - ended_at_all:,} {plural} have not ended, and are in no share of bad ends")
    return Report(
        PATTERNS.name,
        Window(options.since_ns, options.until_ns),
        Sample({plural: number, "ended": ended_at_all, "ended_badly": ended_badly}),
        tuple(rows),
        tuple(notes),
    )


def find_common_event_patterns(
    traces: Iterable[Timeline | Iterable[EventRecord]],
    *,
    length: int = 3,
    by: Literal["name", "word"] = "name",
    starts: bool = False,
    bad: Sequence[str] = BAD,
) -> tuple[Sequences, ...]:
    """The sequences of timelines, or of lists of events (a trace each), that were fetched already: as the report `patterns`.

    A timeline's own order is kept; a list is put into the order of time.
    """
    from leadtrace.query.model import Timeline

    if not 2 <= length <= _LONGEST:
        raise SettingsError(f"length of a pattern is from 2 to {_LONGEST}", got=length)
    each: dict[tuple[str, ...], list[tuple[int, bool | None]]] = defaultdict(list)
    number = ended = ended_badly = 0
    for one in traces:
        labels, outcome = _of_timeline(one, by, starts) if isinstance(one, Timeline) else _of_events(one, by, starts)
        number += 1
        badly = None if outcome is None else outcome in bad
        ended += badly is not None
        ended_badly += bool(badly)
        grams = Counter(tuple(labels[at : at + length]) for at in range(len(labels) - length + 1))
        for gram, times in grams.items():
            each[gram].append((times, badly))
    told = [
        (
            gram,
            sum(times for times, _ in having),
            len(having),
            sum(bool(badly) for _, badly in having),
            sum(badly is not None for _, badly in having),
        )
        for gram, having in each.items()
    ]
    told.sort(key=lambda one: (-one[2], one[0]))
    return tuple(_sequences(told, number, ended_badly, ended, "traces"))


def _grams(
    alike: Iterable[tuple[str, int, int, int, int]], names: Sequence[str], length: int
) -> list[tuple[tuple[str, ...], int, int, int, int]]:
    """Each sequence of that length: how often it is told, of how many, of how many of them that ended badly, and at all."""
    found: dict[tuple[str, ...], list[int]] = {}
    for told, _, known, badly, many in alike:
        numbers = told.split(" ")
        for gram, times in Counter(zip(*(numbers[at:] for at in range(length)), strict=False)).items():
            sums = found.setdefault(gram, [0, 0, 0, 0])
            sums[0] += times * many
            sums[1] += many
            sums[2] += badly * many
            sums[3] += known * many
    grams = [
        (tuple(names[int(one)] for one in gram), times, having, badly, known)
        for gram, (times, having, badly, known) in found.items()
    ]
    grams.sort(key=lambda one: (-one[2], one[0]))
    return grams


def _bad(options: PatternOptions) -> tuple[str, ...]:
    return options.bad or BAD


def _label(by: str) -> str:
    if by == "name":
        return "e.name"
    return """CASE WHEN e.buyer <> '' THEN e.name || ' ' || e.buyer WHEN e.check_name <> '' THEN e.name || ' ' || e.check_name
    WHEN e.enhancement_name <> '' THEN e.name || ' ' || e.enhancement_name
    WHEN e.word_name <> '' THEN e.name || ' ' || e.word_name ELSE e.name END"""


def _sequences(
    grams: Sequence[tuple[tuple[str, ...], int, int, int, int]], number: int, ended_badly: int, ended: int, of: str
) -> list[Sequences]:
    """Common ones, the most frequent first, then those that are rare and end badly, the least probable first."""
    usual = ended_badly / ended if ended >= LEAST else 0.0
    common, rare = [], []
    for gram, times, having, badly, known in grams:
        lift = badly / known / usual if usual and known else None
        told = (gram, times, Rate(having, number, of), Rate(badly, known, f"{of} that ended", 5), lift)
        if having >= max(2, _COMMON * number):
            common.append(Sequences("common", *told, None))
        chance = at_least(badly, known, usual) * len(grams)
        if any(one.partition(" ")[0] in FLOW_ENDS for one in gram):
            continue  # the end itself says how it ends
        if usual and having <= _RARE * number and known >= 2 and badly and chance < _CHANCE:
            rare.append(Sequences("rare_and_bad", *told, chance))
    return common + sorted(rare, key=lambda one: (one.chance, one.sequence))


def _stops(relations: Relations) -> list[Stop]:
    found = relations.query(_STOPS)
    runs: Counter[str] = Counter()
    for flow, _, _, _, number in found:
        runs[flow] += number
    return [
        Stop(flow, name, what, outcome, number, Rate(number, runs[flow], "runs of the flow"))
        for flow, name, what, outcome, number in found
    ]


def _conversion(relations: Relations, options: PatternOptions, homes: Tables) -> list[Conversion]:
    steps = options.steps or _usual_steps(relations)
    if not steps:
        return []
    given: dict[str, str | int | float | None] = {f"step_{place}": one for place, one in enumerate(steps)}
    places = range(len(steps))
    firsts = ", ".join(f"min(CASE WHEN name = $step_{place} THEN time_ns END) AS t{place}" for place in places)
    marks = ", ".join(f"$step_{place}" for place in places)
    mine = _MINE["lead"].format(columns="e.name AS name, e.time_ns AS time_ns", which=f"e.name IN ({marks})")
    figures = []
    for place in places:
        reached = " AND ".join(f"t{one} IS NOT NULL" for one in range(place + 1))
        took = f"t{place} - t{place - 1}" if place else "0"
        figures += [
            f"coalesce(sum(CASE WHEN {reached} THEN 1 ELSE 0 END), 0)",
            f"coalesce(sum(CASE WHEN {reached} AND {took} < 0 THEN 1 ELSE 0 END), 0)",
            f"nearest_rank(CASE WHEN {reached} AND {took} >= 0 THEN {took} END, 50)",
        ]
    asked = f"SELECT {', '.join(figures)} FROM (SELECT who, {firsts} FROM ({mine}) told GROUP BY who) each_lead"  # noqa: S608 - of parameters
    (row,) = relations.query(asked, given, homes)
    rows = [row[3 * place : 3 * place + 3] for place in places]
    found: list[Conversion] = []
    for place, ((leads, backwards, took), step) in enumerate(zip(rows, steps, strict=True)):
        before = rows[place - 1][0] if place else leads
        found.append(
            Conversion(
                step,
                leads,
                Rate(leads, before, "leads at the step before"),
                Rate(leads, rows[0][0], "leads at the first step"),
                took / 1e6 if place and took is not None else None,
                backwards if place else 0,
            )
        )
    return found


def _usual_steps(relations: Relations) -> tuple[str, ...]:
    """Those of the usual steps that the window's leads go through at all."""
    given: dict[str, str | int | float | None] = {f"step_{place}": one for place, one in enumerate(STEPS)}
    marks = ", ".join(f"${one}" for one in given)
    sql = f"SELECT DISTINCT name FROM lead_events WHERE name IN ({marks})"  # noqa: S608 - parameters
    there = {name for (name,) in relations.query(sql, given)}
    return tuple(one for one in STEPS if one in there)


def _of_timeline(timeline: Timeline, by: str, starts: bool) -> tuple[list[str], str | None]:
    ended = [run for run in timeline.runs if run.ended_ns]
    outcome = max(ended, key=lambda run: run.ended_ns).outcome if ended else None
    return [
        _named(one.name, one.attributes, by)
        for one in timeline.events
        if one.kind != "alert" and (starts or one.kind != "start")
    ], outcome


def _of_events(events: Iterable[EventRecord], by: str, starts: bool) -> tuple[list[str], str | None]:
    def order(one: EventRecord) -> tuple[Any, ...]:
        _, sequence = sequence_of(one) or ("", 0)
        return one.time_ns, sequence, _named(one.name, one.attributes, by)

    several = sorted({one.uid or id(one): one for one in events}.values(), key=order)
    ends = [one for one in several if one.name in FLOW_ENDS]
    outcome = None
    if ends:
        _, outcome = max((one.time_ns, _outcome_of(one)) for one in ends)
    kinds = {"alert"} if starts else {"alert", "start"}
    return [_named(one.name, one.attributes, by) for one in several if kind_of(one) not in kinds], outcome


def _outcome_of(end: EventRecord) -> str:
    """As `lead_runs` says it."""
    if end.name != "flow.completed":
        return end.name.removeprefix("flow.")
    return text(end.attributes, "flow.summary.final_outcome") or "completed"


def _named(name: str, attributes: Mapping[str, Any], by: str) -> str:
    if by == "name":
        return name
    about = text(
        attributes, "delivery.buyer", "bid.buyer", "validation.name", "rule.name", "enhancement.name", "leadtrace.name"
    )
    return f"{name} {about}" if about else name


PATTERNS: Final = Analysis("patterns", patterns, PatternOptions, (Sequences, Stop, Conversion), hidden=("chance",))
