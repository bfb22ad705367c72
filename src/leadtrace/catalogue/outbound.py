"""Cold outbound: dispatch, policy, health, ingest, enrollment and template events of a delivery engine.

Measurements and metadata are two groups: `count`, and `rate` of threshold checks, are measured; all else is metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace.catalogue.model import Event, field

if TYPE_CHECKING:
    from datetime import datetime


class _Counted(Event):
    count: int | None = field(
        "outbound.count", default=None, unit="{event}", doc="How many of these the event stands for: 1 unless batched."
    )
    tenant_key: str | None = field(
        "tenant_key", default=None, doc="The tenant, where the event is tied to stored data."
    )


class _OfAdapter(_Counted):
    adapter_id: str | None = field("outbound.adapter_id", default=None, doc="The channel adapter.")


class _OfExecution(_Counted):
    step_execution_id: str | None = field(
        "outbound.step_execution_id", default=None, doc="The dispatch or policy row that is worked on."
    )


class _OfEnrollment(_Counted):
    enrollment_id: str | None = field("outbound.enrollment_id", default=None, doc="The enrollment.")


class DispatchAdapterPinned(
    _OfEnrollment, _OfAdapter, name="dispatch.adapter_pinned", kind="milestone", source="003", lead="if_open"
):
    """An enrollment was pinned to an adapter of a pool."""

    sequence_version_id: str | None = field(
        "outbound.sequence_version_id", default=None, doc="The version of the sequence."
    )


class DispatchPoolExhausted(_Counted, name="dispatch.pool_exhausted", kind="failure", source="003", lead=False):
    """No member of the pool may send."""

    pool_id: str | None = field("outbound.pool_id", default=None, doc="The pool.")
    sequence_version_id: str | None = field(
        "outbound.sequence_version_id", default=None, doc="The version of the sequence."
    )
    evicted_adapter_ids: list[str] | None = field(
        "outbound.evicted_adapter_ids", default=None, doc="The adapters that were taken out of the pool."
    )


class DispatchSent(_OfEnrollment, _OfExecution, name="dispatch.sent", kind="milestone", source="003", lead="if_open"):
    """The provider accepted the message and the host stored that it was sent: emitted only after both."""

    sequence_key: str | None = field("outbound.sequence_key", default=None, dimension=True, doc="The sequence.")
    step_key: str | None = field("outbound.step_key", default=None, dimension=True, doc="The step of the sequence.")
    channel: str | None = field("outbound.channel", default=None, dimension=True, doc="The channel (`email`, `sms` …).")
    adapter_provider: str | None = field(
        "outbound.adapter_provider", default=None, dimension=True, doc="The adapter's provider."
    )
    provider_message_id: str | None = field(
        "outbound.provider_message_id", default=None, doc="The provider's id of the message."
    )
    out_message_id: str | None = field("outbound.out_message_id", default=None, doc="The host's id of the message.")


class _Policy(_OfAdapter, _OfExecution):
    pass


class PolicyAdapterResting(
    _Policy,
    name="policy.adapter_resting",
    kind="milestone",
    source="003",
    lead=False,
    exception="the delivery engine's own name; a present participle for a state that holds",
):
    """The adapter is resting; the dispatch is deferred."""

    defer_until: datetime | None = field(
        "outbound.defer_until", default=None, unit="ns", measurement=False, doc="When it is tried again."
    )


class PolicyRampCap(
    _Policy,
    name="policy.ramp_cap",
    kind="milestone",
    source="003",
    lead=False,
    exception="the delivery engine's own name; it names the limit that was met, not the meeting of it",
):
    """The adapter has sent what it may send today."""

    rate: float | None = field("outbound.rate", default=None, unit="1", doc="Sent, as a share of the limit.")
    sent_count: int | None = field("outbound.sent_count", default=None, doc="How many it has sent.")
    cap: int | None = field("outbound.cap", default=None, doc="How many it may send.")


class PolicySubCap(
    _Policy,
    name="policy.sub_cap",
    kind="milestone",
    source="003",
    lead=False,
    exception="the delivery engine's own name; it names the limit that was met, not the meeting of it",
):
    """The sequence has had its share of the adapter's sending."""

    rate: float | None = field("outbound.rate", default=None, unit="1", doc="Sent, as a share of the limit.")
    sequence_version_id: str | None = field(
        "outbound.sequence_version_id", default=None, doc="The version of the sequence."
    )
    sent_count: int | None = field("outbound.sent_count", default=None, doc="How many it has sent.")
    cap: int | None = field("outbound.cap", default=None, doc="How many it may send.")
    max_share_pct: float | None = field(
        "outbound.max_share_pct", default=None, doc="The largest share of one sequence, in percent."
    )


