"""Records made by hand as the words make them: a tape that several processes write, read back in any order."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from leadtrace.otlp.records import EventRecord, Link, Resource, Scope, SpanRecord
from leadtrace.query.timeline import build
from leadtrace.store.interface import Found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.query.model import Timeline

MS = 1_000_000
BEGAN = 1_795_300_000_000 * MS
_ENDS = {
    "flow": ("flow.completed", "milestone"),
    "enhancement": ("enhancement.success", "success"),
    "delivery": ("delivery.accepted", "success"),
    "attempt": ("api.call.succeeded", "success"),
    "validation": ("validation.passed", "success"),
    "rule": ("rule.satisfied", "success"),
}
_STARTS = {"flow": "flow.started", "enhancement": "enhancement.started", "delivery": "delivery.started"}
_DURATIONS = {
    "flow": "flow.summary.total_duration_ms",
    "enhancement": "enhancement.duration_ms",
    "delivery": "delivery.duration_ms",
}


@dataclass
class Open:
    """A word that has begun: how it will end may be set while it is open."""

    process: Process
    word: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    common: dict
    began: int
    ends: str
    kind: str
    fields: dict = field(default_factory=dict)
    status: str = "unset"
    links: tuple = ()
    alive: bool = True

    def end_as(self, name: str, kind: str, **fields: object) -> None:
        self.ends, self.kind = name, kind
        self.fields.update(full(fields))
        self.status = "error" if kind in ("failure", "attempt_failure") else "unset"

    def emit(self, name: str, kind: str = "milestone", /, **fields: object) -> EventRecord:
        return self.process.record(name, kind, self.trace_id, self.span_id, {**self.common, **full(fields)})


def full(fields: dict) -> dict:
    """Keyword names with `__` for dots."""
    return {key.replace("__", "."): value for key, value in fields.items()}


class Process:
    """One process: its boot id, its counter, its clock (which may be off), the words open in it."""

    def __init__(self, tape: Tape, service: str, boot: str, off_ms: float = 0) -> None:
        self.tape, self.boot, self.off_ns, self.count = tape, boot, int(off_ms * MS), 0
        self.resource = Resource({"service.name": service})
        self.open: list[Open] = []
        self.log = self.sampled = True

    @property
    def now(self) -> int:
        return BEGAN + int(self.tape.ms * MS) + self.off_ns

    def record(self, name: str, kind: str, trace_id: str, span_id: str, attributes: dict) -> EventRecord:
        self.count += 1
        told = {**attributes, "leadtrace.kind": kind, "log.record.uid": f"{self.boot:0>16}{self.count:012x}"}
        event = EventRecord(name, self.now, trace_id, span_id, told, self.resource, Scope("leadtrace"))
        self.tape.events.append(event)
        return event

    @contextmanager
    def word(
        self, word: str, name: str, /, *, trace_id: str = "", parent: str = "", links: tuple = (), **fields: object
    ) -> Iterator[Open]:
        above = self.open[-1] if self.open else None
        common = (
            {key: above.common[key] for key in above.common if key in ("lead.id", "leadtrace.run_id", "tenant_key")}
            if above
            else {}
        )
        given = full(fields)
        common |= {
            key: given.pop(key)
            for key in ("lead.id", "leadtrace.run_id", "tenant_key", "leadtrace.lead_ids")
            if key in given
        }
        if "leadtrace.lead_ids" in common:
            common.pop("lead.id", None)
        trace_id = trace_id or (above.trace_id if above else self.tape.new_trace())
        parent = parent or (above.span_id if above else "")
        ends, kind = _ENDS.get(word, ("operation.completed", "success"))
        self.tape.spans_made += 1
        one = Open(
            self,
            word,
            name,
            trace_id,
            f"{self.tape.spans_made:016x}",
            parent,
            common,
            self.now,
            ends,
            kind,
            given,
            links=links,
        )
        told = {
            **common,
            "leadtrace.word": word,
            "leadtrace.name": name,
            **({"leadtrace.parent_span_id": parent} if parent else {}),
        }
        starts = "api.call.attempted" if word == "attempt" else _STARTS.get(word, "operation.started")
        self.record(starts, "start", trace_id, one.span_id, {**told, **given})
        self.open.append(one)
        yield one
        self.open.pop()
        if not one.alive:
            return
        duration = {_DURATIONS.get(word, "duration_ms"): (self.now - one.began) / MS}
        told |= {key: one.common[key] for key in ("lead.id", "leadtrace.run_id") if key in one.common}
        if "leadtrace.lead_ids" in common:
            for lead_id, share in one.fields.pop("shares").items():
                own = {key: value for key, value in told.items() if key != "leadtrace.lead_ids"}
                self.record(
                    one.ends,
                    one.kind,
                    trace_id,
                    one.span_id,
                    {**own, "lead.id": lead_id, **duration, **one.fields, **share},
                )
        else:
            self.record(one.ends, one.kind, trace_id, one.span_id, {**told, **duration, **one.fields})
        if self.sampled:
            here = self.open[-1] if self.open and self.open[-1].trace_id == trace_id else None
            attributes = {
                **one.common,
                "leadtrace.word": word,
                "leadtrace.name": name,
                "leadtrace.kind": one.kind,
                **duration,
                **one.fields,
            }
            self.span(
                name,
                trace_id,
                one.span_id,
                here.span_id if here else "",
                one.began,
                attributes,
                3 if word == "attempt" else 1,
                one.status,
                one.links,
            )

    def span(
        self, name, trace_id, span_id, parent, began, attributes, kind=1, status="unset", links=(), **more
    ) -> SpanRecord:
        """A finished span, ours or foreign."""
        made = SpanRecord(
            trace_id,
            span_id,
            name,
            began,
            self.now,
            parent,
            kind,
            status,
            attributes=attributes,
            resource=self.resource,
            links=links,
            **more,
        )
        self.tape.spans.append(made)
        return made


class Tape:
    """What all processes recorded, and the clock that they share."""

    def __init__(self) -> None:
        self.ms = 0.0
        self.spans: list[SpanRecord] = []
        self.events: list[EventRecord] = []
        self.spans_made = self.traces_made = self.boots = 0

    def process(self, service: str = "lead-intake", off_ms: float = 0) -> Process:
        self.boots += 1
        return Process(self, service, f"b{self.boots}", off_ms)

    def new_trace(self) -> str:
        self.traces_made += 1
        return f"{self.traces_made:032x}"

    def wait(self, ms: float) -> None:
        self.ms += ms

    @property
    def found(self) -> Found:
        return Found(list(self.spans), list(self.events))

    def timeline(self, lead_id: str = "lead_A", tenant: str | None = None, now_ns: int | None = None) -> Timeline:
        return build(self.found, lead_id, tenant, now_ns)


@pytest.fixture
def tape() -> Tape:
    """An empty tape; its clock stands until it is told to go on."""
    return Tape()


@pytest.fixture
def full_story(tape: Tape) -> Tape:
    """A lead that was enhanced, delivered at the third try, and returned two weeks later by another service."""
    intake = tape.process()
    lead = {"lead__id": "lead_A", "leadtrace__run_id": "run_1"}
    flow_fields = {"flow__id": "flow_3Q", "flow__name": "Premium Insurance Flow", "flow__version": 12}
    with intake.word("flow", "Premium Insurance Flow", **lead, **flow_fields) as flow:
        tape.wait(1)
        flow.emit("lead.state.changed", "transition", lead__state__to="received")
        tape.wait(1)
        phone = {
            "enhancement__service": "TrueCaller ID",
            "enhancement__name": "Phone Intelligence",
            "enhancement__position": 1,
        }
        with intake.word("enhancement", "Phone Intelligence", **phone) as enhancement:
            tape.wait(245)
            enhancement.fields |= {
                "enhancement.cost": 0.02,
                "enhancement.currency": "USD",
                "enhancement.data_appended.phone_type": "mobile",
                "enhancement.data_appended.carrier": "Verizon",
            }
        flow.emit(
            "lead.state.changed",
            "transition",
            lead__state__from="received",
            lead__state__to="enhanced",
            lead__state__reason="phone verified",
        )
        with intake.word("delivery", "deliver to Acme", delivery__id="delivery_1", delivery__buyer="Acme") as delivery:
            for number in (1, 2, 3):
                if number > 1:
                    tape.wait(500)
                    delivery.emit("system.retry.attempted", attempt=number, max_attempts=4, waited_ms=500.0)
                with intake.word("attempt", "POST lead", attempt=number, max_attempts=4) as attempt:
                    tape.wait(300)
                    if number < 3:
                        attempt.end_as(
                            "api.call.failed",
                            "attempt_failure",
                            will_retry=True,
                            error__type="ReadTimeout",
                            error__message="no answer in 300 ms",
                            error__category="technical",
                            error__subcategory="timeout",
                        )
                    else:
                        attempt.fields["http.response.status_code"] = 200
            delivery.emit(
                "error.recovered", recovery__action="retry", recovery__success=True, total_retry_time_ms=1600.0
            )
            delivery.fields |= {"delivery.revenue": 45.0, "delivery.currency": "USD", "delivery.attempts": 3}
        flow.emit(
            "lead.state.changed",
            "transition",
            lead__state__from="enhanced",
            lead__state__to="sold",
            lead__state__final=True,
        )
        flow.fields |= {
            "flow.summary.steps_executed": 0,
            "flow.summary.enhancements_applied": 1,
            "flow.summary.deliveries_attempted": 1,
            "flow.summary.final_outcome": "delivered",
            "flow.journey.total_cost": 0.02,
            "flow.journey.total_revenue": 45.0,
            "flow.journey.margin": 44.98,
            "flow.journey.currency": "USD",
        }
    tape.wait(14 * 86_400_000)
    returns = tape.process("lead-returns")
    trace_id, span_id = tape.new_trace(), f"{99:016x}"
    said = {
        "lead.id": "lead_A",
        "lead.return.amount": 45.0,
        "lead.return.reason": "duplicate",
        "delivery.buyer": "Acme",
    }
    returns.record("lead.returned", "rejection", trace_id, span_id, said)
    returns.span("lead.returned", trace_id, span_id, "", returns.now, {"lead.id": "lead_A"})
    return tape


@pytest.fixture
def link() -> type[Link]:
    return Link
