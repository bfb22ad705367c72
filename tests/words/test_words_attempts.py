"""Tries and retries: their numbers, their waits, the one final outcome, and the recovery."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import stamina
import tenacity

import leadtrace as lt
from leadtrace.testing import Captured

WAIT_S = 0.02
THREE = """\
flow 'F'
  flow.started
  delivery 'deliver to Acme'
    delivery.started
    attempt 'POST lead'
      api.call.attempted
      error.occurred
      api.call.failed
    system.retry.attempted
    attempt 'POST lead'
      api.call.attempted
      error.occurred
      api.call.failed
    system.retry.attempted
    attempt 'POST lead'
      api.call.attempted
      api.call.succeeded
    error.recovered
    delivery.accepted
  flow.completed"""


class BuyerDownError(ConnectionRefusedError):
    """The buyer's line is closed."""


class Reply:
    ok, price = True, 45.0


def read_reply(reply: Reply) -> lt.Answer:
    return lt.accepted(revenue=reply.price) if reply.ok else lt.rejected("no")


def _third_time() -> Any:
    count = iter(range(1, 10))

    @lt.attempt("POST lead", max_attempts=3)
    def post() -> Reply:
        if next(count) < 3:
            raise BuyerDownError("closed")
        return Reply()

    return post


def _third_time_async() -> Any:
    count = iter(range(1, 10))

    @lt.attempt("POST lead", max_attempts=3)
    async def post() -> Reply:
        await asyncio.sleep(0)
        if next(count) < 3:
            raise BuyerDownError("closed")
        return Reply()

    return post


def _by_plain_loop() -> None:
    post = _third_time()

    @lt.delivery("Acme", answer=read_reply)
    def deliver() -> Reply:
        while True:
            try:
                return post()
            except BuyerDownError:
                time.sleep(WAIT_S)

    assert deliver().price == 45.0


def _by_loop_of_with() -> None:
    with lt.delivery("Acme") as delivery:
        for number in (1, 2, 3):
            try:
                with delivery.attempt("POST lead", max_attempts=3):
                    if number < 3:
                        raise BuyerDownError("closed")
                break
            except BuyerDownError:
                time.sleep(WAIT_S)
        delivery.accepted(revenue=45.0)


def _by_stamina() -> None:
    post = _third_time()
    retried = stamina.retry(on=BuyerDownError, attempts=3, wait_initial=WAIT_S, wait_max=WAIT_S, wait_jitter=0)(post)
    assert lt.delivery("Acme", answer=read_reply)(retried)().ok


def _by_stamina_async() -> None:
    post = _third_time_async()
    retried = stamina.retry(on=BuyerDownError, attempts=3, wait_initial=WAIT_S, wait_max=WAIT_S, wait_jitter=0)(post)
    assert asyncio.run(lt.delivery("Acme", answer=read_reply)(retried)()).ok


def _by_tenacity() -> None:
    retried = tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(WAIT_S))(_third_time())
    assert lt.delivery("Acme", answer=read_reply)(retried)().ok


def _by_tenacity_async() -> None:
    retried = tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(WAIT_S))(_third_time_async())
    assert asyncio.run(lt.delivery("Acme", answer=read_reply)(retried)()).ok


@pytest.mark.parametrize(
    "deliver",
    [_by_plain_loop, _by_loop_of_with, _by_stamina, _by_stamina_async, _by_tenacity, _by_tenacity_async],
    ids=lambda one: one.__name__.removeprefix("_by_").replace("_", " "),
)
def test_three_tries_show_with_their_waits_one_outcome_and_the_recovery(deliver: Any, told: Captured) -> None:
    with lt.flow("F", lead_id="L1"):
        deliver()
    assert told.tree() == "\n".join(line for line in THREE.splitlines() if not line.endswith("system.retry.scheduled"))
    tries = told.events("api.call.*")
    assert [one.attributes["attempt"] for one in tries] == [1, 1, 2, 2, 3, 3]
    assert {one.attributes["max_attempts"] for one in tries} == {3}
    retries = told.events("system.retry.attempted")
    assert [one.attributes["attempt"] for one in retries] == [2, 3]
    for one in retries:
        assert one.attributes["waited_ms"] >= WAIT_S * 900  # type: ignore[operator]
        assert one.attributes["leadtrace.kind"] == "milestone"
    recovered = told.one("error.recovered")
    assert recovered.attributes["recovery.action"] == "retry"
    assert recovered.attributes["total_retry_time_ms"] >= 2 * WAIT_S * 900  # type: ignore[operator]
    assert recovered.span_id == told.one("delivery.started").span_id
    end = told.one("delivery.accepted")
    assert end.attributes["delivery.attempts"] == 3
    assert end.attributes["delivery.revenue"] == 45.0
    failed = told.events("api.call.failed")
    assert all(one.attributes["leadtrace.kind"] == "attempt_failure" for one in failed)
    assert [one.attributes["error.retry_count"] for one in told.events("error.occurred")] == [0, 1]


def _exhausted_stamina(post: Any) -> Any:
    return stamina.retry(on=ConnectionError, attempts=2, wait_initial=0, wait_max=0, wait_jitter=0)(post)


def _exhausted_tenacity(post: Any) -> Any:
    return tenacity.retry(stop=tenacity.stop_after_attempt(2))(post)


