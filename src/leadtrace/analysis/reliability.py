"""How far services and buyers can be relied on: availability, errors by taxonomy, latency, retries, open circuits, and the
credentials and limits that look about to end."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from leadtrace.analysis.calls import CALLS, SEVERAL, SORTS, Sort, tried
from leadtrace.analysis.error_groups import trend
from leadtrace.analysis.model import LEAST, Rate, Report, Row, Sample, Window, limited
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis
from leadtrace.analysis.rhythm import periodic
from leadtrace.query.printable import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leadtrace.store.relations.interface import Relations

__all__ = ["RELIABILITY", "Circuit", "Ending", "Failing", "Partner", "ReliabilityOptions", "reliability"]

_NAMED: Final = "named <> ''"
_ENDED: Final = """
WITH {calls}
SELECT 'partner', sort, named, '', '', '', count(*), min(time_ns), max(time_ns),
  sum(CASE WHEN ended = 'answered' THEN 1 ELSE 0 END), sum(CASE WHEN ended = 'no_data' THEN 1 ELSE 0 END),
  sum(CASE WHEN ended = 'down' THEN 1 ELSE 0 END), sum(CASE WHEN ended = 'own_fault' THEN 1 ELSE 0 END),
  sum(CASE WHEN ended = 'cached' THEN 1 ELSE 0 END), sum(CASE WHEN ended = 'cancelled' THEN 1 ELSE 0 END),
  sum(retries), sum(CASE WHEN retries > 0 THEN 1 ELSE 0 END), count(CASE WHEN {timed} THEN duration_ms END),
  nearest_rank(CASE WHEN {timed} THEN duration_ms END, 50), nearest_rank(CASE WHEN {timed} THEN duration_ms END, 95),
  nearest_rank(CASE WHEN {timed} THEN duration_ms END, 99), max(CASE WHEN {timed} THEN duration_ms END)
FROM judged
GROUP BY sort, named
UNION ALL
SELECT 'failing', sort, named, category, subcategory, cause, count(*), min(time_ns), max(time_ns),
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM judged WHERE ended IN ('down', 'no_data', 'own_fault')
GROUP BY sort, named, category, subcategory, cause"""
_TIMED: Final = "ended NOT IN ('cancelled', 'cached')"

_TRIED: Final = """
WITH {tries}
SELECT sort, named, count(*), sum(CASE WHEN kind = 'attempt_failure' THEN 1 ELSE 0 END) FROM placed GROUP BY sort, named"""
# Who refuses at all is looked for first, in what few columns say: most partners never do, and their calls need no counting.
_TRIES_REFUSED: Final = """
WITH {tries}
SELECT sort, named, refused, time_ns - time_ns % 900000000000, count(*) FROM placed WHERE refused <> '' GROUP BY 1, 2, 3, 4"""
_OF_REFUSED: Final = """
    AND (http_status IN (401, 403, 429) OR error_cause = 'rate_limit' OR error_subcategory = 'authentication')"""
_REFUSING: Final = """
SELECT DISTINCT CASE WHEN enhancement_service <> '' THEN enhancement_service WHEN enhancement_name <> '' THEN enhancement_name
  ELSE buyer END
FROM lead_events
WHERE name IN ('enhancement.failed', 'delivery.failed', 'delivery.unconfirmed')
  AND (failure_subcategory = 'authentication' OR error_subcategory = 'authentication')"""
_REFUSED: Final = """
WITH {calls}
SELECT 'call', sort, named, '', time_ns - time_ns % 900000000000, count(*)
FROM judged WHERE ended <> 'cached' GROUP BY 1, 2, 3, 4, 5
UNION ALL
SELECT 'end', sort, named, CASE WHEN cause = 'rate_limit' THEN 'limit' ELSE 'credential' END,
  time_ns - time_ns % 900000000000, count(*)
