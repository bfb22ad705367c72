"""The lead family: what the business decides about a lead."""

from __future__ import annotations

from leadtrace.catalogue.model import Event, field


class LeadReceived(Event, name="lead.received", kind="milestone", source="leadtrace"):
    """A lead came in."""

    source: str | None = field(default=None, dimension=True, doc="Where it came from.")
    campaign: str | None = field(default=None, dimension=True, doc="The campaign that brought it.")
    campaign_group: str | None = field(default=None, dimension=True, doc="The group that the campaign belongs to.")


class LeadAccepted(Event, name="lead.accepted", kind="milestone", source="leadtrace"):
    """The lead was taken in."""


class LeadDeclined(Event, name="lead.declined", kind="rejection", source="leadtrace"):
    """The lead was not taken in: a valid no."""

    reason: str | None = field(default=None, dimension=True, doc="Why, in a few words.")
    code: str | None = field(default=None, dimension=True, doc="A code for the reason.")


class LeadPurchased(Event, name="lead.purchased", kind="milestone", source="leadtrace"):
    """The lead was bought from its source; the price is a cost of its flow."""

    price: float | None = field(default=None, unit="{currency}", doc="What was paid for the lead, in major units.")
    currency: str | None = field(
        default=None, dimension=True, aliases=("currency",), doc="Currency of the price (ISO 4217)."
    )
    source: str | None = field(default=None, dimension=True, doc="Where it came from.")


class LeadReturned(Event, name="lead.returned", kind="rejection", source="leadtrace"):
    """A buyer gave the lead back, often weeks later; it changes the revenue as of then."""

    return_amount: float | None = field(
        ".return.amount", default=None, unit="{currency}", doc="What was paid back, in major units."
    )
    return_currency: str | None = field(
        ".return.currency",
        default=None,
        dimension=True,
        aliases=("currency",),
        doc="Currency of the amount (ISO 4217).",
    )
    return_reason: str | None = field(".return.reason", default=None, dimension=True, doc="Why, in a few words.")
    delivery_buyer: str | None = field(
        "delivery.buyer", default=None, dimension=True, doc="The buyer that gave it back."
    )
    delivery_id: str | None = field("delivery.id", default=None, doc="The delivery that is taken back.")


class LeadStateChanged(Event, name="lead.state.changed", kind="transition", source="leadtrace"):
    """The lead's state changed."""

    from_: str | None = field(default=None, by="word", dimension=True, doc="The state before; absent at first.")
    to: str = field(requirement="required", by="word", dimension=True, doc="The state now.")
    reason: str | None = field(default=None, by="word", doc="Why, in a few words.")
    final: bool | None = field(default=None, by="word", doc="Whether no other state is to follow.")
