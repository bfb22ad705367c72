"""The enhancement family: data appended to a lead by a service, what it cost and what its failure left undone."""

from __future__ import annotations

from leadtrace.catalogue.common import ENHANCEMENT_CATEGORIES, SUBCATEGORIES, Raised
from leadtrace.catalogue.model import Event, field


class _Enhancement(Event):
    step_id: str | None = field(default=None, by="word", doc="The step's id in the system that defines the flow.")
    name: str | None = field(default=None, by="word", dimension=True, doc="What the enhancement is called.")
    service: str | None = field(default=None, by="word", dimension=True, doc="The service that was asked.")
    position: int | None = field(default=None, by="word", doc="Its place in the flow, counted from 1.")


class _Ended(_Enhancement):
    duration_ms: float | None = field(
        default=None,
        unit="ms",
        by="word",
        aliases=("duration_ms", "total_duration_ms", "processing_time_ms", "response_time_ms"),
        doc="How long the call took, all tries included.",
    )
    cost: float | None = field(
        default=None,
        unit="{currency}",
        by="word",
        doc="What the call cost, in major units; a failed call may be billed too.",
    )
    cost_avoided: float | None = field(
        default=None, unit="{currency}", by="word", doc="What the call would have cost without the cache."
    )
    currency: str | None = field(
        default=None, by="word", dimension=True, aliases=("currency",), doc="Currency of the cost (ISO 4217)."
    )
    cache_hit: bool | None = field(default=None, by="word", dimension=True, doc="Whether a cache answered.")
    metadata_api_version: str | None = field(
        ".metadata.api_version", default=None, dimension=True, doc="The version of the service's interface."
    )
    metadata_response_size: int | None = field(
        ".metadata.response_size", default=None, unit="By", doc="Size of the answer."
    )
    metadata_data_freshness: str | None = field(
        ".metadata.data_freshness", default=None, dimension=True, doc="How fresh the data are (`real-time`, `daily` …)."
    )


class EnhancementStarted(_Enhancement, name="enhancement.started", kind="start", source="leadtrace", lead="if_open"):
    """A service is being asked for data on a lead."""


class EnhancementSuccess(
    _Ended,
    name="enhancement.success",
    kind="success",
    source="000",
    lead="if_open",
    exception="the system-events document's own name; `success` is a noun, and its readers look for it",
):
    """An enhancement appended data to the lead."""

    outcome: str | None = field(
        default=None, by="word", values=("success", "failed"), doc="`success`, as the source writes it."
    )
    data_appended: dict[str, object] | None = field(
        ".data_appended",
        default=None,
        by="word",
        doc="The data appended, a key each; only keys that are named or allowed.",
    )
    data_unrecorded: list[str] | None = field(
        default=None,
        by="word",
        doc="Keys of what came back that are neither named nor allowed: their values are not recorded.",
    )


class EnhancementFailed(_Ended, Raised, name="enhancement.failed", kind="failure", source="000", lead="if_open"):
    """An enhancement gave no usable data."""

    outcome: str | None = field(
        default=None, by="word", values=("success", "failed"), doc="`failed`, as the source writes it."
    )
    failure_reason: str | None = field(".failure.reason", default=None, by="word", doc="Why, in a few words.")
    failure_category: str | None = field(
        ".failure.category",
        default=None,
        by="word",
        dimension=True,
        values=ENHANCEMENT_CATEGORIES,
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
    failure_error_code: str | None = field(
        ".failure.error_code", default=None, by="word", dimension=True, doc="A code for programs (`TIMEOUT_ERROR`)."
    )
    failure_details: str | None = field(
        ".failure.details", default=None, by="word", doc="What is known beyond the reason, scrubbed."
    )
    impact_data_missing: list[str] | None = field(
        ".impact.data_missing", default=None, by="word", doc="What the lead now lacks: what the enhancement `provides`."
    )
    impact_flow_continued: bool | None = field(
        ".impact.flow_continued", default=None, by="reader", doc="Whether the flow went on; known only when read."
    )
    impact_used_defaults: bool | None = field(
        ".impact.used_defaults", default=None, doc="Whether defaults took the data's place."
    )
    retry_attempted: bool | None = field(
        ".retry.attempted", default=None, by="word", doc="Whether it was tried more than once."
    )
    retry_count: int | None = field(
        ".retry.count", default=None, unit="{retry}", by="word", doc="Tries after the first."
    )
    retry_will_retry: bool | None = field(".retry.will_retry", default=None, doc="Whether another try is planned.")


class EnhancementCancelled(_Ended, name="enhancement.cancelled", kind="cancelled", source="leadtrace", lead="if_open"):
    """An enhancement was cancelled before it was answered."""

    reason: str | None = field(default=None, by="word", doc="The message given with the cancellation, if any.")