FROM judged WHERE ended IN ('down', 'own_fault') AND subcategory = 'authentication' GROUP BY 1, 2, 3, 4, 5"""

# One for each call, bulk calls too. Pairing each with its end would take far longer than all the rest.
_BEGUN: Final = """
SELECT count(*)
FROM lead_events
WHERE name = $begin AND (enhancement_service <> '' OR enhancement_name <> '' OR buyer <> '')"""

_CIRCUITS: Final = """
SELECT circuit_name, service || '/' || host || '/' || instance, name, time_ns
FROM all_events
WHERE name IN ('circuit.opened', 'circuit.half_opened', 'circuit.closed') AND ($until = 0 OR time_ns < $until)
ORDER BY circuit_name, 2, time_ns, coalesce(boot, 0), coalesce(sequence, 0), name"""

_SUGGESTIONS: Final = {
    ("credential", "periodic"): "Renew the credential automatically, before the next expected date.",
    ("credential", "began"): "Check the key or token of this service now: it was accepted before.",
    ("credential", "rising"): "Check the key or token of this service: it is refused more and more often.",
    ("limit", "periodic"): "Ask for a higher limit, or spread the calls, before the next expected date.",
    ("limit", "began"): "Space the calls out or cache answers: the limit is met for the first time.",
    ("limit", "rising"): "Space the calls out, cache answers, or ask for a higher limit.",
}


@dataclass(slots=True, frozen=True, kw_only=True)
class ReliabilityOptions(Options):
    of: Literal["all", "service", "buyer"] = option("all", "Only enhancement services, or only buyers.")


@dataclass(slots=True, frozen=True)
class Partner(Row):
    """One enhancement service or buyer, by its calls; one call for several leads is one."""

    section: ClassVar[str] = "partners"
    sort: Sort
    name: str
    calls: int
    availability: Rate
    """Answered, a no or no data included; of the calls that went out and were answered or not: without what a cache answered,
    was cancelled, or failed on our own side."""
    answered: int
    no_data: int
    """Answered, and not usable: no match, invalid input, poor quality."""
    unanswered: int
    own_faults: int
    cached: int
    cancelled: int
    retries: int
    """Tries after the first, as the calls' ends say."""
    calls_retried: Rate
    tries: int
    """Tries that are recorded one by one."""
    failed_tries: Rate
    timed: int
    """Calls behind the durations: those that went out."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


@dataclass(slots=True, frozen=True)
class Failing(Row):
    """Calls that failed for one reason of the taxonomy."""

    section: ClassVar[str] = "failures"
    sort: Sort
    name: str
    category: str
    subcategory: str
    cause: str
    failures: int
    share: Rate
    """Of the calls of that service or buyer that failed, for whatever reason."""
    first_ns: int
    last_ns: int


@dataclass(slots=True, frozen=True)
class Circuit(Row):
    """One circuit breaker, over all processes that have it."""

    section: ClassVar[str] = "circuits"
    name: str
    processes: int
    opened: int
    """How often it opened within the window."""
    open_ms: float
    """How long it was open in at least one process, within the window."""
    share: float | None
    """Of the window; None where that is open."""
    longest_ms: float
    open_now: bool
    """In some process, at the window's end."""


@dataclass(slots=True, frozen=True)
class Ending(Row):
    """A credential or limit that looks about to end, or has just done so."""

    section: ClassVar[str] = "about_to_end"
    sort: Sort
    name: str
    what: Literal["credential", "limit"]
    sign: Literal["began", "rising", "periodic"]
    """Refused for the first time after enough calls that were not; refused more often in the second half of the window than in
    the first; refused again and again at the same distance."""
    refused: int
    """Within the window: tries where they are recorded one by one, else calls."""
    first_ns: int
    last_ns: int
    next_expected_ns: int | None
    evidence: str
    suggestion: str


