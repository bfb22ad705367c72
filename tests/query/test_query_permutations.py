"""The same records in any order, however often they come, are the same timeline."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.otlp.records import EventRecord, Resource, SpanRecord
from leadtrace.query.timeline import build, outline
from leadtrace.store.interface import Found

BEGAN = 1_795_300_000_000_000_000
SPANS = [f"{number:016x}" for number in range(1, 7)]
LEADS = ["lead_A", "lead_B", ""]
WORDS = ["flow", "step", "enhancement", "delivery", "attempt", "resume", ""]
NAMES = [
    ("flow.started", "start"),
    ("operation.started", "start"),
    ("api.call.attempted", "start"),
    ("flow.completed", "milestone"),
    ("flow.interrupted", "failure"),
    ("operation.completed", "success"),
    ("enhancement.success", "success"),
    ("delivery.accepted", "success"),
    ("delivery.pending", "milestone"),
    ("api.call.failed", "attempt_failure"),
    ("system.retry.attempted", "milestone"),
    ("error.occurred", "error"),
    ("lead.state.changed", "transition"),
    ("", ""),
]
TRACES = ["1" * 32, "2" * 32]


@st.composite
def events(draw: st.DrawFn, uid: int) -> EventRecord:
    name, kind = draw(st.sampled_from(NAMES))
    attributes: dict = {"leadtrace.kind": kind} if kind else {}
    for key, values in (
        ("lead.id", LEADS),
        ("leadtrace.word", WORDS),
        ("leadtrace.run_id", ["run_1", "run_2", ""]),
        ("leadtrace.parent_span_id", [*SPANS, ""]),
        ("delivery.id", ["d1", ""]),
        ("delivery.revenue", [1.5, 0.1, ""]),
        ("lead.state.to", ["new", "sold", ""]),
    ):
        value = draw(st.sampled_from(values))
        if value != "":
            attributes[key] = value
    if draw(st.booleans()):
        attributes["log.record.uid"] = f"{draw(st.sampled_from(['a', 'b'])):0>16}{uid:012x}"
    return EventRecord(
        name,
        BEGAN + draw(st.integers(0, 9)) * 1_000_000,
        draw(st.sampled_from(TRACES)),
        draw(st.sampled_from([*SPANS, ""])),
        attributes,
        Resource({"service.name": draw(st.sampled_from(["one", "two"]))}),
        index=uid,
    )


@st.composite
def spans(draw: st.DrawFn, trace_id: str, span_id: str) -> SpanRecord:
    began = BEGAN + draw(st.integers(0, 9)) * 1_000_000
    attributes: dict = {"lead.id": "lead_A"} if draw(st.booleans()) else {}
    if word := draw(st.sampled_from(WORDS)):
        attributes["leadtrace.word"] = word
    return SpanRecord(
        trace_id,
        span_id,
        f"span {span_id[-1]}",
        began,
        draw(st.sampled_from([0, began, began + 5_000_000])),
        draw(st.sampled_from([*SPANS, ""])),
        attributes=attributes,
        resource=Resource({"service.name": draw(st.sampled_from(["one", "two"]))}),
    )


@st.composite
def recorded(draw: st.DrawFn) -> Found:
    ids = draw(st.lists(st.tuples(st.sampled_from(TRACES), st.sampled_from(SPANS)), unique=True, max_size=6))
    count = draw(st.integers(0, 12))
    return Found([draw(spans(*one)) for one in ids], [draw(events(uid)) for uid in range(1, count + 1)])


@settings(max_examples=200)
@given(recorded(), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(found: Found, random) -> None:
    whole = build(found, "lead_A")
    again = Found(found.spans + deepcopy(found.spans[:3]), found.events + deepcopy(found.events[:5]))
    random.shuffle(again.spans)
    random.shuffle(again.events)
    assert build(again, "lead_A").as_json() == whole.as_json()
    assert build(again, "lead_A").text() == whole.text()


@settings(max_examples=200)
@given(recorded())
def test_each_record_of_the_lead_is_told_once_and_no_other_lead_is(found: Found) -> None:
    whole = build(found, "lead_A")
    uids = [one.uid for one in whole.events if one.uid]
    assert len(uids) == len(set(uids))
    named = {one.uid for one in found.events if one.uid and one.lead_id == "lead_A"}
    others = {one.uid for one in found.events if one.uid and one.lead_id == "lead_B"}
    assert named <= set(uids)
    assert not others & set(uids)
    spans = [(one.trace_id, one.span_id) for one in whole.entries if one.type == "span"]
    assert len(spans) == len(set(spans))
    assert {(one.trace_id, one.span_id) for one in found.spans if one.lead_id == "lead_A"} <= set(spans)


@settings(max_examples=200)
@given(recorded(), st.sampled_from([None, ""]))
def test_an_outline_says_of_spans_their_ends_and_runs_what_the_whole_timeline_says(
    found: Found, tenant: str | None
) -> None:
    whole, bare = build(found, "lead_A", tenant), outline(found, "lead_A", tenant)
    kept = [one for one in whole.entries if one.type == "span" or one.role == "end"]
    assert bare.entries == [
        replace(one, reader={}, attempt=None, marks=new.marks) for one, new in zip(kept, bare.entries, strict=True)
    ]
    assert bare.runs == [replace(one, counted={}, said={}, unattributed={}) for one in whole.runs]


@settings(max_examples=100)
@given(recorded(), st.integers(1, 200))
def test_no_line_is_wider_than_asked(found: Found, width: int) -> None:
    text = build(found, "lead_A").text(width)
    assert all(len(line) <= max(width, 40) for line in text.splitlines())


def test_a_tree_of_hundreds_of_levels_is_drawn(tape) -> None:
    """Depth is bounded by what was recorded, not by the interpreter's stack."""
    process = tape.process()
    open_words = []
    for number in range(700):
        word = process.word("step", f"level {number}", lead__id="lead_A")
        word.__enter__()
        open_words.append(word)
    for word in reversed(open_words):
        word.__exit__(None, None, None)
    found = tape.timeline()
    assert len(found.entries) == 2100
    assert max(one.depth for one in found.entries) == 700
    assert found.text().count("\n") >= 700
