"""What can be said of one lead so that leads can be compared: order, values, timing, retries and money."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from leadtrace.analysis.passages import pieces_of
from leadtrace.query.vocabulary import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leadtrace.analysis.passages import Piece
    from leadtrace.otlp.records import EventRecord, SpanRecord
    from leadtrace.query.model import Entry, Timeline
    from leadtrace.store.interface import Found

__all__ = ["Aspect", "Key", "LeadFacts", "facts_of"]

Aspect: TypeAlias = Literal["order", "values", "timing", "retries", "money"]


class Key(NamedTuple):
    """What a fact is about. Facts about a word are compared among leads in which it ran."""

    aspect: Aspect
    subject: str
    """The word's name; '' of the lead as a whole."""
    attribute: str


@dataclass(slots=True)
class LeadFacts:
    lead_id: str
    said: dict[Key, set[str]] = field(default_factory=lambda: defaultdict(set))
    """What has one value out of several, or a few of them."""
    measured: dict[Key, float] = field(default_factory=dict)
    subjects: set[str] = field(default_factory=set)
    """The words that ran."""
    sequence: tuple[str, ...] = ()
    """The words of the lead's runs in the order of their begin, without tries and other software's spans."""
    unfinished: bool = False
    """Some word has no end."""
    shifted: bool = False
    """Some word was moved, because of a clock that is off."""

    def say(self, aspect: Aspect, subject: str, attribute: str, value: object) -> None:
        told = ("yes" if value else "no") if isinstance(value, bool) else str(value)
        if told:
            self.said[Key(aspect, subject, attribute)].add(told[:_LONGEST])

    def measure(self, aspect: Aspect, subject: str, attribute: str, value: float) -> None:
        if math.isfinite(value):
            key = Key(aspect, subject, attribute)
            self.measured[key] = self.measured.get(key, 0.0) + value


_LONGEST = 80
_MOST_WORDS = 2_000
"""Words of one lead that are looked at; a lead with more is no lead that one compares."""


def facts_of(timeline: Timeline, found: Found | None = None) -> LeadFacts:
    """The lead's facts. `found` are its records, which know processes that the timeline does not."""
    facts = LeadFacts(timeline.lead_id)
    words: list[Piece] = []
    for root in pieces_of(timeline):
        words += [one for one in root.walk() if one.word][: _MOST_WORDS - len(words)]
    words.sort(key=lambda one: (one.began_ns, -one.length_ns, one.name))
    told = [one for one in words if one.word not in ("attempt", "resume")]
    facts.sequence = tuple(one.name for one in told)
    facts.subjects = {one.name for one in words}
    facts.unfinished = any(not one.finished for one in words)
    facts.shifted = any(one.shifted_ns for one in words)
    _whole(facts, timeline)
    if found is not None:
        _processes(facts, found)
    for piece in words:
        _word(facts, piece)
    for before, after in pairwise(told):
        facts.say("order", before.name, "followed by", after.name)
    for event in timeline.events:
        _event(facts, event)
    return facts


def _whole(facts: LeadFacts, timeline: Timeline) -> None:
    facts.say("values", "", "outcome", timeline.outcome)
    facts.say("values", "", "state", timeline.state)
    facts.measure("order", "", "runs", len(timeline.runs))
    for run in timeline.runs:
        facts.say("values", "", "flow", run.name)
        if run.version:
            facts.say("values", "", "flow version", f"{run.name} v{run.version}")
        for service in run.services:
            facts.say("values", "", "service", service)
        for buyer in run.delivered_to:
            facts.say("values", "", "delivered to", buyer)
        if run.duration_ms is not None:
            facts.measure("timing", "", "duration of its runs in ms", run.duration_ms)
    for money in timeline.money:
        facts.measure("money", "", f"cost in {money.currency}", float(money.cost))
        facts.measure("money", "", f"revenue in {money.currency}", float(money.revenue))
        facts.measure("money", "", f"returned in {money.currency}", float(money.returned))
        facts.measure("money", "", f"margin in {money.currency}", float(money.margin))


def _processes(facts: LeadFacts, found: Found) -> None:
    records: list[SpanRecord | EventRecord] = [*found.spans, *found.events]
    for record in records:
        resource = record.resource.attributes
        if host := text(resource, "host.name", "host.id"):
            facts.say("values", "", "host", host)
        if version := text(resource, "service.version"):
            facts.say("values", "", "service version", f"{record.resource.service} {version}")


def _word(facts: LeadFacts, piece: Piece) -> None:
    name = piece.name
    if piece.finished:
        facts.measure("timing", name, "duration in ms", piece.duration_ms)
    facts.say("order", "", "ran", name)
    facts.say("order", name, "ended as", piece.outcome or "unfinished")
    if piece.cost:
        facts.measure("money", name, f"cost in {piece.currency}", float(piece.cost))
    tries = sum(one.word == "attempt" for one in piece.below)
    if tries or piece.word == "delivery":
        facts.measure("retries", name, "tries", tries)
    waited = sum(one.attempt.waited_ms or 0.0 for one in piece.below if one.attempt is not None)
    if waited:
        facts.measure("retries", name, "wait between tries in ms", waited)
    for attribute, value in _telling(piece.attributes):
        if isinstance(value, (bool, str)):
            facts.say("values", name, attribute, value)
        else:
            facts.measured[Key("values", name, attribute)] = value


def _event(facts: LeadFacts, event: Entry) -> None:
    if event.role or event.name in ("lead.state.changed", "exception"):
        return
    if event.name == "error.occurred":
        facts.measure("retries", "", "errors", 1)
        for attribute in (
            "error.type",
            "error.category",
            "error.subcategory",
            "error.fingerprint",
            "error.context.step",
        ):
            facts.say("values", "", attribute, text(event.attributes, attribute))
    elif event.name:
        facts.say("order", "", "event", event.name)


def _telling(attributes: Mapping[str, object]) -> Iterator[tuple[str, str | bool | float]]:
    """What may tell leads apart: not ids, texts, times, money and sums, which are compared elsewhere or never alike."""
    for attribute, value in attributes.items():
        last = attribute.rpartition(".")[2]
        if attribute.startswith(_NOT_TELLING) or last.endswith(_NOT_TELLING_ENDS) or last in _NOT_TELLING_NAMES:
            continue
        if isinstance(value, (bool, str)):
            yield attribute, value
        elif isinstance(value, (int, float)) and math.isfinite(value):
            yield attribute, float(value)
        elif isinstance(value, list):
            yield from ((attribute, one) for one in value[:20] if isinstance(one, str))


_NOT_TELLING = (
    "leadtrace.",
    "lead.id",
    "log.record",
    "tenant_key",
    "flow.summary.",
    "flow.performance.",
    "flow.journey.total",
    "flow.journey.margin",
    "flow.journey.delivered_to",
    "timestamp",
    "url.",
    "thread.",
    "code.",
)
_NOT_TELLING_ENDS = ("_ms", "_id", "_ns", "_bytes", "message", "stacktrace")
_NOT_TELLING_NAMES = frozenset(
    {
        "attempt",
        "attempts",
        "buyer",
        "cost",
        "cost_avoided",
        "currency",
        "fingerprint",
        "id",
        "margin",
        "max_attempts",
        "name",
        "position",
        "price",
        "reference",
        "revenue",
        "response_size",
        "version",
    }
)
