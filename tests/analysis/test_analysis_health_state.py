"""The judgement of health from figures alone: the sources' own examples, the limits, the trend, the hysteresis."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadtrace.analysis.health_state import Cascade, Counts, Figures, Limits, Standing, health

HOUR = 3_600 * 10**9
GOOD = Counts(started=5_000, runs=5_000, failed=4, sold=3_000, timed=5_000, took_us=5_000 * 900_000, enhancements=10_000,
              enhancement_failures=200, timeouts=50, hits=3_000)  # fmt: skip
WEEK = Counts(started=840_000, runs=840_000, failed=672, sold=504_000, timed=840_000, took_us=840_000 * 900_000,
              enhancements=1_680_000, enhancement_failures=33_600, timeouts=8_400, hits=504_000)  # fmt: skip


def figures(hour: int = 0, usual: Counts = WEEK, cascades: tuple[Cascade, ...] = (), **changed: int) -> Figures:
    return Figures(
        since_ns=hour * HOUR,
        until_ns=(hour + 1) * HOUR,
        now=replace(GOOD, **changed),
        usual=usual,
        usual_hourly_ms=(850.0, 900.0, 950.0) if usual.runs else (),
        cascades=cascades,
    )


def state(**changed: int) -> str:
    return health(figures(**changed), Standing()).state


def test_the_sources_healthy_hour_is_healthy() -> None:
    """5,000 completions, 98 % of enhancements, errors under 0.1 %, under a second."""
    assert health(figures(), Standing()) == Standing("healthy", HOUR)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"failed": 250}, "degraded"),  # exactly 5 %: above the usual, not above the limit
        ({"failed": 251}, "crisis"),
        ({"took_us": 5_000 * 10_000_001}, "crisis"),
        ({"took_us": 5_000 * 10_000_000}, "degraded"),  # between the limits, and far above usual
        ({"failed": 5}, "healthy"),  # 0.1 %, and no worse than usual within chance
        ({"failed": 40}, "degraded"),
        ({"took_us": 5_000 * 1_200_000}, "healthy"),  # the sources' 1.2 s average: above a second, near the usual
        ({"took_us": 5_000 * 1_400_000}, "degraded"),
        ({"enhancement_failures": 201}, "healthy"),
        ({"enhancement_failures": 400}, "degraded"),
        ({"timeouts": 150}, "degraded"),
        ({"hits": 1_500}, "degraded"),
        ({"hits": 2_500}, "healthy"),
        ({"sold": 1_900}, "degraded"),
    ],
)
def test_limits_decide_where_they_can_and_the_trend_in_between(changed: dict[str, int], expected: str) -> None:
    assert state(**changed) == expected


def test_a_figure_that_has_always_been_so_is_no_degradation() -> None:
    """2 % of runs fail every week: that is between the limits, and the trend decides."""
    usual = replace(WEEK, failed=16_800)
    assert health(figures(usual=usual, failed=100), Standing()).state == "healthy"
    assert health(figures(usual=usual, failed=200), Standing()).reasons == (
        "4.0% of 5,000 runs failed, usual is 2.0% of 840,000",
    )


def test_without_a_baseline_only_absolute_limits_decide() -> None:
    bare = Counts()
    assert health(figures(usual=bare, failed=200, timeouts=2_000), Standing()).state == "healthy"
    assert health(figures(usual=bare, enhancement_failures=1_001), Standing()).state == "degraded"
    assert health(figures(usual=bare, failed=300), Standing()).state == "crisis"


def test_a_cascade_degrades_and_with_lost_sales_it_is_a_crisis() -> None:
    cascade = (Cascade("phone", "Acme", 40, 1.5),)
    one = health(figures(cascades=cascade), Standing())
    assert (one.state, one.reasons) == (
        "degraded",
        ("failures cascade: 40 leads failed in phone and in Acme (1.5 by chance)",),
    )
    assert health(figures(cascades=cascade, sold=1_900), Standing()).state == "crisis"


def test_too_few_runs_conclude_nothing() -> None:
    before = Standing("degraded", 5, ("slow",))
    assert health(figures(runs=29, failed=29), before) is before


def test_it_gets_worse_at_once_and_better_only_after_the_hold() -> None:
    seen = []
    standing = Standing()
    for hour, failed in enumerate([4, 400, 4, 4, 4]):
        standing = health(figures(hour, failed=failed), standing)
        seen.append((standing.state, standing.since_ns // HOUR))
    assert seen == [("healthy", 1), ("crisis", 2), ("crisis", 2), ("healthy", 4), ("healthy", 4)]


def test_during_the_hold_the_worst_counts() -> None:
    """A crisis that turns into a degradation, and that into health: one step at a time."""
    standing = Standing()
    seen = []
    for hour, failed in enumerate([400, 40, 4, 4, 4, 4]):
        standing = health(figures(hour, failed=failed), standing)
        seen.append(standing.state)
    assert seen == ["crisis", "crisis", "degraded", "degraded", "healthy", "healthy"]


def test_what_hovers_around_a_limit_does_not_flap() -> None:
    """5.2 %, then 4.8 %, again and again: 4.8 is above 0.8 of the limit, so the crisis stands."""
    standing = Standing()
    changes = 0
    for hour in range(20):
        before, standing = standing, health(figures(hour, failed=260 if hour % 2 else 240), standing)
        changes += standing.state != before.state
    assert (standing.state, changes) == ("crisis", 2)  # degraded at 4.8 %, crisis at the first 5.2 %


counts = st.builds(
    lambda runs, share, bad: replace(
        GOOD, runs=runs, failed=int(runs * share), enhancement_failures=int(GOOD.enhancements * bad)
    ),
    st.integers(0, 5_000),
    st.floats(0, 0.2),
    st.floats(0, 0.3),
)


@given(st.lists(counts, min_size=1, max_size=12), st.sampled_from([Counts(), WEEK]))
def test_for_any_figures_time_moves_on_and_every_worse_state_has_a_reason(hours: list[Counts], usual: Counts) -> None:
    standing = Standing()
    for number, now in enumerate(hours):
        one = Figures(since_ns=number * HOUR, until_ns=(number + 1) * HOUR, now=now, usual=usual)
        after = health(one, standing)
        assert after == health(one, standing)
        assert after.since_ns >= standing.since_ns
        if after.state in ("degraded", "crisis"):
            assert after.reasons
        if now.runs >= 30 and now.failed / now.runs > 0.05:
            assert after.state == "crisis"
        standing = after


def test_a_longer_hold_is_a_setting() -> None:
    limits = Limits(hold_ns=4 * HOUR)
    standing = health(figures(0, failed=400), Standing(), limits)
    for hour in range(1, 4):
        standing = health(figures(hour), standing, limits)
        assert standing.state == "crisis"
    assert health(figures(4), standing, limits).state == "healthy"
