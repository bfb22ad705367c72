"""How far services and buyers can be relied on, beside the same counted by pandas and by hand."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_duckdb import InDuckDB
from small import DAY, HOUR, START, Story, ask, on_engines
from traffic import Traffic

from leadtrace.analysis.reliability import Circuit, Ending, Failing, Partner
from leadtrace.otlp.records import Resource
from leadtrace.reading import Reader
from leadtrace.store.relations.interface import Relations

MS = 1e6


def call(
    story: Story, ending: str, at: int = 0, lead: str = "l", span: int = 0, service: str = "S", **more: Any
) -> None:
    fields = {"leadtrace.word": "enhancement", "enhancement.service": service, **more}
    story.tell(f"enhancement.{ending}", lead=lead, at=at, span=span, run="r", **fields)


def failure(category: str, subcategory: str = "", cause: str = "") -> dict[str, str]:
    told = {"category": category, "subcategory": subcategory, "cause": cause}
    return {f"enhancement.failure.{key}": value for key, value in told.items() if value}


def test_calls_are_those_of_the_records(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    ends = frame[frame["name"].isin(["enhancement.success", "enhancement.failed"])]
    found = reader.report("reliability")
    partners = {(row.sort, row.name): row for row in found.of(Partner)}
    for service, part in ends.groupby("enhancement.service"):
        row = partners["service", service]
        failed = (part["name"] == "enhancement.failed").sum()
        cached = (part["enhancement.cache_hit"] == True).sum()  # noqa: E712 - of a column
        assert (row.calls, row.unanswered, row.cached) == (len(part), failed, cached)
        assert (row.availability.numerator, row.availability.denominator) == (
            len(part) - cached - failed,
            len(part) - cached,
        )
        took = sorted(part[part["enhancement.cache_hit"] == False]["enhancement.duration_ms"])  # noqa: E712
        assert row.timed == len(took)
        for share, ms in ((50, row.p50_ms), (95, row.p95_ms), (99, row.p99_ms)):
            assert ms == took[-(-share * len(took) // 100) - 1]
        assert row.max_ms == took[-1]
        assert row.retries == part["enhancement.retry.count"].fillna(0).sum()
    deliveries = traffic.truth.deliveries
    for buyer in ("Acme", "Beta", "Gamma"):
        row = partners["buyer", buyer]
        told = {answer: deliveries[buyer, answer] for answer in ("accepted", "rejected", "failed")}
        assert (row.answered, row.unanswered) == (told["accepted"] + told["rejected"], told["failed"])
    assert sum(row.tries for row in partners.values()) == sum(traffic.truth.tries.values())
    assert sum(row.failed_tries.numerator for row in partners.values()) == traffic.truth.tries["failed"]


def test_failures_are_told_by_taxonomy(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    failed = frame[frame["name"] == "enhancement.failed"]
    wanted = failed.groupby(["enhancement.service", "enhancement.failure.subcategory"]).size().to_dict()
    rows = reader.report("reliability", of="service").of(Failing)
    assert {(row.name, row.subcategory): row.failures for row in rows} == wanted
    for row in rows:
        assert row.share.denominator == sum(n for (name, _), n in wanted.items() if name == row.name)


@pytest.mark.parametrize("part", [(0, 0), (START + 2 * DAY, START + 4 * DAY)])
def test_both_engines_say_the_same(engines: tuple[Relations, InDuckDB], part: tuple[int, int]) -> None:
    assert on_engines("reliability", engines, since_ns=part[0], until_ns=part[1]).rows


def test_what_says_nothing_of_the_service_is_not_in_its_availability() -> None:
    story = Story()
    for number in range(40):
        call(story, "success", number)
    call(story, "success", **{"enhancement.cache_hit": True})
    call(story, "cancelled")
    call(story, "failed", **failure("data", "no_match"))
    call(story, "failed", **failure("technical", "timeout"))
    call(story, "failed", **failure("processing", "logic"))
    (row,) = ask("reliability", story.events).of(Partner)
    assert (row.calls, row.answered, row.no_data, row.unanswered) == (45, 40, 1, 1)
    assert (row.own_faults, row.cached, row.cancelled) == (1, 1, 1)
    assert (row.availability.numerator, row.availability.denominator) == (41, 42)


def test_a_bulk_call_is_one_call() -> None:
    story = Story()
    for lead in "abc":
        call(story, "failed", lead=lead, span=4, **failure("technical", "timeout"))
    found = ask("reliability", story.events)
    assert (found.of(Partner)[0].calls, found.of(Failing)[0].failures) == (1, 1)
    assert found.notes == ("too few calls for an availability (at least 30 needed): S",)


@pytest.mark.parametrize("hours", [0, 1, 60])
def test_a_try_is_its_call_s_though_that_began_long_before_the_window(hours: int) -> None:
    """Where nothing is known of the span above a try, or this is no call, it is nobody's."""
    story, at = Story(), hours * HOUR
    begun = {"leadtrace.kind": "start", "leadtrace.word": "delivery", "delivery.buyer": "Acme"}
    story.tell("delivery.started", lead="a", span=1, **begun)
    story.tell("operation.started", lead="a", span=2, **{"leadtrace.kind": "start", "leadtrace.word": "step"})
    for above in (1, 1, 2, 3):
        story.tell("api.call.failed", lead="a", at=at, **{"leadtrace.parent_span_id": f"{above:016x}"})
    story.tell("delivery.failed", lead="a", span=1, at=at + 1, **begun | {"leadtrace.kind": "failure"})
    found = ask("reliability", story.events, both=True, since_ns=START + at, until_ns=START + at + HOUR)
    assert [(row.name, row.calls, row.tries) for row in found.of(Partner)] == [("Acme", 1, 2)]


