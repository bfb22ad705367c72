"""collector-config.yaml in the real Collector: what it masks, counts, keeps through outages and deaths, and says."""

from __future__ import annotations

import itertools
import time
import urllib.error
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from otlp_catcher import Catcher, attributes
from real_servers import Collector, Jaeger, fetch, samples, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

UID = itertools.count(1)


def value(raw: Any) -> AnyValue:
    if isinstance(raw, bool):
        return AnyValue(bool_value=raw)
    if isinstance(raw, int):
        return AnyValue(int_value=raw)
    if isinstance(raw, float):
        return AnyValue(double_value=raw)
    if isinstance(raw, list):
        return AnyValue(array_value=ArrayValue(values=[value(one) for one in raw]))
    return AnyValue(string_value=raw)


def pairs(raw: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(one)) for key, one in raw.items()]


def an_event(name: str, fields: Mapping[str, Any], body: str = "", service: str = "intake") -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    process = {"service.name": service, "service.instance.id": str(next(UID))}
    resource.resource.attributes.extend(pairs(process))
    record = resource.scope_logs.add().log_records.add(event_name=name, time_unix_nano=time.time_ns())
    record.attributes.extend(pairs({"log.record.uid": f"00000000000000aa{next(UID):012x}", **fields}))
    if body:
        record.body.string_value = body
    return request


def a_span(name: str, fields: Mapping[str, Any], message: str = "") -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(pairs({"service.name": "intake"}))
    now, number = time.time_ns(), next(UID)
    span = Span(
        name=name,
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        start_time_unix_nano=now - 25_000_000,
        end_time_unix_nano=now,
        attributes=pairs(fields),
        events=[Span.Event(name="lead.noted", time_unix_nano=now, attributes=pairs(fields))],
    )
    if message:
        span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=message))
    resource.scope_spans.add().spans.append(span)
    return request


@pytest.fixture(scope="module")
def catcher() -> Iterator[Catcher]:
    catcher = Catcher()
    yield catcher
    catcher.close()


@pytest.fixture(scope="module")
def collector(folder: Path, running: Any, catcher: Catcher) -> Collector:
    jaeger = Jaeger(folder)
    running.start(jaeger)
    collector = Collector(folder, jaeger_otlp=jaeger.otlp, leadtrace_url=catcher.url, token="of the e2e run")
    running.start(collector)
    return collector


@pytest.fixture
def send(collector: Collector) -> Callable[[ExportLogsServiceRequest | ExportTraceServiceRequest], None]:
    """Hands a request to the Collector; returning means that it was accepted."""

    def send(request: ExportLogsServiceRequest | ExportTraceServiceRequest) -> None:
        path = "/v1/logs" if isinstance(request, ExportLogsServiceRequest) else "/v1/traces"
        headers = {"Content-Type": "application/x-protobuf"}
        fetch(collector.otlp_http + path, data=request.SerializeToString(), headers=headers)

    return send


PERSONAL = {
    "note": "call (212) 555-0123 or +44 20 7183 8750, write to jane.o'neil+ads@mail.example.com",
    "callback": "2125550199",
    "number": 3125550142,
    "http.url": "https://buyer.example/post?email=sam%40example.org&phone=%2B13125550177",
    "contacts": ["kim@example.net", "1-617-555-0184"],
    "london": "020 7183 8751",
    "german": "0049 30 901820 44",
}
MASKED = {
    "note": "call **** or ****, write to jane.o'****",
    "callback": "****",
    "number": "****",
    "http.url": "https://buyer.example/post?email=****&phone=****",
    "contacts": '["****","****"]',
    "london": "****",
    "german": "****",
}
SPARED = {
    "lead.id": "2125550123",
    "log.record.uid": "1234567890123456000000000001",
    "leadtrace.run_id": "4155550100",
    "leadtrace.parent_span_id": "2065550100aabbcc",
    "leadtrace.lead_ids": ["kim@example.net", "2125550123"],
    "delivery.id": "2125550124",
    "outbound.provider_message_id": "<2125550125.7@mail.example.com>",
    "lead.phone.hash": "2f1d0c9b8a7e6f5d",
    "lead.phone.area_code": "212",
    "lead.email.domain": "example.com",
    "enhancement.duration_ms": 123456.2345678901,
    "ratio": 0.2155550123,
    "flow.performance.peak_memory_bytes": 2147483648,
    "alert.began_at": 1763776409123456789,
    "retry_at": 1763776409,
    "server.address": "203.0.113.24",
    "code.stacktrace": 'File "/app/x.py", line 212, in post\n  go.opentelemetry.io/collector@v1.61.0/service.go:279',
    "session": "550e8400-e29b-41d4-a716-446655440000",
    "day": "2026-11-22T02:13:50.123456Z",
    "price": "2,125.50 USD",
    "lead.price": 2125550123.5,
    "enhancement.cache_hit": True,
}


def test_contact_data_is_masked_and_the_text_around_it_stays_in_span_event_and_log_record(catcher, send) -> None:
    """Strings, numbers, lists and encoded URLs; on a span, on its event, on a log record and in its body."""
    send(a_span("personal", PERSONAL))
    send(an_event("lead.personal", PERSONAL, body="+1 212 555 0123 rang; answer to jane@example.com"))
    span = wait_until("the span", lambda: next((one for one in catcher.spans() if one.name == "personal"), None))
    record = wait_until(
        "the record", lambda: next((one for one in catcher.records() if one.event_name == "lead.personal"), None)
    )
    assert attributes(span.attributes) == MASKED
    assert attributes(span.events[0].attributes) == MASKED
    logged = attributes(record.attributes)
    del logged["log.record.uid"]
    assert logged == MASKED
    assert record.body.string_value == "**** rang; answer to ****"


