"""A word as the user holds it: a decorator, and a context manager, sync and async; one for each place in the code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry import context as otel

from leadtrace.errors import DecorationError, LeadtraceError
from leadtrace.words import closing, opening
from leadtrace.words.context import attach, detach, innermost
from leadtrace.words.guard import trouble
from leadtrace.words.kinds import KINDS, WordKind
from leadtrace.words.plan import Plan
from leadtrace.words.silent import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType, TracebackType

    from opentelemetry.context.context import Context

    from leadtrace.otlp.records import Value
    from leadtrace.words.handle import Handle

__all__ = ["Word"]

F = TypeVar("F", bound="Callable[..., Any] | classmethod[Any, ..., Any] | staticmethod[..., Any]")


class Word:
    """One word with its fields: decorate a function with it, or open it with `with` or `async with`, as often as you like."""

    __slots__ = ("_attributes", "_entered", "_expected", "_fields", "_name", "_options", "_plan", "_under", "kind")

    def __init__(
        self,
        word: str,
        name: str,
        fields: Mapping[str, object],
        options: Mapping[str, object],
        attributes: Mapping[str, object] | None,
        expected: object = (),
    ) -> None:
        self.kind: WordKind = KINDS[word]
        self._name = name
        self._fields = fields
        self._options = options
        self._attributes = attributes or {}
        self._expected = _classes(expected, word)
        self._plan: Plan | None = None
        self._under: Handle | None = None
        self._entered: list[tuple[Handle, Any]] = []
        if not isinstance(name, str):
            raise DecorationError(f"lt.{word} takes its name as text, not {type(name).__name__}; fields go by keyword")

    def under(self, handle: Handle) -> Word:
        """This word beneath that handle, wherever it is opened."""
        self._under = handle
        return self

    def __call__(self, function: F) -> F:
        """Decorate a function, coroutine function, generator function, async generator function, or a class or static method."""
        from leadtrace.words.wrap import wrap

        return wrap(self, function)

    def plan(self, signature: Any, code: Mapping[str, Value], where: str, name: str = "") -> Plan:
        return Plan(
            self.kind,
            self._name or name or self.kind.word,
            self._fields,
            self._attributes,
            self._options,
            self._expected,
            signature,
            code,
            where,
        )

    @property
    def parent_context(self) -> Context | None:
        """The context that it opens in where a handle made it; None: the current one."""
        return self._under.context if self._under is not None else None

    # -- the `with` form

    def _open(self, frame: FrameType) -> Handle:
        if not opening.switched_on():
            return cast("Handle", SILENT)
        try:
            if self._plan is None:
                code = frame.f_code
                module = frame.f_globals.get("__name__", "")
                place: dict[str, Value] = {
                    "code.function.name": f"{module}.{code.co_qualname}" if module else code.co_qualname,
                    "code.file.path": code.co_filename,
                    "code.line.number": frame.f_lineno,
                }
                self._plan = self.plan(None, place, f"lt.{self.kind.word} in {code.co_qualname}")
            handle = opening.begin(self._plan, context=self.parent_context)
        except LeadtraceError:
            raise
        except Exception as problem:  # noqa: BLE001 - telemetry never hurts the host
            trouble(f"{self.kind.word}.begin", problem)
            return cast("Handle", SILENT)
        self._entered.append((handle, attach(handle.context)))
        return handle

    def _close(self, problem: BaseException | None) -> None:
        found = self._mine()
        if found is None:
            return
        handle, token = found
        detach(token)
        try:
            closing.end(handle, problem)
        except LeadtraceError:
            raise
        except Exception as trouble_here:  # noqa: BLE001 - telemetry never hurts the host
            opening.abandon(handle)
            trouble(f"{self.kind.word}.end", trouble_here)

    def _mine(self) -> tuple[Handle, Any] | None:
        """The handle that this exit belongs to: one word may be open in several tasks and threads at once."""
        at: Handle | None = innermost(otel.get_current())
        while at is not None:
            for handle, token in reversed(self._entered.copy()):
                if handle is at:
                    self._entered.remove((handle, token))
                    return handle, token
            at = at.parent
        # Left in another context than it was entered in: whichever was opened last.
        return self._entered.pop() if self._entered else None

    def __enter__(self) -> Handle:
        return self._open(sys._getframe(1))

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(problem)

    async def __aenter__(self) -> Handle:
        frame = sys._getframe(1)
        return self._open(frame)

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(problem)


def _classes(expected: object, word: str) -> tuple[type[BaseException], ...]:
    listed = expected if isinstance(expected, tuple) else (expected,)
    for one in listed:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise DecorationError(f"lt.{word}: expected= takes exception classes, not {one!r}")
    return cast("tuple[type[BaseException], ...]", listed)
