"""What enhancements cost and return: the sources' own example, and figures made another way from made-up traffic."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_duckdb import InDuckDB
from small import DAY, HOUR, START, Story, ask, on_engines
from traffic import Traffic

from leadtrace.analysis.declared import read_declared
from leadtrace.analysis.intervals import difference_of_means
from leadtrace.analysis.matching import compared
from leadtrace.analysis.roi import Calls, Measured, Return
from leadtrace.errors import SettingsError
from leadtrace.reading import Reader
from leadtrace.store.relations.interface import Relations

D = Decimal
DECLARED = """
[[value]]
enhancement = "Phone Intelligence"
what = "better routing"
amount = 5000

[[value]]
enhancement = "Phone Intelligence"
what = "higher prices"
amount = 3_000.00

[[value]]
enhancement = "Phone Intelligence"
what = "fewer returns"
amount = 2000
currency = "USD"
"""


def called(story: Story, name: str, lead: str = "", at: int = 0, ending: str = "success", **more: Any) -> None:
    fields = {f"enhancement.{key}": value for key, value in more.items() if key not in ("run", "span")}
    rest = {key: more[key] for key in ("run", "span") if key in more}
    story.tell(f"enhancement.{ending}", lead=lead, at=at, **rest, **{"enhancement.name": name}, **fields)


def test_the_sources_own_example_comes_out() -> None:
    story = Story()
    for number in range(50_000):
        if number < 15_000:
            called(story, "Phone Intelligence", service="TrueCaller ID", cost=0.0, cost_avoided=0.02, cache_hit=True)
        elif number < 48_500:
            called(story, "Phone Intelligence", service="TrueCaller ID", cost=0.02, cache_hit=False)
        else:
            called(story, "Phone Intelligence", service="TrueCaller ID", ending="failed", cost=0.0)
    found = ask("roi", story.events, declared=DECLARED)
    (calls,) = found.of(Calls)
    assert (calls.attempts, calls.successes.numerator, calls.failures) == (50_000, 48_500, 1_500)
    assert calls.successes.value == 0.97
    assert calls.cache_hits_of_attempts.value == 0.3
    assert calls.cache_hits_of_successes.value == pytest.approx(0.3093, abs=5e-5)
    (row,) = found.of(Return)
    assert (row.billed_calls, row.cost, row.cache_savings) == (33_500, D(670), D(300))
    assert (row.billed_failures, row.billed_failure_cost) == (0, 0)
    assert (row.declared_value, row.declared_return_on_cost, row.declared_net_roi_percent) == (
        D(10_000),
        D("14.93"),
        D("1392.5"),
    )
    assert row.measured_value is None


def test_counts_and_costs_are_those_counted_while_the_traffic_was_made_up(reader: Reader, traffic: Traffic) -> None:
    found = reader.report("roi")
    truth = traffic.truth
    for row in found.of(Calls):
        assert (row.successes.numerator, row.failures) == (
            truth.calls[row.enhancement, "success"],
            truth.calls[row.enhancement, "failed"],
        )
        assert row.cache_hits_of_successes.numerator == truth.calls[row.enhancement, "cache_hit"]
    frame = traffic.frame()
    failed = frame[(frame["name"] == "enhancement.failed") & (frame["enhancement.cost"] > 0)]
    for row in found.of(Return):
        if row.currency == "USD":
            assert (row.cost, row.cache_savings) == (
                truth.cost[row.enhancement, "USD"],
                truth.avoided[row.enhancement, "USD"],
            )
            part = failed[failed["enhancement.name"] == row.enhancement]["enhancement.cost"]
            assert (row.billed_failures, float(row.billed_failure_cost)) == (len(part), pytest.approx(part.sum()))


def test_both_engines_say_the_same(engines: tuple[Relations, InDuckDB]) -> None:
    for options in ({}, {"over": "day", "by": "service"}, {"since_ns": START + DAY, "until_ns": START + 3 * DAY}):
        assert on_engines("roi", engines, **options).rows


def test_a_bulk_call_is_billed_once_and_an_attempt_of_each_lead() -> None:
    story = Story()
    story.tell(
        "enhancement.started", run="r", span=9, **{"enhancement.name": "E", "leadtrace.lead_ids": ["a", "b", "c"]}
    )
    for lead, cost in (("a", 0.34), ("b", 0.33), ("c", 0.33)):
        called(story, "E", lead, run="r", span=9, cost=cost)
        story.events[-1].attributes["leadtrace.word"] = "enhancement"  # type: ignore[index]
    found = ask("roi", story.events)
    assert (found.of(Calls)[0].attempts, found.of(Calls)[0].unfinished) == (3, 0)
    assert (found.of(Return)[0].billed_calls, found.of(Return)[0].cost) == (1, 1)


def test_a_billed_failure_is_its_own_line_and_in_the_cost_once() -> None:
    story = Story()
    called(story, "E", "a", cost=1)
    called(story, "E", "b", ending="failed", cost=0.25)
    called(story, "E", "c", ending="cancelled", cost=0.5)
    called(story, "E", "d", ending="failed")
    story.tell("enhancement.started", lead="e", span=3, **{"enhancement.name": "E"})
    found = ask("roi", story.events)
    (calls,), (row,) = found.of(Calls), found.of(Return)
    assert (calls.attempts, calls.failures, calls.cancelled, calls.unfinished) == (3, 2, 1, 1)
    assert (row.cost, row.billed_calls, row.billed_failures, row.billed_failure_cost) == (D("1.75"), 3, 2, D("0.75"))


def test_periods_are_days_weeks_from_monday_and_months() -> None:
    story = Story()
    for day in (0, 6, 7, 40):  # Monday 28 September, Sunday, Monday, 7 November
        called(story, "E", at=day * DAY + HOUR, cost=1)
    pieces = {
        over: [row.piece_ns for row in ask("roi", story.events, over=over).of(Return)]
        for over in ("day", "week", "month")
    }
    assert pieces["day"] == [START, START + 6 * DAY, START + 7 * DAY, START + 40 * DAY]
    assert pieces["week"] == [START, START + 7 * DAY, START + 35 * DAY]
    assert pieces["month"] == [START - 27 * DAY, START + 3 * DAY, START + 34 * DAY]
    text = "enhancement,amount,since,until\nE,10,2026-09-28,2026-10-01\nE,5,,\n"
    found = ask("roi", story.events, over="week", declared=text)
    assert [row.declared_value for row in found.of(Return)] == [10, None, None]
    assert "1 declared values are of no one period of this answer, and are in none" in found.notes


def planted(seed: int = 5) -> tuple[Story, dict[tuple[str, bool], list[float]]]:
    """Leads of two sources; the enhancement adds 4 to a sale's price, and it is had mostly by the dearer source."""
    story, rng = Story(), random.Random(seed)
    nets: dict[tuple[str, bool], list[float]] = {}
    for number in range(600):
        lead, run = f"l{number}", f"r{number}"
        source = rng.choice(("cheap", "dear"))
        having = rng.random() < (0.3 if source == "cheap" else 0.8)
        at = number * HOUR // 10
        story.tell("flow.started", lead=lead, run=run, at=at, **{"flow.name": "F", "flow.journey.source": source})
        called(story, "E", lead, at + 1, "success" if having else "failed", run=run, cost=0.5)
        price = {"cheap": 10, "dear": 30}[source] + 4 * having + rng.choice((-1, 0, 1))
        sold = rng.random() < 0.6
        offer = {"delivery.id": f"d{number}", "delivery.buyer": "B"}
        more = {"delivery.revenue": price} if sold else {}
        story.tell(f"delivery.{'accepted' if sold else 'rejected'}", lead=lead, run=run, at=at + 2, **offer, **more)
        back = sold and rng.random() < 0.1
        if back:
            story.tell(
                "lead.returned",
                lead=lead,
                at=at + 9 * DAY,
                **{"lead.return.amount": price, "delivery.id": f"d{number}"},
            )
        story.tell("flow.completed", lead=lead, run=run, at=at + 3)
        nets.setdefault((source, having), []).append(float(price if sold and not back else 0))
    return story, nets


