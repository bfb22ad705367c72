"""Errors by what they have in common: how many, where they concentrate, when they come, whether they grow, what to do.

What is grouped is either errors (`error.occurred`, by fingerprint), or failures of work, or failed tries: never two of these in
one answer, because one exception may show in all three.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from leadtrace.analysis.error_groups import DIMENSIONS, ErrorGroup, Tally, Traffic, judged
from leadtrace.analysis.misspelt import Names
from leadtrace.analysis.model import Report, Sample, Window
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis
from leadtrace.analysis.rhythm import QUARTER
from leadtrace.analysis.series import BEGUN
from leadtrace.analysis.starts import with_starts
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo

    from leadtrace.analysis.error_groups import Dimension
    from leadtrace.otlp.records import EventRecord
    from leadtrace.store.relations.interface import Relations, Tables

__all__ = ["ERRORS", "ErrorOptions", "analyze_error_patterns", "errors"]

# Which events, and what makes two of them alike. What tells of an error a second time (`leadtrace.amends`) is not another.
_FAILED: Final = """{e}.name || ' ' || {e}.word_name || {e}.lead_event_reason || {e}.record_reason || ': ' ||
    CASE WHEN {e}.failure_category <> '' THEN {e}.failure_category || '/' || {e}.failure_subcategory || '/' || {e}.failure_cause
      ELSE {e}.error_category || '/' || {e}.error_subcategory || '/' || {e}.error_cause END || ' ' || {e}.error_type"""
_SORTS: Final = {
    "errors": (
        "{e}.kind = 'error' AND {e}.amends = ''",
        "CASE WHEN {e}.error_fingerprint <> '' THEN {e}.error_fingerprint ELSE {e}.error_type || ' in ' || {e}.error_step END",
    ),
    "failures": ("{e}.kind = 'failure'", _FAILED),
    "attempt_failures": ("{e}.kind = 'attempt_failure'", _FAILED),
}

# An error says on which span it arose. That span's work, or the work that its try belongs to, has the buyer and the service.
_WRONG: Final = """
SELECT e.arrival AS arrival, e.time_ns AS time_ns, e.tenant AS tenant, e.lead_id AS lead_id, e.run_key AS run_key,
  e.span_id AS span_id, e.host AS host, e.service_version AS version, e.buyer AS buyer,
  CASE WHEN e.enhancement_service <> '' THEN e.enhancement_service ELSE e.enhancement_name END AS service, {key} AS grp,
  e.error_type AS type,
  CASE WHEN e.failure_category <> '' THEN e.failure_category ELSE e.error_category END AS category,
  CASE WHEN e.failure_category <> '' THEN e.failure_subcategory ELSE e.error_subcategory END AS subcategory,
  CASE WHEN e.failure_category <> '' THEN e.failure_cause ELSE e.error_cause END AS cause,
  CASE WHEN e.error_step <> '' THEN e.error_step ELSE e.word_name END AS step,
  CASE WHEN e.error_message <> '' THEN e.error_message ELSE e.failure_reason END AS message,
  CASE WHEN e.word <> '' THEN e.word ELSE e.error_operation END AS word
FROM lead_events e
WHERE {chosen}"""
_TOLD: Final = """
WITH placed AS (
  SELECT w.grp AS grp, w.arrival AS arrival, w.time_ns AS time_ns, w.time_ns - w.time_ns % 900000000000 AS piece,
    w.tenant AS tenant, CASE WHEN w.lead_id <> '' THEN w.lead_id ELSE coalesce(r.lead_id, '') END AS lead_id,
    w.run_key AS run_key, w.host AS host, w.version AS version, w.type AS type, w.category AS category,
    w.subcategory AS subcategory, w.cause AS cause, w.step AS step, w.message AS message,
    coalesce(r.campaign, '') AS campaign,
    CASE WHEN w.buyer <> '' THEN w.buyer WHEN h.buyer <> '' THEN h.buyer ELSE coalesce(a.buyer, '') END AS buyer,
    CASE WHEN w.service <> '' THEN w.service WHEN h.service <> '' THEN h.service ELSE coalesce(a.service, '') END AS service,
    CASE WHEN w.word = 'attempt' OR coalesce(h.word, '') = 'attempt' THEN 1 ELSE 0 END AS in_try,
    CASE WHEN coalesce(h.word, w.word) = 'attempt' AND a.word <> '' THEN a.word WHEN h.word <> '' THEN h.word ELSE w.word END
      AS word,
    CASE WHEN f.run_key IS NULL THEN 0 ELSE 1 END AS stopped
  FROM wrong w
  LEFT JOIN homes h ON h.span_id = w.span_id
  LEFT JOIN above a ON a.span_id = h.parent
  LEFT JOIN lead_runs r ON r.run_key = w.run_key
  LEFT JOIN (
    SELECT DISTINCT run_key, error_type FROM all_events WHERE name = 'flow.failed' AND run_key IS NOT NULL
  ) f ON f.run_key = w.run_key AND f.error_type = w.type
)
SELECT grp, time_ns, piece, tenant, lead_id, run_key, host, version, type, category, subcategory, cause, step, message,
  campaign, buyer, service, in_try, word, stopped,
  CASE WHEN lead_id <> '' THEN tenant || '/' || lead_id ELSE 'e' || CAST(arrival AS VARCHAR) END AS who
