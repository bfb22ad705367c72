"""What is open: one key in the OpenTelemetry context, so that whatever carries a trace carries the lead.

context ── leadtrace key ──► innermost open word ──► the word around it ──► … ──► flow
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from opentelemetry import context as otel
from opentelemetry.trace import set_span_in_context

from leadtrace.words.guard import counts

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from opentelemetry.context.context import Context

    from leadtrace.words.handle import Handle

__all__ = ["attach", "bind", "detach", "entered", "innermost"]

P = ParamSpec("P")
R = TypeVar("R")

_KEY = otel.create_key("leadtrace-open")
# The public detach logs an error with a traceback where contexts were mixed by the host's own generators; ours is silent.
_runtime: Any = getattr(otel, "_RUNTIME_CONTEXT", otel)


def innermost(context: Context | None = None) -> Handle | None:
    """The innermost open word here, or in that context."""
    return cast("Handle | None", (otel.get_current() if context is None else context).get(_KEY))


def entered(handle: Handle, context: Context) -> Context:
    """That context inside the word: the word is the innermost, its span the current one."""
    return otel.set_value(_KEY, handle, set_span_in_context(handle.span, context))


def attach(context: Context) -> Token[Context]:
    return otel.attach(context)


def detach(token: Token[Context]) -> None:
    """Go back to the context before. Where contexts were mixed, nothing can be put right: it is counted, and silent."""
    try:
        _runtime.detach(token)
    except (ValueError, RuntimeError):
        counts["detach_failed"] += 1


def bind(function: Callable[P, R]) -> Callable[P, R]:
    """Carry what is open here into a thread pool or callback: captured now, attached around each call.

    pool.submit(lt.bind(score), lead)
    """
    captured = otel.get_current()

    @functools.wraps(function)
    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        token = attach(captured)
        try:
            return function(*args, **kwargs)
        finally:
            detach(token)

    return bound
