"""What differs between two leads, and what tells groups apart: planted causes are found, chance is not."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path

import pytest
from click.testing import CliRunner
from drawn import Drawn, merged, records, timeline, word
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import Traffic

import leadtrace
from leadtrace.analysis.chance import adjusted, cliffs_delta, fisher, rank_test
from leadtrace.analysis.compare import Differs, Explains, differences, explanations
from leadtrace.analysis.compare import Path as Way
from leadtrace.analysis.lead_facts import LeadFacts, facts_of
from leadtrace.cli.group import main
from leadtrace.errors import NotFoundError, SettingsError
from leadtrace.query.timeline import build
from leadtrace.reading import Reader
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import Found

# --- chance -------------------------------------------------------------------------------------------------------------


def test_the_lady_tasting_tea() -> None:
    """Fisher's own example: three of four right, twice."""
    assert fisher(3, 4, 1, 4) == pytest.approx(0.4857142857)
    assert fisher(4, 4, 0, 4) == pytest.approx(2 / 70)


@given(st.integers(1, 12), st.integers(1, 12), st.data())
@settings(max_examples=50)
def test_fishers_test_is_the_sum_over_all_tables_no_likelier(of: int, other_of: int, data: st.DataObject) -> None:
    count, other = data.draw(st.integers(0, of)), data.draw(st.integers(0, other_of))
    drawn = count + other
    tables = {
        k: math.comb(of, k) * math.comb(other_of, drawn - k)
        for k in range(max(0, drawn - other_of), min(of, drawn) + 1)
    }
    expected = sum(one for one in tables.values() if one <= tables[count]) / math.comb(of + other_of, drawn)
    assert fisher(count, of, other, other_of) == pytest.approx(expected)


_NUMBERS = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


@given(_NUMBERS, _NUMBERS)
@settings(max_examples=50)
def test_cliffs_delta_is_what_counting_all_pairs_gives(values: list[float], others: list[float]) -> None:
    pairs = [(a > b) - (a < b) for a, b in itertools.product(values, others)]
    assert cliffs_delta(values, others) == pytest.approx(sum(pairs) / len(pairs))
    assert cliffs_delta(others, values) == pytest.approx(-cliffs_delta(values, others))
    assert rank_test(values, others) == pytest.approx(rank_test(others, values))


def test_the_rank_test_gives_the_textbooks_figure() -> None:
    """Ages at diagnosis of five men and four women: U is 17, and the normal approximation 0.111."""
    assert rank_test([19, 22, 16, 29, 24], [20, 11, 17, 12]) == pytest.approx(0.1113468865)
    assert rank_test([1, 1, 1], [1, 1]) == 1.0


def test_many_looks_are_allowed_for() -> None:
    assert adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert adjusted([]) == []


# --- two leads ----------------------------------------------------------------------------------------------------------


def good(**more) -> Drawn:
    tries = word("attempt", "POST", 110, 200)
    return word(
        "flow",
        "Sale",
        0,
        200,
        word("enhancement", "Phone", 0, 100, enhancement__data_appended__carrier="Verizon", enhancement__cost=0.02),
        word("delivery", "deliver to Acme", 105, 200, tries, delivery__buyer="Acme", delivery__revenue=45.0),
        flow__journey__source="search",
        **more,
    )


def bad() -> Drawn:
    refused = {"end": ("api.call.failed", "attempt_failure"), "http__response__status_code": 503}
    tries = [word("attempt", "POST", 510, 600, **refused), word("attempt", "POST", 650, 700, **refused)]
    return word(
        "flow",
        "Sale",
        0,
        700,
        word("enhancement", "Phone", 0, 300, enhancement__data_appended__carrier="T-Mobile", enhancement__cost=0.02),
        word("step", "ask again", 300, 500),
        word(
            "delivery", "deliver to Acme", 505, 700, *tries, delivery__buyer="Acme", end=("delivery.failed", "failure")
        ),
        flow__journey__source="social",
    )


def facts(drawn: Drawn, lead: str = "lead_A", **more) -> LeadFacts:
    found = records(drawn, lead=lead, **more)
    return facts_of(build(found, lead), found)


