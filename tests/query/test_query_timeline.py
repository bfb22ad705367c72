"""Timelines from records made by hand: what belongs to a lead, nested, ordered and counted; whole texts compared."""

from __future__ import annotations

import json

import pytest

from leadtrace.otlp.records import EventRecord, Link, Resource, SpanRecord
from leadtrace.query.page import page
from leadtrace.query.timeline import build
from leadtrace.store.interface import Found

LEAD = {"lead__id": "lead_A", "leadtrace__run_id": "run_1"}


def told(timeline, width=100) -> str:
    """The text without its first line's date."""
    head, *rest = timeline.text(width).splitlines()
    return "\n".join([head, *(line.replace("2026-11-21 22:26:40.000 UTC, ", "") for line in rest)]) + "\n"


def test_a_delivery_that_succeeds_at_the_third_try_and_is_returned_weeks_later(full_story) -> None:
    assert (
        told(full_story.timeline())
        == """\
Lead lead_A  delivered  state sold
over 14 d, in lead-intake, lead-returns
cost 0.02 USD, revenue 45.00 USD, returned 45.00 USD, net revenue 0.00 USD, margin -0.02 USD

       0 ms  Premium Insurance Flow v12 [lead-intake]   2.15 s  ✓ completed, delivered
       1 ms  ├─ state → received
       2 ms  ├─ Phone Intelligence (TrueCaller ID)     245 ms  ✓ success, cost 0.02 USD
             │       phone_type=mobile carrier=Verizon
     247 ms  ├─ state received → enhanced  phone verified
     247 ms  ├─ deliver to Acme                        1.90 s  ✓ accepted, revenue 45.00 USD
             │  │    3 tries
     247 ms  │  ├─ POST lead, try 1 of 4               300 ms  ✗ failed
             │  │       ReadTimeout: no answer in 300 ms, [technical/timeout]
     1.05 s  │  ├─ POST lead, try 2 of 4, after 500 ms   300 ms  ✗ failed
             │  │       ReadTimeout: no answer in 300 ms, [technical/timeout]
     1.85 s  │  ├─ POST lead, try 3 of 4, after 500 ms   300 ms  ✓ answered, HTTP 200
     2.15 s  │  └─ ✓ recovered  by retry  in 1.60 s
     2.15 s  └─ state enhanced → sold  final

       14 d  • lead.returned [lead-returns]  returned 45.00 USD  duplicate  delivery.buyer=Acme
"""
    )


def test_a_trace_that_was_sampled_out_tells_the_same_story(full_story) -> None:
    """Start and end events carry the tree; the spans only add to it."""
    whole = full_story.timeline()
    full_story.spans.clear()
    without = full_story.timeline()
    assert without.text() == whole.text().replace("lead.returned [lead-returns]", "lead.returned [lead-returns]")
    assert _shape(without) == [one for one in _shape(whole) if one[1:] != ("span", "lead.returned")]
    assert [one.code for one in without.marks] == []
    assert without.money == whole.money


def _shape(timeline) -> list:
    return [(one.depth if one.name != "lead.returned" else 0, one.type, one.name) for one in timeline.entries]


def test_work_that_has_not_ended_is_shown_unfinished(tape) -> None:
    process = tape.process()
    with process.word("flow", "Premium", **LEAD) as flow:
        tape.wait(5)
        with process.word("enhancement", "Phone") as phone:
            tape.wait(10)
            phone.alive = False
        with process.word("delivery", "deliver to Acme", delivery__id="d1", delivery__buyer="Acme") as delivery:
            tape.wait(3)
            delivery.end_as("delivery.pending", "milestone", delivery__reference="R-1")
        flow.alive = False
    found = tape.timeline(now_ns=process.now + 60_000_000_000)
    assert (
        told(found)
        == """\
Lead lead_A  open
over 18 ms, in lead-intake

       0 ms  Premium              1 min…  … unfinished
       5 ms  ├─ Phone             1 min…  … unfinished
      15 ms  └─ deliver to Acme     3 ms  … pending, reference R-1

! the delivery to Acme waits for its answer (reference R-1)
! Phone began and has not ended
! Premium began and has not ended
"""
    )
    assert (found.runs[0].outcome, found.runs[0].ended_ns, found.outcome) == ("", 0, "")
    assert [one.code for one in found.marks] == ["pending", "unfinished", "unfinished"]


