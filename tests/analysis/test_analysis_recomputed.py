"""Recorded runs worked out again: the sources' example by hand, and what must hold of any run."""

from __future__ import annotations

from decimal import Decimal

import pytest
from drawn import Drawn, passage, sources_example, word
from hypothesis import given, settings
from hypothesis import strategies as st
from test_analysis_critical_path import anything

from leadtrace.analysis.improvable import tried
from leadtrace.analysis.recomputed import Cached, Change, InParallel, LeftOut, TimedOut, recompute
from leadtrace.analysis.what_if import Duration, Earned, Effect, WhatIfOptions, changes_of, recomputed_runs
from leadtrace.errors import SettingsError

E1, E2 = "Enhancement 1", "Enhancement 2"


def new_ms(drawn: Drawn, *changes: Change) -> float:
    return recompute(passage(drawn), changes).after_ns / 1e6


@pytest.mark.parametrize(
    ("changes", "after_ms", "faster"),
    [
        ([Cached(E1)], 900, 0.25),
        ([InParallel((E1, E2))], 1000, 1 / 6),
        ([LeftOut(E1), LeftOut(E2)], 700, 5 / 12),
        ([Cached(E1), Cached(E2)], 700, 5 / 12),
        # Once the first takes no time, there is nothing left to hide the second behind: the two do not add up.
        ([Cached(E1), InParallel((E1, E2))], 900, 0.25),
        ([TimedOut("deliver to Premier", 250)], 900, 0.25),
    ],
    ids=["cached", "parallel", "both removed", "both cached", "cached and parallel", "time-out"],
)
def test_the_sources_forty_percent_example(changes: list[Change], after_ms: float, faster: float) -> None:
    """The document claims 40 %: its remedies give 25 %, 16.7 %, and 41.7 % with both calls off the path."""
    found = recompute(passage(sources_example()), changes)
    assert found.after_ns / 1e6 == after_ms
    assert (found.before_ns - found.after_ns) / found.before_ns == pytest.approx(faster)


def test_what_would_help_the_sources_example_is_ranked_apart_from_what_takes_longest() -> None:
    """The delivery takes longest; the document's own mark, the first enhancement, is what can be improved most."""
    found = tried([passage(sources_example())])
    assert [(str(one.change), round(one.faster, 4)) for one in found] == [
        ("cache Enhancement 1", 0.25),
        ("cache Enhancement 2", 0.1667),
        ("run Enhancement 1 and Enhancement 2 in parallel", 0.1667),
    ]


def test_what_a_cached_or_omitted_call_cost_is_saved_with_what_lies_beneath_it() -> None:
    below = word("enhancement", "inner", 20, 40, enhancement__cost=0.05, enhancement__currency="USD")
    outer = word("enhancement", "outer", 10, 60, below, enhancement__cost=0.1, enhancement__currency="USD")
    found = recompute(passage(word("flow", "F", 0, 100, outer)), [LeftOut("outer")])
    assert (found.after_ns / 1e6, found.saved) == (50, {"USD": Decimal("0.15")})


def test_a_call_that_came_from_the_cache_already_stays_as_it_was() -> None:
    hit = word("enhancement", "E", 0, 5, enhancement__cache_hit=True, enhancement__cost=0.0)
    assert new_ms(word("flow", "F", 0, 10, hit), Cached("E")) == 10


def test_a_share_of_hits_takes_the_same_calls_whenever_it_is_asked_again() -> None:
    below = [word("enhancement", "E", at * 10, at * 10 + 10) for at in range(100)]
    found = passage(word("flow", "F", 0, 1000, *below))
    first, again = (recompute(found, [Cached("E", 0.5)]) for _ in range(2))
    assert first.after_ns == again.after_ns
    assert 350 < first.tally["hit", "E"] * 10 < 650
    assert first.tally["hit", "E"] + first.tally["missed", "E"] == 100
    more = recompute(found, [Cached("E", 0.8)])
    assert more.after_ns < first.after_ns


