"""Spans through our sender are what the stock exporter sends, but for what is personal."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.memory import MemorySink
from leadtrace.journal.transport import OtlpTransport
from leadtrace.otlp import encode
from leadtrace.otlp.redact import Redactor
from leadtrace.setup.host import exporter_to, sender_on
from leadtrace.setup.resource import described

REMOTE = SpanContext(0xA1, 0xB2, True, TraceFlags(1), TraceState([("vendor", "x")]))


@pytest.fixture
def provider():
    return TracerProvider(
        resource=Resource.create({"service.name": "shop", "tags": ["a", "b"]}), span_limits=SpanLimits(max_events=3)
    )


@pytest.fixture
def sending():
    made: list[MemorySink] = []

    def send(provider, address: str, protocol: str = "http/protobuf", **redaction) -> MemorySink:
        transport = OtlpTransport(endpoints(Target(address, protocol), {}))
        sink = MemorySink(transport, encode.resource(*described({}, provider)))
        made.append(sink)
        sender = sender_on(provider)
        assert sender is not None
        sender.aim(sink, Redactor(b"k" * 32, **redaction))
        return sink

    yield send
    for sink in made:
        sink.close(0.2, patient=False)


def tell_all(provider) -> None:
    """Every part that a span can have."""
    tracer = provider.get_tracer("scope.one", "1.2", "https://schemas/1", {"scope.attribute": 1})
    other = provider.get_tracer("scope.two")
    with tracer.start_as_current_span(
        "parent",
        kind=SpanKind.SERVER,
        attributes={
            "a.text": "héllo",
            "a.int": -3,
            "a.big": 2**62,
            "a.float": 0.25,
            "a.bool": True,
            "a.list": ["x", "y"],
        },
        links=[Link(REMOTE, {"why": "queue"})],
    ) as parent:
        for n in range(5):
            parent.add_event(f"event.n{n}", {"n": n, "floats": [0.5, 1.5]}, timestamp=1_700_000_000_000_000_000 + n)
        with other.start_as_current_span("child", kind=SpanKind.CLIENT) as child:
            child.set_status(Status(StatusCode.ERROR, "it broke"))
        with other.start_as_current_span("ok") as child:
            child.set_status(Status(StatusCode.OK))
    with other.start_as_current_span("under a remote parent", context=_remote_context()):
        pass


def _remote_context():
    from opentelemetry import trace

    return trace.set_span_in_context(trace.NonRecordingSpan(REMOTE))


def shape(receiver) -> list[object]:
    """Each span with its resource and scope, in an order of their own."""
    found = [
        (span.span_id, resource.schema_url, resource.resource, scope.schema_url, scope.scope, span)
        for request in receiver.accepted
        for resource in request.message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    return sorted(found, key=lambda one: one[0])


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_what_our_sender_sends_decodes_to_what_the_stock_exporter_sends(
    provider, sending, over_http, over_grpc, http_receiver_on, grpc_receiver_on, protocol
):
    """Field by field, both exporters on one provider."""
    if protocol == "grpc":
        stock, ours = over_grpc, grpc_receiver_on()
        provider.add_span_processor(SimpleSpanProcessor(OverGrpc(endpoint=stock.address, insecure=True)))
    else:
        stock, ours = over_http, http_receiver_on()
        provider.add_span_processor(SimpleSpanProcessor(OverHttp(endpoint=f"{stock.address}/v1/traces")))
    sending(provider, ours.address, protocol)
    tell_all(provider)
    provider.force_flush()
    sent = shape(ours)
    assert len(sent) == 4
    for *_, span in sent:
        for link in span.links:
            assert link.trace_state == "vendor=x"
            link.ClearField("trace_state")  # the one thing that the stock exporter leaves out
    assert sent == shape(stock)
    provider.shutdown()


def test_free_text_of_foreign_spans_is_scrubbed_and_the_span_itself_is_not_changed(provider, sending, over_http):
    """Name, attributes, events, links, status; a host's own exporter sees what it always saw."""
    seen = []

    class Keeps(SimpleSpanProcessor):
        def __init__(self):
            pass

        def on_end(self, span):
            seen.append(span)

        def force_flush(self, timeout_millis=0):
            return True

        def shutdown(self):
            pass

    sending(provider, over_http.address)
    provider.add_span_processor(Keeps())
    contact = "jo@example.com"
    with provider.get_tracer("httpx").start_as_current_span(
        f"GET /leads/{contact}",
        attributes={
            "url.full": f"https://h/x?email={contact}&n=4155550100",
            "user.email": contact,
            "lead.id": "lead_1",
        },
        links=[Link(REMOTE, {"why": contact})],
    ) as span:
        span.record_exception(ValueError(f"no {contact}"))
        span.set_status(Status(StatusCode.ERROR, f"no {contact} at +1 415 555 0100"))
    provider.force_flush()
    (sent,) = over_http.records("traces")
    assert contact not in str(sent)
    assert "4155550100" not in str(sent)
    assert "415 555 0100" not in str(sent)
    attributes = {one.key: one.value.string_value for one in sent.attributes}
    assert attributes["url.full"] == "https://h/x?email=REDACTED&n=REDACTED"
    assert (attributes["lead.id"], attributes["user.email_domain"]) == ("lead_1", "example.com")
    assert seen[0].name == f"GET /leads/{contact}"
    assert seen[0].attributes["user.email"] == contact


def test_spans_that_were_not_sampled_are_not_sent(sending, over_http):
    """The sampler is the SDK's."""
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF))
    sink = sending(provider, over_http.address)
    with provider.get_tracer("t").start_as_current_span("unsampled"):
        pass
    assert provider.force_flush()
    assert sink.stats.sent == 0


def test_a_provider_has_one_processor_of_ours_that_is_aimed_anew(provider, sending, over_http, http_receiver_on):
    """A provider keeps its processors for good."""
    second = http_receiver_on()
    sending(provider, over_http.address)
    sending(provider, second.address)
    with provider.get_tracer("t").start_as_current_span("once"):
        pass
    provider.force_flush()
    assert (over_http.names("traces"), second.names("traces")) == ([], ["once"])


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ("http://localhost:4318/v1/traces", "http://127.0.0.1:4318", True),
        ("http://localhost:4318/v1/traces", "http://localhost:5318", False),
        ("http://collector:4318/v1/traces", "http://other:4318", False),
        ("https://collector/v1/traces", "https://collector:443", True),
    ],
)
def test_a_hosts_exporter_to_the_same_receiver_is_found(provider, theirs, ours, same):
    """However the address is written."""
    provider.add_span_processor(SimpleSpanProcessor(OverHttp(endpoint=theirs)))
    found = exporter_to(provider, endpoints(Target(ours), {})["traces"])
    assert found == (theirs if same else "")


def test_the_two_ports_of_one_receiver_are_one(provider):
    """A host over gRPC, leadtrace over HTTP."""
    provider.add_span_processor(SimpleSpanProcessor(OverGrpc(endpoint="http://localhost:4317", insecure=True)))
    assert exporter_to(provider, endpoints(Target("http://localhost:4318"), {})["traces"]) == "localhost:4317"
