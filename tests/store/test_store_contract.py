"""What every source promises, run over each of them and compared record by record."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest

from leadtrace.otlp.records import EventRecord, Link, SpanRecord
from leadtrace.store.interface import EventFilter, LeadFilter, LeadRow, Source

_spec = importlib.util.spec_from_file_location("store_conftest", Path(__file__).with_name("conftest.py"))
given = sys.modules.setdefault("store_conftest", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(given)
a_span, an_event, lead, on_span, uid = given.a_span, given.an_event, given.lead, given.on_span, given.uid
START, SECOND = given.START, given.SECOND

STARTED = an_event("flow.started", 0, 1, 0x10, attributes=lead("L1", "r1", **{"log.record.uid": uid(1)}), body="began")
DONE = an_event(
    "flow.completed",
    5,
    1,
    0x10,
    attributes=lead("L1", "r1", **{"log.record.uid": uid(2), "flow.summary.final_outcome": "delivered"}),
    severity_number=9,
)
STATE = an_event(
    "lead.state.changed", 3, 1, 0x10, attributes=lead("L1", "r1", **{"log.record.uid": uid(3), "lead.state.to": "sold"})
)
ODD = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "one": 1,
    "one.0": 1.0,
    "bytes": b"\x00\xff",
    "large": 2**63 - 1,
    "nested": {"$bytes": "not bytes"},
    "list": ["", 1, 2.5, {"a": [b"x"]}],
    "null": "null",
    "true": True,
}
SPANS = [
    a_span("flow", 0, 5, 1, 0x10, attributes=lead("L1", "r1"), events=[on_span(DONE, 0)], flags=0x101),
    a_span(
        "step", 1, 2, 1, 0x11, 0x10, attributes={**lead("L1", "r1"), **ODD}, status="error", status_message="no: \n"
    ),
    a_span(
        "GET /",
        1,
        2,
        1,
        0x12,
        0x11,
        kind=3,
        resource=given.OTHER,
        events=[an_event("plain", 1, 1, 0x12, origin="span", index=0)],
    ),
    a_span("before the lead", 0, 1, 2, 0x20, attributes={"leadtrace.run_id": "r1"}),
    a_span(
        "bulk",
        7,
        9,
        3,
        0x30,
        attributes={"leadtrace.lead_ids": ["L1", "L2"], "tenant_key": ""},
        links=(Link(f"{1:032x}", f"{0x10:016x}", {"why": "handed over"}),),
        trace_state="a=b",
        dropped=(1, 2, 3),
    ),
    a_span("unrelated", 0, 1, 4, 0x40, attributes=lead("L9")),
    a_span("of a tenant", 6, 8, 5, 0x50, attributes=lead("L1", tenant_key="acme")),
]
EVENTS = [
    STARTED,
    STATE,
    DONE,
    an_event("", 4, 1, 0x11, body={"text": ["a", 1]}, severity_text="INFO", severity_number=9),
    an_event("lead.returned", 20, 0, 0, attributes=lead("L1")),
    an_event("delivery.accepted", 8, 3, 0x30, attributes=lead("L2", tenant_key="")),
    an_event(
        "delivery.rejected", 8, 3, 0x30, attributes={"leadtrace.lead_ids": ["L2", "L3"], "leadtrace.kind": "rejection"}
    ),
]


@pytest.fixture(scope="module", params=list(given.SOURCES))
def source(request, tmp_path_factory) -> Source:
    with given.SOURCES[request.param](tmp_path_factory.mktemp(request.param), SPANS, EVENTS) as opened:
        yield opened


def _plain(record: SpanRecord | EventRecord) -> str:
    """A record without what only the store knows; as text, because NaN is not equal to itself."""
    record = dataclasses.replace(record, arrival=0)
    if isinstance(record, SpanRecord):
        record.events = []
    return repr(record)


def _expected(*, traces: set[int], bare: set[str] = frozenset()) -> tuple[list[str], list[str]]:
    ids = {f"{one:032x}" for one in traces}
    spans = [_plain(one) for one in SPANS if one.trace_id in ids]
    events = [dataclasses.replace(DONE, origin="both", index=0) if one is DONE else one for one in EVENTS]
    events += [one for span in SPANS for one in span.events if one.name == "plain"]
    return sorted(spans), sorted(_plain(one) for one in events if one.trace_id in ids or one.name in bare)


def _found(found) -> tuple[list[str], list[str]]:
    assert found.incomplete == []
    return sorted(map(_plain, found.spans)), sorted(map(_plain, found.events))


def test_a_lead_is_all_traces_that_name_it_its_runs_and_what_has_no_trace(source):
    """Whole records come back equal: odd values, links, marks of the protocol, an event united from both its halves."""
    assert _found(source.lead("L1")) == _expected(traces={1, 2, 3, 5}, bare={"lead.returned"})


def test_a_lead_of_one_tenant_is_that_tenants(source):
    assert _found(source.lead("L1", "acme")) == _expected(traces={5})
    assert _found(source.lead("L1", "")) == _expected(traces={1, 2, 3}, bare={"lead.returned"})


def test_a_lead_named_in_a_bulk_call_is_found(source):
    assert _found(source.lead("L3")) == _expected(traces={3})


def test_an_unknown_lead_and_trace_are_empty_answers(source):
    assert _found(source.lead("L404")) == ([], [])
    assert _found(source.lead("L1", "nobody")) == ([], [])
    assert _found(source.trace("ff" * 16)) == ([], [])
    assert _found(source.trace("not hex, ':&? nor safe")) == ([], [])
    assert _found(source.trace("")) == ([], [])


def test_a_trace_is_all_its_records(source):
    assert _found(source.trace(f"{1:032x}")) == _expected(traces={1})


def test_leads_come_last_touched_first_with_state_and_outcome(source):
    rows = [
        LeadRow("L1", "", START, START + 20 * SECOND, "sold", "delivered"),
        LeadRow("L2", "", START + 7 * SECOND, START + 9 * SECOND),
        LeadRow("L1", "acme", START + 6 * SECOND, START + 8 * SECOND),
        LeadRow("L3", "", START + 8 * SECOND, START + 8 * SECOND),
        LeadRow("L9", "", START, START + 1 * SECOND),
    ]
    assert sorted(source.leads(LeadFilter()), key=repr) == sorted(rows, key=repr)
    times = [one.last_ns for one in source.leads(LeadFilter())]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (LeadFilter(limit=1), ["L1"]),
        (LeadFilter(tenant="acme"), ["L1"]),
        (LeadFilter(tenant=""), ["L1", "L2", "L3", "L9"]),
        (LeadFilter(state="sold"), ["L1"]),
        (LeadFilter(outcome="delivered"), ["L1"]),
        (LeadFilter(contains="9"), ["L9"]),
        (LeadFilter(contains="%"), []),
        (LeadFilter(since_ns=START + 9 * SECOND), ["L1", "L2"]),
        (LeadFilter(until_ns=START + 1 * SECOND), ["L1", "L9"]),
    ],
)
def test_leads_are_filtered_by_all_conditions(source, which, expected):
    assert sorted(one.lead_id for one in source.leads(which)) == expected


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (EventFilter(names=["flow.completed"]), ["flow.completed"]),
        (EventFilter(names=["flow.*", "plain"]), ["flow.completed", "flow.started", "plain"]),
        (EventFilter(names=["flow"]), []),
        (EventFilter(names=["delivery.*"], lead_id="L3"), ["delivery.rejected"]),
        (EventFilter(lead_id="L1"), ["flow.completed", "flow.started", "lead.returned", "lead.state.changed"]),
        (EventFilter(lead_id="L1", tenant="acme"), []),
        (EventFilter(lead_id="L404"), []),
        (EventFilter(trace_id=f"{3:032x}"), ["delivery.accepted", "delivery.rejected"]),
        (EventFilter(kinds=["rejection"]), ["delivery.rejected"]),
        (EventFilter(kinds=["success"]), []),
        (EventFilter(tenant="acme"), []),
        (
            EventFilter(since_ns=START + 8 * SECOND, until_ns=START + 20 * SECOND),
            ["delivery.accepted", "delivery.rejected"],
        ),
        (EventFilter(since_ns=START + 21 * SECOND), []),
    ],
)
def test_events_are_filtered_by_all_conditions(source, which, expected):
    assert sorted(one.name for one in source.events(which)) == expected


def test_events_come_in_the_order_of_arrival_each_once_and_a_cursor_goes_on_from_there(source):
    found = list(source.events(EventFilter()))
    arrivals = [one.arrival for one in found]
    assert len(found) == len(EVENTS) + 1
    assert arrivals == sorted(set(arrivals))
    assert [one.name for one in source.events(EventFilter(limit=3))] == [one.name for one in found[:3]]
    after = source.events(EventFilter(after_arrival=arrivals[2]))
    assert [one.arrival for one in after] == arrivals[3:]


def test_the_nearest_lead_is_the_most_similar_one_or_none(source):
    assert source.nearest("L1x") == "L1"
    assert source.nearest("L11") == "L1"
    assert source.nearest("something else") == ""
    assert source.nearest("L9", "acme") in ("", "L1")


def test_a_source_says_what_it_holds(source):
    assert (source.holds.logs, source.holds.unfinished, source.holds.exhaustive, source.holds.note) == (
        True,
        True,
        True,
        "",
    )


def test_a_source_says_which_numbers_of_each_process_it_holds(source):
    """As runs, with the times at their ends and who it was; events without a number are in none."""
    [held] = source.sequences()
    assert (held.boot, held.held.runs, held.erased.runs) == (uid(1)[:16], ((1, 3),), ())
    assert (held.service, held.pid) == ("pipeline", 7)
    assert held.times == {1: START, 3: START + 3 * SECOND}
