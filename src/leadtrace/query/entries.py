"""One event as an entry: what it says by itself, before a timeline gives it a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace.query.model import Entry
from leadtrace.query.vocabulary import kind_of, text

if TYPE_CHECKING:
    from leadtrace.otlp.records import EventRecord

__all__ = ["event_entry"]

_FAILED = frozenset({"failure", "attempt_failure", "error"})


def event_entry(event: EventRecord) -> Entry:
    """One event by itself, outside any timeline."""
    kind = kind_of(event)
    told = event.attributes.get("leadtrace.marks")
    marks = (*event.marks, *(map(str, told) if isinstance(told, list) else ()))
    return Entry(
        "event",
        event.name,
        kind,
        event.resource.service,
        event.time_ns,
        status="error" if kind in _FAILED else "unset",
        trace_id=event.trace_id,
        span_id=event.span_id,
        parent_span_id=text(event.attributes, "leadtrace.parent_span_id"),
        uid=event.uid,
        attributes=event.attributes,
        body=event.body if event.body is not None and event.body != event.name else None,
        marks=tuple(dict.fromkeys(marks)) if marks else (),
        run_id=text(event.attributes, "leadtrace.run_id"),
    )
