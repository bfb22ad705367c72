"""What our encoder writes parses equal to what the SDK's own exporter sends."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from leadtrace.otlp import encode

plain = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=200),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
)
values = st.one_of(
    plain, st.lists(st.text(max_size=9), max_size=4), st.lists(st.integers(0, 9), max_size=4), st.binary()
)
attributes = st.dictionaries(st.text("abcdé._", min_size=1, max_size=40), values, max_size=12)


def ours(spans: list[ReadableSpan]) -> ExportTraceServiceRequest:
    head = encode.resource(spans[0].resource.attributes, spans[0].resource.schema_url)
    scope = spans[0].instrumentation_scope
    assert scope is not None
    of = encode.signal("traces", scope.name, scope.version or "", scope.schema_url or "", scope.attributes)
    return ExportTraceServiceRequest.FromString(encode.request(head, [(of, [encode.span(one) for one in spans])]))


@pytest.fixture(scope="module")
def recorded() -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource({"service.name": "lead-intake", "process.pid": 7}, "https://example.com/1")
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


@given(attributes, attributes, st.sampled_from(SpanKind), st.sampled_from(StatusCode), st.text(max_size=30))
def test_a_span_parses_equal_to_the_stock_exporters(
    recorded, span_attributes, event_attributes, kind, code, message
) -> None:
    provider, exporter = recorded
    exporter.clear()
    tracer = provider.get_tracer("leadtrace", "0.1.0", "https://example.com/schema", {"scope.key": True})
    remote = SpanContext(2**127 + 5, 77, is_remote=True, trace_flags=TraceFlags(1))
    with tracer.start_as_current_span("parent", links=[Link(remote, {"relation": "lead"})]):
        child = tracer.start_span("child ü", kind=kind, attributes=span_attributes)
        child.add_event("lead.received", event_attributes, timestamp=1_795_300_000_123_456_789)
        child.set_status(Status(code, message if code is StatusCode.ERROR else None))
        child.end()
    spans = list(exporter.get_finished_spans())
    assert ours(spans) == encode_spans(spans)


def test_a_remote_parent_and_dropped_things_parse_equal(recorded) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import SpanLimits

    exporter = InMemorySpanExporter()
    provider = TracerProvider(span_limits=SpanLimits(max_attributes=2, max_events=1, max_links=1))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    remote = SpanContext(
        9, 77, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b"), ("c", "d")])
    )
    parent = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    linked = SpanContext(9, 78, is_remote=True, trace_flags=TraceFlags(1))
    one = provider.get_tracer("x").start_span("n", parent, links=[Link(remote), Link(linked)])
    one.set_attributes({"a": 1, "b": 2, "c": 3})
    one.add_event("first")
    one.add_event("second", {"n": float("inf")})
    one.end()
    spans = list(exporter.get_finished_spans())
    assert ours(spans) == encode_spans(spans)


def test_a_links_trace_state_is_sent_which_the_stock_exporter_drops() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    remote = SpanContext(9, 77, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")]))
    provider.get_tracer("x").start_span("n", links=[Link(remote)]).end()
    sent = ours(list(exporter.get_finished_spans()))
    assert sent.resource_spans[0].scope_spans[0].spans[0].links[0].trace_state == "a=b"


nested = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=20), nested, max_size=6))
def test_a_log_record_keeps_every_value(pairs) -> None:
    of = encode.signal("logs", "leadtrace", "1", "https://example.com")
    record = encode.log_record(
        "lead.received", 17, pairs, trace_id=2**127, span_id=5, trace_flags=1, severity_number=17, body="shown"
    )
    parsed = ExportLogsServiceRequest.FromString(
        encode.request(encode.resource({"service.name": "s"}), [(of, [record, record])])
    )
    logs = parsed.resource_logs[0].scope_logs[0].log_records
    assert len(logs) == 2
    one = logs[0]
    assert (one.event_name, one.time_unix_nano, one.observed_time_unix_nano) == ("lead.received", 17, 17)
    assert (one.trace_id, one.span_id, one.flags) == ((2**127).to_bytes(16, "big"), (5).to_bytes(8, "big"), 1)
    assert (one.severity_number, one.body.string_value) == (17, "shown")
    assert {pair.key: python(pair.value) for pair in one.attributes} == pairs


def python(value):
    match value.WhichOneof("value"):
        case "array_value":
            return [python(one) for one in value.array_value.values]
        case "kvlist_value":
            return {one.key: python(one.value) for one in value.kvlist_value.values}
        case None:
            return None
        case which:
            return getattr(value, which)


def test_a_lone_surrogate_is_escaped_and_not_lost() -> None:
    record = encode.log_record("a.b.done", 1, {"x": "a\ud800b", "nan": math.nan})
    parsed = ExportLogsServiceRequest.FromString(encode.request(b"", [(encode.signal("logs", "s"), [record])]))
    assert parsed.resource_logs[0].scope_logs[0].log_records[0].attributes[0].value.string_value == "a\\ud800b"
