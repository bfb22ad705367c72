"""leadtrace's own events: what it did or could not do itself, and records of a batch that nobody could read."""

from __future__ import annotations

from leadtrace.catalogue.model import Event, field


class HandlerFailed(Event, name="leadtrace.handler.failed", kind="failure", source="leadtrace", lead=False):
    """A handler raised and was detached."""

    id: str | None = field(default=None, by="word", doc="The handler's id.")
    event: str | None = field(default=None, by="word", doc="The event that it was called with.")
    error_type: str | None = field("error.type", default=None, by="word", dimension=True, doc="The exception's type.")
    error_message: str | None = field(
        "error.message", default=None, by="word", doc="The exception's message, scrubbed."
    )


class RecordsDropped(Event, name="leadtrace.records.dropped", kind="failure", source="leadtrace", lead=False):
    """Records were refused or lost; one event tells the range."""

    count: int | None = field(default=None, unit="{record}", by="word", doc="How many.")
    reason: str | None = field(default=None, by="word", dimension=True, doc="Why (`full`, `closed`, `rejected` …).")
    signal: str | None = field(
        default=None, by="word", dimension=True, values=("logs", "traces", "lead_event"), doc="What they were."
    )
    first_at: int | None = field(default=None, unit="ns", by="word", measurement=False, doc="When the first was lost.")
    last_at: int | None = field(default=None, unit="ns", by="word", measurement=False, doc="When the last was lost.")


class RecordQuarantined(Event, name="record.quarantined", kind="failure", source="leadtrace", lead=False):
    """A record of a batch cannot be read as a lead; it is kept aside with its place."""

    source: str | None = field(default=None, dimension=True, doc="The file or feed.")
    line: int | None = field(default=None, doc="The line, counted from 1.")
    reason: str | None = field(default=None, doc="What is wrong with it.")
