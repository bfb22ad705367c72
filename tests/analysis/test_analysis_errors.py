"""Errors in groups: the sources' own example, planted patterns found, none found where only chance was at work."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_duckdb import InDuckDB
from small import DAY, HOUR, START, Story, ask, on_engines
from traffic import Traffic

from leadtrace.analysis.chance import at_least
from leadtrace.analysis.error_groups import ErrorGroup
from leadtrace.analysis.errors import analyze_error_patterns
from leadtrace.analysis.rhythm import QUARTER, periodic, when
from leadtrace.errors import SettingsError
from leadtrace.otlp.records import Resource
from leadtrace.reading import Reader
from leadtrace.store.relations.interface import Relations

MINUTE = HOUR // 60


def failed(story: Story, group: str, at: int, span: int = 0, **more: Any) -> None:
    number = len(story.events)
    story.tell("error.occurred", lead=f"l{number}", at=at, span=span, **{"error.fingerprint": group, **more})


def begun(story: Story, at: int, span: int = 0, **fields: Any) -> None:
    word = next(iter(fields)).partition(".")[0]
    told = {"leadtrace.word": word, "leadtrace.kind": "start", **fields}
    story.tell(f"{word}.started", lead=f"t{len(story.events)}", at=at, span=span, **told)


def the_sources_week() -> Story:
    """Parsing errors all from one buyer, mostly at two in the afternoon; time-outs of one service; access refused each 30 days."""
    story, rng, span = Story(), random.Random(4), 10**6
    for hour in range(0, 128 * 24, 4):
        for one in ("Buyer X", "Buyer Z"):
            begun(story, hour * HOUR, **{"delivery.buyer": one})
        for one in ("Service Y", "Service W", "Service V"):
            begun(story, hour * HOUR + MINUTE, **{"enhancement.service": one})
    parsing = {"error.category": "processing", "error.subcategory": "parsing", "error.type": "ValueError"}
    timeout = {"error.category": "technical", "error.subcategory": "timeout", "error.type": "TimeoutError"}
    refused = {"error.category": "technical", "error.subcategory": "authentication", "error.type": "Refused"}
    week = 121 * DAY
    for number in range(900):
        begun(story, week + number * 7 * DAY // 900, **{"delivery.buyer": "Buyer Z"})
        begun(story, week + number * 7 * DAY // 900, **{"enhancement.service": "Service W"})
    for number in range(234):
        span += 1
        at = (
            week
            + number % 7 * DAY
            + (14 * HOUR + rng.randrange(60) * MINUTE if number < 200 else rng.randrange(24) * HOUR)
        )
        begun(story, at, span, **{"delivery.buyer": "Buyer X"})
        failed(story, "parsing", at, span, **parsing)
    for number in range(567):
        span += 1
        at = week + number * 7 * DAY // 567
        begun(story, at, span, **{"enhancement.service": "Service Y"})
        failed(story, "timeout", at, span, **timeout)
    for cycle in range(5):
        for number in range(9):
            failed(story, "auth", cycle * 30 * DAY + 2 * DAY + number * 7 * MINUTE, **refused)
    return story


def test_the_sources_own_week_is_told_as_they_tell_it() -> None:
    now = 128 * DAY
    found = ask(
        "errors", the_sources_week().events, since_ns=START + 121 * DAY, until_ns=START + now, now_ns=START + now
    )
    groups = {row.group: row for row in found.rows}
    assert {key: row.errors for key, row in groups.items()} == {"parsing": 234, "timeout": 567, "auth": 9}
    assert found.sample["errors"] == 810

    parsing = groups["parsing"]
    assert [(one.dimension, one.value, one.affected, one.of) for one in parsing.concentrations] == [
        ("buyer", "Buyer X", 234, 234)
    ]
    assert parsing.peak_hours == (14,)
    assert parsing.hours[14] >= 200
    assert parsing.suggestion == "Tell this buyer's technical team, with a raw answer of it."
    assert parsing.pattern.startswith("all of buyer Buyer X (234 of 234, ")
    assert "between 14:00 and 15:00" in parsing.pattern

    timeout = groups["timeout"]
    assert [(one.dimension, one.value) for one in timeout.concentrations] == [("service", "Service Y")]
    assert timeout.peak_hours == ()
    assert "raise the time-out or cache" in timeout.suggestion

    auth = groups["auth"]
    assert (auth.period_ms, auth.cycles) == (30 * DAY / 1e6, 4)
    assert auth.next_expected_ns == START + 152 * DAY
    assert auth.suggestion == "Renew the token automatically, before it runs out again."


def test_two_cycles_are_no_rhythm_and_a_missed_one_ends_it() -> None:
    bursts = {cycle * 30 * DAY: 8 for cycle in range(4)}
    traffic = dict.fromkeys(range(0, 95 * DAY, HOUR), 5)
    assert periodic(dict(list(bursts.items())[:3]), traffic, 95 * DAY, 95 * DAY) is None
    found = periodic(bursts, traffic, 95 * DAY, 95 * DAY)
    assert found is not None
    assert (found.period_ns, found.cycles, found.next_ns) == (30 * DAY, 3, 120 * DAY)
    assert periodic(bursts, dict.fromkeys(range(0, 130 * DAY, HOUR), 5), 130 * DAY, 130 * DAY) is None


def test_work_done_by_day_only_makes_no_daily_rhythm() -> None:
    rng = random.Random(1)
    by_day = [day * DAY + hour * HOUR for day in range(30) for hour in range(9, 17)]
    assert periodic(Counter(rng.choices(by_day, k=150)), dict.fromkeys(by_day, 20), 30 * DAY, 30 * DAY) is None


def test_chance_alone_makes_hardly_ever_a_rhythm() -> None:
    found = 0
    for seed in range(300):
        rng = random.Random(seed)
        traffic = {at: rng.randrange(1, 9) for at in range(0, 28 * DAY, HOUR)}
        weights = list(traffic.values())
        errors = Counter(rng.choices(list(traffic), weights, k=rng.choice((4, 6, 10, 30))))
        found += periodic(errors, traffic, 28 * DAY, 28 * DAY) is not None
    assert found <= 3


def test_chance_alone_makes_hardly_ever_a_pattern() -> None:
    found = 0
    for seed in range(4):
        story, rng = Story(), random.Random(seed)
        processes = [
            Resource({"service.name": "p", "host.name": f"h{n}", "service.version": f"{n % 2}"}) for n in range(6)
        ]
        for number in range(600):
            run, process, at = f"r{number}", rng.choice(processes), rng.randrange(7 * DAY)
            flow = {"flow.name": "F", "flow.journey.campaign": rng.choice("abc"), "leadtrace.kind": "start"}
            story.tell("flow.started", lead=run, run=run, at=at, process=process, **flow)
            if rng.random() < 0.3:
                group = {"error.fingerprint": f"g{rng.randrange(6)}"}
                story.tell("error.occurred", lead=run, run=run, at=at + 1, process=process, **group)
        groups = analyze_error_patterns(story.events)
        assert len(groups) == 6
        found += sum(bool(one.pattern) for one in groups)
    assert found == 0


def test_planted_patterns_are_found_with_the_counts_of_pandas(reader: Reader, traffic: Traffic) -> None:
    found = reader.report("errors")
    groups = {row.group: row for row in found.rows}
    assert {key: row.errors for key, row in groups.items()} == dict(traffic.truth.errors)
    frame = traffic.frame()
    wrong = frame[frame["name"] == "error.occurred"]
    runs = frame[frame["name"] == "flow.started"].set_index("leadtrace.run_id")
    bad = groups["parse-spring"]
    concentrated = {(one.dimension, one.value): one for one in bad.concentrations}
    mine = wrong[wrong["error.fingerprint"] == "parse-spring"]
    for name, values in (
        ("host", frame[frame["name"].isin(["flow.started", "delivery.started", "enhancement.started"])]["host"]),
        ("campaign", runs["flow.journey.campaign"]),
    ):
        value = {"host": "worker-3", "campaign": "spring"}[name]
        one = concentrated[name, value]  # type: ignore[index]
        usual = (values == value).mean()
        assert (one.affected, one.of) == (len(mine), len(mine))
        assert (one.usual, one.lift) == (pytest.approx(usual), pytest.approx(1 / usual))
    outage = groups["beta-refused"]
    assert {one.value for one in outage.concentrations} <= {"Beta"}
    assert (outage.first_ns, outage.last_ns) == (
        wrong[wrong["error.fingerprint"] == "beta-refused"]["time_ns"].min(),
        wrong[wrong["error.fingerprint"] == "beta-refused"]["time_ns"].max(),
    )
    assert bad.sample_leads == tuple(mine.sort_values("time_ns", ascending=False)["lead.id"][:5])


def test_events_already_fetched_give_the_same_groups(reader: Reader, traffic: Traffic) -> None:
    now = max(one.time_ns for one in traffic.events)
    rows = reader.analyze_error_patterns(now_ns=now)
    assert analyze_error_patterns(traffic.events, now_ns=now) == rows
    shuffled = [*traffic.events, *traffic.events[:500]]
    random.Random(3).shuffle(shuffled)
    assert analyze_error_patterns(shuffled, now_ns=now) == rows


def test_errors_alone_have_counts_and_no_concentration(traffic: Traffic) -> None:
    alone = analyze_error_patterns(one for one in traffic.events if one.name == "error.occurred")
    assert {one.group: one.errors for one in alone} == dict(traffic.truth.errors)
    assert {one.concentrations for one in alone} == {()}


@pytest.mark.parametrize("of", ["errors", "failures", "attempt_failures"])
def test_both_engines_say_the_same(engines: tuple[Relations, InDuckDB], of: str) -> None:
    assert on_engines("errors", engines, of=of).rows
    assert on_engines("errors", engines, of=of, since_ns=START + 2 * DAY, until_ns=START + 4 * DAY).rows


def test_failed_tries_and_failures_are_never_mixed(reader: Reader, traffic: Traffic) -> None:
    tries = reader.report("errors", of="attempt_failures")
    assert sum(row.errors for row in tries.rows) == traffic.truth.tries["failed"]
    failures = reader.report("errors", of="failures")
    kinds = Counter(one.attributes["leadtrace.kind"] for one in traffic.events)
    assert sum(row.errors for row in failures.rows) == kinds["failure"]
    assert {row.group.split()[0] for row in tries.rows} == {"api.call.failed"}
    assert "api.call.failed" not in {row.group.split()[0] for row in failures.rows}


def test_an_error_of_a_try_belongs_to_the_buyer_that_was_called() -> None:
    story = Story()
    begun(story, 0, 1, **{"delivery.buyer": "Acme"})
    story.tell("api.call.attempted", span=2, **{"leadtrace.word": "attempt", "leadtrace.parent_span_id": f"{1:016x}"})
    failed(
        story,
        "g",
        1,
        2,
        **{"error.type": "TimeoutError", "error.subcategory": "timeout", "error.category": "technical"},
    )
    for _ in range(40):
        begun(story, 0, **{"delivery.buyer": "Other"})
    (row,) = ask("errors", story.events).rows
    assert (row.in_tries, row.title) == (1, "Delivery got no answer in time")
    (same,) = analyze_error_patterns(story.events)
    assert same == replace(row, share=same.share)


@pytest.mark.parametrize("days", [0, 1, 5])
def test_the_call_of_an_error_is_known_though_it_began_long_before_the_window(days: int) -> None:
    """And that of a try, whose own start lies in the window, though only the call's does not."""
    story = Story()
    begun(story, 0, 1, **{"delivery.buyer": "Acme"})
    tried = {"leadtrace.word": "attempt", "leadtrace.parent_span_id": f"{1:016x}"}
    story.tell("api.call.attempted", span=2, at=days * DAY, **tried)
    wrong = {"error.fingerprint": "g", "error.type": "TimeoutError", "error.subcategory": "timeout"}
    for span in (1, 2, 3):
        story.tell("error.occurred", lead=f"l{span}", span=span, at=days * DAY + 1, **wrong)
    begun(story, days * DAY + 2, **{"delivery.buyer": "Other"})
    (row,) = ask("errors", story.events, since_ns=START + days * DAY, until_ns=START + days * DAY + HOUR).rows
    assert (row.errors, row.in_tries, row.title) == (3, 1, "Delivery got no answer in time")


