"""The flow family: one passage of a lead, with its computed summary, journey and performance."""

from __future__ import annotations

from leadtrace.catalogue.common import Raised
from leadtrace.catalogue.model import Event, field

OUTCOMES = (
    "delivered",
    "partially_delivered",
    "rejected",
    "deferred",
    "undelivered",
    "failed",
    "cancelled",
    "interrupted",
)
"""How a flow can end, as its end event tells."""


class _Flow(Event):
    id: str | None = field(default=None, by="word", doc="The flow's id in the system that defines it.")
    name: str | None = field(default=None, by="word", dimension=True, doc="The flow's name.")
    version: int | None = field(default=None, by="word", dimension=True, doc="The version of the flow's definition.")
    journey_source: str | None = field(
        ".journey.source", default=None, by="word", dimension=True, doc="Where the lead came from."
    )
    journey_campaign: str | None = field(
        ".journey.campaign", default=None, by="word", dimension=True, doc="The campaign that brought it."
    )
    journey_campaign_group: str | None = field(
        ".journey.campaign_group",
        default=None,
        by="word",
        dimension=True,
        doc="The group that the campaign belongs to.",
    )


class _Ended(_Flow):
    """Counted over the words of the flow's own run, in this process, that ended before it."""

    summary_total_duration_ms: float | None = field(
        ".summary.total_duration_ms",
        default=None,
        unit="ms",
        by="word",
        aliases=("flow.duration_ms", "duration_ms", "total_duration_ms"),
        doc="From the flow's start to its end, by a monotonic clock.",
    )
    summary_steps_executed: int | None = field(
        ".summary.steps_executed", default=None, unit="{step}", by="word", doc="Step words that ended."
    )
    summary_enhancements_applied: int | None = field(
        ".summary.enhancements_applied",
        default=None,
        unit="{enhancement}",
        by="word",
        doc="Enhancements that succeeded.",
    )
    summary_deliveries_attempted: int | None = field(
        ".summary.deliveries_attempted",
        default=None,
        unit="{delivery}",
        by="word",
        doc="Deliveries that ended, however they did.",
    )
    summary_validations_passed: int | None = field(
        ".summary.validations_passed", default=None, unit="{validation}", by="word", doc="Validations that passed."
    )
    summary_rules_satisfied: int | None = field(
        ".summary.rules_satisfied", default=None, unit="{rule}", by="word", doc="Rules that were satisfied."
    )
    summary_final_outcome: str | None = field(
        ".summary.final_outcome",
        default=None,
        by="word",
        dimension=True,
        values=OUTCOMES,
        doc="What became of the lead.",
    )
    summary_scope: str | None = field(
        ".summary.scope",
        default=None,
        by="word",
        values=("process",),
        doc="What was counted: the words of this process.",
    )
    summary_handed_over: list[str] | None = field(
        ".summary.handed_over",
        default=None,
        by="word",
        doc="Ids of the handovers by which work of this run left the process.",
    )
    summary_open: int | None = field(
        ".summary.open",
        default=None,
        unit="{word}",
        by="word",
        doc="Words of the run that were still open when the flow ended.",
    )
    journey_accepted: bool | None = field(
        ".journey.accepted", default=None, by="word", doc="Whether a buyer accepted the lead."
    )
    journey_enhanced: bool | None = field(
        ".journey.enhanced", default=None, by="word", doc="Whether an enhancement succeeded."
    )
    journey_delivered_to: list[str] | None = field(
        ".journey.delivered_to", default=None, by="word", doc="The buyers that accepted the lead."
    )
    journey_total_revenue: float | None = field(
        ".journey.total_revenue",
        default=None,
        unit="{currency}",
        by="word",
        doc="Sum of the accepted deliveries' revenue.",
    )
    journey_total_cost: float | None = field(
        ".journey.total_cost",
        default=None,
        unit="{currency}",
        by="word",
        doc="Sum of the enhancements' cost and the lead's price.",
    )
    journey_margin: float | None = field(
        ".journey.margin", default=None, unit="{currency}", by="word", doc="Revenue less cost."
    )
    journey_currency: str | None = field(
        ".journey.currency",
        default=None,
        by="word",
        dimension=True,
        aliases=("currency",),
        doc="Currency of the sums (ISO 4217).",
    )
    journey_other_currencies: list[str] | None = field(
        ".journey.other_currencies",
        default=None,
        by="word",
        doc="Currencies of revenue and cost that the sums leave out, because they are not in the settings' one.",
    )
    performance_processing_time: str | None = field(
        ".performance.processing_time",
        default=None,
        by="reader",
        dimension=True,
        doc="Band of the duration, relative to the flow's own baseline.",
    )
    performance_cpu_ms: float | None = field(
        ".performance.cpu_ms", default=None, unit="ms", by="word", doc="CPU time of the process between start and end."
    )
    performance_peak_memory_bytes: int | None = field(
        ".performance.peak_memory_bytes",
        default=None,
        unit="By",
        by="word",
        doc="The process's highest memory up to the end.",
    )
    performance_concurrent_flows: int | None = field(
        ".performance.concurrent_flows",
        default=None,
        unit="{flow}",
        by="word",
        doc="Flows that were open in the process at once; they share the CPU and memory told here.",
    )
    performance_bottlenecks: list[str] | None = field(
        ".performance.bottlenecks",
        default=None,
        by="word",
        doc="The words that took most of the time, the slowest first.",
    )
    performance_cache_hits: int | None = field(
        ".performance.cache_hits", default=None, unit="{hit}", by="word", doc="Enhancements answered from a cache."
    )
    performance_steps_per_second: float | None = field(
        ".performance.steps_per_second",
        default=None,
        unit="{step}/s",
        by="word",
        doc="Steps executed by total duration.",
    )


class FlowStarted(_Flow, name="flow.started", kind="start", source="leadtrace", lead="if_open"):
    """A lead's passage through a flow began."""


class FlowCompleted(_Ended, name="flow.completed", kind="milestone", source="000", lead="if_open"):
    """A lead's passage through a flow came to its end; the outcome says which."""


class FlowFailed(_Ended, Raised, name="flow.failed", kind="failure", source="leadtrace", lead="if_open"):
    """A flow was left by an exception."""


class FlowCancelled(_Ended, name="flow.cancelled", kind="cancelled", source="leadtrace", lead="if_open"):
    """A flow was cancelled before its end."""

    reason: str | None = field(default=None, by="word", doc="The message given with the cancellation, if any.")


class FlowInterrupted(_Ended, name="flow.interrupted", kind="failure", source="leadtrace", lead="if_open"):
    """The process died amid the flow: told on recovery, at the time of the last record that the process had made."""


class FlowHandedOver(_Ended, name="flow.handed_over", kind="milestone", source="leadtrace", lead="if_open"):
    """A flow's call returned and its work goes on elsewhere: the end of the call, not of the flow."""