def reliability(relations: Relations, options: ReliabilityOptions) -> Report[Row]:
    """Judge the window's calls by service and buyer. What is about to end is looked for in all that came before, too."""
    sorts = SORTS if options.of == "all" else (options.of,)
    tries = {(sort, name): (number, failed) for sort, name, number, failed in tried(relations, _TRIED)}
    ended = [
        row
        for row in relations.query(_ENDED.format(calls=CALLS.format(among=_NAMED), timed=_TIMED), tables=SEVERAL)
        if row[1] in sorts
    ]
    partners = [_partner(row, *tries.get((row[1], row[2]), (0, 0))) for row in ended if row[0] == "partner"]
    partners.sort(key=lambda one: (SORTS.index(one.sort), -one.unanswered, one.name))
    failing = _failing([row[1:9] for row in ended if row[0] == "failing"])
    circuits = _circuits(relations, options) if options.of != "buyer" else []
    ending = [one for one in _ending(relations, options) if one.sort in sorts]
    rows, notes = limited((partners, failing, circuits, ending), options.limit)
    for sort_of, begin in (("service", "enhancement.started"), ("buyer", "delivery.started")):
        if sort_of in sorts:
            ((begun,),) = relations.query(_BEGUN, {"begin": begin})
            if (more := begun - sum(one.calls for one in partners if one.sort == sort_of)) > 0:
                notes.append(
                    f"{more:,} more calls of a {sort_of} began in the window than ended in it: they are in no figure"
                )
    few = [one.name for one in partners if one.availability.value is None]
    if few:
        notes.append(f"too few calls for an availability (at least {LEAST} needed): {', '.join(sorted(few))}")
    if any(one.open_now for one in circuits):
        notes.append("a circuit that was never told to be closed counts as open: its process may have ended")
    return Report(
        RELIABILITY.name,
        Window(options.since_ns, options.until_ns),
        Sample({"calls": sum(one.calls for one in partners), "tries": sum(one.tries for one in partners)}),
        tuple(rows),
        tuple(notes),
    )


def _partner(row: tuple[Any, ...], tries: int, failed_tries: int) -> Partner:
    (
        _,
        sort,
        name,
        _,
        _,
        _,
        calls,
        _,
        _,
        answered,
        no_data,
        down,
        own,
        cached,
        cancelled,
        retries,
        retried,
        timed,
        p50,
        p95,
        p99,
        longest,
    ) = row
    out = answered + no_data + down
    return Partner(
        sort,
        name,
        calls,
        Rate(answered + no_data, out, "calls that went out"),
        answered,
        no_data,
        down,
        own,
        cached,
        cancelled,
        retries,
        Rate(retried, calls, "calls"),
        tries,
        Rate(failed_tries, tries, "tries"),
        timed,
        p50,
        p95,
        p99,
        longest,
    )


def _failing(rows: list[tuple[Sort, str, str, str, str, int, int, int]]) -> list[Failing]:
    totals: Counter[tuple[str, str]] = Counter()
    for sort, name, _, _, _, number, _, _ in rows:
        totals[sort, name] += number
    return [
        Failing(
            sort,
            name,
            category,
            subcategory,
            cause,
            number,
            Rate(number, totals[sort, name], "failed calls", 1),
            first,
            last,
        )
        for sort, name, category, subcategory, cause, number, first, last in sorted(
            rows, key=lambda row: (SORTS.index(row[0]), row[1], -row[5], row[2:5])
        )
    ]


def _circuits(relations: Relations, options: ReliabilityOptions) -> list[Circuit]:
    until = options.until_ns or options.now_ns
    told: dict[str, dict[str, list[tuple[str, int]]]] = defaultdict(lambda: defaultdict(list))
    for name, process, event, at in relations.query(_CIRCUITS, {"until": options.until_ns}):
        told[name][process].append((event, at))
    found = []
    for name, processes in told.items():
        spans: list[tuple[int, int]] = []
        opened, open_now = 0, False
        for events in processes.values():
            mine, still = _open_spans(events, options.since_ns, until)
            spans += mine
            open_now = open_now or still
            opened += sum(event == "circuit.opened" and at >= options.since_ns for event, at in events)
        if not opened and not spans:
            continue
        open_ns = _together(spans)
        length = until - options.since_ns if options.since_ns else 0
        found.append(
            Circuit(
                name,
                len(processes),
                opened,
                open_ns / 1e6,
                open_ns / length if length > 0 else None,
                max((end - begin for begin, end in spans), default=0) / 1e6,
                open_now,
            )
        )
    return sorted(found, key=lambda one: (-one.open_ms, one.name))


def _open_spans(events: Iterable[tuple[str, int]], since: int, until: int) -> tuple[list[tuple[int, int]], bool]:
    """When one process's circuit was open within the window, and whether it is at its end."""
    spans: list[tuple[int, int]] = []
    began: int | None = None
    for event, at in events:
        if event == "circuit.opened":
            began = at if began is None else began
        elif began is not None:
            spans.append((began, at))
            began = None
    if began is not None:
        spans.append((began, until))
    cut = [(max(begin, since), min(end, until)) for begin, end in spans]
    return [(begin, end) for begin, end in cut if end > begin], began is not None


