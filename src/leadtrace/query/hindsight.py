"""What only a reader can know: whether the flow went on, what to do about an error, how often it came."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from leadtrace.catalogue.troubleshooting import suggestion_for
from leadtrace.query.answers import ended_as, failed, finished
from leadtrace.query.vocabulary import kind_of, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.otlp.records import EventRecord, Value
    from leadtrace.query.tree import Node

__all__ = ["Hindsight"]

_STOPPED = frozenset({"flow.failed", "flow.interrupted"})


class Hindsight:
    """Computes the catalogue's reader-side attributes of one timeline's events."""

    def __init__(self, events: Iterable[EventRecord], parents: Mapping[int, Node]) -> None:
        """`parents` is the node above each node and event, by identity."""
        self._parents = parents
        self._alike = Counter(_fingerprint(one) for one in events if one.name == "error.occurred")

    def of(self, event: EventRecord) -> dict[str, Value]:
        """The attributes for that event; none where there is nothing to add."""
        node = self._parents.get(id(event))
        ends_it = node is not None and any(event is one for one in node.ends)
        error = text(event.attributes, "error.type")
        found: dict[str, Value] = {}
        if event.name == "error.occurred":
            if (stopped := self._stopped_flow(node, error)) is not None:
                found["error.impact.flow_stopped"] = stopped
            if fingerprint := _fingerprint(event):
                found["troubleshooting.related_errors"] = self._alike[fingerprint] - 1
        elif event.name == "enhancement.failed":
            above = self._parents.get(id(node)) if ends_it else node
            if (stopped := self._stopped_flow(above, error)) is not None:
                found["enhancement.impact.flow_continued"] = not stopped
        elif not (ends_it and kind_of(event) == "failure"):
            return found
        if advice := suggestion_for(event.attributes):
            found["troubleshooting.suggestion"] = advice.suggestion
        return found

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
        if record is not None and (found := text(record.attributes, "error.type")):
            return found
    return ""


def _fingerprint(event: EventRecord) -> str:
    return text(event.attributes, "error.fingerprint")
