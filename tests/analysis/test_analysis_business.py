"""Revenue, cost and margin: per currency, as of a date, beside the same sums made by hand and by pandas."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_duckdb import InDuckDB
from small import DAY, START, Story, ask, on_engines
from traffic import BUYERS, Traffic

from leadtrace.analysis.business import Deliveries, Takings, Unattributed
from leadtrace.errors import SettingsError
from leadtrace.reading import Reader
from leadtrace.store.relations.interface import Relations

D = Decimal


def sold(story: Story, lead: str, at: int, revenue: float, buyer: str = "Acme", **more: object) -> None:
    story.tell(
        "delivery.accepted",
        lead=lead,
        at=at,
        **{"delivery.id": f"d-{lead}", "delivery.buyer": buyer, "delivery.revenue": revenue, **more},
    )


def test_the_sums_are_those_counted_while_the_traffic_was_made_up(reader: Reader, traffic: Traffic) -> None:
    found = {row.currency: row for row in reader.report("business").of(Takings)}
    truth = traffic.truth
    revenue = {c: sum(v for (_, one), v in truth.revenue.items() if one == c) for c in ("USD", "EUR")}
    returned = {c: sum(v for (_, one), v in truth.returned.items() if one == c) for c in ("USD", "EUR")}
    prices = sum(truth.prices.values())
    cost = sum(truth.cost.values()) + prices
    assert {c: (row.revenue, row.returned) for c, row in found.items()} == {
        c: (revenue[c], returned[c]) for c in ("USD", "EUR")
    }
    assert (found["USD"].cost, found["USD"].lead_prices, found["EUR"].cost) == (cost, prices, 0)
    assert found["USD"].margin == revenue["USD"] - returned["USD"] - cost
    assert found["USD"].margin_per_lead == pytest.approx(found["USD"].margin / truth.leads, abs=D("0.000001"))


def test_a_lead_s_timeline_has_the_same_revenue_returns_and_margin_as_the_report(
    reader: Reader, traffic: Traffic
) -> None:
    given_back = [one.lead_id for one in traffic.events if one.name == "lead.returned"]
    others = [one.lead_id for one in traffic.events if one.name == "delivery.accepted"][::25]
    told = {(row.of, row.currency): row for row in reader.report("business", by="lead").of(Takings)}
    assert given_back
    for lead_id in {*given_back, *others}:
        for money in reader.timeline(str(lead_id)).money:
            row = told[str(lead_id), money.currency]
            assert (row.revenue, row.returned, row.net_revenue, row.cost, row.margin) == (
                money.revenue,
                money.returned,
                money.net_revenue,
                money.cost,
                money.margin,
            )
            assert row.net_revenue == row.revenue - row.returned


def test_each_dimension_adds_up_and_is_what_pandas_says(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    runs = frame[frame["name"] == "flow.started"].set_index("leadtrace.run_id")
    told = frame[frame["name"] == "delivery.accepted"].copy()
    for by, column in (("source", "source"), ("campaign", "campaign")):
        told[by] = told["leadtrace.run_id"].map(runs[f"flow.journey.{column}"])
        wanted = {
            key: (D(str(round(part["delivery.revenue"].sum(), 2))), len(part))
            for key, part in told.groupby([by, "delivery.currency"])
        }
        rows = reader.report("business", by=by).of(Takings)
        assert {(row.of, row.currency): (row.revenue, row.accepted) for row in rows if row.accepted} == wanted
    told["flow"] = told["leadtrace.run_id"].map(runs["flow.name"])
    rows = reader.report("business", by="flow").of(Takings)
    assert {row.of for row in rows} == set(told["flow"])


def test_by_buyer_there_is_revenue_and_no_cost(reader: Reader, traffic: Traffic) -> None:
    found = reader.report("business", by="buyer")
    assert {(row.of, row.currency): row.revenue for row in found.of(Takings)} == dict(traffic.truth.revenue)
    assert {row.cost for row in found.of(Takings)} == {None}
    deliveries = traffic.truth.deliveries
    for row in found.of(Deliveries):
        told = {answer: deliveries[row.of, answer] for answer in ("accepted", "rejected", "failed")}
        assert told == {"accepted": row.accepted, "rejected": row.rejected, "failed": row.failed}
        assert (row.success.numerator, row.success.denominator) == (told["accepted"], sum(told.values()))
    assert {row.of for row in found.of(Deliveries)} == {one.name for one in BUYERS}


@pytest.mark.parametrize("by", ["source", "buyer", "lead"])
def test_both_engines_say_the_same(engines: tuple[Relations, InDuckDB], by: str) -> None:
    for since, until in ((0, 0), (START + DAY, START + 2 * DAY)):
        assert on_engines("business", engines, by=by, since_ns=since, until_ns=until).rows


def test_a_return_changes_its_sale_s_week_and_only_as_of_later() -> None:
    story = Story()
    sold(story, "a", 0, 20)
    sold(story, "b", DAY, 30)
    story.tell("lead.returned", lead="a", at=20 * DAY, **{"lead.return.amount": 12.5, "delivery.id": "d-a"})
    week = {"since_ns": START, "until_ns": START + 7 * DAY}
    before = ask("business", story.events, as_of="2026-10-10", **week).of(Takings)[0]
    assert (before.revenue, before.returns, before.returned, before.margin) == (50, 0, 0, 50)
    now = ask("business", story.events, both=True, **week).of(Takings)[0]
    assert (now.revenue, now.returns, now.returned, now.margin) == (50, 1, D("12.50"), D("37.50"))
    later = ask("business", story.events, since_ns=START + 14 * DAY, until_ns=START + 30 * DAY)
    assert later.rows == ()
    assert later.notes == (
        "1 returns came in the window for sales that are not in it: they change the figures of their own time",
    )


def test_a_pending_delivery_accepted_later_counts_where_it_was_offered() -> None:
    story = Story()
    story.tell("delivery.pending", lead="a", run="r1", **{"delivery.id": "d-a", "delivery.buyer": "Acme"})
    sold(story, "a", 9 * DAY, 40)
    week = {"since_ns": START, "until_ns": START + 7 * DAY}
    early = ask("business", story.events, as_of="2026-09-30", **week)
    assert (early.of(Takings), early.of(Deliveries)[0].pending) == ((), 1)
    assert early.of(Deliveries)[0].success.denominator == 0
    found = ask("business", story.events, **week)
    assert (found.of(Takings)[0].revenue, found.of(Deliveries)[0].accepted, found.of(Deliveries)[0].pending) == (
        40,
        1,
        0,
    )
    assert "1 accepted deliveries were pending at first; they count where they were offered" in found.notes
    assert ask("business", story.events, since_ns=START + 7 * DAY).rows == ()


def test_a_bulk_call_costs_once_and_its_deliveries_are_each_lead_s() -> None:
    story = Story()
    story.tell(
        "enhancement.started", span=5, **{"leadtrace.word": "enhancement", "leadtrace.lead_ids": ["a", "b", "c"]}
    )
    story.tell("delivery.started", span=6, **{"delivery.id": "bulk", "leadtrace.lead_ids": ["a", "b", "c"]})
    for lead, share in (("a", 0.333334), ("b", 0.333333), ("c", 0.333333)):
        word = {"leadtrace.word": "enhancement", "enhancement.cost": share, "enhancement.currency": "USD"}
        story.tell("enhancement.success", lead=lead, span=5, **word)
        sold(story, lead, 1, 2, **{"delivery.id": "bulk"})
    found = ask("business", story.events)
    money = found.of(Takings)[0]
    assert (money.cost, money.revenue, money.accepted, money.leads) == (1, 6, 3, 3)
    assert (found.of(Deliveries)[0].deliveries, found.notes) == (3, ())


def test_currencies_are_never_summed() -> None:
    story = Story()
    sold(story, "a", 0, 10, **{"delivery.currency": "USD"})
    sold(story, "b", 0, 7, **{"delivery.currency": "EUR"})
    story.tell("enhancement.success", lead="a", **{"enhancement.cost": 1, "enhancement.currency": "GBP"})
    story.tell("lead.returned", lead="b", at=5, **{"lead.return.amount": 7})  # says no currency: the sale's
    rows = {
        row.currency: (row.revenue, row.returned, row.cost, row.margin)
        for row in ask("business", story.events, both=True).of(Takings)
    }
    assert rows == {"USD": (10, 0, 0, 10), "EUR": (7, 7, 0, 0), "GBP": (0, 0, 1, -1)}


def test_what_a_flow_states_beyond_its_events_is_shown() -> None:
    story = Story()
    for run, said in (("r1", 15.0), ("r2", 10.0)):
        story.tell("flow.started", lead=run, run=run, **{"flow.name": "F"})
        sold(story, run, 1, 10, **{"leadtrace.run_id": run})
        end = {"flow.journey.total_revenue": said, "flow.journey.total_cost": 0.0, "flow.journey.currency": "USD"}
        story.tell("flow.completed", lead=run, run=run, at=2, **end)
    (row,) = ask("business", story.events, both=True, by="flow").of(Unattributed)
    assert (row.of, row.runs, row.runs_that_differ) == ("F", 2, 1)
    assert (row.said_revenue, row.counted_revenue, row.unattributed_revenue) == (25, 20, 5)
    assert row.unattributed_cost == 0


def test_what_is_open_or_has_no_amount_is_told_and_in_no_figure() -> None:
    story = Story()
    story.tell("delivery.started", lead="a", span=3, **{"leadtrace.word": "delivery", "delivery.id": "d1"})
    sold(story, "b", 0, 5)
    story.tell("lead.returned", lead="b", at=5, **{"delivery.id": "d-b"})
    found = ask("business", story.events)
    assert found.of(Takings)[0].margin == 5
    assert found.notes == (
        "1 returns name no amount, and nothing is taken off for them",
        "1 deliveries began in the window and have no answer: they are in no figure",
    )


def test_a_delivery_that_is_answered_after_the_window_is_not_open_unless_asked_as_of_before() -> None:
    story = Story()
    week = {"since_ns": START, "until_ns": START + 7 * DAY}
    for lead, span in (("a", 3), ("b", 4)):
        story.tell("delivery.started", lead=lead, span=span, at=6 * DAY, **{"leadtrace.word": "delivery"})
    story.tell("delivery.rejected", lead="a", span=3, at=8 * DAY, **{"leadtrace.word": "delivery"})
    note = "{} deliveries began in the window and have no answer: they are in no figure"
    assert ask("business", story.events, both=True, **week).notes == (note.format(1),)
    assert ask("business", story.events, as_of="2026-10-05", **week).notes == (note.format(2),)


def test_a_delivery_without_an_id_that_is_answered_again_after_the_window_is_known_by_its_span() -> None:
    story = Story()
    word = {"leadtrace.word": "delivery", "delivery.buyer": "Acme"}
    story.tell("delivery.pending", lead="a", span=3, at=DAY, **word)
    story.tell("delivery.pending", lead="b", span=4, at=DAY, **word)
    story.tell("delivery.accepted", lead="a", span=3, at=8 * DAY, **word, **{"delivery.revenue": 9})
    story.tell("delivery.accepted", lead="c", span=5, at=8 * DAY, **word, **{"delivery.revenue": 7})
    found = ask("business", story.events, both=True, since_ns=START, until_ns=START + 7 * DAY)
    assert (found.of(Takings)[0].revenue, found.of(Deliveries)[0].accepted, found.of(Deliveries)[0].pending) == (
        9,
        1,
        1,
    )


def test_amounts_told_by_a_clock_that_is_off_are_counted_within_two_hours_of_the_run() -> None:
    hour = DAY // 24
    story = Story()
    for run, off in (("r1", 1), ("r2", -1), ("r3", 5)):
        story.tell("flow.started", lead=run, run=run, at=DAY, **{"flow.name": "F"})
        sold(story, run, DAY + off * hour, 10, **{"leadtrace.run_id": run})
        end = {"flow.journey.total_revenue": 10.0, "flow.journey.currency": "USD"}
        story.tell("flow.completed", lead=run, run=run, at=DAY + 2, **end)
    day = {"since_ns": START + DAY, "until_ns": START + 2 * DAY}
    (row,) = ask("business", story.events, both=True, **day).of(Unattributed)
    assert (row.runs, row.runs_that_differ, row.unattributed_revenue) == (3, 1, 10)


def test_few_deliveries_have_no_share_of_success() -> None:
    story = Story()
    sold(story, "a", 0, 5)
    assert ask("business", story.events).of(Deliveries)[0].success.note.startswith("too few to tell: 1 deliveries")


def test_a_limit_is_told_and_a_date_that_is_none_refused(reader: Reader) -> None:
    found = reader.report("business", by="lead", limit=2)
    assert (len(found.of(Takings)), len(found.of(Deliveries))) == (2, 2)
    assert any(note.endswith("more rows of money, left out by the limit") for note in found.notes)
    with pytest.raises(SettingsError, match="as_of 'soon' is no time"):
        reader.report("business", as_of="soon")


@settings(max_examples=12)
@given(
    answers=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["accepted", "rejected", "pending"]), st.integers(0, 30)),
        max_size=12,
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_and_duplicates_change_nothing(
    answers: list[tuple[int, str, int]], order: random.Random
) -> None:
    story = Story()
    last: dict[int, tuple[int, bool, str]] = {}
    for number, (lead, answer, day) in enumerate(answers):
        at = day * DAY + number  # no two at one moment
        story.tell(f"delivery.{answer}", lead=f"l{lead}", at=at, **{"delivery.id": f"d{lead}", "delivery.revenue": 3})
        if answer != "accepted":
            story.events[-1].attributes.pop("delivery.revenue")  # type: ignore[attr-defined]
        last[lead] = max(last.get(lead, (-1, False, "")), (at, True, answer))
    told = Counter(answer for _, _, answer in last.values())
    mixed = [*story.events, *story.events]
    order.shuffle(mixed)
    found = ask("business", mixed)
    assert sum(row.revenue for row in found.of(Takings)) == 3 * told["accepted"]
    for row in found.of(Deliveries):
        assert (row.accepted, row.rejected, row.pending) == (told["accepted"], told["rejected"], told["pending"])