class PolicyMinGap(
    _Policy,
    name="policy.min_gap",
    kind="milestone",
    source="003",
    lead=False,
    exception="the delivery engine's own name; it names the limit that was met, not the meeting of it",
):
    """The adapter sent too short a time ago; the dispatch is deferred."""

    defer_until: datetime | None = field(
        "outbound.defer_until", default=None, unit="ns", measurement=False, doc="When it is tried again."
    )
    min_gap_seconds: float | None = field(
        "outbound.min_gap_seconds",
        default=None,
        unit="s",
        measurement=False,
        doc="The shortest time between two sendings.",
    )


class HealthStateChanged(_OfAdapter, name="health.state_changed", kind="transition", source="003", lead=False):
    """An adapter's health changed."""

    from_: str | None = field("outbound.from", default=None, dimension=True, doc="The state before; absent at first.")
    to: str | None = field("outbound.to", default=None, dimension=True, doc="The state now.")
    reason: str | None = field("outbound.reason", default=None, dimension=True, doc="Why, in a few words.")
    source: str | None = field("outbound.source", default=None, dimension=True, doc="Who says so.")


class HealthExternalSignal(
    _OfAdapter,
    name="health.external_signal",
    kind="milestone",
    source="003",
    lead=False,
    exception="the delivery engine's own name; a noun for what was accepted",
):
    """The host told an adapter's health from outside."""

    health_state: str | None = field(
        "outbound.health_state", default=None, dimension=True, doc="The state that was told."
    )
    health_score: float | None = field("outbound.health_score", default=None, doc="The score that was told.")
    source: str | None = field("outbound.source", default=None, dimension=True, doc="Who says so.")


class IngestInboundMessage(
    _OfExecution,
    name="ingest.inbound_message",
    kind="milestone",
    source="003",
    lead="if_open",
    exception="the delivery engine's own name; a noun for what was stored",
):
    """A message from outside was stored."""

    provider: str | None = field("outbound.provider", default=None, dimension=True, doc="The provider.")
    provider_message_id: str | None = field(
        "outbound.provider_message_id", default=None, doc="The provider's id of the message."
    )
    provider_event_id: str | None = field(
        "outbound.provider_event_id", default=None, doc="The provider's id of its event."
    )
    intent: str | None = field("outbound.intent", default=None, dimension=True, doc="What the message wants.")


class IngestOooRescheduled(
    _OfEnrollment, name="ingest.ooo_rescheduled", kind="milestone", source="003", lead="if_open"
):
    """An out-of-office answer moved what was scheduled."""

    return_at: datetime | None = field(
        "outbound.return_at", default=None, unit="ns", measurement=False, doc="When the person is back."
    )
    scheduled_for: datetime | None = field(
        "outbound.scheduled_for", default=None, unit="ns", measurement=False, doc="When it is sent instead."
    )


class EnrollmentPausedPinUnavailable(
    _OfEnrollment,
    _OfAdapter,
    name="enrollment.paused_pin_unavailable",
    kind="milestone",
    source="003",
    lead="if_open",
    exception="the delivery engine's own name; its verb comes first and its reason after",
):
    """The pinned adapter is gone for good, and the enrollment is paused."""


class EnrollmentSenderReassigned(
    _OfEnrollment, name="enrollment.sender_reassigned", kind="milestone", source="003", lead="if_open"
):
    """An enrollment's pin was moved to another adapter."""

    old_adapter_id: str | None = field("outbound.old_adapter_id", default=None, doc="The adapter before.")
    new_adapter_id: str | None = field("outbound.new_adapter_id", default=None, doc="The adapter now.")
    reason: str | None = field("outbound.reason", default=None, dimension=True, doc="Why, in a few words.")


class _Template(_OfExecution):
    reason: str | None = field("outbound.reason", default=None, dimension=True, doc="What is wrong with it.")
    attempt_window: str | None = field(
        "outbound.attempt_window", default=None, doc="The window of tries in which it was rendered."
    )


class TemplateSpintaxError(
    _Template,
    name="template.spintax_error",
    kind="failure",
    source="003",
    lead="if_open",
    exception="the delivery engine's own name; a noun for what was found",
):
    """A text with malformed variants fell back to the original."""

    text: str | None = field(
        "outbound.text",
        default=None,
        personal="text",
        doc="The text; recorded as a hash and its length unless allowed.",
    )


class TemplateSpintaxWarning(
    _Template,
    name="template.spintax_warning",
    kind="milestone",
    source="003",
    lead="if_open",
    exception="the delivery engine's own name; a noun for what was found",
):
    """A text's variants have a fault that could be mended."""

    token: str | None = field("outbound.token", default=None, doc="The part that is at fault.")
