"""What may be wrong with recorded data, judged on one lead's timeline: a function per question, each giving findings."""

from __future__ import annotations

import datetime
import math
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from leadtrace.query.money import amount
from leadtrace.query.printable import duration, moment
from leadtrace.query.vocabulary import FLOW_ENDS, finite, number, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from leadtrace.query.model import Entry, Run, Timeline

__all__ = ["RULES", "Finding", "findings_of", "is_undeclared", "skew_of", "undeclared_text"]

RULES: Mapping[str, str] = {
    "child_outside_parent": "work that began before, or ended after, what it lies under in the same process",
    "flow_after_enhancement": "a flow that, by its own duration, began after one of its enhancements had ended",
    "seconds_in_ms": "a field for milliseconds that holds seconds",
    "moment_in_ms": "a field for a duration that holds a point in time",
    "negative_duration": "a duration below zero",
    "duration_differs": "a duration that is not the time between begin and end",
    "orphan_start": "a beginning without an end, although its run is over or it is more than an hour old",
    "orphan_end": "an end whose beginning is not recorded, although that of others of its process is",
    "step_id_two_meanings": "one enhancement.step_id under two names",
    "totals_differ": "sums and counts that do not add up",
    "clock_skew": "clocks of two hosts that differ, by calls that begin before their cause or after its end",
    "undeclared_event": "an event that the catalogue does not have",
    "undeclared_field": "a field that its event does not have",
    "wrong_field": "a field of another type than declared, a value outside its list, or a required one that is missing",
    "wrong_kind": "an event of another kind than the catalogue says",
    "timestamp_differs": "a timestamp among the fields that is not the record's own time",
    "ended_twice": "a word or a run with two ends",
    "bad_record": "ids of the wrong length, two records under the same ids, times that cannot be",
}
"""Every rule, with what it finds."""

_TOLERANCE_NS = 1_000_000
"""How far a child may stick out of its parent: its own begin and end are taken by another reading of the clock."""
_OPEN_FOR_NS = 3_600_000_000_000
_TIMESTAMP_OFF_S = 1.0


@dataclass(slots=True, frozen=True)
class Finding:
    """One thing found, on one record."""

    rule: str
    what: str
    """The word's or event's name, or what else it is about: findings of the same rule and `what` are one line."""
    text: str
    lead_id: str = ""
    service: str = ""
    trace_id: str = ""
    span_id: str = ""
    uid: str = ""
    measure: float = 0.0
    """How bad it is, where that can be said in a number: of several the worst is shown."""


@dataclass(slots=True)
class _Story:
    """A timeline with what rules ask of it more than once."""

    timeline: Timeline
    now_ns: int
    parents: dict[int, Entry] = field(default_factory=dict)
    """The span above each entry, by the entry's identity."""
    ends: dict[int, list[Entry]] = field(default_factory=dict)
    """The end events of each span."""

    def __post_init__(self) -> None:
        path: list[Entry] = []
        for entry in self.timeline.entries:
            while path and path[-1].depth >= entry.depth:
                path.pop()
            if path:
                self.parents[id(entry)] = path[-1]
                if entry.role == "end":
                    self.ends.setdefault(id(path[-1]), []).append(entry)
            if entry.type == "span":
                path.append(entry)

    @property
    def spans(self) -> Iterator[Entry]:
        return (one for one in self.timeline.entries if one.type == "span")

    @property
    def runs(self) -> dict[str, Run]:
        return {one.run_id: one for one in self.timeline.runs}

    def finding(self, rule: str, entry: Entry | None, what: str, told: str, measure: float = 0.0) -> Finding:
        lead = self.timeline.lead_id
        if entry is None:
            return Finding(rule, what, told, lead, measure=measure)
        return Finding(rule, what, told, lead, entry.service, entry.trace_id, entry.span_id, entry.uid, measure)


def findings_of(timeline: Timeline, now_ns: int = 0) -> Iterator[Finding]:
    """What is wrong with one lead's records, as far as these alone can tell. `now_ns` 0: the time of the last of them."""
    story = _Story(timeline, now_ns or timeline.last_ns)
    for rule in _ON_A_TIMELINE:
        yield from rule(story)


def _outside_parent(story: _Story) -> Iterator[Finding]:
    for entry in story.spans:
        parent = story.parents.get(id(entry))
        if parent is None or parent.service != entry.service or entry.word == "resume" or entry.kind == "consumer":
            continue
        if entry.trace_id != parent.trace_id or not entry.time_ns or not parent.time_ns:
            continue
        early = parent.time_ns - entry.time_ns
        if early > _TOLERANCE_NS:
            told = f"{entry.name} began {duration(early / 1e6)} before {parent.name}, which it lies under"
            yield story.finding("child_outside_parent", entry, entry.name, told, early / 1e6)
            continue
        ended, outer = _ended(entry), _ended(parent)
        if ended and outer and ended - outer > _TOLERANCE_NS:
            late = (ended - outer) / 1e6
            told = f"{entry.name} ended {duration(late)} after {parent.name}, which it lies under"
            yield story.finding("child_outside_parent", entry, entry.name, told, late)


