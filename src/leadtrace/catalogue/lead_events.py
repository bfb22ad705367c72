"""Lead events: what an advertising platform is told about a lead; saved first, sent after."""

from __future__ import annotations

from leadtrace.catalogue import model
from leadtrace.catalogue.model import Event, field


class _LeadEvent(Event):
    id: str | None = field(default=None, doc="The lead event's own id.")
    type: str | None = field(default=None, dimension=True, doc="What the lead event says (`Lead`, `Purchase` …).")
    destination: str | None = field(default=None, dimension=True, doc="The advertising platform.")
    account_id: str | None = field(default=None, doc="The advertising account.")
    campaign_group: str | None = field(default=None, dimension=True, doc="The group of campaigns.")
    campaign_id: str | None = field(default=None, doc="The campaign.")
    ad_id: str | None = field(default=None, doc="The advertisement.")


class LeadEventReceived(_LeadEvent, name="lead.event.received", kind="milestone", source="001", lead="if_open"):
    """A lead event came in."""


class LeadEventSaved(_LeadEvent, name="lead.event.saved", kind="milestone", source="001", lead="if_open"):
    """The lead event is stored, and only now may it be sent."""


class LeadEventSent(_LeadEvent, name="lead.event.sent", kind="milestone", source="001", lead="if_open"):
    """The platform took the lead event."""

    resend: bool | None = field(default=None, doc="Whether it had been sent before.")


class LeadEventFailed(_LeadEvent, name="lead.event.failed", kind="attempt_failure", source="001", lead="if_open"):
    """The platform did not take the lead event this time."""

    reason: str | None = field(default=None, doc="Why, in a few words.")
    error_type: str | None = field(
        "error.type", default=None, dimension=True, doc="The exception's type, or the status."
    )
    http_response_status_code: int | None = field(
        "http.response.status_code", default=None, dimension=True, doc="The status of the platform's answer."
    )


class LeadEventReleased(_LeadEvent, name="lead.event.released", kind="milestone", source="leadtrace", lead="if_open"):
    """Somebody let the lead event out of quarantine: it waits to be sent."""


class LeadEventDiscarded(_LeadEvent, name="lead.event.discarded", kind="milestone", source="leadtrace", lead="if_open"):
    """Somebody let go of the lead event in quarantine: it is never sent."""

    reason: str | None = field(default=None, doc="Why it was in quarantine.")


class LeadEventQuarantined(_LeadEvent, name="lead.event.quarantined", kind="failure", source="001", lead="if_open"):
    """The lead event is malformed, or refused by its platform for good: kept for investigation, not sent."""

    reason: str | None = field(default=None, doc="What is wrong with it.")
    location: str | None = field(default=None, doc="Where the raw record lies.")
    # `field` is this attribute's own name from here on: it comes last, and is declared by the long one.
    field: str | None = model.field(default=None, dimension=True, doc="The field that is wrong.")
