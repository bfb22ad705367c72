"""Lead traffic made up by a seed, for tests and benches of analyses: records as the words write them, and what is true of them.

    traffic = generate(seed=1, leads=2_000, days=7)
    traffic.write(store)                       # through the store's own append
    traffic.frame()                            # the events as a pandas frame, a column per attribute: another path to answers
    traffic.truth.cost["phone validation", "USD"]   # exact, counted while it was made up

A lead comes from one of three sources, runs one of two flows (two versions of the first), gets three enhancements, and is
offered to buyers until one accepts. Planted, so that an analysis has something to find (`Truth.planted` has the figures):

    outage       the buyer Beta refuses every connection for two hours
    periodic     CreditCo times out for most calls on Mondays between 14:00 and 15:00 UTC
    bad_host     on host `worker-3` parsing fails for a fifth of the leads of the campaign `spring`
    slow         TeleCheck takes three times as long from the middle of the time on
    slow_version version 2 of the flow "Auto Insurance" has a step that takes 400 ms more
    returns      Gamma gives back every tenth lead that it bought, eight days later (beyond the last lead's day, too)
    unfinished   every 200th run has no end
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from leadtrace.otlp.records import EventRecord, Resource, Scope, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas

    from leadtrace.otlp.records import Value
    from leadtrace.store.embedded import EmbeddedStore

NS = 1_000_000_000
HOUR = 3_600 * NS
DAY = 24 * HOUR
MONDAY = 20_724 * DAY
"""A Monday at midnight UTC: 2026-09-28."""
SCOPE = Scope("leadtrace", "0.1.0", {}, "https://leadtrace.dev/catalogue/1")
SOURCES = ("google", "facebook", "partner")
CAMPAIGNS = {"spring": "seasonal", "autumn": "seasonal", "evergreen": "always"}
HOSTS = ("worker-1", "worker-2", "worker-3")


@dataclass(frozen=True)
class Service:
    """An enhancement's service: its name, price, usual duration and how often its cache answers."""

    enhancement: str
    name: str
    cost: Decimal
    typical_ms: float
    cache: float
    failing: float


SERVICES = (
    Service("phone validation", "TeleCheck", Decimal("0.02"), 150, 0.3, 0.03),
    Service("credit score", "CreditCo", Decimal("0.15"), 300, 0.1, 0.02),
    Service("geo lookup", "GeoBase", Decimal(0), 20, 0.0, 0.01),
)


@dataclass(frozen=True)
class Buyer:
    name: str
    revenue: Decimal
    currency: str
    accepting: float


BUYERS = (
    Buyer("Acme", Decimal("12.50"), "USD", 0.5),
    Buyer("Beta", Decimal("11.00"), "USD", 0.55),
    Buyer("Gamma", Decimal("10.20"), "EUR", 0.7),
)


@dataclass
class Truth:
    """What is true of the traffic, counted while it was made up. Money is exact."""

    names: Counter[str] = field(default_factory=Counter)
    """Events by name."""
    leads: int = 0
    runs: int = 0
    spans: int = 0
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Runs by flow, version and outcome; unfinished ones as ''."""
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Enhancements by name and what became of them: `success`, `failed`, `cache_hit` (of the successes)."""
    cost: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Decimal by enhancement and currency, what failed calls were billed included."""
    avoided: Counter[tuple[str, str]] = field(default_factory=Counter)
    prices: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What was paid for leads, by source and currency."""
    deliveries: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By buyer and answer: `accepted`, `rejected`, `failed`."""
    revenue: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Decimal by buyer and currency, before what was returned."""
    returned: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """`error.occurred` by fingerprint."""
    tries: Counter[str] = field(default_factory=Counter)
    """Tries of calls: `succeeded`, `failed`."""
    planted: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Traffic:
    spans: list[SpanRecord]
    events: list[EventRecord]
    truth: Truth
    since_ns: int
    until_ns: int
    """After the last lead's day; returns come later."""
    _frame: pandas.DataFrame | None = None

    def write(self, store: EmbeddedStore, batch: int = 2_000) -> None:
        """Append in the order of time, batch by batch, as a sender would."""
        for spans, events in self.batches(batch):
            store.append(spans, events)

    def batches(self, batch: int = 2_000) -> Iterator[tuple[list[SpanRecord], list[EventRecord]]]:
        records = sorted([*self.spans, *self.events], key=_time_of)
        for first in range(0, len(records), batch):
            part = records[first : first + batch]
            yield (
                [one for one in part if isinstance(one, SpanRecord)],
                [one for one in part if isinstance(one, EventRecord)],
            )

    def frame(self) -> pandas.DataFrame:
        """The events, a column per attribute beside `name`, `time_ns`, `service`, `host` and `version`; the caller's own copy."""
        import pandas as pd

        if self._frame is None:
            self._frame = pd.DataFrame(
                [
                    {
                        "name": one.name,
                        "time_ns": one.time_ns,
                        "service": one.resource.service,
                        "host": one.resource.attributes["host.name"],
                        "version": one.resource.attributes["service.version"],
                        **one.attributes,
                    }
                    for one in self.events
                ]
            )
        return self._frame.copy()


