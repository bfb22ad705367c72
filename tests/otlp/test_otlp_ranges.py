"""Sets of numbers as runs: the same as Python's sets, whatever is asked of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.otlp.ranges import EMPTY, Ranges

_numbers = st.lists(st.integers(-5, 60), max_size=40)


@settings(max_examples=50)
@given(_numbers, _numbers)
def test_sets_of_runs_are_sets(one: list[int], two: list[int]):
    """Union, intersection, difference, membership, count and order are those of a set of the same numbers."""
    a, b = Ranges.of_numbers(one), Ranges.of_numbers(two)
    assert list(a) == sorted(set(one))
    assert a.count == len(set(one))
    assert list(a | b) == sorted(set(one) | set(two))
    assert list(a & b) == sorted(set(one) & set(two))
    assert list(a - b) == sorted(set(one) - set(two))
    assert [n for n in range(-7, 63) if n in a] == sorted(set(one))
    assert bool(a) == bool(one)
    assert (a == b) == (set(one) == set(two))


@settings(max_examples=50)
@given(_numbers, st.integers(-5, 60), st.integers(-5, 60))
def test_what_is_outside_are_the_holes(numbers: list[int], first: int, last: int):
    """Between two ends, every number is either in the set or in what is outside of it; never in both."""
    found = Ranges.of_numbers(numbers).outside(first, last)
    assert list(found) == [n for n in range(first, last + 1) if n not in set(numbers)]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9)), max_size=20))
def test_runs_may_come_in_any_order_and_over_each_other(pairs: list[tuple[int, int]]):
    """They come out in order, apart from each other, and read back from JSON as they were."""
    runs = [(first, first + length) for first, length in pairs]
    made = Ranges.of(*runs)
    assert set(made) == {n for first, last in runs for n in range(first, last + 1)}
    assert all(before[1] + 1 < after[0] for before, after in zip(made.runs, made.runs[1:], strict=False))
    assert Ranges.of(*json.loads(json.dumps(made.as_json()))) == made


def test_ten_million_numbers_in_a_row_are_one_run():
    """The size is that of the holes, not of the numbers."""
    whole = Ranges.of((1, 10_000_000))
    assert (whole - Ranges.of((5, 5))).runs == ((1, 4), (6, 10_000_000))
    assert whole.count == 10_000_000


def test_runs_are_told_as_a_person_would():
    """One number alone, several as from and to; nothing for none."""
    assert str(Ranges.of((1, 3), (7, 7))) == "1-3, 7"
    assert str(EMPTY) == ""
    assert repr(Ranges.of((1, 3))) == "Ranges.of((1, 3))"


def test_a_run_that_ends_before_it_begins_is_refused():
    """It is somebody's mistake, and counting with it would hide a loss."""
    with pytest.raises(ValueError, match="a range ends where it begins or later, not 4-3"):
        Ranges.of((4, 3))
