"""Spans on their way to the sink: encoded once, where they end, with their free text scrubbed."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import Link

from leadtrace.catalogue.model import lookup
from leadtrace.otlp import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Event, ReadableSpan, Span
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from leadtrace.otlp.redact import Redactor
    from leadtrace.otlp.sink import Signal, Sink

__all__ = ["SpanSender"]

_log = logging.getLogger("leadtrace")
_FLUSH_AT_SHUTDOWN_S = 1.0
_MOST_SCOPES = 1_000


class SpanSender(SpanProcessor):
    """Hands each sampled span that ends to a sink.

    A provider keeps its processors for good, so there is one for a provider, and `aim` turns it to another sink or to none.
    """

    def __init__(self) -> None:
        self._target: tuple[Sink, Redactor] | None = None
        self._signals: dict[object, Signal] = {}
        self._failed = 0

    def aim(self, sink: Sink | None, redactor: Redactor | None) -> None:
        """Send to that sink from now on; None: nowhere."""
        self._target = (sink, redactor) if sink is not None and redactor is not None else None

    @property
    def sink(self) -> Sink | None:
        return self._target[0] if self._target is not None else None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Write down that a span of another library began, where there is a journal; a word's start event says it of ours."""
        target = self._target
        begin = getattr(target[0], "begin", None) if target is not None else None
        scope = span.instrumentation_scope
        context = span.get_span_context()
        if target is None or begin is None or (scope is not None and scope.name == "leadtrace"):
            return
        if context is None or not context.trace_flags.sampled:
            return
        try:
            begin(self._signal(scope), _encoded(span, target[1]), context.span_id)
        except Exception as why:  # noqa: BLE001 - as in on_end
            self._cannot(span, why)

    def on_end(self, span: ReadableSpan) -> None:
        target = self._target
        context = span.get_span_context()
        if target is None or context is None or not context.trace_flags.sampled:
            return
        sink, redactor = target
        try:
            signal = self._signal(span.instrumentation_scope)
            sink.append(signal, _encoded(span, redactor), closes=context.span_id if signal.foreign else 0)
        except Exception as why:  # noqa: BLE001 - a span that cannot be encoded is not the host's trouble
            self._cannot(span, why)

    def _cannot(self, span: ReadableSpan, why: Exception) -> None:
        self._failed += 1
        if self._failed == 1:
            _log.warning("leadtrace: span %r could not be encoded: %r; others alike are not told", span.name, why)

    def _signal(self, scope: InstrumentationScope | None) -> Signal:
        if scope is None:
            key: object = None
        else:
            attributes = scope.attributes or {}
            key = (scope.name, scope.version, scope.schema_url, tuple(attributes.items()) if attributes else ())
        found = self._signals.get(key)
        if found is None:
            if len(self._signals) >= _MOST_SCOPES:
                self._signals.clear()
            if scope is None:
                found = encode.signal("traces", "")
            else:
                found = encode.signal(
                    "traces", scope.name, scope.version or "", scope.schema_url or "", scope.attributes or None
                )
            if scope is None or scope.name != "leadtrace":
                found = replace(found, foreign=True)
            self._signals[key] = found
        return found

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        target = self._target
        return True if target is None else target[0].flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Flush, shortly: the sink itself outlives the provider, because events go on."""
        target, self._target = self._target, None
        if target is not None:
            target[0].flush(_FLUSH_AT_SHUTDOWN_S)


def _encoded(span: ReadableSpan, redactor: Redactor) -> bytes:
    own = span.attributes or {}
    tenant = own.get("tenant_key")
    whose = tenant if isinstance(tenant, str) else None
    ours = span.instrumentation_scope is not None and span.instrumentation_scope.name == "leadtrace"
    attributes = redactor.span_attributes(own, whose, ours=ours)
    events: list[tuple[Event, Mapping[str, object] | None]] = []
    for one in span.events:
        told = one.attributes
        if told and not (ours and "log.record.uid" in told):  # with its uid it was redacted when it was told
            told = redactor.attributes(one.name, lookup(one.name), told, tenant=whose)  # type: ignore[assignment]
        events.append((one, told))
    message = span.status.description
    name, links = redactor.text(span.name, (), whose), span.links
    if name != span.name or any(one.attributes for one in links):
        links = [Link(one.context, redactor.span_attributes(one.attributes or {}, whose)) for one in links]  # type: ignore[arg-type]
        span = _Changed(span, name, links)  # type: ignore[assignment]
    return encode.span(span, attributes, events, redactor.text(message, (), whose) if message else None)


class _Changed:
    """A span with another name and other links; all else is the span's own. The span itself is never changed."""

    __slots__ = ("_span", "links", "name")

    def __init__(self, span: ReadableSpan, name: str, links: Sequence[Link]) -> None:
        self._span = span
        self.name = name
        self.links = links

    def __getattr__(self, name: str) -> Any:
        return getattr(self._span, name)
