"""One record per thing that happened, however often and by whichever way it arrived.

An event comes as a log record, as a span event, or as both; a batch may come twice. Which copy is kept depends on the
records alone, never on the order in which they are met.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.otlp.records import EventRecord, SpanRecord

__all__ = ["unite_events", "unite_spans"]

_ORIGINS = {"both": 0, "log": 1, "span": 2}


def unite_events(events: Iterable[EventRecord]) -> list[EventRecord]:
    """One event per uid; without a uid one per place on its span, or per content."""
    found: dict[object, EventRecord] = {}
    for event in events:
        key = _identity(event)
        other = found.get(key)
        found[key] = event if other is None or event is other else _one_of(event, other)
    return list(found.values())


def _identity(event: EventRecord) -> object:
    if event.uid:
        return event.uid
    if event.index >= 0 and event.span_id:
        return event.trace_id, event.span_id, event.index
    return (
        event.name,
        event.time_ns,
        event.trace_id,
        event.span_id,
        repr(sorted(event.attributes.items())),
        repr(event.body),
        event.severity_number,
        repr(sorted(event.resource.attributes.items())),
    )


def _one_of(one: EventRecord, other: EventRecord) -> EventRecord:
    first, second = sorted((one, other), key=_preference)
    merged = {**second.attributes, **first.attributes}
    return replace(
        first,
        origin=first.origin if first.origin == second.origin else "both",
        attributes=first.attributes if len(merged) == len(first.attributes) else merged,
        trace_id=first.trace_id or second.trace_id,
        span_id=first.span_id or second.span_id,
        index=max(first.index, second.index),
        marks=tuple(sorted({*first.marks, *second.marks})),
        arrival=min(first.arrival, second.arrival),
    )


def _preference(event: EventRecord) -> tuple[object, ...]:
    """The log record first: it has the severity and the body, and no limit of a span has touched it."""
    return (
        _ORIGINS[event.origin],
        -len(event.attributes),
        event.time_ns,
        repr(sorted(event.attributes.items())),
        event.span_id,
    )


def unite_spans(spans: Iterable[SpanRecord]) -> tuple[list[SpanRecord], list[tuple[str, str]]]:
    """One span per pair of ids, the finished one where there are several; and the ids under which two differ."""
    found: dict[tuple[str, str], SpanRecord] = {}
    conflicts: dict[tuple[str, str], None] = {}
    for span in spans:
        key = (span.trace_id, span.span_id)
        other = found.get(key)
        if other is None:
            found[key] = span
        elif other is not span:
            if span.end_ns and other.end_ns and _said(span) != _said(other):
                conflicts[key] = None
            found[key] = min(span, other, key=lambda one: (not one.end_ns, one.start_ns, -one.end_ns, repr(_said(one))))
    return list(found.values()), sorted(conflicts)


def _said(span: SpanRecord) -> tuple[object, ...]:
    return (
        span.name,
        span.start_ns,
        span.end_ns,
        span.parent_span_id,
        span.status,
        sorted(span.attributes.items(), key=repr),
    )
