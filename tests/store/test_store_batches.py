"""One lead of a large batch: what is read for it, and that the batch's own records do not become its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from leadtrace.query.timeline import build

_spec = importlib.util.spec_from_file_location("store_conftest", Path(__file__).with_name("conftest.py"))
given = sys.modules.setdefault("store_conftest", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(given)
a_span, an_event, lead, uid = given.a_span, given.an_event, given.lead, given.uid

LINES = 2_500  # more than what makes a trace a large one


def _batch(handed_over: bool, name=lambda line: lead(f"lead_{line}", "r1")):
    """A flow without a lead, and a step with its end event per line, beneath it or in a trace of its own."""
    of_run = {"leadtrace.run_id": "r1", "leadtrace.word": "flow"}
    spans = [a_span("batch", 0, 9, 1, 1, attributes=of_run)]
    events = [an_event("flow.completed", 9, 1, 1, attributes={**of_run, "log.record.uid": uid(1)})]
    for line in range(LINES):
        trace, span = (line + 10 if handed_over else 1), line + 10
        spans.append(a_span(f"line {line}", 1, 2, trace, span, 0 if handed_over else 1, attributes=name(line)))
        done = {**name(line), "log.record.uid": uid(span)}
        events.append(an_event("operation.completed", 2, trace, span, attributes=done))
    return spans, events


@pytest.mark.parametrize("opening", given.SOURCES.values(), ids=given.SOURCES)
@pytest.mark.parametrize("handed_over", [False, True], ids=["one trace", "a trace per line"])
def test_of_a_large_batch_a_lead_reads_little_and_gets_only_its_own(tmp_path, opening, handed_over):
    with opening(tmp_path, *_batch(handed_over)) as source:
        found = source.lead("lead_7")
    assert {"line 7", "batch"} <= {one.name for one in found.spans}
    assert len(found.spans) + len(found.events) < 10
    assert [one.name for one in build(found, "lead_7").entries] == ["line 7", "operation.completed"]


@pytest.mark.parametrize("handed_over", [False, True], ids=["one trace", "a trace per line"])
def test_a_batch_of_calls_for_several_leads_is_nobodys_either(store, handed_over):
    store.append(
        *_batch(handed_over, lambda line: {"leadtrace.lead_ids": [f"a_{line}", f"b_{line}"], "leadtrace.run_id": "r1"})
    )
    found = store.lead("a_7")
    assert len(found.spans) + len(found.events) < 10
    assert [one.name for one in build(found, "a_7").entries] == ["line 7", "operation.completed"]


@pytest.mark.parametrize("handed_over", [False, True], ids=["one trace", "a trace per line"])
def test_a_long_run_of_one_lead_keeps_what_it_told_before_it_knew_the_lead(store, handed_over):
    store.append(*_batch(handed_over, lambda line: lead("L1", "r1") if line else {"leadtrace.run_id": "r1"}))
    found = build(store.lead("L1"), "L1")
    assert {"batch", "line 0", "line 1", f"line {LINES - 1}"} <= {one.name for one in found.entries}


def test_what_a_run_told_of_no_lead_in_another_trace_is_read_though_others_lie_beside_it(store):
    """The flow's trace is its lead's; what was handed over names the lead in some traces, and nobody in one."""
    spans = [
        a_span("flow", 0, 9, 1, 1, attributes={**lead("L1", "r1"), "leadtrace.word": "flow"}),
        a_span("nameless", 1, 2, 2, 2, attributes={"leadtrace.run_id": "r1"}),
        a_span("beneath it", 1, 2, 2, 3, 2),
        a_span("of another", 1, 2, 3, 4, attributes=lead("L2", "r1")),
        a_span(
            "of several others", 1, 2, 4, 5, attributes={"leadtrace.run_id": "r1", "leadtrace.lead_ids": ["L2", "L3"]}
        ),
    ]
    store.append(spans, [])
    assert [one.name for one in build(store.lead("L1"), "L1").entries] == ["flow", "nameless", "beneath it"]
