"""OTLP in protobuf and in JSON reads into the same records; what is no OTLP is refused; what decodes is kept and marked."""

from __future__ import annotations

import base64
import contextlib
import json
import math

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from leadtrace.errors import OtlpError
from leadtrace.otlp import decode as decode_module
from leadtrace.otlp import framing
from leadtrace.otlp.decode import decode_logs, decode_traces
from leadtrace.otlp.decode_json import decode_logs_json, decode_traces_json
from leadtrace.otlp.framing import TooManyRecordsError
from leadtrace.otlp.records import EventRecord, Link, Resource, Scope, SpanRecord

NOW = 1_790_000_000_000_000_000
TRACE, SPAN, PARENT = bytes(range(16)), bytes(range(1, 9)), bytes(range(2, 10))


def _any(value: object) -> AnyValue:
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_any(one) for one in value]))
    return AnyValue(kvlist_value=KeyValueList(values=_pairs(value)))


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field by hand, for what the classes refuse to build."""
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def _pairs(attributes: dict[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any(one)) for key, one in attributes.items()]


def _json_any(value: object) -> dict[str, object]:
    """As a JS SDK writes it: camelCase, 64-bit integers as strings or numbers, bytes as base64."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        special = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN" if value != value else value)
        return {"doubleValue": special}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_json_any(one) for one in value]}}
    return {"kvlistValue": {"values": [{"key": key, "value": _json_any(one)} for key, one in value.items()]}}


def _json_pairs(attributes: dict[str, object]) -> list[dict[str, object]]:
    return [{"key": key, "value": _json_any(one)} for key, one in attributes.items()]


ATTRIBUTES = {
    "lead.id": "L1",
    "int": 1,
    "double": 1.0,
    "zero": 0,
    "no": False,
    "empty": "",
    "bytes": b"\0\1",
    "list": ["a", 2],
}


def _trace_request(**more: object) -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(schema_url="https://r")
    group.resource.attributes.extend(_pairs({"service.name": "shop"}))
    scoped = group.scope_spans.add(schema_url="https://s")
    scoped.scope.name, scoped.scope.version = "js", "1.0"
    scoped.scope.attributes.extend(_pairs({"short": True}))
    span = scoped.spans.add(trace_id=TRACE, span_id=SPAN, parent_span_id=PARENT, name="GET /", kind=3, flags=0x101)
    span.start_time_unix_nano, span.end_time_unix_nano = NOW, NOW + 5
    span.trace_state, span.dropped_events_count = "a=b", 2
    span.attributes.extend(_pairs(ATTRIBUTES))
    span.status.code, span.status.message = 2, "no"
    span.events.add(name="e", time_unix_nano=NOW + 1, attributes=_pairs({"a": 1.5}))
    span.links.add(trace_id=TRACE, span_id=PARENT, attributes=_pairs({"why": "queue"}))
    for key, value in more.items():
        setattr(span, key, value)
    return request.SerializeToString()


def _trace_json(**more: object) -> dict:
    span = {
        "traceId": TRACE.hex().upper(),
        "spanId": SPAN.hex(),
        "parentSpanId": PARENT.hex(),
        "name": "GET /",
        "kind": 3,
        "flags": 0x101,
        "startTimeUnixNano": str(NOW),
        "endTimeUnixNano": NOW + 5,
        "traceState": "a=b",
        "droppedEventsCount": 2,
        "attributes": _json_pairs(ATTRIBUTES),
        "status": {"code": 2, "message": "no"},
        "events": [{"name": "e", "timeUnixNano": str(NOW + 1), "attributes": _json_pairs({"a": 1.5})}],
        "links": [{"traceId": TRACE.hex(), "spanId": PARENT.hex(), "attributes": _json_pairs({"why": "queue"})}],
        "ofTheFuture": {"anything": [1, None]},
        **more,
    }
    scope = {"name": "js", "version": "1.0", "attributes": _json_pairs({"short": True})}
    scoped = {"scope": scope, "spans": [span], "schemaUrl": "https://s", "deprecatedSpans": 7}
    resource = {"attributes": _json_pairs({"service.name": "shop"}), "droppedAttributesCount": 0}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scoped], "schemaUrl": "https://r"}]}


