"""Handlers: a host's own code that is called with the events that are told here.

    tell ─► redacted ─► sink ─► span ─► handed ─┬─► handlers with inline=True, in the emitting call
                                                └─► queue ─► one thread ─► the others, in order

A handler is never called with an event that it caused itself, directly or through other handlers; one that raises is
detached, and that is an event. So nothing here goes round in circles.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from leadtrace import catalogue
from leadtrace.catalogue.common import COMMON
from leadtrace.catalogue.model import Event, EventSpec, undeclared
from leadtrace.errors import DecorationError
from leadtrace.words import delivering, tell
from leadtrace.words.guard import counts, trouble, warn_once

if TYPE_CHECKING:
    from leadtrace.otlp.records import EventRecord

__all__ = ["AttachedHandler", "attach", "attach_many", "detach", "drain_handlers", "list_handlers", "on"]

_log = logging.getLogger("leadtrace")

Which: TypeAlias = "str | EventSpec | type[Event]"
"""An event's name or a pattern of names (`delivery.*`, `*.failed`, `*`), its class, or its declaration."""

F = TypeVar("F", bound=Callable[..., object])


@dataclass(slots=True, eq=False)
class AttachedHandler:
    """A handler as it is attached; to look at, not to change."""

    id: str
    patterns: tuple[str, ...]
    """Names of events, or patterns of names."""
    handler: Callable[..., object]
    config: object = None
    inline: bool = False
    typed: bool = False
    """Whether it is called with the typed event (`on`), not with name, measurements, metadata and config (`attach`)."""
    missed: int = 0
    """How many events it was not called with because too many waited."""


_lock = threading.RLock()
_attached: dict[str, AttachedHandler] = {}
_takers: dict[str, tuple[tuple[AttachedHandler, ...], tuple[AttachedHandler, ...]]] = {}
"""By event name, the handlers to be called inline and those by the queue; made at need, emptied at each change."""
_TAKERS_LIMIT = 2_000

_causes: contextvars.ContextVar[frozenset[AttachedHandler]] = contextvars.ContextVar(
    "leadtrace-handlers", default=frozenset()
)
"""The handlers that are being called here, and those whose events they are called with."""


# -- attaching


def attach(
    handler_id: str,
    events: Which | Iterable[Which],
    handler: Callable[[str, Mapping[str, Any], Mapping[str, Any], Any], object],
    config: object = None,
    *,
    inline: bool = False,
) -> None:
    """Call `handler(name, measurements, metadata, config)` with each event of these names or patterns, once it is recorded.

    `measurements` are the event's numbers that measure (counts, rates, durations, money), `metadata` all the rest, both by
    keyword; see `docs/handlers.md`. It is called on a thread of leadtrace's own, in order; with `inline=True` in the
    emitting call, which waits for it. `handler_id` is by what it is detached; it can be attached once.
    """
    if not isinstance(handler_id, str) or not handler_id:
        raise DecorationError(f"lt.attach takes the handler's id as text, not {handler_id!r}")
    one = AttachedHandler(handler_id, _patterns(events, "lt.attach"), _callable(handler), config, inline)
    with _lock:
        if handler_id in _attached:
            raise DecorationError(f"a handler {handler_id!r} is attached already; detach it first")
        _put(one)


def attach_many(
    handler_id: str,
    events: Iterable[Which],
    handler: Callable[[str, Mapping[str, Any], Mapping[str, Any], Any], object],
    config: object = None,
    *,
    inline: bool = False,
) -> None:
    """`attach` one handler to several events, such as all that are declared: `lt.attach_many("log", lt.events(), log)`."""
    attach(handler_id, events, handler, config, inline=inline)


def on(*events: Which, inline: bool = False) -> Callable[[F], F]:
    """Call the decorated function with each event of these names or patterns, typed: `@lt.on("delivery.*")`.

    It gets an instance of the event's class (`event.buyer`, `event.lead_id`, `event.attributes`); of an event that nobody
    declared, one without fields. Its id is its name with its module's; `lt.detach(function)` ends it.
    """
    patterns = _patterns(events, "lt.on")

    def attaching(function: F) -> F:
        handler = _callable(function)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        handler_id = wanted = f"{getattr(function, '__module__', '')}.{name}"
        with _lock:
            # A module that is loaded again attaches its functions again; functions made by a function are each one more.
            if "<" in name:
                number = 2
                while handler_id in _attached:
                    handler_id, number = f"{wanted}#{number}", number + 1
            _put(AttachedHandler(handler_id, patterns, handler, None, inline, True))
        return function

    return attaching


