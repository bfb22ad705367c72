"""Decoration: one visible dispatch over the kinds of functions, each of which enters and leaves a word in its own way.

function            around the call
coroutine           around the await, begun when first awaited
generator           around each resumption; parent taken at the call, begun at the first item
async generator     likewise
class/static method the function inside, wrapped, put back
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry import context as otel

from leadtrace.errors import DecorationError, LeadtraceError
from leadtrace.words import closing, opening, runtime
from leadtrace.words.context import attach, detach
from leadtrace.words.guard import trouble

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.context.context import Context

    from leadtrace.otlp.records import Value
    from leadtrace.words.handle import Handle
    from leadtrace.words.plan import Plan
    from leadtrace.words.word import Word

__all__ = ["wrap"]

F = TypeVar("F")


def wrap(word: Word, function: F) -> F:
    """Put a word around a function; signature, name and docstring stay those of the function."""
    if isinstance(function, (classmethod, staticmethod)):
        return cast(F, type(function)(wrap(word, function.__func__)))
    if isinstance(function, (property, type)) or not callable(function):
        shown = getattr(function, "__name__", None) or repr(function)
        raise DecorationError(
            f"lt.{word.kind.word} decorates functions and methods, not {shown} ({type(function).__name__})"
        )
    plan = _plan(word, function)
    inner = _innermost_function(function)
    shape = getattr(function, "__leadtrace_shape__", "")  # of a word beneath, whose own function shows no longer
    if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(function):
        made = _around_coroutine(word, plan, function)
    elif inspect.isasyncgenfunction(inner) or shape == "async generator":
        made, shape = _around_async_generator(word, plan, function), "async generator"
    elif inspect.isgeneratorfunction(inner) or shape == "generator":
        made, shape = _around_generator(word, plan, function), "generator"
    else:
        made = _around_call(word, plan, function)
    try:
        made = functools.update_wrapper(made, function)
    except (AttributeError, TypeError):  # an object with __call__ and no name
        made.__wrapped__ = function  # type: ignore[attr-defined]
    made.__leadtrace_word__ = word.kind.word  # type: ignore[attr-defined]
    made.__leadtrace_shape__ = shape  # type: ignore[attr-defined]
    return cast(F, made)


def _innermost_function(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function) and not isinstance(function, type):
        return type(function).__call__  # an object that can be called
    return function


def _plan(word: Word, function: Any) -> Plan:
    inner = inspect.unwrap(_innermost_function(function))
    name = getattr(inner, "__name__", type(function).__name__)
    where = f"lt.{word.kind.word} on {getattr(inner, '__qualname__', name)}"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = inspect.Signature(
            [
                inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
                inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
            ]
        )
    place: dict[str, Value] = {}
    code = getattr(inner, "__code__", None)
    if code is not None:
        module = getattr(inner, "__module__", "") or ""
        place = {
            "code.function.name": f"{module}.{inner.__qualname__}" if module else inner.__qualname__,
            "code.file.path": code.co_filename,
            "code.line.number": code.co_firstlineno,
        }
    plan = word.plan(signature, place, where, name)
    plan.uses_attempts = _has_attempt(function)
    return plan


def _has_attempt(function: Any) -> bool:
    """Whether an attempt was put on the function that a delivery decorates, beneath its retry library."""
    while function is not None:
        if getattr(function, "__leadtrace_word__", "") == "attempt":
            return True
        function = getattr(function, "__wrapped__", None)
    return False


def _begin(word: Word, plan: Plan, args: Any, kwargs: Any, context: Context | None = None) -> Handle | None:
    try:
        return opening.begin(plan, args, kwargs, context if context is not None else word.parent_context)
    except LeadtraceError:
        raise  # strict mode
    except Exception as problem:  # noqa: BLE001 - telemetry never hurts the host
        trouble(f"{plan.kind.word}.begin", problem)
        return None


def _end(handle: Handle, problem: BaseException | None, result: Any, returned: bool, reason: str = "") -> None:
    try:
        closing.end(handle, problem, result, returned, reason)
    except LeadtraceError:
        raise
    except Exception as trouble_here:  # noqa: BLE001 - telemetry never hurts the host
        opening.abandon(handle)
        trouble(f"{handle.kind.word}.end", trouble_here)


def _around_call(word: Word, plan: Plan, function: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if not opening.switched_on():
            return function(*args, **kwargs)
        handle = _begin(word, plan, args, kwargs)
        if handle is None:
            return function(*args, **kwargs)
        token = attach(handle.context)
        try:
            result = function(*args, **kwargs)
        except BaseException as problem:
            detach(token)
            _end(handle, problem, None, False)
            raise
        detach(token)
        _end(handle, None, result, True)
        return result

    return call


def _around_coroutine(word: Word, plan: Plan, function: Any) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        if not opening.switched_on():
            return await function(*args, **kwargs)
        handle = _begin(word, plan, args, kwargs)
        if handle is None:
            return await function(*args, **kwargs)
        token = attach(handle.context)
        try:
            result = await function(*args, **kwargs)
        except BaseException as problem:
            detach(token)
            _end(handle, problem, None, False)
            raise
        detach(token)
        _end(handle, None, result, True)
        return result

    return call


def _around_generator(word: Word, plan: Plan, function: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        inner = function(*args, **kwargs)
        if not opening.switched_on():
            return inner
        return _Items(_Course(word, plan, args, kwargs), inner)

    return call


def _around_async_generator(word: Word, plan: Plan, function: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        inner = function(*args, **kwargs)
        if not opening.switched_on():
            return inner
        return _AsyncItems(_Course(word, plan, args, kwargs), inner)

    return call


class _Course:
    """A generator's word: begun at the first item under the parent of the call, attached around each resumption."""

    __slots__ = (
        "_args",
        "_context",
        "_kwargs",
        "_plan",
        "_running",
        "_since",
        "_token",
        "_word",
        "beneath",
        "ended",
        "handle",
        "started",
    )

    def __init__(self, word: Word, plan: Plan, args: Any, kwargs: Any) -> None:
        self._word = word
        self._plan = plan
        self._args = args
        self._kwargs = kwargs
        self._context = word.parent_context or otel.get_current()
        self._token: Any = None
        self._since = 0
        self._running = runtime.current()
        self.handle: Handle | None = None
        self.beneath: _Course | None = None
        """Of another word on the same generator, put there first: this one is its parent."""
        self.started = False
        self.ended = False

    def enter(self) -> None:
        if not self.started:
            self.started = True
            self.handle = _begin(self._word, self._plan, self._args, self._kwargs, self._context)
            if self.handle is not None:
                self.handle.items = 0
                if self.beneath is not None and self.beneath._word.parent_context is None:
                    self.beneath._context = self.handle.context
        if self.handle is not None:
            self._token = attach(self.handle.context)
        self._since = time.monotonic_ns()

    def collected(self) -> None:
        """The generator is gone, perhaps long after: what one `capture()` began is not told to whatever came after it."""
        now = runtime.current()
        captured = any(one is not None and one.on_event is not None for one in (now, self._running))
        if now is not self._running and captured and self.handle is not None:
            self.ended = True
            opening.abandon(self.handle)
        else:
            self.end(reason="closed")

    def leave(self, item: bool) -> None:
        if self.handle is None:
            return
        self.handle.active_ns += time.monotonic_ns() - self._since
        detach(self._token)
        if item:
            self.handle.items += 1

    def end(self, problem: BaseException | None = None, reason: str = "", result: Any = None) -> None:
        if self.ended:
            return
        self.ended = True
        if self.handle is not None:
            _end(self.handle, problem, result, result is not None, reason)