def test_work_in_parallel_is_ordered_by_its_process_and_nested_by_its_cause(tape) -> None:
    """Two calls begun at once in one process: what each made lies under it, in the order in which it was made."""
    process = tape.process()
    with process.word("flow", "Premium", **LEAD) as flow:
        first = process.word("enhancement", "Phone")
        phone = first.__enter__()
        process.open.pop()
        second = process.word("enhancement", "Identity")
        second.__enter__()
        process.open.pop()
        tape.wait(20)
        phone.emit("system.cache.miss")
        process.open.append(phone)
        first.__exit__(None, None, None)
        process.open.append(flow)
        tape.wait(20)
        second.__exit__(None, None, None)
        process.open.append(flow)
    assert (
        told(tape.timeline())
        == """\
Lead lead_A  undelivered
over 40 ms, in lead-intake

       0 ms  Premium        40 ms  ✓ completed
       0 ms  ├─ Phone       20 ms  ✓ success
      20 ms  │  └─ • system.cache.miss
       0 ms  └─ Identity    40 ms  ✓ success
"""
    )


def test_a_later_time_does_not_change_the_order_within_a_process(tape) -> None:
    """A clock that went back: the process's own sequence stands."""
    process = tape.process()
    with process.word("flow", "Premium", **LEAD) as flow:
        tape.wait(10)
        flow.emit("lead.state.changed", "transition", lead__state__to="received")
        tape.wait(-8)
        flow.emit("lead.state.changed", "transition", lead__state__from="received", lead__state__to="sold")
    states = [one.attributes["lead.state.to"] for one in tape.timeline().events if one.name == "lead.state.changed"]
    assert states == ["received", "sold"]


def _handed_over(tape, ends_flow: bool):
    intake, worker = tape.process("lead-intake"), tape.process("lead-worker")
    with intake.word("flow", "Premium", **LEAD) as flow:
        tape.wait(5)
        flow.end_as(
            "flow.handed_over", "milestone", **{"flow.summary.handed_over": ["h1"], "flow.summary.scope": "process"}
        )
    tape.wait(2000)
    came = {"leadtrace__handover_id": "h1", **LEAD}
    with worker.word(
        "resume", "resume Premium", parent=flow.span_id, links=(Link(flow.trace_id, flow.span_id),), **came
    ):
        tape.wait(1)
        with worker.word("delivery", "deliver to Acme", delivery__id="d1", delivery__buyer="Acme") as delivery:
            tape.wait(100)
            delivery.fields |= {"delivery.revenue": 30.0, "delivery.currency": "USD"}
        if ends_flow:
            said = {"flow__summary__final_outcome": "delivered", "flow__summary__total_duration_ms": 2106.0}
            said |= {"flow__name": "Premium", "flow__performance__concurrent_flows": 1}
            worker.open[-1].emit("flow.completed", leadtrace__word="flow", **said)
    return flow


def test_work_that_another_process_took_up_lies_under_what_handed_it_over(tape) -> None:
    """The consumer's trace is its own; the carried word's span is its parent all the same, and the run goes on."""
    _handed_over(tape, ends_flow=False)
    found = tape.timeline()
    assert (
        told(found)
        == """\
Lead lead_A  delivered
over 2.11 s, in lead-intake, lead-worker
cost 0.00 USD, revenue 30.00 USD, margin 30.00 USD

       0 ms  Premium [lead-intake]               5 ms  → handed over
     2.00 s  └─ resume Premium [lead-worker]   101 ms  ✓ completed
     2.01 s     └─ deliver to Acme             100 ms  ✓ accepted, revenue 30.00 USD
"""
    )
    (run,) = found.runs
    assert (run.ended_by, run.outcome, run.services) == ("", "delivered", ("lead-intake", "lead-worker"))
    assert run.duration_ms == 2106.0
    assert [one.code for one in found.marks] == []


