"""How each word ended, and what became of each delivery.

Its end event says it; its span, where only that arrived; and of a delivery also what closed it later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leadtrace.query.vocabulary import kind_of, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.otlp.records import EventRecord, Value
    from leadtrace.query.tree import Forest, Node

__all__ = ["Delivery", "bulk", "deliveries", "ended_as", "failed", "finished"]

_BY_KIND: Mapping[str, Mapping[str, str]] = {
    "flow": {"milestone": "flow.completed", "failure": "flow.failed", "cancelled": "flow.cancelled"},
    "enhancement": {
        "success": "enhancement.success",
        "failure": "enhancement.failed",
        "cancelled": "enhancement.cancelled",
    },
    "delivery": {
        "success": "delivery.accepted",
        "rejection": "delivery.rejected",
        "milestone": "delivery.pending",
        "failure": "delivery.failed",
        "cancelled": "delivery.cancelled",
    },
    "attempt": {
        "success": "api.call.succeeded",
        "attempt_failure": "api.call.failed",
        "cancelled": "api.call.cancelled",
    },
    "validation": {"success": "validation.passed", "rejection": "validation.failed"},
    "rule": {"success": "rule.satisfied", "rejection": "rule.rejected"},
}
_OPERATION = {"success": "operation.completed", "failure": "operation.failed", "cancelled": "operation.cancelled"}

_ANSWERS = frozenset({"accepted", "rejected", "pending", "failed", "unconfirmed", "cancelled"})


def finished(node: Node) -> bool:
    """Whether it has ended, as far as anything tells."""
    return bool(node.ends) or (node.span is not None and node.span.end_ns != 0)


def bulk(node: Node) -> bool:
    """Whether its span stands for several leads: it holds a summary, and each lead's share is on an end event."""
    return node.span is not None and isinstance(node.span.attributes.get("leadtrace.lead_ids"), list)


def failed(node: Node) -> bool:
    """Whether it ended in failure, also as a single try."""
    if node.end is not None:
        return kind_of(node.end) in ("failure", "attempt_failure")
    return node.span is not None and text(node.span.attributes, "leadtrace.kind") in ("failure", "attempt_failure")


def ended_as(node: Node) -> str:
    """The name of the event that ended a word, by its span's kind where events went elsewhere; '' while it is open."""
    if node.end is not None:
        return node.end.name
    if not node.word or node.span is None or not node.span.end_ns:
        return ""
    kind = text(node.span.attributes, "leadtrace.kind")
    return {**_OPERATION, **_BY_KIND.get(node.word, {})}.get(kind, "")


@dataclass(slots=True)
class Delivery:
    """One delivery to one buyer: the promise, and every answer to it in the order of time."""

    id: str
    buyer: str = ""
    run_id: str = ""
    answers: list[tuple[int, str, Mapping[str, Value]]] = field(default_factory=list)
    """When, which (`accepted` …), with which fields."""
    nodes: list[Node] = field(default_factory=list)

    @property
    def answer(self) -> str:
        """The one that stands: the last; '' while it is open."""
        return self.answers[-1][1] if self.answers else ""

    @property
    def fields(self) -> Mapping[str, Value]:
        """Those of the answer that stands."""
        return self.answers[-1][2] if self.answers else {}

    @property
    def closed_again(self) -> bool:
        """Whether it was answered for good more than once."""
        return sum(answer != "pending" for _, answer, _ in self.answers) > 1


def deliveries(forest: Forest) -> list[Delivery]:
    """Every delivery of the lead, each once: by its id, else by its span, else each answer for itself."""
    found: dict[object, Delivery] = {}
    for node in forest.nodes:
        if node.word != "delivery":
            continue
        one = _delivery(found, _id_on(node) or (node.trace_id, node.span_id))
        one.nodes.append(node)
        one.run_id = one.run_id or node.run_id
        one.buyer = one.buyer or _said_by(node, "delivery.buyer")
        if not node.ends and (name := ended_as(node)) and node.span is not None and not bulk(node):
            one.answers.append((node.span.end_ns, name.rpartition(".")[2], node.span.attributes))
    for event in forest.events:
        namespace, _, answer = event.name.rpartition(".")
        if namespace != "delivery" or answer not in _ANSWERS or kind_of(event) == "start":
            continue
        home = forest.homes.get(id(event))
        key: object = text(event.attributes, "delivery.id")
        if not key and home is not None and home.word == "delivery" and home.ended_by(event):
            key = (home.trace_id, home.span_id)
        one = _delivery(found, key or event.uid or (event.trace_id, event.span_id, event.time_ns, event.index))
        one.answers.append((event.time_ns, answer, event.attributes))
        one.buyer = one.buyer or text(event.attributes, "delivery.buyer")
        one.run_id = one.run_id or forest.run_of(event)
    for one in found.values():
        # At the same moment a pending answer comes first: it is the one that others close.
        one.answers.sort(
            key=lambda answer: (answer[0], answer[1] != "pending", answer[1], repr(sorted(answer[2].items())))
        )
    return sorted(found.values(), key=lambda one: (_began(one), one.id, one.buyer))


def _began(delivery: Delivery) -> int:
    return min((*(node.time_ns for node in delivery.nodes), *(when for when, _, _ in delivery.answers)))


def _delivery(found: dict[object, Delivery], key: object) -> Delivery:
    return found.setdefault(key, Delivery(key if isinstance(key, str) else ""))


def _id_on(node: Node) -> str:
    return _said_by(node, "delivery.id")


def _said_by(node: Node, attribute: str) -> str:
    records: Iterable[EventRecord | None] = (node.start, node.end)
    for record in (node.span, *records):
        if record is not None and (found := text(record.attributes, attribute)):
            return found
    return ""
