"""What was recorded, as the reading side holds it: spans and events, decoded from OTLP and from what other servers answer.

Every source (embedded store, served store, Jaeger) and every test double hands out these and only these. They are plain
data: nothing here knows where a record came from or what will be asked of it. Ids are lower-case hex (trace 32 digits,
span 16), '' where there is none. Times are int Unix nanoseconds, 0 where unknown.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["EventRecord", "Link", "Resource", "Scope", "SpanRecord", "Value", "lead_ids_of"]

Value: TypeAlias = "str | bool | int | float | bytes | list[Value] | dict[str, Value]"
"""An OTLP AnyValue. An empty AnyValue is left out when it stands alone; inside a list it is ''."""


@dataclass(slots=True, frozen=True)
class Resource:
    """The process that recorded: its attributes as they came."""

    attributes: Mapping[str, Value] = field(default_factory=dict)
    schema_url: str = ""

    @property
    def service(self) -> str:
        """`service.name`, or '' where the process did not say."""
        return str(self.attributes.get("service.name", ""))


@dataclass(slots=True, frozen=True)
class Scope:
    """The instrumentation that recorded. leadtrace's own is named `leadtrace`, its schema URL the catalogue's version."""

    name: str = ""
    version: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    schema_url: str = ""


@dataclass(slots=True, frozen=True)
class Link:
    trace_id: str
    span_id: str
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(slots=True)
class EventRecord:
    """One event, from a log record, from a span event, or from both (one uid, one event).

    `origin` says which: `both` once the two met. A log record without an event name is kept too: its name is ''.
    `index` is the place among its span's events, -1 where it was no span event.
    """

    name: str
    time_ns: int
    trace_id: str = ""
    span_id: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    resource: Resource = field(default_factory=Resource)
    scope: Scope = field(default_factory=Scope)
    origin: Literal["log", "span", "both"] = "log"
    index: int = -1
    observed_ns: int = 0
    severity_number: int = 0
    severity_text: str = ""
    body: Value | None = None
    flags: int = 0
    marks: tuple[str, ...] = ()
    arrival: int = 0

    @property
    def uid(self) -> str:
        """`log.record.uid`: 16 hex digits of the process's boot id and 12 of its counter; '' on foreign events."""
        return str(self.attributes.get("log.record.uid", ""))

    @property
    def lead_id(self) -> str:
        return str(self.attributes.get("lead.id", ""))

    @property
    def timestamp(self) -> datetime.datetime:
        """Its time as an aware datetime in UTC, to the microsecond; `time_ns` is exact."""
        return datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(microseconds=self.time_ns // 1000)


@dataclass(slots=True)
class SpanRecord:
    """One span as it ended. `end_ns` 0: unfinished. Its events are records of their own: see `events`."""

    trace_id: str
    span_id: str
    name: str
    start_ns: int
    end_ns: int
    parent_span_id: str = ""
    kind: int = 1
    """OTLP's SpanKind: 1 internal, 2 server, 3 client, 4 producer, 5 consumer."""
    status: Literal["unset", "ok", "error"] = "unset"
    status_message: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    resource: Resource = field(default_factory=Resource)
    scope: Scope = field(default_factory=Scope)
    links: tuple[Link, ...] = ()
    events: list[EventRecord] = field(default_factory=list)
    """As decoded only: a store takes them out, unites them with their log records and answers them beside the spans."""
    trace_state: str = ""
    flags: int = 0
    dropped: tuple[int, int, int] = (0, 0, 0)
    """How many attributes, events and links the sender's limits dropped."""
    marks: tuple[str, ...] = ()
    """What is odd about it (`time_in_future`, `end_before_start`, `bad_id` …), set when it is received."""
    arrival: int = 0

    @property
    def lead_id(self) -> str:
        return str(self.attributes.get("lead.id", ""))


def lead_ids_of(attributes: Mapping[str, Value]) -> Iterator[str]:
    """The leads that a record names itself: `lead.id`, then each of `leadtrace.lead_ids`."""
    if lead := attributes.get("lead.id"):
        yield str(lead)
    several = attributes.get("leadtrace.lead_ids")
    if isinstance(several, list):
        yield from (str(one) for one in several)
