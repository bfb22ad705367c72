"""The same traffic as it may come: in any order, some of it twice, by two services whose clocks differ, with ends that are missing.

Leads run in the service `pipeline` and are delivered by the service `deliverer`, a process of its own; beside them are lead
events, cold outbound, samples of capacity and a circuit, so that every report has something to answer from.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from test_analysis_capacity import rising
from test_analysis_outbound import STORY, story
from traffic import HOUR, MONDAY, NS, generate

from leadtrace.otlp.records import EventRecord, Resource

if TYPE_CHECKING:
    from pathlib import Path

    from leadtrace.otlp.records import SpanRecord

DELIVERER = Resource({"service.name": "deliverer", "service.version": "2.0.0", "host.name": "deliverer-1"})
_BOOT = 13
"""The first half of the deliverer's uids."""


@dataclass
class Told:
    spans: list[SpanRecord] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)

    def write(self, path: Path, *, ordered: bool = True) -> str:
        """Append all to a new store, 500 records at a time; the path."""
        from leadtrace.store.embedded import EmbeddedStore

        records = [*self.spans, *self.events]
        if ordered:
            records.sort(key=lambda one: one.time_ns if isinstance(one, EventRecord) else one.end_ns)
        store = EmbeddedStore.open(path, write=True)
        for first in range(0, len(records), 500):
            part = records[first : first + 500]
            store.append(
                [one for one in part if not isinstance(one, EventRecord)],
                [one for one in part if isinstance(one, EventRecord)],
            )
        store.close()
        return str(path)


def as_it_was(leads: int = 60) -> Told:
    """All of it, with right clocks and nothing missing but what the traffic leaves out by itself."""
    traffic = generate(seed=3, leads=leads, days=9)
    theirs = {one.span_id for one in traffic.events if one.name == "delivery.started"}
    theirs |= {one.span_id for one in traffic.events if one.attributes.get("leadtrace.parent_span_id") in theirs}
    told = Told([replace(one, resource=DELIVERER) if one.span_id in theirs else one for one in traffic.spans])
    for number, one in enumerate(traffic.events):
        if one.span_id in theirs:
            uid = {"log.record.uid": f"{_BOOT:016x}{number:012x}"}
            one = replace(one, resource=DELIVERER, attributes=one.attributes | uid)
        told.events.append(one)
    told.events += _lead_events(leads)
    told.events += [_by_service(one) for one in story(STORY)]
    told.events += rising()
    told.events += [
        EventRecord(
            f"circuit.{what}",
            MONDAY + hour * HOUR,
            attributes={"circuit.name": "Beta", "log.record.uid": f"{_BOOT:016x}{90_000 + hour:012x}"},
            resource=DELIVERER,
        )
        for what, hour in (("opened", 58), ("closed", 60))
    ]
    return told


def _by_service(one: EventRecord) -> EventRecord:
    """Sends are told by the deliverer, pins and limits by the engine."""
    return replace(one, resource=DELIVERER) if one.name == "dispatch.sent" else one


def _lead_events(count: int) -> list[EventRecord]:
    """Received and saved by the pipeline, sent by the deliverer; every fifth is malformed, every seventh still waits."""
    told, pipeline = [], Resource({"service.name": "pipeline", "host.name": "worker-1"})
    for number in range(count):
        about = {
            "lead.event.id": f"ev_{number}",
            "lead.event.destination": "Meta Ads" if number % 2 else "Google Ads",
            "lead.event.campaign_id": f"c{number % 3}",
            "lead.id": f"lead_{number:08d}",
        }
        last = "quarantined" if number % 5 == 0 else "" if number % 7 == 0 else "sent"
        for place, what in enumerate(("received", "saved", last)):
            if what:
                own = {"lead.event.reason": "no value"} if what == "quarantined" else {}
                uid = {"log.record.uid": f"{21 + (what == 'sent'):016x}{number * 4 + place:012x}"}
                at = MONDAY + number * 3 * HOUR + place * NS
                process = DELIVERER if what == "sent" else pipeline
                told.append(EventRecord(f"lead.event.{what}", at, attributes=about | own | uid, resource=process))
    return told


def mixed(told: Told, seed: int = 7) -> Told:
    """In any order, and every third record a second time."""
    chance = random.Random(seed)
    spans, events = [*told.spans, *told.spans[::3]], [*told.events, *told.events[::3]]
    chance.shuffle(spans)
    chance.shuffle(events)
    return Told(spans, events)


def by_another_clock(told: Told, off_ns: int) -> Told:
    """The deliverer's clock is so much ahead, or behind."""
    return Told(
        [
            replace(one, start_ns=one.start_ns + off_ns, end_ns=one.end_ns + off_ns)
            if one.resource is DELIVERER
            else one
            for one in told.spans
        ],
        [replace(one, time_ns=one.time_ns + off_ns) if one.resource is DELIVERER else one for one in told.events],
    )


def without_ends(told: Told, every: int = 5) -> tuple[Told, list[EventRecord]]:
    """Without the last thing told of every fifth flow, enhancement, delivery and lead event; and what was left out."""
    ends = ("flow.completed", "enhancement.", "delivery.", "operation.", "lead.event.sent")
    gone = [
        one
        for one in told.events
        if one.name.startswith(ends)
        and one.attributes.get("leadtrace.kind") != "start"
        and not one.name.endswith("cancelled")
    ][::every]
    uids = {one.attributes["log.record.uid"] for one in gone}
    lost = {one.span_id for one in gone} - {""}
    kept = [one for one in told.events if one.attributes["log.record.uid"] not in uids]
    return Told([one for one in told.spans if one.span_id not in lost], kept), gone
