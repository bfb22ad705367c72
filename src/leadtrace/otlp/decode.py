"""OTLP in protobuf, read into records.

    ExportTraceServiceRequest ── resource_spans ── scope_spans ── spans        (logs: the same, one name changed)

The three outer levels are walked here and each record is parsed by itself: a body of 16 MiB can hold eight million
empty spans, and a parser that takes the whole message makes gigabytes of it before anybody can count them.

What decodes is never refused: ids of the wrong length, ends before starts and times in the future are kept and marked.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Literal

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from leadtrace.errors import OtlpError
from leadtrace.otlp.framing import MAX_RECORDS, TooManyRecordsError, check_parts, fields
from leadtrace.otlp.records import EventRecord, Link, Resource, Scope, SpanRecord, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "FUTURE_NS",
    "decode_logs",
    "decode_traces",
    "event_marks",
    "span_marks",
]

FUTURE_NS: Final = 600 * 1_000_000_000
"""How far ahead of the receiver's clock a time may be before it is marked: more than clocks differ."""

_STATUS: Final[dict[int, Literal["unset", "ok", "error"]]] = {1: "ok", 2: "error"}


def decode_traces(body: bytes, now_ns: int | None = None) -> list[SpanRecord]:
    """The spans of an ExportTraceServiceRequest, each with its events; raises OtlpError where the bytes are not one."""
    latest = (time.time_ns() if now_ns is None else now_ns) + FUTURE_NS
    found: list[SpanRecord] = []
    count = 0
    try:
        for resource, scope, record in _records(body, "span"):
            message = Span.FromString(record)
            count += 1 + len(message.events)
            if count > MAX_RECORDS:
                raise TooManyRecordsError
            found.append(_span(message, resource, scope, latest))
    except (DecodeError, RecursionError) as cause:
        raise OtlpError(
            "not an OTLP trace request: its protobuf does not decode", cause=str(cause) or repr(cause)
        ) from cause
    return found


def decode_logs(body: bytes, now_ns: int | None = None) -> list[EventRecord]:
    """The records of an ExportLogsServiceRequest; raises OtlpError where the bytes are not one."""
    latest = (time.time_ns() if now_ns is None else now_ns) + FUTURE_NS
    try:
        return [
            _log(LogRecord.FromString(record), resource, scope, latest)
            for resource, scope, record in _records(body, "log")
        ]
    except (DecodeError, RecursionError) as cause:
        raise OtlpError(
            "not an OTLP log request: its protobuf does not decode", cause=str(cause) or repr(cause)
        ) from cause


def span_marks(span: SpanRecord, latest: int) -> tuple[str, ...]:
    """What is odd about a span as it came."""
    marks = []
    if len(span.trace_id) != 32 or len(span.span_id) != 16 or len(span.parent_span_id) not in (0, 16):
        marks.append("bad_id")
    if span.end_ns and span.end_ns < span.start_ns:
        marks.append("end_before_start")
    if span.start_ns > latest or span.end_ns > latest:
        marks.append("time_in_future")
    return tuple(marks)


def event_marks(event: EventRecord, latest: int) -> tuple[str, ...]:
    """What is odd about an event as it came."""
    marks = []
    if len(event.trace_id) not in (0, 32) or len(event.span_id) not in (0, 16):
        marks.append("bad_id")
    if event.time_ns > latest:
        marks.append("time_in_future")
    return tuple(marks)


# --- the outer levels -------------------------------------------------------------------------------------------------


def _records(body: bytes, what: Literal["span", "log"]) -> Iterator[tuple[Resource, Scope, bytes]]:
    """Each record's bytes with its resource and scope; those are shared objects, one per group."""
    count = 0
    for number, start, end in fields(body, 0, len(body)):
        if number != 1:
            continue
        resource_bytes, url, groups = b"", b"", []
        for field, begin, stop in fields(body, start, end):
            if field == 1:  # a message field that comes twice is merged: so the bytes, put together, mean
                resource_bytes += body[begin:stop]
            elif field == 2:
                groups.append((begin, stop))
            elif field == 3:
                url = body[begin:stop]
        check_parts(resource_bytes, "resource")
        message = ResourceMessage.FromString(resource_bytes)
        resource = Resource(_attributes(message.attributes), _text(url))
        for begin, stop in groups:
            scope_bytes, url, records = b"", b"", []
            for field, first, last in fields(body, begin, stop):
                if field == 2:
                    records.append((first, last))
                elif field == 1:
                    scope_bytes += body[first:last]
                elif field == 3:
                    url = body[first:last]
            count += len(records)
            if count > MAX_RECORDS:
                raise TooManyRecordsError
            check_parts(scope_bytes, "scope")
            told = InstrumentationScope.FromString(scope_bytes)
            scope = Scope(told.name, told.version, _attributes(told.attributes), _text(url))
            for first, last in records:
                yield resource, scope, check_parts(body[first:last], what)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as cause:
        raise DecodeError(f"text that is not UTF-8: {cause}") from None


# --- values and records -----------------------------------------------------------------------------------------------


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in pairs:
        value = pair.value
        text = value.string_value  # most values are texts, and asking for one is cheaper than asking which it is
        if text:
            found[pair.key] = text
        else:
            read = _value(value)
            if read is not None:
                found[pair.key] = read
    return found


def _value(value: AnyValue) -> Value | None:
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        values = (_value(one) for one in value.array_value.values)
        return ["" if one is None else one for one in values]
    if which == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    read: Any = getattr(value, which)
    return read  # type: ignore[no-any-return]


_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)


def _trace_id(raw: bytes) -> str:
    return "" if raw == _NO_TRACE else raw.hex()


def _span_id(raw: bytes) -> str:
    return "" if raw == _NO_SPAN else raw.hex()


def _span(message: Span, resource: Resource, scope: Scope, latest: int) -> SpanRecord:
    trace_id, span_id = _trace_id(message.trace_id), _span_id(message.span_id)
    status = message.status
    span = SpanRecord(
        trace_id,
        span_id,
        message.name,
        message.start_time_unix_nano,
        message.end_time_unix_nano,
        _span_id(message.parent_span_id),
        message.kind,
        _STATUS.get(status.code, "unset"),
        status.message,
        _attributes(message.attributes),
        resource,
        scope,
        _links(message.links) if message.links else (),
        [],
        message.trace_state,
        message.flags,
        (message.dropped_attributes_count, message.dropped_events_count, message.dropped_links_count),
    )
    span.marks = span_marks(span, latest)
    events = span.events
    for index, one in enumerate(message.events):
        event = EventRecord(
            one.name, one.time_unix_nano, trace_id, span_id, _attributes(one.attributes), resource, scope, "span", index
        )
        if span.marks or event.time_ns > latest:
            event.marks = event_marks(event, latest)
        events.append(event)
    return span


def _links(links: Sequence[Span.Link]) -> tuple[Link, ...]:
    return tuple(Link(_trace_id(one.trace_id), _span_id(one.span_id), _attributes(one.attributes)) for one in links)


def _log(message: LogRecord, resource: Resource, scope: Scope, latest: int) -> EventRecord:
    event = EventRecord(
        message.event_name,
        message.time_unix_nano or message.observed_time_unix_nano,
        _trace_id(message.trace_id),
        _span_id(message.span_id),
        _attributes(message.attributes),
        resource,
        scope,
        "log",
        -1,
        message.observed_time_unix_nano,
        message.severity_number,
        message.severity_text,
        _value(message.body) if message.HasField("body") else None,
        message.flags,
    )
    event.marks = event_marks(event, latest)
    return event