def test_what_lies_under_different_callers_cannot_run_beside_each_other() -> None:
    drawn = word(
        "flow",
        "F",
        0,
        100,
        word("step", "one", 0, 50, word("enhancement", "A", 0, 50)),
        word("step", "two", 50, 100, word("enhancement", "B", 50, 100)),
    )
    found = recompute(passage(drawn), [InParallel(("A", "B"))])
    assert found.after_ns == found.before_ns
    assert found.tally["apart", "run A and B in parallel"] == 1


def test_three_that_ran_in_turn_take_the_longest_of_them_and_what_their_caller_did_between() -> None:
    drawn = word(
        "flow",
        "F",
        0,
        120,
        word("enhancement", "A", 0, 30),
        word("enhancement", "B", 32, 72),
        word("enhancement", "C", 75, 95),
        word("step", "after", 100, 120),
    )
    # B begins 2 ms after A, C another 3 ms after B; the longest ends at 42, then 5 ms of the flow's own and `after`.
    assert new_ms(drawn, InParallel(("A", "B", "C"))) == 42 + 5 + 20


def test_what_lay_between_is_told_because_it_is_no_longer_waited_for() -> None:
    drawn = word(
        "flow", "F", 0, 90, word("enhancement", "A", 0, 30), word("step", "X", 30, 60), word("enhancement", "B", 60, 90)
    )
    found = recompute(passage(drawn), [InParallel(("A", "B"))])
    assert (found.after_ns / 1e6, found.tally["overtaken", "X"]) == (60, 1)


def test_a_shorter_time_out_cuts_tries_and_a_longer_one_is_taken_to_be_used_up() -> None:
    failed = {"end": ("enhancement.failed", "failure"), "enhancement__failure__subcategory": "timeout"}
    drawn = word("flow", "F", 0, 100, word("enhancement", "E", 0, 50, word("attempt", "GET", 0, 50), **failed))
    assert new_ms(drawn, TimedOut("E", 20)) == 70
    assert new_ms(drawn, TimedOut("GET", 20)) == 70
    assert new_ms(drawn, TimedOut("E", 80)) == 130
    answered = word("flow", "F", 0, 100, word("enhancement", "E", 0, 50))
    assert new_ms(answered, TimedOut("E", 80)) == 100


@given(st.lists(anything(), max_size=4))
@settings(max_examples=50)
def test_without_a_change_every_run_takes_what_it_took_to_the_nanosecond(below: list[Drawn]) -> None:
    found = passage(word("flow", "F", 0, 210, *below))
    assert recompute(found, []).after_ns == found.root.length_ns
    assert recompute(found, [Cached("nothing of the sort")]).after_ns == found.root.length_ns


@given(st.lists(anything(), max_size=4))
@settings(max_examples=50)
def test_putting_what_is_beside_nothing_else_in_its_place_again_changes_nothing(below: list[Drawn]) -> None:
    found = passage(word("flow", "F", 0, 210, *below))
    for name in {one.name for one in found.root.walk()}:
        assert recompute(found, [InParallel((name, "nothing of the sort"))]).after_ns == found.root.length_ns


_IN_TURN = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 60)), min_size=2, max_size=5)


@given(_IN_TURN, st.data())
@settings(max_examples=50)
def test_of_calls_in_turn_the_new_time_is_the_plain_sum(calls: list[tuple[int, int]], data: st.DataObject) -> None:
    """Beside the reckoning on trees stands one on a list of gaps and lengths."""
    below, at = [], 0
    for number, (gap, taken) in enumerate(calls):
        below.append(word("enhancement", f"E{number}", at + gap, at + gap + taken))
        at += gap + taken
    drawn = word("flow", "F", 0, at + 7, *below)
    out = data.draw(st.sets(st.integers(0, len(calls) - 1)))
    cut = data.draw(st.integers(1, 70))
    gaps = sum(gap for gap, _ in calls) + 7
    assert new_ms(drawn, *(LeftOut(f"E{one}") for one in out)) == gaps + sum(
        taken for number, (_, taken) in enumerate(calls) if number not in out
    )
    assert new_ms(drawn, *(TimedOut(f"E{n}", cut) for n in range(len(calls)))) == gaps + sum(
        min(taken, cut) for _, taken in calls
    )
    begins, begin = [], 0
    for number, (gap, _) in enumerate(calls):
        begin = begin + gap if number else gap
        begins.append(begin)
    ended = max(start + taken for start, (_, taken) in zip(begins, calls, strict=True))
    assert new_ms(drawn, InParallel(tuple(f"E{n}" for n in range(len(calls))))) == ended + 7


