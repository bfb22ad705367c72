"""Caches and thresholds: what was found in a cache, and what fell below a threshold."""

from __future__ import annotations

from leadtrace.catalogue.model import Event, field


class _Cache(Event):
    cache_name: str | None = field("cache.name", default=None, dimension=True, doc="Which cache.")
    cache_age_ms: float | None = field("cache.age_ms", default=None, unit="ms", doc="How old what was found is.")


class SystemCacheHit(
    _Cache,
    name="system.cache.hit",
    kind="milestone",
    source="002",
    lead="if_open",
    exception="the span-events document's own name; `hit` is its own past tense, and reads as a noun beside `miss`",
):
    """A cache had the answer."""


class SystemCacheMiss(
    _Cache,
    name="system.cache.miss",
    kind="milestone",
    source="002",
    lead="if_open",
    exception="the span-events document's own name; a noun, beside `hit`",
):
    """A cache did not have the answer."""


class LowConfidenceDetected(Event, name="low.confidence.detected", kind="milestone", source="002", lead="if_open"):
    """A result fell below the threshold of confidence."""

    confidence_score: float | None = field("confidence.score", default=None, doc="How sure the result is, from 0 to 1.")
    threshold: float | None = field("threshold", default=None, doc="The threshold that it fell below.")
    action_taken: str | None = field("action.taken", default=None, dimension=True, doc="What was done about it.")
