"""A trace in Jaeger's older JSON form, read into records: microseconds, tags for attributes, logs for events."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final, Literal

from leadtrace.otlp.records import EventRecord, Link, Resource, Scope, SpanRecord
from leadtrace.store.jaeger_lists import restore_lists

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.otlp.records import Value

__all__ = ["spans_of_trace"]

_KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUS: Final[Mapping[str, Literal["unset", "ok", "error"]]] = {"OK": "ok", "ERROR": "error"}


def spans_of_trace(trace: Mapping[str, Any]) -> list[SpanRecord]:
    """The spans of one trace with their events, as far as the older form holds them."""
    processes = {key: _resource(one) for key, one in (trace.get("processes") or {}).items()}
    return [restore_lists(_span(one, processes)) for one in trace.get("spans") or ()]


def _span(one: Mapping[str, Any], processes: Mapping[str, Resource]) -> SpanRecord:
    trace_id, span_id = _trace_id(one.get("traceID")), _span_id(one.get("spanID"))
    tags = _attributes(one.get("tags") or ())
    scope = Scope(str(tags.pop("otel.scope.name", "")), str(tags.pop("otel.scope.version", "")))
    kind = _KINDS.get(str(tags.pop("span.kind", "internal")), 1)
    status = _STATUS.get(str(tags.pop("otel.status_code", "")), "unset")
    if tags.get("error") is True and status == "unset":
        status = "error"
    if status == "error":
        tags.pop("error", None)
    resource = processes.get(str(one.get("processID", "")), Resource())
    parent, links = "", []
    for reference in one.get("references") or ():
        of_trace, of_span = _trace_id(reference.get("traceID")), _span_id(reference.get("spanID"))
        if reference.get("refType") == "CHILD_OF" and of_trace == trace_id and not parent:
            parent = of_span
        else:
            links.append(Link(of_trace, of_span))
    start_ns = int(one.get("startTime") or 0) * 1000
    span = SpanRecord(
        trace_id,
        span_id,
        str(one.get("operationName", "")),
        start_ns,
        start_ns + int(one.get("duration") or 0) * 1000,
        parent,
        kind,
        status,
        str(tags.pop("otel.status_description", "")),
        tags,
        resource,
        scope,
        tuple(links),
        flags=int(one.get("flags") or 0),
    )
    for index, log in enumerate(one.get("logs") or ()):
        fields = _attributes(log.get("fields") or ())
        name = str(fields.pop("event", fields.pop("message", "")))
        span.events.append(
            EventRecord(
                name,
                int(log.get("timestamp") or 0) * 1000,
                trace_id,
                span_id,
                fields,
                resource,
                scope,
                "span",
                index,
            )
        )
    return span


def _resource(process: Mapping[str, Any]) -> Resource:
    attributes = _attributes(process.get("tags") or ())
    attributes["service.name"] = str(process.get("serviceName", ""))
    return Resource(attributes)


def _attributes(tags: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
    return {str(tag.get("key", "")): _value(tag.get("type"), tag.get("value")) for tag in tags}


def _value(kind: object, value: Any) -> Value:
    try:
        match kind:
            case "bool":
                return value if isinstance(value, bool) else str(value).lower() == "true"
            case "int64":
                return int(value)
            case "float64":
                return float(value)
            case "binary":
                return base64.b64decode(str(value))
    except (ValueError, TypeError, binascii.Error):
        return str(value)
    return str(value)


def _trace_id(found: object) -> str:
    return str(found or "").lower().rjust(32, "0")


def _span_id(found: object) -> str:
    return str(found or "").lower().rjust(16, "0")