def test_a_carried_flow_that_its_consumer_ends_is_one_run(tape) -> None:
    _handed_over(tape, ends_flow=True)
    found = tape.timeline()
    (run,) = found.runs
    assert (run.ended_by, run.outcome, run.unattributed) == ("flow.completed", "delivered", {})
    assert told(found).splitlines()[-1] == "     2.11 s     └─ ✓ Premium completed  delivered  in 2.11 s"


def test_what_was_handed_over_and_not_taken_up_leaves_the_run_open(tape) -> None:
    intake = tape.process()
    with intake.word("flow", "Premium", **LEAD) as flow:
        flow.end_as("flow.handed_over", "milestone", **{"flow.summary.handed_over": ["h1"]})
    found = tape.timeline()
    assert (found.runs[0].outcome, [one.code for one in found.marks]) == ("", ["not_taken_up"])


def test_foreign_spans_belong_to_the_lead_of_their_nearest_ancestor(tape) -> None:
    """Two leads in one trace: each call of a library belongs to the lead that it was made for, never to both."""
    process = tape.process()
    trace = tape.new_trace()
    with process.word("step", "for A", trace_id=trace, lead__id="lead_A") as for_a:
        process.span("POST", trace, "f" * 16, for_a.span_id, process.now, {"http.request.method": "POST"}, 3)
        process.span("connect", trace, "e" * 16, "f" * 16, process.now, {}, 1)
        process.record("exception", "", trace, "e" * 16, {"exception.type": "OSError"})
    with process.word("step", "for B", trace_id=trace, lead__id="lead_B") as for_b:
        process.span("GET", trace, "d" * 16, for_b.span_id, process.now, {}, 3)
    process.span("server", trace, "c" * 16, "", process.now, {}, 2)
    names = {
        lead: [one.name for one in tape.timeline(lead).entries if one.type == "span"] for lead in ("lead_A", "lead_B")
    }
    assert names == {"lead_A": ["for A", "POST", "connect"], "lead_B": ["for B", "GET"]}
    assert "exception" in [one.name for one in tape.timeline("lead_A").events]
    assert "exception" not in [one.name for one in tape.timeline("lead_B").events]


def test_what_a_flow_told_before_it_knew_its_lead_joins_the_lead(tape) -> None:
    process = tape.process()
    with process.word("flow", "Premium", leadtrace__run_id="run_1") as flow:
        with process.word("step", "parse"):
            tape.wait(2)
        flow.common["lead.id"] = "lead_A"  # what identify() does
        with process.word("step", "route"):
            tape.wait(1)
    names = [(one.depth, one.name) for one in tape.timeline().entries if one.type == "span"]
    assert names == [(0, "Premium"), (1, "parse"), (1, "route")]
    assert [one.name for one in tape.timeline().events][:2] == ["flow.started", "operation.started"]


def test_a_batch_flow_of_many_leads_gives_each_only_its_own(tape) -> None:
    """The run has no lead of its own, so that what names no lead in it is nobody's."""
    process = tape.process()
    with process.word("flow", "batch", leadtrace__run_id="run_1") as flow:
        for lead in ("lead_A", "lead_B"):
            with process.word("step", f"line of {lead}", lead__id=lead):
                tape.wait(1)
        flow.emit("record.quarantined", "failure")
    assert [one.name for one in tape.timeline("lead_A").entries] == [
        "line of lead_A",
        "operation.started",
        "operation.completed",
    ]