def detach(handler: str | Callable[..., object]) -> bool:
    """Call that handler no more: the one of that id, or every one with that function. False where none was attached."""
    with _lock:
        found = [one for one in _attached.values() if handler == one.id or one.handler == handler]
        for one in found:
            del _attached[one.id]
        _changed()
    return bool(found)


def list_handlers(prefix: str = "") -> list[AttachedHandler]:
    """The handlers attached to events whose names begin with `prefix`; by default all of them, in their order."""
    with _lock:
        return [one for one in _attached.values() if any(_begins(pattern, prefix) for pattern in one.patterns)]


def drain_handlers(timeout_s: float = 5.0) -> bool:
    """Wait until handlers were called with all that was told before; false where it took longer. For tests and shutdown."""
    return delivering.drain(timeout_s)


def _put(one: AttachedHandler) -> None:
    _attached[one.id] = one
    _changed()


def _changed() -> None:
    _takers.clear()
    tell.handed = _take if _attached else None


def _callable(handler: Any) -> Callable[..., object]:
    if not callable(handler):
        raise DecorationError(f"a handler is a function, not {handler!r}")
    called = handler if inspect.isroutine(handler) else getattr(handler, "__call__", handler)  # noqa: B004
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called):
        raise DecorationError(
            f"a handler is a plain function; {handler!r} is a coroutine function, which nobody would await"
        )
    return handler  # type: ignore[no-any-return]


def _patterns(events: Which | Iterable[Which], where: str) -> tuple[str, ...]:
    listed = [events] if isinstance(events, (str, EventSpec, type)) or callable(events) else events
    found: list[str] = []
    for one in listed:
        if isinstance(one, str) and one:
            found.append(one)
        elif isinstance(one, EventSpec):
            found.append(one.name)
        elif isinstance(one, type) and issubclass(one, Event) and hasattr(one, "spec"):
            found.append(one.spec.name)
        else:
            raise DecorationError(
                f"{where} takes names of events, patterns such as 'delivery.*', or event classes, not {one!r}"
            )
    if not found:
        raise DecorationError(f"{where} needs the name of an event, a pattern such as 'delivery.*', or '*' for all")
    return tuple(dict.fromkeys(found))


def _plain(pattern: str) -> str:
    """What a pattern begins with, before anything that may vary; the whole of it where nothing may."""
    return next((pattern[:index] for index, character in enumerate(pattern) if character in "*?["), pattern)


def _begins(pattern: str, prefix: str) -> bool:
    head = _plain(pattern)
    return head.startswith(prefix) or (head != pattern and prefix.startswith(head))


# -- calling


def _take(record: EventRecord) -> None:
    """What `tell` calls with each event that it has recorded."""
    inline, queued = _takers.get(record.name) or _matching(record.name)
    causes = _causes.get()
    if causes:
        inline = tuple(one for one in inline if one not in causes)
        queued = tuple(one for one in queued if one not in causes)
    if queued and not delivering.put((record, queued, causes), _hand_over):
        for one in queued:
            one.missed += 1
        counts["handlers_missed"] += 1
        warn_once(
            "handlers_full",
            f"handlers cannot keep up: {delivering.LIMIT} events wait for them, and they are not called with what comes now "
            "(the events themselves are recorded; list_handlers() counts what each handler missed)",
        )
    for one in inline:
        _call(one, record, causes)


def _matching(name: str) -> tuple[tuple[AttachedHandler, ...], tuple[AttachedHandler, ...]]:
    with _lock:
        _hint()
        found = [one for one in _attached.values() if any(p == name or fnmatchcase(name, p) for p in one.patterns)]
        made = (tuple(one for one in found if one.inline), tuple(one for one in found if not one.inline))
        if len(_takers) < _TAKERS_LIMIT:
            _takers[name] = made
    return made


