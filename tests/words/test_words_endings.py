"""How enhancements, validations, rules, steps and fallbacks end: answers, costs, data, expected exceptions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.testing import Captured


class Status:
    def __init__(self, status: int) -> None:
        self.status = status


def _last(told: Captured) -> Any:
    return told.events()[-1]


# -- enhancements


@pytest.mark.parametrize(
    ("answer", "event", "fields"),
    [
        (None, "enhancement.success", {}),
        (lt.accepted(), "enhancement.success", {}),
        (lt.pending("later"), "enhancement.success", {}),
        (
            lt.rejected("nobody there"),
            "enhancement.failed",
            {"reason": "nobody there", "category": "data", "subcategory": "no_match"},
        ),
        (lt.unconfirmed("silence"), "enhancement.failed", {"category": "technical", "subcategory": "timeout"}),
        (
            lt.failed("stale", category="data", subcategory="quality", cause="stale_data"),
            "enhancement.failed",
            {"reason": "stale", "category": "data", "subcategory": "quality", "cause": "stale_data"},
        ),
    ],
    ids=lambda one: getattr(one, "verdict", ""),
)
@pytest.mark.parametrize("way", ["returned", "outcome", "result"])
def test_an_enhancement_ends_by_its_answer(way: str, answer: Any, event: str, fields: Any, told: Captured) -> None:
    if way == "returned":
        lt.enhancement("E")(lambda: answer)()
    elif way == "outcome":
        lt.enhancement("E", outcome=lambda result: answer)(lambda: "raw")()
    else:
        with lt.enhancement("E") as handle:
            handle.result(answer)
    end = _last(told)
    assert end.name == event
    assert end.attributes["enhancement.outcome"] == ("success" if event.endswith("success") else "failed")
    assert {key: end.attributes[f"enhancement.failure.{key}"] for key in fields} == fields


def test_an_outcome_that_raises_itself_leaves_a_success_marked(told: Captured) -> None:
    assert lt.enhancement("E", outcome=lambda result: result.nothing)(lambda: 5)() == 5
    assert told.one("enhancement.success").attributes["leadtrace.marks"] == ["missing:outcome"]


def test_a_returned_status_of_failure_fails_an_enhancement(told: Captured) -> None:
    lt.enhancement("E", cost=1)(lambda: Status(503))()
    end = told.one("enhancement.failed").attributes
    assert end["http.response.status_code"] == 503
    assert end["enhancement.failure.category"] == "technical"
    assert "enhancement.cost" not in end


def test_a_raised_exception_fails_an_enhancement_with_its_taxonomy_and_what_is_missing(told: Captured) -> None:
    problem = TimeoutError("slow")
    with pytest.raises(TimeoutError) as caught, lt.enhancement("E", service="S", cost=0.02, provides=["age", "sex"]):
        raise problem
    assert caught.value is problem
    end = told.one("enhancement.failed").attributes
    assert end["enhancement.failure.category"] == "technical"
    assert end["enhancement.failure.subcategory"] == "timeout"
    assert end["enhancement.failure.error_code"] == "TIMEOUT_ERROR"
    assert end["enhancement.failure.details"] == "slow"
    assert end["enhancement.impact.data_missing"] == ["age", "sex"]
    assert end["enhancement.service"] == "S"
    assert end["error.type"] == "TimeoutError"
    assert "enhancement.cost" not in end


def test_tries_beneath_are_counted_on_a_failed_enhancement(told: Captured) -> None:
    with pytest.raises(OSError, match="x"), lt.enhancement("E") as handle:
        for n in range(3):
            try:
                with handle.attempt("GET"):
                    raise OSError("x")
            except OSError:
                if n == 2:
                    raise
    end = told.one("enhancement.failed").attributes
    assert (end["enhancement.retry.attempted"], end["enhancement.retry.count"]) == (True, 2)


@pytest.mark.parametrize(
    ("note", "answer", "expected"),
    [
        ({}, None, {"cost": 0.02}),
        ({"cache_hit": True}, None, {"cost": 0.0, "cost_avoided": 0.02, "cache_hit": True}),
        ({"cache_hit": False}, None, {"cost": 0.02, "cache_hit": False}),
        ({"cost": 0.05}, None, {"cost": 0.05}),
        ({"cost": Decimal("0.05"), "cache_hit": True}, None, {"cost": 0.05, "cache_hit": True}),
        ({}, lt.failed("billed all the same", cost=0.01), {"cost": 0.01}),
        ({}, lt.failed("free"), {}),
        ({"cost": 3}, lt.failed("noted"), {"cost": 3.0}),
        ({"cost": 0.5}, lt.rejected("no match"), {"cost": 0.5}),
    ],
)
def test_what_an_enhancement_costs(note: Any, answer: Any, expected: Any, told: Captured) -> None:
    with lt.enhancement("E", cost=Decimal("0.02")) as handle:
        handle.note(**note)
        handle.result(answer)
    end = _last(told).attributes
    keys = ("cost", "cost_avoided", "cache_hit")
    assert {key: end[f"enhancement.{key}"] for key in keys if f"enhancement.{key}" in end} == expected
    assert ("enhancement.currency" in end) == ("cost" in expected)


def test_an_explicit_cost_of_a_call_that_raised_is_charged(told: Captured) -> None:
    with pytest.raises(ValueError, match="x"), lt.enhancement("E", cost=1, currency="EUR"):
        lt.note(cost=0.25)
        raise ValueError("x")
    end = told.one("enhancement.failed").attributes
    assert (end["enhancement.cost"], end["enhancement.currency"]) == (0.25, "EUR")


def test_the_cost_may_be_read_from_the_call_or_its_result(told: Captured) -> None:
    lt.enhancement("E", cost=lt.result["price"])(lambda: {"price": 0.07})()
    lt.enhancement("E", cost=lambda lead: 0.01 * lead)(lambda lead: None)(3)
    assert [one.attributes["enhancement.cost"] for one in told.events("enhancement.success")] == [0.07, 0.03]


def test_a_cache_event_beneath_sets_the_cache_hit(told: Captured) -> None:
    with lt.flow("F", lead_id="L1"):
        with lt.enhancement("E", cost=0.5), lt.step("look it up"):
            lt.emit("system.cache.hit", cache_name="phones")
        with lt.enhancement("E", cost=0.5):
            lt.emit("system.cache.miss")
    first, second = (one.attributes for one in told.events("enhancement.success"))
    assert (first["enhancement.cache_hit"], first["enhancement.cost_avoided"]) == (True, 0.5)
    assert (second["enhancement.cache_hit"], second["enhancement.cost"]) == (False, 0.5)
    assert told.one("flow.completed").attributes["flow.performance.cache_hits"] == 1


class Person:
    phone_type, carrier, ssn = "mobile", "Acme Mobile", "078-05-1120"


def test_data_that_is_named_is_recorded_and_the_rest_only_named(told: Captured) -> None:
    lt.enhancement("E", data=["phone_type"])(lambda: {"phone_type": "mobile", "ssn": "078-05-1120"})()
    lt.enhancement("E", data=["phone_type", "carrier", "nothing"])(lambda: Person())()
    lt.enhancement("E")(lambda: {"phone_type": "mobile"})()
    lt.enhancement("E", data=lambda result: {"score": result * 2})(lambda: 4)()
    first, second, third, fourth = (one.attributes for one in told.events("enhancement.success"))
    assert first["enhancement.data_appended.phone_type"] == "mobile"
    assert first["enhancement.data_unrecorded"] == ["ssn"]
    assert "078-05-1120" not in str(first)
    assert second["enhancement.data_appended.carrier"] == "Acme Mobile"
    assert "enhancement.data_appended.nothing" not in second
    assert third["enhancement.data_unrecorded"] == ["phone_type"]
    assert not [key for key in third if "data_appended" in key]
    assert fourth["enhancement.data_appended.score"] == 8


def test_data_that_is_allowed_in_the_settings_is_recorded() -> None:
    with lt.capture(allow=("phone_type",)) as told:
        lt.enhancement("E")(lambda: {"phone_type": "mobile", "name": "Ann Lee"})()
    end = told.one("enhancement.success").attributes
    assert end["enhancement.data_appended.phone_type"] == "mobile"
    assert end["enhancement.data_unrecorded"] == ["name"]


def test_data_may_be_noted_by_hand(told: Captured) -> None:
    with lt.enhancement("E") as handle:
        handle.note(data_appended={"risk_score": 12}, metadata_api_version="v3", metadata_response_size=512)
    end = told.one("enhancement.success").attributes
    assert end["enhancement.data_appended.risk_score"] == 12
    assert end["enhancement.metadata.api_version"] == "v3"
    assert end["enhancement.metadata.response_size"] == 512


def test_the_flow_counts_positions_where_none_is_given(told: Captured) -> None:
    with lt.flow("F", lead_id="L1"):
        for position in (None, 7, None):
            with lt.enhancement("E", position=position):
                pass
    assert [one.attributes["enhancement.position"] for one in told.events("enhancement.started")] == [1, 7, 3]
    assert [one.attributes["enhancement.position"] for one in told.events("enhancement.success")] == [1, 7, 3]


# -- validations and rules


class Array:
    """As numpy's: it has no truth."""

    def __bool__(self) -> bool:
        raise ValueError("The truth value of an array is ambiguous")


