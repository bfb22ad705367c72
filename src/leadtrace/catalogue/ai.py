"""The ai family: a model chosen, changed and answering."""

from __future__ import annotations

from leadtrace.catalogue.common import FailureTaxonomy
from leadtrace.catalogue.model import Event, field


class AiInitialization(
    Event,
    name="ai.initialization",
    kind="milestone",
    source="002",
    lead="if_open",
    exception="the span-events document's own name; a noun for the state in which a completion begins",
):
    """A completion is set up."""

    model: str | None = field("model", default=None, dimension=True, doc="The model.")
    temperature: float | None = field("temperature", default=None, doc="The sampling temperature.")


class AiModelSelected(Event, name="ai.model.selected", kind="milestone", source="002", lead="if_open"):
    """A model was chosen."""

    model: str | None = field("model", default=None, dimension=True, doc="The model.")
    reason: str | None = field("reason", default=None, dimension=True, doc="Why this one.")
    fallback_used: bool | None = field("fallback_used", default=None, doc="Whether it stands in for another.")
    context_query_type: str | None = field(
        "context.query_type", default=None, dimension=True, doc="What kind of query it is."
    )
    context_customer_tier: str | None = field(
        "context.customer_tier", default=None, dimension=True, doc="The customer's tier."
    )
    context_complexity_score: float | None = field(
        "context.complexity_score", default=None, doc="How complex it is, from 0 to 1."
    )


class _Changed(Event):
    from_model: str | None = field("from.model", default=None, dimension=True, doc="The model before.")
    to_model: str | None = field("to.model", default=None, dimension=True, doc="The model now.")
    reason: str | None = field("reason", default=None, dimension=True, doc="Why it was changed.")
    query_complexity_score: float | None = field(
        "query.complexity_score", default=None, doc="How complex the query is, from 0 to 1."
    )
    fallback_triggered: bool | None = field(
        "fallback.triggered", default=None, doc="Whether a failure made it necessary."
    )


class AiModelSwitched(_Changed, name="ai.model.switched", kind="transition", source="002", lead="if_open"):
    """Another model took over."""


class AiModelUpgraded(_Changed, name="ai.model.upgraded", kind="transition", source="002", lead="if_open"):
    """A stronger model took over."""


class AiResponseGenerated(Event, name="ai.response.generated", kind="milestone", source="002", lead="if_open"):
    """The model answered."""

    tokens_used: int | None = field(
        "tokens_used",
        default=None,
        unit="{token}",
        aliases=("result.tokens_used",),
        doc="Tokens of question and answer.",
    )
    finish_reason: str | None = field(
        "finish_reason", default=None, dimension=True, aliases=("result.finish_reason",), doc="Why the answer ended."
    )
    response_time_ms: float | None = field(
        "response_time_ms",
        default=None,
        unit="ms",
        aliases=("duration_ms", "processing_time_ms"),
        doc="How long the answer took.",
    )
    result_quality_score: float | None = field("result.quality_score", default=None, doc="How good it is, from 0 to 1.")


class AiCompletionReady(
    Event,
    name="ai.completion.ready",
    kind="milestone",
    source="002",
    lead="if_open",
    exception="the span-events document's own name; it names a state where the rule wants an action",
):
    """A completion came to its end."""

    final_model: str | None = field("final.model", default=None, dimension=True, doc="The model that finished it.")
    tokens_estimated: int | None = field("tokens.estimated", default=None, unit="{token}", doc="Tokens, estimated.")


class AiErrorOccurred(FailureTaxonomy, name="ai.error.occurred", kind="error", source="002", lead="if_open"):
    """A model's call went wrong."""

    model: str | None = field("model", default=None, dimension=True, doc="The model.")
