"""Analyses on timelines over what the real Jaeger keeps: the same figures as over the store, and what is missing is said."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jaeger_api import spans_of
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from real_servers import Jaeger, fetch, wait_until

sys.path.append(str(Path(__file__).parents[1] / "analysis"))

import drawn
from drawn import merged, records, sources_example, word

import leadtrace
from leadtrace.analysis.performance import FlowTime, PathPart
from leadtrace.analysis.what_if import Duration
from leadtrace.store.embedded import EmbeddedStore

if TYPE_CHECKING:
    from conftest import Running
    from leadtrace.store.interface import Found

LEADS = 40


def attribute(key: str, value: Any) -> KeyValue:
    kinds = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
    return KeyValue(key=key, value=AnyValue(**{kinds[type(value)]: value}))


def request_of(found: Found) -> ExportTraceServiceRequest:
    """The records as spans with their events, the only form that Jaeger keeps."""
    request = ExportTraceServiceRequest()
    for one in found.spans:
        resource = request.resource_spans.add()
        resource.resource.attributes.extend(attribute(*pair) for pair in one.resource.attributes.items())
        resource.scope_spans.add().spans.append(
            Span(
                name=one.name,
                trace_id=bytes.fromhex(one.trace_id),
                span_id=bytes.fromhex(one.span_id),
                parent_span_id=bytes.fromhex(one.parent_span_id),
                kind=one.kind,
                start_time_unix_nano=one.start_ns,
                end_time_unix_nano=one.end_ns,
                attributes=[attribute(*pair) for pair in one.attributes.items()],
                events=[
                    Span.Event(
                        name=event.name,
                        time_unix_nano=event.time_ns,
                        attributes=[attribute(*pair) for pair in event.attributes.items()],
                    )
                    for event in found.events
                    if event.span_id == one.span_id and event.trace_id == one.trace_id
                ],
            )
        )
    return request


@pytest.fixture(scope="module")
def sources(folder: Path, running: Running) -> tuple[str, str]:
    """The same leads in Jaeger and in an embedded store: addresses of both."""
    jaeger = Jaeger(folder)
    running.start(jaeger)
    before = drawn.BEGAN
    drawn.BEGAN = time.time_ns() // 10**9 * 10**9 - 600 * 10**9
    try:
        several = [
            records(
                word(
                    "flow",
                    "Slow",
                    0,
                    2000 + 10 * n,
                    word("enhancement", "Phone", 0, 1500 + 10 * n, enhancement__data_appended__carrier="T-Mobile"),
                )
                if n % 2
                else sources_example(),
                lead=f"lead_{n}",
                run=f"run_{n:04d}",
                trace=n + 1,
                at_ms=1000 * n,
            )
            for n in range(LEADS)
        ]
    finally:
        drawn.BEGAN = before
    headers = {"Content-Type": "application/x-protobuf"}
    for found in several:
        fetch(f"{jaeger.otlp_http}/v1/traces", data=request_of(found).SerializeToString(), headers=headers)
    wait_until("the last lead to be found", lambda: spans_of(jaeger.api, "intake", {"lead.id": f"lead_{LEADS - 1}"}))
    path = str(folder / "store.db")
    writer = EmbeddedStore.open(path, write=True)
    everything = merged(*several)
    writer.append(everything.spans, everything.events)
    writer.close()
    return jaeger.source, path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("performance", {}),
        ("what-if", {"cache": ("Phone",), "without": ("Enhancement 1",)}),
        ("lint", {}),
        ("compare", {"a": "flow=Slow", "b": "flow=Performance example"}),
        ("compare", {"a": "lead_1", "b": "lead_2"}),
    ],
)
def test_the_answer_over_jaeger_is_that_over_the_store_and_says_that_it_may_lack_something(
    sources: tuple[str, str], name: str, options: dict[str, Any]
) -> None:
    fetched, stored = sources
    now = time.time_ns()
    with leadtrace.open(fetched) as reader:
        over_jaeger = reader.report(name, now_ns=now, since_ns=now - 3600 * 10**9, **options)
    with leadtrace.open(stored) as reader:
        over_store = reader.report(name, now_ns=now, since_ns=now - 3600 * 10**9, **options)
    assert over_jaeger.rows == over_store.rows
    assert over_jaeger.sample == over_store.sample
    assert over_store.incomplete == ()
    assert any("Jaeger" in one or "traces" in one for one in over_jaeger.incomplete)
    if name == "performance":
        assert {one.runs for one in over_jaeger.of(FlowTime)} == {LEADS // 2}
        assert [one.name for one in over_jaeger.of(PathPart) if one.bottleneck] == ["deliver to Premier", "Phone"]
    if name == "what-if":
        slow = [(2000 + 10 * n, 1500 + 10 * n) for n in range(1, LEADS, 2)]
        saved = sum(phone for _, phone in slow) / sum(whole for whole, _ in slow)
        assert [one.faster for one in over_jaeger.of(Duration)] == [0.25, pytest.approx(saved)]