def test_two_leads_differ_in_order_values_timing_retries_and_money() -> None:
    told = {
        (one.aspect, one.subject, one.attribute): (one.a, one.b) for one in differences(facts(bad()), facts(good()))
    }
    assert told == {
        ("order", "", "after Phone"): ("ask again", ""),
        ("order", "deliver to Acme", "ended as"): ("delivery.failed", "delivery.accepted"),
        ("order", "POST", "ended as"): ("api.call.failed", "api.call.succeeded"),
        ("values", "", "outcome"): ("undelivered", "delivered"),
        ("values", "", "delivered to"): ("", "Acme"),
        ("values", "Sale", "flow.journey.source"): ("social", "search"),
        ("values", "Phone", "enhancement.data_appended.carrier"): ("T-Mobile", "Verizon"),
        ("values", "POST", "http.response.status_code"): ("503", ""),
        ("timing", "", "duration of its runs in ms"): ("700", "200"),
        ("timing", "Sale", "duration in ms"): ("700", "200"),
        ("timing", "Phone", "duration in ms"): ("300", "100"),
        ("timing", "deliver to Acme", "duration in ms"): ("195", "95"),
        ("timing", "POST", "duration in ms"): ("140", "90"),
        ("retries", "deliver to Acme", "tries"): ("2", "1"),
        ("money", "", "revenue in USD"): ("0", "45"),
        ("money", "", "margin in USD"): ("-0.02", "44.98"),
    }


def test_a_lead_does_not_differ_from_itself() -> None:
    assert list(differences(facts(good()), facts(good(), "lead_B", run="run_9", trace=7, at_ms=99_000))) == []


@given(st.randoms())
@settings(max_examples=20)
def test_order_of_arrival_and_duplicates_do_not_change_what_differs(chance: random.Random) -> None:
    found = records(bad())
    spans, events = [*found.spans, *found.spans[:2]], [*found.events, *found.events[:3]]
    chance.shuffle(spans)
    chance.shuffle(events)
    again = Found(spans, events)
    assert list(differences(facts_of(build(again, "lead_A"), again), facts(good()))) == list(
        differences(facts(bad()), facts(good()))
    )


# --- groups -------------------------------------------------------------------------------------------------------------


def group(size: int, make, first: int = 0) -> list[LeadFacts]:
    return [facts(make(n), f"lead_{n}", run=f"run_{n}", trace=n + 1) for n in range(first, first + size)]


def sale(carrier: str, ms: float, source: str) -> Drawn:
    return word(
        "flow",
        "Sale",
        0,
        ms,
        word("enhancement", "Phone", 0, ms, enhancement__data_appended__carrier=carrier),
        flow__journey__source=source,
    )


def test_the_cause_that_was_planted_comes_first_and_what_is_equal_in_both_is_not_told() -> None:
    slow = group(40, lambda n: sale("T-Mobile" if n % 10 else "Verizon", 500 + n, "search" if n % 2 else "social"))
    quick = group(
        40, lambda n: sale("Verizon" if n % 10 else "T-Mobile", 100 + n, "search" if n % 2 else "social"), 100
    )
    rows, notes = explanations(slow, quick)
    told = [(one.subject, one.attribute, one.value, round(one.effect, 3)) for one in rows if isinstance(one, Explains)]
    assert told == [
        ("Phone", "duration in ms", "", 1.0),
        ("Phone", "enhancement.data_appended.carrier", "T-Mobile", 0.8),
    ]
    first, second = rows[0], rows[1]
    assert isinstance(first, Explains)
    assert isinstance(second, Explains)
    assert first.also == ("Sale: duration in ms", "duration of its runs in ms")
    assert (first.a_median, first.b_median) == (519.5, 219.5 - 80 + 80)
    assert second.a is not None
    assert (second.a.numerator, second.a.denominator, second.lift) == (36, 40, pytest.approx(9))
    assert any("2 by more than chance" in one for one in notes)


def test_a_fact_about_few_leads_weighs_as_many_as_it_explains() -> None:
    """All of the two leads with a second step have it fail: that is two of forty, and the carrier explains thirty."""

    def first(n: int) -> Drawn:
        drawn = sale("T-Mobile" if n % 4 else "Verizon", 100, "x")
        more = word("step", "rare", 10, 20, end=("operation.failed", "failure"))
        return word("flow", "Sale", 0, 100, *drawn.below, *([more] if n < 8 else []))

    def second(n: int) -> Drawn:
        more = word("step", "rare", 10, 20)
        return word("flow", "Sale", 0, 100, *sale("Verizon", 100, "x").below, *([more] if n < 108 else []))

    rows, _ = explanations(group(40, first), group(40, second, 100))
    ranked = [(one.subject, one.attribute, one.weight) for one in rows if isinstance(one, Explains)]
    assert ranked == [
        ("Phone", "enhancement.data_appended.carrier", pytest.approx(0.75)),
        ("rare", "ended as", pytest.approx(0.2)),
    ]


def test_what_may_be_chance_is_not_told_unless_it_is_asked_for() -> None:
    chance = random.Random(5)
    several = [sale(chance.choice("abcd"), chance.uniform(50, 500), chance.choice("xyz")) for _ in range(120)]
    one, other = group(60, lambda n: several[n]), group(60, lambda n: several[n], 60)
    rows, notes = explanations(one, other)
    assert [row for row in rows if isinstance(row, Explains)] == []
    assert any("0 by more than chance" in note for note in notes)
    everything, _ = explanations(one, other, everything=True)
    told = [row for row in everything if isinstance(row, Explains)]
    assert len(told) > 5
    assert not any(row.sure for row in told)


