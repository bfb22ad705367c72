"""The words that wrap, as a table: what each starts with, how it ends, and which keywords it reads itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from leadtrace import catalogue
from leadtrace.words import endings

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadtrace.catalogue.model import EventSpec, FieldSpec
    from leadtrace.words.endings import Ending, Happened
    from leadtrace.words.handle import Handle

__all__ = ["KINDS", "WordKind"]


@dataclass(frozen=True)
class WordKind:
    """One word that wraps."""

    word: str
    start: str
    ends: tuple[str, ...]
    """All events that may close it: their fields are its keywords."""
    settle: Callable[[Handle, Happened], Ending]
    repeated: tuple[str, ...] = ()
    """Keywords that the start event carries and every end event repeats."""
    options: frozenset[str] = field(default_factory=frozenset)
    """Keywords that decide something and are no fields by themselves."""
    span_kind: SpanKind = SpanKind.INTERNAL

    @cached_property
    def fields(self) -> dict[str, FieldSpec]:
        """The declared fields of its start and end events by keyword."""
        found: dict[str, FieldSpec] = {}
        for name in (self.start, *self.ends):
            spec = catalogue.get(name)
            assert spec is not None, name
            for keyword, one in spec.fields.items():
                if one.by != "reader":
                    found.setdefault(keyword, one)
        return found

    @cached_property
    def keywords(self) -> dict[str, Any]:
        """Every keyword that it knows: its fields, its options, and what all words take."""
        known: dict[str, Any] = dict.fromkeys(
            (*sorted(self.options), "lead_id", "lead_ids", "tenant", "expected", "attributes")
        )
        return {**known, **self.fields}

    @cached_property
    def attributes(self) -> frozenset[str]:
        """The attributes of its declared fields."""
        return frozenset(one.attribute for one in self.fields.values())

    @cached_property
    def start_spec(self) -> EventSpec:
        """The declaration of its start event."""
        found = catalogue.get(self.start)
        assert found is not None, self.start
        return found

    @cached_property
    def repeats(self) -> dict[str, str]:
        """The attribute of each repeated keyword."""
        return {keyword: self.fields[keyword].attribute for keyword in self.repeated}

    @cached_property
    def at_start(self) -> frozenset[str]:
        """The attributes that its start event takes."""
        return frozenset(self.start_spec.attributes) | frozenset(self.repeats.values())

    def attribute(self, keyword: str) -> str:
        """The attribute of a keyword: a declared one's own, any other under the word's name."""
        known = self.fields.get(keyword)
        return known.attribute if known is not None else f"{self.word}.{keyword.rstrip('_')}"


_OPERATION = ("operation.completed", "operation.failed", "operation.cancelled")
_ANSWERED = frozenset({"answer", "outcome"})

KINDS: dict[str, WordKind] = {
    kind.word: kind
    for kind in (
        WordKind(
            "flow",
            "flow.started",
            ("flow.completed", "flow.failed", "flow.cancelled", "flow.handed_over"),
            endings.flow,
            ("id", "name", "version", "journey_source", "journey_campaign", "journey_campaign_group"),
            frozenset({"ends", "new_trace"}),
        ),
        WordKind("step", "operation.started", _OPERATION, endings.operation),
        WordKind(
            "enhancement",
            "enhancement.started",
            ("enhancement.success", "enhancement.failed", "enhancement.cancelled"),
            endings.enhancement,
            ("name", "service", "step_id", "position"),
            frozenset({"cost", "data", "provides", "outcome"}),
        ),
        WordKind(
            "delivery",
            "delivery.started",
            (
                "delivery.accepted",
                "delivery.rejected",
                "delivery.pending",
                "delivery.failed",
                "delivery.unconfirmed",
                "delivery.cancelled",
            ),
            endings.delivery,
            ("id", "buyer"),
            frozenset({"answer"}),
        ),
        WordKind(
            "attempt",
            "api.call.attempted",
            ("api.call.succeeded", "api.call.failed", "api.call.cancelled"),
            endings.attempt,
            ("max_attempts",),
            frozenset({"number", "outcome", "will_retry", "wait_ms"}),
            SpanKind.CLIENT,
        ),
        WordKind(
            "validation",
            "operation.started",
            ("validation.passed", "validation.failed", "operation.failed", "operation.cancelled"),
            endings.judgement,
            (),
            frozenset({"passed", "reason"}),
        ),
        WordKind(
            "rule",
            "operation.started",
            ("rule.satisfied", "rule.rejected", "operation.failed", "operation.cancelled"),
            endings.judgement,
            (),
            frozenset({"passed", "reason"}),
        ),
        WordKind("fallback", "operation.started", _OPERATION, endings.operation, (), frozenset({"instead_of"})),
        WordKind("resume", "operation.started", _OPERATION, endings.operation, (), frozenset({"carried", "ends_flow"})),
    )
}