FROM placed"""
_FIGURES: Final = """
SELECT 'group' AS figure, grp, '' AS value, count(*), count(DISTINCT who),
  count(DISTINCT CASE WHEN lead_id <> '' THEN who END), sum(in_try), min(time_ns), max(time_ns),
  count(DISTINCT run_key), count(DISTINCT CASE WHEN stopped = 1 THEN run_key END),
  max(type), max(category), max(subcategory), max(cause), max(step), max(message), max(word)
FROM told GROUP BY grp
UNION ALL
SELECT 'piece', grp, CAST(piece AS VARCHAR), count(*), count(DISTINCT who), 0, 0, 0, 0, 0, 0, '', '', '', '', '', '', ''
FROM told GROUP BY grp, piece
UNION ALL
SELECT 'sample', grp, lead_id, 0, 0, 0, 0, 0, last_ns, 0, 0, '', '', '', '', '', '', '' FROM (
  SELECT grp, lead_id, max(time_ns) AS last_ns,
    row_number() OVER (PARTITION BY grp ORDER BY max(time_ns) DESC, lead_id, tenant) AS place
  FROM told WHERE lead_id <> '' GROUP BY grp, tenant, lead_id
) samples
WHERE place <= 5"""
_VALUES: Final = """
UNION ALL
SELECT '{name}', grp, {name}, count(*), count(DISTINCT who), 0, 0, 0, 0, 0, 0, '', '', '', '', '', '', ''
FROM told GROUP BY grp, {name}"""

_HISTORY: Final = """
SELECT {key}, e.time_ns - e.time_ns % 900000000000, count(*) FROM lead_events e WHERE {chosen} GROUP BY 1, 2"""

_TRAFFIC: Final = f"""
SELECT 'host', host, count(*) FROM lead_events WHERE name IN {BEGUN} GROUP BY host
UNION ALL
SELECT 'version', service_version, count(*) FROM lead_events WHERE name IN {BEGUN} GROUP BY service_version
UNION ALL
SELECT 'campaign', campaign, count(*) FROM lead_events WHERE name = 'flow.started' GROUP BY campaign
UNION ALL
SELECT 'buyer', buyer, count(*) FROM lead_events WHERE name = 'delivery.started' GROUP BY buyer
UNION ALL
SELECT 'service', CASE WHEN enhancement_service <> '' THEN enhancement_service ELSE enhancement_name END, count(*)
FROM lead_events WHERE name = 'enhancement.started' GROUP BY 2"""  # noqa: S608 - of constants alone
_BY_PIECE: Final = f"""
SELECT time_ns - time_ns % 900000000000, count(*) FROM lead_events WHERE name IN {BEGUN} GROUP BY 1"""  # noqa: S608


_FINGERPRINTS: Final = Names(
    "fingerprint", "SELECT DISTINCT error_fingerprint FROM all_events WHERE kind = 'error' AND error_fingerprint <> ''"
)


@dataclass(slots=True, frozen=True, kw_only=True)
class ErrorOptions(Options):
    of: Literal["errors", "failures", "attempt_failures"] = option(
        "errors", "Errors as they arose, work that failed in the end, or single tries that failed: never mixed."
    )
    fingerprint: str = option("", "Only errors of this fingerprint.", names=_FINGERPRINTS)
    zone: str = option("UTC", "The time zone of hours and weekdays: Europe/Berlin.")


def errors(relations: Relations, options: ErrorOptions) -> Report[ErrorGroup]:
    """Group the window's errors, the largest group first. Rhythms are looked for in all that was recorded up to its end."""
    zone = _zone(options.zone)
    chosen, key = (text.format(e="e") for text in _SORTS[options.of])
    if options.fingerprint:
        chosen += " AND e.error_fingerprint = $fingerprint"
    given = {"fingerprint": options.fingerprint}
    tables: Tables = {"wrong": _WRONG.format(chosen=chosen, key=key)}
    tables = with_starts(relations, "homes", "SELECT span_id FROM wrong WHERE span_id <> ''", tables, given)
    tables = with_starts(relations, "above", "SELECT parent AS span_id FROM homes WHERE parent <> ''", tables, given)
    figures = _FIGURES + "".join(_VALUES.format(name=one) for one in DIMENSIONS)
    tallies = _tallies(relations.query(figures, given, {**tables, "told": _TOLD}))
    traffic = Traffic(pieces=dict(relations.query(_BY_PIECE)))
    for name, value, count in relations.query(_TRAFFIC):
        traffic.values.setdefault(name, Counter())[value] += count
    if options.since_ns:
        before = relations.within(0, options.until_ns)
        traffic.history = dict(before.query(_BY_PIECE))
        _add_history(tallies, before.query(_HISTORY.format(chosen=chosen, key=key), given))
    total = sum(one.errors for one in tallies.values())
    until = options.until_ns or options.now_ns
    groups = sorted(
        (
            judged(one, traffic, total, zone, min(until, options.now_ns), options.now_ns, len(tallies))
            for one in tallies.values()
        ),
        key=lambda one: (-one.errors, one.group),
    )
    shown = groups[: options.limit] if options.limit else groups
    return Report(
        ERRORS.name,
        Window(options.since_ns, options.until_ns),
        Sample({options.of: total, "groups": len(groups), "work_begun": sum(traffic.pieces.values())}),
        tuple(shown),
        tuple(_notes(groups, shown, traffic)),
    )


