"""Hours of made-up runs whose figures are set one by one: for analyses that judge hours. All is exact, nothing is random.

    book = Book()
    book.hour(0, runs=100, failing=3)          # hour 0 is a Monday's first
    book.write(store)

Run i of an hour: flow.started, one enhancement (service `TeleCheck`), one delivery (buyer `Acme`), flow.completed. The first
`failing` deliveries fail, the first `bad` enhancements fail and the first `timeouts` of those by time-out, the last `hits`
enhancements come from a cache. A run that fails earns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from traffic import HOUR, MONDAY, SCOPE

from leadtrace.otlp.records import EventRecord, Resource

if TYPE_CHECKING:
    from leadtrace.otlp.records import Value
    from leadtrace.store.embedded import EmbeddedStore


@dataclass
class Book:
    events: list[EventRecord] = field(default_factory=list)
    sequence: int = 0
    runs: int = 0

    def hour(
        self,
        number: int,
        runs: int = 60,
        *,
        failing: int = 0,
        bad: int = 0,
        timeouts: int = 0,
        hits: int = 0,
        took_ms: float = 800.0,
        service_ms: float = 100.0,
        version: str = "1.0",
        shared: bool = True,
        ends: bool = True,
        revenue: float = 10.0,
        flow: str = "Auto",
        own: int = 0,
        own_ms: float = 5.0,
    ) -> None:
        """`shared`: failing deliveries and failing enhancements begin at the same lead, else at opposite ends.
        `own`: so many first runs have a failing step of our own."""
        for at in range(runs):
            self.runs += 1
            lead, run = f"lead_{self.runs:06d}", f"{self.runs:016x}"
            when = MONDAY + number * HOUR + at * (HOUR // max(runs, 1))
            resource = Resource({"service.name": "pipeline", "service.version": version, "host.name": "w1"})
            place = at if shared else runs - 1 - at
            word: dict[str, Value] = {"flow.name": flow, "flow.version": 1, "leadtrace.word": "flow"}
            self._tell("flow.started", "start", when, lead, run, resource, 1, 0, **word)
            step_bad = at < own
            self._tell(
                "operation.failed" if step_bad else "operation.completed",
                "failure" if step_bad else "success",
                when + 1_000_000,
                lead,
                run,
                resource,
                4,
                1,
                **{"leadtrace.word": "step", "leadtrace.name": "parse", "duration_ms": own_ms},
            )
            wrong = place < bad
            call: dict[str, Value] = {
                "leadtrace.word": "enhancement",
                "leadtrace.name": "phone",
                "enhancement.name": "phone",
                "enhancement.service": "TeleCheck",
                "enhancement.duration_ms": service_ms,
                "enhancement.cache_hit": at >= runs - hits,
            }
            if wrong:
                late = place < timeouts
                call["enhancement.failure.category"] = "technical"
                call["enhancement.failure.subcategory"] = "timeout" if late else "connection"
            self._tell(
                "enhancement.failed" if wrong else "enhancement.success",
                "failure" if wrong else "success",
                when + 2_000_000,
                lead,
                run,
                resource,
                2,
                1,
                **call,
            )
            fails = at < failing
            offer: dict[str, Value] = {
                "leadtrace.word": "delivery",
                "leadtrace.name": "Acme",
                "delivery.buyer": "Acme",
                "delivery.duration_ms": 50.0,
            }
            if not fails:
                offer |= {"delivery.revenue": revenue, "delivery.currency": "USD"}
            self._tell(
                "delivery.failed" if fails else "delivery.accepted",
                "failure" if fails else "success",
                when + 3_000_000,
                lead,
                run,
                resource,
                3,
                1,
                **offer,
            )
            if ends:
                end: dict[str, Value] = {**word, "flow.summary.total_duration_ms": took_ms}
                self._tell("flow.completed", "milestone", when + 4_000_000, lead, run, resource, 1, 0, **end)

    def _tell(
        self,
        name: str,
        kind: str,
        when: int,
        lead: str,
        run: str,
        resource: Resource,
        span: int,
        parent: int,
        **fields: Value,
    ) -> None:
        self.sequence += 1
        attributes: dict[str, Value] = {
            "lead.id": lead,
            "leadtrace.kind": kind,
            "leadtrace.run_id": run,
            "log.record.uid": f"{7:016x}{self.sequence:012x}",
            **fields,
        }
        if parent:
            attributes["leadtrace.parent_span_id"] = f"{int(run, 16) * 10 + parent:016x}"
        span_id = f"{int(run, 16) * 10 + span:016x}"
        self.events.append(
            EventRecord(
                name, when, run.zfill(32), span_id, attributes, resource, SCOPE, observed_ns=when, severity_number=9
            )
        )

    def write(self, store: EmbeddedStore, batch: int = 2_000) -> None:
        for first in range(0, len(self.events), batch):
            store.append([], self.events[first : first + batch])