def test_measured_value_compares_like_with_like() -> None:
    story, nets = planted()
    found = ask("roi", story.events, both=True)
    measures = {row.measure: row for row in found.of(Measured)}
    having = {source: nets[source, True] for source in ("cheap", "dear")}
    number = sum(map(len, having.values()))
    wanted = sum(len(v) * (fmean(v) - fmean(nets[s, False])) for s, v in having.items()) / number
    net = measures["net_revenue"]
    assert (net.leads_with, net.leads_without, net.strata) == (number, 600 - number, 2)
    assert float(net.difference) == pytest.approx(wanted, abs=1e-6)
    assert net.low < net.difference < net.high
    price = measures["price"]
    assert 3.5 < price.difference < 4.5  # and not the ten and more by which the sources differ
    assert price.low > 0
    assert abs(measures["acceptance"].difference) < 0.1
    (row,) = found.of(Return)
    assert float(row.measured_value) == pytest.approx(wanted * number, abs=0.01)
    assert row.cost == 300
    assert float(row.measured_return_on_cost) == pytest.approx(wanted * number / 300, abs=0.01)
    assert row.declared_value is None
    assert any(note.startswith("measured: of leads offered to a buyer") for note in found.notes)


def test_any_number_of_enhancements_is_measured_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    story, _ = planted()
    for number in range(600):
        if number % 3:
            called(story, f"X{number % 7}", f"l{number}", number * HOUR // 10 + 1, "success", cost=0.1)
    together = ask("roi", story.events)
    assert len({row.enhancement for row in together.of(Measured)}) == 8
    monkeypatch.setattr("leadtrace.analysis.roi_measured._BITS", 3)
    assert ask("roi", story.events, both=True) == together


def test_by_service_what_has_none_changes_nothing_for_those_that_have_one() -> None:
    story, _ = planted()
    by_name = ask("roi", story.events).of(Measured)
    for one in story.events:
        if one.name.startswith("enhancement."):
            one.attributes["enhancement.service"] = "E"  # type: ignore[index]
    for number in range(0, 600, 2):
        called(story, "without a service", f"l{number}", number * HOUR // 10 + 1)
    found = ask("roi", story.events, both=True, by="service")
    assert found.of(Measured) == by_name
    assert {row.enhancement for row in found.of(Calls)} == {"E", ""}


def test_too_few_alike_have_no_measured_value_and_say_so() -> None:
    story, _ = planted()
    few = [one for one in story.events if int(one.lead_id[1:]) < 40]
    found = ask("roi", few)
    assert [row.measured_value for row in found.of(Return)] == [None]
    assert all(row.note.startswith("too few to tell") for row in found.of(Measured))
    assert found.of(Measured)


def test_one_stratum_is_welch_s_difference() -> None:
    rng = random.Random(2)
    values, others = ([rng.randrange(50) for _ in range(n)] for n in (300, 400))
    found = compared([({v: values.count(v) for v in values}, {v: others.count(v) for v in others})])
    low, high = difference_of_means(values, others)
    assert (float(found.low), float(found.high)) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))
    assert float(found.difference) == pytest.approx(fmean(values) - fmean(others), abs=1e-6)