def analyze_error_patterns(
    events: Iterable[EventRecord], *, zone: str = "UTC", now_ns: int = 0
) -> tuple[ErrorGroup, ...]:
    """The same of events that were fetched already, those of `error.occurred` among them, the largest group first.

    Where the events have starts of flows, deliveries and enhancements too, they are what errors are compared with; without
    them nothing is said of concentration, because nobody knows how often things went well. `now_ns`: by when the next
    of periodic errors is wanted, 0 for after the last event.
    """
    told = {one.uid or id(one): one for one in events}.values()
    tallies, traffic = _from_events(told)
    total = sum(one.errors for one in tallies.values())
    now = now_ns or max((one.time_ns for one in told), default=0)
    found = [judged(one, traffic, total, _zone(zone), now, now, len(tallies)) for one in tallies.values()]
    return tuple(sorted(found, key=lambda one: (-one.errors, one.group)))


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(f"no time zone {name!r}", expected="a name such as UTC or Europe/Berlin") from None


def _tallies(rows: Iterable[tuple[Any, ...]]) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    values: dict[str, dict[Dimension, Counter[str]]] = defaultdict(dict)
    pieces: dict[str, Counter[int]] = defaultdict(Counter)
    samples: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for figure, key, value, count, affected, leads, in_tries, first, last, runs, stopped, *labels in rows:
        if figure == "group":
            kind, category, subcategory, cause, step, message, word = labels
            found[key] = Tally(
                key, kind, category, subcategory, cause, step, message, word, count, leads, affected, in_tries
            )
            found[key].runs, found[key].stopped = runs, stopped
            found[key].first_ns, found[key].last_ns = first, last
        elif figure == "piece":
            pieces[key][int(value)] += affected
        elif figure == "sample":
            samples[key].append((-last, value))
        else:
            values[key].setdefault(figure, Counter())[value] += affected
    for key, one in found.items():
        one.values, one.pieces = values[key], pieces[key]
        one.samples = [lead for _, lead in sorted(samples[key])]
    return found


def _add_history(tallies: Mapping[str, Tally], rows: Iterable[tuple[str, int, int]]) -> None:
    history: dict[str, dict[int, int]] = defaultdict(dict)
    for key, piece, count in rows:
        history[key][piece] = count
    for key, one in tallies.items():
        one.history = history[key]


