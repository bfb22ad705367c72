"""From records to the tree of one lead: which records are its own, what lies under what, and in which order.

records ── graph: a node per span id, from its span, its start event, its end events, or all three
        ── owners: a record's own lead, else its run's, else its nearest ancestor's; never by trace id
        ── nest: under the parent in the trace, else the parent that the start event names, else a link
        ── order: cause, then each process's own sequence, then time
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TypeAlias

from leadtrace.otlp.records import EventRecord, SpanRecord, lead_ids_of
from leadtrace.query.vocabulary import is_end_of, is_start, sequence_of, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Forest", "Item", "Node", "grow"]


@dataclass(slots=True, eq=False)
class Node:
    """One span id: its span, if it arrived, and the events on it."""

    trace_id: str
    span_id: str
    span: SpanRecord | None = None
    start: EventRecord | None = None
    ends: list[EventRecord] = field(default_factory=list)
    """What ended it, the one that counts first. More than one is odd, but for calls on many leads."""
    events: list[EventRecord] = field(default_factory=list)
    word: str = ""
    above: Node | None = None
    """Its parent by the trace alone, whoever that belongs to."""
    items: list[Item] = field(default_factory=list)
    """Children and events of the lead, in order, its start event first."""
    marks: list[str] = field(default_factory=list)

    @property
    def time_ns(self) -> int:
        if self.span is not None and self.span.start_ns:
            return self.span.start_ns
        if self.start is not None:
            return self.start.time_ns
        return min((one.time_ns for one in self.ends), default=0)

    @property
    def end(self) -> EventRecord | None:
        return self.ends[0] if self.ends else None

    def ended_by(self, event: EventRecord) -> bool:
        """Whether this very event is one of those that ended it."""
        return id(event) in map(id, self.ends)

    @property
    def run_id(self) -> str:
        for record in (self.start, self.span, self.end):
            if record is not None and (run := record.attributes.get("leadtrace.run_id")):
                return str(run)
        return ""

    @property
    def parent_span_id(self) -> str:
        """As recorded: the span's own, else what the start or end event names."""
        if self.span is not None and self.span.parent_span_id:
            return self.span.parent_span_id
        for event in (self.start, self.end):
            if event is not None and (parent := text(event.attributes, "leadtrace.parent_span_id")):
                return parent
        return ""

    @property
    def service(self) -> str:
        for record in (self.span, self.start, self.end):
            if record is not None:
                return record.resource.service
        return ""


Item: TypeAlias = "Node | EventRecord"
_NOBODY: Final[frozenset[str]] = frozenset()


@dataclass(slots=True)
class Forest:
    """What belongs to one lead, nested and in order."""

    roots: list[Item]
    nodes: list[Node]
    """Every node of the lead."""
    events: list[EventRecord]
    """Every event of the lead, start and end events included."""
    tenants: list[str]
    """The tenants that the lead's records name."""
    homes: dict[int, Node]
    """By an event's identity the node that it lies on, unless it began it."""

    def run_of(self, event: EventRecord) -> str:
        """The run that an event says it belongs to, or the node that it lies on."""
        if run := text(event.attributes, "leadtrace.run_id"):
            return run
        home = self.homes.get(id(event))
        return home.run_id if home is not None else ""