def test_names_and_status_messages_of_spans_are_masked_too(catcher, send) -> None:
    send(a_span("GET /leads/jane@example.com/2125550123", {}, message="550 no user jane@example.com, +1-212-555-0123"))
    span = wait_until("the span", lambda: next((one for one in catcher.spans() if one.name.startswith("GET")), None))
    assert span.name == "GET /leads/****/****"
    assert span.status.message == "550 no user ****, ****"


def test_ids_hashes_facets_times_and_measures_arrive_as_they_were_sent(catcher, send) -> None:
    """Type and value; what only looks like a number in Dallas is no contact data."""
    send(a_span("spared", SPARED))
    send(an_event("lead.spared", SPARED))
    span = wait_until("the span", lambda: next((one for one in catcher.spans() if one.name == "spared"), None))
    record = wait_until(
        "the record", lambda: next((one for one in catcher.records() if one.event_name == "lead.spared"), None)
    )
    assert attributes(span.attributes) == SPARED
    assert attributes(span.events[0].attributes) == SPARED
    assert attributes(record.attributes) == SPARED


def test_leadtraces_token_is_sent_with_every_request(catcher, send) -> None:
    send(an_event("lead.greeted", {}))
    wait_until("the record", lambda: any(one.event_name == "lead.greeted" for one in catcher.records()))
    assert {headers.get("authorization") for headers in catcher.headers} == {"Bearer of the e2e run"}


def test_every_log_event_is_counted_once_by_name_kind_and_service(collector, send) -> None:
    """Also when records arrive late, in small batches and from many processes; those without a name are not."""
    sent: Counter[tuple[str, str, str]] = Counter()
    for number in range(60):
        name, kind, service = f"lead.test_{number % 3}", ("success", "failure")[number % 2], f"service-{number % 4}"
        request = an_event(name, {"leadtrace.kind": kind}, service=service)
        record = request.resource_logs[0].scope_logs[0].log_records[0]
        record.time_unix_nano -= (number * 7919 % 60) * 1_000_000_000
        send(request)
        sent[name, kind, service] += 1
    send(an_event("", {"leadtrace.kind": "success"}))
    foreign = an_event("lead.test_foreign", {})
    send(foreign)
    sent["lead.test_foreign", "unknown", "intake"] += 1

    def counted() -> Counter[tuple[str, str, str]]:
        found: Counter[tuple[str, str, str]] = Counter()
        for labels, number in samples(fetch(collector.metrics).decode(), "lead_events_total"):
            assert set(labels) == {"event_name", "job", "leadtrace_kind", "service_name"}
            if labels["event_name"].startswith("lead.test_"):
                found[labels["event_name"], labels["leadtrace_kind"], labels["service_name"]] += int(number)
        return found

    wait_until("all counted", lambda: counted().total() >= sent.total())
    assert counted() == sent


def test_spans_become_calls_and_durations_in_milliseconds_by_word_service_and_buyer(collector, send) -> None:
    delivered = {"leadtrace.word": "delivery", "leadtrace.kind": "success", "delivery.buyer": "Acme"}
    send(a_span("deliver to Acme", delivered))

    def calls() -> list[dict[str, str]]:
        text = fetch(collector.metrics).decode()
        found = samples(text, "traces_span_metrics_calls_total")
        return [labels for labels, number in found if labels["span_name"] == "deliver to Acme" and number == 1]

    labels = wait_until("the span counted", calls)[0]
    assert labels == {
        "job": "intake",
        "service_name": "intake",
        "span_name": "deliver to Acme",
        "span_kind": "SPAN_KIND_UNSPECIFIED",
        "status_code": "STATUS_CODE_UNSET",
        "leadtrace_word": "delivery",
        "leadtrace_kind": "success",
        "delivery_buyer": "Acme",
    }
    buckets = samples(fetch(collector.metrics).decode(), "traces_span_metrics_duration_milliseconds_bucket")
    ours = {labels["le"]: number for labels, number in buckets if labels["span_name"] == "deliver to Acme"}
    assert (ours["10"], ours["50"], ours["+Inf"]) == (0, 1, 1)


def test_a_clean_run_says_nothing_at_warn_or_worse(collector, running) -> None:
    """Deprecated names, unset variables and failing statements would show here. Runs before the outages below."""
    assert collector.complaints() == []


def uids(catchers: list[Catcher]) -> Counter[object]:
    records = itertools.chain.from_iterable(catcher.records() for catcher in catchers)
    found = (attributes(one.attributes) for one in records if one.event_name == "lead.outage")
    return Counter(one["log.record.uid"] for one in found)


def test_what_was_accepted_outlives_an_outage_behind_and_the_collectors_death(collector, catcher, send) -> None:
    """leadtrace is down, the Collector accepts, is killed with -9, comes back, and leadtrace after it: all arrives."""
    sent: set[object] = set()

    def emit() -> None:
        request = an_event("lead.outage", {})
        record = request.resource_logs[0].scope_logs[0].log_records[0]
        send(request)  # raises unless accepted
        sent.add(attributes(record.attributes)["log.record.uid"])

    for _ in range(50):
        emit()
    port = catcher.port
    catcher.close()
    for _ in range(50):
        emit()
    collector.kill()
    with pytest.raises(urllib.error.URLError):
        emit()
    collector.start()
    for _ in range(50):
        emit()
    collector.kill()
    collector.start()
    again = Catcher(port)
    try:
        wait_until("all that was accepted has arrived", lambda: set(uids([catcher, again])) >= sent)
        assert len(sent) == 150
        assert set(uids([catcher, again])) == sent
    finally:
        again.close()


def test_the_collector_ends_on_sigterm_with_exit_code_zero(collector) -> None:
    assert collector.stop() == 0