def test_a_call_for_several_leads_shows_each_its_own_end_and_share(tape) -> None:
    process = tape.process()
    with process.word("enhancement", "bulk", leadtrace__lead_ids=["lead_A", "lead_B"]) as bulk:
        with process.word("attempt", "POST", leadtrace__lead_ids=["lead_A", "lead_B"], attempt=1) as post:
            tape.wait(10)
            post.fields["shares"] = {"lead_A": {}, "lead_B": {}}
        bulk.fields |= {"enhancement.currency": "USD", "shares": {}}
        bulk.fields["shares"] = {"lead_A": {"enhancement.cost": 0.005}, "lead_B": {"enhancement.cost": 0.006}}
    for lead, cost in (("lead_A", "0.005"), ("lead_B", "0.006")):
        found = tape.timeline(lead)
        assert [one.as_json()["cost"] for one in found.money] == [cost]
        ends = [one.attributes["lead.id"] for one in found.events if one.role == "end"]
        assert ends == [lead, lead]
        assert [one.code for one in found.marks] == []


def test_an_event_that_came_as_log_record_and_as_span_event_is_one(tape) -> None:
    process = tape.process()
    with process.word("flow", "Premium", **LEAD):
        tape.wait(1)
    (span,) = tape.spans
    copies = [
        EventRecord(
            one.name, one.time_ns, one.trace_id, one.span_id, one.attributes, one.resource, origin="span", index=at
        )
        for at, one in enumerate(tape.events)
    ]
    span.events = copies[:1]
    both = build(Found([span], tape.events + copies[1:]), "lead_A")
    assert [(one.name, one.uid) for one in both.events] == [(one.name, one.uid) for one in tape.events]


def test_a_pending_delivery_is_closed_by_an_answer_weeks_later(tape) -> None:
    process, callback = tape.process(), tape.process("callbacks")
    with (
        process.word("flow", "Premium", **LEAD),
        process.word("delivery", "deliver to Acme", delivery__id="d1", delivery__buyer="Acme") as delivery,
    ):
        tape.wait(3)
        delivery.end_as("delivery.pending", "milestone", delivery__reference="R-1")
    assert (tape.timeline().outcome, [one.code for one in tape.timeline().marks]) == ("deferred", ["pending"])
    tape.wait(86_400_000)
    accepted = {"lead.id": "lead_A", "delivery.id": "d1", "delivery.revenue": 20.5, "delivery.currency": "EUR"}
    callback.record("delivery.accepted", "success", tape.new_trace(), "a" * 16, accepted)
    found = tape.timeline()
    assert (
        told(found)
        == """\
Lead lead_A  delivered
over 1 d, in lead-intake, callbacks
cost 0.00 EUR, revenue 20.50 EUR, margin 20.50 EUR

       0 ms  Premium [lead-intake]     3 ms  ✓ completed
       0 ms  └─ deliver to Acme        3 ms  … pending, reference R-1
        1 d     └─ ✓ delivery accepted [callbacks]  revenue 20.50 EUR
"""
    )
    assert (found.outcome, found.runs[0].delivered_to, found.marks) == ("delivered", ("Acme",), [])
    callback.record("delivery.accepted", "success", tape.new_trace(), "b" * 16, accepted)  # a webhook sent twice
    again = tape.timeline()
    assert ([one.as_json()["revenue"] for one in again.money], [one.code for one in again.marks]) == (
        ["20.5"],
        ["answered_again"],
    )


def test_money_is_summed_exactly_per_currency_and_never_across(tape) -> None:
    process = tape.process()
    with process.word("flow", "Premium", **LEAD):
        for currency, cost in (("USD", 0.1), ("USD", 0.2), ("EUR", 0.7)):
            with process.word("enhancement", "call") as call:
                call.fields |= {"enhancement.cost": cost, "enhancement.currency": currency}
        process.open[-1].emit("lead.purchased", lead__price=1.15)
    assert [one.as_json() for one in tape.timeline().money] == [
        {"currency": "EUR", "cost": "0.7", "revenue": "0", "returned": "0", "net_revenue": "0", "margin": "-0.7"},
        {"currency": "USD", "cost": "1.45", "revenue": "0", "returned": "0", "net_revenue": "0", "margin": "-1.45"},
    ]


