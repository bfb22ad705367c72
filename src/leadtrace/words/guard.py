"""Telemetry never hurts the host: what goes wrong inside leadtrace is said once, counted, and raised in strict mode only."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from leadtrace.errors import LeadtraceError, StrictError
from leadtrace.words import runtime

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["counts", "guarded", "mistake", "trouble", "warn_once"]

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("leadtrace")

counts: Counter[str] = Counter()
"""How often each kind of trouble or mistake happened in this process; read by `stats()` and tests."""

_said: set[str] = set()
_SAID_LIMIT = 1_000


def warn_once(key: str, message: str) -> None:
    """One warning per key and process; the key is counted every time."""
    counts[key] += 1
    if key not in _said and len(_said) < _SAID_LIMIT:
        _said.add(key)
        log.warning("%s", message)


def mistake(key: str, message: str) -> None:
    """A mistake in telling, by the one who wrote the pipeline: raised in strict mode, else counted and warned about once."""
    current = runtime.current()
    if current is not None and current.strict:
        raise StrictError(message)
    warn_once(key, message)


def trouble(where: str, problem: BaseException) -> None:
    """Something failed inside leadtrace: logged once with its traceback; raised in strict mode."""
    counts[f"internal:{where}"] += 1
    current = runtime.current()
    if current is not None and current.strict:
        raise problem
    if where not in _said:
        _said.add(where)
        log.error("leadtrace failed in %s; the pipeline goes on, this record may be missing", where, exc_info=problem)


def guarded(instead: Callable[[], R]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep what fails inside a function of ours from whoever called it: `instead()` is given back then.

    Our own errors pass: they are for a mistake where it is written, and for strict mode.
    """

    def around(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except LeadtraceError:
                raise
            except Exception as problem:  # noqa: BLE001 - telemetry never hurts the host
                trouble(function.__name__, problem)
                return instead()

        return call

    return around
