"""The customer and user families: queries asked and log-ins tried."""

from __future__ import annotations

from leadtrace.catalogue.common import FailureTaxonomy
from leadtrace.catalogue.model import Event, field


class CustomerQueryReceived(Event, name="customer.query.received", kind="milestone", source="002", lead="if_open"):
    """A customer asked something."""

    query_length: int | None = field("query.length", default=None, unit="{character}", doc="Length of the query.")
    query_sentiment: str | None = field("query.sentiment", default=None, dimension=True, doc="Its tone (`neutral` …).")
    customer_tier: str | None = field("customer.tier", default=None, dimension=True, doc="The customer's tier.")


class _Answered(Event):
    processing_time_ms: float | None = field(
        "processing_time_ms",
        default=None,
        unit="ms",
        aliases=("duration_ms", "response_time_ms"),
        doc="How long the query took.",
    )
    confidence_score: float | None = field("confidence_score", default=None, doc="How sure the answer is, from 0 to 1.")
    response_quality: str | None = field(
        "response.quality", default=None, dimension=True, doc="How good the answer is (`high` …)."
    )


class CustomerQueryProcessed(
    _Answered, name="customer.query.processed", kind="milestone", source="002", lead="if_open"
):
    """A customer's query was worked on."""


class CustomerQueryCompleted(
    _Answered, name="customer.query.completed", kind="milestone", source="002", lead="if_open"
):
    """A customer's query was answered."""


class _Login(Event):
    user_id: str | None = field("user.id", default=None, doc="The user.")
    login_method: str | None = field("login.method", default=None, dimension=True, doc="How (`email`, `sso` …).")


class UserLoginAttempted(_Login, name="user.login.attempted", kind="start", source="002", lead="if_open"):
    """A user tries to log in."""


class UserLoginSucceeded(_Login, name="user.login.succeeded", kind="success", source="002", lead="if_open"):
    """A user logged in."""


class UserLoginFailed(_Login, FailureTaxonomy, name="user.login.failed", kind="failure", source="002", lead="if_open"):
    """A user could not log in."""
