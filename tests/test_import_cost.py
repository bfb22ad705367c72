"""Importing leadtrace, and decorating with it, costs a pipeline next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "opentelemetry.sdk",
    "apsw",
    "sqlite3",
    "starlette",
    "uvicorn",
    "grpc",
    "wrapt",
    "asyncio",
    "rich",
    "click",
    "orjson",
    "google.protobuf",
    "urllib3",
    "pytest",
    "leadtrace.store",
    "leadtrace.journal",
    "leadtrace.query",
    "leadtrace.web",
    "leadtrace.receiver",
    "leadtrace.setup",
    "leadtrace.reading",
)


def loaded_by(code: str) -> list[str]:
    """Which of the heavy modules a fresh interpreter has loaded after running that."""
    script = f"{code}\nimport sys\nprint('\\n'.join(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


@pytest.fixture(scope="module")
def by_opentelemetry() -> set[str]:
    """What the OpenTelemetry API loads by itself is not ours to promise."""
    return set(loaded_by("import opentelemetry.trace, opentelemetry.context"))


def test_importing_loads_none_of_it() -> None:
    assert loaded_by("import leadtrace") == []


def test_listing_what_there_is_loads_none_of_it() -> None:
    assert loaded_by("import leadtrace\nassert 'flow' in dir(leadtrace)") == []


def test_decorating_and_calling_loads_none_of_it(by_opentelemetry: set[str]) -> None:
    code = """
import leadtrace as lt

@lt.flow("F", lead_id=lt.arg.lead)
def run(lead):
    with lt.step("s", chosen=1) as step:
        step.note(x=1)
        step.emit("lead.received")
    lt.move_to("x")
    deliver()
    lt.current().carry()
    with lt.resume(None):
        pass
    return lead

@lt.delivery("Acme", answer=lambda reply: lt.accepted(revenue=reply))
@lt.attempt
def deliver():
    return 5

@lt.enhancement
async def later(): ...

@lt.validation
def items():
    yield 1

assert run("L1") == "L1"
assert list(items()) == [1]
"""
    assert set(loaded_by(code)) <= by_opentelemetry


def test_recording_without_an_sdk_loads_none_of_it(by_opentelemetry: set[str]) -> None:
    code = """
import leadtrace as lt
from leadtrace.otlp.redact import Redactor
from leadtrace.words import runtime

runtime.install(runtime.Runtime(redactor=Redactor(b"k" * 32)))
with lt.flow("F", lead_id="L1"), lt.attempt("GET"):
    lt.emit("lead.received")
try:
    with lt.step("s"):
        raise ValueError("x")
except ValueError:
    pass
"""
    assert set(loaded_by(code)) <= by_opentelemetry
