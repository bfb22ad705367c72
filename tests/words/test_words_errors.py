"""Exceptions: told once, at the innermost word that they leave, and the host's own object, unchanged."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.testing import Captured


class Declined(Exception):
    """A host's exception with a state of its own."""

    def __init__(self, code: int) -> None:
        super().__init__(f"declined {code}")
        self.code = code
        self.extra = {"seen": [code]}


def test_it_is_told_once_at_the_innermost_word(told: Captured) -> None:
    problem = Declined(7)
    with pytest.raises(Declined) as caught, lt.flow("F", lead_id="L1"), lt.step("outer"), lt.enhancement("E"):
        raise problem
    assert caught.value is problem
    assert (problem.args, problem.code, problem.extra) == (("declined 7",), 7, {"seen": [7]})
    assert (problem.__cause__, problem.__context__, problem.__suppress_context__) == (None, None, False)
    assert not hasattr(problem, "__notes__")
    assert told.tree() == (
        "flow 'F'\n  flow.started\n"
        "  step 'outer'\n    operation.started\n"
        "    enhancement 'E'\n      enhancement.started\n      error.occurred\n      enhancement.failed\n"
        "    operation.failed\n"
        "  flow.failed"
    )
    error = told.one("error.occurred").attributes
    expected = {
        "error.type": f"{__name__}.Declined",
        "error.message": "declined 7",
        "error.severity": "medium",
        "error.context.step": "E",
        "error.context.operation": "enhancement",
        "error.impact.lead_affected": True,
        "leadtrace.kind": "error",
    }
    assert {key: error.get(key) for key in expected} == expected
    assert len(error["error.fingerprint"]) == 16


def test_the_traceback_shows_the_hosts_own_frames(told: Captured) -> None:
    def fails() -> None:
        raise Declined(1)

    with pytest.raises(Declined) as caught:
        lt.step("s")(fails)()
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fails"


def test_another_exception_on_the_way_out_is_told_as_its_own(told: Captured) -> None:
    with pytest.raises(RuntimeError), lt.flow("F", lead_id="L1"), lt.step("outer"):
        try:
            with lt.step("inner"):
                raise Declined(1)
        except Declined as problem:
            raise RuntimeError("gave up") from problem
    types = [one.attributes["error.type"] for one in told.events("error.occurred")]
    assert types == [f"{__name__}.Declined", "RuntimeError"]


def test_one_exception_raised_again_and_again_is_told_once_in_a_run(told: Captured) -> None:
    problem = Declined(1)
    with lt.flow("F", lead_id="L1") as flow:
        for _ in range(3):
            with pytest.raises(Declined), flow.step("s"):
                raise problem
    with pytest.raises(Declined), lt.flow("G", lead_id="L2"):
        raise problem
    assert [one.lead_id for one in told.events("error.occurred")] == ["L1", "L2"], "once per exception and run"


def test_a_group_whose_members_have_all_been_told_is_not_told_again(told: Captured) -> None:
    one, two = Declined(1), Declined(2)
    with lt.flow("F", lead_id="L1") as flow:
        for problem in (one, two):
            with pytest.raises(Declined), flow.step("s"):
                raise problem
        with pytest.raises(ExceptionGroup), flow.step("all"):
            raise ExceptionGroup("all", [one, ExceptionGroup("inner", [two])])
        assert len(told.events("error.occurred")) == 2
        with pytest.raises(ExceptionGroup), flow.step("some"):
            raise ExceptionGroup("some", [one, Declined(3)])
    assert told.events("error.occurred")[2].attributes["error.type"] == "ExceptionGroup"


def test_errors_of_one_place_have_one_fingerprint(told: Captured) -> None:
    def here(n: int) -> None:
        raise Declined(n)

    def there() -> None:
        raise Declined(1)

    for call in (lambda: here(1), lambda: here(2), there):
        with pytest.raises(Declined), lt.step("s"):
            call()
    first, second, third = (one.attributes["error.fingerprint"] for one in told.events("error.occurred"))
    assert first == second != third


def test_a_str_that_raises_hurts_nobody(told: Captured) -> None:
    class Bad(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    problem = Bad()
    with pytest.raises(Bad) as caught, lt.step("s"):
        raise problem
    assert caught.value is problem
    assert told.one("error.occurred").attributes["error.message"] == "<str() raised ZeroDivisionError>"


def test_error_tells_what_was_handled(told: Captured) -> None:
    with lt.flow("F", lead_id="L1"), lt.step("parse"):
        try:
            raise Declined(4)
        except Declined as problem:
            receipt = lt.error(problem, "used defaults", "high", data_lost=True, expected="JSON", input="x@y.example")
    error, recovered = told.one("error.occurred"), told.one("error.recovered")
    assert error.uid == receipt.uid
    expected = {
        "error.severity": "high",
        "error.context.step": "parse",
        "error.context.expected": "JSON",
        "error.impact.data_lost": True,
        "error.impact.recovery_action": "used defaults",
    }
    assert {key: error.attributes.get(key) for key in expected} == expected
    assert str(error.attributes["error.context.input"]).startswith("text#")
    assert recovered.attributes["recovery.action"] == "used defaults"
    assert told.names()[-2:] == ["operation.completed", "flow.completed"]


def test_an_exception_that_a_word_has_told_is_amended(told: Captured) -> None:
    with lt.flow("F", lead_id="L1") as flow:
        try:
            with lt.step("s"):
                raise Declined(4)
        except Declined as problem:
            flow.error(problem, severity="critical")
    first, second = told.events("error.occurred")
    assert second.attributes["leadtrace.amends"] == first.uid
    assert second.attributes["error.severity"] == "critical"


def test_an_exception_that_was_told_by_hand_is_not_told_again(told: Captured) -> None:
    with pytest.raises(Declined), lt.flow("F", lead_id="L1"), lt.step("s"):
        try:
            raise Declined(4)
        except Declined as problem:
            lt.error(problem, severity="low")
            raise
    assert len(told.events("error.occurred")) == 1


def test_a_sentence_is_an_error_too(told: Captured) -> None:
    lt.error("the feed was empty")
    error: Any = told.one("error.occurred").attributes
    assert (error["error.type"], error["error.message"]) == ("Error", "the feed was empty")