def test_an_error_told_a_second_time_is_one_and_its_flow_s_end_counts() -> None:
    story = Story()
    for number in range(30):
        run = f"r{number}"
        story.tell("error.occurred", run=run, lead=run, **{"error.fingerprint": "g", "error.type": "E"})
        story.tell("error.occurred", run=run, lead=run, **{"error.fingerprint": "g", "leadtrace.amends": "7" * 28})
        if number < 10:
            story.tell("flow.failed", run=run, lead=run, at=9, **{"error.type": "E", "flow.name": "F"})
    (row,) = ask("errors", story.events).rows
    assert (row.errors, row.related_errors, row.leads) == (30, 29, 30)
    assert (row.flows_stopped.numerator, row.flows_stopped.denominator) == (10, 30)


def test_an_error_before_the_flow_knew_its_lead_is_that_lead_s() -> None:
    story = Story()
    story.tell("flow.started", run="r", **{"flow.name": "F", "leadtrace.kind": "start"})
    story.tell("error.occurred", run="r", at=1, **{"error.fingerprint": "g"})
    story.tell("flow.completed", run="r", lead="a", at=2)
    (row,) = ask("errors", story.events).rows
    (same,) = analyze_error_patterns(story.events)
    assert row.sample_leads == same.sample_leads == ("a",)
    assert row.leads == same.leads == 1