def _hint() -> None:
    """Say once where a handler waits for a name that looks like a slip for a declared one.

    Not said when it is attached: the module that declares the event may be loaded later.
    """
    for one in _attached.values():
        for pattern in one.patterns:
            if _plain(pattern) == pattern and pattern not in _hinted and catalogue.get(pattern) is None:
                _hinted.add(pattern)
                if like := catalogue.nearest(pattern):
                    warn_once(
                        f"handler_of:{pattern}",
                        f"handler {one.id!r} waits for {pattern!r}, which is not declared; did you mean {like!r}?",
                    )


_hinted: set[str] = set()


def _hand_over(item: tuple[EventRecord, tuple[AttachedHandler, ...], frozenset[AttachedHandler]]) -> None:
    """The thread's work: one event for each of its handlers."""
    record, takers, causes = item
    for one in takers:
        if _attached.get(one.id) is one:  # not detached since
            _call(one, record, causes)


def _call(one: AttachedHandler, record: EventRecord, causes: frozenset[AttachedHandler]) -> None:
    try:
        arguments = (_typed(record),) if one.typed else (record.name, *_groups(record), one.config)
    except Exception as problem:  # noqa: BLE001 - ours, not the handler's
        trouble("handlers", problem)
        return
    token = _causes.set(causes | {one})
    try:
        one.handler(*arguments)
    except (KeyboardInterrupt, SystemExit) as problem:
        if one.inline:
            raise  # the host's own business, in the host's own call
        failed: BaseException | None = problem
    except Exception as problem:  # noqa: BLE001 - a handler is anybody's code
        failed = problem
    else:
        failed = None
    finally:
        _causes.reset(token)
    if failed is not None:
        _detach_failed(one, record, failed)


def _detach_failed(one: AttachedHandler, record: EventRecord, problem: BaseException) -> None:
    with _lock:
        if _attached.get(one.id) is not one:
            return  # detached by itself, or by another call of it that failed as well
        del _attached[one.id]
        _changed()
    counts["handlers_failed"] += 1
    _log.error("handler %r raised on %s and was detached", one.id, record.name, exc_info=problem)
    from leadtrace.words.events import emit
    from leadtrace.words.raised import qualified, scrubbed

    try:
        emit(
            "leadtrace.handler.failed",
            id=one.id,
            event=record.name,
            error_type=qualified(problem),
            error_message=scrubbed(None, problem),
        )
    except Exception as trouble_here:  # noqa: BLE001 - under strict as well, the emitting call is not to blame
        _log.error("the failure of handler %r could not be told", one.id, exc_info=trouble_here)


# -- what a handler gets


def _typed(record: EventRecord) -> Event:
    spec = catalogue.get(record.name)
    made = spec.event_class if spec is not None else _undeclared(record.name)
    return made.read(record.attributes, time_ns=record.time_ns, trace_id=record.trace_id, span_id=record.span_id)


_undeclared = lru_cache(maxsize=256)(undeclared)


def _groups(record: EventRecord) -> tuple[dict[str, Any], dict[str, Any]]:
    """An event's measurements and its metadata, by keyword: the catalogue says which number measures something."""
    spec = catalogue.get(record.name)
    measurements: dict[str, Any] = {}
    metadata: dict[str, Any] = {"time_ns": record.time_ns, "trace_id": record.trace_id, "span_id": record.span_id}
    free: dict[str, Any] = {}
    for attribute, value in record.attributes.items():
        field = (spec.field_of(attribute) if spec is not None else None) or COMMON.get(attribute)
        if field is None:
            free[attribute] = value
        elif field.type == "map":
            metadata.setdefault(field.keyword, {})[attribute.removeprefix(field.attribute[:-1])] = value
        elif field.measurement and isinstance(value, (int, float)) and not isinstance(value, bool):
            measurements[field.keyword] = value
        else:
            metadata[field.keyword] = value
    if spec is not None and "outbound.count" in spec.attributes:
        measurements.setdefault("count", 1)  # a counter stands for one unless it says how many
    namespace = record.name.rpartition(".")[0]
    for attribute, value in free.items():
        keyword = attribute.removeprefix(f"{namespace}.").replace(".", "_")
        metadata[attribute if keyword in metadata or keyword in measurements else keyword] = value
    return measurements, metadata


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
