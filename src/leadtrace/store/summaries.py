"""What the list of leads shows, kept up to date while records come in: one row per lead and tenant.

Times only widen, and a state or an outcome only gives way to one told later; so records may arrive in any order, and
twice, with the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leadtrace.otlp.records import EventRecord, SpanRecord, lead_ids_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.store.append import Appender

__all__ = ["summarise_leads"]

_FLOW_ENDS: Final = {"flow.failed": "failed", "flow.cancelled": "cancelled", "flow.interrupted": "interrupted"}

_LEAD: Final = """
INSERT INTO leads (lead_id, tenant, first_ns, last_ns, state, state_ns, outcome, outcome_ns) VALUES (?,?,?,?,?,?,?,?)
ON CONFLICT (lead_id, tenant) DO UPDATE SET
  first_ns = min(first_ns, excluded.first_ns),
  last_ns = max(last_ns, excluded.last_ns),
  state = iif(excluded.state_ns >= state_ns, excluded.state, state),
  state_ns = max(state_ns, excluded.state_ns),
  outcome = iif(excluded.outcome_ns >= outcome_ns, excluded.outcome, outcome),
  outcome_ns = max(outcome_ns, excluded.outcome_ns)
RETURNING lead"""


@dataclass(slots=True)
class _Summary:
    """What a batch says about one lead."""

    first_ns: int
    last_ns: int
    state: str = ""
    state_ns: int = -1
    outcome: str = ""
    outcome_ns: int = -1


def summarise_leads(
    store: Appender, spans: Iterable[SpanRecord], events: Iterable[EventRecord], now_ns: int
) -> dict[tuple[str, str], int]:
    """Bring the rows of all leads that a batch names up to date; their numbers by tenant and id."""
    leads: dict[tuple[str, str], _Summary] = {}
    for span in spans:
        _touch(leads, span, span.start_ns, span.end_ns or span.start_ns, now_ns)
        for event in span.events:
            _touch(leads, event, event.time_ns, event.time_ns, now_ns)
    for event in events:
        _touch(leads, event, event.time_ns, event.time_ns, now_ns)
    numbers: dict[tuple[str, str], int] = {}
    for (tenant, lead_id), one in leads.items():
        values = (lead_id, tenant, one.first_ns, one.last_ns, one.state, one.state_ns, one.outcome, one.outcome_ns)
        numbers[tenant, lead_id] = store.execute(_LEAD, values).get
    return numbers


def _touch(
    leads: dict[tuple[str, str], _Summary], record: SpanRecord | EventRecord, first_ns: int, last_ns: int, now_ns: int
) -> None:
    attributes = record.attributes
    own = attributes.get("lead.id")
    several: Iterable[str] = (
        lead_ids_of(attributes) if "leadtrace.lead_ids" in attributes else (str(own),) if own else ()
    )
    if not several:
        return
    if (
        record.marks and "time_in_future" in record.marks
    ):  # a clock that is wrong must not keep a lead on top of the list for ever
        first_ns, last_ns = min(first_ns, now_ns), min(last_ns, now_ns)
    tenant = str(attributes.get("tenant_key", ""))
    for lead_id in several:
        lead = leads.get((tenant, lead_id))
        if lead is None:
            lead = leads[tenant, lead_id] = _Summary(first_ns, last_ns)
        else:
            if first_ns < lead.first_ns:
                lead.first_ns = first_ns
            if last_ns > lead.last_ns:
                lead.last_ns = last_ns
        if isinstance(record, EventRecord) and record.name.startswith(("flow.", "lead.state.")):
            _tell(lead, record, first_ns)


def _tell(lead: _Summary, event: EventRecord, at_ns: int) -> None:
    if event.name == "lead.state.changed":
        if at_ns >= lead.state_ns:
            lead.state, lead.state_ns = str(event.attributes.get("lead.state.to", "")), at_ns
    elif (outcome := _outcome(event)) is not None and at_ns >= lead.outcome_ns:
        lead.outcome, lead.outcome_ns = outcome, at_ns


def _outcome(event: EventRecord) -> str | None:
    """What an event says of how the lead's passage ended: '' where one begins, None where it says nothing of it."""
    if event.attributes.get("leadtrace.parent_run_id"):
        return None  # a flow inside a flow does not end the lead's passage
    if event.name == "flow.completed":
        return str(event.attributes.get("flow.summary.final_outcome", "completed"))
    return "" if event.name == "flow.started" else _FLOW_ENDS.get(event.name)