def test_a_trend_is_told_against_the_work_begun() -> None:
    story = Story()
    for number in range(100):
        begun(story, number * HOUR, **{"delivery.buyer": "A"})
        if number >= 50 or number % 10 == 0:
            failed(story, "more", number * HOUR)
        if number % 3 == 0:
            failed(story, "same", number * HOUR)
    found = {row.group: row for row in ask("errors", story.events).rows}
    assert (found["more"].trend, found["more"].earlier, found["more"].later) == ("rising", 5, 50)
    assert found["more"].pattern_detected
    assert (found["same"].trend, found["same"].pattern_detected) == ("steady", False)


def test_one_lead_s_retries_are_one_and_make_no_pattern() -> None:
    story = Story(host="bad")
    good = Resource({"service.name": "p", "host.name": "good"})
    for number in range(60):
        story.tell(
            "flow.started", lead=f"l{number}", at=number, process=good if number % 2 else None, **{"flow.name": "F"}
        )
    for number in range(50):
        story.tell("error.occurred", lead="l0", at=number * MINUTE, **{"error.fingerprint": "g"})
    (row,) = ask("errors", story.events).rows
    assert (row.errors, row.leads, row.concentrations) == (50, 1, ())


def test_hours_are_of_the_zone_asked_for() -> None:
    at = START // QUARTER * QUARTER + 22 * HOUR
    assert when({at: 3}, ZoneInfo("Asia/Kathmandu"))[0][3] == 3  # 22:00 UTC is 03:45 of the next day
    assert when({at: 3}, ZoneInfo("Asia/Kathmandu"))[1] == (0, 3, 0, 0, 0, 0, 0)
    with pytest.raises(SettingsError, match="no time zone 'Mars'"):
        ask("errors", [], zone="Mars")


