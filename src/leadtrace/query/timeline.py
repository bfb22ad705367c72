"""One lead's timeline: `timeline(source, lead_id)` asks a source, `build(found, lead_id)` needs records alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leadtrace.query.alerts_over import lay_alerts_over
from leadtrace.query.answers import Delivery, bulk, deliveries, ended_as, failed, finished
from leadtrace.query.attempts import attempts_among
from leadtrace.query.entries import event_entry
from leadtrace.query.hindsight import Hindsight
from leadtrace.query.model import Entry, Mark, Outline, Run, Status, Timeline
from leadtrace.query.runs import lead_money, recounted_runs, runs_of
from leadtrace.query.surroundings import Surroundings
from leadtrace.query.tree import Forest, Item, Node, grow
from leadtrace.query.unite import unite_events, unite_spans
from leadtrace.query.vocabulary import duration_of, sequence_of, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from leadtrace.otlp.records import EventRecord, Value
    from leadtrace.store.interface import Found, Source

__all__ = ["build", "outline", "timeline"]

_SPAN_KINDS = ("internal", "internal", "server", "client", "producer", "consumer")
_MARKED = {
    "bad_id": "an id has the wrong length",
    "end_before_start": "it ended before it began",
    "time_in_future": "its time was in the future when it arrived",
    "parent_missing": "what it lay under was not recorded",
    "parent_circle": "it and what it lies under name each other",
    "conflict": "two different spans came under its ids",
}


def timeline(
    source: Source,
    lead_id: str,
    tenant: str | None = None,
    now_ns: int | None = None,
    look_around: Callable[[Found], Surroundings] | None = None,
) -> Timeline:
    """The lead's timeline as that source can tell it; without entries where the source does not know the lead.

    `tenant` None is any tenant. `look_around` tells what other leads say that these records cannot. Raises `SourceError`
    where the source cannot be read.
    """
    found = source.lead(lead_id, tenant)
    around = look_around(found) if look_around is not None and (found.spans or found.events) else None
    story = build(found, lead_id, tenant, now_ns, around)
    holds = source.holds
    if story.entries and holds.note and not (holds.logs and holds.unfinished and holds.exhaustive):
        story.incomplete.append(holds.note)
    lay_alerts_over(story, source)
    return story


def build(
    found: Found,
    lead_id: str,
    tenant: str | None = None,
    now_ns: int | None = None,
    around: Surroundings | None = None,
) -> Timeline:
    """The lead's timeline out of records that hold it and more, in whatever order and however often they came.

    `now_ns` is what the text counts open work up to; without it the text does not say how long that has been open. `around`
    is what other leads tell: without it nothing is said of how usual a lead is.
    """
    forest, conflicts = _forest(found, lead_id, tenant)
    several = deliveries(forest)
    runs, marks = recounted_runs(forest, several)
    telling = _Telling(forest, set(conflicts), around or Surroundings())
    entries = telling.entries()
    marks += telling.marks + _delivery_marks(several) + _handover_marks(forest)
    if tenant is None and len(forest.tenants) > 1:
        marks.append(Mark("several_tenants", f"records of several tenants name this lead: {', '.join(forest.tenants)}"))
    return Timeline(
        lead_id,
        tenant,
        entries,
        runs,
        state=_state(forest.events),
        outcome=_outcome(runs),
        money=lead_money(forest, several),
        marks=_each_once(marks),
        incomplete=list(dict.fromkeys(found.incomplete)),
        now_ns=now_ns or 0,
    )


def outline(found: Found, lead_id: str, tenant: str | None = None) -> Outline:
    """Of the lead's timeline what reckoning with the times and the money of its runs needs: for about half the work."""
    forest, _ = _forest(found, lead_id, tenant)
    return Outline(
        lead_id,
        list(_spans_and_ends(forest)),
        runs_of(forest, deliveries(forest)),
        list(dict.fromkeys(found.incomplete)),
    )


def _forest(found: Found, lead_id: str, tenant: str | None) -> tuple[Forest, list[tuple[str, str]]]:
    """The lead's records as a tree, and the ids under which two spans differ."""
    spans, conflicts = unite_spans(found.spans)
    on_spans = [event for span in spans for event in span.events]  # as decoded; a store has taken them out already
    return grow(spans, unite_events([*found.events, *on_spans]), lead_id, tenant), conflicts


