"""Events and leads as lines: of JSON, in the stable keys, and of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace.otlp.records import lead_ids_of
from leadtrace.query.entries import event_entry
from leadtrace.query.phrases import event_facts, event_title
from leadtrace.query.printable import cut, moment, plain, width_of
from leadtrace.query.story import facts_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.otlp.records import EventRecord
    from leadtrace.query.model import Json
    from leadtrace.query.story import Line
    from leadtrace.store.interface import LeadRow

__all__ = ["EVENT_SCHEMA", "LEADS_SCHEMA", "event_json", "event_lines", "lead_json", "lead_line"]

EVENT_SCHEMA = "leadtrace.event/1"
LEADS_SCHEMA = "leadtrace.leads/1"


def event_json(event: EventRecord) -> dict[str, Json]:
    """One line of `leadtrace events --json`: an entry's keys, and the lead that it names."""
    entry = event_entry(event).as_json()
    return {"schema": EVENT_SCHEMA, "lead_id": next(lead_ids_of(event.attributes), ""), **entry}


def event_lines(event: EventRecord, width: int) -> Iterator[Line]:
    """One event as text: when, whose, what."""
    entry = event_entry(event)
    title, style = event_title(entry) if entry.kind != "start" else (f"• {plain(event.name)}", "faint")
    leads = list(lead_ids_of(event.attributes))
    others = f" +{len(leads) - 1}" if len(leads) > 1 else ""
    lead = cut(plain(leads[0]) if leads else "-", 28 - len(others)) + others
    head: Line = [(f"{moment(event.time_ns)}  ", "time"), (f"{lead:<24}  ", "head"), (title, style)]
    if entry.service:
        head.append((f" [{plain(entry.service)}]", "faint"))
    return facts_lines(head, list(event_facts(entry)), width, below="    ")


def lead_json(row: LeadRow) -> dict[str, Json]:
    """One line of `leadtrace leads --json`."""
    return {
        "schema": LEADS_SCHEMA,
        "lead_id": row.lead_id,
        "tenant": row.tenant,
        "first_time_unix_nano": row.first_ns,
        "last_time_unix_nano": row.last_ns,
        "state": row.state,
        "outcome": row.outcome,
    }


def lead_line(row: LeadRow, width: int) -> Line:
    """One lead as text: last time, id, outcome, state."""
    lead, room = plain(row.lead_id), max(24, width - 66)
    lead = cut(lead, room)
    outcome = row.outcome.replace("_", " ") or "open"
    good = row.outcome in ("delivered", "partially_delivered")
    line: Line = [
        (f"{moment(row.last_ns)}  ", "time"),
        (lead + " " * max(0, min(room, 36) - width_of(lead)), "head"),
        (f"  {plain(outcome):<19}  ", "good" if good else "no" if row.outcome else "open"),
        (plain(row.state), "state"),
    ]
    if row.tenant:
        line.append((f"  tenant {plain(row.tenant)}", "faint"))
    return line