@pytest.mark.parametrize(("k", "n", "p"), [(3, 10, 0.2), (1, 5, 0.01), (50, 60, 0.5), (0, 3, 0.5), (5, 5, 0.3)])
def test_the_binomial_tail_is_the_sum_of_its_terms(k: int, n: int, p: float) -> None:
    from math import comb

    assert at_least(k, n, p) == pytest.approx(sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)))


@settings(max_examples=20)
@given(
    errors=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.integers(0, 3)), max_size=25),
    order=st.randoms(use_true_random=False),
)
def test_order_and_duplicates_change_nothing(errors: list[tuple[str, int, int]], order: random.Random) -> None:
    story = Story()
    for group, hour, lead in errors:
        story.tell("error.occurred", lead=f"l{lead}", at=hour * HOUR, **{"error.fingerprint": group})
    mixed = [*story.events, *story.events]
    order.shuffle(mixed)
    found = analyze_error_patterns(mixed, now_ns=START + 50 * DAY)
    assert found == analyze_error_patterns(story.events, now_ns=START + 50 * DAY)
    for row in found:
        mine = [(hour, lead) for group, hour, lead in errors if group == row.group]
        assert isinstance(row, ErrorGroup)
        assert (row.errors, row.leads) == (len(mine), len({lead for _, lead in mine}))