RESOURCE, SCOPE = Resource({"service.name": "shop"}, "https://r"), Scope("js", "1.0", {"short": True}, "https://s")
EXPECTED = SpanRecord(
    TRACE.hex(), SPAN.hex(), "GET /", NOW, NOW + 5, PARENT.hex(), 3, "error", "no", ATTRIBUTES, RESOURCE, SCOPE,
    (Link(TRACE.hex(), PARENT.hex(), {"why": "queue"}),),
    [EventRecord("e", NOW + 1, TRACE.hex(), SPAN.hex(), {"a": 1.5}, RESOURCE, SCOPE, "span", 0)],
    "a=b", 0x101, (0, 2, 0),
)  # fmt: skip


def test_a_span_is_read_whole_from_both_encodings_the_same():
    for found in (decode_traces(_trace_request(), NOW), decode_traces_json(orjson.dumps(_trace_json()), NOW)):
        assert found == [EXPECTED]
        assert repr(found) == repr([EXPECTED])  # 1 == 1.0 and True == 1, but not as text


def test_a_log_record_is_read_whole_from_both_encodings_the_same():
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add(schema_url="https://r")
    group.resource.attributes.extend(_pairs({"service.name": "shop"}))
    scoped = group.scope_logs.add(schema_url="https://s")
    scoped.scope.name, scoped.scope.version = "js", "1.0"
    scoped.scope.attributes.extend(_pairs({"short": True}))
    record = scoped.log_records.add(
        trace_id=TRACE, span_id=SPAN, event_name="e", severity_number=9, severity_text="INFO"
    )
    record.time_unix_nano, record.observed_time_unix_nano, record.flags = NOW, NOW + 1, 1
    record.body.CopyFrom(_any({"text": ["a", None, 1]}))
    record.attributes.extend(_pairs({**ATTRIBUTES, "gone": None}))
    one = {
        "traceId": TRACE.hex(),
        "spanId": SPAN.hex(),
        "eventName": "e",
        "severityNumber": 9,
        "severityText": "INFO",
        "timeUnixNano": str(NOW),
        "observedTimeUnixNano": str(NOW + 1),
        "flags": 1,
        "body": _json_any({"text": ["a", None, 1]}),
        "attributes": _json_pairs({**ATTRIBUTES, "gone": None}),
    }
    scope = {"name": "js", "version": "1.0", "attributes": _json_pairs({"short": True})}
    resource = {"attributes": _json_pairs({"service.name": "shop"})}
    text = {
        "resourceLogs": [
            {
                "resource": resource,
                "schemaUrl": "https://r",
                "scopeLogs": [{"scope": scope, "schemaUrl": "https://s", "logRecords": [one]}],
            }
        ]
    }
    expected = EventRecord(
        "e",
        NOW,
        TRACE.hex(),
        SPAN.hex(),
        ATTRIBUTES,
        RESOURCE,
        SCOPE,
        "log",
        -1,
        NOW + 1,
        9,
        "INFO",
        {"text": ["a", "", 1]},
        1,
    )
    for found in (decode_logs(request.SerializeToString(), NOW), decode_logs_json(orjson.dumps(text), NOW)):
        assert found == [expected]
        assert repr(found) == repr([expected])


def test_a_log_record_without_a_time_has_the_time_it_was_observed():
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(observed_time_unix_nano=NOW)
    assert [one.time_ns for one in decode_logs(request.SerializeToString(), NOW)] == [NOW]
    text = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"observedTimeUnixNano":"7"}]}]}]}'
    assert [one.time_ns for one in decode_logs_json(text, NOW)] == [7]


def test_enum_names_and_numbers_written_otherwise_are_taken():
    text = _trace_json(kind="SPAN_KIND_SERVER", status={"code": "STATUS_CODE_OK"}, startTimeUnixNano=1.79e18)
    (span,) = decode_traces_json(orjson.dumps(text), NOW)
    assert (span.kind, span.status, span.start_ns) == (2, "ok", NOW)


