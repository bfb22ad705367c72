"""Records as plain data that JSON can hold, exactly: how a store keeps values and a served store hands records over.

JSON has no bytes, no NaN and no infinities, and other readers round integers beyond 53 bits; so what JSON cannot hold
is an object of one key that begins with `$`:

    {"$bytes": "base64"}   {"$double": "NaN" | "Infinity" | "-Infinity"}   {"$int": "beyond 64 bits"}   {"$map": {…}}

`$map` wraps a map that would itself look like one of these. int and double stay apart: 1 is an int, 1.0 a double.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, cast

import orjson

from leadtrace.errors import OtlpError
from leadtrace.otlp.records import EventRecord, Link, Resource, Scope, SpanRecord, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "attributes_from_plain",
    "attributes_to_plain",
    "dumps_attributes",
    "event_from_plain",
    "event_to_plain",
    "loads_attributes",
    "span_from_plain",
    "span_to_plain",
    "value_from_plain",
    "value_to_plain",
]

_INT64 = range(-(2**63), 2**63)
_NOT_FINITE = {float("inf"): "Infinity", float("-inf"): "-Infinity"}


def value_to_plain(value: Value) -> Any:
    """One value in the form that JSON holds."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else {"$double": _NOT_FINITE.get(value, "NaN")}
    if isinstance(value, int):
        return value if value in _INT64 else {"$int": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [value_to_plain(one) for one in value]
    plain = {key: value_to_plain(one) for key, one in value.items()}
    return {"$map": plain} if len(plain) == 1 and next(iter(plain)).startswith("$") else plain


def value_from_plain(plain: Any) -> Value:
    """The value that `value_to_plain` wrote."""
    if isinstance(plain, list):
        return [value_from_plain(one) for one in plain]
    if not isinstance(plain, dict):
        return cast(Value, plain)
    if len(plain) == 1:
        ((key, one),) = plain.items()
        if key == "$bytes":
            return base64.b64decode(one)
        if key == "$double":
            return float(one)
        if key == "$int":
            return int(one)
        if key == "$map":
            return {k: value_from_plain(v) for k, v in one.items()}
    return {key: value_from_plain(one) for key, one in plain.items()}


def attributes_to_plain(attributes: Mapping[str, Value]) -> dict[str, Any]:
    return {key: value_to_plain(one) for key, one in attributes.items()}


def attributes_from_plain(plain: Mapping[str, Any]) -> dict[str, Value]:
    return {key: value_from_plain(one) for key, one in plain.items()}


def dumps_attributes(attributes: Mapping[str, Value]) -> str:
    """Attributes as JSON text. Nearly all are strings and numbers, which the encoder takes as they are."""
    try:
        text = orjson.dumps(attributes)
    except TypeError:  # bytes, or an integer beyond 64 bits
        return orjson.dumps(attributes_to_plain(attributes)).decode()
    if b"null" in text or b'{"$' in text:  # the encoder writes NaN as null; a map may look like one of our marks
        text = orjson.dumps(attributes_to_plain(attributes))
    return text.decode()


def loads_attributes(text: str) -> dict[str, Value]:
    """The attributes that `dumps_attributes` wrote."""
    plain = orjson.loads(text)
    return attributes_from_plain(plain) if '{"$' in text else plain


def _resource_to_plain(resource: Resource) -> dict[str, Any]:
    return {"attributes": attributes_to_plain(resource.attributes), "schema_url": resource.schema_url}


def _resource_from_plain(plain: Mapping[str, Any]) -> Resource:
    return Resource(attributes_from_plain(plain["attributes"]), plain["schema_url"])


def _scope_to_plain(scope: Scope) -> dict[str, Any]:
    attributes = attributes_to_plain(scope.attributes)
    return {"name": scope.name, "version": scope.version, "attributes": attributes, "schema_url": scope.schema_url}


def _scope_from_plain(plain: Mapping[str, Any]) -> Scope:
    attributes = attributes_from_plain(plain["attributes"])
    return Scope(plain["name"], plain["version"], attributes, plain["schema_url"])


def event_to_plain(event: EventRecord) -> dict[str, Any]:
    """An event as JSON-able data; `event_from_plain` gives an equal one back."""
    return {
        "name": event.name,
        "time_ns": event.time_ns,
        "trace_id": event.trace_id,
        "span_id": event.span_id,
        "attributes": attributes_to_plain(event.attributes),
        "resource": _resource_to_plain(event.resource),
        "scope": _scope_to_plain(event.scope),
        "origin": event.origin,
        "index": event.index,
        "observed_ns": event.observed_ns,
        "severity_number": event.severity_number,
        "severity_text": event.severity_text,
        "body": None if event.body is None else value_to_plain(event.body),
        "flags": event.flags,
        "marks": list(event.marks),
        "arrival": event.arrival,
    }


def event_from_plain(plain: Mapping[str, Any]) -> EventRecord:
    """The event that `event_to_plain` wrote; raises OtlpError where it is none."""
    try:
        return EventRecord(
            name=plain["name"],
            time_ns=plain["time_ns"],
            trace_id=plain["trace_id"],
            span_id=plain["span_id"],
            attributes=attributes_from_plain(plain["attributes"]),
            resource=_resource_from_plain(plain["resource"]),
            scope=_scope_from_plain(plain["scope"]),
            origin=plain["origin"],
            index=plain["index"],
            observed_ns=plain["observed_ns"],
            severity_number=plain["severity_number"],
            severity_text=plain["severity_text"],
            body=None if plain["body"] is None else value_from_plain(plain["body"]),
            flags=plain["flags"],
            marks=tuple(plain["marks"]),
            arrival=plain["arrival"],
        )
    except (KeyError, TypeError, AttributeError, ValueError) as cause:
        raise OtlpError("not an event as a served store writes it", cause=repr(cause)) from cause


def span_to_plain(span: SpanRecord) -> dict[str, Any]:
    """A span as JSON-able data; `span_from_plain` gives an equal one back."""
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "name": span.name,
        "start_ns": span.start_ns,
        "end_ns": span.end_ns,
        "parent_span_id": span.parent_span_id,
        "kind": span.kind,
        "status": span.status,
        "status_message": span.status_message,
        "attributes": attributes_to_plain(span.attributes),
        "resource": _resource_to_plain(span.resource),
        "scope": _scope_to_plain(span.scope),
        "links": [[one.trace_id, one.span_id, attributes_to_plain(one.attributes)] for one in span.links],
        "events": [event_to_plain(one) for one in span.events],
        "trace_state": span.trace_state,
        "flags": span.flags,
        "dropped": list(span.dropped),
        "marks": list(span.marks),
        "arrival": span.arrival,
    }


def span_from_plain(plain: Mapping[str, Any]) -> SpanRecord:
    """The span that `span_to_plain` wrote; raises OtlpError where it is none."""
    try:
        attributes, events, links = plain["dropped"]
        return SpanRecord(
            trace_id=plain["trace_id"],
            span_id=plain["span_id"],
            name=plain["name"],
            start_ns=plain["start_ns"],
            end_ns=plain["end_ns"],
            parent_span_id=plain["parent_span_id"],
            kind=plain["kind"],
            status=plain["status"],
            status_message=plain["status_message"],
            attributes=attributes_from_plain(plain["attributes"]),
            resource=_resource_from_plain(plain["resource"]),
            scope=_scope_from_plain(plain["scope"]),
            links=tuple(Link(trace, span, attributes_from_plain(more)) for trace, span, more in plain["links"]),
            events=[event_from_plain(one) for one in plain["events"]],
            trace_state=plain["trace_state"],
            flags=plain["flags"],
            dropped=(attributes, events, links),
            marks=tuple(plain["marks"]),
            arrival=plain["arrival"],
        )
    except (KeyError, TypeError, AttributeError, ValueError) as cause:
        raise OtlpError("not a span as a served store writes it", cause=repr(cause)) from cause
