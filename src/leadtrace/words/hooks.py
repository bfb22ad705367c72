"""Hooks for other libraries: what a retry library plans, and what a circuit breaker does, told as events.

    lt.hooks.stamina()                              once, where the process starts
    @tenacity.retry(before_sleep=lt.hooks.tenacity)
    pybreaker.CircuitBreaker(name="Acme", listeners=[lt.hooks.pybreaker()])

None of these libraries is needed, or imported, by leadtrace. Nothing is installed without being asked for: a library's
hooks belong to the host, and putting one beside them may load things that the host has put off.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from leadtrace.errors import LeadtraceError
from leadtrace.words.context import innermost
from leadtrace.words.events import emit
from leadtrace.words.guard import trouble
from leadtrace.words.raised import qualified, scrubbed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Hooks", "hooks"]


class Hooks:
    """`lt.hooks`: one name per library."""

    __slots__ = ()

    def stamina(self) -> None:
        """Tell `system.retry.scheduled` for every retry that stamina plans in this process.

        Put beside the hooks that are there, stamina's own logging included; asked for again, it is there once. A later
        `set_on_retry_hooks` of the host's takes it away like any other. stamina does not say how many tries there may be.
        """
        from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

        there = get_on_retry_hooks()
        if _on_stamina not in there:
            set_on_retry_hooks((*there, _on_stamina))

    def tenacity(self, retry_state: Any, /) -> None:
        """Tell `system.retry.scheduled`: goes in tenacity's `before_sleep=`, or is called by the one that stands there."""
        action = getattr(retry_state, "next_action", None)
        wait_s = action.sleep if action is not None else getattr(retry_state, "upcoming_sleep", 0.0)
        most = _most(getattr(getattr(retry_state, "retry_object", None), "stop", None))
        _scheduled(retry_state.attempt_number, wait_s, most)

    def pybreaker(self) -> Any:
        """A listener that tells a breaker's changes as `circuit.opened`, `circuit.half_opened` and `circuit.closed`.

        One may serve several breakers. Give each breaker a `name`: it is what the events are told apart by.
        """
        return _breaker_listener()()


hooks = Hooks()


# -- retries


def _on_stamina(details: Any) -> None:
    _scheduled(details.retry_num, details.wait_for, None)


def _scheduled(tries: int, wait_s: float, most: int | None) -> None:
    """Another try is planned, after `tries` of them; a retry library's host must not notice that it is told."""
    try:
        # Where attempt words count, theirs is the number: they go on counting where a carried delivery left off.
        emit("system.retry.scheduled", attempt=_next_number() or tries + 1, wait_ms=wait_s * 1_000, max_attempts=most)
    except LeadtraceError:
        raise  # strict mode
    except Exception as problem:  # noqa: BLE001 - telemetry never hurts the host
        trouble("hooks.retry", problem)


def _next_number() -> int:
    """The number of the coming try, by the attempt word that failed last under the innermost word; 0 where none did."""
    here = innermost()
    if here is None:
        return 0
    failed = [one for one in here.tries.values() if one.failed and not one.open]
    return max(failed, key=lambda one: one.ended_mono).last + 1 if failed else 0


def _most(stop: Any) -> int | None:
    """How many tries tenacity's stop condition allows, where it counts them."""
    most = getattr(stop, "max_attempt_number", None)
    if isinstance(most, int):
        return most
    # `stop_after_attempt(5) | stop_after_delay(30)` stops at whichever comes first, `&` at the last of them.
    parts = [found for one in getattr(stop, "stops", ()) if (found := _most(one)) is not None]
    if not parts:
        return None
    if type(stop).__name__ == "stop_all":
        return max(parts) if len(parts) == len(stop.stops) else None
    return min(parts)


# -- circuits

_TOLD = {"open": "circuit.opened", "half-open": "circuit.half_opened", "closed": "circuit.closed"}
_NAMED = {"open": "opened", "half-open": "half_opened", "closed": "closed"}


def _breaker_listener() -> Callable[[], Any]:
    import pybreaker

    class Listener(pybreaker.CircuitBreakerListener):
        """Tells a breaker's changes of state."""

        def __init__(self) -> None:
            # Of each breaker the failure that may open it, which is said before the change: its type and message, because
            # the exception itself would keep alive all that its frames hold.
            self._raised: weakref.WeakKeyDictionary[Any, tuple[str, str]] = weakref.WeakKeyDictionary()

        def failure(self, cb: Any, exc: BaseException) -> None:
            self._raised[cb] = (qualified(exc), scrubbed(innermost(), exc))

        def success(self, cb: Any) -> None:
            self._raised.pop(cb, None)

        def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
            opened = new_state.name == "open"
            kind, message = self._raised.pop(cb, (None, None))
            _changed(
                _TOLD[new_state.name],
                name=cb.name,
                from_=_NAMED[old_state.name] if old_state is not None else None,
                failures=cb.fail_counter if opened else None,
                reset_after_ms=cb.reset_timeout * 1_000.0 if opened else None,
                error_type=kind if opened else None,
                error_message=message if opened else None,
            )

    return Listener


def _changed(event: str, **fields: Any) -> None:
    try:
        emit(event, **fields)
    except LeadtraceError:
        raise  # strict mode
    except Exception as problem:  # noqa: BLE001 - telemetry never hurts the host
        trouble("hooks.circuit", problem)