def test_a_sum_that_a_flow_said_and_nobody_counted_is_shown(tape) -> None:
    process = tape.process()
    with process.word("flow", "Premium", **LEAD) as flow:
        with process.word("enhancement", "call") as call:
            call.fields |= {"enhancement.cost": 0.02, "enhancement.currency": "USD"}
        flow.fields |= {
            "flow.journey.total_cost": 12.5,
            "flow.journey.currency": "USD",
            "flow.summary.steps_executed": 2,
        }
    found = tape.timeline()
    assert found.runs[0].unattributed == {"flow.summary.steps_executed": "2", "flow.journey.total_cost": "12.48"}
    assert [one.text for one in found.marks] == [
        "the end of Premium said steps_executed 2 where 0 was counted, total_cost 12.5 where 0.02 was counted"
    ]


def test_clocks_that_differ_are_told_and_no_time_is_changed(tape) -> None:
    """A call into another service that seems to begin before its cause."""
    intake, scoring = tape.process("lead-intake"), tape.process("scoring", off_ms=-40)
    with intake.word("flow", "Premium", **LEAD), intake.word("attempt", "POST", attempt=1) as post:
        tape.wait(10)
        began = scoring.now
        tape.wait(20)
        scoring.span("score", post.trace_id, "f" * 16, post.span_id, began, {}, 2)
        tape.wait(10)
    found = tape.timeline()
    (score,) = [one for one in found.entries if one.name == "score"]
    assert (score.time_ns, score.reader) == (began, {"leadtrace.clock_skew_ms": 40.0})
    assert [one.text for one in found.marks] == [
        "score of scoring begins before its cause: its clock is about 40 ms behind that of lead-intake"
    ]


def test_a_flow_that_ended_twice_keeps_its_first_end_and_says_so(tape) -> None:
    """A sender that failed, and an end that came later from elsewhere."""
    process, other = tape.process(), tape.process()
    with process.word("flow", "Premium", **LEAD) as flow:
        flow.end_as("flow.failed", "failure", error__type="OSError")
    tape.wait(10)
    other.record(
        "flow.completed", "milestone", tape.new_trace(), "a" * 16, {"lead.id": "lead_A", "leadtrace.run_id": "run_1"}
    )
    found = tape.timeline()
    assert (found.runs[0].ended_by, found.outcome) == ("flow.failed", "failed")
    assert [one.text for one in found.marks] == ["Premium ended with flow.failed, and also told flow.completed"]


def test_an_error_says_whether_it_stopped_the_flow(tape) -> None:
    process = tape.process()
    with process.word("flow", "Premium", **LEAD) as flow:
        with process.word("enhancement", "Phone") as phone:
            phone.end_as("enhancement.failed", "failure", error__type="TimeoutError")
        with process.word("step", "route") as step:
            step.emit("error.occurred", "error", error__type="KeyError")
            step.end_as("operation.failed", "failure", error__type="KeyError")
        flow.end_as("flow.failed", "failure", error__type="KeyError")
    found = {one.name: one.reader for one in tape.timeline().events}
    assert found["enhancement.failed"]["enhancement.impact.flow_continued"] is True
    assert found["error.occurred"]["error.impact.flow_stopped"] is True


def test_tenants_with_the_same_lead_id_are_kept_apart_when_asked_and_told_otherwise(tape) -> None:
    process = tape.process()
    for tenant in ("north", "south"):
        with process.word("step", f"of {tenant}", lead__id="lead_A", tenant_key=tenant) as step:
            process.span("foreign", step.trace_id, f"{tenant:f<16}", step.span_id, process.now, {})
    of = {
        one: [entry.name for entry in tape.timeline(tenant=one).entries if entry.type == "span"]
        for one in ("north", "south", "")
    }
    assert of == {"north": ["of north", "foreign"], "south": ["of south", "foreign"], "": []}
    assert [one.code for one in tape.timeline().marks] == ["several_tenants"]