def _ended(entry: Entry) -> int:
    return entry.time_ns + round(entry.duration_ms * 1e6) if entry.duration_ms is not None else 0


def _flow_after_enhancement(story: _Story) -> Iterator[Finding]:
    """By the end events alone: where a flow's start is recorded, what lies outside it is found as that."""
    enhanced = [one for one in story.timeline.events if one.name in ("enhancement.success", "enhancement.failed")]
    ended = [one for one in story.timeline.events if one.name in FLOW_ENDS]
    for end in ended:
        total = finite(end.attributes, "flow.summary.total_duration_ms")
        if total is None:
            continue
        began = end.time_ns - round(total * 1e6)
        tolerance = max(_TOLERANCE_NS, round(total * 1e4))
        # Without runs, what ended before an earlier flow did is that one's.
        earlier = max((one.time_ns for one in ended if one.time_ns < end.time_ns and not end.run_id), default=0)
        for one in enhanced:
            if one.run_id == end.run_id and earlier < one.time_ns < began - tolerance:
                name = text(end.attributes, "flow.name", "leadtrace.name") or end.name
                told = (
                    f"{name} took {duration(total)} by its own word, so it began at {moment(began)}: "
                    f"{duration((began - one.time_ns) / 1e6)} after its enhancement "
                    f"{text(one.attributes, 'enhancement.name', 'leadtrace.name') or one.name} had ended"
                )
                yield story.finding("flow_after_enhancement", end, name, told, (began - one.time_ns) / 1e6)


def _milliseconds(story: _Story) -> Iterator[Finding]:
    for entry in story.timeline.entries:
        if entry.type == "span" and entry.word and id(entry) in story.ends:
            continue  # what its end event says is looked at there
        measured = _measured(story, entry)
        own = _own_duration(entry)
        for attribute, value in entry.attributes.items():
            if not attribute.endswith("_ms") or isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            if not math.isfinite(value):
                continue
            where = f"{attribute} of {entry.name}"
            if value < 0:
                yield story.finding("negative_duration", entry, where, f"{where} is {value:g}", -value)
            elif value > 1e11 and (measured is None or measured < value / 2):
                told = f"{where} is {value:g}: a point in time, not a duration"
                yield story.finding("moment_in_ms", entry, where, told, value)
            elif attribute == own and measured is not None:
                yield from _against_measured(story, entry, attribute, float(value), measured)


def _against_measured(
    story: _Story, entry: Entry, attribute: str, told_ms: float, measured_ms: float
) -> Iterator[Finding]:
    where = f"{attribute} of {entry.name}"
    off = abs(told_ms - measured_ms)
    if measured_ms >= 20 and abs(told_ms * 1000 - measured_ms) <= max(0.1 * measured_ms, 5):
        told = f"{where} is {told_ms:g} and it took {duration(measured_ms)}: seconds, not milliseconds"
        yield story.finding("seconds_in_ms", entry, where, told, measured_ms)
    elif off > max(0.2 * measured_ms, 50):
        told = f"{where} is {told_ms:g}, and {duration(measured_ms)} lie between begin and end"
        yield story.finding("duration_differs", entry, where, told, off)


def _own_duration(entry: Entry) -> str:
    """The field in which this event, or the span of this word, says how long it took itself."""
    namespace = entry.name.rpartition(".")[0] if entry.type == "event" else entry.outcome.rpartition(".")[0]
    for attribute in (f"{namespace}.duration_ms", "duration_ms", "flow.summary.total_duration_ms"):
        if attribute in entry.attributes:
            return attribute
    return ""


def _measured(story: _Story, entry: Entry) -> float | None:
    """How long it took by begin and end as recorded, whatever it says of itself."""
    if entry.type == "span":
        return entry.duration_ms
    if entry.role == "end":
        span = story.parents[id(entry)]
        return (entry.time_ns - span.time_ns) / 1e6 if span.time_ns else None
    if not entry.kind or entry.kind == "start":
        return None
    namespace = entry.name.rpartition(".")[0]
    began = [
        one.time_ns
        for one in story.timeline.events
        if one.kind == "start"
        and one.span_id == entry.span_id
        and one.trace_id == entry.trace_id
        and one.name.rpartition(".")[0] == namespace
        and one.time_ns <= entry.time_ns
    ]
    return (entry.time_ns - max(began)) / 1e6 if began else None


