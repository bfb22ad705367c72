"""OTLP in JSON, read into records: what browsers' and other languages' SDKs send, and what Jaeger's v3 search answers.

OTLP's JSON is protobuf's with three changes: trace and span ids are hex, enums are numbers, names are lowerCamelCase.
64-bit integers come as strings or numbers; unknown fields are ignored; all else that does not fit is refused.
Enum names are taken too, because older senders write them.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from leadtrace.errors import OtlpError
from leadtrace.otlp.decode import FUTURE_NS, event_marks, span_marks
from leadtrace.otlp.framing import MAX_RECORDS, TooManyRecordsError
from leadtrace.otlp.records import EventRecord, Link, Resource, Scope, SpanRecord, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["decode_logs_json", "decode_traces_json", "logs_of", "spans_of"]

_MAX_DEPTH: Final = 64
"""Of lists and maps within one value; protobuf's own parsers stop at 100 messages, which is 50 of these."""

_DIGITS: Final = re.compile(r"-?[0-9]{1,20}")
_UINT64: Final = range(2**64)
_INT64: Final = range(-(2**63), 2**63)
_UINT32: Final = range(2**32)
_STATUS: Final[dict[int, Literal["unset", "ok", "error"]]] = {1: "ok", 2: "error"}
_KINDS: Final = {
    f"SPAN_KIND_{name}": n
    for n, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_CODES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


def decode_traces_json(body: bytes, now_ns: int | None = None) -> list[SpanRecord]:
    """The spans of a trace request in JSON, each with its events; raises OtlpError where it is none."""
    return list(spans_of(_loads(body), now_ns))


def decode_logs_json(body: bytes, now_ns: int | None = None) -> list[EventRecord]:
    """The records of a log request in JSON; raises OtlpError where it is none."""
    return list(logs_of(_loads(body), now_ns))


def spans_of(message: object, now_ns: int | None = None) -> Iterator[SpanRecord]:
    """The spans of parsed JSON: an object with `resourceSpans`."""
    latest = (time.time_ns() if now_ns is None else now_ns) + FUTURE_NS
    count = 0
    for group, resource in _resources(message, "resourceSpans"):
        for scoped, scope in _scopes(group, "scopeSpans"):
            for one in _objects(scoped, "spans"):
                span = _span(one, resource, scope, latest)
                count += 1 + len(span.events)
                if count > MAX_RECORDS:
                    raise TooManyRecordsError
                yield span


def logs_of(message: object, now_ns: int | None = None) -> Iterator[EventRecord]:
    """The log records of parsed JSON: an object with `resourceLogs`."""
    latest = (time.time_ns() if now_ns is None else now_ns) + FUTURE_NS
    count = 0
    for group, resource in _resources(message, "resourceLogs"):
        for scoped, scope in _scopes(group, "scopeLogs"):
            for one in _objects(scoped, "logRecords"):
                count += 1
                if count > MAX_RECORDS:
                    raise TooManyRecordsError
                yield _log(one, resource, scope, latest)


def _loads(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as cause:  # also what is nested deeper than the parser goes
        raise OtlpError("not JSON", cause=str(cause)) from cause


def _wrong(field: str, expected: str, came: object) -> OtlpError:
    return OtlpError(f"{field} must be {expected}, and is {type(came).__name__}")


def _objects(of: Mapping[str, Any], field: str) -> Iterator[Mapping[str, Any]]:
    found = of.get(field)
    if found is None:
        return
    if not isinstance(found, list):
        raise _wrong(field, "a list", found)
    for one in found:
        if not isinstance(one, dict):
            raise _wrong(f"each of {field}", "an object", one)
        yield one


def _object(of: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = of.get(field)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _wrong(field, "an object", found)
    return found


def _resources(message: object, field: str) -> Iterator[tuple[Mapping[str, Any], Resource]]:
    if not isinstance(message, dict):
        raise _wrong("the request", "an object", message)
    for group in _objects(message, field):
        told = _object(group, "resource")
        yield group, Resource(_attributes(told, "attributes"), _text(group, "schemaUrl"))


def _scopes(group: Mapping[str, Any], field: str) -> Iterator[tuple[Mapping[str, Any], Scope]]:
    for scoped in _objects(group, field):
        told = _object(scoped, "scope")
        attributes = _attributes(told, "attributes")
        yield scoped, Scope(_text(told, "name"), _text(told, "version"), attributes, _text(scoped, "schemaUrl"))


def _text(of: Mapping[str, Any], field: str) -> str:
    found = of.get(field)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise _wrong(field, "a string", found)
    return found


def _integer(found: object, field: str, allowed: range) -> int:
    if found is None:
        return 0
    try:
        if isinstance(found, str) and _DIGITS.fullmatch(found):
            number = int(found)
        elif isinstance(found, int) and not isinstance(found, bool):
            number = found
        elif isinstance(found, float) and found.is_integer():  # 1e18 is an integer that a JSON writer shortened
            number = int(found)
        else:
            raise _wrong(field, "an integer or its digits", found)
    except ValueError:
        raise OtlpError(f"{field} must be an integer or its digits") from None
    if number not in allowed:
        raise OtlpError(f"{field} is out of range", least=allowed.start, most=allowed.stop - 1)
    return number


def _time(of: Mapping[str, Any], field: str) -> int:
    return _integer(of.get(field), field, _UINT64)


def _count(of: Mapping[str, Any], field: str) -> int:
    return _integer(of.get(field), field, _UINT32)


def _enum(of: Mapping[str, Any], field: str, names: Mapping[str, int]) -> int:
    found = of.get(field)
    if isinstance(found, str) and found in names:
        return names[found]
    return _integer(found, field, range(-(2**31), 2**31))


def _id(of: Mapping[str, Any], field: str) -> str:
    found = _text(of, field)
    if not found:
        return ""
    try:
        raw = bytes.fromhex(found)
    except ValueError:
        raise OtlpError(f"{field} must be hex digits") from None
    return raw.hex() if any(raw) or len(raw) != (16 if field == "traceId" else 8) else ""


def _double(found: object) -> float:
    if isinstance(found, str) and found in ("NaN", "Infinity", "-Infinity"):
        return float(found)
    if isinstance(found, int | float) and not isinstance(found, bool):
        return float(found)
    if isinstance(found, str):
        try:
            return float(found)
        except ValueError:
            pass
    raise _wrong("doubleValue", "a number", found)


def _bytes(found: object) -> bytes:
    if not isinstance(found, str):
        raise _wrong("bytesValue", "base64 text", found)
    try:
        return base64.b64decode(found.replace("-", "+").replace("_", "/") + "=" * (-len(found) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise OtlpError("bytesValue must be base64") from None


def _string(found: object) -> str:
    if not isinstance(found, str):
        raise _wrong("stringValue", "a string", found)
    return found


def _boolean(found: object) -> bool:
    if not isinstance(found, bool):
        raise _wrong("boolValue", "true or false", found)
    return found


_SCALARS: Final[dict[str, Callable[[object], Value]]] = {
    "stringValue": _string,
    "intValue": lambda found: _integer(found, "intValue", _INT64),
    "doubleValue": _double,
    "boolValue": _boolean,
    "bytesValue": _bytes,
}


def _value(found: object, depth: int) -> Value | None:
    if not isinstance(found, dict):
        raise _wrong("a value", 'an object such as {"stringValue": …}', found)
    if depth > _MAX_DEPTH:
        raise OtlpError(f"a value nested deeper than {_MAX_DEPTH}")
    for key, one in found.items():
        if one is None:
            continue
        if scalar := _SCALARS.get(key):
            return scalar(one)
        if key == "arrayValue":
            if not isinstance(one, dict):
                raise _wrong(key, "an object", one)
            values = (_value(each, depth + 1) for each in _objects(one, "values"))
            return ["" if each is None else each for each in values]
        if key == "kvlistValue":
            if not isinstance(one, dict):
                raise _wrong(key, "an object", one)
            return _attributes(one, "values", depth + 1)
    return None


def _attributes(of: Mapping[str, Any], field: str, depth: int = 0) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in _objects(of, field):
        value = pair.get("value")
        read = None if value is None else _value(value, depth)
        if read is not None:
            found[_text(pair, "key")] = read
    return found


def _span(one: Mapping[str, Any], resource: Resource, scope: Scope, latest: int) -> SpanRecord:
    status = _object(one, "status")
    span = SpanRecord(
        trace_id=_id(one, "traceId"),
        span_id=_id(one, "spanId"),
        name=_text(one, "name"),
        start_ns=_time(one, "startTimeUnixNano"),
        end_ns=_time(one, "endTimeUnixNano"),
        parent_span_id=_id(one, "parentSpanId"),
        kind=_enum(one, "kind", _KINDS),
        status=_STATUS.get(_enum(status, "code", _CODES), "unset"),
        status_message=_text(status, "message"),
        attributes=_attributes(one, "attributes"),
        resource=resource,
        scope=scope,
        links=tuple(
            Link(_id(each, "traceId"), _id(each, "spanId"), _attributes(each, "attributes"))
            for each in _objects(one, "links")
        ),
        trace_state=_text(one, "traceState"),
        flags=_count(one, "flags"),
        dropped=(
            _count(one, "droppedAttributesCount"),
            _count(one, "droppedEventsCount"),
            _count(one, "droppedLinksCount"),
        ),
    )
    span.marks = span_marks(span, latest)
    for index, each in enumerate(_objects(one, "events")):
        event = EventRecord(
            name=_text(each, "name"),
            time_ns=_time(each, "timeUnixNano"),
            trace_id=span.trace_id,
            span_id=span.span_id,
            attributes=_attributes(each, "attributes"),
            resource=resource,
            scope=scope,
            origin="span",
            index=index,
        )
        event.marks = event_marks(event, latest)
        span.events.append(event)
    return span


def _log(one: Mapping[str, Any], resource: Resource, scope: Scope, latest: int) -> EventRecord:
    observed = _time(one, "observedTimeUnixNano")
    body = one.get("body")
    event = EventRecord(
        name=_text(one, "eventName"),
        time_ns=_time(one, "timeUnixNano") or observed,
        trace_id=_id(one, "traceId"),
        span_id=_id(one, "spanId"),
        attributes=_attributes(one, "attributes"),
        resource=resource,
        scope=scope,
        observed_ns=observed,
        severity_number=_enum(one, "severityNumber", {}),
        severity_text=_text(one, "severityText"),
        body=None if body is None else _value(body, 0),
        flags=_count(one, "flags"),
    )
    event.marks = event_marks(event, latest)
    return event
