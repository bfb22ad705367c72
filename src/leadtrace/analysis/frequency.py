"""How often what happens: events by name and kind, by flow, over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from leadtrace.analysis.misspelt import FLOWS
from leadtrace.analysis.model import Rate, Report, Row, Sample, Window, limited
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis

if TYPE_CHECKING:
    from leadtrace.store.relations.interface import Relations

__all__ = ["FREQUENCY", "FrequencyOptions", "FrequencyRow", "frequency"]

_PIECES: Final = {"none": 0, "hour": 3_600 * 10**9, "day": 86_400 * 10**9}

_SAMPLE: Final = """
SELECT count(*), count(DISTINCT lead_key), min(time_ns), max(time_ns)
FROM lead_events"""

# Events inside a flow do not carry its name: their run does. Without that join where nobody asked for flows.
_BY_NAME: Final = """
SELECT {piece} AS piece, name, kind, '' AS flow, count(*),
  count(DISTINCT lead_key), min(time_ns), max(time_ns)
FROM lead_events
GROUP BY 1, 2, 3
ORDER BY 1, 5 DESC, 2, 3"""
_BY_FLOW: Final = """
SELECT {piece} AS piece, e.name, e.kind, coalesce(r.flow_name, ''), count(*),
  count(DISTINCT e.lead_key), min(e.time_ns), max(e.time_ns)
FROM lead_events e
LEFT JOIN lead_runs r ON r.run_key = e.run_key
WHERE $flow = '' OR r.flow_name = $flow
GROUP BY 1, 2, 3, 4
ORDER BY 1, 5 DESC, 2, 3, 4"""


@dataclass(slots=True, frozen=True, kw_only=True)
class FrequencyOptions(Options):
    over: Literal["none", "hour", "day"] = option("none", "Cut time into pieces of an hour or a day (UTC).")
    by: Literal["name", "flow"] = option("name", "`flow` counts each name apart for each flow.")
    flow: str = option("", "Only events of runs of the flow of this name.", names=FLOWS)


@dataclass(slots=True, frozen=True)
class FrequencyRow(Row):
    """Events of one name and kind, of one flow where flows were asked for, in one piece of time."""

    piece_ns: int | None
    """When the piece begins; None where time is not cut."""
    name: str
    kind: str
    flow: str
    """The flow's name; '' where flows were not asked for, or the event is of no run."""
    events: int
    leads: int
    """Different leads among those events."""
    share: Rate
    """Of all events of the answer."""
    first_ns: int
    last_ns: int


def frequency(relations: Relations, options: FrequencyOptions) -> Report[FrequencyRow]:
    """Count events. The sample has the events and leads of the whole window; a limit leaves out the last rows."""
    length = _PIECES[options.over]
    by_flow = options.by == "flow" or bool(options.flow)
    piece = f"{'e.' if by_flow else ''}time_ns - {'e.' if by_flow else ''}time_ns % {length}" if length else "0"
    found = relations.query((_BY_FLOW if by_flow else _BY_NAME).format(piece=piece), {"flow": options.flow})
    ((events, leads, _first, _last),) = relations.query(_SAMPLE)
    counted = sum(row[4] for row in found)
    rows = tuple(
        FrequencyRow(
            at if length else None, name, kind, flow, number, of_leads, Rate(number, counted, "events", 1), first, last
        )
        for at, name, kind, flow, number, of_leads, first, last in found
    )
    shown, notes = limited([rows], options.limit)
    return Report(
        FREQUENCY.name,
        Window(options.since_ns, options.until_ns),
        Sample({"events": events, "leads": leads} | ({"events_of_flow": counted} if options.flow else {})),
        tuple(shown),
        tuple(notes),
    )


FREQUENCY: Final = Analysis("frequency", frequency, FrequencyOptions, (FrequencyRow,), hidden=("first_ns", "last_ns"))
