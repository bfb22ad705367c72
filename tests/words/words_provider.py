"""A real tracer provider of the SDK, in place for a while: the API itself lets one be set but once in a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

__all__ = ["Spans", "provider_in_place", "recording"]


class Spans:
    """The spans that ended, by name."""

    def __init__(self, exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
        self.exporter = exporter
        self.provider = provider

    def all(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def names(self) -> list[str]:
        return [one.name for one in self.all()]

    def one(self, name: str) -> ReadableSpan:
        found = [one for one in self.all() if one.name == name]
        assert len(found) == 1, (name, self.names())
        return found[0]


@contextmanager
def provider_in_place(provider: trace.TracerProvider | None) -> Iterator[None]:
    """The process's tracer provider for a while."""
    before = trace._TRACER_PROVIDER
    trace._TRACER_PROVIDER = provider
    try:
        yield
    finally:
        trace._TRACER_PROVIDER = before


@contextmanager
def recording(**options: Any) -> Iterator[Spans]:
    """An SDK provider with an in-memory exporter."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider_in_place(provider):
        yield Spans(exporter, provider)