def _orphans(story: _Story) -> Iterator[Finding]:
    runs = story.runs
    for entry in story.spans:
        if entry.status != "unfinished":
            continue
        run = runs.get(entry.run_id)
        if run is not None and run.ended_ns:
            told = f"{entry.name} began and has no end, and its run is over ({run.ended_by or 'what was handed over ended'})"
        elif story.now_ns - entry.time_ns > _OPEN_FOR_NS:
            told = f"{entry.name} began {duration((story.now_ns - entry.time_ns) / 1e6)} ago and has no end"
        else:
            continue
        yield story.finding("orphan_start", entry, entry.name, told)
    open_: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in sorted(story.timeline.events, key=lambda one: one.time_ns):
        if entry.role or not entry.kind:
            continue
        key = (entry.trace_id, entry.span_id, entry.name.rpartition(".")[0])
        if entry.kind == "start":
            open_[key].append(entry)
        elif entry.kind in _CLOSING and open_[key]:
            open_[key].pop(0)
    for started in (one for several in open_.values() for one in several):
        parent = story.parents.get(id(started))
        over = parent is not None and parent.status != "unfinished"
        if over or story.now_ns - started.time_ns > _OPEN_FOR_NS:
            told = f"{started.name} has no event that ends it" + (f" in {parent.name}" if over and parent else "")
            yield story.finding("orphan_start", started, started.name, told)


_CLOSING = frozenset({"success", "failure", "rejection", "attempt_failure", "cancelled", "milestone", "error"})


def _orphan_ends(story: _Story) -> Iterator[Finding]:
    """Words that ended and whose start event is missing, where others of the same process told theirs."""
    started = {(one.trace_id, one.span_id) for one in story.timeline.events if one.role == "start"}
    telling = {one.uid[:16] for one in story.timeline.events if one.role == "start" and len(one.uid) == 28}
    for span in story.spans:
        for end in story.ends.get(id(span), ())[:1]:
            if (span.trace_id, span.span_id) not in started and end.uid[:16] in telling and len(end.uid) == 28:
                told = f"{span.name} ended ({end.name}), and no event of its begin is recorded"
                yield story.finding("orphan_end", end, span.name, told)


def _totals(story: _Story) -> Iterator[Finding]:
    for mark in story.timeline.marks:
        if mark.code == "unattributed":
            yield Finding("totals_differ", "flow", mark.text, story.timeline.lead_id)
    for end in story.timeline.events:
        revenue, cost, margin = (
            amount(end.attributes.get(f"flow.journey.{name}")) for name in ("total_revenue", "total_cost", "margin")
        )
        if revenue is None or cost is None or margin is None:
            continue
        if abs(revenue - cost - margin) > Decimal("0.000001"):
            name = text(end.attributes, "flow.name", "leadtrace.name") or end.name
            told = f"{name} said revenue {revenue}, cost {cost} and margin {margin}: that is {revenue - cost}"
            yield story.finding("totals_differ", end, name, told, float(abs(revenue - cost - margin)))
    for span in story.spans:
        said = finite(span.attributes, "delivery.attempts") if span.word == "delivery" else None
        tries = _tries_beneath(story, span) if said is not None else 0
        if said is not None and tries and said != tries and span.status != "unfinished":
            told = f"{span.name} said {said:g} attempts, and {tries} are recorded"
            yield story.finding("totals_differ", span, span.name, told, abs(said - tries))


def _tries_beneath(story: _Story, span: Entry) -> int:
    return sum(one.word == "attempt" and story.parents.get(id(one)) is span for one in story.spans)


def _declared(story: _Story) -> Iterator[Finding]:
    from leadtrace import catalogue

    for event in story.timeline.events:
        marks = set(event.marks)
        spec = catalogue.get(event.name) if event.name else None
        if spec is None:
            if is_undeclared(event.name, "undeclared" in marks, "leadtrace.kind" in event.attributes):
                yield story.finding("undeclared_event", event, event.name, undeclared_text(event.name))
            continue
        for mark in marks:
            if mark.startswith("undeclared:"):
                attribute = mark.partition(":")[2]
                told = f"{event.name} has no field {attribute}"
                yield story.finding("undeclared_field", event, f"{attribute} of {event.name}", told)
        kind = text(event.attributes, "leadtrace.kind")
        if kind and kind != str(spec.kind):
            told = f"{event.name} says that it is a {kind}; the catalogue has it as {spec.kind}"
            yield story.finding("wrong_kind", event, event.name, told)
        if "leadtrace.kind" in event.attributes:  # others did not promise to keep to the catalogue's types
            for problem in catalogue.problems(spec, event.attributes):
                yield story.finding("wrong_field", event, event.name, problem)


