"""The relations over a real store: every column takes out what it says, and is absent as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leadtrace.otlp.records import EventRecord, Resource, SpanRecord, Value
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.relations.facts import FACTS
from leadtrace.store.relations.interface import Slice

START = 1_790_000_000_000_000_000
PROCESS = Resource(
    {"service.name": "pipeline", "service.version": "2.1", "host.name": "h1", "service.instance.id": "i1"}
)


def an_event(name: str, at: int = 0, trace: int = 1, **attributes: Value) -> EventRecord:
    return EventRecord(name, START + at, f"{trace:032x}", f"{trace:016x}", attributes, PROCESS)


def asked(
    path: Path, events: list[EventRecord], spans: list[SpanRecord], sql: str, part: Slice | None = None
) -> list[Any]:
    store = EmbeddedStore.open(path / "store.db", write=True)
    store.append(spans, events)
    with store.relations(part or Slice()) as relations:
        found = relations.query(sql)
    store.close()
    return found


VALUES: dict[str, list[tuple[Value, Any]]] = {
    "text": [
        ("a", "a"),
        (7, "7"),
        (2**63 + 5, str(2**63 + 5)),
        ("", ""),
        (1.5, ""),
        (True, ""),
        (["a"], ""),
        ('it\'s "q" é', 'it\'s "q" é'),
    ],
    "list": [(["a", "b"], '["a","b"]'), ("a", ""), ([], "[]")],
    "whole": [(7, 7), (-1, -1), (7.0, None), ("7", None), (True, None), (2**63 + 5, 2**63 - 1)],
    "number": [(7, 7.0), (1.25, 1.25), ("7", None), (False, None), (float("nan"), None)],
    "flag": [(True, 1), (False, 0), (1, None), ("true", None)],
    "micro": [
        (12.5, 12_500_000),
        (3, 3_000_000),
        (0.1, 100_000),
        (-2.000001, -2_000_001),
        ("12.50", 12_500_000),
        ("1e3", 1_000_000_000),
        ("12 USD", None),
        ("", None),
        ("true", None),
        (True, None),
        (1e10, None),
    ],
}


@pytest.mark.parametrize("sort", list(VALUES))
def test_a_column_takes_what_its_sort_says_and_nothing_else(tmp_path: Path, sort: str) -> None:
    fact = next(one for one in FACTS if one.sort == sort and len(one.attributes) == 1)
    events = [an_event("x", number, **{fact.attributes[0]: value}) for number, (value, _) in enumerate(VALUES[sort])]
    events.append(an_event("x", 99))
    found = asked(tmp_path, events, [], f"SELECT {fact.name} FROM lead_events ORDER BY time_ns")
    absent = "" if sort in ("text", "list") else None
    assert [value for (value,) in found] == [*(wanted for _, wanted in VALUES[sort]), absent]


def test_every_column_stands_in_both_relations_and_reads_its_first_attribute(tmp_path: Path) -> None:
    samples: dict[str, tuple[Value, Any]] = {
        "text": ("t", "t"),
        "list": (["l"], '["l"]'),
        "whole": (3, 3),
        "number": (2.5, 2.5),
        "flag": (True, 1),
        "micro": (0.25, 250_000),
    }
    events = [
        an_event("x", number, trace=number + 1, **{one.attributes[0]: samples[one.sort][0]})
        for number, one in enumerate(FACTS)
    ]
    spans = [
        SpanRecord(
            one.trace_id, one.span_id, "s", one.time_ns, one.time_ns + 5, attributes=one.attributes, resource=PROCESS
        )
        for one in events
    ]
    names = ", ".join(one.name for one in FACTS)
    for relation, time in (("lead_events", "time_ns"), ("lead_spans", "start_ns")):
        folder = tmp_path / relation
        rows = asked(folder, events, spans, f"SELECT {names} FROM {relation} ORDER BY {time}")
        assert [row[number] for number, row in enumerate(rows)] == [samples[one.sort][1] for one in FACTS]


def test_of_several_attributes_the_first_that_says_something_is_taken(tmp_path: Path) -> None:
    events = [
        an_event("a", 0, **{"flow.journey.source": "google", "lead.source": "other"}),
        an_event("b", 1, **{"flow.journey.source": "", "lead.source": "partner"}),
    ]
    assert asked(tmp_path, events, [], "SELECT source FROM lead_events ORDER BY time_ns") == [("google",), ("partner",)]


def test_an_event_without_a_kind_has_the_catalogue_s(tmp_path: Path) -> None:
    events = [an_event("flow.started"), an_event("ours", 1), an_event("flow.started", 2, **{"leadtrace.kind": "odd"})]
    assert asked(tmp_path, events, [], "SELECT kind FROM lead_events ORDER BY time_ns") == [("start",), ("",), ("odd",)]


def test_money_has_a_currency_even_where_none_was_told(tmp_path: Path) -> None:
    events = [
        an_event("enhancement.success", 0, **{"enhancement.cost": 1, "enhancement.currency": "EUR"}),
        an_event("enhancement.success", 1, **{"enhancement.cost": 1, "currency": "GBP"}),
        an_event("enhancement.success", 2, **{"enhancement.cost": 1}),
    ]
    sql = "SELECT currency, currency_said FROM lead_events ORDER BY time_ns"
    assert asked(tmp_path, events, [], sql) == [("EUR", "EUR"), ("GBP", "GBP"), ("USD", "")]


def test_who_recorded_it_stands_beside_each_record(tmp_path: Path) -> None:
    sql = "SELECT service, service_version, instance, host, environment, trace_id, span_id FROM "
    event = an_event("x", trace=0xAB)
    span = SpanRecord(event.trace_id, event.span_id, "s", START, 0, f"{5:016x}", 3, "error", resource=PROCESS)
    wanted = ("pipeline", "2.1", "i1", "h1", "", event.trace_id, event.span_id)
    assert asked(tmp_path, [event], [span], sql + "lead_events") == [wanted]
    assert asked(tmp_path, [], [], sql + "lead_spans") == [wanted]
    more = "SELECT parent_span_id, span_kind, status, length_ns, end_ns FROM lead_spans"
    assert asked(tmp_path, [], [], more) == [(f"{5:016x}", 3, "error", None, 0)]


def test_a_run_knows_its_flow_and_its_last_end_whatever_the_window(tmp_path: Path) -> None:
    run = {"leadtrace.run_id": "r1", "flow.name": "F", "flow.version": 3}
    events = [
        an_event("flow.started", 10, **run, **{"flow.journey.source": "google", "flow.journey.campaign": "spring"}),
        an_event("flow.failed", 20, **run),
        an_event(
            "flow.completed",
            30,
            **run,
            **{"lead.id": "L", "flow.summary.final_outcome": "delivered", "flow.summary.total_duration_ms": 2.5},
        ),
        an_event("flow.started", 15, **{"leadtrace.run_id": "r2", "flow.name": "G", "leadtrace.parent_run_id": "r1"}),
    ]
    sql = (
        "SELECT run_id, parent_run_id, lead_id, flow_name, flow_version, source, campaign, start_ns, end_ns, ends, outcome, "
        "duration_ms FROM lead_runs ORDER BY run_id"
    )
    found = asked(tmp_path, events, [], sql, Slice(START + 25, START + 26))
    assert found == [
        ("r1", "", "L", "F", "3", "google", "spring", START + 10, START + 30, 2, "delivered", 2.5),
        ("r2", "r1", "", "G", "", "", "", START + 15, None, 0, "", None),
    ]


def test_a_record_of_several_leads_is_each_one_s(tmp_path: Path) -> None:
    several = an_event("enhancement.started", **{"leadtrace.lead_ids": ["a", "b"], "tenant_key": "t"})
    sql = "SELECT s.lead_id, s.tenant, e.name FROM lead_shared s JOIN lead_events e ON e.arrival = s.arrival ORDER BY 1"
    assert asked(tmp_path, [several], [], sql) == [("a", "t", "enhancement.started"), ("b", "t", "enhancement.started")]


def test_one_state_of_the_store_answers_all_queries_of_an_analysis(tmp_path: Path) -> None:
    store = EmbeddedStore.open(tmp_path / "store.db", write=True)
    store.append([], [an_event("x", 0)])
    reading = EmbeddedStore.open(tmp_path / "store.db")
    with reading.relations(Slice()) as relations:
        assert relations.query("SELECT count(*) FROM lead_events") == [(1,)]
        store.append([], [an_event("x", 1, **{"log.record.uid": "1" * 28})])
        assert relations.query("SELECT count(*) FROM lead_events") == [(1,)]
        assert relations.within(START + 1).query("SELECT count(*) FROM all_events") == [(1,)]
    with reading.relations(Slice()) as relations:
        assert relations.query("SELECT count(*) FROM lead_events") == [(2,)]
    reading.close()
    store.close()


def test_the_store_s_file_is_not_changed_by_asking(tmp_path: Path) -> None:
    asked(tmp_path, [an_event("x")], [], "SELECT 1")
    before = (tmp_path / "store.db").read_bytes()
    reading = EmbeddedStore.open(tmp_path / "store.db")
    with reading.relations(Slice(tenant="t")) as relations:
        assert relations.query("SELECT count(*) FROM lead_events, lead_runs") == [(0,)]
    reading.close()
    assert (tmp_path / "store.db").read_bytes() == before


def test_parameters_stand_in_the_text_by_name(tmp_path: Path) -> None:
    store = EmbeddedStore.open(tmp_path / "store.db", write=True)
    store.append([], [an_event("x", 0), an_event("y", 1)])
    with store.relations(Slice()) as relations:
        assert relations.query("SELECT name FROM lead_events WHERE name = $name", {"name": "y", "more": 1}) == [("y",)]
    store.close()