def generate(seed: int = 1, leads: int = 2_000, days: int = 7, start_ns: int = MONDAY, tenant: str = "") -> Traffic:
    """Traffic of so many leads, spread over so many days from `start_ns` on with a quiet night."""
    return _Maker(seed, leads, days, start_ns, tenant).make()


def _time_of(record: SpanRecord | EventRecord) -> int:
    return record.time_ns if isinstance(record, EventRecord) else record.end_ns or record.start_ns


class _Maker:
    def __init__(self, seed: int, leads: int, days: int, start_ns: int, tenant: str) -> None:
        self.random = random.Random(seed)
        self.count, self.start, self.end = leads, start_ns, start_ns + days * DAY
        self.tenant = tenant
        self.truth = Truth()
        self.spans: list[SpanRecord] = []
        self.events: list[EventRecord] = []
        self.resources = [
            Resource({"service.name": "pipeline", "service.version": version, "host.name": host})
            for host in HOSTS
            for version in ("1.4.0", "1.5.0")
        ]
        self.boots = [self.random.getrandbits(63) for _ in self.resources]
        self.sequences = [0] * len(self.resources)
        outage = start_ns + min(days - 1, 2) * DAY + 10 * HOUR
        self.outage = (outage, outage + 2 * HOUR)
        self.slow_from = start_ns + days * DAY // 2
        self.truth.planted = {
            "outage": {"buyer": "Beta", "since_ns": self.outage[0], "until_ns": self.outage[1], "failures": 0},
            "periodic": {"fingerprint": "credit-timeout", "service": "CreditCo", "weekday": 0, "hour": 14, "errors": 0},
            "bad_host": {"fingerprint": "parse-spring", "host": "worker-3", "campaign": "spring", "errors": 0},
            "slow": {"service": "TeleCheck", "since_ns": self.slow_from, "factor": 3.0},
            "slow_version": {"flow": "Auto Insurance", "version": "2", "step": "normalize", "more_ms": 400.0},
            "returns": {"buyer": "Gamma", "after_ns": 8 * DAY, "leads": 0},
            "unfinished": {"runs": 0},
        }

    def make(self) -> Traffic:
        for number in range(self.count):
            _Lead(self, number).run()
        self.truth.leads = self.count
        self.truth.spans = len(self.spans)
        return Traffic(self.spans, self.events, self.truth, self.start, self.end)

    def moment(self) -> int:
        """When a lead comes in: by day three times as likely as by night."""
        while True:
            at = self.random.randrange(self.start, self.end)
            if 8 <= at // HOUR % 24 < 20 or self.random.random() < 0.33:
                return at