def grow(spans: Iterable[SpanRecord], events: Iterable[EventRecord], lead_id: str, tenant: str | None) -> Forest:
    """The lead's own tree out of records that hold it and more; each span and each event once."""
    graph = _Graph(spans, events)
    nodes = sorted((one for one in graph.nodes.values() if graph.owned(one, lead_id, tenant)), key=_first)
    kept = set(map(id, nodes))
    own = [one for one in graph.events if graph.event_owned(one, lead_id, tenant)]
    mine = set(map(id, own))
    tenants = sorted({text(one.attributes, "tenant_key") for one in own} | {_tenant(node) for node in nodes} - {""})

    below: dict[int, list[Item]] = defaultdict(list)
    roots: list[Item] = []
    placed: set[int] = set()
    for node in nodes:
        if len(own) < len(graph.events):
            node.ends = [one for one in node.ends if id(one) in mine]
            node.events = [one for one in node.events if id(one) in mine]
        placed.update(map(id, node.ends), map(id, node.events))
        if node.start is not None:
            placed.add(id(node.start))
    parents = {id(node): graph.parent_within(node, kept) for node in nodes}
    _break_circles(nodes, parents)
    closes = _later_answers(nodes)
    for node in nodes:
        if parents[id(node)] is None and not node.word:
            delivery = closes(node.events)
            if delivery is not None and not _beneath(delivery, node, parents):
                parents[id(node)] = delivery
    for node in nodes:
        parent = parents[id(node)]
        (roots if parent is None else below[id(parent)]).append(node)
        if parent is None and node.parent_span_id and not graph.knows(node) and not _remote(node):
            node.marks.append("parent_missing")
    for event in own:
        if id(event) in placed:
            continue
        on = graph.node_of(event)
        above = on if on is None or id(on) in kept else graph.parent_within(on, kept)
        above = above or closes([event])
        (roots if above is None else below[id(above)]).append(event)
    for node in nodes:
        start = [node.start] if node.start is not None and id(node.start) in mine else []
        rest = [*node.ends, *node.events, *below[id(node)]]
        node.items = [*start, *graph.ordered(rest)]
    homes = {id(event): node for node in nodes for event in (*node.ends, *node.events)}
    return Forest(graph.ordered(roots), nodes, own, tenants, homes)


def _first(node: Node) -> tuple[int, str, str]:
    return node.time_ns, node.trace_id, node.span_id


def _beneath(node: Node, top: Node, parents: Mapping[int, Node | None]) -> bool:
    here: Node | None = node
    while here is not None and here is not top:
        here = parents[id(here)]
    return here is top


def _later_answers(nodes: Iterable[Node]) -> Callable[[Iterable[EventRecord]], Node | None]:
    """Finds the delivery that an answer given later, in no word and maybe in another process, belongs to: by its id."""
    begun = sorted((one for one in nodes if one.word == "delivery" and one.start), key=_first)
    known = {text(one.start.attributes, "delivery.id"): one for one in reversed(begun) if one.start}

    def find(events: Iterable[EventRecord]) -> Node | None:
        named = (text(one.attributes, "delivery.id") for one in events)
        return next((known[one] for one in named if one and one in known), None)

    return find


