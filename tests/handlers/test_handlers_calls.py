"""What handlers are called with, when, and on which thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import leadtrace as lt


class CallDropped(lt.Event, name="phone.call.dropped", kind="failure"):
    """A call broke off."""

    carrier: str | None = lt.field(default=None, doc="The carrier.")
    talked_ms: float | None = lt.field(default=None, unit="ms", doc="How long they had talked.")
    line: int | None = lt.field(default=None, doc="Which line: a number that measures nothing.")
    facts: dict[str, object] | None = lt.field(default=None, doc="Whatever else is known.")


def test_on_gets_the_typed_event_with_its_lead_its_time_and_its_place() -> None:
    seen: list[lt.Event] = []

    @lt.on("phone.call.dropped", inline=True)
    def take(event: lt.Event) -> None:
        seen.append(event)

    with lt.capture() as captured, lt.flow("calls", lead_id="lead_1") as flow:
        lt.emit(CallDropped(carrier="Verizon", talked_ms=12.5))
    (event,) = seen
    recorded = captured.one("phone.call.dropped")
    assert isinstance(event, CallDropped)
    assert (event.carrier, event.talked_ms, event.line) == ("Verizon", 12.5, None)
    assert (event.event_name, event.spec.kind, event.lead_id) == ("phone.call.dropped", "failure", "lead_1")
    assert (event.uid, event.time_ns) == (recorded.uid, recorded.time_ns)
    assert (event.trace_id, event.span_id) == (recorded.trace_id, flow.span_id)
    assert event.attributes == recorded.attributes


def test_attach_gets_what_measures_apart_from_all_the_rest() -> None:
    seen: list[tuple[Any, ...]] = []
    lt.attach("meter", "phone.call.dropped", lambda *given: seen.append(given), {"unit": "ms"}, inline=True)
    with lt.capture() as captured, lt.flow("calls", lead_id="lead_1", tenant="acme") as flow:
        lt.emit(
            CallDropped(carrier="Verizon", talked_ms=12.5, line=7, facts={"tower": "north", "bars": 2}),
            attributes={"phone.call.mast.height": 30, "weather": "fog"},
        )
    recorded = captured.one("phone.call.dropped")
    assert seen == [
        (
            "phone.call.dropped",
            {"talked_ms": 12.5},
            {
                "time_ns": recorded.time_ns,
                "trace_id": recorded.trace_id,
                "span_id": flow.span_id,
                "lead_id": "lead_1",
                "tenant_key": "acme",
                "leadtrace_run_id": flow.run_id,
                "leadtrace_kind": "failure",
                "log_record_uid": recorded.uid,
                "carrier": "Verizon",
                "line": 7,
                "facts": {"tower": "north", "bars": 2},
                "mast_height": 30,
                "weather": "fog",
            },
            {"unit": "ms"},
        )
    ]


def test_durations_and_money_of_the_words_are_measurements() -> None:
    seen: dict[str, dict[str, Any]] = {}
    lt.attach("meter", "*", lambda name, measured, rest, config: seen.update({name: measured}), inline=True)
    with lt.capture(), lt.flow("calls", lead_id="lead_1"), lt.delivery("Acme") as delivery:
        delivery.accepted(revenue=45.5)
    assert set(seen["delivery.accepted"]) == {"duration_ms", "revenue"}
    assert seen["delivery.accepted"]["revenue"] == 45.5
    assert seen["delivery.started"] == {}
    assert {"journey_total_revenue", "summary_total_duration_ms"} <= set(seen["flow.completed"])


def test_a_counter_of_the_delivery_engine_stands_for_one_unless_it_says_how_many() -> None:
    counted: list[int] = []
    lt.attach(
        "count", "dispatch.*", lambda name, measured, rest, config: counted.append(measured["count"]), inline=True
    )
    with lt.capture():
        lt.emit("dispatch.sent", enrollment_id="e1", channel="sms")
        lt.emit("dispatch.sent", count=12)
        lt.emit("dispatch.pool_exhausted", pool_id="p")
    assert counted == [1, 12, 1]


def test_an_event_that_nobody_declared_comes_as_one_without_fields() -> None:
    typed: list[lt.Event] = []
    grouped: list[tuple[Any, ...]] = []
    lt.on("parcel.*", inline=True)(typed.append)
    lt.attach("parcel", "parcel.*", lambda *given: grouped.append(given), inline=True)
    with lt.capture(strict=False):
        lt.emit("parcel.weighed", grams=250, lead_id="lead_1")
    (event,) = typed
    assert (event.event_name, event.lead_id, dict(event.spec.fields)) == ("parcel.weighed", "lead_1", {})
    assert event.attributes["parcel.grams"] == 250
    ((name, measured, rest, _),) = grouped
    assert (name, measured, rest["grams"]) == ("parcel.weighed", {}, 250)  # nobody said that it measures anything


def test_handlers_get_what_was_recorded_not_what_was_said() -> None:
    seen: list[lt.Event] = []
    lt.on("lead.declined", inline=True)(seen.append)
    with lt.capture() as captured:
        lt.emit("lead.declined", reason="call ann@example.com back", lead_id="lead_1")
    (event,) = seen
    assert event.attributes == captured.one("lead.declined").attributes
    assert "ann@example.com" not in str(event.attributes)


def test_handlers_run_on_one_thread_of_their_own_in_the_order_of_the_events() -> None:
    threads: set[str] = set()
    seen: list[int] = []

    @lt.on("low.confidence.detected")
    def take(event: lt.Event) -> None:
        threads.add(threading.current_thread().name)
        seen.append(int(event.attributes["threshold"]))

    with lt.capture():
        for number in range(500):
            lt.emit("low.confidence.detected", threshold=float(number))
        assert lt.drain_handlers()
    assert threads == {"leadtrace-handlers"}
    assert seen == list(range(500))


def test_an_inline_handler_runs_in_the_emitting_call_before_it_returns() -> None:
    threads: list[int] = []
    lt.on("lead.received", inline=True)(lambda event: threads.append(threading.get_ident()))
    with lt.capture():
        lt.emit("lead.received", lead_id="lead_1")
        assert threads == [threading.get_ident()]


async def test_a_slow_handler_does_not_hold_up_an_event_loop() -> None:
    may_go_on = threading.Event()
    lt.on("lead.received")(lambda event: may_go_on.wait(10))
    with lt.capture():
        lt.emit("lead.received", lead_id="lead_1")
        await asyncio.sleep(0)
        lt.emit("lead.received", lead_id="lead_2")
        assert not lt.drain_handlers(0.0)
        may_go_on.set()
        assert lt.drain_handlers()


def test_events_come_to_handlers_with_neither_provider_nor_configure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third switch: with a handler attached the words tell, and with the last one detached they call through again."""
    from leadtrace.words import runtime
    from leadtrace.words.opening import switched_on

    monkeypatch.setattr(runtime, "_current", None)

    seen: list[str] = []

    @lt.step("price", lead_id=lt.arg.lead)
    def price(lead: str) -> str:
        return lead

    assert not switched_on()
    lt.attach("names", "*", lambda name, measured, rest, config: seen.append(f"{name} of {rest['lead_id']}"))
    assert switched_on()
    price("lead_1")
    assert lt.drain_handlers()
    assert seen == ["operation.started of lead_1", "operation.completed of lead_1"]
    assert lt.detach("names")
    assert not switched_on()
    price("lead_1")
    assert lt.drain_handlers()
    assert len(seen) == 2


