"""Rates, quantiles and intervals: what they say, and when they say that there is too little to tell."""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadtrace.analysis.exchange import report_from_json
from leadtrace.analysis.intervals import (
    difference_of_means,
    mean_interval,
    nearest_rank,
    newcombe,
    t_quantile,
    wilson,
)
from leadtrace.analysis.model import Rate, Report, Row, Sample, Window, from_micro, limited
from leadtrace.analysis.options import Options, choices, option, options_from_texts, options_to_texts
from leadtrace.analysis.registry import Analysis
from leadtrace.errors import SettingsError, SourceError


def test_a_rate_of_too_few_has_no_value_and_says_why() -> None:
    rate = Rate(3, 12, "attempts")
    assert (rate.value, rate.interval) == (None, None)
    assert rate.note == "too few to tell: 12 attempts, at least 30 needed"
    assert Rate(0, 0, "attempts", 0).note == "too few to tell: 0 attempts, at least 1 needed"


def test_a_rate_of_enough_states_what_it_is_of_and_how_sure_it_is() -> None:
    assert Rate(15_000, 48_500, "attempts").as_json() == {
        "value": pytest.approx(0.309278, abs=1e-6),
        "numerator": 15_000,
        "denominator": 48_500,
        "of": "attempts",
        "least": 30,
        "low": pytest.approx(0.305181, abs=1e-5),
        "high": pytest.approx(0.313407, abs=1e-5),
        "note": "",
    }


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_newcombes_interval_of_a_difference_is_the_published_one() -> None:
    # Newcombe 1998, "Interval estimation for the difference", table II, method 10: 56/70 against 48/80.
    assert newcombe(56, 70, 48, 80) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (5, 2.5706), (10, 2.2281), (30, 2.0423), (1000, 1.9623)]
)
def test_students_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(quantile, abs=5e-5)
    assert t_quantile(0.025, freedom) == pytest.approx(-quantile, abs=5e-5)


def test_an_interval_of_a_mean_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = random.Random(3)
    held = sum(
        low <= 5 <= high for low, high in (mean_interval([rng.gauss(5, 2) for _ in range(8)]) for _ in range(400))
    )
    assert 0.92 <= held / 400 <= 0.98


def test_welchs_interval_of_equal_groups_is_students() -> None:
    values, others = [1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 4.0, 5.0]
    low, high = difference_of_means(values, others)
    reach = t_quantile(0.975, 6) * (2 * statistics.variance(values) / 4) ** 0.5
    assert (low, high) == (pytest.approx(-1 - reach), pytest.approx(-1 + reach))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 100))
def test_a_quantile_is_the_least_value_that_covers_its_share(values: list[float], percent: int) -> None:
    ordered = sorted(values)
    found = nearest_rank(ordered, percent / 100)
    assert found in values
    assert sum(one <= found for one in values) * 100 >= percent * len(values)
    smaller = [one for one in values if one < found]
    assert len(smaller) * 100 < percent * len(values)


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (12_500_000, "12.50"),
        (0, "0.00"),
        (150, "0.00015"),
        (-1_250_000, "-1.25"),
        (670_000_000, "670.00"),
        (123_456_789, "123.456789"),
    ],
)
def test_money_has_two_places_and_more_only_where_they_say_something(micro: int, text: str) -> None:
    assert str(from_micro(micro)) == text


@dataclass(slots=True, frozen=True)
class Inner:
    name: str
    took_ms: float


@dataclass(slots=True, frozen=True)
class Costs(Row):
    section: ClassVar[str] = "costs"
    cost: Decimal
    currency: str
    share: Rate
    parts: tuple[Inner, ...]
    by_name: dict[str, int]
    best: Inner | None


@dataclass(slots=True, frozen=True)
class Times(Row):
    section: ClassVar[str] = "times"
    at_ns: int
    took_ms: float


ASKED = Analysis("frequency", lambda *_: None, Options, (Costs, Times))  # type: ignore[arg-type,return-value]


def a_report() -> Report[Row]:
    rows = (
        Costs(Decimal("0.150"), "EUR", Rate(1, 40, "calls"), (Inner("a", 1.0),), {"x": 2}, None),
        Times(17, 2.5),
    )
    return Report("frequency", Window(5), Sample({"events": 3}), rows, ("a note",), ("the depth limit",))


def test_rows_of_several_sorts_say_which_and_read_back() -> None:
    told = a_report().as_json()
    assert [one["section"] for one in told["rows"]] == ["costs", "times"]  # type: ignore[index,union-attr,call-overload]
    assert told["complete"] is False
    assert report_from_json(ASKED, told) == a_report()


@pytest.mark.parametrize(
    "wrong", [{}, {"schema": "leadtrace.report/2"}, {"rows": [{"section": "other"}]}, {"rows": [{"section": "times"}]}]
)
def test_what_is_no_report_is_said_to_be_none(wrong: dict[str, object]) -> None:
    told = a_report().as_json() | wrong if wrong else {}
    with pytest.raises(SourceError, match="not "):
        report_from_json(ASKED, told)  # type: ignore[arg-type]


@dataclass(slots=True, frozen=True, kw_only=True)
class Several(Options):
    flow: str = option("", "A flow.")
    names: tuple[str, ...] = option((), "Names.")
    least: int = option(3, "A number.")
    share: float | None = option(None, "A share.")
    deep: bool = option(False, "Deeper.")


def test_options_travel_as_text_and_come_back_equal() -> None:
    asked = Several(since_ns=7, tenant="", flow="a b", names=("x", "y"), share=0.5, deep=True, limit=2)
    assert options_from_texts("r", Several, options_to_texts(asked)) == asked
    assert options_to_texts(Several()) == []
    assert [(one.name, one.type, one.several) for one in choices(Several)] == [
        ("flow", str, False),
        ("names", str, True),
        ("least", int, False),
        ("share", float, False),
        ("deep", bool, False),
    ]


def test_options_of_a_wrong_type_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"least of the report r is int \(got: 'many'\)"):
        options_from_texts("r", Several, [("least", "many")])


@dataclass(slots=True, frozen=True)
class Hour(Row):
    section: ClassVar[str] = "hours"
    number: int


@dataclass(slots=True, frozen=True)
class Plain(Row):
    number: int


def test_what_a_limit_leaves_out_is_counted_in_a_note() -> None:
    hours, plain = [Hour(n) for n in range(3)], [Plain(n) for n in range(1_240)]
    sorts: list[list[Hour] | list[Plain]] = [hours, plain]
    assert limited(sorts, 0) == ([*hours, *plain], [])
    assert limited(sorts, 2, newest=(Hour,)) == (
        [*hours[-2:], *plain[:2]],
        ["1 earlier row of hours, left out by the limit", "1,238 more rows, left out by the limit"],
    )