def test_records_without_any_order_or_parent_stay_readable() -> None:
    """Circles, a missing parent, an end before its start, no times: marked, never dropped and never endless."""

    def span(span_id, parent, start=1_795_300_000_000_000_000, **more):
        return SpanRecord(
            "t" * 32,
            span_id,
            f"span {span_id}",
            start,
            start + 1_000_000,
            parent,
            attributes={"lead.id": "lead_A"},
            resource=Resource({"service.name": "x"}),
            **more,
        )

    found = build(
        Found([span("a", "b"), span("b", "a"), span("c", "gone"), span("d", "d"), span("e", "", 0)]), "lead_A"
    )
    assert [(one.depth, one.name) for one in found.entries] == [
        (0, "span e"),
        (0, "span a"),
        (1, "span b"),
        (0, "span c"),
        (0, "span d"),
    ]
    assert sorted({one.code for one in found.marks}) == ["parent_circle", "parent_missing"]


def test_what_telemetry_says_cannot_act_on_a_terminal(tape) -> None:
    process = tape.process("svc\x1b[2J")
    with process.word("flow", "Pre\x1b]0;owned\x07mium\u202e", **LEAD) as flow:
        flow.emit("lead.note\x9b31m", lead__text="a\r\nb\x00\u2028c")
        flow.end_as("flow.failed", "failure", error__type="E\x1b[31m", error__message="m\x08\x08")
    text = tape.timeline().text()
    assert not [
        one for one in text if (ord(one) < 32 and one != "\n") or 0x7F <= ord(one) < 0xA0 or one in "\u2028\u202e"
    ]


def test_an_unknown_lead_has_an_empty_timeline(full_story) -> None:
    found = full_story.timeline("lead_B")
    assert (found.entries, found.runs, found.money, found.marks) == ([], [], [], [])
    assert found.text() == "Lead lead_B\nnothing is recorded of it"


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_times_that_are_no_numbers_stand_as_they_came(tape, odd) -> None:
    """OTLP's doubles may be any of these; a story is told all the same."""
    told_odd = {"total_retry_time_ms": odd, "system__retry__waited_ms": odd, "flow__summary__total_duration_ms": odd}
    with tape.process().word("flow", "Premium", **LEAD) as flow:
        flow.emit("error.recovered", **told_odd)
        flow.emit("system.retry.attempted", **told_odd)
        flow.emit("flow.completed", **told_odd)
        with tape.process().word("attempt", "POST", **LEAD, **told_odd) as attempt:
            attempt.fields |= {"duration_ms": odd, "wait_ms": odd}
    assert f"✓ recovered  in {odd} ms" in told(tape.timeline())
    json.dumps(tape.timeline().as_json(), allow_nan=False)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 1e308, -1e308], ids=str)
def test_a_word_whose_duration_is_none_is_timed_by_its_events(tape, odd) -> None:
    """The text, the JSON and the page of a lead stand whatever a sender calls a duration."""
    with tape.process().word("flow", "Premium", **LEAD) as flow:
        tape.wait(5)
        flow.fields |= {"flow.duration_ms": odd, "flow.summary.total_duration_ms": odd}
    tape.spans.clear()  # sampled out
    timeline = tape.timeline()
    assert [one.duration_ms for one in timeline.entries if one.type == "span"] == [5.0]
    assert timeline.last_ns - timeline.first_ns == 5_000_000
    assert "5 ms" in timeline.text()
    json.dumps(timeline.as_json(), allow_nan=False)
    assert page(timeline)


@pytest.mark.parametrize("revenue", ["1E+999999999", "1E-999999999", "9" * 100_000, "NaN", "Infinity"])
def test_an_amount_that_no_page_could_hold_is_none(tape, revenue) -> None:
    with tape.process().word("delivery", "deliver to Acme", **LEAD) as delivery:
        delivery.end_as("delivery.accepted", "success", delivery__revenue=revenue)
    assert len(json.dumps([one.as_json() for one in tape.timeline().money])) < 1_000