YES_NO = {"validation": (lt.validation, "validation.passed", "validation.failed")}
YES_NO["rule"] = (lt.rule, "rule.satisfied", "rule.rejected")


@pytest.mark.parametrize("word", YES_NO)
@pytest.mark.parametrize(
    ("passed", "result", "good"),
    [
        (None, True, True),
        (None, None, True),
        (None, [], False),
        (None, ["problem"], True),
        (lambda problems: not problems, [], True),
        (lambda problems: not problems, ["no consent"], False),
        (lt.result.ok, type("R", (), {"ok": False})(), False),
        (None, Array(), True),
        (lambda result: Array(), 1, True),
        (None, lt.accepted(), True),
        (None, lt.rejected("too old"), False),
    ],
)
def test_a_check_ends_by_what_it_found(word: str, passed: Any, result: Any, good: bool, told: Captured) -> None:
    make, yes, no = YES_NO[word]
    assert make("C", passed=passed)(lambda: result)() is result
    end = _last(told)
    assert end.name == (yes if good else no)
    assert end.attributes[f"{word}.name"] == "C"
    assert end.attributes["leadtrace.kind"] == ("success" if good else "rejection")
    if isinstance(result, Array) or (passed is not None and result == 1):
        assert end.attributes["leadtrace.marks"] == ["no_truth"]