@pytest.mark.parametrize(
    ("odd", "marks"),
    [
        ({"trace_id": b"short"}, ("bad_id",)),
        ({"trace_id": b""}, ("bad_id",)),
        ({"span_id": bytes(8)}, ("bad_id",)),
        ({"parent_span_id": b"x" * 24}, ("bad_id",)),
        ({"end_time_unix_nano": NOW - 1}, ("end_before_start",)),
        ({"end_time_unix_nano": 0}, ()),
        ({"start_time_unix_nano": NOW + 10**12, "end_time_unix_nano": 2**64 - 1}, ("time_in_future",)),
        ({"parent_span_id": bytes(8)}, ()),
    ],
)
def test_what_is_odd_is_kept_and_marked(odd, marks):
    (span,) = decode_traces(_trace_request(**odd), NOW)
    assert span.marks == marks
    names = {"trace_id": "traceId", "span_id": "spanId", "parent_span_id": "parentSpanId"}
    names |= {"start_time_unix_nano": "startTimeUnixNano", "end_time_unix_nano": "endTimeUnixNano"}
    in_json = {names[key]: one.hex() if isinstance(one, bytes) else str(one) for key, one in odd.items()}
    assert decode_traces_json(orjson.dumps(_trace_json(**in_json)), NOW) == [span]


def test_groups_that_stand_behind_their_records_are_theirs_too():
    """Protobuf fields come in any order, and a message field that comes twice is merged."""
    span = b"\x12" + bytes([4]) + b"\x2a\x02ab"
    scope = b"\x0a\x03\x0a\x01s"
    scoped = span + scope
    resource = b"\x0a\x0f" + b"\x0a\x0d" + b"\x0a\x04name" + b"\x12\x05\x0a\x03one"
    other = b"\x0a\x0c" + b"\x0a\x0a" + b"\x0a\x01b" + b"\x12\x05\x0a\x03two"
    group = b"\x12" + bytes([len(scoped)]) + scoped + resource + other
    body = b"\x18\x07" + b"\x0a" + bytes([len(group)]) + group
    (found,) = decode_traces(body, NOW)
    whole = ExportTraceServiceRequest.FromString(body).resource_spans[0]
    assert (found.name, found.scope.name) == ("ab", "s")
    assert found.resource.attributes == {one.key: one.value.string_value for one in whole.resource.attributes}
    assert len(found.resource.attributes) == 2


@pytest.mark.parametrize("cut", range(1, 200, 7))
def test_a_request_cut_anywhere_is_refused_or_is_the_shorter_request_that_protobuf_reads(cut):
    body = _trace_request()[:-cut]
    try:
        whole = ExportTraceServiceRequest.FromString(body)
    except Exception:
        with pytest.raises(OtlpError):
            decode_traces(body, NOW)
    else:
        assert len(decode_traces(body, NOW)) == sum(len(s.spans) for r in whole.resource_spans for s in r.scope_spans)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff" * 50,
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\x80",
        b"\x0b",
        b"\x00\x01",
        b"\x09abc",
        b"hello",
        b"\x0a\x06\x12\x04\x12\x02\x2a\xff",
        b"\x0a\x03\x1a\x01\xff",
        json.dumps(_trace_json()).encode(),
    ],
)
def test_bytes_that_are_no_request_are_refused(body):
    for decode in (decode_traces, decode_logs):
        with pytest.raises(OtlpError, match="does not decode"):
            decode(body, NOW)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'"x"',
        b'{"resourceSpans":7}',
        b'{"resourceSpans":[7]}',
        b'{"resourceSpans":[{"resource":[]}]}',
        b'{"resourceSpans":[{"resource":{"attributes":{}}}]}',
        b"\xff{}",
        b"[" * 100_000,
        *(
            orjson.dumps(_trace_json(**wrong))
            for wrong in (
                {"traceId": "xyz"},
                {"traceId": 7},
                {"name": 7},
                {"startTimeUnixNano": "soon"},
                {"startTimeUnixNano": -1},
                {"startTimeUnixNano": "1" * 30},
                {"startTimeUnixNano": 1.5},
                {"startTimeUnixNano": True},
                {"endTimeUnixNano": []},
                {"kind": "KIND_OF"},
                {"status": "ok"},
                {"attributes": [{"key": "a", "value": "b"}]},
                {"attributes": [{"key": 7, "value": {"intValue": "1"}}]},
                {"attributes": [{"key": "a", "value": {"intValue": "1.5"}}]},
                {"attributes": [{"key": "a", "value": {"intValue": str(2**63)}}]},
                {"attributes": [{"key": "a", "value": {"boolValue": "true"}}]},
                {"attributes": [{"key": "a", "value": {"doubleValue": "x"}}]},
                {"attributes": [{"key": "a", "value": {"bytesValue": "?"}}]},
                {"attributes": [{"key": "a", "value": {"stringValue": 7}}]},
                {"attributes": [{"key": "a", "value": {"arrayValue": [1]}}]},
                {"events": {}},
                {"links": [7]},
            )
        ),
    ],
)
def test_json_that_is_no_request_is_refused(text):
    with pytest.raises(OtlpError):
        decode_traces_json(text, NOW)