def test_an_open_circuit_counts_while_any_process_has_it_open() -> None:
    story, other = Story(), Resource({"service.name": "pipeline", "host.name": "h2"})
    told = {"circuit.name": "acme"}
    story.tell("circuit.opened", at=HOUR, **told)
    story.tell("circuit.half_opened", at=2 * HOUR, **told)
    story.tell("circuit.opened", at=2 * HOUR + 1, **told)
    story.tell("circuit.closed", at=3 * HOUR, **told)
    story.tell("circuit.opened", at=2 * HOUR, process=other, **told)
    story.tell("circuit.closed", at=5 * HOUR, process=other, **told)
    (row,) = ask("reliability", story.events, both=True, since_ns=START, until_ns=START + 10 * HOUR).of(Circuit)
    assert (row.processes, row.opened, row.open_now) == (2, 3, False)
    assert (row.open_ms, row.share) == (4 * HOUR / MS, 0.4)
    assert row.longest_ms == 3 * HOUR / MS
    (cut,) = ask("reliability", story.events, since_ns=START + 4 * HOUR, until_ns=START + 6 * HOUR).of(Circuit)
    assert (cut.opened, cut.open_ms) == (0, HOUR / MS)


def test_a_circuit_never_closed_is_open_until_now_and_a_note_says_so() -> None:
    story = Story()
    story.tell("circuit.opened", at=HOUR, **{"circuit.name": "acme"})
    found = ask("reliability", story.events, now_ns=START + 3 * HOUR)
    assert [(row.open_ms, row.open_now, row.share) for row in found.of(Circuit)] == [(2 * HOUR / MS, True, None)]
    assert any(note.startswith("a circuit that was never told to be closed") for note in found.notes)