def _spans_and_ends(forest: Forest) -> Iterator[Entry]:
    pending: list[tuple[Item, Node | None, int]] = [(item, None, 0) for item in reversed(forest.roots)]
    while pending:
        item, above, depth = pending.pop()
        if isinstance(item, Node):
            yield _span_entry(item, depth)
            pending.extend((one, item, depth + 1) for one in reversed(item.items))
        elif above is not None and above.ended_by(item):
            yield _event_entry(item, above, depth)


def _each_once(marks: Iterable[Mark]) -> list[Mark]:
    return sorted(set(marks), key=lambda one: (one.code, one.text, one.span_id, one.uid))


def _state(events: Iterable[EventRecord]) -> str:
    changes = [one for one in events if one.name == "lead.state.changed"]
    last = max(changes, key=lambda one: (one.time_ns, sequence_of(one) or ("", 0)), default=None)
    return text(last.attributes, "lead.state.to") if last else ""


def _outcome(runs: list[Run]) -> str:
    known = {one.run_id for one in runs}
    whole = [one for one in runs if one.parent_run_id not in known]
    return whole[-1].outcome if whole else ""


def _delivery_marks(several: Iterable[Delivery]) -> list[Mark]:
    found = []
    for one in several:
        to = f"the delivery to {one.buyer}" if one.buyer else "a delivery"
        if one.answer == "pending":
            reference = text(one.fields, "delivery.reference")
            found.append(
                Mark("pending", f"{to} waits for its answer" + (f" (reference {reference})" if reference else ""))
            )
        elif one.closed_again:
            told = ", ".join(answer for _, answer, _ in one.answers)
            found.append(Mark("answered_again", f"{to} was answered more than once ({told}); the last one counts"))
    return found


def _handover_marks(forest: Forest) -> list[Mark]:
    taken = {
        text(record.attributes, "leadtrace.handover_id")
        for node in forest.nodes
        if node.word == "resume"
        for record in (node.start, node.span)
        if record is not None
    }
    found: list[Mark] = []
    for node in forest.nodes:
        if node.word != "flow":
            continue
        for record in (node.span, *node.ends):
            ids = record.attributes.get("flow.summary.handed_over") if record is not None else None
            found.extend(
                Mark(
                    "not_taken_up",
                    f"what {_name(node)} handed over ({one!s}) was not taken up by anybody",
                    node.span_id,
                )
                for one in (ids if isinstance(ids, list) else ())
                if str(one) not in taken
            )
    return found


def _name(node: Node) -> str:
    if node.span is not None:
        return node.span.name
    records = [one.attributes for one in (node.start, node.end) if one is not None]
    name = next((found for one in records if (found := text(one, "leadtrace.name"))), "")
    if node.word == "delivery" and not name.startswith("deliver"):
        buyer = next((found for one in records if (found := text(one, "delivery.buyer"))), name)
        return f"deliver to {buyer}" if buyer else "deliver"
    if node.word == "resume" and not name.startswith("resume"):
        return f"resume {name}".strip()
    return name or node.word