class _Graph:
    """All records met, whoever they belong to."""

    def __init__(self, spans: Iterable[SpanRecord], events: Iterable[EventRecord]) -> None:
        self.nodes: dict[tuple[str, str], Node] = {}
        in_order = _in_sequence(events)
        self.events = [event for _, event in in_order]
        self._places = {id(event): (key[1], key[2], place) for place, (key, event) in enumerate(in_order)}
        """Of each event its process, its number there, and its place in the order of all."""
        self._named: dict[object, frozenset[str]] = {}
        for span in spans:
            node = self._node(span.trace_id, span.span_id)
            node.span, node.word = span, text(span.attributes, "leadtrace.word")
        self._attach_events()
        self._by_span_id: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes.values():
            self._by_span_id[node.span_id].append(node)
        for node in self.nodes.values():
            node.above = self.nodes.get((node.trace_id, node.parent_span_id))
        self._run_leads = self._leads_of_runs()
        self._owners: dict[int, frozenset[str]] = {}

    def _node(self, trace_id: str, span_id: str) -> Node:
        found = self.nodes.get((trace_id, span_id))
        if found is None:
            found = self.nodes[trace_id, span_id] = Node(trace_id, span_id)
        return found

    def _attach_events(self) -> None:
        """Start events first, because they say which word a node is; then its ends; what remains lies on it."""
        rest: list[EventRecord] = []
        for event in self.events:
            if event.span_id and is_start(event):
                node = self._node(event.trace_id, event.span_id)
                if node.start is None and node.word in ("", event.attributes["leadtrace.word"]):
                    node.start, node.word = event, str(event.attributes["leadtrace.word"])
                    continue
            rest.append(event)
        for event in rest:
            word = text(event.attributes, "leadtrace.word")
            known = self.nodes.get((event.trace_id, event.span_id))
            if known is None and word and event.span_id and is_end_of(event, word):
                known = self._node(event.trace_id, event.span_id)
                known.word = word
            if known is None:
                continue
            if known.word and is_end_of(event, known.word):
                known.ends.append(event)
            else:
                known.events.append(event)
        for node in self.nodes.values():
            if len(node.ends) > 1:
                # What a recovery wrote gives way to what the process itself said, however late that arrived.
                node.ends.sort(
                    key=lambda one: (
                        one.name == "flow.interrupted" or one.attributes.get("delivery.reason") == "interrupted"
                    )
                )

    def _leads_of_runs(self) -> dict[str, frozenset[str]]:
        """A run's leads: those that its flow names itself, else the only one that any record of it names."""
        flow: dict[str, set[str]] = defaultdict(set)
        anyone: dict[str, set[str]] = defaultdict(set)
        records: list[SpanRecord | EventRecord] = [node.span for node in self.nodes.values() if node.span]
        told: set[tuple[str, frozenset[str], bool]] = set()
        for record in (*records, *self.events):
            if run := text(record.attributes, "leadtrace.run_id"):
                told.add((run, self._leads_on(record), record.attributes.get("leadtrace.word") == "flow"))
        for run, leads, by_flow in told:
            if leads:
                anyone[run] |= leads
            if by_flow:
                flow[run] |= leads
        return {run: frozenset(flow[run] or (leads if len(leads) == 1 else ())) for run, leads in anyone.items()}

    def _leads_on(self, record: SpanRecord | EventRecord) -> frozenset[str]:
        """The leads that a record names itself; one set for all that name the same one."""
        told = record.attributes
        if "leadtrace.lead_ids" in told:
            return frozenset(lead_ids_of(told))
        lead = told.get("lead.id")
        if not isinstance(lead, str):
            return frozenset(lead_ids_of(told))
        if (found := self._named.get(lead)) is None:
            found = self._named[lead] = frozenset(lead_ids_of(told))
        return found

    def _own(self, node: Node) -> frozenset[str]:
        found = _NOBODY
        for record in (node.span, node.start):
            if record is not None:
                found |= self._leads_on(record)
        if not found:  # one that learned its lead while it was open says so at its end
            for end in node.ends:
                found |= self._leads_on(end)
        return found or self._run_leads.get(node.run_id, _NOBODY)

    def owners(self, node: Node) -> frozenset[str]:
        """The leads that a node belongs to: its own, its run's, else its nearest ancestor's."""
        path: list[Node] = []
        found = _NOBODY
        seen: set[int] = set()
        here: Node | None = node
        while here is not None and id(here) not in seen:
            known = self._owners.get(id(here))
            found = known if known is not None else self._own(here)
            if known is not None or found:
                break
            seen.add(id(here))
            path.append(here)
            here = here.above
        for one in path:
            self._owners[id(one)] = found
        return found

    def owned(self, node: Node, lead_id: str, tenant: str | None) -> bool:
        return lead_id in self.owners(node) and (tenant is None or self._tenant(node) == tenant)

    def _tenant(self, node: Node) -> str:
        seen: set[int] = set()
        here: Node | None = node
        while here is not None and id(here) not in seen:
            if found := _tenant(here):
                return found
            seen.add(id(here))
            here = here.above
        return ""

    def event_owned(self, event: EventRecord, lead_id: str, tenant: str | None) -> bool:
        node = self.node_of(event)
        leads = self._leads_on(event) or self._run_leads.get(text(event.attributes, "leadtrace.run_id"), _NOBODY)
        if not leads and node is not None:
            leads = self.owners(node)
        if lead_id not in leads:
            return False
        return tenant is None or tenant == (
            text(event.attributes, "tenant_key") or (self._tenant(node) if node else "")
        )

    def ordered(self, items: list[Item]) -> list[Item]:
        """Merge of each process's own sequence, by time; what has no sequence is ordered by time alone.

        A process's own order is never broken, even where its clock went back.
        """
        if len(items) < 2:
            return items
        processes: dict[str, list[tuple[tuple[int, int, object, str], int, Item]]] = defaultdict(list)
        for item in items:
            time_ns = item.time_ns
            if isinstance(item, Node):
                boot, counter, _ = self._places[id(item.start)] if item.start is not None else ("", 0, 0)
                processes[boot].append(((counter if boot else time_ns, 0, item.trace_id, item.span_id), time_ns, item))
            else:
                boot, counter, place = self._places[id(item)]
                processes[boot].append(((counter if boot else time_ns, 1, place, ""), time_ns, item))
        for queue in processes.values():
            queue.sort(key=itemgetter(0))
        if len(processes) == 1:
            return [item for queue in processes.values() for _, _, item in queue]
        heads = [(queue[0][1], boot, 0) for boot, queue in processes.items()]
        heapq.heapify(heads)
        found: list[Item] = []
        while heads:
            _, boot, at = heapq.heappop(heads)
            queue = processes[boot]
            found.append(queue[at][2])
            if at + 1 < len(queue):
                heapq.heappush(heads, (queue[at + 1][1], boot, at + 1))
        return found

    def node_of(self, event: EventRecord) -> Node | None:
        return self.nodes.get((event.trace_id, event.span_id)) if event.span_id else None

    def knows(self, node: Node) -> bool:
        """Whether the parent that a node names was met at all."""
        return bool(self._by_span_id.get(node.parent_span_id))

    def parent_within(self, node: Node, kept: set[int]) -> Node | None:
        """The nearest node above that is kept: by the trace, across traces by the start event, else by a link."""
        if node.above is not None and id(node.above) in kept:
            return None if node.above is node else node.above
        seen: set[int] = {id(node)}
        here = self._cause(node, kept)
        while here is not None and id(here) not in seen:
            if id(here) in kept:
                return here
            seen.add(id(here))
            here = self._cause(here, kept)
        return None

    def _cause(self, node: Node, kept: set[int]) -> Node | None:
        if node.above is not None:
            return node.above
        named = self._by_span_id.get(node.parent_span_id, []) if node.parent_span_id else []
        for other in sorted(named, key=lambda one: one.trace_id):
            if other is not node and id(other) in kept:
                return other
        for link in node.span.links if node.span else ():
            linked = self.nodes.get((link.trace_id, link.span_id))
            if linked is not None and linked is not node and id(linked) in kept:
                return linked
        return None


