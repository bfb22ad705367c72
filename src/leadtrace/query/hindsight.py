"""What only a reader can know: whether the flow went on, what to do about an error, how often it came."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from leadtrace.catalogue.troubleshooting import suggestion_for
from leadtrace.query.answers import ended_as, failed, finished
from leadtrace.query.surroundings import Surroundings, band_of
from leadtrace.query.vocabulary import duration_of, kind_of, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.otlp.records import EventRecord, SpanRecord, Value
    from leadtrace.query.tree import Node

__all__ = ["Hindsight"]

_STOPPED = frozenset({"flow.failed", "flow.interrupted"})


class Hindsight:
    """Computes the catalogue's reader-side attributes of one timeline's events."""

    def __init__(self, events: Iterable[EventRecord], parents: Mapping[int, Node], around: Surroundings) -> None:
        """`parents` is the node above each node and event, by identity; `around` what other leads tell."""
        self._parents = parents
        self._around = around
        self._alike = Counter(_fingerprint(one) for one in events if one.name == "error.occurred")

    def of(self, event: EventRecord) -> dict[str, Value]:
        """The attributes for that event; none where there is nothing to add."""
        node = self._parents.get(id(event))
        found: dict[str, Value] = {}
        if event.name == "error.occurred":
            if (stopped := self._stopped_flow(node, _error_on(event))) is not None:
                found["error.impact.flow_stopped"] = stopped
            if fingerprint := _fingerprint(event):
                found.update(self._related(fingerprint))
        elif event.name == "enhancement.failed":
            above = self._parents.get(id(node)) if node is not None and node.ended_by(event) else node
            if (stopped := self._stopped_flow(above, _error_on(event))) is not None:
                found["enhancement.impact.flow_continued"] = not stopped
        elif event.name == "flow.completed":
            return self._usual(event)
        elif kind_of(event) != "failure" or node is None or not node.ended_by(event):
            return found
        if advice := suggestion_for(event.attributes):
            found["troubleshooting.suggestion"] = advice.suggestion
        return found

    def _related(self, fingerprint: str) -> dict[str, Value]:
        """How many other errors are like it, on this timeline or among those told nearest by other leads, and what they have
        in common; whether that is anything is known only where other leads were looked at."""
        here = self._alike[fingerprint]
        kindred = self._around.kindred.get(fingerprint)
        if kindred is None:
            return {"troubleshooting.related_errors": here - 1}
        found: dict[str, Value] = {
            "troubleshooting.related_errors": max(kindred.errors, here) - 1,
            "troubleshooting.pattern_detected": bool(kindred.pattern),
        }
        if kindred.pattern:
            found["leadtrace.pattern"] = kindred.pattern
        return found

    def _usual(self, event: EventRecord) -> dict[str, Value]:
        """The band of the flow's duration, against its runs before."""
        usual = self._around.usual.get(text(event.attributes, "flow.name", "leadtrace.name"))
        took = duration_of(event)
        band = band_of(took, usual) if usual is not None and took is not None else None
        return {"flow.performance.processing_time": band} if band else {}

    def _stopped_flow(self, node: Node | None, error: str) -> bool | None:
        """Whether this very error left every word up to the flow; None where that is not yet known, or there is none."""
        here = node
        while here is not None:
            if not finished(here):
                return None
            if here.word and not (failed(here) and _error_of(here) in ("", error)):
                return False
            if here.word == "flow":
                return ended_as(here) in _STOPPED
            here = self._parents.get(id(here))
        return None


def _error_of(node: Node) -> str:
    for record in (node.end, node.span):
        if record is not None and (found := _error_on(record)):
            return found
    return ""


def _error_on(record: SpanRecord | EventRecord) -> str:
    return text(record.attributes, "error.type")


def _fingerprint(event: EventRecord) -> str:
    return text(event.attributes, "error.fingerprint")
