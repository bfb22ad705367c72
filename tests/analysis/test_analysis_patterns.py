"""What usually follows what: sequences, stops and conversion, beside the same counted from the records by hand and by pandas."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_duckdb import InDuckDB
from small import HOUR, Story, ask, on_engines
from traffic import Traffic

from leadtrace.analysis.patterns import Conversion, Sequences, Stop, find_common_event_patterns
from leadtrace.errors import SettingsError
from leadtrace.otlp.records import Resource
from leadtrace.reading import Reader
from leadtrace.store.relations.interface import Relations

if TYPE_CHECKING:
    from leadtrace.otlp.records import EventRecord


def by_lead(traffic: Traffic, starts: bool = False) -> dict[str, list[EventRecord]]:
    found = defaultdict(list)
    for one in sorted(traffic.events, key=lambda one: (one.time_ns, one.uid)):
        if starts or one.attributes["leadtrace.kind"] != "start":
            found[one.lead_id].append(one)
    return found


def grams(names: list[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(names[at : at + length]) for at in range(len(names) - length + 1)]


@pytest.mark.parametrize(("length", "starts"), [(2, True), (3, False), (5, False)])
def test_sequences_are_those_of_the_records(reader: Reader, traffic: Traffic, length: int, starts: bool) -> None:
    times: Counter[tuple[str, ...]] = Counter()
    leads: Counter[tuple[str, ...]] = Counter()
    for events in by_lead(traffic, starts).values():
        found = grams([one.name for one in events], length)
        times.update(found)
        leads.update(set(found))
    rows = [one for one in reader.find_common_event_patterns(length=length, starts=starts) if one.sort == "common"]
    assert {one.sequence: (one.times, one.share.numerator) for one in rows} == {
        one: (times[one], leads[one]) for one in leads if leads[one] >= 6
    }
    assert {one.share.denominator for one in rows} == {traffic.truth.leads}


def test_what_was_fetched_already_gives_the_same(reader: Reader, traffic: Traffic) -> None:
    everything = by_lead(traffic, starts=True).values()
    for options in ({}, {"length": 4, "by": "word"}, {"length": 2, "starts": True}):
        mine = find_common_event_patterns(everything, **options)  # type: ignore[arg-type]
        theirs = reader.find_common_event_patterns(**options)
        assert [(o.sort, o.sequence, o.times, o.share.numerator, o.ended_badly.numerator, o.lift) for o in mine] == [
            (o.sort, o.sequence, o.times, o.share.numerator, o.ended_badly.numerator, o.lift) for o in theirs
        ]


def test_a_timeline_and_its_events_give_the_same(reader: Reader, traffic: Traffic) -> None:
    ids = sorted(by_lead(traffic))[:12]
    timelines = [reader.timeline(one) for one in ids]
    lists = [list(reader.events(lead_id=one)) for one in ids]
    assert find_common_event_patterns(timelines) == find_common_event_patterns(lists)
    assert len(find_common_event_patterns(timelines)) > 3


@pytest.mark.parametrize("options", [{}, {"per": "run", "by": "word", "length": 2}, {"per": "trace", "starts": True}])
def test_both_engines_say_the_same(engines: tuple[Relations, InDuckDB], options: dict[str, Any]) -> None:
    assert on_engines("patterns", engines, **options).rows


def test_stops_are_the_last_events_of_runs(reader: Reader, traffic: Traffic) -> None:
    last: dict[str, Any] = {}
    outcome = dict.fromkeys(
        (one.attributes["leadtrace.run_id"] for one in traffic.events if one.name == "flow.started"), ""
    )
    flows = {
        one.attributes["leadtrace.run_id"]: one.attributes["flow.name"]
        for one in traffic.events
        if one.name == "flow.started"
    }
    for one in sorted(traffic.events, key=lambda one: (one.time_ns, one.uid)):
        run = one.attributes["leadtrace.run_id"]
        if one.name == "flow.completed":
            outcome[run] = one.attributes["flow.summary.final_outcome"]
        elif run in outcome and one.name not in ("flow.started", "lead.state.changed", "error.occurred"):
            last[run] = one.name
    wanted = Counter((flows[run], last[run], outcome[run]) for run in outcome)
    found: Counter[Any] = Counter()
    for row in reader.report("patterns").of(Stop):
        found[row.flow, row.last_event, row.outcome] += row.runs
        assert row.share.denominator == sum(n for (flow, _, _), n in wanted.items() if flow == row.flow)
    assert found == wanted
    refused = [row for row in reader.report("patterns").of(Stop) if row.last_event == "validation.failed"]
    assert {row.what for row in refused} == {"has consent"}


def test_conversion_counts_leads_from_step_to_step(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    steps = ("lead.received", "enhancement.success", "delivery.started", "delivery.accepted")
    first = frame[frame["name"].isin(steps)].pivot_table(
        index="lead.id", columns="name", values="time_ns", aggfunc="min"
    )
    rows = reader.report("patterns", steps=steps).of(Conversion)
    for place, row in enumerate(rows):
        reached = first.dropna(subset=list(steps[: place + 1]))
        assert (row.step, row.leads) == (steps[place], len(reached))
        assert row.of_first.denominator == traffic.truth.leads
        if place:
            took = (reached[steps[place]] - reached[steps[place - 1]]).sort_values()
            assert row.median_ms == pytest.approx(took.iloc[(len(took) + 1) // 2 - 1] / 1e6)
            assert row.of_previous.denominator == rows[place - 1].leads


def test_without_steps_those_that_occur_are_taken() -> None:
    story = Story()
    for name in ("flow.started", "delivery.accepted"):
        story.tell(name, lead="a", run="r")
    assert [row.step for row in ask("patterns", story.events).of(Conversion)] == ["flow.started", "delivery.accepted"]
    assert ask("patterns", []).rows == ()


def test_what_a_flow_told_before_it_knew_its_lead_is_that_lead_s() -> None:
    story = Story()
    story.tell("flow.started", run="r", **{"leadtrace.kind": "start"})
    story.tell("operation.completed", run="r", at=1)
    story.tell("delivery.accepted", lead="a", run="r", at=2)
    story.tell("flow.completed", lead="a", run="r", at=3, **{"flow.summary.final_outcome": "delivered"})
    found = ask("patterns", [*story.events, *story.events], length=2)
    assert found.sample["leads"] == 1
    assert [(row.step, row.leads) for row in found.of(Conversion)] == [("flow.started", 1), ("delivery.accepted", 1)]
    assert found.of(Stop)[0].last_event == "delivery.accepted"


def journey(story: Story, lead: str, names: list[str], outcome: str = "delivered", at: int = 0) -> None:
    for number, name in enumerate(names):
        story.tell(name, lead=lead, run=f"run-{lead}", at=at + number, **{"leadtrace.kind": "milestone"})
    end = "flow.completed" if outcome not in ("failed", "cancelled", "interrupted") else f"flow.{outcome}"
    fields = {"flow.summary.final_outcome": outcome} if end == "flow.completed" else {}
    story.tell(end, lead=lead, run=f"run-{lead}", at=at + len(names), **fields)


def test_a_rare_sequence_that_ends_badly_is_found() -> None:
    story = Story()
    for number in range(400):
        odd = number % 50 == 0
        names = ["a.done", "b.done", "c.done"] if not odd else ["b.done", "a.done", "c.done"]
        journey(story, f"l{number}", names, "failed" if odd or number % 40 == 1 else "delivered")
    rare = [row for row in ask("patterns", story.events, length=2).of(Sequences) if row.sort == "rare_and_bad"]
    assert {row.sequence for row in rare} == {("b.done", "a.done"), ("a.done", "c.done")}
    for row in rare:
        assert (row.share.numerator, row.ended_badly.numerator) == (8, 8)
        assert row.lift == pytest.approx(400 / 18)
        assert row.chance is not None
        assert row.chance < 0.001


def test_chance_alone_makes_no_rare_bad_sequence() -> None:
    rng = random.Random(6)
    traces = []
    for number in range(400):
        story = Story()
        journey(story, f"l{number}", rng.choices("abcdef", k=6), "failed" if rng.random() < 0.1 else "delivered")
        traces.append(story.events)
    found = find_common_event_patterns(traces, length=3)
    assert len(found) > 50
    assert [row for row in found if row.sort == "rare_and_bad"] == []


def test_which_outcomes_are_bad_can_be_said() -> None:
    story = Story()
    for number in range(40):
        journey(story, f"l{number}", ["a.done", "b.done"], "rejected" if number < 10 else "delivered")
    (row, *_) = ask("patterns", story.events, length=2, bad=("rejected",)).of(Sequences)
    assert (row.ended_badly.numerator, row.ended_badly.denominator) == (10, 40)
    (row, *_) = ask("patterns", story.events, length=2).of(Sequences)
    assert row.ended_badly.numerator == 0


def test_clocks_that_are_off_change_no_conversion_and_are_told() -> None:
    story, behind = Story(), Resource({"service.name": "other"})
    for number in range(40):
        story.tell("lead.received", lead=f"l{number}", at=HOUR)
        late = story.tell(
            "delivery.accepted", lead=f"l{number}", at=HOUR - 5 if number < 4 else HOUR + 7, process=behind
        )
        late.attributes["log.record.uid"] = f"{9:016x}{number:012x}"  # type: ignore[index]
    found = ask("patterns", story.events, steps=("lead.received", "delivery.accepted"), length=2)
    received, accepted = found.of(Conversion)
    assert (received.leads, accepted.leads, accepted.out_of_order) == (40, 40, 4)
    assert accepted.median_ms == 7e-6
    assert "40 leads have events of several processes: their order is that of these processes' clocks" in found.notes
    assert "40 leads have not ended, and are in no share of bad ends" in found.notes


def test_a_run_without_an_end_stops_at_its_last_event() -> None:
    story = Story()
    story.tell("flow.started", lead="a", run="r", **{"flow.name": "F"})
    story.tell("enhancement.success", lead="a", run="r", at=1, **{"enhancement.name": "E"})
    (row,) = ask("patterns", story.events).of(Stop)
    assert (row.last_event, row.what, row.outcome, row.runs) == ("enhancement.success", "E", "", 1)


def test_a_length_that_cannot_be_is_refused() -> None:
    with pytest.raises(SettingsError, match="from 2 to 6"):
        ask("patterns", [], length=1)
    with pytest.raises(SettingsError, match="from 2 to 6"):
        find_common_event_patterns([], length=7)
    assert find_common_event_patterns([]) == ()


@settings(max_examples=25)
@given(
    leads=st.lists(st.lists(st.sampled_from("abc"), max_size=7), max_size=6), order=st.randoms(use_true_random=False)
)
def test_order_and_duplicates_change_nothing(leads: list[list[str]], order: random.Random) -> None:
    traces, mixed = [], []
    for number, names in enumerate(leads):
        story = Story()
        journey(story, f"l{number}", names)
        traces.append(story.events)
        twice = [*story.events, *story.events]
        order.shuffle(twice)
        mixed.append(twice)
    found = find_common_event_patterns(mixed, length=2)
    assert found == find_common_event_patterns(traces, length=2)
    times = Counter(one for names in leads for one in grams([*names, "flow.completed"], 2))
    assert {one.sequence: one.times for one in found} == {
        one: times[one] for one in times if sum(one in grams([*n, "flow.completed"], 2) for n in leads) >= 2
    }


def test_more_labels_than_can_be_followed_are_refused_with_what_to_do(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadtrace.analysis.patterns.MOST_IN_ORDER", 3)
    with pytest.raises(SettingsError, match=r"different labels are too many to follow.*ask by name"):
        reader.report("patterns", by="word")
