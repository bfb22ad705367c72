"""What stamina and tenacity plan is told, beside what the words tell of the tries themselves."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina
import stamina.instrumentation
import tenacity

import leadtrace as lt


@pytest.fixture(autouse=True)
def stamina_as_it_comes() -> Iterator[None]:
    yield
    stamina.instrumentation.set_on_retry_hooks(None)


class Flaky:
    """A buyer that answers at the given try."""

    def __init__(self, answers_at: int) -> None:
        self.calls = 0
        self.answers_at = answers_at

    def __call__(self) -> str:
        self.calls += 1
        if self.calls < self.answers_at:
            raise ConnectionResetError("gone")
        return "sold"


def planned(captured: Any) -> list[tuple[Any, Any, Any]]:
    """Attempt, wait and maximum of what was scheduled."""
    return [
        tuple(one.attributes.get(key) for key in ("attempt", "wait_ms", "max_attempts"))
        for one in captured.events("system.retry.scheduled")
    ]


def test_staminas_retries_are_told_between_the_tries_that_they_lie_between() -> None:
    lt.hooks.stamina()
    buyer = Flaky(3)

    @lt.delivery("Acme", answer=lambda result: lt.accepted(revenue=5))
    @stamina.retry(on=ConnectionError, attempts=4, wait_initial=0.01, wait_max=0.01, wait_jitter=0)
    @lt.attempt("POST lead")
    def post() -> str:
        return buyer()

    with lt.capture() as captured, lt.flow("sell", lead_id="lead_1"):
        assert post() == "sold"
    assert captured.names() == [
        "flow.started",
        "delivery.started",
        "api.call.attempted",
        "error.occurred",
        "api.call.failed",
        "system.retry.scheduled",
        "system.retry.attempted",
        "api.call.attempted",
        "error.occurred",
        "api.call.failed",
        "system.retry.scheduled",
        "system.retry.attempted",
        "api.call.attempted",
        "api.call.succeeded",
        "error.recovered",
        "delivery.accepted",
        "flow.completed",
    ]
    assert planned(captured) == [(2, pytest.approx(10), None), (3, pytest.approx(10), None)]
    told = captured.events("system.retry.scheduled")[0]
    assert (told.lead_id, told.span_id) == ("lead_1", captured.one("delivery.started").span_id)


async def test_staminas_retries_of_coroutines_are_told_in_their_own_flow() -> None:
    lt.hooks.stamina()

    async def one(lead: str) -> None:
        buyer = Flaky(2)
        with lt.flow("sell", lead_id=lead), lt.delivery("Acme") as delivery:
            async for attempt in stamina.retry_context(on=ConnectionError, attempts=3, wait_initial=0, wait_jitter=0):
                with attempt, lt.attempt("POST lead"):
                    await asyncio.sleep(0)
                    buyer()
            delivery.accepted(revenue=1)

    with lt.capture() as captured:
        await asyncio.gather(*(one(f"lead_{number}") for number in range(5)))
    told = captured.events("system.retry.scheduled")
    assert sorted(one.lead_id for one in told) == [f"lead_{number}" for number in range(5)]
    assert {one.attributes["attempt"] for one in told} == {2}


def test_staminas_own_hooks_stay_and_ours_is_there_once(caplog: pytest.LogCaptureFixture) -> None:
    before = stamina.instrumentation.get_on_retry_hooks()
    lt.hooks.stamina()
    lt.hooks.stamina()
    after = stamina.instrumentation.get_on_retry_hooks()
    assert after[:-1] == before
    assert len(after) == len(before) + 1
    buyer = Flaky(2)
    with caplog.at_level(logging.WARNING), lt.capture() as captured:
        for attempt in stamina.retry_context(on=ConnectionError, attempts=2, wait_initial=0, wait_jitter=0):
            with attempt:
                buyer()
    assert "stamina.retry_scheduled" in caplog.messages  # its own logging
    assert captured.names() == ["system.retry.scheduled"]


def test_without_attempt_words_the_librarys_own_count_is_the_number() -> None:
    lt.hooks.stamina()
    buyer = Flaky(3)
    with lt.capture() as captured, lt.step("sync"):
        for attempt in stamina.retry_context(on=ConnectionError, attempts=3, wait_initial=0, wait_jitter=0):
            with attempt:
                buyer()
    assert [number for number, _, _ in planned(captured)] == [2, 3]


def test_a_carried_delivery_goes_on_counting() -> None:
    """A library begins anew after a queue; the words know how many tries there were before it."""
    with lt.capture() as captured:
        with lt.flow("sell", lead_id="lead_1"), lt.delivery("Acme") as delivery:
            with pytest.raises(ConnectionResetError), lt.attempt("POST lead"):
                Flaky(9)()
            carried = delivery.carry()
            delivery.pending("queued")
        buyer = Flaky(2)
        with lt.resume(carried):
            retrying = tenacity.Retrying(
                before_sleep=lt.hooks.tenacity, stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(0)
            )
            for attempt in retrying:
                with attempt, lt.attempt("POST lead"):
                    buyer()
    numbers = [one.attributes["attempt"] for one in captured.events("api.call.attempted")]
    (scheduled,) = planned(captured)
    assert numbers[-1] == scheduled[0] == numbers[-2] + 1


@pytest.mark.parametrize(
    ("stop", "most"),
    [
        (tenacity.stop_after_attempt(4), 4),
        (tenacity.stop_after_attempt(4) | tenacity.stop_after_delay(30), 4),
        (tenacity.stop_after_attempt(4) | tenacity.stop_after_attempt(6), 4),
        (tenacity.stop_after_attempt(4) & tenacity.stop_after_attempt(6), 6),
        (tenacity.stop_after_attempt(4) & tenacity.stop_after_delay(0), None),
        (tenacity.stop_after_delay(30), None),
        (lambda state: state.attempt_number > 4, None),
    ],
)
def test_tenacitys_plan_is_told_with_the_most_tries_that_its_stop_allows(stop: Any, most: int | None) -> None:
    buyer = Flaky(3)

    @lt.step("post")
    @tenacity.retry(before_sleep=lt.hooks.tenacity, stop=stop, wait=tenacity.wait_fixed(0.002))
    @lt.attempt("POST lead")
    def post() -> str:
        return buyer()

    with lt.capture() as captured:
        assert post() == "sold"
    assert planned(captured) == [(2, pytest.approx(2), most), (3, pytest.approx(2), most)]


async def test_tenacitys_coroutines_and_a_hook_of_ones_own_around_it() -> None:
    seen: list[int] = []
    buyer = Flaky(2)

    def before_sleep(state: tenacity.RetryCallState) -> None:
        seen.append(state.attempt_number)
        lt.hooks.tenacity(state)

    @tenacity.retry(before_sleep=before_sleep, wait=tenacity.wait_none(), stop=tenacity.stop_after_attempt(2))
    @lt.attempt("POST lead")
    async def post() -> str:
        return buyer()

    with lt.capture() as captured, lt.step("post"):
        await post()
    assert seen == [1]
    assert planned(captured) == [(2, 0.0, 2)]


def test_the_planned_wait_stands_on_the_timeline_beside_the_real_one() -> None:
    buyer = Flaky(2)
    with lt.capture() as captured, lt.flow("sell", lead_id="lead_1"), lt.delivery("Acme") as delivery:
        for attempt in tenacity.Retrying(
            before_sleep=lt.hooks.tenacity, stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(0.003)
        ):
            with attempt, lt.attempt("POST lead"):
                buyer()
        delivery.accepted(revenue=2)
    first, second = [one.attempt for one in captured.timeline_of().entries if one.attempt is not None][:2]
    assert (first.number, first.of, first.will_retry, first.planned_ms) == (1, 3, True, pytest.approx(3))
    assert second.number == 2
    assert second.waited_ms >= 3


def test_where_nothing_listens_the_hooks_do_nothing() -> None:
    lt.hooks.stamina()
    buyer = Flaky(2)
    for attempt in stamina.retry_context(on=ConnectionError, attempts=2, wait_initial=0, wait_jitter=0):
        with attempt:
            buyer()
    assert buyer.calls == 2


def test_none_of_the_libraries_is_loaded_by_the_hooks() -> None:
    program = (
        "import sys, leadtrace as lt\n"
        "lt.hooks, lt.hooks.tenacity\n"
        "print([name for name in ('stamina', 'tenacity', 'pybreaker') if name in sys.modules])\n"
    )
    src = str(Path(lt.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": src},
        timeout=30,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stderr