def test_few_leads_are_said_to_be_few() -> None:
    rows, notes = explanations(group(3, lambda n: sale("a", 100, "x")), group(3, lambda n: sale("b", 100, "x"), 10))
    (row,) = [one for one in rows if isinstance(one, Explains)]
    assert (row.value, row.effect, row.sure) == ("a", 1.0, False) or (row.value, row.effect) == ("b", -1.0)
    assert any("Too few leads (3 and 3)" in one for one in notes)


@given(st.randoms())
@settings(max_examples=10)
def test_the_order_of_leads_does_not_change_what_tells_groups_apart(chance: random.Random) -> None:
    one, other = group(12, lambda n: sale("a", 100 + n, "x")), group(12, lambda n: sale("b", 90 + n, "x"), 50)
    rows = explanations(one, other, everything=True)
    chance.shuffle(one)
    chance.shuffle(other)
    assert explanations(one, other, everything=True) == rows


def test_the_orders_in_which_leads_went_are_counted() -> None:
    rows, _ = explanations(group(10, lambda n: good()), group(10, lambda n: bad() if n % 2 else good(), 50))
    ways = {one.path: (one.a.numerator, one.b.numerator) for one in rows if isinstance(one, Way)}
    assert ways == {
        ("Sale", "Phone", "deliver to Acme"): (10, 5),
        ("Sale", "Phone", "ask again", "deliver to Acme"): (0, 5),
    }


# --- over a store -------------------------------------------------------------------------------------------------------


def test_the_host_and_campaign_of_the_planted_failure_are_found(reader: Reader, traffic: Traffic) -> None:
    """Against pandas: how many of the failing leads, and of a hundred others, were on that host."""
    planted = traffic.truth.planted["bad_host"]
    frame = traffic.frame()
    failing = set(frame[frame["error.fingerprint"] == planted["fingerprint"]]["lead.id"])
    others = sorted(set(frame["lead.id"]) - failing)[:40]
    found = reader.report("compare", a=f"fingerprint={planted['fingerprint']}", b="\n".join([*others, ""]), sample=0)
    assert found.sample.counts == {"leads_of_a": len(failing), "leads_of_b": 40}
    rows = found.of(Explains)
    host = next(one for one in rows if (one.attribute, one.value) == ("host", planted["host"]))
    on_host = frame[frame.host == planted["host"]].groupby("lead.id").size()
    assert host.a is not None
    assert host.b is not None
    assert (host.a.numerator, host.b.numerator) == (len(failing), sum(one in on_host.index for one in others))
    assert host.sure
    campaign = next(
        one
        for one in rows
        if planted["campaign"] in one.value or any(f"campaign {planted['campaign']}" in x for x in one.also)
    )
    assert campaign.sure
    assert abs(campaign.weight) > 0.4


