"""What every test of the words runs in: a strict capture, and where asked for, a real tracer provider of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import leadtrace as lt
from leadtrace.testing import Captured
from leadtrace.words import guard


@pytest.fixture
def told() -> Iterator[Captured]:
    """What the test's words tell, strictly, with repeatable ids and times."""
    with lt.capture(deterministic=True) as captured:
        yield captured


@pytest.fixture
def lenient() -> Iterator[Captured]:
    """The same outside strict mode: mistakes are marked and counted."""
    guard.counts.clear()
    guard._said.clear()
    with lt.capture(strict=False, deterministic=True) as captured:
        yield captured


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
    """The process's tracer provider for a while; the API itself lets it be set but once."""
    before = trace._TRACER_PROVIDER
    trace._TRACER_PROVIDER = provider
    try:
        yield
    finally:
        trace._TRACER_PROVIDER = before


@contextmanager
def recording(**options: Any) -> Iterator[Spans]:
    """A real SDK provider with an in-memory exporter, in place for a while."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider_in_place(provider):
        yield Spans(exporter, provider)


@pytest.fixture
def spans() -> Iterator[Spans]:
    with recording() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_provider() -> Iterator[None]:
    """Whatever other tests of this process have set: here nothing is, unless a test asks for it."""
    with provider_in_place(None):
        yield
