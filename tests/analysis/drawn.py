"""Timelines drawn by hand: words with their begin and end in milliseconds, one inside the other, as records and read back.

found = records(word("flow", "Sale", 0, 1200, word("step", "routing", 600, 650)))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leadtrace.analysis.passages import Passage, passages_of
from leadtrace.otlp.records import EventRecord, Resource, Scope, SpanRecord
from leadtrace.query.timeline import build
from leadtrace.store.interface import Found

if TYPE_CHECKING:
    from leadtrace.query.model import Timeline

MS = 1_000_000
BEGAN = 1_795_300_000_000 * MS

STARTS = {
    "flow": "flow.started",
    "enhancement": "enhancement.started",
    "delivery": "delivery.started",
    "attempt": "api.call.attempted",
}
ENDS = {
    "flow": ("flow.completed", "milestone", "flow.summary.total_duration_ms"),
    "enhancement": ("enhancement.success", "success", "enhancement.duration_ms"),
    "delivery": ("delivery.accepted", "success", "delivery.duration_ms"),
    "attempt": ("api.call.succeeded", "success", "duration_ms"),
    "validation": ("validation.passed", "success", "validation.duration_ms"),
    "rule": ("rule.satisfied", "success", "rule.duration_ms"),
}
OPERATION = ("operation.completed", "success", "duration_ms")


@dataclass
class Drawn:
    """One word: when it began and ended (None: not), what lies in it, what its end says."""

    word: str
    name: str
    began: float
    ended: float | None
    below: tuple[Drawn, ...] = ()
    fields: dict = field(default_factory=dict)
    service: str = "intake"
    end: tuple[str, str] | None = None
    off_ms: float = 0
    """How far its process's clock is off."""
    told_ms: float | None = None
    """The duration that its end event claims, where that is another."""


def word(word: str, name: str, began: float, ended: float | None, *below: Drawn, **more) -> Drawn:
    """`service`, `end` (name and kind), `off_ms` and `told_ms` by keyword; other keywords are fields, `__` for dots."""
    own = {key: more.pop(key) for key in ("service", "end", "off_ms", "told_ms") if key in more}
    fields = {key.replace("__", "."): value for key, value in more.items()}
    return Drawn(word, name, began, ended, below, fields, **own)


def records(
    *roots: Drawn,
    lead: str = "lead_A",
    run: str = "run_1",
    spans: bool = True,
    events: bool = True,
    trace: int = 1,
    at_ms: float = 0,
) -> Found:
    """What the words would have recorded; `spans` or `events` alone stand for a trace sampled out, and for Jaeger."""
    found = Found()
    count = [trace * 100_000, 0]
    pending = [(root, "") for root in reversed(roots)]
    while pending:
        one, parent = pending.pop()
        count[0] += 1
        span_id, trace_id = f"{count[0]:016x}", f"{trace:032x}"
        common = {"lead.id": lead, **({"leadtrace.run_id": run} if run else {})}
        told = common | {"leadtrace.word": one.word, "leadtrace.name": one.name}
        if parent:
            told["leadtrace.parent_span_id"] = parent
        if one.word in ("flow", "enhancement"):
            told[f"{one.word}.name"] = one.name
        began = BEGAN + round((at_ms + one.began + one.off_ms) * MS)
        resource = Resource({"service.name": one.service, "host.name": f"host-{one.service}"})
        if not one.word:
            found.spans.append(_span(one, trace_id, span_id, parent, began, common | one.fields, resource, at_ms))
        else:
            name, kind, duration = ENDS.get(one.word, OPERATION)
            name, kind = one.end or (name, kind)
            if one.ended is not None:
                fields = {duration: one.told_ms if one.told_ms is not None else one.ended - one.began, **one.fields}
            if events:
                found.events.append(
                    _event(
                        STARTS.get(one.word, "operation.started"),
                        "start",
                        began,
                        told,
                        resource,
                        trace_id,
                        span_id,
                        count,
                    )
                )
                if one.ended is not None:
                    ended = BEGAN + round((at_ms + one.ended + one.off_ms) * MS)
                    found.events.append(_event(name, kind, ended, told | fields, resource, trace_id, span_id, count))
            if spans and one.ended is not None:
                attributes = {**told, "leadtrace.kind": kind, **fields}
                attributes.pop("leadtrace.parent_span_id", None)
                found.spans.append(_span(one, trace_id, span_id, parent, began, attributes, resource, at_ms))
        pending.extend((child, span_id) for child in reversed(one.below))
    return found


def _span(one, trace_id, span_id, parent, began, attributes, resource, at_ms) -> SpanRecord:
    ended = BEGAN + round((at_ms + one.ended + one.off_ms) * MS)
    kind = 3 if one.word == "attempt" else 1
    return SpanRecord(trace_id, span_id, one.name, began, ended, parent, kind, attributes=attributes, resource=resource)


def _event(name, kind, time_ns, attributes, resource, trace_id, span_id, count) -> EventRecord:
    count[1] += 1
    uid = f"{resource.service.encode().hex()[:12]:0>16}{count[0] * 4 + count[1] % 4:012x}"
    told = {**attributes, "leadtrace.kind": kind, "log.record.uid": uid}
    return EventRecord(name, time_ns, trace_id, span_id, told, resource, Scope("leadtrace"))


def timeline(*roots: Drawn, lead: str = "lead_A", **more) -> Timeline:
    return build(records(*roots, lead=lead, **more), lead)


def passage(*roots: Drawn, **more) -> Passage:
    """The only run of what is drawn."""
    (found,) = passages_of(timeline(*roots, **more))
    return found


def merged(*several: Found) -> Found:
    return Found([s for one in several for s in one.spans], [e for one in several for e in one.events])


def sources_example(**more) -> Drawn:
    """The system-events document's flow: 1.2 seconds, of which the first enhancement takes 300 ms and the delivery 550."""
    return word(
        "flow",
        "Performance example",
        0,
        1200,
        word("step", "Source validation", 0, 100),
        word("enhancement", "Enhancement 1", 100, 400, enhancement__cost=0.02, enhancement__currency="USD"),
        word("enhancement", "Enhancement 2", 400, 600, enhancement__cost=0.05, enhancement__currency="USD"),
        word("step", "Routing", 600, 650),
        word(
            "delivery",
            "deliver to Premier",
            650,
            1200,
            delivery__buyer="Premier",
            delivery__revenue=45.0,
            delivery__currency="USD",
        ),
        **more,
    )