def test_values_nested_too_deep_are_refused_in_both_encodings():
    body = b"\x0a\x01x"  # a string value
    for _ in range(200):
        body = _field(5, _field(1, body))
    nested = '{"arrayValue":{"values":[' * 200 + "{}" + "]}}" * 200
    span = _field(9, _field(1, b"a") + _field(2, body))
    with pytest.raises(OtlpError):
        decode_traces(_field(1, _field(2, _field(2, span))), NOW)
    text = orjson.dumps(_trace_json(attributes=[{"key": "a", "value": "HERE"}])).replace(b'"HERE"', nested.encode())
    with pytest.raises(OtlpError, match="nested deeper"):
        decode_traces_json(text, NOW)


def test_more_records_than_are_taken_at_once_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr(decode_module, "MAX_RECORDS", 100)
    body = _field(1, _field(2, _field(2, b"") * 101))
    with pytest.raises(TooManyRecordsError):
        decode_traces(body, NOW)
    with pytest.raises(TooManyRecordsError):
        decode_logs(body, NOW)
    with pytest.raises(TooManyRecordsError):  # the events of a span count too
        decode_traces(_field(1, _field(2, _field(2, _field(11, b"") * 100))), NOW)


@pytest.mark.parametrize(
    "record",
    [
        _field(9, b"") * 101,
        _field(11, _field(3, b"") * 101),
        _field(13, _field(4, _field(2, _field(5, _field(1, b"") * 101)))),
        _field(9, _field(2, _field(6, _field(1, b"") * 101))),
    ],
    ids=["attributes", "attributes of an event", "a list on a link", "a map"],
)
def test_more_parts_of_one_record_than_are_taken_are_refused_before_they_are_made(record, monkeypatch):
    monkeypatch.setattr(framing, "MAX_RECORDS", 100)
    monkeypatch.setattr(framing, "_LARGE", 50)
    with pytest.raises(TooManyRecordsError):
        decode_traces(_field(1, _field(2, _field(2, record))), NOW)


def test_a_long_text_is_no_matter(monkeypatch):
    monkeypatch.setattr(framing, "MAX_RECORDS", 100)
    text = _field(9, _field(1, b"k") + _field(2, _field(1, b"x" * 100_000)))
    (span,) = decode_traces(_field(1, _field(2, _field(2, text))), NOW)
    assert span.attributes == {"k": "x" * 100_000}


_values = st.recursive(
    st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(attributes=st.dictionaries(st.text(max_size=6), _values, max_size=4))
def test_any_attributes_read_the_same_from_both_encodings(attributes):
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=TRACE, span_id=SPAN)
    span.attributes.extend(_pairs(attributes))
    text = {"traceId": TRACE.hex(), "spanId": SPAN.hex(), "attributes": _json_pairs(attributes)}
    in_json = orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [text]}]}]})
    (one,), (other,) = decode_traces(request.SerializeToString(), NOW), decode_traces_json(in_json, NOW)
    assert repr(one) == repr(other)
    assert repr(one.attributes) == repr(attributes)


@settings(max_examples=300)
@given(body=st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused(body):
    for decode in (decode_traces, decode_logs, decode_traces_json, decode_logs_json):
        with contextlib.suppress(OtlpError):
            decode(body, NOW)


@pytest.mark.parametrize("digits", ["\u0663", "1_0", " 7 ", "+7", "0x7", "", "-"])
def test_an_integer_is_written_in_ascii_digits(digits) -> None:
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": digits}]}]}]}
    with pytest.raises(OtlpError, match="timeUnixNano must be an integer or its digits"):
        decode_logs_json(json.dumps(body).encode())