def test_the_interval_holds_the_true_difference_about_as_often_as_it_says() -> None:
    rng = random.Random(8)
    held = 0
    for _ in range(200):
        strata = []
        for base in (0, 20):
            having = Counter(base + 3 + rng.randrange(10) for _ in range(60))
            lacking = Counter(base + rng.randrange(10) for _ in range(60))
            strata.append((having, lacking))
        found = compared(strata)
        held += found.low <= 3 <= found.high
    assert 180 <= held <= 199


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1", "a list of tables is expected"),
        ("[[value]]\nenhancement = 'E'", "value 1: amount is needed"),
        ("[[value]]\nenhancement = 'E'\namount = 'much'", "value 1: amount is a number"),
        ("[[value]]\nenhancement = 'E'\namount = 1\nsum = 2", "value 1: no key 'sum'"),
        ("[[value]]\nenhancement = 'E'\namount = 1\nsince = 2026-01-01", "since and until are given together"),
        ("[[value]]\nenhancement = 'E'\namount = 1\nsince = 2026-02-01\nuntil = 2026-01-01", "until is after since"),
        ("[[value]]\nenhancement = 'E'\namount = 1\ncurrency = 'dollar'", "three capital letters"),
        ("enhancement,amount\nE,1,2\n", "line 2: more values than the first line names"),
        ("enhancement,amount\nE,\n", "line 2: amount is needed"),
        ("enhancement,amount,since,until\nE,1,soon,later\n", "since is a date"),
        ("just words", "neither TOML nor CSV"),
    ],
)
def test_a_file_of_values_that_is_wrong_is_refused_with_the_place(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read_declared(text)


def test_toml_and_csv_say_the_same() -> None:
    toml = "[[value]]\nenhancement = 'E'\nwhat = 'more'\namount = 0.10\ncurrency = 'EUR'\nsince = 2026-01-01\nuntil = 2026-02-01"
    table = "\ufeffenhancement, what, amount, currency, since, until\nE, more, 0.10, EUR, 2026-01-01, 2026-02-01\n"
    assert read_declared(toml) == read_declared(table)
    assert read_declared(toml)[0].amount == D("0.10")
    assert read_declared(" \n") == ()


def test_a_value_for_what_was_not_called_is_told(reader: Reader) -> None:
    found = reader.report("roi", declared="enhancement,amount\nNobody,5\n")
    assert "a value is declared for 'Nobody', which was not called in the window" in found.notes


def test_one_enhancement_alone_can_be_asked_for(reader: Reader) -> None:
    found = reader.report("roi", enhancement="credit score", limit=1)
    assert {row.enhancement for row in found.rows} == {"credit score"}  # type: ignore[attr-defined]


@settings(max_examples=10)
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from(["success", "failed", "cancelled"]), st.integers(0, 3), st.booleans()
        ),
        max_size=15,
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_duplicates_and_clocks_change_nothing(
    calls: list[tuple[str, str, int, bool]], order: random.Random
) -> None:
    story = Story()
    for name, ending, cost, hit in calls:
        called(story, name, "lead", order.randrange(1000), ending, cost=cost, cache_hit=hit)
    mixed = [*story.events, *story.events]
    order.shuffle(mixed)
    found = ask("roi", mixed)
    for row in found.of(Calls):
        mine = [(ending, hit) for name, ending, _, hit in calls if name == row.enhancement]
        assert row.attempts == sum(ending != "cancelled" for ending, _ in mine)
        assert row.cache_hits_of_attempts.numerator == mine.count(("success", True))
    assert sum(row.cost for row in found.of(Return)) == sum(cost for _, _, cost, _ in calls)
