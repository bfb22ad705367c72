"""The attempt family: one try of a call to another system, and the retries between tries."""

from __future__ import annotations

from leadtrace.catalogue.common import FailureTaxonomy
from leadtrace.catalogue.model import Event, field


class _Attempt(Event):
    attempt: int | None = field("attempt", default=None, by="word", doc="The number of the try, counted from 1.")
    max_attempts: int | None = field(
        "max_attempts", default=None, by="word", doc="How many tries there may be, the first included."
    )


class _Ended(_Attempt):
    duration_ms: float | None = field(
        "duration_ms",
        default=None,
        unit="ms",
        by="word",
        aliases=("response_time_ms",),
        doc="How long this one try took.",
    )


class ApiCallAttempted(_Attempt, name="api.call.attempted", kind="start", source="002", lead="if_open"):
    """A try of a call began."""


class ApiCallSucceeded(_Ended, name="api.call.succeeded", kind="success", source="002", lead="if_open"):
    """The call was answered; what the answer means is told by the word around it."""

    http_response_status_code: int | None = field(
        "http.response.status_code", default=None, by="word", dimension=True, doc="The status of the answer."
    )


class ApiCallFailed(
    _Ended, FailureTaxonomy, name="api.call.failed", kind="attempt_failure", source="002", lead="if_open"
):
    """One try failed; only the word around it says whether the work failed."""

    will_retry: bool | None = field("will_retry", default=None, doc="Whether another try is planned.")
    wait_ms: float | None = field(
        "wait_ms", default=None, unit="ms", doc="How long the planned wait before the next try is."
    )


class ApiCallCancelled(_Ended, name="api.call.cancelled", kind="cancelled", source="leadtrace", lead="if_open"):
    """A try was cancelled; it counts as failed for numbering and recovery."""

    reason: str | None = field(default=None, by="word", doc="The message given with the cancellation, if any.")


class SystemRetryAttempted(_Attempt, name="system.retry.attempted", kind="milestone", source="002", lead="if_open"):
    """A retry is about to begin."""

    waited_ms: float | None = field(
        "waited_ms", default=None, unit="ms", by="word", doc="The real wait since the failed try ended."
    )


class SystemRetryScheduled(
    _Attempt, name="system.retry.scheduled", kind="milestone", source="leadtrace", lead="if_open"
):
    """A retry library planned another try."""

    wait_ms: float | None = field("wait_ms", default=None, unit="ms", by="word", doc="How long the planned wait is.")
