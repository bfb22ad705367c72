"""Where a run's time went: the critical path and self times, by hand, by construction, and under whatever may go wrong."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from drawn import MS, Drawn, merged, passage, records, sources_example, timeline, word
from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.analysis.critical_path import critical_path, self_time_ns
from leadtrace.analysis.passages import Passage, passages_of
from leadtrace.query.timeline import build, outline
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import Found, LeadFilter


def path(found: Passage) -> list[tuple[str, float]]:
    return [(one.piece.name, one.ms) for one in critical_path(found.root)]


def test_the_sources_example_waits_longest_for_its_delivery() -> None:
    """The document marks the 300 ms enhancement; the run waits 550 ms for the delivery."""
    found = passage(sources_example())
    assert path(found) == [
        ("Source validation", 100),
        ("Enhancement 1", 300),
        ("Enhancement 2", 200),
        ("Routing", 50),
        ("deliver to Premier", 550),
    ]
    assert self_time_ns(found.root) == 0


def test_of_calls_that_run_beside_each_other_only_the_last_is_waited_for() -> None:
    found = passage(
        word(
            "flow",
            "F",
            0,
            100,
            word("enhancement", "slow", 10, 60),
            word("enhancement", "quick", 10, 30),
            word("step", "after", 70, 90),
        )
    )
    assert path(found) == [("F", 10), ("slow", 50), ("F", 10), ("after", 20), ("F", 10)]


def test_a_call_that_runs_on_beside_the_next_is_waited_for_until_the_next_begins() -> None:
    found = passage(word("flow", "F", 0, 12, word("step", "a", 0, 10), word("step", "b", 5, 12)))
    assert path(found) == [("a", 5), ("b", 7)]


def test_what_outlives_its_caller_holds_nobody_up() -> None:
    found = passage(word("flow", "F", 0, 100, word("step", "outer", 0, 50, word("step", "task", 20, 90))))
    assert path(found) == [("outer", 20), ("task", 30), ("F", 50)]


def test_a_try_is_the_time_of_the_word_that_it_runs_under() -> None:
    found = passage(word("flow", "F", 0, 100, word("delivery", "deliver to A", 0, 100, word("attempt", "POST", 5, 95))))
    homes = [(one.piece.home.name, one.ms) for one in critical_path(found.root)]
    assert homes == [("deliver to A", 5), ("deliver to A", 90), ("deliver to A", 5)]


def test_a_call_into_a_service_whose_clock_is_off_is_put_into_its_caller() -> None:
    for off_ms in (-500, 0.0, 700):
        found = passage(
            word(
                "flow",
                "F",
                0,
                100,
                word(
                    "attempt",
                    "POST",
                    20,
                    80,
                    word("step", "their work", 30, 70, word("step", "deep", 40, 60), service="theirs", off_ms=off_ms),
                ),
            ),
        )
        inner = next(one for one in found.root.walk() if one.name == "deep")
        if off_ms:  # the service's other spans are moved with it only where they are of that service
            assert found.shifted
        assert dict(path(found))["POST"] == 10
        assert inner.duration_ms == 20


def test_work_taken_up_later_is_part_of_the_run_with_the_wait_between() -> None:
    flow = word("flow", "F", 0, 100, word("step", "a", 0, 100), flow__summary__handed_over=["h1"])
    flow.end = ("flow.handed_over", "milestone")
    later = word("resume", "resume F", 400, 460, word("step", "b", 410, 450), leadtrace__handover_id="h1")
    found = passage(flow, later)
    assert found.duration_ms == 460
    assert path(found) == [("a", 100), ("F", 300), ("resume F", 10), ("b", 40), ("resume F", 10)]


def test_a_word_without_an_end_counts_as_its_callers_time_and_is_counted() -> None:
    found = passage(word("flow", "F", 0, 100, word("step", "a", 10, None), word("step", "b", 50, 90)))
    assert path(found) == [("F", 50), ("b", 40), ("F", 10)]
    assert found.unfinished == 1


def test_a_run_that_has_not_ended_is_no_passage() -> None:
    assert passages_of(timeline(word("flow", "F", 0, None, word("step", "a", 0, 10)))) == []


def test_a_nested_flow_is_a_passage_of_its_own_and_part_of_the_outer() -> None:
    inner = word("flow", "Inner", 10, 60, word("step", "a", 20, 50), leadtrace__run_id="run_2")
    found = records(word("flow", "Outer", 0, 100, inner))
    for record in (*found.spans, *found.events):
        if record.attributes.get("leadtrace.name") in ("Inner", "a"):
            record.attributes["leadtrace.run_id"] = "run_2"
    outer, nested = passages_of(build(found, "lead_A"))
    assert (outer.duration_ms, nested.duration_ms) == (100, 50)
    assert path(outer) == [("Outer", 10), ("Inner", 10), ("a", 30), ("Inner", 10), ("Outer", 40)]


# --- against runs whose critical path is known by how they were made -----------------------------------------------------


@st.composite
def made(draw: st.DrawFn, began: int = 0, name: str = "w") -> tuple[Drawn, dict[str, int]]:
    """A word whose children run one after the other or all at once, and what of it is waited for, by construction."""
    ways = ["leaf"] if len(name) > 3 else ["leaf", "turns", "beside"]
    way = draw(st.sampled_from(ways))
    before, after = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    if way == "leaf":
        taken = draw(st.integers(1, 40))
        return word("step", name, began, began + taken), {name: taken}
    waited: dict[str, int] = {name: before + after}
    below: list[Drawn] = []
    at = began + before
    if way == "turns":
        for number in range(draw(st.integers(1, 3))):
            child, told = draw(made(at, f"{name}{number}"))
            below.append(child)
            waited |= told
            gap = draw(st.integers(0, 3))
            waited[name] += gap
            at = int(child.ended or 0) + gap
        return word("step", name, began, at + after, *below), waited
    several = [draw(made(at, f"{name}{number}")) for number in range(draw(st.integers(2, 3)))]
    longest = max(one.ended or 0 for one, _ in several)
    held = [one for one in several if one[0].ended == longest]
    if len(held) > 1:  # of equals any may be waited for; one is kept
        several = [one for one in several if one[0].ended != longest] + held[:1]
    return word("step", name, began, longest + after, *(one for one, _ in several)), waited | held[0][1]


@given(made())
@settings(max_examples=50)
def test_the_path_of_a_run_made_of_turns_and_of_work_beside_work_is_the_one_it_was_made_with(
    drawn: tuple[Drawn, dict[str, int]],
) -> None:
    top, waited = drawn
    found = passage(replace(word("flow", "F", 0, top.ended), below=(top,)))
    told: dict[str, float] = {}
    for name, ms in path(found):
        told[name] = told.get(name, 0) + ms
    assert told == {name: ms for name, ms in waited.items() if ms}


@st.composite
def anything(draw: st.DrawFn, low: int = 0, high: int = 200, depth: int = 0) -> Drawn:
    """A word with whatever beneath it: overlapping, of no length, outliving it, begun before it."""
    began = draw(st.integers(low, high))
    ended = draw(st.integers(began, high + 20))
    below = (
        ()
        if depth > 2
        else tuple(draw(st.lists(anything(max(began - 10, 0), max(ended, began), depth + 1), max_size=3)))
    )
    service = draw(st.sampled_from(["intake", "intake", "other"]))
    return word(
        "step", f"s{depth}", began, ended, *below, service=service, off_ms=draw(st.sampled_from([0, 0, -300, 50]))
    )


@given(st.lists(anything(), max_size=4))
@settings(max_examples=50)
def test_the_stretches_of_any_path_follow_each_other_and_fill_the_run(below: list[Drawn]) -> None:
    found = passage(word("flow", "F", 0, 210, *below))
    stretches = critical_path(found.root)
    at = found.root.began_ns
    for one in stretches:
        assert one.began_ns == at
        assert one.ended_ns > one.began_ns
        at = one.ended_ns
    assert at == found.root.ended_ns
    # At no moment is a word waited for itself while something beneath it runs on the path's own terms.
    for one in stretches:
        middle = (one.began_ns + one.ended_ns) // 2
        assert not any(child.began_ns < middle < child.ended_ns for child in one.piece.below)


@given(st.lists(anything(), max_size=3), st.randoms())
@settings(max_examples=30)
def test_order_of_arrival_and_duplicates_do_not_change_the_path(below: list[Drawn], chance: random.Random) -> None:
    found = records(word("flow", "F", 0, 210, *below))
    spans, events = [*found.spans, *found.spans[::2]], [*found.events, *found.events[::3]]
    chance.shuffle(spans)
    chance.shuffle(events)
    (one,) = passages_of(build(found, "lead_A"))
    (other,) = passages_of(build(Found(spans, events), "lead_A"))
    assert path(one) == path(other)


@pytest.mark.parametrize("kept", [{"spans": False}, {"events": False}])
def test_spans_alone_and_events_alone_give_the_same_path(kept: dict) -> None:
    """A trace that was sampled out, and what Jaeger keeps."""
    assert path(passage(sources_example(), **kept)) == path(passage(sources_example()))


def test_runs_of_one_lead_do_not_mix() -> None:
    found = merged(
        records(sources_example(), run="run_1"),
        records(word("flow", "Second", 0, 50, word("step", "x", 0, 50)), run="run_2", trace=2, at_ms=5000),
    )
    first, second = passages_of(build(found, "lead_A"))
    assert (first.duration_ms, second.duration_ms) == (1200, 50)
    assert second.root.began_ns - first.root.began_ns == 5000 * MS


def work(found: Passage) -> tuple[object, ...]:
    """All that is reckoned with of a run."""
    run = found.run
    facts = (run.run_id, run.name, run.version, run.began_ns, run.ended_ns, run.ended_by, run.outcome, run.money)
    pieces = [
        (piece.name, piece.word, piece.began_ns, piece.ended_ns, piece.finished, piece.outcome, piece.home.name)
        for piece in found.root.walk()
    ]
    said = [(one.cost, one.currency, one.cache_hit, one.attributes, len(one.below)) for one in found.root.walk()]
    return facts, found.unfinished, found.shifted, pieces, said


def test_a_run_is_the_same_work_out_of_an_outline_as_out_of_the_whole_timeline(traffic_path: str) -> None:
    """Runs of all sorts, those that were handed over, sampled out or never ended among them."""
    store = EmbeddedStore.open(traffic_path)
    for row in store.leads(LeadFilter(limit=200)):
        found = store.lead(row.lead_id)
        assert list(map(work, passages_of(outline(found, row.lead_id)))) == list(
            map(work, passages_of(build(found, row.lead_id)))
        )
    store.close()
