"""Tries and the waits between them: what is told on several events, joined on the try that it speaks of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from leadtrace.otlp.records import EventRecord
from leadtrace.query.model import Attempt
from leadtrace.query.vocabulary import finite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.query.tree import Item, Node

__all__ = ["attempts_among"]


def attempts_among(items: Iterable[Item]) -> dict[int, Attempt]:
    """The tries among one word's items (in order), by the identity of their node.

    The real wait stands on the `system.retry.attempted` before a try; the planned one on the failed try itself, or on
    the `system.retry.scheduled` after it.
    """
    found: dict[int, Attempt] = {}
    last: Node | None = None
    waited: EventRecord | None = None
    for item in items:
        if isinstance(item, EventRecord):
            if item.name == "system.retry.attempted":
                waited = item
            elif item.name == "system.retry.scheduled" and last is not None:
                found[id(last)] = _planned(found[id(last)], item)
        elif item.word == "attempt":
            found[id(item)] = _attempt(item, waited)
            last, waited = item, None
    return found


def _attempt(node: Node, waited: EventRecord | None) -> Attempt:
    told = [record.attributes for record in (node.start, node.span, node.end) if record is not None]
    which = next((n for one in told if (n := finite(one, "attempt")) is not None), 1)
    most = next((n for one in reversed(told) if (n := finite(one, "max_attempts")) is not None), 0)
    fits = waited is not None and finite(waited.attributes, "attempt") in (None, which)
    return Attempt(
        int(which),
        int(most),
        finite(waited.attributes, "waited_ms") if waited is not None and fits else None,
        next((n for one in reversed(told) if (n := finite(one, "wait_ms")) is not None), None),
        next((will for one in reversed(told) if isinstance(will := one.get("will_retry"), bool)), None),
    )


def _planned(attempt: Attempt, scheduled: EventRecord) -> Attempt:
    planned = finite(scheduled.attributes, "wait_ms")
    return replace(
        attempt,
        planned_ms=planned if planned is not None else attempt.planned_ms,
        of=attempt.of or int(finite(scheduled.attributes, "max_attempts") or 0),
        will_retry=True if attempt.will_retry is None else attempt.will_retry,
    )