def _together(spans: Iterable[tuple[int, int]]) -> int:
    """How long at least one of them is."""
    total, upto = 0, 0
    for begin, end in sorted(spans):
        total += max(0, end - max(begin, upto))
        upto = max(upto, end)
    return total


def _ending(relations: Relations, options: ReliabilityOptions) -> list[Ending]:
    until = options.until_ns or options.now_ns
    before = relations.within(0, options.until_ns) if options.since_ns else relations
    calls: dict[tuple[Sort, str], Counter[int]] = defaultdict(Counter)
    refused: dict[tuple[Sort, str, str], dict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
    for sort, name, what, piece, number in tried(before, _TRIES_REFUSED, _OF_REFUSED):
        refused[sort, name, what]["try"][piece] += number
    refusing = {name for (name,) in before.query(_REFUSING)} | {name for _, name, _ in refused}
    for told, sort, name, what, piece, number in _calls_of(before, sorted(refusing - {""})):
        if told == "call":
            calls[sort, name][piece] += number
        else:
            refused[sort, name, what][told][piece] += number
    found: list[Ending] = []
    one_by_one = {(sort, name) for (sort, name, _), sources in refused.items() if sources["try"]}
    for (sort, name, what), sources in sorted(refused.items()):
        pieces = sources["try"] if (sort, name) in one_by_one else sources["end"]
        if not pieces:
            continue
        mine = {at: number for at, number in pieces.items() if at + 900 * 10**9 > options.since_ns}
        for sign, next_ns, evidence in _signs(pieces, mine, calls[sort, name], min(until, options.now_ns), options):
            found.append(
                Ending(
                    sort,
                    name,
                    what,  # type: ignore[arg-type]
                    sign,
                    sum(mine.values()),
                    min(pieces if sign == "periodic" else mine),
                    max(pieces),
                    next_ns,
                    evidence,
                    _SUGGESTIONS[what, sign],
                )
            )
    return found


def _calls_of(before: Relations, names: Sequence[str]) -> Sequence[tuple[Any, ...]]:
    """The calls of these services and buyers in pieces of time, and those that were refused."""
    if not names:
        return ()
    given: dict[str, str | int | float | None] = {f"named_{at}": name for at, name in enumerate(names)}
    among = f"named IN ({', '.join(f'${one}' for one in given)})"
    return before.query(_REFUSED.format(calls=CALLS.format(among=among)), given, SEVERAL)


def _signs(
    pieces: Mapping[int, int],
    mine: Mapping[int, int],
    calls: Mapping[int, int],
    until: int,
    options: ReliabilityOptions,
) -> list[tuple[Literal["began", "rising", "periodic"], int | None, str]]:
    found: list[tuple[Literal["began", "rising", "periodic"], int | None, str]] = []
    rhythm = periodic(pieces, calls, until, options.now_ns)
    if rhythm is not None:
        evidence = f"every {duration(rhythm.period_ns / 1e6)}, {rhythm.cycles} cycles seen"
        found.append(("periodic", rhythm.next_ns, evidence))
    if not mine:
        return found
    first, number = min(pieces), sum(mine.values())
    good = sum(count for at, count in calls.items() if at < first)
    if first in mine and number >= 3 and good >= LEAST:
        found.append(("began", None, f"{number} refused since then, after {good:,} calls without one"))
        return found
    there = {at: count for at, count in calls.items() if at + 900 * 10**9 > options.since_ns}
    grows, earlier, later = trend(mine, there)
    if grows == "rising":
        found.append(("rising", None, f"{later} in the second half of the time, {earlier} in the first"))
    return found


RELIABILITY: Final = Analysis(
    "reliability",
    reliability,
    ReliabilityOptions,
    (Partner, Failing, Circuit, Ending),
    hidden=("answered", "own_faults", "cached", "cancelled", "timed", "max_ms", "calls_retried", "tries"),
    beneath=("evidence", "suggestion"),
    shares=("share",),
)