@pytest.mark.parametrize("retry", [_exhausted_stamina, _exhausted_tenacity], ids=["stamina", "tenacity"])
def test_a_wrapper_of_a_retry_library_is_reported_as_its_cause_and_the_host_sees_the_wrapper(
    retry: Any, told: Captured
) -> None:
    @lt.attempt("POST")
    def post() -> None:
        raise BuyerDownError("closed")

    with pytest.raises((BuyerDownError, tenacity.RetryError)) as caught:
        lt.delivery("Acme")(retry(post))()
    if retry is _exhausted_tenacity:
        assert type(caught.value) is tenacity.RetryError
    end = told.one("delivery.failed")
    assert str(end.attributes["error.type"]).endswith("BuyerDownError")
    assert end.attributes["delivery.failure.subcategory"] == "connection"
    assert len(told.events("error.occurred")) == 2, "once for each try's own exception"
    assert told.events("error.recovered") == []


def test_a_try_after_a_success_is_number_one_again(told: Captured) -> None:
    with lt.step("s") as step:
        for _ in range(2):
            with step.attempt("GET"):
                pass
    assert [one.attributes["attempt"] for one in told.events("api.call.attempted")] == [1, 1]
    assert told.events("system.retry.attempted") == []


def test_tries_of_other_names_and_other_parents_are_numbered_apart(told: Captured) -> None:
    with lt.step("s") as step:
        for name in ("GET a", "GET b", "GET a"):
            with pytest.raises(OSError, match="x"), step.attempt(name):
                raise OSError("x")
        with step.step("inner") as inner, inner.attempt("GET a"):
            pass
    numbers = [
        (one.attributes["leadtrace.name"], one.attributes["attempt"]) for one in told.events("api.call.attempted")
    ]
    assert numbers == [("GET a", 1), ("GET b", 1), ("GET a", 2), ("GET a", 1)]


def test_tries_open_at_once_are_no_retries(told: Captured) -> None:
    with lt.step("s") as step:
        with pytest.raises(OSError, match="x"), step.attempt("GET"):
            raise OSError("x")
        with step.attempt("GET"), step.attempt("GET"):
            pass
    assert [one.attributes["attempt"] for one in told.events("api.call.attempted")] == [1, 2, 1]
    assert len(told.events("system.retry.attempted")) == 1


def test_number_overrides(told: Captured) -> None:
    @lt.attempt("POST", number=lt.arg.n)
    def post(n: int) -> None: ...

    with lt.step("s"):
        post(4)
    assert told.one("api.call.attempted").attributes["attempt"] == 4
    assert told.one("system.retry.attempted").attributes["attempt"] == 4


async def test_a_cancelled_try_counts_as_failed(told: Captured) -> None:
    @lt.attempt("POST")
    async def post(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async with lt.step("s"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await post(10)
        await post(0)
    assert told.tree() == (
        "step 's'\n  operation.started\n"
        "  attempt 'POST'\n    api.call.attempted\n    api.call.cancelled\n"
        "  system.retry.attempted\n"
        "  attempt 'POST'\n    api.call.attempted\n    api.call.succeeded\n"
        "  error.recovered\n  operation.completed"
    )
    assert told.events("api.call.attempted")[1].attributes["attempt"] == 2


class Status:
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_status_that_means_try_again_is_a_failed_try(status: int, told: Captured) -> None:
    lt.attempt("GET")(lambda: Status(status))()
    end = told.one("api.call.failed")
    assert end.attributes["http.response.status_code"] == status
    assert end.attributes["error.type"] == str(status)
    assert end.attributes["error.category"] in ("technical", "processing", "system")
    assert told.events("error.occurred") == []


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 404, 409, 422])
def test_every_other_status_is_an_answer(status: int, told: Captured) -> None:
    lt.attempt("GET")(lambda: Status(status))()
    assert told.one("api.call.succeeded").attributes["http.response.status_code"] == status


def test_only_failed_fails_a_try(told: Captured) -> None:
    answers = [lt.accepted(), lt.rejected("no"), lt.pending("r"), lt.unconfirmed("?"), lt.failed("broken")]
    for answer in answers:
        lt.attempt("GET")(lambda answer=answer: answer)()
    assert [one.name for one in told.events("api.call.*") if one.attributes["leadtrace.kind"] != "start"] == [
        *["api.call.succeeded"] * 4,
        "api.call.failed",
    ]
    assert told.one("api.call.failed").attributes["error.message"] == "broken"


def test_an_expected_exception_is_an_answered_try(told: Captured) -> None:
    problem = LookupError("no such person")
    with pytest.raises(LookupError) as caught, lt.attempt("GET", expected=LookupError):
        raise problem
    assert caught.value is problem
    end = told.one("api.call.succeeded")
    assert end.attributes["leadtrace.expected"] == "LookupError"
    assert told.events("error.occurred") == []


def test_whether_it_will_be_tried_again_comes_from_arguments_alone(told: Captured) -> None:
    with pytest.raises(OSError, match="x"), lt.attempt("GET", will_retry=True, wait_ms=250):
        raise OSError("x")
    end = told.one("api.call.failed")
    assert (end.attributes["will_retry"], end.attributes["wait_ms"]) == (True, 250)
    with pytest.raises(OSError, match="x"), lt.attempt("other"):
        raise OSError("x")
    assert "will_retry" not in told.events("api.call.failed")[1].attributes


def test_an_outcome_judges_a_try(told: Captured) -> None:
    @lt.attempt("GET", outcome=lambda body: lt.failed("empty body", category="technical") if not body else None)
    def get(body: str) -> str:
        return body

    with lt.step("s"):
        get("")
        get("full")
    assert told.tree().count("system.retry.attempted") == 1
    assert told.one("api.call.failed").attributes["error.category"] == "technical"
    assert told.one("error.recovered").attributes["recovery.success"] is True
