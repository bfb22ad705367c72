"""What every test of the words runs in: a strict capture, and where asked for, a real tracer provider of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import context as otel

import leadtrace as lt
from leadtrace.testing import Captured
from leadtrace.words import guard

sys.path.insert(0, str(Path(__file__).parent))
from words_provider import Spans, provider_in_place, recording  # beside this file


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


@pytest.fixture
def spans() -> Iterator[Spans]:
    """The spans of a real provider."""
    with recording() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_provider() -> Iterator[None]:
    """Whatever other tests of this process have set or left open: here nothing is, unless a test asks for it."""
    token = otel.attach(otel.Context())
    with provider_in_place(None):
        yield
    otel.detach(token)