@dataclass(slots=True)
class _Telling:
    """Walks the forest from cause to effect and writes the entries."""

    forest: Forest
    conflicts: set[tuple[str, str]]
    around: Surroundings
    marks: list[Mark] = field(default_factory=list)
    parents: dict[int, Node] = field(default_factory=dict)

    def entries(self) -> list[Entry]:
        found: list[Entry] = []
        for node in self.forest.nodes:
            self.parents.update((id(item), node) for item in node.items)
        hindsight = Hindsight(self.forest.events, self.parents, self.around)
        pending: list[tuple[Item, int]] = [(item, 0) for item in reversed(self.forest.roots)]
        attempts = attempts_among(self.forest.roots)
        while pending:
            item, depth = pending.pop()
            if isinstance(item, Node):
                attempts |= attempts_among(item.items)
                entry = self._span(item, depth)
                entry.attempt = attempts.get(id(item))
                found.append(entry)
                pending.extend((one, depth + 1) for one in reversed(item.items))
            else:
                found.append(self._event(item, depth, hindsight))
        self._missing_spans()
        return found

    def _missing_spans(self) -> None:
        """Words that ended without a span in a trace of which other spans came; one that was sampled out has none."""
        arrived = {one.trace_id for one in self.forest.nodes if one.span is not None}
        silent = [one for one in self.forest.nodes if one.span is None and one.ends and one.trace_id in arrived]
        if silent:
            told = f"the spans of {len(silent)} words" if len(silent) > 1 else f"the span of {_name(silent[0])}"
            self.marks.append(Mark("no_span", f"{told} did not arrive; told from start and end events alone"))

    def _span(self, node: Node, depth: int) -> Entry:
        span = node.span
        entry = _span_entry(node, depth)
        marks = [*node.marks, *(span.marks if span else ())]
        if (node.trace_id, node.span_id) in self.conflicts:
            marks.append("conflict")
        if entry.status == "unfinished":
            marks.append("unfinished")
            self.marks.append(Mark("unfinished", f"{entry.name} began and has not ended", node.span_id))
        for mark in marks:
            if mark in _MARKED:
                self.marks.append(Mark(mark, f"{entry.name}: {_MARKED[mark]}", node.span_id))
        if span is not None and any(span.dropped):
            attributes, events, links = span.dropped
            told = (
                f"{entry.name}: the sender's limits dropped {attributes} attributes, {events} events and {links} links"
            )
            self.marks.append(Mark("dropped", told, node.span_id))
        if len(node.ends) > 1 and not bulk(node):
            others = ", ".join(one.name for one in node.ends[1:])
            self.marks.append(
                Mark(
                    "ended_twice", f"{entry.name} ended with {node.ends[0].name}, and also told {others}", node.span_id
                )
            )
        self._skew(node, entry)
        if span is None:
            marks.append("no_span")
        entry.marks = tuple(dict.fromkeys(marks))
        return entry

    def _skew(self, node: Node, entry: Entry) -> None:
        """A call into another service that begins before its cause shows how far the two clocks differ at least."""
        parent = self.parents.get(id(node))
        if parent is None or node.word == "resume" or parent.service == node.service or node.time_ns >= parent.time_ns:
            return
        skew_ms = (parent.time_ns - node.time_ns) / 1e6
        inner, outer = _duration(node), _duration(parent)
        if inner is not None and outer is not None and inner <= outer and finished(parent):
            skew_ms += (outer - inner) / 2  # the way there and the way back are taken to be equally long
        entry.reader["leadtrace.clock_skew_ms"] = round(skew_ms, 3)
        self.marks.append(
            Mark(
                "clock_skew",
                f"{entry.name} of {node.service or 'another process'} begins before its cause: its clock is about "
                f"{skew_ms:.3g} ms behind that of {parent.service or 'the caller'}",
                node.span_id,
            )
        )

    def _event(self, event: EventRecord, depth: int, hindsight: Hindsight) -> Entry:
        entry = _event_entry(event, self.parents.get(id(event)), depth)
        for mark in entry.marks:
            self.marks.append(
                Mark(mark, f"{event.name}: {_MARKED.get(mark, mark.replace('_', ' '))}", event.span_id, event.uid)
            )
        entry.reader.update(hindsight.of(event))
        return entry


def _span_entry(node: Node, depth: int) -> Entry:
    span = node.span
    return Entry(
        "span",
        _name(node),
        _SPAN_KINDS[span.kind]
        if span is not None and 0 <= span.kind < 6
        else "client"
        if node.word == "attempt"
        else "internal",
        node.service,
        node.time_ns,
        depth,
        duration_ms=_duration(node),
        status=_status(node) if finished(node) else "unfinished",
        trace_id=node.trace_id,
        span_id=node.span_id,
        parent_span_id=node.parent_span_id,
        attributes=_attributes(node),
        word=node.word,
        outcome=ended_as(node),
        run_id=node.run_id,
        status_message=span.status_message if span else "",
    )


def _event_entry(event: EventRecord, above: Node | None, depth: int) -> Entry:
    entry = event_entry(event)
    entry.depth = depth
    if above is None:
        return entry
    if not entry.parent_span_id and above.span_id == event.span_id:
        entry.parent_span_id = above.parent_span_id
    if event is above.start:
        entry.role = "start"
    elif above.ended_by(event):
        entry.role = "end"
    return entry


def _status(node: Node) -> Status:
    if node.span is not None and node.span.end_ns:
        return node.span.status
    return "error" if failed(node) else "unset"


def _duration(node: Node) -> float | None:
    span = node.span
    if span is not None and span.end_ns:
        return (span.end_ns - span.start_ns) / 1e6
    if node.end is None:
        return None
    told = duration_of(node.end)
    return told if told is not None else (node.end.time_ns - node.time_ns) / 1e6


_OF_EVENTS = ("log.record.uid", "leadtrace.parent_span_id")


def _attributes(node: Node) -> Mapping[str, Value]:
    """The span's; of a word without one, what its start and end events say, as the span would have."""
    if node.span is not None:
        return node.span.attributes
    found: dict[str, Value] = {}
    for event in (node.start, node.end):
        found.update(event.attributes if event is not None else {})
    for attribute in _OF_EVENTS:
        found.pop(attribute, None)
    return found
