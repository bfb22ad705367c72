"""Errors, recoveries and fallbacks: what went wrong, how much it hurt, and what was done about it."""

from __future__ import annotations

from leadtrace.catalogue.common import CATEGORIES, SEVERITIES, SUBCATEGORIES
from leadtrace.catalogue.model import Event, field


class ErrorOccurred(Event, name="error.occurred", kind="error", source="000", lead="if_open"):
    """An error arose; it is grouped with its like and never counted as an outcome."""

    type: str | None = field(
        default=None, by="word", dimension=True, doc="The exception's type, or the source's name for it."
    )
    message: str | None = field(default=None, by="word", doc="The exception's message, scrubbed.")
    code: str | None = field(
        default=None, by="word", dimension=True, doc="A code for programs (`PARSE_ERROR`); always a string."
    )
    category: str | None = field(
        default=None, by="word", dimension=True, values=CATEGORIES, doc="First level of the failure taxonomy."
    )
    subcategory: str | None = field(
        default=None, by="word", dimension=True, values=SUBCATEGORIES, doc="Second level of the failure taxonomy."
    )
    cause: str | None = field(default=None, by="word", dimension=True, doc="Third level of the failure taxonomy.")
    severity: str | None = field(
        default=None, by="word", dimension=True, values=SEVERITIES, doc="How bad it is; `medium` where nobody said."
    )
    http_response_status_code: int | None = field(
        "http.response.status_code",
        default=None,
        by="word",
        dimension=True,
        doc="The status of the answer, where one came.",
    )
    context_step: str | None = field(
        ".context.step",
        default=None,
        by="word",
        dimension=True,
        aliases=("context.step",),
        doc="The step in which it arose.",
    )
    context_operation: str | None = field(
        ".context.operation", default=None, by="word", aliases=("context.operation",), doc="What was being done."
    )
    context_input: str | None = field(
        ".context.input",
        default=None,
        personal="text",
        aliases=("context.input",),
        doc="What was worked on; recorded as a hash and its length unless allowed.",
    )
    context_expected: str | None = field(
        ".context.expected", default=None, aliases=("context.expected",), doc="What was expected instead."
    )
    impact_lead_affected: bool | None = field(
        ".impact.lead_affected", default=None, aliases=("impact.lead_affected",), doc="Whether the lead is worse off."
    )
    impact_flow_stopped: bool | None = field(
        ".impact.flow_stopped",
        default=None,
        by="reader",
        aliases=("impact.flow_stopped",),
        doc="Whether the flow ended there; known only when read.",
    )
    impact_data_lost: bool | None = field(
        ".impact.data_lost", default=None, aliases=("impact.data_lost",), doc="Whether data were lost."
    )
    impact_recovery_action: str | None = field(
        ".impact.recovery_action", default=None, aliases=("impact.recovery_action",), doc="What was done about it."
    )
    retry_count: int | None = field(default=None, unit="{retry}", by="word", doc="Tries after the first, up to here.")
    retry_after: float | None = field(default=None, unit="s", doc="How long the other side asked to wait.")
    fingerprint: str | None = field(
        default=None,
        by="word",
        doc="Equal for errors of one kind from one place: type, place and message without its values.",
    )
    troubleshooting_suggestion: str | None = field(
        "troubleshooting.suggestion",
        default=None,
        by="reader",
        doc="What to do about it, from the troubleshooting table.",
    )
    troubleshooting_related_errors: int | None = field(
        "troubleshooting.related_errors",
        default=None,
        by="reader",
        unit="{error}",
        doc="Errors of the same fingerprint nearby.",
    )
    troubleshooting_pattern_detected: bool | None = field(
        "troubleshooting.pattern_detected", default=None, by="reader", doc="Whether they form a pattern."
    )


class ErrorRecovered(Event, name="error.recovered", kind="milestone", source="002", lead="if_open"):
    """What had gone wrong was made good."""

    recovery_action: str | None = field(
        "recovery.action",
        default=None,
        by="word",
        dimension=True,
        doc="What was done (`retry`, `fallback`, the user's words).",
    )
    recovery_success: bool | None = field("recovery.success", default=None, by="word", doc="Whether it helped.")
    total_retry_time_ms: float | None = field(
        "total_retry_time_ms",
        default=None,
        unit="ms",
        by="word",
        aliases=("duration_ms",),
        doc="From the start of the first failed try to the recovery.",
    )


class FallbackUsed(Event, name="fallback.used", kind="milestone", source="leadtrace", lead="if_open"):
    """Another way was taken in place of the first."""

    name: str | None = field(default=None, by="word", dimension=True, doc="The way that was taken.")
    instead_of: str | None = field(default=None, by="word", dimension=True, doc="The way that it stands in for.")
