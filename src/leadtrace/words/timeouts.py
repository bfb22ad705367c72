"""`lt.timeout`: asyncio's time-out, which also tells the words that it cancels why they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from opentelemetry import context as otel

from leadtrace.words.context import attach, detach

if TYPE_CHECKING:
    import asyncio
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context.context import Context

__all__ = ["expired", "timeout", "timeouts_here"]

_KEY = otel.create_key("leadtrace-timeouts")


class timeout:  # noqa: N801 - the same word as asyncio's
    """Give a block of a coroutine so many seconds; on expiry `TimeoutError` leaves the block, as with `asyncio.timeout`.

    The words inside that it cancels end as failed (technical, timeout) with `reason`, not as cancelled.
    """

    def __init__(self, seconds: float | None, reason: str = "") -> None:
        self.seconds = seconds
        self.reason = reason
        self._timeout: asyncio.Timeout | None = None
        self._token: Token[Context] | None = None

    def expired(self) -> bool:
        """Whether it has run out."""
        return self._timeout is not None and self._timeout.expired()

    def reschedule(self, when: float | None) -> None:
        """Move the deadline: `when` in the event loop's time."""
        if self._timeout is None:
            raise RuntimeError("the time-out has not been entered")
        self._timeout.reschedule(when)

    async def __aenter__(self) -> timeout:
        import asyncio

        self._timeout = asyncio.timeout(self.seconds)
        await self._timeout.__aenter__()
        self._token = attach(otel.set_value(_KEY, (self, *timeouts_here())))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            detach(self._token)
            self._token = None
        assert self._timeout is not None
        await self._timeout.__aexit__(kind, problem, trace)


def timeouts_here(context: Context | None = None) -> tuple[timeout, ...]:
    """The time-outs around this point, or in that context, the innermost first."""
    return cast("tuple[timeout, ...]", otel.get_value(_KEY, context) or ())


def expired(around: tuple[timeout, ...]) -> timeout | None:
    """The innermost of them that has run out: the one that cancelled what is ending now."""
    return next((one for one in around if one.expired()), None)
