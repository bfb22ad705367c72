"""With nothing configured a word only calls through: nothing is recorded, looked up or raised."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from typing import Any

import pytest
from words_provider import recording

import leadtrace as lt
from leadtrace.words import runtime


@pytest.fixture(autouse=True)
def _nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_current", None)


def test_every_word_calls_through(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for make in (lt.flow, lt.step, lt.enhancement, lt.delivery, lt.attempt, lt.validation, lt.rule, lt.fallback):
        assert make("N")(lambda x: x + 1)(1) == 2
        with make("N") as handle:
            assert not lt.current()
            handle.note(x=1)
            handle.note_for("L", x=1)
            handle.identify("L1")
            handle.result(5)
            handle.accepted(revenue=1)
            handle.rejected("no")
            handle.pending("r")
            handle.unconfirmed()
            handle.failed("x")
            assert handle.carry() == {}
            assert handle.id == handle.lead_id == handle.run_id == handle.tenant == ""
            assert handle.emit("no.such.thing", nonsense=1).why == "off"
            assert handle.move_to("x").saved is False
            assert handle.error(ValueError("x")).uid == ""
            with handle.step("inner") as inner, inner.attempt("GET"):
                pass
    with lt.resume({"nonsense": "x"}):
        pass
    assert lt.emit("lead.received").why == lt.move_to("x").why == lt.error("x").why == "off"
    lt.note(x=1)
    lt.identify("L1")
    assert caplog.records == []


def test_generators_and_coroutines_are_the_hosts_own() -> None:
    @lt.step
    def items() -> Any:
        yield 1

    @lt.step
    async def work() -> int:
        return 1

    import types

    assert isinstance(items(), types.GeneratorType)
    assert asyncio.run(work()) == 1


def test_a_parameter_that_is_not_there_fails_all_the_same() -> None:
    with pytest.raises(TypeError, match="parameters are: lead"):
        lt.step("s", x=lt.arg.leed)(lambda lead: None)


def test_a_silent_handle_refuses_what_no_handle_has() -> None:
    with lt.step("s") as step, pytest.raises(AttributeError, match="a handle has no 'stepp'"):
        step.stepp("x")  # type: ignore[attr-defined]


def test_it_is_cheap() -> None:
    """A hundred thousand calls through a word take well below a second: some microseconds each, on a slow machine."""

    def work() -> None: ...

    decorated = lt.step("s")(work)
    best = min(_timed(decorated) for _ in range(5))
    assert best / 2_000 < 20e-6


def _timed(call: Any) -> float:
    began = time.process_time()
    for _ in range(2_000):
        call()
    return time.process_time() - began


def test_each_of_the_three_switches_wakes_the_words() -> None:
    with recording() as spans, lt.step("by provider"):
        assert lt.current()
    assert spans.names() == ["by provider"]
    with lt.capture() as told, lt.step("by runtime"):
        assert lt.current()
    assert told.names() == ["operation.started", "operation.completed"]


def test_without_any_setup_in_a_process_of_its_own() -> None:
    script = """
import leadtrace as lt
from opentelemetry import trace
@lt.flow("F", lead_id=lt.arg.lead)
def run(lead):
    assert not trace.get_current_span().get_span_context().is_valid
    return lead
assert run("L1") == "L1"
import sys
assert "opentelemetry.sdk" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