def test_conditions_are_those_that_sql_over_the_frame_gives(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    ended = frame[frame.name == "flow.completed"]
    rejected = set(
        ended[(ended["flow.summary.final_outcome"] == "rejected") & (ended["flow.name"] == "Home Insurance")]["lead.id"]
    )
    accepted = set(frame[(frame.name == "delivery.accepted") & (frame["delivery.buyer"] == "Acme")]["lead.id"])
    sampled = reader.report("compare", a="outcome=rejected,flow=Home Insurance", b="buyer=Acme", sample=10)
    assert any(f"A: 10 of {len(rejected)} leads were looked at, drawn evenly." in one for one in sampled.notes)
    assert any(f"B: 10 of {len(accepted)} leads were looked at, drawn evenly." in one for one in sampled.notes)
    assert any("Left out, because the groups were chosen by it" in one for one in sampled.notes)
    assert sampled.sample.counts == {"leads_of_a": 10, "leads_of_b": 10}
    assert sampled == reader.report("compare", a="outcome=rejected,flow=Home Insurance", b="buyer=Acme", sample=10)


@pytest.mark.parametrize(
    ("a", "told"),
    [
        ("lead_nobody", "no lead"),
        ("outcome=rejected,campaign=sprin", "no campaign is named 'sprin'; did you mean spring\\?$"),
        ("campaign_group=x", "no campaign group is named 'x'; there are always, seasonal$"),
        ("buyer=acme inc", "no buyer that accepted is named 'acme inc'; did you mean Acme\\?$"),
        ("event=delivery.acepted", "no event is named 'delivery.acepted'; did you mean delivery.accepted\\?$"),
        ("host=worker_1", "no host is named 'worker_1'; did you mean worker-1\\?$"),
        ("outcome=rejected,source=google,event=lead.returned", "event=lead.returned in [^;]*$"),
        ("x\ny\n", "none of the 2 leads listed"),
    ],
)
def test_a_side_without_leads_is_not_found(reader: Reader, a: str, told: str) -> None:
    with pytest.raises(NotFoundError, match=told):
        reader.report("compare", a=a, b="buyer=Acme")


def test_a_mistyped_condition_names_the_nearest(reader: Reader) -> None:
    with pytest.raises(SettingsError, match="did you mean campaign"):
        reader.report("compare", a="outcome=rejected,campain=spring", b="buyer=Acme")
    with pytest.raises(SettingsError, match="a date, or date and time"):
        reader.report("compare", a="since=yesterday", b="buyer=Acme")


# --- the command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A store with a good and a bad lead."""
    found = merged(
        records(good(flow__summary__final_outcome="delivered")),
        records(bad(), lead="lead_B", run="run_2", trace=2, at_ms=10_000),
    )
    writer = EmbeddedStore.open(tmp_path / "store.db", write=True)
    writer.append(found.spans, found.events)
    writer.close()
    return str(tmp_path / "store.db")


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["compare", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_sets_two_leads_side_by_side(path: str) -> None:
    code, out, err = run("lead_B", "lead_A", "--from", path)
    assert (code, err) == (0, "")
    assert out == (
        """compare, all time: 1 leads of a, 1 leads of b

                                   A                        B                        A less B
order
  after Phone                      ask again                -
  deliver to Acme: ended as        delivery.failed          delivery.accepted
  POST: ended as                   api.call.failed          api.call.succeeded
values
  outcome                          undelivered              delivered
  Sale: source                     social                   search
  Phone: data_appended.carrier     T-Mobile                 Verizon
  delivered to                     -                        Acme
  POST: response.status_code       503                      -
timing
  duration of its runs in ms       700 ms                   200 ms                   +500 ms
  Sale: duration in ms             700 ms                   200 ms                   +500 ms
  Phone: duration in ms            300 ms                   100 ms                   +200 ms
  deliver to Acme: duration in ms  195 ms                   95 ms                    +100 ms
  POST: duration in ms             140 ms                   90 ms                    +50 ms
retries
  deliver to Acme: tries           2                        1                        +1
money
  revenue in USD                   0                        45                       -45
  margin in USD                    -0.02                    44.98                    -45

· A is lead_B, B is lead_A.
· Two leads show what differs between them, not what usually does: compare groups for that.
"""
    )


def test_a_misspelt_condition_is_told_with_the_nearest(path: str) -> None:
    done = CliRunner().invoke(main, ["compare", "outcom=rejected", "outcome=delivered", "--from", path])
    assert done.exit_code == 2
    assert done.stderr.startswith("leadtrace: no condition 'outcom'; did you mean outcome? (conditions: outcome, flow,")


def test_files_of_ids_and_conditions_may_stand_for_leads(path: str, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("lead_B\n\nlead_unknown\n")
    code, out, _ = run(f"@{tmp_path / 'bad.txt'}", "outcome=delivered", "--from", path, "--json")
    found = json.loads(out)
    assert (code, found["schema"], found["report"]) == (0, "leadtrace.report/1", "compare")
    assert found["sample"] == {"leads_of_a": 1, "leads_of_b": 1}
    assert found["notes"][0] == "A is 2 leads listed, 1 known, B is outcome=delivered."
    assert {row["section"] for row in found["rows"]} == {"explains", "order"}
    code, out, _ = run(f"@{tmp_path / 'bad.txt'}", "outcome=delivered", "--from", path)
    assert code == 0
    assert "may be chance" in out


def test_what_cannot_be_compared_is_one_line(path: str, tmp_path: Path) -> None:
    assert run("lead_A", "lead_A", "--from", path)[::2] == (1, "")
    assert run("lead_C", "lead_A", "--from", path)[0] == 1
    assert run(f"@{tmp_path / 'none.txt'}", "lead_A", "--from", path)[0] == 2
    (tmp_path / "empty.txt").write_text("\n")
    assert run(f"@{tmp_path / 'empty.txt'}", "lead_A", "--from", path)[0] == 2


def test_facts_of_a_timeline_alone_lack_the_processes_only() -> None:
    found = records(good())
    with_records = facts_of(timeline(good()), found)
    alone = facts_of(timeline(good()))
    assert {key.attribute for key in {*with_records.said} - {*alone.said}} == {"host"}


def test_python_gives_typed_rows(path: str) -> None:
    with leadtrace.open(path) as reader:
        rows = reader.report("compare", a="lead_B", b="lead_A").of(Differs)
    assert next(one for one in rows if one.attribute == "tries").less == 1.0
