"""What a timeline is, as plain data: entries in order, runs, money, state, marks, and its stable JSON form."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from leadtrace.otlp.records import Value

__all__ = [
    "SCHEMA",
    "AlertOver",
    "Attempt",
    "Entry",
    "Json",
    "Mark",
    "Money",
    "Outline",
    "Run",
    "Status",
    "Timeline",
    "decimal_text",
    "json_value",
]

SCHEMA = "leadtrace.lead/1"
"""The `schema` of a timeline's JSON: the number rises when a key changes its meaning or goes."""

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Status: TypeAlias = Literal["unset", "ok", "error", "unfinished"]


def decimal_text(amount: Decimal) -> str:
    """A decimal string without exponent and without zeros that say nothing."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def json_value(value: object) -> Json:
    """A recorded value as JSON: bytes as base64 under a key of their own, numbers unknown to JSON as their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [json_value(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): json_value(one) for key, one in value.items()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return decimal_text(value) if isinstance(value, Decimal) else str(value)


@dataclass(slots=True, frozen=True)
class Mark:
    """Something odd or missing, told to whoever reads: a word for programs and a sentence for people."""

    code: str
    text: str
    span_id: str = ""
    uid: str = ""

    def as_json(self) -> dict[str, Json]:
        found: dict[str, Json] = {"code": self.code, "text": self.text}
        if self.span_id:
            found["span_id"] = self.span_id
        if self.uid:
            found["uid"] = self.uid
        return found


@dataclass(slots=True, frozen=True)
class Attempt:
    """One try among those of its word's parent: which, of how many, and the wait before it."""

    number: int
    of: int = 0
    """The most that there may be, as far as it was told; 0 where it was not."""
    waited_ms: float | None = None
    """The wait that happened, before this try."""
    planned_ms: float | None = None
    """The wait that was planned, after this try."""
    will_retry: bool | None = None


@dataclass(slots=True)
class Entry:
    """One line of a timeline: a span (a word's, or foreign) or an event.

    A word whose trace was sampled out is a span all the same, made from its start and end events.
    """

    type: Literal["span", "event"]
    name: str
    kind: str
    """Of an event, the catalogue's (`success`, `failure` …), '' where unknown; of a span, OpenTelemetry's."""
    service: str
    time_ns: int
    depth: int = 0
    duration_ms: float | None = None
    """None of events, and of what has not ended."""
    status: Status = "unset"
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    uid: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    body: Value | None = None
    """Of log records only, where it says more than the event's name."""
    marks: tuple[str, ...] = ()
    reader: dict[str, Value] = field(default_factory=dict)
    """Attributes that nobody could know when it was recorded, computed by the reader."""
    word: str = ""
    """Of a span: the word that made it; '' of foreign ones."""
    role: Literal["", "start", "end"] = ""
    """Of an event: whether it begins or ends the word that it lies under."""
    outcome: str = ""
    """Of a span: the name of the event that ended it."""
    run_id: str = ""
    attempt: Attempt | None = None
    status_message: str = ""

    def as_json(self) -> dict[str, Json]:
        """The stable keys, then those that are there only where they say something."""
        found: dict[str, Json] = {
            "time_unix_nano": self.time_ns,
            "type": self.type,
            "name": self.name,
            "kind": self.kind,
            "service": self.service,
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "parent_span_id": self.parent_span_id,
        }
        if self.type == "event":
            found["uid"] = self.uid
        found |= {"depth": self.depth, "duration_ms": self.duration_ms, "status": self.status}
        if self.outcome:
            found["outcome"] = self.outcome
        if self.status_message:
            found["status_message"] = self.status_message
        if self.attempt is not None:
            found["attempt"] = {
                key: value
                for key, value in (
                    ("number", self.attempt.number),
                    ("of", self.attempt.of or None),
                    ("waited_ms", self.attempt.waited_ms),
                    ("planned_ms", self.attempt.planned_ms),
                    ("will_retry", self.attempt.will_retry),
                )
                if value is not None
            }
        if self.body is not None:
            found["body"] = json_value(self.body)
        if self.marks:
            found["marks"] = list(self.marks)
        if self.reader:
            found["reader"] = json_value(self.reader)
        found["attributes"] = json_value(self.attributes)
        return found


@dataclass(slots=True, frozen=True)
class Money:
    """What was spent and earned in one currency; never converted, never summed with another."""

    currency: str
    cost: Decimal = Decimal()
    revenue: Decimal = Decimal()
    """Of accepted deliveries, before what was returned."""
    returned: Decimal = Decimal()

    @property
    def net_revenue(self) -> Decimal:
        return self.revenue - self.returned

    @property
    def margin(self) -> Decimal:
        return self.net_revenue - self.cost

    def as_json(self) -> dict[str, Json]:
        return {
            "currency": self.currency,
            "cost": decimal_text(self.cost),
            "revenue": decimal_text(self.revenue),
            "returned": decimal_text(self.returned),
            "net_revenue": decimal_text(self.net_revenue),
            "margin": decimal_text(self.margin),
        }


@dataclass(slots=True)
class Run:
    """One passage of a lead: a flow's call and all that was handed over from it."""

    run_id: str
    flow_id: str = ""
    name: str = ""
    version: str = ""
    parent_run_id: str = ""
    began_ns: int = 0
    ended_ns: int = 0
    """0 while it is open."""
    ended_by: str = ""
    """The event that ended it; '' while it is open, and where the end of all that was handed over ended it."""
    outcome: str = ""
    """The final outcome as the reader counts it; '' while it is open."""
    services: tuple[str, ...] = ()
    counted: dict[str, Value] = field(default_factory=dict)
    """The summary's fields, counted over the whole run by the reader."""
    said: dict[str, Value] = field(default_factory=dict)
    """The same fields, as the event that ended it said."""
    unattributed: dict[str, str] = field(default_factory=dict)
    """Said less counted, where they differ, as decimal strings."""
    money: tuple[Money, ...] = ()
    delivered_to: tuple[str, ...] = ()

    @property
    def duration_ms(self) -> float | None:
        return (self.ended_ns - self.began_ns) / 1e6 if self.ended_ns else None

    def as_json(self) -> dict[str, Json]:
        return {
            "run_id": self.run_id,
            "flow_id": self.flow_id,
            "name": self.name,
            "version": self.version,
            "parent_run_id": self.parent_run_id,
            "began_unix_nano": self.began_ns,
            "ended_unix_nano": self.ended_ns or None,
            "duration_ms": self.duration_ms,
            "ended_by": self.ended_by,
            "outcome": self.outcome,
            "services": list(self.services),
            "delivered_to": list(self.delivered_to),
            "counted": json_value(self.counted),
            "said": json_value(self.said),
            "unattributed": json_value(self.unattributed),
            "money": [one.as_json() for one in self.money],
        }


@dataclass(slots=True)
class Outline:
    """What a lead's runs took, cost and earned: of its timeline the spans and the events that end them, and no more."""

    lead_id: str
    entries: list[Entry]
    """Spans, without what is odd about them and the waits between tries; and their end events."""
    runs: list[Run]
    """Without what they said of themselves and what is counted beside it."""
    incomplete: list[str]


@dataclass(slots=True, frozen=True)
class AlertOver:
    """An alert that covers the lead's group and time."""

    id: str
    rule: str
    group: str
    severity: str
    began_ns: int
    ended_ns: int = 0
    """0 while it lasts, as far as is recorded."""
    why: str = ""

    def as_json(self) -> dict[str, Json]:
        return {
            "id": self.id,
            "rule": self.rule,
            "group": self.group,
            "severity": self.severity,
            "began_unix_nano": self.began_ns,
            "ended_unix_nano": self.ended_ns or None,
            "why": self.why,
        }


@dataclass(slots=True)
class Timeline:
    """One lead's story over all its traces, services and weeks: ordered by cause, then sequence, then time."""

    lead_id: str
    tenant: str | None = None
    entries: list[Entry] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    state: str = ""
    outcome: str = ""
    """The last run's; '' while that is open, and without any run."""
    money: list[Money] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    """Why something may be missing, in sentences; empty when the timeline is whole as far as its source can say."""
    now_ns: int = 0
    alerts: list[AlertOver] = field(default_factory=list)
    """Those that cover its group and time, in order of their beginning."""

    @property
    def complete(self) -> bool:
        return not self.incomplete

    @property
    def events(self) -> Iterator[Entry]:
        """The events alone, in the timeline's order."""
        return (one for one in self.entries if one.type == "event")

    @property
    def services(self) -> list[str]:
        """Each service once, in the order in which they first appear."""
        return list(dict.fromkeys(one.service for one in self.entries if one.service))

    @property
    def first_ns(self) -> int:
        return min((one.time_ns for one in self.entries if one.time_ns), default=0)

    @property
    def last_ns(self) -> int:
        return max((one.time_ns + int((one.duration_ms or 0) * 1e6) for one in self.entries), default=0)

    def text(self, width: int = 100) -> str:
        """The story to be read, plain, no line wider than `width`."""
        from leadtrace.query.story import text

        return text(self, width)

    def __str__(self) -> str:
        return self.text()

    def as_json(self) -> dict[str, Json]:
        """The form that `leadtrace lead --json` prints; `alerts` is there only where some cover the lead."""
        found: dict[str, Json] = {
            "schema": SCHEMA,
            "lead_id": self.lead_id,
            "tenant": self.tenant,
            "state": self.state,
            "outcome": self.outcome,
            "complete": self.complete,
            "incomplete": list(self.incomplete),
            "money": [one.as_json() for one in self.money],
            "runs": [one.as_json() for one in self.runs],
            "marks": [one.as_json() for one in self.marks],
            "entries": [one.as_json() for one in self.entries],
        }
        if self.alerts:
            found["alerts"] = [one.as_json() for one in self.alerts]
        return found
