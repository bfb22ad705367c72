"""Putting clean values onto a span, without having the SDK clean them again.

What the words record was cleaned when it was made. The SDK's `add_event` and `set_attributes` look at every value once more,
which costs more than all else of a call together. Where the span is the SDK's own, and none of its limits is near, the
values go straight into it; in every other case, and with any SDK whose insides are not as known, by the public way.
Both ways leave the same span (tested).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leadtrace.otlp.values import flat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from leadtrace.otlp.records import Value

__all__ = ["add_event", "set_attributes"]

_known: dict[type, Any] = {}
"""By class of span: the SDK's Event class where its insides are as known, None where the public way is to be taken."""


def _event_class(span: Span) -> Any:
    kind = type(span)
    try:
        return _known[kind]
    except KeyError:
        _known[kind] = found = _look_inside(span) if kind.__module__ == "opentelemetry.sdk.trace" else None
        return found


def _look_inside(span: Any) -> Any:
    try:
        from opentelemetry.attributes import BoundedAttributes
        from opentelemetry.sdk.trace import Event, SpanLimits

        attributes, limits = span._attributes, span._limits
        as_known = (
            type(attributes) is BoundedAttributes
            and type(attributes._dict) is dict
            and hasattr(attributes, "maxlen")
            and isinstance(limits, SpanLimits)
            and hasattr(attributes._lock, "__enter__")
            and callable(span._add_event)
        )
    except (ImportError, AttributeError):
        return None
    return Event if as_known else None


def add_event(span: Any, name: str, attributes: Mapping[str, Value], time_ns: int) -> None:
    """Add an event of clean values to a recording span."""
    shown = _flat(attributes)
    event = _event_class(span)
    if event is not None:
        limits = span._limits
        most = limits.max_event_attributes
        if limits.max_attribute_length is None and (most is None or len(shown) <= most):
            span._add_event(event(name, shown, time_ns))
            return
    span.add_event(name, shown, timestamp=time_ns)


def set_attributes(span: Any, attributes: Mapping[str, Value]) -> None:
    """Set clean values on a recording span."""
    shown = _flat(attributes)
    if _event_class(span) is not None and span._limits.max_attribute_length is None:
        held = span._attributes
        with held._lock:
            if held.maxlen is None or len(held._dict) + len(shown) <= held.maxlen:
                held._dict.update(shown)
                return
    span.set_attributes(shown)


def _flat(attributes: Mapping[str, Value]) -> Mapping[str, Value]:
    """The same where all values are plain; else a copy in which maps are JSON text, which a span's attributes need, and
    lists are frozen, as the SDK does."""
    for value in attributes.values():
        kind = value.__class__
        if kind is list or kind is dict:
            break
    else:
        return attributes
    shown = dict(attributes)
    for key, value in shown.items():
        if isinstance(value, (list, dict)):
            flattened = flat(value)
            shown[key] = tuple(flattened) if isinstance(flattened, list) else flattened  # type: ignore[assignment]
    return shown
