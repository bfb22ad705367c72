"""Crossing a queue: carry and resume in all forms, frozen dicts, nonsense, links, and flows that end elsewhere."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from words_provider import Spans

import leadtrace as lt
from leadtrace.testing import Captured


def _handed_over() -> dict[str, str]:
    with lt.flow("F", id="f1", version=3, source="web", lead_id="L1", tenant="acme", ends="elsewhere"):
        lt.move_to("received")
        return lt.carry()


def test_carry_is_flat_text_and_empty_outside(told: Captured) -> None:
    assert lt.carry() == {}
    carried = _handed_over()
    assert all(isinstance(key, str) and isinstance(value, str) and value for key, value in carried.items())
    assert json.loads(json.dumps(carried)) == carried
    assert {"run_id", "lead_id", "tenant", "state", "handover", "trace_id", "span_id"} <= set(carried)


def _same(carried: dict[str, str]) -> Any:
    return carried


def _bytes(carried: dict[str, str]) -> Any:
    return {key.encode(): value.encode() for key, value in carried.items()}


def _by_json(carried: dict[str, str]) -> Any:
    return json.loads(json.dumps(carried))


@pytest.mark.parametrize("form", [_same, _bytes, _by_json], ids=lambda one: one.__name__)
def test_resume_goes_on_with_run_lead_tenant_and_state(form: Any, told: Captured) -> None:
    carried = _handed_over()
    with lt.resume(form(carried), ends_flow=True) as resumed:
        assert (resumed.lead_id, resumed.tenant, resumed.run_id) == ("L1", "acme", carried["run_id"])
        lt.move_to("sold")
        with lt.delivery("Acme") as delivery:
            delivery.accepted(revenue=5)
    events = told.events()
    assert {one.lead_id for one in events} == {"L1"}
    assert {one.attributes["leadtrace.run_id"] for one in events} == {carried["run_id"]}
    assert {one.attributes["tenant_key"] for one in events} == {"acme"}
    moved = told.events("lead.state.changed")[1].attributes
    assert (moved["lead.state.from"], moved["lead.state.to"]) == ("received", "sold")
    start, end = told.one("operation.started"), told.one("operation.completed")
    handed = told.one("flow.handed_over")
    for one in (start, end):
        assert one.attributes["leadtrace.handover_id"] == carried["handover"]
        assert one.attributes["leadtrace.parent_span_id"] == handed.span_id
        assert one.attributes["leadtrace.word"] == "resume"
        assert one.attributes["leadtrace.name"] == "resume F"
    done = told.one("flow.completed").attributes
    assert (done["flow.id"], done["flow.name"], done["flow.version"]) == ("f1", "F", 3)
    assert done["flow.journey.source"] == "web"
    assert (done["flow.summary.final_outcome"], done["flow.journey.total_revenue"]) == ("delivered", 5.0)
    assert done["flow.summary.total_duration_ms"] > 0  # type: ignore[operator]


def test_a_new_trace_with_a_link_or_a_child_in_the_same_trace(spans: Spans, told: Captured) -> None:
    carried = _handed_over()
    flow = spans.one("F")
    with spans.provider.get_tracer("queue").start_as_current_span("receive") as receive, lt.resume(carried):
        pass
    resumed = spans.one("resume F")
    assert flow.context is not None
    assert resumed.context is not None
    assert resumed.parent is None
    assert resumed.context.trace_id not in (flow.context.trace_id, receive.get_span_context().trace_id)
    assert [one.context.span_id for one in resumed.links] == [
        flow.context.span_id,
        receive.get_span_context().span_id,
    ]
    remote = trace.NonRecordingSpan(
        trace.SpanContext(flow.context.trace_id, 0xBEEF, True, trace.TraceFlags(trace.TraceFlags.SAMPLED))
    )
    with trace.use_span(remote), lt.resume(carried):
        pass
    again = spans.all()[-1]
    assert again.parent is not None
    assert again.parent.span_id == 0xBEEF
    assert again.links == ()


@pytest.mark.parametrize(
    ("problem", "events"),
    [
        (None, ["flow.completed", "operation.completed"]),
        (ValueError("x"), ["error.occurred", "flow.failed", "operation.failed"]),
        (KeyboardInterrupt(), ["flow.cancelled", "operation.cancelled"]),
    ],
)
def test_with_ends_flow_the_carried_flow_ends_as_the_block(problem: Any, events: list[str], told: Captured) -> None:
    carried = _handed_over()
    before = len(told.events())
    leaves = pytest.raises(type(problem)) if problem is not None else contextlib.nullcontext()
    with leaves, lt.resume(carried, ends_flow=True):
        if problem is not None:
            raise problem
    assert told.names()[before:] == ["operation.started", *events]


def test_without_ends_flow_no_flow_ends(told: Captured) -> None:
    carried = _handed_over()
    with lt.resume(carried):
        pass
    assert [one for one in told.names() if one.startswith("flow.")] == ["flow.started", "flow.handed_over"]


def test_a_third_hand_still_knows_the_flow(told: Captured) -> None:
    with lt.resume(_handed_over()):
        lt.move_to("priced")
        carried = lt.carry()
    with lt.resume(carried, ends_flow=True):
        lt.move_to("sold")
    done = told.one("flow.completed").attributes
    assert (done["flow.id"], done["flow.name"]) == ("f1", "F")
    assert [one.attributes.get("lead.state.from") for one in told.events("lead.state.changed")] == [
        None,
        "received",
        "priced",
    ]
    assert len({one.attributes["leadtrace.run_id"] for one in told.events()}) == 1


def test_attempts_of_a_delivery_go_on_counting_and_a_redelivery_from_the_same_number(told: Captured) -> None:
    with lt.flow("F", lead_id="L1", ends="elsewhere"), lt.delivery("Acme") as delivery:
        for _ in range(2):
            with pytest.raises(OSError, match="x"), delivery.attempt("POST"):
                raise OSError("x")
        carried = delivery.carry()
        delivery.pending("queued")
    for _ in range(2):  # the queue delivers the same message twice
        with lt.resume(carried) as resumed:
            assert resumed.id == delivery.id
            with resumed.attempt("POST"):
                pass
            lt.emit("delivery.accepted", id=resumed.id, revenue=1)
    assert [one.attributes["attempt"] for one in told.events("api.call.attempted")] == [1, 2, 3, 3]
    assert [one.attributes["attempt"] for one in told.events("system.retry.attempted")] == [2, 3, 3]
    assert {one.attributes["delivery.id"] for one in told.events("delivery.*")} == {delivery.id}
    assert len(told.events("error.recovered")) == 2


def test_a_bulk_call_carries_its_leads(told: Captured) -> None:
    with lt.step("batch", lead_ids=["A", "B"]) as step:
        carried = step.carry()
    with lt.resume(carried):
        pass
    assert told.events("operation.started")[1].attributes["leadtrace.lead_ids"] == ["A", "B"]


@pytest.mark.parametrize(
    ("carried", "mark"),
    [
        (None, "nothing_carried"),
        ({}, "nothing_carried"),
        ("text", "carried_unreadable"),
        (b"bytes", "carried_unreadable"),
        (17, "carried_unreadable"),
        ([1], "carried_unreadable"),
        ({"other": "headers"}, "carried_unreadable"),
        ({"leadtrace": "99", "lead_id": "L1"}, "carried_unreadable"),
    ],
    ids=repr,
)
def test_nothing_or_nonsense_starts_a_run_with_a_mark(carried: Any, mark: str, told: Captured) -> None:
    with lt.resume(carried, ends_flow=True) as resumed:
        assert resumed.run_id
        lt.note(x=1)
    start = told.one("operation.started")
    assert start.attributes["leadtrace.marks"] == [mark]
    assert start.attributes["leadtrace.run_id"] == resumed.run_id
    assert "leadtrace.parent_span_id" not in start.attributes


KEYS = st.sampled_from(
    [
        *("leadtrace", "handover", "trace_id", "span_id", "trace_flags", "run_id", "parent_run_id", "lead_id"),
        *("lead_ids", "tenant", "state", "name", "flow_id", "flow_name", "flow_version", "flow_started_ns"),
        *("delivery_id", "buyer", "attempts"),
    ]
)
VALUES = st.one_of(
    st.text(st.characters()),
    st.binary(),
    st.none(),
    st.integers(),
    st.sampled_from(["1", "²", "[" * 5000, '{"POST": 3}', '{"POST": -1, "x": []}', "ff", "0" * 32, "0" * 16, "\ud800"]),
    st.text("0123456789abcdef", min_size=16, max_size=32),
    st.text("0123456789", min_size=1, max_size=6000),
)


@settings(max_examples=200)
@given(st.one_of(st.none(), st.text(), st.dictionaries(st.one_of(KEYS, st.text(), st.integers()), VALUES)))
def test_resume_never_raises(carried: Any) -> None:
    for strict in (True, False):
        with lt.capture(strict=strict) as told:
            with lt.resume(carried, ends_flow=True) as resumed:
                with lt.attempt("POST"):
                    pass
                again = resumed.carry()
            with lt.resume(again):
                pass
        assert told.names()[-1] == "operation.completed"
        if isinstance(carried, dict):
            carried = {**carried, "leadtrace": "1"}


def test_a_sender_that_fails_writes_flow_failed(told: Captured) -> None:
    with pytest.raises(OSError, match="queue"), lt.flow("F", lead_id="L1", ends="elsewhere") as flow:
        flow.carry()
        raise OSError("queue is down")
    assert told.names() == ["flow.started", "error.occurred", "flow.failed"]
