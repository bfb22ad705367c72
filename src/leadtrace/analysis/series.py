"""What happened over time, by what names it: leads, ends of work, how long they took, use of resources, health.

These are the figures that alerts are made of, counted where the records are, so that a server hands over sums and not events.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Literal

from leadtrace.analysis.model import Report, Row, Sample, Window, limited
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis
from leadtrace.errors import SettingsError
from leadtrace.store.relations.facts import FACTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leadtrace.store.relations.interface import Relations
    from leadtrace.store.relations.interface import Row as Relation

__all__ = ["BEGUN", "END_EVENTS", "LEAD_EVENTS", "SERIES", "SeriesOptions", "SeriesRow", "column_of", "series"]

_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND

LEAD_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "campaign_group": ("lead.received", "flow.started", "lead.event.received"),
    "buyer": ("delivery.accepted",),
    "enhancement": ("enhancement.started",),
    "flow": ("flow.started",),
}
"""What counts as a lead of a group of that kind, unless events are named."""

END_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "campaign_group": ("flow.completed", "flow.failed", "flow.interrupted"),
    "buyer": ("delivery.accepted", "delivery.rejected", "delivery.failed", "delivery.unconfirmed"),
    "enhancement": ("enhancement.success", "enhancement.failed"),
    "flow": ("flow.completed", "flow.failed", "flow.interrupted"),
}
"""The ends of a group's work. What was cancelled, or is pending, has neither succeeded nor failed."""

BEGUN: Final = "('flow.started', 'delivery.started', 'enhancement.started')"
"""Work that began, as SQL lists it: what errors are measured against."""

_NAMED_BY: Final[Mapping[str, tuple[str, str]]] = {
    "campaign_group": (
        "CASE WHEN campaign_group <> '' THEN campaign_group ELSE lead_event_campaign_group END",
        "''",
    ),
    "buyer": ("buyer", "''"),
    "enhancement": ("enhancement_name", "enhancement_service"),
    "flow": ("flow_name", "flow_id"),
}
"""What names a group of that kind, and what else may."""

# Each lead once a day (UTC), at its first event there: however the window lies, the same leads are counted. A lead event that
# names no lead is one, however many platforms are told of it.
_LEADS: Final = """
SELECT named, also, {piece}, min(first_ns), max(first_ns), count(*), 0, NULL, ''
FROM (
  SELECT {named} AS named, {also} AS also, min(time_ns) AS first_ns
  FROM lead_events
  WHERE name IN ({names}) AND {chosen}
  GROUP BY 1, 2, tenant, lead_key,
    CASE WHEN lead_key IS NOT NULL THEN '' WHEN lead_event_id <> '' THEN lead_event_id
      ELSE 'record ' || CAST(arrival AS VARCHAR) END,
    time_ns - time_ns % 86400000000000
) leads
WHERE first_ns >= $since
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3"""
_OUTCOMES: Final = """
SELECT {named} AS named, {also} AS also, {piece} AS piece, min(time_ns), max(time_ns), count(*),
  sum(CASE WHEN kind = 'failure' THEN 1 ELSE 0 END), NULL, ''
FROM lead_events
WHERE name IN ({names}) AND {chosen}
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3"""
# Durations of three digits: few rows for many ends, and no quantile is off by more than half a hundredth.
_DURATIONS: Final = """
SELECT named, also, piece, min(time_ns), max(time_ns), count(*), 0, took, ''
FROM (
  SELECT {named} AS named, {also} AS also, {piece} AS piece, time_ns,
    CASE WHEN duration_ms < 1 THEN round(duration_ms, 3) WHEN duration_ms < 10 THEN round(duration_ms, 2)
      WHEN duration_ms < 100 THEN round(duration_ms, 1) WHEN duration_ms < 1000 THEN round(duration_ms)
      WHEN duration_ms < 10000 THEN round(duration_ms / 10.0) * 10.0
      WHEN duration_ms < 100000 THEN round(duration_ms / 100.0) * 100.0
      ELSE round(duration_ms / 1000.0) * 1000.0 END AS took
  FROM lead_events
  WHERE name IN ({names}) AND duration_ms >= 0 AND {chosen}
) ends
GROUP BY 1, 2, 3, 8
ORDER BY 1, 2, 3, 8"""
_ERRORS: Final = """
SELECT error_fingerprint, min(error_step), {piece} AS piece, min(time_ns), max(time_ns), count(*), count(*), NULL,
  min(error_message)
FROM lead_events
WHERE name = 'error.occurred' AND error_fingerprint <> ''
GROUP BY 1, 3
ORDER BY 1, 3"""
_WORK: Final = f"""
SELECT '', '', {{piece}} AS piece, min(time_ns), max(time_ns), count(*), 0, NULL, ''
FROM lead_events
WHERE name IN {BEGUN}
GROUP BY 3
ORDER BY 3"""  # noqa: S608 - of constants alone
_LAST: Final = """
SELECT {named} AS named, {also} AS also, 0, max(time_ns), max(time_ns), count(*), 0, NULL, ''
FROM lead_events
WHERE name IN ({names}) AND {chosen}
GROUP BY 1, 2
ORDER BY 1, 2"""
_TEXTS: Final = {
    "leads": _LEADS,
    "outcomes": _OUTCOMES,
    "durations": _DURATIONS,
    "errors": _ERRORS,
    "work": _WORK,
    "last": _LAST,
}


