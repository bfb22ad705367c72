"""The validation and rule families: what was checked about a lead, and its answer."""

from __future__ import annotations

from leadtrace.catalogue.model import Event, field


class _Judged(Event):
    name: str | None = field(default=None, by="word", dimension=True, doc="What was checked.")
    duration_ms: float | None = field(
        default=None, unit="ms", by="word", aliases=("duration_ms",), doc="How long the check took."
    )


class _Refused(_Judged):
    reason: str | None = field(default=None, by="word", doc="Why not, in a few words.")
    code: str | None = field(default=None, by="word", dimension=True, doc="A code for the reason.")


class ValidationPassed(_Judged, name="validation.passed", kind="success", source="leadtrace", lead="if_open"):
    """A validation found the lead in order."""


class ValidationFailed(_Refused, name="validation.failed", kind="rejection", source="leadtrace", lead="if_open"):
    """A validation found a fault in the lead: a valid answer, not a failure of the check."""


class RuleSatisfied(_Judged, name="rule.satisfied", kind="success", source="leadtrace", lead="if_open"):
    """The lead meets the rule."""


class RuleRejected(_Refused, name="rule.rejected", kind="rejection", source="leadtrace", lead="if_open"):
    """The lead does not meet the rule: a valid answer, not a failure of the check."""
