"""The few names that a reader must know of the words: which events begin and end which word, and where values stand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.otlp.records import EventRecord, Value

__all__ = [
    "ENDS",
    "FLOW_ENDS",
    "SKIPPED",
    "duration_of",
    "finite",
    "is_end_of",
    "is_start",
    "kind_of",
    "number",
    "sequence_of",
    "text",
]

FLOW_ENDS = frozenset({"flow.completed", "flow.failed", "flow.cancelled", "flow.interrupted"})
"""The events that end a run. `flow.handed_over` closes a call only."""

_OPERATION = frozenset({"operation.completed", "operation.failed", "operation.cancelled"})

ENDS: Mapping[str, frozenset[str]] = {
    "flow": FLOW_ENDS | {"flow.handed_over"},
    "step": _OPERATION,
    "resume": _OPERATION,
    "fallback": _OPERATION,
    "enhancement": frozenset({"enhancement.success", "enhancement.failed", "enhancement.cancelled"}),
    "delivery": frozenset(
        f"delivery.{answer}" for answer in ("accepted", "rejected", "pending", "failed", "unconfirmed", "cancelled")
    ),
    "attempt": frozenset({"api.call.succeeded", "api.call.failed", "api.call.cancelled"}),
    "validation": _OPERATION | {"validation.passed", "validation.failed"},
    "rule": _OPERATION | {"rule.satisfied", "rule.rejected"},
}
"""What may end each word."""

SKIPPED = frozenset({"system.retry.attempted", "system.retry.scheduled"})
"""Events that a reader joins to the tries that they speak of."""

_CLOSING = frozenset({"success", "failure", "rejection", "attempt_failure", "cancelled"})


_LONGEST_MS = 2**64 / 1e6
"""What the longest span that OTLP can say takes; a number beyond is no duration."""


def kind_of(event: EventRecord) -> str:
    """What the event means for counting: as it says itself, else as the catalogue says of its name."""
    if kind := event.attributes.get("leadtrace.kind"):
        return str(kind)
    from leadtrace.catalogue import get

    spec = get(event.name)
    return str(spec.kind) if spec else ""


def is_start(event: EventRecord) -> bool:
    """Whether it is the start event of a word."""
    return "leadtrace.word" in event.attributes and event.attributes.get("leadtrace.kind") == "start"


def is_end_of(event: EventRecord, word: str) -> bool:
    """Whether it ends that word. A word of a newer leadtrace ends with any event of its own that closes."""
    if event.attributes.get("leadtrace.word") != word:
        return False
    known = ENDS.get(word)
    return event.name in known if known else event.attributes.get("leadtrace.kind") in _CLOSING


def sequence_of(event: EventRecord | None) -> tuple[str, int] | None:
    """The process (its boot id) that made it and its place among what that process made; None of foreign events."""
    uid = event.uid if event else ""
    if len(uid) != 28:
        return None
    try:
        return uid[:16], int(uid[16:], 16)
    except ValueError:
        return None


def number(attributes: Mapping[str, Value], *names: str) -> float | None:
    """The first of those attributes that is a number, as it came: it may be NaN or infinite."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
    return None


def finite(attributes: Mapping[str, Value], *names: str) -> float | None:
    """The first of those attributes that is a number, where one can reckon with it."""
    told = number(attributes, *names)
    return told if told is not None and math.isfinite(told) else None


def text(attributes: Mapping[str, Value], *names: str) -> str:
    """The first of those attributes that says something, as text; '' where none does."""
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "":
            return str(value)
    return ""


def duration_of(event: EventRecord) -> float | None:
    """How long the word took that this event ended, as the word measured it."""
    namespace = event.name.rpartition(".")[0]
    told = finite(event.attributes, f"{namespace}.duration_ms", "duration_ms", "flow.summary.total_duration_ms")
    return told if told is not None and abs(told) <= _LONGEST_MS else None