def tried(story: Story, at: int, status: int, number: int) -> None:
    """A delivery with one try."""
    told = {"leadtrace.kind": "start", "leadtrace.word": "delivery", "delivery.buyer": "Acme"}
    story.tell("delivery.started", at=at, span=number, **told)
    one = {
        "leadtrace.word": "attempt",
        "leadtrace.parent_span_id": f"{number:016x}",
        "http.response.status_code": status,
    }
    story.tell(f"api.call.{'failed' if status >= 400 else 'succeeded'}", at=at + 1, span=number + 10**6, **one)
    ending = {"leadtrace.word": "delivery", "delivery.buyer": "Acme"}
    if status >= 400:
        ending |= {"delivery.failure.category": "technical", "delivery.failure.subcategory": "authentication"}
    story.tell(f"delivery.{'failed' if status >= 400 else 'accepted'}", at=at + 2, span=number, **ending)


def test_refusals_that_begin_after_many_good_calls_are_told() -> None:
    story = Story()
    for number in range(1, 81):
        tried(story, number * HOUR, 200 if number < 75 else 401, number)
    (row,) = ask("reliability", story.events, since_ns=START + 2 * DAY, now_ns=START + 4 * DAY).of(Ending)
    assert (row.sort, row.name, row.what, row.sign, row.refused) == ("buyer", "Acme", "credential", "began", 6)
    assert row.evidence == "6 refused since then, after 74 calls without one"
    assert row.first_ns == START + 75 * HOUR
    good = [one for one in story.events if one.time_ns < START + 75 * HOUR]
    assert ask("reliability", good).of(Ending) == ()


def test_a_limit_met_more_and_more_often_is_told() -> None:
    story, rng = Story(), random.Random(1)
    for number in range(1, 201):
        tried(story, number * HOUR, 429 if rng.random() < number / 300 else 200, number)
    (row,) = ask("reliability", story.events, now_ns=START + 9 * DAY).of(Ending)
    assert (row.what, row.sign) == ("limit", "rising")
    assert row.suggestion == "Space the calls out, cache answers, or ask for a higher limit."


def test_a_credential_that_ends_each_thirty_days_is_told_with_its_next_date() -> None:
    story = Story()
    for hour in range(0, 125 * 24, 6):
        call(story, "success", hour * HOUR)
    for cycle in range(5):
        for number in range(8):
            at = cycle * 30 * DAY + 7 * HOUR + number * HOUR // 8
            call(story, "failed", at, **failure("technical", "authentication", "expired_token"))
    now = START + 125 * DAY
    (row,) = ask("reliability", story.events, since_ns=START + 118 * DAY, now_ns=now).of(Ending)
    assert (row.what, row.sign, row.refused) == ("credential", "periodic", 8)
    assert row.next_expected_ns == START + 150 * DAY + 7 * HOUR
    assert row.evidence.endswith("4 cycles seen")


def test_steady_refusals_are_no_sign_of_an_end() -> None:
    story, rng = Story(), random.Random(2)
    for number in range(1, 201):
        tried(story, number * HOUR, 403 if rng.random() < 0.1 else 200, number)
    assert ask("reliability", story.events, now_ns=START + 9 * DAY).of(Ending) == ()


@settings(max_examples=10)
@given(
    calls=st.lists(
        st.tuples(st.sampled_from("ST"), st.sampled_from(["success", "failed", "cancelled"]), st.integers(1, 9)),
        max_size=20,
    ),
    order=st.randoms(use_true_random=False),
)
def test_order_and_duplicates_change_nothing(calls: list[tuple[str, str, int]], order: random.Random) -> None:
    story = Story()
    for number, (service, ending, took) in enumerate(calls, start=1):
        call(story, ending, took, span=number, service=service, **{"enhancement.duration_ms": float(took)})
    mixed = [*story.events, *story.events]
    order.shuffle(mixed)
    counts = Counter((service, ending) for service, ending, _ in calls)
    for row in ask("reliability", mixed).of(Partner):
        assert (row.answered, row.unanswered, row.cancelled) == tuple(
            counts[row.name, ending] for ending in ("success", "failed", "cancelled")
        )
        took = [ms for service, ending, ms in calls if service == row.name and ending != "cancelled"]
        assert row.max_ms == (max(took) if took else None)
