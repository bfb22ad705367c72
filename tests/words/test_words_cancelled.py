"""Cancelled and timed out: words end as what they are, with the reason that was given."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.testing import Captured

CANCELLED = {
    "flow": (lt.flow, "flow.cancelled", "flow.reason"),
    "step": (lt.step, "operation.cancelled", "operation.reason"),
    "enhancement": (lt.enhancement, "enhancement.cancelled", "enhancement.reason"),
    "attempt": (lt.attempt, "api.call.cancelled", "api.call.reason"),
    "validation": (lt.validation, "operation.cancelled", "operation.reason"),
    "rule": (lt.rule, "operation.cancelled", "operation.reason"),
    "fallback": (lt.fallback, "operation.cancelled", "operation.reason"),
}
TIMED_OUT = {
    "flow": (lt.flow, "flow.failed", None),
    "step": (lt.step, "operation.failed", "error"),
    "enhancement": (lt.enhancement, "enhancement.failed", "enhancement.failure"),
    "attempt": (lt.attempt, "api.call.failed", "error"),
    "validation": (lt.validation, "operation.failed", "error"),
    "rule": (lt.rule, "operation.failed", "error"),
    "fallback": (lt.fallback, "operation.failed", "error"),
}


async def _for_ever() -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("message", [None, "shutting down"])
@pytest.mark.parametrize("form", ["decorated", "with"])
@pytest.mark.parametrize("word", CANCELLED)
async def test_a_cancelled_coroutine_ends_as_cancelled_with_the_message(
    word: str, form: str, message: str | None, told: Captured
) -> None:
    make, event, reason = CANCELLED[word]

    async def within() -> None:
        async with make("NAME"):
            await _for_ever()

    task = asyncio.ensure_future(make("NAME")(_for_ever)() if form == "decorated" else within())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel(message) if message else task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    end = told.one(event)
    assert end.attributes.get(reason) == message
    assert end.attributes["leadtrace.kind"] == "cancelled"
    assert told.events("error.occurred") == []


@pytest.mark.parametrize("word", TIMED_OUT)
async def test_under_a_timeout_the_words_that_it_cancels_end_as_failed(word: str, told: Captured) -> None:
    make, event, prefix = TIMED_OUT[word]
    with pytest.raises(TimeoutError):
        async with lt.timeout(0.01, "auction window"):
            await make("NAME")(_for_ever)()
    end = told.one(event).attributes
    assert end["error.type"] == "TimeoutError"
    assert end["error.message"] == "auction window"
    if prefix:
        assert end[f"{prefix}.category"] == "technical"
        assert end[f"{prefix}.subcategory"] == "timeout"
    assert not [one for one in told.names() if one.endswith(".cancelled")]
    assert told.events("error.occurred") == []


async def test_only_words_inside_the_timeout_are_told_so(told: Captured) -> None:
    async with lt.step("outer"):
        with pytest.raises(TimeoutError):
            async with lt.timeout(0.01, "window"), lt.step("inner"):
                await _for_ever()
    assert told.tree() == (
        "step 'outer'\n  operation.started\n"
        "  step 'inner'\n    operation.started\n    operation.failed\n"
        "  operation.completed"
    )


async def test_a_time_out_that_leaves_a_word_around_it_is_an_exception_there(told: Captured) -> None:
    with pytest.raises(TimeoutError):
        async with lt.step("outer"), lt.timeout(0.01, "window"), lt.step("inner"):
            await _for_ever()
    assert told.tree() == (
        "step 'outer'\n  operation.started\n"
        "  step 'inner'\n    operation.started\n    operation.failed\n"
        "  error.occurred\n  operation.failed"
    )


async def test_a_timeout_reaches_the_tasks_of_a_gather(told: Captured) -> None:
    step = lt.step("each")(_for_ever)
    with pytest.raises(TimeoutError):
        async with lt.timeout(0.01, "window"):
            await asyncio.gather(step(), step())
    assert [one.attributes["error.message"] for one in told.events("operation.failed")] == ["window"] * 2


async def test_an_inner_timeout_that_has_not_run_out_does_not_count(told: Captured) -> None:
    with pytest.raises(TimeoutError):
        async with lt.timeout(0.01, "outer"), lt.timeout(60, "inner"), lt.step("s"):
            await _for_ever()
    assert told.one("operation.failed").attributes["error.message"] == "outer"


async def test_a_cancellation_from_outside_within_a_timeout_is_a_cancellation(told: Captured) -> None:
    async def run() -> None:
        async with lt.timeout(60, "window"), lt.step("s"):
            await _for_ever()

    task = asyncio.ensure_future(run())
    await asyncio.sleep(0)
    task.cancel("stop")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told.one("operation.cancelled").attributes["operation.reason"] == "stop"


async def test_lt_timeout_is_asyncios_for_the_host(told: Captured) -> None:
    async with lt.timeout(None) as never:
        never.reschedule(asyncio.get_running_loop().time() + 60)
        assert not never.expired()
    with pytest.raises(TimeoutError):
        async with lt.timeout(0.001) as soon:
            await _for_ever()
    assert soon.expired()
    async with lt.timeout(60):
        pass


async def test_in_a_task_group_the_siblings_of_a_failure_are_cancelled(told: Captured) -> None:
    @lt.step("fails")
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("bad")

    waits = lt.step("waits")(_for_ever)
    with pytest.raises(ExceptionGroup) as caught:
        async with lt.flow("F", lead_id="L1"), asyncio.TaskGroup() as group:
            group.create_task(waits())
            group.create_task(fails())
    assert isinstance(caught.value.exceptions[0], ValueError)
    assert told.tree() == (
        "flow 'F'\n  flow.started\n"
        "  step 'waits'\n    operation.started\n    operation.cancelled\n"
        "  step 'fails'\n    operation.started\n    error.occurred\n    operation.failed\n"
        "  flow.failed"
    )


@pytest.mark.parametrize(
    ("problem", "event"),
    [
        (KeyboardInterrupt(), "operation.cancelled"),
        (SystemExit(0), "operation.cancelled"),
        (SystemExit(), "operation.cancelled"),
        (GeneratorExit(), "operation.cancelled"),
        (SystemExit(3), "operation.failed"),
        (BaseExceptionGroup("all", [asyncio.CancelledError(), KeyboardInterrupt()]), "operation.cancelled"),
        (BaseExceptionGroup("some", [asyncio.CancelledError(), ValueError("x")]), "operation.failed"),
    ],
    ids=repr,
)
def test_what_stops_the_work_is_no_error(problem: BaseException, event: str, told: Captured) -> None:
    with pytest.raises(type(problem)) as caught, lt.step("s"):
        raise problem
    assert caught.value is problem
    assert told.names()[-1] == event
    assert ("error.occurred" in told.names()) == event.endswith("failed")


async def test_the_flow_around_counts_what_was_cancelled_and_ends_as_cancelled(told: Captured) -> None:
    async def run() -> None:
        async with lt.flow("F", lead_id="L1"), lt.step("s"):
            await _for_ever()

    task = asyncio.ensure_future(run())
    await asyncio.sleep(0)
    task.cancel("deploy")
    with pytest.raises(asyncio.CancelledError):
        await task
    end: dict[str, Any] = dict(told.one("flow.cancelled").attributes)
    assert end["flow.summary.final_outcome"] == "cancelled"
    assert end["flow.summary.steps_executed"] == 0
    assert end["flow.reason"] == "deploy"
