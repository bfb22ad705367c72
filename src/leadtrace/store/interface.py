"""What every source of recorded leads promises: one interface, an implementation per kind of source.

A source hands out records (`leadtrace.otlp.records`) and decides nothing about them: which record belongs to a lead, what
a timeline is and what it costs is worked out in `query`, the same way over every source.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from leadtrace.otlp.ledger import Held
    from leadtrace.otlp.records import EventRecord, SpanRecord

__all__ = ["EventFilter", "Found", "Holds", "LeadFilter", "LeadRow", "Source"]


@dataclass(slots=True, frozen=True)
class Holds:
    """What a source can hold at all, whatever was sent to it."""

    logs: bool = True
    """Log events; without them, events are there only as far as spans carried them."""
    unfinished: bool = True
    """Work that has begun and not ended."""
    exhaustive: bool = True
    """Answers are never cut by a depth limit."""
    note: str = ""
    """One sentence for a person on what is missing by nature, '' where nothing is."""


@dataclass(slots=True)
class Found:
    """What a source has on one lead or trace: a superset, from which `query` picks what belongs.

    For a lead: every record that names it (`lead.id` or `leadtrace.lead_ids`), every other record of the traces that those
    are in (a foreign span belongs to its nearest ancestor's lead), and every record of their runs (`leadtrace.run_id`),
    whatever trace it is in: a flow may learn its lead after it began. Spans and events in no particular order; each
    once. A span's events are in `events`, its own list is empty.
    """

    spans: list[SpanRecord] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    """Why the answer may lack something, in sentences; empty when it is whole."""


@dataclass(slots=True, frozen=True)
class EventFilter:
    """Which events: all conditions hold. Names may end in `.*`. Times are Unix nanoseconds, start included, end not."""

    names: Sequence[str] = ()
    lead_id: str = ""
    trace_id: str = ""
    tenant: str | None = None
    """None: any tenant; '': records that carry none."""
    since_ns: int = 0
    until_ns: int = 0
    kinds: Sequence[str] = ()
    after_arrival: int = 0
    limit: int = 0
    """0: all of them."""
    note: Callable[[str], None] | None = field(default=None, compare=False)
    """Called with a sentence for each reason why the answer may lack something: one given piece by piece cannot carry them."""


@dataclass(slots=True, frozen=True)
class LeadFilter:
    since_ns: int = 0
    until_ns: int = 0
    tenant: str | None = None
    state: str = ""
    outcome: str = ""
    contains: str = ""
    """Part of the lead's id."""
    limit: int = 0
    note: Callable[[str], None] | None = field(default=None, compare=False)
    """Called with a sentence for each reason why the answer may lack something: one given piece by piece cannot carry them."""


@dataclass(slots=True, frozen=True)
class LeadRow:
    lead_id: str
    tenant: str
    first_ns: int
    last_ns: int
    state: str = ""
    """`.to` of the last `lead.state.changed`."""
    outcome: str = ""
    """`flow.summary.final_outcome` of the last run's end, `failed`, `cancelled` or `interrupted` by its event; '' while open."""


class Source(Protocol):
    """Where recorded leads are read from.

    One source may be used from several threads at once. Times are Unix nanoseconds. Answers are snapshots: a record that
    arrives while an answer is read may or may not be in it. Raises `SourceError` where the source cannot be reached or
    read; a lead that it does not know is an empty answer, not an error.
    """

    @property
    def url(self) -> str:
        """How a user named it."""
        ...

    @property
    def holds(self) -> Holds: ...

    def lead(self, lead_id: str, tenant: str | None = None) -> Found:
        """All that is needed for one lead's timeline."""
        ...

    def trace(self, trace_id: str) -> Found:
        """All records of one trace."""
        ...

    def leads(self, which: LeadFilter) -> Iterator[LeadRow]:
        """Leads, the one last touched first."""
        ...

    def events(self, which: EventFilter) -> Iterator[EventRecord]:
        """Events in the order of their arrival (of their time, where a source knows no arrival)."""
        ...

    def nearest(self, lead_id: str, tenant: str | None = None) -> str:
        """The known lead id most like this one, '' where none is: for the sentence after a typing mistake."""
        ...

    def sequences(self) -> Iterator[Held]:
        """For each process that numbers its events (`log.record.uid`) which numbers are there, and which were erased.

        Raises SourceError where a source cannot tell.
        """
        ...

    def close(self) -> None: ...
