"""Generators: the parent of the call, begun at the first item, closed early, collected, consumed elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.testing import Captured
from leadtrace.words import guard


@lt.step("items")
def items(n: int = 3) -> Iterator[int]:
    for one in range(n):
        lt.emit("low.confidence.detected", threshold=one)
        yield one


@lt.step("items")
async def aitems(n: int = 3) -> AsyncIterator[int]:
    for one in range(n):
        await asyncio.sleep(0)
        lt.emit("low.confidence.detected", threshold=one)
        yield one


def _closed(told: Captured, count: int) -> None:
    end = told.one("operation.cancelled").attributes
    assert (end["items"], end["operation.reason"]) == (count, "closed")
    assert told.events("error.occurred") == []


def test_closed_early_it_is_cancelled_with_its_items(told: Captured) -> None:
    generator = items()
    assert [next(generator), next(generator)] == [0, 1]
    generator.close()  # type: ignore[attr-defined]
    _closed(told, 2)
    with pytest.raises(StopIteration):
        next(generator)
    assert len(told.events("operation.started")) == 1


async def test_an_async_one_closed_early_likewise(told: Captured) -> None:
    generator = aitems()
    async with contextlib.aclosing(generator):  # type: ignore[type-var]
        assert await anext(generator) == 0
    _closed(told, 1)


def test_never_iterated_it_tells_nothing(told: Captured) -> None:
    items()
    items().close()  # type: ignore[attr-defined]
    gc.collect()
    assert told.names() == []


async def test_an_async_one_never_iterated_tells_nothing(told: Captured) -> None:
    aitems()
    await aitems().aclose()  # type: ignore[attr-defined]
    gc.collect()
    assert told.names() == []


def test_collected_it_ends_then_without_touching_a_context(told: Captured) -> None:
    generator = items()
    next(generator)
    failed = guard.counts["detach_failed"]
    with lt.step("meanwhile") as meanwhile:
        del generator
        gc.collect()
        assert lt.current() is meanwhile
    _closed(told, 1)
    assert guard.counts["detach_failed"] == failed


async def test_an_async_one_collected_ends_then(told: Captured) -> None:
    generator = aitems()
    await anext(generator)
    with lt.step("meanwhile") as meanwhile:
        del generator
        gc.collect()
        assert lt.current() is meanwhile
    await asyncio.sleep(0)
    _closed(told, 1)


def test_it_takes_its_parent_when_called_and_begins_at_the_first_item(told: Captured) -> None:
    with lt.step("caller"):
        generator = items(1)
    with lt.step("consumer"):
        assert list(generator) == [0]
    assert told.tree() == (
        "step 'caller'\n  operation.started\n  operation.completed\n"
        "  step 'items'\n    operation.started\n    low.confidence.detected\n    operation.completed\n"
        "step 'consumer'\n  operation.started\n  operation.completed"
    )


def test_two_interleaved_never_mix_with_each_other_or_with_the_consumer(told: Captured) -> None:
    def each(name: str) -> Any:
        @lt.step(name)
        def run() -> Iterator[int]:
            for number in range(3):
                with lt.step(f"{name} {number}"):
                    assert lt.current().name == f"{name} {number}"
                yield number

        return run()

    with lt.flow("F", lead_id="L1") as flow:
        for _ in zip(each("a"), each("b"), strict=True):
            assert lt.current() is flow
    tree = told.tree()
    for name in ("a", "b"):
        inner = "".join(
            f"    step '{name} {n}'\n      operation.started\n      operation.completed\n" for n in range(3)
        )
        assert f"  step '{name}'\n    operation.started\n{inner}    operation.completed\n" in tree + "\n"


async def test_async_ones_interleaved_never_mix(told: Captured) -> None:
    @lt.flow("F", lead_id=lt.arg.lead)
    async def run(lead: str) -> AsyncIterator[str]:
        for _ in range(3):
            await asyncio.sleep(0)
            lt.move_to(f"state of {lead}")
            yield lt.current().lead_id

    async def drain(lead: str) -> set[str]:
        return {one async for one in run(lead)}

    found = await asyncio.gather(*(drain(f"L{n}") for n in range(5)))
    assert found == [{f"L{n}"} for n in range(5)]
    assert all(
        one.attributes["lead.state.to"] == f"state of {one.lead_id}" for one in told.events("lead.state.changed")
    )


def test_consumed_partly_in_another_context_and_thread(told: Captured) -> None:
    with lt.flow("F", lead_id="L1"):
        generator = items(3)
    got = [next(generator)]
    contextvars.Context().run(lambda: got.append(next(generator)))
    thread = threading.Thread(target=lambda: got.extend(generator))
    thread.start()
    thread.join()
    assert got == [0, 1, 2]
    assert {one.lead_id for one in told.events()} == {"L1"}
    assert told.one("operation.completed").attributes["items"] == 3
    assert len({one.span_id for one in told.events("low.confidence.detected")}) == 1


async def test_closed_from_another_task(told: Captured) -> None:
    generator = aitems()
    await anext(generator)
    failed = guard.counts["detach_failed"]
    await asyncio.create_task(generator.aclose())  # type: ignore[attr-defined]
    _closed(told, 1)
    assert guard.counts["detach_failed"] == failed
    assert not lt.current()


async def test_consumed_in_several_tasks(told: Captured) -> None:
    generator = aitems(4)

    async def one() -> int:
        return await anext(generator)

    assert [await asyncio.create_task(one()) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(StopAsyncIteration):
        await one()
    assert told.one("operation.completed").attributes["items"] == 4


def test_active_time_leaves_out_the_consumers(told: Captured) -> None:
    for _ in items(2):
        time.sleep(0.02)
    end = told.one("operation.completed").attributes
    assert end["duration_ms"] >= 36  # type: ignore[operator]
    assert end["active_ms"] < 20  # type: ignore[operator]


def test_send_throw_and_the_returned_value_pass_through(told: Captured) -> None:
    @lt.step("talks", last=lt.result.word)
    def talks() -> Any:
        got = yield "first"
        try:
            yield got
        except KeyError as problem:
            yield problem
        return type("Said", (), {"word": "bye"})()

    generator = talks()
    assert generator.send(None) == "first"
    assert generator.send("hello") == "hello"
    problem = KeyError("x")
    assert generator.throw(problem) is problem
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value.word == "bye"
    assert told.one("operation.completed").attributes["step.last"] == "bye"

    def delegates() -> Any:
        return (yield from talks())

    run = delegates()
    assert [next(run), run.send(1)] == ["first", 1]
    run.close()
    assert told.one("operation.cancelled").attributes["items"] == 2


def test_what_it_raises_fails_it(told: Captured) -> None:
    @lt.step("breaks")
    def breaks() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(breaks())
    assert told.names() == ["operation.started", "error.occurred", "operation.failed"]
    assert told.one("operation.failed").attributes["items"] == 1


async def test_an_async_one_is_sent_to_and_thrown_into(told: Captured) -> None:
    @lt.step("talks")
    async def talks() -> Any:
        got = yield "first"
        try:
            yield got
        except KeyError:
            yield "caught"

    generator = talks()
    assert await anext(generator) == "first"
    assert await generator.asend("hello") == "hello"
    assert await generator.athrow(KeyError("x")) == "caught"
    assert [one async for one in generator] == []
    assert told.one("operation.completed").attributes["items"] == 3


def test_a_context_manager_made_of_a_decorated_generator(told: Captured) -> None:
    @contextlib.contextmanager
    @lt.step("session")
    def session() -> Iterator[str]:
        yield "open"

    with session() as one:
        assert one == "open"
        assert not lt.current(), "the body is the caller's, not the generator's"
    with pytest.raises(KeyError), session():
        raise KeyError("x")
    assert [one for one in told.names() if one != "operation.started"] == [
        "operation.completed",
        "error.occurred",
        "operation.failed",
    ]


async def test_an_async_generator_cancelled_while_it_runs(told: Captured) -> None:
    @lt.step("slow")
    async def slow() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)

    async def drain() -> None:
        async for _ in slow():
            pass

    task = asyncio.ensure_future(drain())
    await asyncio.sleep(0.01)
    task.cancel("stop")
    with pytest.raises(asyncio.CancelledError):
        await task
    end = told.one("operation.cancelled").attributes
    assert (end["items"], end["operation.reason"]) == (1, "stop")


def test_a_with_around_a_yield_in_a_plain_generator_hurts_nobody(told: Captured) -> None:
    """Contexts mix there, as `leadtrace check` says; the host sees nothing of it and every word still ends."""

    def plain(name: str) -> Iterator[None]:
        with lt.step(name):
            yield
            yield

    one, two = plain("a"), plain("b")
    assert [next(one), next(two), next(one), next(two)] == [None] * 4
    assert next(one, None) is next(two, None) is None
    assert not lt.current()
    assert len(told.events("operation.completed")) == 2
    assert {end.attributes["leadtrace.name"] for end in told.events("operation.completed")} == {"a", "b"}