@dataclass(slots=True, frozen=True, kw_only=True)
class SeriesOptions(Options):
    of: Literal["leads", "outcomes", "durations", "errors", "work", "last", "capacity", "health"] = option(
        "leads", "What is counted; `last` is when the last lead was."
    )
    by: str = option("campaign_group", "What names it: campaign_group, buyer, enhancement, flow, or any text column.")
    events: tuple[str, ...] = option((), "The events that count as leads, instead of the usual ones.")
    values: tuple[str, ...] = option((), "Only of these names.")
    bucket_s: int = option(3600, "How long a piece of time is, in seconds; 0 is the whole window.")


@dataclass(slots=True, frozen=True)
class SeriesRow(Row):
    """One piece of time of one group; of durations one for each length that occurred."""

    name: str
    also: str
    """The other name that it goes by: an enhancement's service, a flow's id, an error's step, a resource."""
    piece_ns: int
    first_ns: int
    last_ns: int
    count: int
    bad: int
    """How many of them failed."""
    value: float | None
    """A duration in milliseconds; of a resource its use, 1.0 at the declared maximum."""
    text: str
    """A state of health; an error's message."""


def series(relations: Relations, options: SeriesOptions) -> Report[SeriesRow]:
    """Count by name and piece of time. Raises `SettingsError` for a column that is not there."""
    if options.bucket_s < 0:
        raise SettingsError("bucket_s of the report series is 0 or more", got=options.bucket_s)
    if options.of in ("capacity", "health"):
        from leadtrace.analysis.gauges import gauges

        rows = tuple(gauges(relations, options.of))
    else:
        rows = tuple(SeriesRow(*row) for row in _counted(relations, options))
    counted = sum(one.count for one in rows)
    shown, notes = limited([rows], options.limit)
    return Report(
        SERIES.name,
        Window(options.since_ns, options.until_ns),
        Sample({options.of: counted}),
        tuple(shown),
        tuple(notes),
    )


def column_of(attribute: str) -> str:
    """The text column that has that attribute, or is called so; '' where there is none."""
    texts = [one for one in FACTS if one.sort == "text"]
    return next((one.name for one in texts if attribute in one.attributes or attribute == one.name), "")


def _counted(relations: Relations, options: SeriesOptions) -> list[Relation]:
    named, also = _columns(options.by)
    names = tuple(options.events) or (LEAD_EVENTS if options.of in ("leads", "last") else END_EVENTS).get(
        options.by, ()
    )
    if not names and options.of not in ("errors", "work"):
        raise SettingsError("which events? those of a column are not known by themselves", by=options.by)
    parameters: dict[str, str | int | float | None] = {"since": options.since_ns}
    listed = _listed("name", names, parameters)
    among = _listed("value", options.values, parameters)
    chosen = f"({named} IN ({among}) OR {also} IN ({among}))" if options.values else f"({named} <> '' OR {also} <> '')"
    time = "first_ns" if options.of == "leads" else "time_ns"
    length = options.bucket_s * _SECOND
    piece = f"{time} - {time} % {length}" if length else "0"
    text = _TEXTS[options.of].format(named=named, also=also, names=listed, chosen=chosen, piece=piece)
    if options.of == "leads" and options.since_ns:
        relations = relations.within(options.since_ns - options.since_ns % _DAY, options.until_ns)
    return relations.query(text, parameters)


def _columns(by: str) -> tuple[str, str]:
    if by in _NAMED_BY:
        return _NAMED_BY[by]
    column = column_of(by)
    if not column:
        known = [one.name for one in FACTS if one.sort == "text"]
        near = get_close_matches(by, known, n=1)
        raise SettingsError(
            f"the report series has no column {by!r}" + (f"; did you mean {near[0]}?" if near else ""),
            expected=f"{', '.join(_NAMED_BY)}, or a text column",
        )
    return column, "''"


def _listed(name: str, values: Sequence[str], parameters: dict[str, str | int | float | None]) -> str:
    """The values as parameters, and the text that names those."""
    keys = [f"{name}_{number}" for number in range(len(values))]
    parameters.update(zip(keys, values, strict=True))
    return ", ".join(f"${key}" for key in keys)


SERIES: Final = Analysis(
    "series",
    series,
    SeriesOptions,
    (SeriesRow,),
    traces_suffice=False,  # of a source that answers to a depth, a silence would be no silence
    hidden=("first_ns", "last_ns"),
)
