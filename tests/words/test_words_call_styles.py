"""Every word in every call style: what it returns, the whole tree that it tells, and its own name and result."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.testing import Captured

# word: how it is made with a name, the name that its span has, its events when the body gives True
WORDS: dict[str, tuple[Callable[..., Any], str, list[str]]] = {
    "flow": (lt.flow, "NAME", ["flow.started", "flow.completed"]),
    "step": (lt.step, "NAME", ["operation.started", "operation.completed"]),
    "enhancement": (lt.enhancement, "NAME", ["enhancement.started", "enhancement.success"]),
    "delivery": (lt.delivery, "deliver to NAME", ["delivery.started", "delivery.unconfirmed"]),
    "attempt": (lt.attempt, "NAME", ["api.call.attempted", "api.call.succeeded"]),
    "validation": (lt.validation, "NAME", ["operation.started", "validation.passed"]),
    "rule": (lt.rule, "NAME", ["operation.started", "rule.satisfied"]),
    "fallback": (lt.fallback, "NAME", ["operation.started", "fallback.used", "operation.completed"]),
}
GENERATING = ("generator", "async generator")


def drawn(word: str, name: str, inside: str = "") -> str:
    """The tree of one word around one event, or around nothing."""
    _, _, (*starts, end) = WORDS[word]
    lines = [f"{word} {name!r}", *(f"  {one}" for one in starts)]
    if inside:
        lines.append(f"  {inside}")
    return "\n".join([*lines, f"  {end}"])


class Callable_:
    def __call__(self, x: int) -> bool:
        lt.emit("low.confidence.detected", confidence_score=0.5)
        return x > 0


class AsyncCallable:
    async def __call__(self, x: int) -> bool:
        await asyncio.sleep(0)
        lt.emit("low.confidence.detected", confidence_score=0.5)
        return x > 0


def _of(word: str, named: bool) -> Callable[..., Any]:
    make = WORDS[word][0]
    return make("NAME") if named else make


def _function(word: str, named: bool) -> Callable[[], Any]:
    @_of(word, named)
    def work(x: int) -> bool:
        """What it does."""
        lt.emit("low.confidence.detected", confidence_score=0.5)
        return x > 0

    assert (work.__name__, work.__doc__) == ("work", "What it does.")
    assert list(inspect.signature(work).parameters) == ["x"]
    return lambda: work(1)


def _coroutine(word: str, named: bool) -> Callable[[], Any]:
    @_of(word, named)
    async def work(x: int) -> bool:
        await asyncio.sleep(0)
        lt.emit("low.confidence.detected", confidence_score=0.5)
        return x > 0

    assert inspect.iscoroutinefunction(work)
    return lambda: asyncio.run(work(1))


def _generator(word: str, named: bool) -> Callable[[], Any]:
    @_of(word, named)
    def work(x: int) -> Any:
        lt.emit("low.confidence.detected", confidence_score=0.5)
        yield x > 0
        return True

    return lambda: next(iter(list(work(1))))


def _async_generator(word: str, named: bool) -> Callable[[], Any]:
    @_of(word, named)
    async def work(x: int) -> Any:
        await asyncio.sleep(0)
        lt.emit("low.confidence.detected", confidence_score=0.5)
        yield x > 0

    async def run() -> Any:
        return [one async for one in work(1)].pop()

    return lambda: asyncio.run(run())


def _method(word: str, named: bool) -> Callable[[], Any]:
    class Desk:
        @_of(word, named)
        def work(self, x: int) -> bool:
            assert isinstance(self, Desk)
            lt.emit("low.confidence.detected", confidence_score=0.5)
            return x > 0

    return lambda: Desk().work(1)


def _classmethod_inside(word: str, named: bool) -> Callable[[], Any]:
    class Desk:
        @_of(word, named)
        @classmethod
        def work(cls, x: int) -> bool:
            assert cls is Desk
            lt.emit("low.confidence.detected", confidence_score=0.5)
            return x > 0

    return lambda: Desk.work(1)


def _classmethod_outside(word: str, named: bool) -> Callable[[], Any]:
    class Desk:
        @classmethod
        @_of(word, named)
        def work(cls, x: int) -> bool:
            assert cls is Desk
            lt.emit("low.confidence.detected", confidence_score=0.5)
            return x > 0

    return lambda: Desk().work(1)


def _staticmethod_inside(word: str, named: bool) -> Callable[[], Any]:
    class Desk:
        @_of(word, named)
        @staticmethod
        def work(x: int) -> bool:
            lt.emit("low.confidence.detected", confidence_score=0.5)
            return x > 0

    return lambda: Desk().work(1)


def _staticmethod_outside(word: str, named: bool) -> Callable[[], Any]:
    class Desk:
        @staticmethod
        @_of(word, named)
        def work(x: int) -> bool:
            lt.emit("low.confidence.detected", confidence_score=0.5)
            return x > 0

    return lambda: Desk.work(1)


def _object(word: str, named: bool) -> Callable[[], Any]:
    work = _of(word, named)(Callable_())
    return lambda: work(1)


def _async_object(word: str, named: bool) -> Callable[[], Any]:
    work = _of(word, named)(AsyncCallable())
    return lambda: asyncio.run(work(1))


def _partial(word: str, named: bool) -> Callable[[], Any]:
    def work(x: int, y: int) -> bool:
        lt.emit("low.confidence.detected", confidence_score=0.5)
        return x > y

    bound = _of(word, named)(functools.partial(work, y=0))
    return lambda: bound(1)


STYLES: dict[str, tuple[Callable[[str, bool], Callable[[], Any]], str]] = {
    "function": (_function, "work"),
    "coroutine": (_coroutine, "work"),
    "generator": (_generator, "work"),
    "async generator": (_async_generator, "work"),
    "method": (_method, "work"),
    "word over classmethod": (_classmethod_inside, "work"),
    "classmethod over word": (_classmethod_outside, "work"),
    "word over staticmethod": (_staticmethod_inside, "work"),
    "staticmethod over word": (_staticmethod_outside, "work"),
    "callable object": (_object, "__call__"),
    "callable object of a coroutine": (_async_object, "__call__"),
    "functools.partial": (_partial, "work"),
}


def _shown_name(word: str, named: bool, own: str) -> str:
    if named:
        return WORDS[word][1]
    return "deliver" if word == "delivery" else own


@pytest.mark.parametrize("named", [True, False], ids=["called", "bare"])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("word", WORDS)
def test_a_word_tells_its_start_what_is_inside_and_its_end(word: str, style: str, named: bool, told: Captured) -> None:
    make, own = STYLES[style]
    run = make(word, named)
    assert run() is True
    assert told.tree() == drawn(word, _shown_name(word, named, own), "low.confidence.detected")
    start, end = told.events()[0], told.events()[-1]
    for one in (start, end):
        assert one.attributes["leadtrace.word"] == word
        assert one.attributes["leadtrace.name"] == _shown_name(word, named, own)
        assert one.attributes["leadtrace.kind"] == ("start" if one is start else one.attributes["leadtrace.kind"])
        assert (one.trace_id, one.span_id) == (start.trace_id, start.span_id)
    assert told.one("low.confidence.detected").span_id == start.span_id
    assert not lt.current()
    assert ("items" in end.attributes) == (style in GENERATING)
    if style in GENERATING:
        assert end.attributes["items"] == 1
        assert end.attributes["active_ms"] >= 0  # type: ignore[operator]


@pytest.mark.parametrize("style", [one for one in STYLES if "object" not in one and "partial" not in one])
@pytest.mark.parametrize("word", WORDS)
def test_a_word_leaves_what_is_raised_as_it_is(word: str, style: str, told: Captured) -> None:
    """The exception that the host sees is the identical object, whatever the style."""

    class Odd:
        problem = KeyError("host")

        def __gt__(self, other: object) -> bool:
            raise self.problem

    problem = Odd.problem
    run = STYLES[style][0](word, True)
    cells = inspect.getclosurevars(run).nonlocals
    if style == "async generator":
        cells = inspect.getclosurevars(cells["run"]).nonlocals
    work = cells["work"] if "work" in cells else cells["Desk"].work
    with pytest.raises(KeyError) as caught:
        if style == "coroutine":
            asyncio.run(work(Odd()))
        elif style == "generator":
            list(work(Odd()))
        elif style == "async generator":

            async def drain() -> None:
                async for _ in work(Odd()):
                    pass

            asyncio.run(drain())
        elif style == "method":
            cells["Desk"]().work(Odd())
        else:
            work(Odd())
    assert caught.value is problem
    assert caught.value.args == ("host",)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert getattr(caught.value, "__notes__", []) == []
    assert told.names().count("error.occurred") == 1


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_a_context_manager(word: str, told: Captured) -> None:
    with WORDS[word][0]("NAME") as handle:
        assert lt.current() is handle
        handle.emit("low.confidence.detected", confidence_score=0.5)
    assert told.tree() == drawn(word, WORDS[word][1], "low.confidence.detected")
    assert not lt.current()


@pytest.mark.parametrize("word", WORDS)
async def test_a_word_is_an_async_context_manager(word: str, told: Captured) -> None:
    async with WORDS[word][0]("NAME") as handle:
        await asyncio.sleep(0)
        handle.emit("low.confidence.detected", confidence_score=0.5)
    assert told.tree() == drawn(word, WORDS[word][1], "low.confidence.detected")


@pytest.mark.parametrize("word", WORDS)
def test_a_handle_opens_words_beneath_itself_in_another_thread(word: str, told: Captured) -> None:
    def other(handle: Any) -> None:
        assert not lt.current()
        with getattr(handle, word)("NAME"):
            lt.emit("low.confidence.detected", confidence_score=0.5)

    with lt.flow("outer", lead_id="L1") as flow, lt.step("meanwhile"):
        thread = threading.Thread(target=other, args=(flow,))
        thread.start()
        thread.join()
    inner = "\n".join("  " + line for line in drawn(word, WORDS[word][1], "low.confidence.detected").splitlines())
    assert told.tree() == (
        "flow 'outer'\n  flow.started\n  step 'meanwhile'\n    operation.started\n    operation.completed\n"
        f"{inner}\n  flow.completed"
    )
    assert {one.lead_id for one in told.events()} == {"L1"}


@pytest.mark.parametrize("word", WORDS)
def test_a_handle_decorates_beneath_itself(word: str, told: Captured) -> None:
    with lt.step("outer") as step:

        @getattr(step, word)("NAME")
        def work() -> bool:
            return True

        with lt.step("between"):
            assert work() is True
    inner = "\n".join("  " + line for line in drawn(word, WORDS[word][1]).splitlines())
    assert inner in told.tree()


def test_resume_is_a_context_manager_of_both_kinds(told: Captured) -> None:
    with lt.resume(None):
        pass

    async def run() -> None:
        async with lt.resume(None):
            pass

    asyncio.run(run())
    one = "resume 'resume'\n  operation.started\n  operation.completed"
    assert told.tree() == f"{one}\n{one}"


def test_resume_decorates_a_consumer(told: Captured) -> None:
    with lt.flow("F", lead_id="L1", ends="elsewhere") as flow:
        message = {"trace": flow.carry()}

    @lt.resume(lt.arg.message["trace"], ends_flow=True)
    def consume(message: dict[str, Any]) -> str:
        return "done"

    assert consume(message) == "done"
    assert told.names() == [
        "flow.started",
        "flow.handed_over",
        "operation.started",
        "flow.completed",
        "operation.completed",
    ]
    assert {one.lead_id for one in told.events()} == {"L1"}
    assert len({one.attributes["leadtrace.run_id"] for one in told.events()}) == 1


def test_one_word_may_be_used_again_and_inside_itself(told: Captured) -> None:
    word = lt.step("again")
    with word, word:
        pass
    with word:
        pass

    @lt.step
    def down(n: int) -> int:
        return n if n == 0 else down(n - 1)

    down(2)
    assert told.tree() == (
        "step 'again'\n  operation.started\n"
        "  step 'again'\n    operation.started\n    operation.completed\n"
        "  operation.completed\n"
        "step 'again'\n  operation.started\n  operation.completed\n"
        "step 'down'\n  operation.started\n"
        "  step 'down'\n    operation.started\n"
        "    step 'down'\n      operation.started\n      operation.completed\n"
        "    operation.completed\n"
        "  operation.completed"
    )


async def test_one_word_may_be_open_in_many_tasks_at_once(told: Captured) -> None:
    word = lt.step("shared")
    gate = asyncio.Event()

    async def run(lead: str, first: bool) -> None:
        async with lt.flow("F", lead_id=lead), word as handle:
            handle.note(chosen=lead)
            if first:
                await gate.wait()
            gate.set()

    await asyncio.gather(run("L1", True), run("L2", False))
    for lead in ("L1", "L2"):
        assert told.one("operation.completed", lead_id=lead).attributes["step.chosen"] == lead


def test_one_word_may_be_open_in_many_threads_at_once(told: Captured) -> None:
    word = lt.step("shared")

    def run(lead: str) -> None:
        for _ in range(50):
            with lt.flow("F", lead_id=lead), word as handle:
                handle.note(chosen=lead)

    threads = [threading.Thread(target=run, args=(f"L{n}",)) for n in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    ends = told.events("operation.completed")
    assert len(ends) == 300
    assert all(one.attributes["step.chosen"] == one.lead_id for one in ends)


def test_words_stack_on_one_function_of_any_kind(told: Captured) -> None:
    """The outer word of a generator ends when the generator does, not when it is called."""

    @lt.step("outer")
    @lt.enhancement("inner")
    def items() -> Any:
        yield 1
        yield 2

    @lt.step("outer")
    @lt.enhancement("inner")
    async def aitems() -> Any:
        yield 1

    async def drain() -> list[int]:
        return [one async for one in aitems()]

    pair = (
        "step 'outer'\n  operation.started\n"
        "  enhancement 'inner'\n    enhancement.started\n    enhancement.success\n  operation.completed"
    )
    assert list(items()) == [1, 2]
    assert told.tree() == pair
    assert asyncio.run(drain()) == [1]
    assert told.tree() == f"{pair}\n{pair}"


@pytest.mark.parametrize("thing", [3, property(lambda self: 1), int], ids=["a number", "a property", "a class"])
def test_what_cannot_be_decorated_fails_at_once_and_says_what_came(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"lt\.step (decorates functions|takes its name as text)") as caught:
        lt.step("x")(thing)
    assert type(thing).__name__ in str(caught.value) or getattr(thing, "__name__", "") in str(caught.value)


def test_a_decorated_function_is_pickled_by_its_name() -> None:
    import pickle

    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level


@lt.step
def at_module_level() -> int:
    return 1
