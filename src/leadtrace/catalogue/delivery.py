"""The delivery family: a lead offered to a buyer, and the bids before it."""

from __future__ import annotations

from leadtrace.catalogue.common import CATEGORIES, SUBCATEGORIES, Raised
from leadtrace.catalogue.model import Event, field


class _Delivery(Event):
    id: str | None = field(
        default=None, by="word", doc="The delivery's own id, on all its events; closes a pending one later."
    )
    buyer: str | None = field(default=None, by="word", dimension=True, doc="The buyer.")


class _Ended(_Delivery):
    duration_ms: float | None = field(
        default=None,
        unit="ms",
        by="word",
        aliases=("duration_ms",),
        doc="How long the delivery took, all tries included.",
    )
    attempts: int | None = field(default=None, unit="{attempt}", by="word", doc="How many tries were made.")
    reference: str | None = field(default=None, by="word", doc="The buyer's reference for it.")


class _Refused(_Ended):
    reason: str | None = field(default=None, by="word", doc="Why, in a few words.")
    code: str | None = field(default=None, by="word", dimension=True, doc="The buyer's code for the reason.")


class _Failed(_Refused, Raised):
    failure_category: str | None = field(
        ".failure.category",
        default=None,
        by="word",
        dimension=True,
        values=CATEGORIES,
        doc="First level of the failure taxonomy.",
    )
    failure_subcategory: str | None = field(
        ".failure.subcategory",
        default=None,
        by="word",
        dimension=True,
        values=SUBCATEGORIES,
        doc="Second level of the failure taxonomy.",
    )
    failure_cause: str | None = field(
        ".failure.cause", default=None, by="word", dimension=True, doc="Third level of the failure taxonomy."
    )


class DeliveryStarted(_Delivery, name="delivery.started", kind="start", source="leadtrace", lead="if_open"):
    """A lead is being offered to a buyer."""


class DeliveryAccepted(_Ended, name="delivery.accepted", kind="success", source="leadtrace", lead="if_open"):
    """The buyer accepted the lead."""

    revenue: float | None = field(
        default=None, unit="{currency}", by="word", doc="What the buyer pays, in major units."
    )
    currency: str | None = field(
        default=None, by="word", dimension=True, aliases=("currency",), doc="Currency of the revenue (ISO 4217)."
    )


class DeliveryRejected(_Refused, name="delivery.rejected", kind="rejection", source="leadtrace", lead="if_open"):
    """The buyer answered no: a valid answer, not a failure."""


class DeliveryPending(
    _Refused,
    name="delivery.pending",
    kind="milestone",
    source="leadtrace",
    lead="if_open",
    exception="an answer that is still to come has no past tense; it is the delivery's outcome, as the words have it",
):
    """The buyer will answer later, under the reference."""


class DeliveryFailed(_Failed, name="delivery.failed", kind="failure", source="leadtrace", lead="if_open"):
    """The delivery did not take place: the request cannot have reached the buyer, or the call broke on our side."""


class DeliveryUnconfirmed(_Failed, name="delivery.unconfirmed", kind="failure", source="leadtrace", lead="if_open"):
    """Nobody knows whether the buyer has the lead: the request may have arrived and no answer came."""


class DeliveryCancelled(_Refused, name="delivery.cancelled", kind="cancelled", source="leadtrace", lead="if_open"):
    """The delivery was cancelled before any try began."""


class _Bid(Event):
    id: str | None = field(default=None, doc="The bid's id.")
    buyer: str | None = field(default=None, dimension=True, doc="The buyer that was asked.")
    auction_id: str | None = field(default=None, doc="The ping or auction that the bid belongs to.")


class BidRequested(_Bid, name="bid.requested", kind="milestone", source="leadtrace"):
    """A buyer was asked what it would pay for the lead."""


class BidReceived(_Bid, name="bid.received", kind="milestone", source="leadtrace"):
    """A buyer said what it would pay."""

    price: float | None = field(default=None, unit="{currency}", doc="What the buyer would pay, in major units.")
    currency: str | None = field(
        default=None, dimension=True, aliases=("currency",), doc="Currency of the price (ISO 4217)."
    )
    duration_ms: float | None = field(
        default=None, unit="ms", aliases=("duration_ms",), doc="From the request to the answer."
    )


class BidDeclined(_Bid, name="bid.declined", kind="rejection", source="leadtrace"):
    """A buyer would not bid for the lead."""

    reason: str | None = field(default=None, doc="Why, in a few words.")
    code: str | None = field(default=None, dimension=True, doc="The buyer's code for the reason.")
    duration_ms: float | None = field(
        default=None, unit="ms", aliases=("duration_ms",), doc="From the request to the answer."
    )


class BidExpired(_Bid, name="bid.expired", kind="milestone", source="leadtrace"):
    """A buyer did not bid in time, or its bid ran out."""

    waited_ms: float | None = field(default=None, unit="ms", doc="How long it was waited for.")
