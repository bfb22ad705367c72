"""Circuits: a circuit breaker in front of another system let calls through, or kept them back. They belong to no lead."""

from __future__ import annotations

from leadtrace.catalogue.model import Event, field

_STATES = ("closed", "opened", "half_opened")


class _Circuit(Event):
    name: str | None = field(default=None, by="word", dimension=True, doc="The breaker, by the name that it was given.")
    from_: str | None = field(default=None, by="word", dimension=True, values=_STATES, doc="The state before.")


class CircuitOpened(_Circuit, name="circuit.opened", kind="transition", source="leadtrace", lead=False):
    """Calls are kept back: too many have failed."""

    failures: int | None = field(
        default=None, unit="{failure}", by="word", doc="How many calls had failed, one after another."
    )
    reset_after_ms: float | None = field(
        default=None, unit="ms", by="word", doc="How long calls are kept back before one is let through."
    )
    reason: str | None = field(default=None, doc="Why, in a few words, where a person opened it.")
    error_type: str | None = field(
        "error.type", default=None, by="word", dimension=True, doc="The type of the failure that opened it."
    )
    error_message: str | None = field(
        "error.message", default=None, by="word", doc="The message of the failure that opened it, scrubbed."
    )


class CircuitHalfOpened(_Circuit, name="circuit.half_opened", kind="transition", source="leadtrace", lead=False):
    """One call is let through, to see whether the other system is back."""


class CircuitClosed(_Circuit, name="circuit.closed", kind="transition", source="leadtrace", lead=False):
    """Calls are let through again."""
