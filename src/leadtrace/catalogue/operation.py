"""The operation family: what a step, a fallback, a resumed passage and any other operation tells."""

from __future__ import annotations

from leadtrace.catalogue.common import FailureTaxonomy
from leadtrace.catalogue.model import Event, field

_ELAPSED = ("total_duration_ms", "processing_time_ms", "response_time_ms")


class _Ended(Event):
    duration_ms: float | None = field(
        "duration_ms",
        default=None,
        unit="ms",
        by="word",
        aliases=_ELAPSED,
        doc="How long it took, by a monotonic clock.",
    )


class OperationStarted(Event, name="operation.started", kind="start", source="002", lead="if_open"):
    """An operation began."""

    input_size: int | None = field(
        "input.size", default=None, requirement="opt_in", by="word", doc="Length of the input, in its own units."
    )
    input_type: str | None = field(
        "input.type",
        default=None,
        requirement="opt_in",
        by="word",
        dimension=True,
        doc="What the input is (`json`, `text`, a type).",
    )


class OperationCompleted(_Ended, name="operation.completed", kind="success", source="002", lead="if_open"):
    """An operation came to its end."""

    output_size: int | None = field(
        "output.size", default=None, requirement="opt_in", by="word", doc="Length of the output, in its own units."
    )
    success: bool | None = field("success", default=None, by="word", doc="Whether it did what it was for.")


class OperationFailed(_Ended, FailureTaxonomy, name="operation.failed", kind="failure", source="002", lead="if_open"):
    """An operation was left by an exception."""


class OperationCancelled(_Ended, name="operation.cancelled", kind="cancelled", source="leadtrace", lead="if_open"):
    """An operation was cancelled before its end."""

    reason: str | None = field(
        default=None, by="word", doc="The message given with the cancellation, `closed` for a generator."
    )