def _from_events(events: Iterable[EventRecord]) -> tuple[dict[str, Tally], Traffic]:
    from leadtrace.query.vocabulary import kind_of, text

    several = list(events)
    kinds = [kind_of(one) for one in several]
    begun = {one.span_id: one for one, kind in zip(several, kinds, strict=True) if kind == "start" and one.span_id}
    runs = {text(one.attributes, "leadtrace.run_id"): one for one in several if one.name == "flow.started"}
    stopped = {
        (text(one.attributes, "leadtrace.run_id"), text(one.attributes, "error.type"))
        for one in several
        if one.name == "flow.failed"
    }
    # A flow may learn its lead after it began: what went wrong before is that lead's, too.
    leads: dict[str, str] = defaultdict(str)
    for one in several:
        if one.name.startswith("flow."):
            run = text(one.attributes, "leadtrace.run_id")
            leads[run] = max(leads[run], one.lead_id)
    tallies: dict[str, Tally] = {}
    affected: dict[tuple[str, str], set[str]] = defaultdict(set)
    seen: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, one in enumerate(several):
        if kinds[number] != "error" or text(one.attributes, "leadtrace.amends"):
            continue
        said = one.attributes
        step = text(said, "error.context.step") or text(said, "leadtrace.name")
        key = text(said, "error.fingerprint") or f"{text(said, 'error.type')} in {text(said, 'error.context.step')}"
        home = begun.get(one.span_id)
        above = begun.get(text(home.attributes, "leadtrace.parent_span_id")) if home else None
        around = [each for each in (one, home, above) if each is not None]
        word = text(home.attributes, "leadtrace.word") if home else text(said, "error.context.operation")
        run = text(said, "leadtrace.run_id")
        tally = tallies.setdefault(key, Tally(key, values={name: Counter() for name in DIMENSIONS}))
        tally.errors += 1
        tally.in_tries += word == "attempt"
        for name, value in (
            ("type", text(said, "error.type")),
            ("category", text(said, "error.category")),
            ("subcategory", text(said, "error.subcategory")),
            ("cause", text(said, "error.cause")),
            ("step", step),
            ("message", text(said, "error.message")),
            ("word", text(above.attributes, "leadtrace.word") if word == "attempt" and above else word),
        ):
            setattr(tally, name, max(getattr(tally, name), value))
        lead = one.lead_id or (leads[run] if run else "")
        who = lead or f"e{number}"
        for name, value in _dimensions(one, around, runs.get(run)).items():
            if who not in affected[f"{key} {name}", value]:
                affected[f"{key} {name}", value].add(who)
                tally.values[name][value] += 1
        piece = one.time_ns - one.time_ns % QUARTER
        if who not in affected[f"{key} piece", str(piece)]:
            affected[f"{key} piece", str(piece)].add(who)
            tally.pieces[piece] += 1
        affected[f"{key} runs", "all"] |= {run} - {""}
        affected[f"{key} runs", "stopped"] |= {run} if (run, text(said, "error.type")) in stopped else set()
        seen[key].append((-one.time_ns, lead))
    for key, tally in tallies.items():
        in_time = sorted(seen[key])
        tally.first_ns, tally.last_ns = -in_time[-1][0], -in_time[0][0]
        tally.samples = list(dict.fromkeys(lead for _, lead in in_time if lead))[:5]
        tally.leads = len({lead for _, lead in in_time if lead})
        tally.runs, tally.stopped = len(affected[f"{key} runs", "all"]), len(affected[f"{key} runs", "stopped"])
    return tallies, _traffic_of(several)


def _traffic_of(events: Iterable[EventRecord]) -> Traffic:
    traffic = Traffic(values={name: Counter() for name in DIMENSIONS})
    pieces: Counter[int] = Counter()
    for one in events:
        if one.name in ("flow.started", "delivery.started", "enhancement.started"):
            pieces[one.time_ns - one.time_ns % QUARTER] += 1
            known = _dimensions(one, [one], one if one.name == "flow.started" else None)
            for name in {"flow.started": ("campaign",), "delivery.started": ("buyer",)}.get(one.name, ("service",)):
                traffic.values[cast("Dimension", name)][known[cast("Dimension", name)]] += 1
            for name in ("host", "version"):
                traffic.values[cast("Dimension", name)][known[cast("Dimension", name)]] += 1
    traffic.pieces = pieces
    return traffic


def _dimensions(one: EventRecord, around: Iterable[EventRecord], run: EventRecord | None) -> dict[Dimension, str]:
    from leadtrace.query.vocabulary import text

    several = list(around)
    return {
        "buyer": next(filter(None, (text(each.attributes, "delivery.buyer") for each in several)), ""),
        "service": next(
            filter(None, (text(each.attributes, "enhancement.service", "enhancement.name") for each in several)), ""
        ),
        "campaign": text(run.attributes, "flow.journey.campaign", "lead.campaign") if run is not None else "",
        "version": text(one.resource.attributes, "service.version"),
        "host": text(one.resource.attributes, "host.name"),
    }


def _notes(groups: list[ErrorGroup], shown: list[ErrorGroup], traffic: Traffic) -> list[str]:
    notes = []
    if len(shown) < len(groups):
        notes.append(f"{len(groups) - len(shown):,} more groups, left out by the limit")
    if groups and not traffic.pieces:
        notes.append("no starts of flows, deliveries or enhancements are recorded: nothing to compare the errors with")
    if groups:
        notes.append(
            "a pattern is told where chance explains it less than once in a thousand, over all values and groups looked at; "
            "a rhythm needs three whole cycles"
        )
    return notes


ERRORS: Final = Analysis(
    "errors",
    errors,
    ErrorOptions,
    (ErrorGroup,),
    hidden=(
        *("group", "type", "category", "cause", "message", "in_tries", "flows_stopped", "earlier", "later"),
        *("concentrations", "hours", "peak_hours", "weekdays", "peak_weekdays", "period_ms", "cycles"),
        *("first_ns", "last_ns", "related_errors", "pattern_detected", "title", "sample_leads"),
    ),
    beneath=("pattern", "suggestion"),
)