def test_what_is_changed_by_one_handler_is_not_seen_by_the_next() -> None:
    seen: list[object] = []

    def change(event: lt.Event) -> None:
        event.reason = "changed"
        event.attributes["lead.reason"] = "changed"

    lt.on("lead.declined", inline=True)(change)
    lt.on("lead.declined", inline=True)(lambda event: seen.append(event.reason))
    with lt.capture() as captured:
        lt.emit("lead.declined", reason="duplicate", lead_id="lead_1")
    assert seen == ["duplicate"]
    assert captured.one("lead.declined").attributes["lead.reason"] == "duplicate"


@pytest.mark.parametrize("inline", [True, False])
def test_what_a_handler_tells_is_recorded_and_never_comes_back_to_it(inline: bool) -> None:
    """Also by way of another handler: an event is kept from all whose events led to it."""
    calls: list[str] = []

    def one(name: str, measured: Any, rest: Any, config: Any) -> None:
        calls.append(f"one {name}")
        lt.emit("lead.accepted", lead_id="lead_1")

    def two(name: str, measured: Any, rest: Any, config: Any) -> None:
        calls.append(f"two {name}")
        lt.emit("lead.purchased", lead_id="lead_1")

    lt.attach("one", "lead.*", one, inline=inline)
    lt.attach("two", "lead.*", two, inline=inline)
    with lt.capture() as captured:
        lt.emit("lead.received", lead_id="lead_1")
        assert lt.drain_handlers()
    assert sorted(calls) == sorted(
        ["one lead.received", "two lead.accepted", "two lead.received", "one lead.purchased"]
    )
    assert sorted(captured.names()) == sorted(
        ["lead.received", "lead.accepted", "lead.purchased", "lead.purchased", "lead.accepted"]
    )