def is_undeclared(name: str, marked: bool, known_kind: bool) -> bool:
    """Whether an event lacks a declaration that it should have: its writer said so, or it is in one of the catalogue's
    namespaces. What says its kind and is not marked was declared where it was written: an event of a user's own."""
    from leadtrace import catalogue

    return bool(name) and catalogue.get(name) is None and (marked or (not known_kind and _ours(name)))


@cache
def undeclared_text(name: str) -> str:
    """The sentence for such an event, with the declared name most like it."""
    from leadtrace import catalogue

    near = catalogue.nearest(name)
    return f"{name} is not in the catalogue" + (f"; the nearest that is: {near}" if near else "")


@cache
def _ours(name: str) -> bool:
    """Whether a foreign event's name is meant to be one of the catalogue's: it is in one of its namespaces."""
    from leadtrace import catalogue

    namespace = name.rpartition(".")[0]
    return bool(namespace) and any(one.rpartition(".")[0] == namespace for one in catalogue.events())


def _timestamps(story: _Story) -> Iterator[Finding]:
    for event in story.timeline.events:
        told = {
            attribute: seconds
            for attribute, value in event.attributes.items()
            if attribute in _TIMESTAMPS and (seconds := _seconds(value)) is not None
        }
        own = event.time_ns / 1e9
        for attribute, seconds in told.items():
            off = abs(seconds - own)
            if event.time_ns and off > _TIMESTAMP_OFF_S:
                sentence = f"{attribute} of {event.name} is {duration(off * 1000)} off the record's own time"
                yield story.finding("timestamp_differs", event, f"{attribute} of {event.name}", sentence, off)
        if len(told) > 1 and (between := max(told.values()) - min(told.values())) > _TIMESTAMP_OFF_S:
            sentence = f"{' and '.join(sorted(told))} of {event.name} lie {duration(between * 1000)} apart"
            yield story.finding("timestamp_differs", event, f"timestamps of {event.name}", sentence, between)


_TIMESTAMPS = ("timestamp", "timestamp.iso", "timestamp.unix", "timestamp.unix_ms", "timestamp_ms")


def _seconds(value: object) -> float | None:
    """A timestamp in whichever form, as seconds since 1970."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        if not math.isfinite(value) or value <= 0:
            return None
        for unit in (
            1e16,
            1e13,
            1e10,
        ):  # nanoseconds, microseconds, milliseconds: as large as no other of them is today
            if value > unit:
                return value / {1e16: 1e9, 1e13: 1e6, 1e10: 1e3}[unit]
        return float(value)
    if isinstance(value, str):
        try:
            found = datetime.datetime.fromisoformat(value)
        except ValueError:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()
    return None


_MARKED = {
    "ended_twice": "ended_twice",
    "run_ended_twice": "ended_twice",
    "conflict": "bad_record",
    "bad_id": "bad_record",
    "end_before_start": "bad_record",
    "time_in_future": "bad_record",
    "parent_circle": "bad_record",
}


def _marked(story: _Story) -> Iterator[Finding]:
    by_span = {one.span_id: one for one in story.spans}
    for mark in story.timeline.marks:
        if rule := _MARKED.get(mark.code):
            entry = by_span.get(mark.span_id)
            yield story.finding(rule, entry, f"{entry.name if entry else 'a run'}: {mark.code}", mark.text)


_ON_A_TIMELINE: tuple[Callable[[_Story], Iterator[Finding]], ...] = (
    _outside_parent,
    _flow_after_enhancement,
    _milliseconds,
    _orphans,
    _orphan_ends,
    _totals,
    _declared,
    _timestamps,
    _marked,
)
"""The rules that one timeline answers by itself."""


def skew_of(timeline: Timeline) -> Iterator[tuple[Entry, Entry, float]]:
    """Each call that begins before its cause or after its end, its caller, and by how many milliseconds its clock is behind
    the caller's at least; ahead where that is negative."""
    story = _Story(timeline, 0)
    for entry in story.spans:
        parent = story.parents.get(id(entry))
        if parent is None:
            continue
        behind = number(entry.reader, "leadtrace.clock_skew_ms")
        if behind is not None:
            yield entry, parent, behind
        elif (ahead := _begins_after_the_end_of(parent, entry)) is not None:
            yield entry, parent, -ahead


def _begins_after_the_end_of(parent: Entry, entry: Entry) -> float | None:
    """By how many milliseconds a call into another service is to be moved so that it lies in the middle of its caller; None
    where it may have begun so late: what goes on by itself, and what begins while its caller runs."""
    if parent.service == entry.service or entry.word == "resume" or entry.kind == "consumer" or not entry.time_ns:
        return None
    inner, outer = entry.duration_ms, parent.duration_ms
    if inner is None or outer is None or inner > outer or entry.time_ns <= parent.time_ns + outer * 1e6:
        return None
    return (entry.time_ns - parent.time_ns) / 1e6 - (outer - inner) / 2