@given(st.lists(anything(), min_size=1, max_size=4), st.sampled_from(["s0", "s1", "s2"]))
@settings(max_examples=50)
def test_taking_something_away_never_makes_a_run_longer(below: list[Drawn], name: str) -> None:
    found = passage(word("flow", "F", 0, 210, *below))
    for change in (LeftOut(name), Cached(name), TimedOut(name, 5)):
        assert recompute(found, [change]).after_ns <= found.root.length_ns


# --- over many runs -------------------------------------------------------------------------------------------------------


def test_rows_over_runs_state_before_and_after_with_money_and_assumptions() -> None:
    several = [passage(sources_example(), lead=f"lead_{n}", run=f"run_{n}") for n in range(3)]
    rows, notes = recomputed_runs(several, [Cached(E1), LeftOut(E2)])
    duration, first, second, money = rows
    assert isinstance(duration, Duration)
    assert (duration.runs, duration.p50_ms, duration.new_p50_ms, duration.new_p95_ms) == (3, 1200, 700, 700)
    assert duration.faster == pytest.approx(5 / 12)
    assert isinstance(first, Effect)
    assert isinstance(second, Effect)
    assert [round(first.faster, 4), round(second.faster, 4)] == [0.25, 0.1667]
    assert isinstance(money, Earned)
    assert (money.cost, money.new_cost) == (Decimal("0.21"), Decimal(0))
    assert (money.margin, money.new_margin) == (Decimal("134.79"), Decimal("135.00"))
    assert any("outcomes and revenue stay as they were recorded" in one for one in notes)
    assert any("because none from a cache is recorded" in one for one in notes)
    assert any("Only 3 runs" in one for one in notes)


def test_an_answer_from_the_cache_takes_as_long_as_those_recorded() -> None:
    hit = word("enhancement", "E", 0, 8, enhancement__cache_hit=True)
    several = [
        passage(word("flow", "F", 0, 100, word("enhancement", "E", 0, 90)), run="run_1"),
        passage(word("flow", "F", 0, 18, hit), run="run_2", lead="lead_B"),
    ]
    rows, notes = recomputed_runs(several, [Cached("E")])
    assert isinstance(rows[0], Duration)
    assert rows[0].new_mean_ms == 18
    assert any("in 8 ms (as the median of those recorded from the cache)" in one for one in notes)


def test_a_name_that_no_run_has_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean Enhancement 1"):
        recomputed_runs([passage(sources_example())], [Cached("Enhancemnt 1")])


def test_a_delivery_can_be_neither_cached_nor_left_out() -> None:
    for change in (Cached("deliver to Premier"), LeftOut("deliver to Premier")):
        with pytest.raises(SettingsError, match="it is what earns"):
            recomputed_runs([passage(sources_example())], [change])


def test_changes_are_read_from_text() -> None:
    options = WhatIfOptions(
        cache=("Phone", "Identity=60%"), parallel=("A, B",), timeout=("X=2s", "Y = 150 ms"), without=("Z",)
    )
    assert changes_of(options) == [
        Cached("Phone"),
        Cached("Identity", 0.6),
        InParallel(("A", "B")),
        TimedOut("X", 2000),
        TimedOut("Y", 150),
        LeftOut("Z"),
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (WhatIfOptions(), "what-if needs a change"),
        (WhatIfOptions(parallel=("A",)), "two names or more"),
        (WhatIfOptions(timeout=("A",)), "a name and a time"),
        (WhatIfOptions(timeout=("A=soon",)), "a name and a time"),
        (WhatIfOptions(cache=("A=120%",)), "at most 100"),
    ],
)
def test_a_change_that_cannot_be_read_says_what_was_expected(options: WhatIfOptions, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        changes_of(options)