class _Lead:
    """One lead on its way; `now` runs on as words take their time."""

    def __init__(self, maker: _Maker, number: int) -> None:
        self.maker, self.random, self.truth = maker, maker.random, maker.truth
        self.number = number
        self.lead_id = f"lead_{number:08d}"
        self.now = maker.moment()
        self.process = self.random.randrange(len(maker.resources))
        self.resource = maker.resources[self.process]
        self.trace_id = f"{self.random.getrandbits(128) or 1:032x}"
        self.run_id = f"{self.random.getrandbits(64):016x}"
        self.flow, self.version = self.random.choice(
            (("Auto Insurance", 1), ("Auto Insurance", 2), ("Home Insurance", 3))
        )
        self.campaign = self.random.choice(tuple(CAMPAIGNS))
        self.source = self.random.choice(SOURCES)
        self.dimensions: dict[str, Value] = {
            "flow.id": self.flow.lower().replace(" ", "-"),
            "flow.name": self.flow,
            "flow.version": self.version,
            "flow.journey.source": self.source,
            "flow.journey.campaign": self.campaign,
            "flow.journey.campaign_group": CAMPAIGNS[self.campaign],
        }
        self.sold: list[tuple[Buyer, str]] = []
        self.rejected = self.failed = self.offered = self.steps = self.enhanced = 0
        self.spent: Counter[str] = Counter()

    # --- telling ---------------------------------------------------------------------------------------------------

    def tell(self, name: str, kind: str, span_id: str, **fields: Value) -> None:
        maker = self.maker
        maker.sequences[self.process] += 1
        attributes: dict[str, Value] = {
            "lead.id": self.lead_id,
            "leadtrace.kind": kind,
            "leadtrace.run_id": self.run_id,
            "log.record.uid": f"{maker.boots[self.process]:016x}{maker.sequences[self.process]:012x}",
            **fields,
        }
        if maker.tenant:
            attributes["tenant_key"] = maker.tenant
        maker.events.append(
            EventRecord(
                name,
                self.now,
                self.trace_id,
                span_id,
                attributes,
                self.resource,
                SCOPE,
                observed_ns=self.now,
                severity_number=9,
            )
        )
        self.truth.names[name] += 1

    def span(self, span_id: str, name: str, since: int, parent: str, error: bool, **fields: Value) -> None:
        attributes: dict[str, Value] = {"lead.id": self.lead_id, "leadtrace.run_id": self.run_id, **fields}
        if self.maker.tenant:
            attributes["tenant_key"] = self.maker.tenant
        self.maker.spans.append(
            SpanRecord(
                self.trace_id,
                span_id,
                name,
                since,
                self.now,
                parent,
                status="error" if error else "unset",
                attributes=attributes,
                resource=self.resource,
                scope=SCOPE,
            )
        )

    def new_span(self) -> str:
        return f"{self.random.getrandbits(64) or 1:016x}"

    def takes(self, typical_ms: float) -> float:
        """Let time pass, log-normal around what is typical; gives the milliseconds, exact to the nanosecond."""
        taken = max(1_000, int(typical_ms * self.random.lognormvariate(0, 0.35) * 1e6))
        self.now += taken
        return taken / 1e6

    # --- the flow --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        truth, began = self.truth, self.now
        truth.runs += 1
        flow = self.new_span()
        word: dict[str, Value] = {"leadtrace.word": "flow", "leadtrace.name": self.flow}
        self.tell("flow.started", "start", flow, **word, **self.dimensions)
        self.tell("lead.received", "milestone", flow, **{"lead.source": self.source, "lead.campaign": self.campaign})
        price = Decimal("1.25") if self.source == "google" else Decimal("0.80")
        self.tell(
            "lead.purchased",
            "milestone",
            flow,
            **{"lead.price": float(price), "lead.currency": "USD", "lead.source": self.source},
        )
        truth.prices[self.source, "USD"] += price
        self.spent["USD"] += price
        self.tell("lead.state.changed", "transition", flow, **{"lead.state.to": "received"})
        going = self.step(flow, "parse", 3) and self.valid(flow)
        if going:
            self.step(flow, "normalize", 8)
            for position, service in enumerate(SERVICES, start=1):
                self.enhance(flow, service, position)
            self.deliver(flow)
        if self.number % 200 == 199:
            truth.planted["unfinished"]["runs"] += 1
            truth.outcomes[self.flow, str(self.version), ""] += 1
            return
        outcome = self.outcome(going)
        truth.outcomes[self.flow, str(self.version), outcome] += 1
        self.tell(
            "lead.state.changed",
            "transition",
            flow,
            **{
                "lead.state.from": "received",
                "lead.state.to": "sold" if self.sold else "closed",
                "lead.state.final": True,
            },
        )
        revenue = sum((buyer.revenue for buyer, _ in self.sold if buyer.currency == "USD"), Decimal())
        end: dict[str, Value] = {
            **word,
            **self.dimensions,
            "flow.summary.total_duration_ms": (self.now - began) / 1e6,
            "flow.summary.steps_executed": self.steps,
            "flow.summary.enhancements_applied": self.enhanced,
            "flow.summary.deliveries_attempted": self.offered,
            "flow.summary.final_outcome": outcome,
            "flow.journey.total_cost": float(self.spent["USD"]),
            "flow.journey.total_revenue": float(revenue),
            "flow.journey.margin": float(revenue - self.spent["USD"]),
            "flow.journey.currency": "USD",
            "flow.performance.cpu_ms": round(self.random.uniform(2, 9), 3),
        }
        self.tell("flow.completed", "milestone", flow, **end)
        self.span(flow, self.flow, began, "", False, **{**end, "leadtrace.kind": "milestone"})
        for buyer, delivery in self.sold:
            self.give_back(buyer, delivery)

    def outcome(self, going: bool) -> str:
        if not going:
            return "rejected"
        if self.sold:
            return "delivered" if self.offered == 1 else "partially_delivered"
        return "rejected" if self.rejected and not self.failed else "undelivered"

    def step(self, flow: str, name: str, typical_ms: float) -> bool:
        """A step of our own; whether the lead goes on."""
        began, span_id = self.now, self.new_span()
        word: dict[str, Value] = {"leadtrace.word": "step", "leadtrace.name": name, "leadtrace.parent_span_id": flow}
        self.tell("operation.started", "start", span_id, **word)
        planted = self.truth.planted["bad_host"]
        more = self.truth.planted["slow_version"]
        taken = self.takes(typical_ms)
        if name == more["step"] and str(self.version) == more["version"] and self.flow == more["flow"]:
            self.now += int(more["more_ms"] * 1e6)
            taken += more["more_ms"]
        fails = (
            name == "parse"
            and self.resource.attributes["host.name"] == planted["host"]
            and self.campaign == planted["campaign"]
            and self.random.random() < 0.2
        )
        if fails:
            planted["errors"] += 1
            self.error(
                span_id, planted["fingerprint"], "ValueError", "processing", "parsing", "invalid JSON", step=name
            )
        end: dict[str, Value] = {**word, "duration_ms": taken}
        self.tell(
            "operation.failed" if fails else "operation.completed", "failure" if fails else "success", span_id, **end
        )
        self.span(span_id, name, began, flow, fails, **{**end, "leadtrace.kind": "failure" if fails else "success"})
        self.steps += 1
        return True

    def valid(self, flow: str) -> bool:
        began, span_id = self.now, self.new_span()
        word: dict[str, Value] = {
            "leadtrace.word": "validation",
            "leadtrace.name": "has consent",
            "leadtrace.parent_span_id": flow,
        }
        self.tell("operation.started", "start", span_id, **word)
        passed, taken = self.random.random() > 0.06, self.takes(1)
        more: dict[str, Value] = {} if passed else {"validation.reason": "no consent", "validation.code": "NO_CONSENT"}
        end: dict[str, Value] = {**word, "validation.name": "has consent", "validation.duration_ms": taken, **more}
        name, kind = ("validation.passed", "success") if passed else ("validation.failed", "rejection")
        self.tell(name, kind, span_id, **end)
        self.span(span_id, "has consent", began, flow, False, **{**end, "leadtrace.kind": kind})
        return passed

    def enhance(self, flow: str, service: Service, position: int) -> None:
        truth, began, span_id = self.truth, self.now, self.new_span()
        word: dict[str, Value] = {
            "leadtrace.word": "enhancement",
            "leadtrace.name": service.enhancement,
            "leadtrace.parent_span_id": flow,
            "enhancement.name": service.enhancement,
            "enhancement.service": service.name,
            "enhancement.position": position,
            "enhancement.step_id": f"step_{position}",
        }
        self.tell("enhancement.started", "start", span_id, **word)
        hit = self.random.random() < service.cache
        planted = truth.planted["periodic"]
        weekday, hour = (self.now // DAY + 3) % 7, self.now // HOUR % 24
        in_period = service.name == planted["service"] and (weekday, hour) == (planted["weekday"], planted["hour"])
        fails = not hit and self.random.random() < (0.8 if in_period else service.failing)
        factor = (
            truth.planted["slow"]["factor"] if service.name == "TeleCheck" and self.now >= self.maker.slow_from else 1
        )
        tries = 0
        if hit:
            self.takes(1)
        else:
            tries = self.tries(span_id, service.typical_ms * factor, fails, 3)
        if fails and in_period:
            planted["errors"] += 1
            self.error(
                span_id,
                planted["fingerprint"],
                "TimeoutError",
                "technical",
                "timeout",
                "slow response",
                step=service.enhancement,
            )
        elif fails:
            self.error(
                span_id,
                f"{service.name}-unavailable",
                "ConnectionError",
                "technical",
                "connection",
                "service down",
                step=service.enhancement,
            )
        billed = Decimal() if hit else service.cost
        avoided = service.cost if hit else Decimal()
        end: dict[str, Value] = {
            **word,
            "enhancement.duration_ms": (self.now - began) / 1e6,
            "enhancement.cost": float(billed),
            "enhancement.currency": "USD",
            "enhancement.cache_hit": hit,
        }
        if hit:
            end["enhancement.cost_avoided"] = float(avoided)
        if fails:
            cause = ("timeout", "slow response") if in_period else ("connection", "service down")
            end |= {
                "enhancement.failure.category": "technical",
                "enhancement.failure.subcategory": cause[0],
                "enhancement.failure.cause": cause[1],
                "enhancement.failure.error_code": "TIMEOUT" if in_period else "UNAVAILABLE",
                "enhancement.impact.data_missing": [service.enhancement],
                "enhancement.retry.attempted": tries > 1,
                "enhancement.retry.count": tries - 1,
            }
        else:
            self.enhanced += 1
        name, kind = ("enhancement.failed", "failure") if fails else ("enhancement.success", "success")
        truth.calls[service.enhancement, "failed" if fails else "success"] += 1
        truth.calls[service.enhancement, "cache_hit"] += hit
        truth.cost[service.enhancement, "USD"] += billed
        truth.avoided[service.enhancement, "USD"] += avoided
        self.spent["USD"] += billed
        self.tell(name, kind, span_id, **end)
        self.span(span_id, service.enhancement, began, flow, fails, **{**end, "leadtrace.kind": kind})

    def tries(self, above: str, typical_ms: float, fails: bool, most: int) -> int:
        """The tries of one call: the last succeeds unless the call fails; now and then one fails before it."""
        number = 0
        while True:
            number += 1
            began, span_id = self.now, self.new_span()
            word: dict[str, Value] = {
                "leadtrace.word": "attempt",
                "leadtrace.name": "call",
                "leadtrace.parent_span_id": above,
            }
            self.tell("api.call.attempted", "start", span_id, **word, attempt=number, max_attempts=most)
            taken = self.takes(typical_ms)
            failed = fails or (number < most and self.random.random() < 0.04)
            end: dict[str, Value] = {**word, "attempt": number, "max_attempts": most, "duration_ms": taken}
            if failed:
                end |= {
                    "error.type": "503",
                    "error.category": "technical",
                    "error.subcategory": "connection",
                    "http.response.status_code": 503,
                }
                self.tell("api.call.failed", "attempt_failure", span_id, **end, will_retry=number < most)
            else:
                self.tell("api.call.succeeded", "success", span_id, **end, **{"http.response.status_code": 200})
            self.truth.tries["failed" if failed else "succeeded"] += 1
            kind = "attempt_failure" if failed else "success"
            self.span(span_id, "call", began, above, failed, **{**end, "leadtrace.kind": kind})
            if not failed or number == most:
                return number

    def deliver(self, flow: str) -> None:
        order = list(BUYERS)
        self.random.shuffle(order)
        for buyer in order:
            if self.offer(flow, buyer):
                return

    def offer(self, flow: str, buyer: Buyer) -> bool:
        """Whether that buyer accepts."""
        truth, began, span_id = self.truth, self.now, self.new_span()
        delivery = f"d_{self.number:08d}_{buyer.name}"
        word: dict[str, Value] = {
            "leadtrace.word": "delivery",
            "leadtrace.name": buyer.name,
            "leadtrace.parent_span_id": flow,
            "delivery.id": delivery,
            "delivery.buyer": buyer.name,
        }
        self.tell("delivery.started", "start", span_id, **word)
        self.offered += 1
        out = buyer.name == "Beta" and self.maker.outage[0] <= self.now < self.maker.outage[1]
        tries = self.tries(span_id, 200, out, 2)
        end: dict[str, Value] = {**word, "delivery.duration_ms": (self.now - began) / 1e6, "delivery.attempts": tries}
        accepts = not out and self.random.random() < buyer.accepting
        if out:
            truth.planted["outage"]["failures"] += 1
            self.failed += 1
            answer, kind = "failed", "failure"
            end |= {
                "delivery.failure.category": "technical",
                "delivery.failure.subcategory": "connection",
                "delivery.failure.cause": "service down",
            }
            self.error(
                span_id,
                "beta-refused",
                "ConnectionRefusedError",
                "technical",
                "connection",
                "service down",
                step=buyer.name,
            )
        elif accepts:
            answer, kind = "accepted", "success"
            end |= {"delivery.revenue": float(buyer.revenue), "delivery.currency": buyer.currency}
            truth.revenue[buyer.name, buyer.currency] += buyer.revenue
            self.sold.append((buyer, delivery))
        else:
            answer, kind = "rejected", "rejection"
            self.rejected += 1
            end |= {"delivery.reason": "not wanted", "delivery.code": "R1" if self.random.random() < 0.7 else "R2"}
        truth.deliveries[buyer.name, answer] += 1
        self.tell(f"delivery.{answer}", kind, span_id, **end)
        self.span(span_id, f"deliver to {buyer.name}", began, flow, out, **{**end, "leadtrace.kind": kind})
        return accepts

    def error(
        self, span_id: str, fingerprint: str, kind: str, category: str, subcategory: str, cause: str, step: str
    ) -> None:
        self.truth.errors[fingerprint] += 1
        self.tell(
            "error.occurred",
            "error",
            span_id,
            **{
                "error.type": kind,
                "error.category": category,
                "error.subcategory": subcategory,
                "error.cause": cause,
                "error.severity": "medium",
                "error.message": f"{cause} in {step}",
                "error.context.step": step,
                "error.fingerprint": fingerprint,
            },
        )

    def give_back(self, buyer: Buyer, delivery: str) -> None:
        """Weeks later, on no run: what a returning buyer's webhook tells."""
        planted = self.truth.planted["returns"]
        if buyer.name != planted["buyer"] or self.random.random() >= 0.1:
            return
        planted["leads"] += 1
        self.now += planted["after_ns"]
        self.truth.returned[buyer.name, buyer.currency] += buyer.revenue
        self.run_id, self.trace_id = "", f"{self.random.getrandbits(128) or 1:032x}"
        self.tell(
            "lead.returned",
            "rejection",
            self.new_span(),
            **{
                "lead.return.amount": float(buyer.revenue),
                "lead.return.currency": buyer.currency,
                "lead.return.reason": "wrong number",
                "delivery.buyer": buyer.name,
                "delivery.id": delivery,
            },
        )
