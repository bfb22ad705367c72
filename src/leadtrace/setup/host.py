"""What the host has set up itself: its tracer provider, and the exporters on it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import trace

if TYPE_CHECKING:
    from leadtrace.journal.endpoints import Endpoint
    from leadtrace.setup.spans import SpanSender

__all__ = ["current_provider", "exporter_to", "exports_to_journal", "sender_on"]

_LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104 - a name to compare, nothing is bound
_OTLP_PORTS = {4317, 4318}
_senders: weakref.WeakKeyDictionary[Any, SpanSender] = weakref.WeakKeyDictionary()


def current_provider() -> Any | None:
    """The tracer provider that is set, None where none is."""
    provider = trace.get_tracer_provider()
    return None if isinstance(provider, trace.ProxyTracerProvider) else provider


def sender_on(provider: Any) -> SpanSender | None:
    """The one processor of ours on that provider, put there at the first call; None where it takes no processors."""
    found = _senders.get(provider)
    if found is None and callable(getattr(provider, "add_span_processor", None)):
        from leadtrace.setup.spans import SpanSender

        found = _senders[provider] = SpanSender()
        provider.add_span_processor(found)
    return found


def exports_to_journal(provider: Any) -> bool:
    """Whether an exporter of ours is on that provider already (OTEL_TRACES_EXPORTER=leadtrace)."""
    for processor in _processors(getattr(provider, "_active_span_processor", None)):
        exporter = getattr(processor, "span_exporter", None) or getattr(processor, "_exporter", None)
        if exporter is not None and type(exporter).__module__ == "leadtrace.setup.exporters":
            return True
    return False


def exporter_to(provider: Any, endpoint: Endpoint) -> str:
    """The address of an OTLP exporter of the host's own that sends spans to the receiver of that endpoint, '' where none does.

    Two ports of one host are one receiver if they are OTLP's own two: 4317 for gRPC and 4318 for HTTP.
    """
    wanted = _receiver(endpoint.address)
    for processor in _processors(getattr(provider, "_active_span_processor", None)):
        exporter = getattr(processor, "span_exporter", None) or getattr(processor, "_exporter", None)
        if exporter is None or ".otlp." not in f"{type(exporter).__module__}.":
            continue
        where = getattr(exporter, "_endpoint", None)
        if isinstance(where, str) and _receiver(_address(where)) == wanted:
            return where
    return ""


def _processors(processor: Any, depth: int = 0) -> list[Any]:
    """A provider's processors, those inside of others included: how an SDK keeps them is its own affair, so nothing is taken
    for granted."""
    inner = getattr(processor, "_span_processors", None)
    if not isinstance(inner, (list, tuple)) or depth > 4:
        return [] if processor is None else [processor]
    return [found for one in inner for found in _processors(one, depth + 1)]


def _address(url: str) -> str:
    parts = urlsplit(url if "//" in url else f"//{url}")
    port = parts.port or (443 if parts.scheme == "https" else 80 if parts.scheme == "http" else 4317)
    return f"{(parts.hostname or '').lower()}:{port}"


def _receiver(address: str) -> tuple[str, object]:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    number = int(port) if port.isdecimal() else 0
    return ("localhost" if host in _LOOPBACK else host), ("otlp" if number in _OTLP_PORTS else number)
