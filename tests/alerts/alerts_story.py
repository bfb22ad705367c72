"""Lead traffic with known incidents, by a seed: what a store of a few weeks holds, for tests and benches of alerts.

    story = Story(seed=1, since_ns=…, days=35, per_hour=6.0)
    story.silent.append((start, end))        # no leads at all
    story.thin.append((start, end, 0.2))     # a fifth of the usual
    story.failing.append((start, end, 0.6))  # enhancement and buyer fail for so many
    story.slow.append((start, end, 4.0))     # the enhancement takes so many times as long
    events = story.events()

Leads come as a Poisson process whose rate has a day (three times as busy at noon as by night, in the zone) and a week (half on
Sundays). Each lead is received and started, enhanced by `TeleCheck`, offered to the buyer `Acme`, and ended.
"""

from __future__ import annotations

import datetime
import math
import random
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from leadtrace.alerts.calendar import Calendar, local_time
from leadtrace.alerts.rules import DAY, HOUR
from leadtrace.otlp.records import EventRecord, Resource, Value

SECOND = 1_000_000_000
PIPELINE = Resource({"service.name": "pipeline", "host.name": "h1"})


def wall(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """The nanoseconds of a wall-clock time there."""
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(moment.timestamp()) * 1_000_000_000


def berlin(text: str) -> int:
    return wall(text, "Europe/Berlin")


@dataclass
class Story:
    seed: int
    since_ns: int
    days: int
    per_hour: float
    group: str = "Brand Search"
    zone: str = "Europe/Berlin"
    spread: float = 0.0
    """How much better and worse hours are than their mean (a gamma distribution's variance over its squared mean)."""
    calendar: Calendar | None = None
    """When it is open at all; None: always."""
    silent: list[tuple[int, int]] = field(default_factory=list)
    thin: list[tuple[int, int, float]] = field(default_factory=list)
    failing: list[tuple[int, int, float]] = field(default_factory=list)
    slow: list[tuple[int, int, float]] = field(default_factory=list)

    @property
    def until_ns(self) -> int:
        return self.since_ns + self.days * DAY

    def rate(self, at_ns: int) -> float:
        """Leads per hour at that moment, without incidents."""
        local = local_time(ZoneInfo(self.zone), at_ns)
        if self.calendar is not None and not self.calendar.is_open(at_ns):
            return 0.0
        day = 1 - 0.5 * math.cos((local.hour + local.minute / 60 - 1) * math.pi / 12)
        return self.per_hour * day * (0.5 if local.weekday() == 6 else 1.0)

    def times(self) -> list[int]:
        """When leads come, in order."""
        chance = random.Random(self.seed)
        found, better = [], 1.0
        for start in range(self.since_ns, self.until_ns, HOUR // 4):
            if start % HOUR == 0 and self.spread:
                better = chance.gammavariate(1 / self.spread, self.spread)
            mean = self.rate(start) / 4 * better
            for since, until, share in [*self.thin, *((*one, 0.0) for one in self.silent)]:
                if since <= start < until:
                    mean *= share
            at = start + self._wait(chance, mean)
            while at < start + HOUR // 4:
                found.append(at)
                at += self._wait(chance, mean)
        return found

    def events(self) -> list[EventRecord]:
        chance = random.Random(self.seed + 1)
        found = []
        for number, at in enumerate(self.times()):
            found += self._lead(chance, number, at)
        return found

    def _lead(self, chance: random.Random, number: int, at: int) -> list[EventRecord]:
        lead = {"lead.id": f"{self.group}-{self.seed}-{number}", "leadtrace.run_id": f"run-{self.group}-{number}"}
        flow: dict[str, Value] = {
            **lead,
            "flow.id": "auto",
            "flow.name": "Auto",
            "flow.journey.campaign_group": self.group,
            "leadtrace.word": "flow",
        }
        fails = max((share for since, until, share in self.failing if since <= at < until), default=0.02)
        slower = max((factor for since, until, factor in self.slow if since <= at < until), default=1.0)
        took = chance.lognormvariate(math.log(150 * slower), 0.4)
        call = {
            **lead,
            "enhancement.name": "phone check",
            "enhancement.service": "TeleCheck",
            "leadtrace.word": "enhancement",
        }
        offer = {**lead, "delivery.buyer": "Acme", "leadtrace.word": "delivery"}
        failed, refused = chance.random() < fails, chance.random() < fails
        after = at + round(took * 1e6)
        return [
            self._event("lead.received", "milestone", at, {**lead, "lead.campaign_group": self.group}),
            self._event("flow.started", "start", at + 1000, flow),
            self._event("enhancement.started", "start", at + 2000, call),
            self._event(
                "enhancement.failed" if failed else "enhancement.success",
                "failure" if failed else "success",
                after,
                {**call, "enhancement.duration_ms": took},
            ),
            self._event(
                "delivery.failed" if refused else "delivery.accepted" if chance.random() < 0.7 else "delivery.rejected",
                "failure" if refused else "success",
                after + 1000,
                {**offer, "delivery.duration_ms": 90.0},
            ),
            self._event(
                "flow.completed", "milestone", after + 2000, {**flow, "flow.summary.total_duration_ms": took + 100}
            ),
        ]

    @staticmethod
    def _event(name: str, kind: str, at: int, attributes: dict[str, Value]) -> EventRecord:
        return EventRecord(name, at, attributes={**attributes, "leadtrace.kind": kind}, resource=PIPELINE)

    @staticmethod
    def _wait(chance: random.Random, mean_of_quarter: float) -> int:
        """Until the next of a Poisson process; beyond the quarter where none is left."""
        if mean_of_quarter <= 0:
            return HOUR
        return int(chance.expovariate(mean_of_quarter) * (HOUR // 4)) + 1
