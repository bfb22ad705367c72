"""The contract of a source over the real Jaeger: the same spans in Jaeger and in an embedded store give the same answers.

What Jaeger cannot hold (log records, lists to search by) is not asked of it here; it declares that in `holds`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from jaeger_api import spans_of
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from real_servers import Jaeger, fetch, wait_until

from leadtrace.otlp.decode import decode_traces
from leadtrace.query.timeline import timeline
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import EventFilter, LeadFilter
from leadtrace.store.jaeger import JaegerStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Running
    from leadtrace.store.interface import Found, Source

SECOND = 1_000_000_000
START = (int(time.time()) - 1_800) * SECOND
SERVICE = "contract"


def pairs(**attributes: str | int | float | bool) -> list[KeyValue]:
    fields = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
    return [
        KeyValue(key=key.replace("__", "."), value=AnyValue(**{fields[type(value)]: value}))
        for key, value in attributes.items()
    ]


def event(name: str, at: float, number: int, **attributes: str | int | float | bool) -> Span.Event:
    uid = f"00000000000000cc{number:012x}"
    told = pairs(log__record__uid=uid, **attributes)
    return Span.Event(name=name, time_unix_nano=START + int(at * SECOND), attributes=told)


def span(
    name: str, trace: int, number: int, parent: int, began: float, ended: float, *events: Span.Event, **more
) -> Span:
    code = more.pop("code", 0)
    return Span(
        name=name,
        trace_id=(0xC0117AC7 << 64 | trace).to_bytes(16, "big"),
        span_id=(0xC0 << 32 | number).to_bytes(8, "big"),
        parent_span_id=(0xC0 << 32 | parent).to_bytes(8, "big") if parent else b"",
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=START + int(began * SECOND),
        end_time_unix_nano=START + int(ended * SECOND),
        attributes=pairs(**more),
        events=events,
        status=Status(code=code, message="no" if code else ""),
    )


def sent() -> bytes:
    of = {"lead__id": "contract_1", "leadtrace__run_id": "run_contract"}
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(pairs(service__name=SERVICE))
    scope = resource.scope_spans.add()
    scope.scope.name = "leadtrace"
    scope.spans.extend(
        [
            span(
                "flow",
                1,
                0x10,
                0,
                0,
                5,
                event("flow.started", 0, 1, leadtrace__kind="start", **of),
                event("lead.state.changed", 3, 2, leadtrace__kind="transition", lead__state__to="sold", **of),
                event(
                    "flow.completed", 5, 3, leadtrace__kind="milestone", flow__summary__final_outcome="delivered", **of
                ),
                **of,
            ),
            span("step", 1, 0x11, 0x10, 1, 2, code=2, big=2**53 + 1, half=0.5, yes=True, **of),
            span("GET /", 1, 0x12, 0x11, 1, 2, event("plain", 1, 4)),
            span("before the lead", 2, 0x20, 0, 0, 1, leadtrace__run_id="run_contract"),
            span(
                "another's",
                3,
                0x30,
                0,
                0,
                1,
                event("lead.received", 0.5, 5, lead__id="contract_9"),
                lead__id="contract_9",
            ),
            span("a tenant's", 4, 0x40, 0, 6, 8, lead__id="contract_1", tenant_key="acme"),
        ]
    )
    return request.SerializeToString()


@pytest.fixture(scope="module")
def sources(folder: Path, running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Source]]:
    body = sent()
    jaeger = Jaeger(folder)
    running.start(jaeger)
    fetch(f"{jaeger.otlp_http}/v1/traces", data=body, headers={"Content-Type": "application/x-protobuf"})
    wait_until("the spans to be found", lambda: spans_of(jaeger.api, SERVICE, {"tenant_key": "acme"}))
    store = EmbeddedStore.open(tmp_path_factory.mktemp("contract") / "store.db", write=True)
    store.append(decode_traces(body), [])
    found = {"jaeger": JaegerStore(f"jaeger://{jaeger.api.removeprefix('http://')}"), "embedded": store}
    yield found
    for one in found.values():
        one.close()


def records(found: Found) -> tuple[list[object], list[object]]:
    assert found.incomplete == []
    spans = [
        (s.trace_id, s.span_id, s.parent_span_id, s.name, s.start_ns, s.end_ns, s.status, sorted(s.attributes.items()))
        for s in found.spans
    ]
    events = [(e.time_ns, e.name, e.trace_id, e.span_id, sorted(e.attributes.items())) for e in found.events]
    return sorted(spans), sorted(events)


def told(source: Source, tenant: str | None) -> dict[str, object]:
    """A timeline without what it says of its own completeness: that is each source's own."""
    found = timeline(source, "contract_1", tenant).as_json()
    return {key: value for key, value in found.items() if key not in ("complete", "incomplete")}


ANSWERS: dict[str, Callable[[Source], object]] = {
    "a lead, with its run's other traces": lambda source: records(source.lead("contract_1")),
    # A source may hand over more than a tenant's; what is the tenant's is worked out above it, the same way over each.
    "a lead of one tenant": lambda source: told(source, "acme"),
    "a lead of no tenant": lambda source: told(source, ""),
    "a lead that nobody knows": lambda source: records(source.lead("contract_404")),
    "a trace": lambda source: records(source.trace(f"{0xC0117AC7 << 64 | 1:032x}")),
    "a trace that nobody knows": lambda source: records(source.trace("f" * 32)),
    "leads": lambda source: [
        (row.lead_id, row.tenant, row.first_ns, row.last_ns, row.state, row.outcome)
        for row in source.leads(LeadFilter(contains="contract"))
    ],
    "leads of a state": lambda source: [row.lead_id for row in source.leads(LeadFilter(state="sold"))],
    "events by name": lambda source: [one.uid for one in source.events(EventFilter(names=("flow.*",)))],
    "events of a lead": lambda source: [one.uid for one in source.events(EventFilter(lead_id="contract_9"))],
    "events of a kind": lambda source: [one.uid for one in source.events(EventFilter(kinds=("transition",)))],
    "the nearest lead": lambda source: source.nearest("contract_2"),
    "the timeline": lambda source: told(source, None),
}


@pytest.mark.parametrize("asked", list(ANSWERS))
def test_jaeger_answers_as_the_embedded_store_does(sources: dict[str, Source], asked: str) -> None:
    answers = {name: ANSWERS[asked](source) for name, source in sources.items()}
    assert answers["jaeger"] == answers["embedded"]


def test_a_timeline_from_jaeger_says_what_jaeger_cannot_hold(sources: dict[str, Source]) -> None:
    assert timeline(sources["embedded"], "contract_1").as_json()["complete"] is True
    found = timeline(sources["jaeger"], "contract_1").as_json()
    assert (found["complete"], found["incomplete"]) == (False, [sources["jaeger"].holds.note])
