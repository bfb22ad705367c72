"""Records as rows of the embedded store and back: pure functions, no database.

Columns hold what is searched or counted by; `attributes` all attributes as they came; `rest` what few records have.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from leadtrace.otlp.plain import (
    attributes_from_plain,
    attributes_to_plain,
    dumps_attributes,
    loads_attributes,
    value_from_plain,
    value_to_plain,
)
from leadtrace.otlp.records import EventRecord, Link, Resource, Scope, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LOG",
    "SPAN",
    "digest_of",
    "event_digest",
    "event_of",
    "event_rest",
    "id_bytes",
    "same_record",
    "span_of",
    "span_rest",
    "uid_of",
]

LOG: Final = 1
SPAN: Final = 2
_ORIGINS: Final[dict[int, Literal["log", "span", "both"]]] = {1: "log", 2: "span", 3: "both"}
_STATUSES: Final[tuple[Literal["unset", "ok", "error"], ...]] = ("unset", "ok", "error")
_MAX: Final = 2**63 - 1  # SQLite's integers are signed; a time beyond it, which OTLP can say, stands whole in `rest`


def id_bytes(text: str) -> bytes:
    """An id as its bytes. Ids are hex by contract; what a foreign source made of one is kept as its letters."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text.encode()


def uid_of(uid: str) -> tuple[int, int]:
    """A uid's two integers: 16 hex digits of boot id and 12 of counter. Of a uid of another make: of its hash."""
    if len(uid) == 28 and uid.isalnum():
        try:
            number = int(uid, 16)
        except ValueError:
            pass
        else:
            boot = number >> 48
            return boot if boot < 1 << 63 else boot - (1 << 64), number & 0xFFFF_FFFF_FFFF
    raw = blake2b(uid.encode(), digest_size=14).digest()
    return int.from_bytes(raw[:8], signed=True), int.from_bytes(raw[8:])


def digest_of(*parts: object) -> bytes:
    """128 bits that are equal where all parts are."""
    return blake2b(orjson.dumps(parts), digest_size=16).digest()


def event_digest(event: EventRecord, origin: bytes) -> bytes:
    """The identity of a log record that brings none: a hash of resource and scope (their digests) and the record."""
    body = None if event.body is None else value_to_plain(event.body)
    return blake2b(
        origin
        + orjson.dumps(
            (
                event.name,
                str(event.time_ns),
                event.trace_id,
                event.span_id,
                dumps_attributes(event.attributes),
                str(event.observed_ns),
                event.severity_number,
                event.severity_text,
                body,
                event.flags,
            )
        ),
        digest_size=16,
    ).digest()


def span_rest(span: SpanRecord) -> str | None:
    """The `rest` column of a span, None where nothing is left to say."""
    rest: dict[str, Any] = {}
    if span.status_message:
        rest["status_message"] = span.status_message
    if span.links:
        rest["links"] = [[one.trace_id, one.span_id, attributes_to_plain(one.attributes)] for one in span.links]
    if span.trace_state:
        rest["trace_state"] = span.trace_state
    if any(span.dropped):
        rest["dropped"] = span.dropped
    if span.marks:
        rest["marks"] = span.marks
        _odd_ids(rest, span)
        if span.start_ns > _MAX:
            rest["start_ns"] = str(span.start_ns)
        if span.end_ns > _MAX:
            rest["end_ns"] = str(span.end_ns)
    return orjson.dumps(rest).decode() if rest else None


def event_rest(event: EventRecord) -> str | None:
    """The `rest` column of an event, None where nothing is left to say."""
    rest: dict[str, Any] = {}
    if event.severity_text:
        rest["severity_text"] = event.severity_text
    if event.body is not None:
        rest["body"] = value_to_plain(event.body)
    if event.marks:
        rest["marks"] = event.marks
        _odd_ids(rest, event)
        if event.time_ns > _MAX:
            rest["time_ns"] = str(event.time_ns)
    if event.observed_ns > _MAX:
        rest["observed_ns"] = str(event.observed_ns)
    return orjson.dumps(rest).decode() if rest else None


def same_record(there: tuple[Any, ...], row: tuple[Any, ...]) -> bool:
    """Whether two rows, which end in `rest`, say the same; that a time lay ahead is said of when the record came."""
    return there[:-1] == row[:-1] and (there[-1] == row[-1] or _lasting(there[-1]) == _lasting(row[-1]))


def _lasting(rest: str | None) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(rest) if rest else {}
    found["marks"] = [one for one in found.get("marks", ()) if one != "time_in_future"]
    return found


def _odd_ids(rest: dict[str, Any], record: SpanRecord | EventRecord) -> None:
    if "bad_id" in record.marks:  # a column of bytes cannot say what was no hex, nor that there was no id
        rest["trace_id"], rest["span_id"] = record.trace_id, record.span_id
        if isinstance(record, SpanRecord):
            rest["parent_span_id"] = record.parent_span_id


def span_of(row: tuple[Any, ...], resource: Resource, scope: Scope) -> SpanRecord:
    """The span of a row, whose columns are unpacked in the first line."""
    arrival, trace_id, span_id, parent_id, name, kind, start_ns, end_ns, status, flags, attributes, rest = row
    span = SpanRecord(
        trace_id.hex(),
        span_id.hex(),
        name,
        start_ns,
        end_ns,
        parent_id.hex() if parent_id else "",
        kind,
        _STATUSES[status],
        "",
        loads_attributes(attributes),
        resource,
        scope,
        flags=flags or 0,
        arrival=arrival,
    )
    if rest:
        more: Mapping[str, Any] = orjson.loads(rest)
        span.status_message = more.get("status_message", "")
        span.links = tuple(Link(trace, one, attributes_from_plain(said)) for trace, one, said in more.get("links", ()))
        span.trace_state = more.get("trace_state", "")
        span.dropped = tuple(more.get("dropped", (0, 0, 0)))
        span.marks = tuple(more.get("marks", ()))
        span.trace_id = more.get("trace_id", span.trace_id)
        span.span_id = more.get("span_id", span.span_id)
        span.parent_span_id = more.get("parent_span_id", span.parent_span_id)
        span.start_ns = int(more.get("start_ns", span.start_ns))
        span.end_ns = int(more.get("end_ns", span.end_ns))
    return span


def event_of(row: tuple[Any, ...], resource: Resource, scope: Scope) -> EventRecord:
    """The event of a row, whose columns are unpacked in the first line."""
    arrival, trace_id, span_id, idx, time_ns, name, origin, observed_ns, severity, flags, attributes, rest = row
    event = EventRecord(
        name,
        time_ns,
        trace_id.hex(),
        span_id.hex() if span_id else "",
        loads_attributes(attributes),
        resource,
        scope,
        _ORIGINS[origin],
        -1 if idx is None else idx,
        observed_ns or 0,
        severity or 0,
        flags=flags or 0,
        arrival=arrival,
    )
    if rest:
        more: Mapping[str, Any] = orjson.loads(rest)
        event.severity_text = more.get("severity_text", "")
        body = more.get("body")
        event.body = None if body is None else value_from_plain(body)
        event.marks = tuple(more.get("marks", ()))
        event.trace_id = more.get("trace_id", event.trace_id)
        event.span_id = more.get("span_id", event.span_id)
        event.time_ns = int(more.get("time_ns", event.time_ns))
        event.observed_ns = int(more.get("observed_ns", event.observed_ns))
    return event