class _Items(Generator[Any, Any, Any]):
    """A decorated generator."""

    __slots__ = ("_course", "_inner")

    def __init__(self, course: _Course, inner: Any) -> None:
        self._course = course
        self._inner = inner
        if isinstance(inner, (_Items, _AsyncItems)):
            course.beneath = inner._course

    def send(self, value: Any) -> Any:
        return self._step(self._inner.send, value)

    def throw(self, kind: Any, value: Any = None, _: TracebackType | None = None) -> Any:
        problem = kind if isinstance(kind, BaseException) else value if value is not None else kind()
        return self._step(self._inner.throw, problem)

    def close(self) -> None:
        course = self._course
        if not course.started or course.ended:
            course.started = True
            self._inner.close()
            return
        course.enter()
        try:
            self._inner.close()
        except BaseException as problem:
            course.leave(False)
            course.end(problem)
            raise
        course.leave(False)
        course.end(reason="closed")

    def _step(self, resume: Any, value: Any) -> Any:
        course = self._course
        if course.ended:
            return resume(value)
        course.enter()
        try:
            item = resume(value)
        except StopIteration as stop:
            course.leave(False)
            course.end(result=stop.value)
            raise
        except BaseException as problem:
            course.leave(False)
            course.end(problem)
            raise
        course.leave(True)
        return item

    def __del__(self) -> None:
        course = getattr(self, "_course", None)
        if course is not None and course.started and not course.ended:
            course.collected()


class _AsyncItems(AsyncGenerator[Any, Any]):
    """A decorated async generator."""

    __slots__ = ("_course", "_inner")

    def __init__(self, course: _Course, inner: Any) -> None:
        self._course = course
        self._inner = inner
        if isinstance(inner, (_Items, _AsyncItems)):
            course.beneath = inner._course

    async def asend(self, value: Any) -> Any:
        return await self._step(self._inner.asend(value))

    async def athrow(self, kind: Any, value: Any = None, _: TracebackType | None = None) -> Any:
        problem = kind if isinstance(kind, BaseException) else value if value is not None else kind()
        return await self._step(self._inner.athrow(problem))

    async def aclose(self) -> None:
        course = self._course
        if not course.started or course.ended:
            course.started = True
            await self._inner.aclose()
            return
        course.enter()
        try:
            await self._inner.aclose()
        except BaseException as problem:
            course.leave(False)
            course.end(problem)
            raise
        course.leave(False)
        course.end(reason="closed")

    async def _step(self, resumed: Any) -> Any:
        course = self._course
        if course.ended:
            return await resumed
        course.enter()
        try:
            item = await resumed
        except StopAsyncIteration:
            course.leave(False)
            course.end()
            raise
        except BaseException as problem:
            course.leave(False)
            course.end(problem)
            raise
        course.leave(True)
        return item

    def __del__(self) -> None:
        course = getattr(self, "_course", None)
        if course is not None and course.started and not course.ended:
            course.collected()