@pytest.mark.parametrize("word", YES_NO)
def test_none_passes_a_check_in_the_with_form_and_passed_decides(word: str, told: Captured) -> None:
    make, yes, no = YES_NO[word]
    with make("C"):
        pass
    with make("C", passed=False, reason="too old"):
        pass
    with make("C") as check:
        check.result(False)
    with make("C", passed=lambda age: age < 70, reason=lambda age: f"{age} is too old") as check:
        check.result(71)
    names = [one.name for one in told.events() if one.attributes["leadtrace.kind"] != "start"]
    assert names == [yes, no, no, no]
    reasons = [one.attributes.get(f"{word}.reason") for one in told.events(no)]
    assert reasons == ["too old", None, "71 is too old"]


def test_the_reason_is_read_only_for_a_no(told: Captured) -> None:
    read: list[object] = []

    def reason(result: Any) -> str:
        read.append(result)
        return str(result[0])

    check = lt.validation("consent", passed=lambda problems: not problems, reason=reason)(lambda problems: problems)
    check([])
    assert read == []
    check(["no certificate"])
    assert told.one("validation.failed").attributes["validation.reason"] == "no certificate"
    assert lt.validation("c", passed=lambda p: not p, reason=lt.result[0])(lambda: [*()])() == []
    assert "leadtrace.marks" not in _last(told).attributes


@pytest.mark.parametrize("word", YES_NO)
def test_a_check_that_raises_is_a_failed_operation(word: str, told: Captured) -> None:
    with pytest.raises(KeyError), YES_NO[word][0]("C"):
        raise KeyError("x")
    assert told.tree() == (f"{word} 'C'\n  operation.started\n  error.occurred\n  operation.failed")


@pytest.mark.parametrize("word", YES_NO)
def test_an_expected_exception_is_a_no(word: str, told: Captured) -> None:
    make, _, no = YES_NO[word]
    with pytest.raises(LookupError), make("C", expected=LookupError):
        raise LookupError("too old")
    end = told.one(no)
    assert end.attributes[f"{word}.reason"] == "too old"
    assert end.attributes["leadtrace.expected"] == "LookupError"
    assert told.events("error.occurred") == []


# -- expected exceptions elsewhere


EXPECTED = {
    "flow": (lt.flow, "flow.completed"),
    "step": (lt.step, "operation.completed"),
    "fallback": (lt.fallback, "operation.completed"),
    "enhancement": (lt.enhancement, "enhancement.failed"),
    "delivery": (lt.delivery, "delivery.rejected"),
    "attempt": (lt.attempt, "api.call.succeeded"),
    "validation": (lt.validation, "validation.failed"),
    "rule": (lt.rule, "rule.rejected"),
}