def _tenant(node: Node) -> str:
    for record in (node.span, node.start, node.end):
        if record is not None and (found := text(record.attributes, "tenant_key")):
            return found
    return ""


def _remote(node: Node) -> bool:
    """Whether the span says that its parent is in another process; such a one need not record for us."""
    return node.span is not None and node.span.flags & 0x300 == 0x300


def _break_circles(nodes: list[Node], parents: dict[int, Node | None]) -> None:
    """Damaged ids can make two spans each other's ancestors: the earliest of a circle becomes a root."""
    done: set[int] = set()
    for node in nodes:
        path: dict[int, Node] = {}
        here: Node | None = node
        while here is not None and id(here) not in done and id(here) not in path:
            path[id(here)] = here
            here = parents[id(here)]
        if here is not None and id(here) in path:
            members = list(path.values())
            circle = members[members.index(here) :]
            first = min(circle, key=_first)
            parents[id(first)] = None
            first.marks.append("parent_circle")
        done.update(path)


_Key: TypeAlias = "tuple[int, str, int, str, str, str, int]"


def _in_sequence(events: Iterable[EventRecord]) -> list[tuple[_Key, EventRecord]]:
    """By time, then by their process's own sequence, then by what they say: the same order however they arrived."""
    found = sorted(((_key(one), one) for one in events), key=itemgetter(0))
    if any(one[0] == other[0] for one, other in pairwise(found)):  # what they say is long to write out
        found.sort(key=lambda one: (one[0], repr(sorted(one[1].attributes.items()))))
    return found


def _key(event: EventRecord) -> _Key:
    boot, counter = sequence_of(event) or ("", 0)
    return event.time_ns, boot, counter, event.name, event.trace_id, event.span_id, event.index
