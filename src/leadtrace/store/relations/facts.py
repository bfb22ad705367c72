"""The columns that relations take out of a record's attributes: one table, from which every engine makes its own.

The same columns stand in `lead_events` and in `lead_spans`, because a span carries every field of its end event. A column
that names several attributes has the first of them that says something. What a sort takes, and how it is absent:

    text    a string as it is, an integer as its digits                     '' where absent
    list    a list as JSON text                                             '' where absent
    whole   an integer                                                      NULL where absent
    number  any number, as a double                                         NULL where absent
    flag    true 1, false 0                                                 NULL where absent
    micro   money: a number, or one as text, in micro-units (millionths)   NULL where absent
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["FACTS", "LARGEST_AMOUNT", "Fact", "Sort"]

Sort: TypeAlias = Literal["text", "list", "whole", "number", "flag", "micro"]

LARGEST_AMOUNT: Final = 9e9
"""Money beyond it, in major units, has more digits than a double holds in micro-units: it is no amount."""


@dataclass(slots=True, frozen=True)
class Fact:
    """One column: its name, what it takes, from which attributes, and what it says."""

    name: str
    sort: Sort
    attributes: tuple[str, ...]
    doc: str


def _fact(name: str, sort: Sort, *attributes: str, doc: str) -> Fact:
    return Fact(name, sort, attributes, doc)


FACTS: Final[tuple[Fact, ...]] = (
    _fact("run_id", "text", "leadtrace.run_id", doc="the run"),
    _fact("parent_run_id", "text", "leadtrace.parent_run_id", doc="the run inside which this one began"),
    _fact("word", "text", "leadtrace.word", doc="the word that made it: `flow`, `step`, `enhancement` …"),
    _fact("word_name", "text", "leadtrace.name", doc="the name that the word was given"),
    _fact("lead_ids", "list", "leadtrace.lead_ids", doc="the leads of a call that serves several (see `lead_shared`)"),
    _fact("marks", "list", "leadtrace.marks", doc="what is odd about it, told by who wrote it"),
    _fact("handover_id", "text", "leadtrace.handover_id", doc="the handover by which the work arrived or left"),
    _fact("expected", "text", "leadtrace.expected", doc="the type of the expected exception that it ended with"),
    _fact("amends", "text", "leadtrace.amends", doc="the uid of the event that this one completes"),
    _fact(
        "duration_ms",
        "number",
        "enhancement.duration_ms",
        "delivery.duration_ms",
        "flow.summary.total_duration_ms",
        "validation.duration_ms",
        "rule.duration_ms",
        "bid.duration_ms",
        "alert.duration_ms",
        "duration_ms",
        doc="how long the word took that this event ends, by a monotonic clock",
    ),
    # The tries of a call.
    _fact("attempt", "whole", "attempt", doc="the try's number, from 1"),
    _fact("max_attempts", "whole", "max_attempts", doc="how many tries there may be"),
    _fact("will_retry", "flag", "will_retry", doc="whether another try is planned"),
    _fact("wait_ms", "number", "wait_ms", doc="the planned wait before the next try"),
    _fact("waited_ms", "number", "waited_ms", doc="the real wait before this try"),
    # The flow, on its own start and end only: for all other events see `lead_runs`.
    _fact("flow_id", "text", "flow.id", doc="the flow's id"),
    _fact("flow_name", "text", "flow.name", doc="the flow's name"),
    _fact("flow_version", "text", "flow.version", doc="its version, as text"),
    _fact("source", "text", "flow.journey.source", "lead.source", doc="where the lead came from"),
    _fact("campaign", "text", "flow.journey.campaign", "lead.campaign", doc="the campaign that brought it"),
    _fact(
        "campaign_group", "text", "flow.journey.campaign_group", "lead.campaign_group", doc="the group of the campaign"
    ),
    _fact("final_outcome", "text", "flow.summary.final_outcome", doc="what became of the lead, as the flow's end says"),
    _fact("steps_executed", "whole", "flow.summary.steps_executed", doc="steps that ended, as the flow's end says"),
    _fact(
        "enhancements_applied",
        "whole",
        "flow.summary.enhancements_applied",
        doc="enhancements that succeeded, as the flow's end says",
    ),
    _fact(
        "deliveries_attempted",
        "whole",
        "flow.summary.deliveries_attempted",
        doc="deliveries that ended, as the flow's end says",
    ),
    _fact("said_revenue_micro", "micro", "flow.journey.total_revenue", doc="revenue, as the flow's end says"),
    _fact("said_cost_micro", "micro", "flow.journey.total_cost", doc="cost, as the flow's end says"),
    _fact("said_margin_micro", "micro", "flow.journey.margin", doc="margin, as the flow's end says"),
    _fact("cpu_ms", "number", "flow.performance.cpu_ms", doc="CPU time of the process during the flow"),
    _fact(
        "peak_memory_bytes",
        "whole",
        "flow.performance.peak_memory_bytes",
        doc="the process's peak memory at the flow's end",
    ),
    _fact("concurrent_flows", "whole", "flow.performance.concurrent_flows", doc="flows open in the process beside it"),
    # Enhancements.
    _fact("enhancement_name", "text", "enhancement.name", doc="the enhancement"),
    _fact("enhancement_service", "text", "enhancement.service", doc="the service that was asked"),
    _fact("step_id", "text", "enhancement.step_id", doc="the step's id in the system that defines the flow"),
    _fact("position", "whole", "enhancement.position", doc="its place in the flow, from 1"),
    _fact("api_version", "text", "enhancement.metadata.api_version", doc="the version of the service's interface"),
    _fact("cost_micro", "micro", "enhancement.cost", doc="what the call cost; a failed one may be billed"),
    _fact("cost_avoided_micro", "micro", "enhancement.cost_avoided", doc="what it would have cost without the cache"),
    _fact("cache_hit", "flag", "enhancement.cache_hit", doc="whether a cache answered"),
    _fact("data_missing", "list", "enhancement.impact.data_missing", doc="what the lead now lacks"),
    _fact("retry_count", "whole", "enhancement.retry.count", "error.retry_count", doc="tries after the first"),
    # Failures of enhancements and deliveries: the taxonomy.
    _fact(
        "failure_category",
        "text",
        "enhancement.failure.category",
        "delivery.failure.category",
        doc="first level of the taxonomy of a failed enhancement or delivery",
    ),
    _fact(
        "failure_subcategory",
        "text",
        "enhancement.failure.subcategory",
        "delivery.failure.subcategory",
        doc="its second level",
    ),
    _fact("failure_cause", "text", "enhancement.failure.cause", "delivery.failure.cause", doc="its third level"),
    _fact("failure_code", "text", "enhancement.failure.error_code", doc="the enhancement's code for programs"),
    _fact(
        "failure_reason",
        "text",
        "enhancement.failure.reason",
        "delivery.reason",
        doc="why it failed, or the buyer's reason",
    ),
    # Deliveries.
    _fact("delivery_id", "text", "delivery.id", doc="the delivery"),
    _fact("buyer", "text", "delivery.buyer", "bid.buyer", doc="the buyer"),
    _fact("revenue_micro", "micro", "delivery.revenue", doc="what the buyer pays"),
    _fact("delivery_code", "text", "delivery.code", doc="the buyer's code for its reason"),
    _fact("delivery_attempts", "whole", "delivery.attempts", doc="tries that were made"),
    _fact("reference", "text", "delivery.reference", doc="the buyer's reference"),
    _fact("bid_price_micro", "micro", "bid.price", doc="what a buyer would pay"),
    # The lead itself.
    _fact("price_micro", "micro", "lead.price", doc="what was paid for the lead"),
    _fact("return_micro", "micro", "lead.return.amount", doc="what was paid back"),
    _fact("return_reason", "text", "lead.return.reason", doc="why the buyer gave it back"),
    _fact("state_from", "text", "lead.state.from", doc="the state before"),
    _fact("state_to", "text", "lead.state.to", doc="the state now"),
    _fact("state_reason", "text", "lead.state.reason", doc="why it changed"),
    _fact("state_final", "flag", "lead.state.final", doc="whether no other state is to follow"),
    # Validations and rules, and a no of the lead's intake.
    _fact("check_name", "text", "validation.name", "rule.name", doc="the validation or rule"),
    _fact("no_reason", "text", "validation.reason", "rule.reason", "lead.reason", doc="why it, or the intake, said no"),
    _fact("no_code", "text", "validation.code", "rule.code", "lead.code", doc="its code"),
    _fact(
        "cancel_reason",
        "text",
        "flow.reason",
        "enhancement.reason",
        "operation.reason",
        "api.call.reason",
        doc="the message of a cancellation",
    ),
    # Errors: of `error.occurred`, and the taxonomy that failed operations and tries carry.
    _fact("error_type", "text", "error.type", doc="the exception's type, or the status that counts as a failure"),
    _fact("error_category", "text", "error.category", doc="first level of the error taxonomy"),
    _fact("error_subcategory", "text", "error.subcategory", doc="its second level"),
    _fact("error_cause", "text", "error.cause", doc="its third level"),
    _fact("error_severity", "text", "error.severity", doc="how bad it is"),
    _fact("error_code", "text", "error.code", doc="a code for programs"),
    _fact("error_message", "text", "error.message", doc="the message, scrubbed"),
    _fact("error_fingerprint", "text", "error.fingerprint", doc="equal for errors of one kind from one place"),
    _fact("error_step", "text", "error.context.step", doc="the step in which it arose"),
    _fact("error_operation", "text", "error.context.operation", doc="what was being done"),
    _fact("retry_after_s", "number", "error.retry_after", doc="how long the other side asked to wait, in seconds"),
    _fact("http_status", "whole", "http.response.status_code", doc="the status of the answer"),
    _fact("recovery_action", "text", "recovery.action", "error.impact.recovery_action", doc="what was done about it"),
    _fact("total_retry_time_ms", "number", "total_retry_time_ms", doc="from the first failed try to the recovery"),
    _fact("fallback_name", "text", "fallback.name", doc="the way that was taken"),
    _fact("fallback_instead_of", "text", "fallback.instead_of", doc="the way that it stands in for"),
    # Lead events: the payloads of advertising platforms.
    _fact("lead_event_id", "text", "lead.event.id", doc="the lead event"),
    _fact("lead_event_type", "text", "lead.event.type", doc="its type"),
    _fact("lead_event_platform", "text", "lead.event.destination", doc="the advertising platform"),
    _fact("lead_event_account", "text", "lead.event.account_id", doc="its account"),
    _fact("lead_event_campaign_group", "text", "lead.event.campaign_group", doc="its campaign group"),
    _fact("lead_event_campaign", "text", "lead.event.campaign_id", doc="its campaign"),
    _fact("lead_event_ad", "text", "lead.event.ad_id", doc="its ad"),
    _fact("lead_event_resend", "flag", "lead.event.resend", doc="whether it was sent again"),
    _fact("lead_event_reason", "text", "lead.event.reason", doc="why it failed or was quarantined"),
    _fact("lead_event_field", "text", "lead.event.field", doc="the field that was malformed"),
    # Circuits, capacity, health.
    _fact("circuit_name", "text", "circuit.name", doc="the circuit"),
    _fact("circuit_from", "text", "circuit.from", doc="its state before"),
    _fact("circuit_failures", "whole", "circuit.failures", doc="failures that opened it"),
    _fact("cache_name", "text", "cache.name", doc="the cache that was asked"),
    _fact("queue_depth", "whole", "system.capacity.queue_depth", doc="how much waits in the queue"),
    _fact("in_flight", "whole", "system.capacity.in_flight", doc="how much is being worked on"),
    # Cold outbound.
    _fact("outbound_count", "whole", "outbound.count", doc="how many it stands for, 1 unless batched"),
    _fact("outbound_adapter", "text", "outbound.adapter_id", doc="the adapter"),
    _fact("outbound_old_adapter", "text", "outbound.old_adapter_id", doc="the adapter before a reassignment"),
    _fact("outbound_new_adapter", "text", "outbound.new_adapter_id", doc="the adapter after it"),
    _fact("outbound_provider", "text", "outbound.adapter_provider", "outbound.provider", doc="the provider"),
    _fact("outbound_channel", "text", "outbound.channel", doc="the channel"),
    _fact("outbound_pool", "text", "outbound.pool_id", doc="the pool"),
    _fact("outbound_enrollment", "text", "outbound.enrollment_id", doc="the enrollment"),
    _fact("outbound_sequence", "text", "outbound.sequence_key", doc="the sequence"),
    _fact("outbound_sequence_version", "text", "outbound.sequence_version_id", doc="the sequence's version"),
    _fact("outbound_step", "text", "outbound.step_key", doc="the step of the sequence"),
    _fact("outbound_execution", "text", "outbound.step_execution_id", doc="the execution of that step"),
    _fact("outbound_from", "text", "outbound.from", doc="the health before"),
    _fact("outbound_to", "text", "outbound.to", doc="the health now"),
    _fact("outbound_reason", "text", "outbound.reason", doc="why"),
    _fact("outbound_signal", "text", "outbound.source", doc="where the change or signal came from"),
    _fact("outbound_intent", "text", "outbound.intent", doc="what an inbound message means"),
    _fact("outbound_health", "text", "outbound.health_state", doc="the health that an outside signal tells"),
    _fact("outbound_score", "number", "outbound.health_score", doc="its score"),
    _fact("outbound_rate", "number", "outbound.rate", doc="the share of the cap that is used"),
    _fact("outbound_sent", "whole", "outbound.sent_count", doc="how many were sent in the cap's period"),
    _fact("outbound_cap", "whole", "outbound.cap", doc="how many may be"),
    _fact("outbound_defer_until", "whole", "outbound.defer_until", doc="until when it is put off, Unix nanoseconds"),
    _fact("outbound_scheduled_for", "whole", "outbound.scheduled_for", doc="for when it is planned, Unix nanoseconds"),
    # What is quarantined or lost.
    _fact("record_source", "text", "record.source", doc="the batch of a malformed line"),
    _fact("record_reason", "text", "record.reason", "leadtrace.records.reason", doc="why it was set aside or dropped"),
    _fact("records_lost", "whole", "leadtrace.records.count", doc="how many records were dropped"),
    # The currency of whatever money the record carries.
    _fact(
        "currency_said",
        "text",
        "enhancement.currency",
        "delivery.currency",
        "lead.return.currency",
        "lead.currency",
        "bid.currency",
        "flow.journey.currency",
        "currency",
        doc="the currency beside the money, as told; `currency` is it or else USD",
    ),
)