class NoMatch(LookupError):
    """The service knows nobody of that name."""


@pytest.mark.parametrize("by", ["word", "settings", "group"])
@pytest.mark.parametrize("word", EXPECTED)
def test_an_expected_exception_is_an_answer_and_still_raised(word: str, by: str) -> None:
    make, event = EXPECTED[word]
    problem: BaseException = NoMatch("nobody")
    if by == "group":
        problem = ExceptionGroup("several", [NoMatch("nobody"), NoMatch("nor here")])
    on_word, everywhere = ((NoMatch,), ()) if by == "word" else ((), (NoMatch,))
    with (
        lt.capture(expected=everywhere) as told,
        pytest.raises(type(problem)) as caught,
        make("NAME", expected=on_word),
    ):
        raise problem
    assert caught.value is problem
    end = told.one(event)
    assert str(end.attributes["leadtrace.expected"]).endswith(type(problem).__name__)
    assert told.events("error.occurred") == []
    if word == "enhancement":
        assert end.attributes["enhancement.failure.category"] == "data"
        assert end.attributes["enhancement.failure.subcategory"] == "no_match"


def test_expected_takes_classes() -> None:
    with pytest.raises(TypeError, match=r"lt.step: expected= takes exception classes, not 'LookupError'"):
        lt.step("s", expected="LookupError")  # type: ignore[call-overload]


# -- steps, fallbacks


def test_a_step_completes_or_fails_by_its_answer(told: Captured) -> None:
    lt.step("s")(lambda: lt.failed("template broken", category="processing", cost=1))()
    end = told.one("operation.failed").attributes
    assert (end["error.message"], end["error.category"]) == ("template broken", "processing")
    for answer in (lt.accepted(revenue=5), lt.rejected("no", code="4"), lt.pending("r"), lt.unconfirmed("?"), None):
        lt.step("s")(lambda answer=answer: answer)()
    assert len(told.events("operation.completed")) == 5
    assert told.events("operation.completed")[0].attributes["step.revenue"] == 5
    assert told.events("operation.completed")[1].attributes["step.code"] == "4"


def test_keywords_of_ones_own_go_under_the_words_name_on_the_end_event(told: Captured) -> None:
    @lt.step("routing", chosen=lt.result[0], why="best price", weights=lambda result: len(result))
    def choose() -> list[str]:
        return ["Acme", "Other"]

    choose()
    end = told.one("operation.completed").attributes
    assert (end["step.chosen"], end["step.why"], end["step.weights"]) == ("Acme", "best price", 2)
    with lt.delivery("Acme", channel="api") as delivery:
        delivery.accepted(revenue=1, tier="gold")
        delivery.note(attributes={"acme.queue": "fast"})
    end = told.one("delivery.accepted").attributes
    assert (end["delivery.channel"], end["delivery.tier"], end["acme.queue"]) == ("api", "gold", "fast")


@pytest.mark.parametrize("first", ["failed", "succeeded"])
@pytest.mark.parametrize("second", ["failed", "succeeded"])
@pytest.mark.parametrize("what", ["enhancement", "delivery"])
def test_a_fallback_recovers_only_what_failed_and_only_by_its_own_success(
    what: str, first: str, second: str, told: Captured
) -> None:
    def one(handle: Any, name: str, how: str) -> None:
        with getattr(handle, what)(name) as word:
            word.failed("down") if how == "failed" else word.accepted()

    with lt.flow("F", lead_id="L1") as flow:
        one(flow, "First", first)
        with lt.fallback("the other", instead_of="First") as fallback:
            one(fallback, "Second", second)
    recovered = told.events("error.recovered")
    assert len(recovered) == (1 if (first, second) == ("failed", "succeeded") else 0)
    if recovered:
        assert recovered[0].attributes["recovery.action"] == "fallback"
    used = told.one("fallback.used").attributes
    assert (used["fallback.name"], used["fallback.instead_of"]) == ("the other", "First")


def test_a_fallback_ends_as_a_step(told: Captured) -> None:
    with lt.fallback("cached answer", instead_of="Phone"):
        pass
    with pytest.raises(OSError, match="x"), lt.fallback("b"):
        raise OSError("x")
    assert [one.name for one in told.events("operation.*")][1::2] == ["operation.completed", "operation.failed"]
