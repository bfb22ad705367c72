"""A breaker's changes are told, each with what it knows; they belong to no lead."""

from __future__ import annotations

from typing import Any

import pybreaker
import pytest

import leadtrace as lt


class Clockless(pybreaker.CircuitMemoryStorage):
    """A breaker's memory that says it was opened long ago, so that no test waits."""

    @property
    def opened_at(self) -> Any:
        import datetime

        return datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)

    @opened_at.setter
    def opened_at(self, when: Any) -> None:
        """Long ago all the same."""


def breaker(name: str | None = "Acme", storage: Any = None, **more: Any) -> pybreaker.CircuitBreaker:
    return pybreaker.CircuitBreaker(
        fail_max=2,
        reset_timeout=30,
        name=name,
        listeners=[lt.hooks.pybreaker()],
        state_storage=storage or Clockless(pybreaker.STATE_CLOSED),
        **more,
    )


def fail() -> None:
    raise ConnectionError("no answer from ann@example.com")


def fields(event: Any) -> dict[str, Any]:
    """What an event says itself."""
    return {key: value for key, value in event.attributes.items() if key.startswith(("circuit.", "error."))}


def test_a_breaker_that_opens_lets_one_call_through_and_closes_tells_all_three() -> None:
    circuit = breaker()
    with lt.capture() as captured:
        for _ in range(2):
            with pytest.raises((ConnectionError, pybreaker.CircuitBreakerError)):
                circuit.call(fail)
        assert circuit.call(lambda: "back") == "back"
    assert captured.names() == ["circuit.opened", "circuit.half_opened", "circuit.closed"]
    opened, half_opened, closed = captured.events()
    said = fields(opened)
    message = said.pop("error.message")
    assert said == {
        "circuit.name": "Acme",
        "circuit.from": "closed",
        "circuit.failures": 2,
        "circuit.reset_after_ms": 30_000.0,
        "error.type": "ConnectionError",
    }
    assert message.startswith("no answer from ")
    assert "ann@example.com" not in message
    assert fields(half_opened) == {"circuit.name": "Acme", "circuit.from": "opened"}
    assert fields(closed) == {"circuit.name": "Acme", "circuit.from": "half_opened"}
    assert {one.attributes["leadtrace.kind"] for one in captured.events()} == {"transition"}


def test_a_try_that_fails_opens_it_again_with_what_failed_now() -> None:
    circuit = breaker()

    def late() -> None:
        raise TimeoutError("late")

    with lt.capture() as captured:
        for function in (fail, fail, late):
            with pytest.raises((OSError, pybreaker.CircuitBreakerError)):
                circuit.call(function)
    assert captured.names() == ["circuit.opened", "circuit.half_opened", "circuit.opened"]
    again = captured.events()[2]
    assert (again.attributes["circuit.from"], again.attributes["error.type"]) == ("half_opened", "TimeoutError")


def test_a_breaker_opened_by_hand_names_no_failure() -> None:
    circuit = breaker()
    with lt.capture() as captured:
        with pytest.raises(ConnectionError):
            circuit.call(fail)
        circuit.call(lambda: None)
        circuit.open()
        circuit.close()
    opened, closed = captured.events()
    assert "error.type" not in opened.attributes
    assert fields(closed) == {"circuit.name": "Acme", "circuit.from": "opened"}


def test_a_circuits_event_takes_no_lead_and_goes_on_the_span_of_the_word_that_met_it() -> None:
    circuit = breaker(throw_new_error_on_trip=False)
    with lt.capture() as captured, lt.flow("sell", lead_id="lead_1"), lt.delivery("Acme") as delivery:
        for _ in range(2):
            with pytest.raises(ConnectionError):
                circuit.call(fail)
        delivery.failed("no answer")
    opened = captured.one("circuit.opened")
    assert opened.lead_id == ""
    assert opened.span_id == delivery.span_id


async def test_a_coroutine_in_the_breakers_with_form() -> None:
    """pybreaker's own way for asyncio: the block, not the decorator."""
    circuit = breaker()
    with lt.capture() as captured:
        for _ in range(2):
            with pytest.raises((ConnectionError, pybreaker.CircuitBreakerError)), circuit.calling():
                fail()
    assert captured.names() == ["circuit.opened"]


def test_one_listener_serves_several_breakers_and_one_without_a_name() -> None:
    listener = lt.hooks.pybreaker()
    first = pybreaker.CircuitBreaker(fail_max=1, name="one", listeners=[listener])
    second = pybreaker.CircuitBreaker(fail_max=1, listeners=[listener])
    with lt.capture() as captured:
        for circuit in (first, second):
            with pytest.raises(pybreaker.CircuitBreakerError):
                circuit.call(fail)
    assert [one.attributes.get("circuit.name") for one in captured.events("circuit.opened")] == ["one", None]


def test_a_breaker_of_ones_own_tells_the_same_events_by_hand() -> None:
    with lt.capture() as captured:
        lt.emit("circuit.opened", name="Acme", from_="closed", failures=5, reason="on the operator's word")
    assert fields(captured.one("circuit.opened")) == {
        "circuit.name": "Acme",
        "circuit.from": "closed",
        "circuit.failures": 5,
        "circuit.reason": "on the operator's word",
    }


def test_where_nothing_listens_a_breaker_works_as_ever() -> None:
    circuit = breaker()
    for _ in range(2):
        with pytest.raises((ConnectionError, pybreaker.CircuitBreakerError)):
            circuit.call(fail)
    assert circuit.current_state == "open"
