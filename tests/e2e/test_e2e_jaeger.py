"""The real Jaeger as a source of leads with more traces than one search returns."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from jaeger_api import spans_of
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from real_servers import Jaeger, fetch, leadtrace, wait_until

from leadtrace.store.interface import EventFilter, LeadFilter
from leadtrace.store.jaeger import JaegerStore

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Running

DAY_NS = 86_400 * 1_000_000_000
SERVICES = ("intake", "delivery")
NUMBER = itertools.count(1)


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def visit(service: str, lead_id: str, start_ns: int) -> ExportTraceServiceRequest:
    """One trace of one span that has one event."""
    number = next(NUMBER)
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(text("service.name", service))
    uid = text("log.record.uid", f"00000000000000bb{number:012x}")
    resource.scope_spans.add().spans.append(
        Span(
            name="visit",
            trace_id=number.to_bytes(16, "big"),
            span_id=number.to_bytes(8, "big"),
            start_time_unix_nano=start_ns,
            end_time_unix_nano=start_ns + 1_000_000,
            attributes=[text("lead.id", lead_id)],
            events=[Span.Event(name="lead.noted", time_unix_nano=start_ns, attributes=[text("lead.id", lead_id), uid])],
        )
    )
    return request


@pytest.fixture(scope="module")
def jaeger(folder: Path, running: Running) -> Jaeger:
    """A lead of 500 traces in two services over 60 days, 40 of them within a second, among others of one trace each."""
    jaeger = Jaeger(folder)
    running.start(jaeger)
    now = time.time_ns()
    starts = [now - DAY_NS // 24 - number * 60 * DAY_NS // 460 for number in range(460)]
    starts += [now - DAY_NS // 48 + number * 20_000_000 for number in range(40)]
    merged = ExportTraceServiceRequest()
    for number, start in enumerate(starts):
        merged.MergeFrom(visit(SERVICES[number % 2], "lead_of_many_traces", start))
        if number % 10 == 0:
            merged.MergeFrom(visit(SERVICES[0], f"lead_{number}", start))
    headers = {"Content-Type": "application/x-protobuf"}
    fetch(f"{jaeger.otlp_http}/v1/traces", data=merged.SerializeToString(), headers=headers)
    newest = {"lead.id": "lead_490"}
    wait_until("the last span to be found", lambda: spans_of(jaeger.api, SERVICES[0], newest))
    return jaeger


@pytest.mark.parametrize("depth", [7, 50, 1000])
def test_all_traces_of_a_lead_are_found_however_few_one_search_returns(jaeger: Jaeger, depth: int) -> None:
    store = JaegerStore(jaeger.source, depth=depth)
    found = store.lead("lead_of_many_traces")
    assert found.incomplete == []
    assert Counter(span.resource.service for span in found.spans) == {"intake": 250, "delivery": 250}
    assert len({span.trace_id for span in found.spans}) == 500
    assert len({event.uid for event in found.events}) == len(found.events) == 500
    store.close()


def test_events_and_leads_are_all_listed_too(jaeger: Jaeger) -> None:
    store = JaegerStore(jaeger.source, depth=50)
    assert len(list(store.events(EventFilter(names=["lead.noted"])))) == 550
    assert len(list(store.leads(LeadFilter()))) == 51
    store.close()


def test_the_command_line_tells_the_whole_lead(jaeger: Jaeger) -> None:
    found = json.loads(leadtrace("lead", "lead_of_many_traces", "--json", "--from", jaeger.source))
    assert Counter(entry["type"] for entry in found["entries"]) == {"span": 500, "event": 500}
    times = [entry["time_unix_nano"] for entry in found["entries"] if entry["type"] == "span"]
    assert times == sorted(times)


def test_a_lead_that_jaeger_does_not_know_is_one_line_with_the_nearest(jaeger: Jaeger) -> None:
    assert leadtrace("lead", "lead_49O", "--from", jaeger.source, expect=(1,)) == ""
