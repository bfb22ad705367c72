"""Flows and runs: what a flow's end says of its run, nested flows, and the lead that a passage belongs to."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.testing import Captured


def _deliver(flow: Any, *verdicts: str) -> None:
    for verdict in verdicts:
        with flow.delivery(f"B{verdict}") as delivery:
            getattr(delivery, verdict)()


def _check(flow: Any, *checks: tuple[str, bool]) -> None:
    for word, passed in checks:
        with getattr(flow, word)("c", passed=passed):
            pass


@pytest.mark.parametrize(
    ("verdicts", "checks", "outcome"),
    [
        (("accepted",), (), "delivered"),
        (("accepted", "accepted"), (("rule", False),), "delivered"),
        (("accepted", "rejected"), (), "partially_delivered"),
        (("failed", "accepted"), (), "partially_delivered"),
        (("accepted", "pending"), (), "partially_delivered"),
        (("pending",), (), "deferred"),
        (("rejected", "pending"), (), "deferred"),
        (("rejected",), (), "rejected"),
        (("rejected", "rejected"), (), "rejected"),
        ((), (("validation", False),), "rejected"),
        ((), (("rule", False),), "rejected"),
        ((), (("rule", True),), "undelivered"),
        ((), (), "undelivered"),
        (("failed",), (), "undelivered"),
        (("unconfirmed",), (), "undelivered"),
        (("rejected", "failed"), (), "undelivered"),
        (("failed",), (("rule", False),), "undelivered"),
    ],
)
def test_the_final_outcome_is_the_first_rule_that_fits(
    verdicts: Any, checks: Any, outcome: str, told: Captured
) -> None:
    with lt.flow("F", lead_id="L1") as flow:
        _check(flow, *checks)
        _deliver(flow, *verdicts)
    assert told.one("flow.completed").attributes["flow.summary.final_outcome"] == outcome


@pytest.mark.parametrize(
    ("problem", "event", "outcome"),
    [(ValueError("x"), "flow.failed", "failed"), (asyncio.CancelledError(), "flow.cancelled", "cancelled")],
)
def test_a_flow_that_is_left_says_so_whatever_was_delivered(
    problem: BaseException, event: str, outcome: str, told: Captured
) -> None:
    with pytest.raises(type(problem)), lt.flow("F", lead_id="L1") as flow:
        _deliver(flow, "accepted")
        raise problem
    end = told.one(event).attributes
    assert end["flow.summary.final_outcome"] == outcome
    assert end["flow.journey.accepted"] is True


def test_the_end_of_a_flow_adds_up_its_run(told: Captured) -> None:
    with lt.flow(
        "Premium", id="flow_1", version=12, source="web", campaign="spring", campaign_group="auto", lead_id="L1"
    ) as flow:
        lt.emit("lead.purchased", price=4.25)
        for name in ("parse", "route"):
            with flow.step(name):
                pass
        with flow.enhancement("Phone", cost=0.02):
            pass
        with flow.enhancement("Income", cost=0.1) as cached:
            cached.note(cache_hit=True)
        with flow.enhancement("Age", cost=0.3) as failed:
            failed.failed("down", cost=0.01)
        _check(flow, ("validation", True), ("rule", True), ("rule", False))
        with flow.delivery("Acme") as delivery:
            delivery.accepted(revenue=45)
        with flow.delivery("Euro") as delivery:
            delivery.accepted(revenue=7, currency="EUR")
        with flow.delivery("Other") as delivery:
            delivery.rejected("no")
    start, end = told.one("flow.started").attributes, dict(told.one("flow.completed").attributes)
    for one in (start, end):
        assert (one["flow.id"], one["flow.name"], one["flow.version"]) == ("flow_1", "Premium", 12)
        assert (one["flow.journey.source"], one["flow.journey.campaign"]) == ("web", "spring")
        assert one["flow.journey.campaign_group"] == "auto"
    expected = {
        "flow.summary.steps_executed": 2,
        "flow.summary.enhancements_applied": 2,
        "flow.summary.deliveries_attempted": 3,
        "flow.summary.validations_passed": 1,
        "flow.summary.rules_satisfied": 1,
        "flow.summary.final_outcome": "partially_delivered",
        "flow.summary.scope": "process",
        "flow.summary.open": 0,
        "flow.journey.accepted": True,
        "flow.journey.enhanced": True,
        "flow.journey.delivered_to": ["Acme", "Euro"],
        "flow.journey.total_revenue": 45.0,
        "flow.journey.total_cost": 4.28,
        "flow.journey.margin": 40.72,
        "flow.journey.currency": "USD",
        "flow.journey.other_currencies": ["EUR"],
        "flow.performance.cache_hits": 1,
        "flow.performance.concurrent_flows": 1,
    }
    assert {key: end.get(key) for key in expected} == expected
    assert end["flow.summary.total_duration_ms"] > 0
    assert end["flow.performance.cpu_ms"] > 0
    assert end["flow.performance.peak_memory_bytes"] > 1_000_000
    assert end["flow.performance.steps_per_second"] > 0


def test_sums_of_money_are_exact(told: Captured) -> None:
    with lt.flow("F", lead_id="L1") as flow:
        for _ in range(10):
            with flow.enhancement("E", cost=0.1):
                pass
    assert told.one("flow.completed").attributes["flow.journey.total_cost"] == 1.0


def test_words_still_open_are_counted_apart(told: Captured) -> None:
    with lt.flow("F", lead_id="L1") as flow:
        step, elsewhere = flow.step("left open"), contextvars.copy_context()
        elsewhere.run(step.__enter__)
    elsewhere.run(step.__exit__, None, None, None)
    end = told.one("flow.completed").attributes
    assert (end["flow.summary.open"], end["flow.summary.steps_executed"]) == (1, 0)


def test_a_nested_flow_is_a_run_of_its_own_and_counts_for_itself(told: Captured) -> None:
    with lt.flow("outer", lead_id="L1") as outer:
        lt.move_to("received")
        with outer.step("before"):
            pass
        with lt.flow("inner") as inner:
            lt.move_to("priced")
            with inner.delivery("Acme") as delivery:
                delivery.accepted(revenue=3)
        lt.move_to("done")
    ends = {one.attributes["flow.name"]: one.attributes for one in told.events("flow.completed")}
    assert ends["inner"]["leadtrace.parent_run_id"] == ends["outer"]["leadtrace.run_id"] == outer.run_id
    assert ends["inner"]["leadtrace.run_id"] == inner.run_id != outer.run_id
    assert ends["inner"]["flow.summary.deliveries_attempted"] == 1
    assert ends["outer"]["flow.summary.deliveries_attempted"] == 0
    assert ends["outer"]["flow.summary.steps_executed"] == 1
    assert {one.lead_id for one in told.events()} == {"L1"}
    moves = [(one.attributes.get("lead.state.from"), one.attributes["lead.state.to"]) for one in told.events("lead.*")]
    assert moves == [(None, "received"), ("received", "priced"), ("priced", "done")]


def test_a_nested_flow_of_another_lead_has_a_state_of_its_own(told: Captured) -> None:
    with lt.flow("outer", lead_id="L1"):
        lt.move_to("received")
        with lt.flow("inner", lead_id="L2"):
            lt.move_to("received")
    assert "lead.state.from" not in told.events("lead.state.changed")[1].attributes


def test_move_to_remembers_the_state_and_says_when_it_is_final(told: Captured) -> None:
    with lt.flow("F", lead_id="L1") as flow:
        lt.move_to("received")
        flow.move_to("enhanced", reason="phone verified")
        with lt.step("s"):
            lt.move_to("sold", final=True)
    first, second, third = (one.attributes for one in told.events("lead.state.changed"))
    assert "lead.state.from" not in first
    assert "lead.state.final" not in first
    assert (second["lead.state.from"], second["lead.state.to"], second["lead.state.reason"]) == (
        "received",
        "enhanced",
        "phone verified",
    )
    assert (third["lead.state.from"], third["lead.state.final"]) == ("enhanced", True)
    assert third["leadtrace.kind"] == "transition"


def test_a_flow_that_ends_elsewhere_is_handed_over(told: Captured) -> None:
    with lt.flow("F", lead_id="L1", ends="elsewhere") as flow:
        carried = flow.carry()
    end = told.one("flow.handed_over").attributes
    assert end["flow.summary.handed_over"] == [carried["handover"]]
    assert "flow.summary.final_outcome" not in end
    with pytest.raises(OSError, match="queue"), lt.flow("F", lead_id="L1", ends="elsewhere"):
        raise OSError("queue is full")
    assert told.one("flow.failed").attributes["flow.summary.final_outcome"] == "failed"
    with pytest.raises(TypeError, match=r"ends= is 'here' or 'elsewhere', not 'there'"):
        lt.flow("F", ends="there")  # type: ignore[call-overload]


# -- leads


def test_a_flow_that_learns_its_lead_later(told: Captured) -> None:
    with lt.flow("F") as flow:
        lt.move_to("received")
        with lt.step("parse") as step:
            assert step.lead_id == ""
            lt.identify(77)
            assert step.lead_id == flow.lead_id == "77"
        lt.move_to("parsed")
    assert [one.lead_id for one in told.events()] == ["", "", "", "77", "77", "77"]
    assert told.events("lead.state.changed")[1].attributes["lead.state.from"] == "received"
    assert len({one.attributes["leadtrace.run_id"] for one in told.events()}) == 1


def test_a_word_outside_any_lead_and_flow_is_allowed(told: Captured) -> None:
    with lt.step("s"):
        pass
    for one in told.events():
        assert not {"lead.id", "leadtrace.run_id", "tenant_key"} & set(one.attributes)


def test_every_word_emit_and_move_to_take_lead_and_tenant(told: Captured) -> None:
    import uuid

    lead = uuid.UUID(int=5)
    for make in (lt.flow, lt.step, lt.enhancement, lt.delivery, lt.attempt, lt.validation, lt.rule, lt.fallback):
        with make("N", lead_id=lead, tenant="acme"):
            pass
    lt.emit("lead.received", lead_id=lead, tenant="acme")
    lt.move_to("x", lead_id=lead, tenant="acme")
    assert {(one.lead_id, one.attributes["tenant_key"]) for one in told.events()} == {(str(lead), "acme")}


def test_the_tenant_is_inherited_and_the_settings_is_the_last_resort() -> None:
    with lt.capture(tenant="everyone") as told:
        lt.emit("lead.received", lead_id="L1")
        with lt.flow("F", lead_id="L1", tenant="acme"), lt.step("s"):
            lt.emit("lead.received")
    assert [one.attributes["tenant_key"] for one in told.events()] == ["everyone", *["acme"] * 5]


def test_another_leads_event_within_a_flow_keeps_its_own_lead(told: Captured) -> None:
    with lt.flow("F", lead_id="L1"):
        lt.emit("lead.received", lead_id="L2")
        lt.move_to("x", lead_id="L2")
        lt.move_to("y", lead_id="L2")
    assert [one.lead_id for one in told.events("lead.*")] == ["L2"] * 3
    assert told.events("lead.state.changed")[1].attributes["lead.state.from"] == "x"
    flow = told.one("flow.started")
    assert all(one.span_id != flow.span_id for one in told.events("lead.*"))


def test_a_leads_event_without_a_lead_is_a_mistake(told: Captured, lenient: Captured) -> None:
    lt.emit("lead.received")
    lt.move_to("x")
    assert [one.attributes["leadtrace.marks"] for one in lenient.events()] == [["no_lead"], ["no_lead"]]
    with lt.capture():
        for tell in (lambda: lt.emit("lead.received"), lambda: lt.move_to("x")):
            with pytest.raises(lt.StrictError, match="belongs to a lead and has none"):
                tell()


def test_bulk_calls_tell_one_start_and_an_end_for_each_lead(told: Captured) -> None:
    leads = ["A", "B", "C"]

    @lt.enhancement("Batch", lead_ids=lt.arg.leads, cost=0.1)
    def look_up(leads: list[str]) -> None:
        lt.current().note_for("B", cache_hit=True, data_appended={"score": 7})
        with lt.step("parse"), lt.attempt("GET"):
            lt.emit("low.confidence.detected", threshold=1)

    look_up(leads)
    start = told.one("enhancement.started")
    assert "lead.id" not in start.attributes
    for one in told.events():
        if one.name != "enhancement.success":
            assert one.attributes["leadtrace.lead_ids"] == leads, one.name
            assert "lead.id" not in one.attributes
    ends = told.events("enhancement.success")
    assert [one.lead_id for one in ends] == leads
    assert {(one.trace_id, one.span_id) for one in ends} == {(start.trace_id, start.span_id)}
    costs = [one.attributes["enhancement.cost"] for one in ends]
    assert costs == [0.033334, 0.033333, 0.033333]
    assert sum(round(cost * 1e6) for cost in costs) == 100_000  # type: ignore[operator]
    assert ends[1].attributes["enhancement.data_appended.score"] == 7
    assert ends[1].attributes["enhancement.cache_hit"] is True
    assert "enhancement.cache_hit" not in ends[0].attributes


@pytest.mark.parametrize("cost", [0.02, 1, 0.000001, 12.345678, 1e6])
@pytest.mark.parametrize("count", [1, 3, 7, 1000])
def test_the_cost_of_a_bulk_call_is_split_with_nothing_lost(cost: float, count: int, told: Captured) -> None:
    with lt.enhancement("Batch", lead_ids=[str(n) for n in range(count)], cost=cost):
        pass
    shares = [round(one.attributes["enhancement.cost"] * 1e6) for one in told.events("enhancement.success")]  # type: ignore[operator]
    assert sum(shares) == round(cost * 1e6)
    assert max(shares) - min(shares) <= 1


def test_what_the_cache_saved_a_bulk_call_is_split_like_its_cost(told: Captured) -> None:
    with lt.enhancement("Batch", lead_ids=["A", "B", "C"], cost=0.1) as call:
        call.note(cache_hit=True)
        call.note_for("C", cost_avoided=0.5)
    ends = told.events("enhancement.success")
    assert [one.attributes["enhancement.cost_avoided"] for one in ends] == [0.033334, 0.033333, 0.5]
    assert {one.attributes["enhancement.cost"] for one in ends} == {0.0}


def test_an_event_of_one_lead_within_a_bulk_call_is_its_own(told: Captured) -> None:
    with lt.delivery("Acme", lead_ids=["A", "B"]) as delivery:
        delivery.accepted(revenue=1)
        lt.emit("lead.received", lead_id="B")
    one = told.one("lead.received")
    assert one.lead_id == "B"
    assert one.span_id == told.one("delivery.started").span_id
    with pytest.raises(lt.StrictError, match="not among the lead_ids"), lt.step("s", lead_ids=["A"]) as step:
        step.note_for("Z", x=1)


# -- many at once


@lt.flow("F", lead_id=lt.arg.lead)
async def _passage(lead: str, other: Any) -> None:
    lt.move_to(f"received {lead}")
    async with lt.enhancement("E", cost=0.01):
        await asyncio.sleep(0)

    @lt.step("worker", own=lt.arg.lead)
    def work(lead: str) -> str:
        lt.emit("low.confidence.detected", action_taken=lead)
        return lt.current().lead_id

    gathered = lt.step("gathered", own=lead)(other)
    await asyncio.gather(gathered(), gathered())
    assert await asyncio.to_thread(work, lead) == lead
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(lt.bind(work), [lead, lead])) == {lead}
    async with asyncio.TaskGroup() as group:
        group.create_task(gathered())
    assert lt.current().lead_id == lead


async def test_leads_in_one_process_never_mix_by_tasks_threads_and_pools(told: Captured) -> None:
    async def other() -> None:
        await asyncio.sleep(0)
        lt.emit("low.confidence.detected", action_taken=lt.current().lead_id)

    leads = [f"L{n}" for n in range(12)]
    await asyncio.gather(*(_passage(lead, other) for lead in leads))
    trees = set()
    for lead in leads:
        mine = told.events(lead_id=lead)
        assert {one.attributes["action.taken"] for one in mine if one.name.startswith("low")} == {lead}
        assert {one.attributes["step.own"] for one in mine if "step.own" in one.attributes} == {lead}
        assert len({one.attributes["leadtrace.run_id"] for one in mine}) == 1
        assert len({one.trace_id for one in mine}) == 1
        assert told.one("lead.state.changed", lead_id=lead).attributes["lead.state.to"] == f"received {lead}"
        end = told.one("flow.completed", lead_id=lead).attributes
        assert (end["flow.summary.steps_executed"], end["flow.journey.total_cost"]) == (6, 0.01)
        trees.add(len(mine))
    assert trees == {2 + 1 + 2 + 6 * 3}
    assert len(told.events()) == len(leads) * 23


def test_leads_in_threads_never_mix(told: Captured) -> None:
    problems: list[BaseException] = []

    def run(lead: str) -> None:
        try:
            for n in range(30):
                with lt.flow("F", lead_id=lead) as flow:
                    with lt.step("s"), lt.attempt("GET"):
                        lt.note(x=n)
                        assert lt.current().lead_id == lead
                    with lt.delivery(lead) as delivery:
                        delivery.accepted(revenue=1)
                    assert lt.current() is flow
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(f"L{n}",)) for n in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert problems == []
    for n in range(6):
        ends = told.events("flow.completed", lead_id=f"L{n}")
        assert [one.attributes["flow.journey.delivered_to"] for one in ends] == [[f"L{n}"]] * 30
    uids = [one.uid for one in told.events()]
    assert len(set(uids)) == len(uids) == 6 * 30 * 8


def test_words_of_several_threads_count_into_one_run(told: Captured) -> None:
    with lt.flow("F", lead_id="L1"):
        work = lt.bind(lt.step("s")(lambda n: n))
        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(work, range(200))) == list(range(200))
    end = told.one("flow.completed").attributes
    assert (end["flow.summary.steps_executed"], end["flow.summary.open"]) == (200, 0)


async def test_flows_open_at_once_are_told(told: Captured) -> None:
    gate = asyncio.Event()

    async def run() -> None:
        async with lt.flow("F", lead_id="L"):
            await gate.wait()

    tasks = [asyncio.ensure_future(run()) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    counts = [one.attributes["flow.performance.concurrent_flows"] for one in told.events("flow.completed")]
    assert counts == [3, 2, 1]


def test_bind_captures_when_it_is_made(told: Captured) -> None:
    with lt.flow("F", lead_id="L1"):
        bound = lt.bind(lambda: lt.current().lead_id)
        with lt.flow("F", lead_id="L2") as other:
            assert bound() == "L1"
            assert lt.current() is other


def test_code_that_outlives_its_flow_still_belongs_to_the_lead(told: Captured) -> None:
    with lt.flow("F", lead_id="L1") as flow:
        later = lt.bind(lt.step("later")(lambda: lt.current().lead_id))
    assert later() == "L1"
    late = told.events("operation.*")
    assert {one.lead_id for one in late} == {"L1"}
    assert {one.attributes["leadtrace.run_id"] for one in late} == {flow.run_id}
    assert lt.bind(lambda: bool(lt.current()))() is False
