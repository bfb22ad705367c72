"""Deliveries: accepted, rejected, pending, failed, unconfirmed or cancelled; and what is said where nobody can know."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.testing import Captured

ANSWERS: dict[str, tuple[lt.Answer, str, dict[str, object]]] = {
    "accepted": (
        lt.accepted(revenue=45),
        "delivery.accepted",
        {"delivery.revenue": 45.0, "delivery.currency": "USD", "leadtrace.kind": "success"},
    ),
    "accepted in euro": (
        lt.accepted(revenue=1.5, currency="EUR"),
        "delivery.accepted",
        {"delivery.revenue": 1.5, "delivery.currency": "EUR"},
    ),
    "rejected": (
        lt.rejected("duplicate", code=17),
        "delivery.rejected",
        {"delivery.reason": "duplicate", "delivery.code": "17", "leadtrace.kind": "rejection"},
    ),
    "pending": (lt.pending(991), "delivery.pending", {"delivery.reference": "991", "leadtrace.kind": "milestone"}),
    "unconfirmed": (
        lt.unconfirmed("empty body"),
        "delivery.unconfirmed",
        {"delivery.reason": "empty body", "leadtrace.kind": "failure"},
    ),
    "failed": (
        lt.failed("bad template", category="processing", subcategory="data"),
        "delivery.failed",
        {
            "delivery.reason": "bad template",
            "delivery.failure.category": "processing",
            "delivery.failure.subcategory": "data",
            "leadtrace.kind": "failure",
        },
    ),
}


def _returned(answer: lt.Answer) -> None:
    assert lt.delivery("Acme")(lambda: answer)() is answer


def _by_answer(answer: lt.Answer) -> None:
    assert lt.delivery("Acme", answer=lambda reply: answer if reply == "reply" else None)(lambda: "reply")() == "reply"


def _by_answer_of_parameters(answer: lt.Answer) -> None:
    def judge(lead: str, *, result: str) -> lt.Answer:
        assert (lead, result) == ("L", "reply")
        return answer

    lt.delivery("Acme", answer=judge)(lambda lead: "reply")("L")


def _by_method(answer: lt.Answer) -> None:
    given: dict[str, Any] = dict(answer.fields)
    with lt.delivery("Acme") as delivery:
        give = getattr(delivery, answer.verdict)
        give(answer.reason, **given) if answer.reason else give(**given)


def _by_result(answer: lt.Answer) -> None:
    with lt.delivery("Acme") as delivery:
        delivery.result(answer)


def _by_result_and_answer(answer: lt.Answer) -> None:
    with lt.delivery("Acme", answer=lambda reply: answer) as delivery:
        delivery.result("reply")


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(
    "give",
    [_returned, _by_answer, _by_answer_of_parameters, _by_method, _by_result, _by_result_and_answer],
    ids=lambda one: one.__name__.removeprefix("_"),
)
def test_an_answer_may_be_given_in_any_way(give: Any, answer: str, told: Captured) -> None:
    said, event, fields = ANSWERS[answer]
    give(said)
    assert told.tree() == f"delivery 'deliver to Acme'\n  delivery.started\n  {event}"
    start, end = told.one("delivery.started"), told.one(event)
    assert {key: end.attributes.get(key) for key in fields} == fields
    assert end.attributes["delivery.buyer"] == "Acme"
    assert end.attributes["delivery.id"] == start.attributes["delivery.id"]
    assert end.attributes["delivery.duration_ms"] >= 0  # type: ignore[operator]
    assert "delivery.attempts" not in end.attributes


def test_a_delivery_that_neither_raised_nor_answered_is_unconfirmed(told: Captured) -> None:
    lt.delivery("Acme")(lambda: None)()
    lt.delivery("Acme")(lambda: "some reply that nobody judged")()
    lt.delivery("Acme", answer=lambda reply: None)(lambda: "reply")()
    assert [one.attributes["delivery.reason"] for one in told.events("delivery.unconfirmed")] == ["no answer given"] * 3


def test_the_last_answer_wins(told: Captured) -> None:
    with lt.delivery("Acme") as delivery:
        delivery.rejected("no")
        delivery.accepted(revenue=3)
    assert told.names() == ["delivery.started", "delivery.accepted"]

    @lt.delivery("Acme")
    def deliver() -> lt.Answer:
        lt.current().accepted(revenue=1)
        return lt.rejected("after all")

    deliver()
    assert told.one("delivery.rejected").attributes["delivery.reason"] == "after all"


def test_an_answer_stands_though_the_body_raises_afterwards(told: Captured) -> None:
    problem = ValueError("bookkeeping")
    with pytest.raises(ValueError, match="bookkeeping") as caught, lt.delivery("Acme") as delivery:
        delivery.accepted(revenue=12)
        raise problem
    assert caught.value is problem
    assert told.names() == ["delivery.started", "error.occurred", "delivery.accepted"]
    assert "error.type" not in told.one("delivery.accepted").attributes


def test_an_answer_that_raises_itself_leaves_it_unconfirmed_marked_and_never_raises(told: Captured) -> None:
    reply = object()

    def read(found: Any) -> lt.Answer:
        return lt.accepted(revenue=found.price)

    assert lt.delivery("Acme", answer=read)(lambda: reply)() is reply
    end = told.one("delivery.unconfirmed")
    assert end.attributes["leadtrace.marks"] == ["missing:answer"]
    assert end.attributes["delivery.reason"] == "answer= failed"


def test_an_answer_that_gives_something_else_is_marked(told: Captured) -> None:
    lt.delivery("Acme", answer=lambda reply: True)(lambda: "reply")()
    assert told.one("delivery.unconfirmed").attributes["leadtrace.marks"] == ["missing:answer"]


def test_a_pending_delivery_is_closed_later_by_its_id_and_counts_once(told: Captured) -> None:
    with lt.flow("F", lead_id="L1"):
        with lt.delivery("Acme") as delivery:
            delivery.pending("ref")
        lt.emit("delivery.accepted", id=delivery.id, revenue=20)
    end = told.one("flow.completed").attributes
    assert end["flow.summary.final_outcome"] == "delivered"
    assert end["flow.summary.deliveries_attempted"] == 1
    assert end["flow.journey.total_revenue"] == 20.0
    assert end["flow.journey.delivered_to"] == ["Acme"]
    assert delivery.id == told.one("delivery.started").attributes["delivery.id"]
    lt.emit("delivery.accepted", lead_id="L1", id=delivery.id, revenue=20)
    later = told.events("delivery.accepted")[1]
    assert (later.lead_id, later.attributes["delivery.currency"]) == ("L1", "USD")


# -- a delivery that raises or is cut off


class Refused(Exception):
    """Another system's exception, raised from what the socket said."""


def _resets() -> None:
    raise ConnectionResetError("reset by peer")


def _refuses() -> None:
    raise ConnectionRefusedError("refused")


def _unknown_name() -> None:
    raise socket.gaierror(-2, "Name or service not known")


def _times_out() -> None:
    raise TimeoutError("timed out")


def _own_mistake() -> None:
    raise KeyError("zip")


def _other() -> None:
    raise Refused("who knows")


@pytest.mark.parametrize(
    ("body", "event", "subcategory"),
    [
        (_refuses, "delivery.failed", "connection"),
        (_unknown_name, "delivery.failed", "connection"),
        (_own_mistake, "delivery.failed", "data"),
        (_other, "delivery.failed", None),
        (_resets, "delivery.unconfirmed", "connection"),
        (_times_out, "delivery.unconfirmed", "timeout"),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)).removeprefix("_"),
)
@pytest.mark.parametrize("tries", [0, 1, 2], ids=["no attempt word", "one attempt", "two attempts"])
def test_a_delivery_that_raises_failed_unless_the_buyer_may_have_it(
    body: Any, event: str, subcategory: str | None, tries: int, told: Captured
) -> None:
    with pytest.raises(Exception) as caught, lt.delivery("Acme") as delivery:  # noqa: PT011
        for _ in range(tries - 1):
            with _swallow(), delivery.attempt("POST"):
                body()
        if tries:
            with delivery.attempt("POST"):
                body()
        body()
    end = told.events("delivery.*")[-1]
    assert end.name == event
    assert str(end.attributes["error.type"]).endswith(type(caught.value).__qualname__)
    assert end.attributes.get("delivery.failure.subcategory") == subcategory
    assert end.attributes.get("delivery.attempts") == (tries or None)


class _swallow:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> bool:
        return True


def _deliver(*tries: Any, last: Any = None) -> None:
    """A delivery whose tries are made one after another, each swallowed, before the body ends as `last` does."""
    with _swallow(), lt.delivery("Acme") as delivery:
        for one in tries:
            with _swallow(), delivery.attempt("POST") as attempt:
                attempt.result(one())
        if last is not None:
            last()


class Reply:
    def __init__(self, status: int) -> None:
        self.status_code = status


class StatusError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.response = Reply(status)


def _status(status: int) -> Any:
    return lambda: Reply(status)


def _raise_503() -> None:
    raise StatusError(503)


@pytest.mark.parametrize(
    ("tries", "last", "event"),
    [
        ((_resets, _refuses), _refuses, "delivery.unconfirmed"),  # the doubt of the first try stands
        ((_refuses, _resets), _resets, "delivery.unconfirmed"),
        ((_refuses, _refuses), _refuses, "delivery.failed"),
        ((_resets, _status(200)), _own_mistake, "delivery.failed"),  # a later try was answered
        ((_resets, _raise_503), _raise_503, "delivery.failed"),  # answered, if only by an error
        ((_resets, _status(503)), _other, "delivery.failed"),
        ((_status(200), _times_out), _times_out, "delivery.unconfirmed"),
        ((_refuses,), _times_out, "delivery.failed"),  # what timed out here was no try
    ],
)
def test_all_tries_are_judged_together(tries: Any, last: Any, event: str, told: Captured) -> None:
    _deliver(*tries, last=last)
    assert told.events("delivery.*")[-1].name == event


async def _run_and_cancel(coroutine: Any, message: str | None = None) -> None:
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0.01)
    task.cancel(message) if message is not None else task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_within_a_try_it_is_unconfirmed(told: Captured) -> None:
    @lt.attempt("POST")
    async def post() -> None:
        await asyncio.sleep(10)

    @lt.delivery("Acme")
    async def deliver() -> None:
        await post()

    await _run_and_cancel(deliver(), "shutting down")
    assert told.tree() == (
        "delivery 'deliver to Acme'\n  delivery.started\n"
        "  attempt 'POST'\n    api.call.attempted\n    api.call.cancelled\n"
        "  delivery.unconfirmed"
    )
    end = told.one("delivery.unconfirmed")
    assert end.attributes["delivery.reason"] == "shutting down"
    assert "error.type" not in end.attributes
    assert told.one("api.call.cancelled").attributes["api.call.reason"] == "shutting down"


async def test_cancelled_without_attempt_words_it_counts_as_begun(told: Captured) -> None:
    @lt.delivery("Acme")
    async def deliver() -> None:
        await asyncio.sleep(10)

    await _run_and_cancel(deliver())
    assert told.names() == ["delivery.started", "delivery.unconfirmed"]
    assert told.one("delivery.unconfirmed").attributes["delivery.reason"] == "cancelled"


async def test_cancelled_before_any_attempt_it_is_cancelled(told: Captured) -> None:
    """A decorated attempt beneath says that the buyer is reached by attempts alone."""

    async def retried(function: Any) -> None:
        await asyncio.sleep(10)
        await function()

    import functools

    def waits_first(function: Any) -> Any:
        @functools.wraps(function)
        async def run() -> None:
            await retried(function)

        return run

    @lt.delivery("Acme")
    @waits_first
    @lt.attempt("POST")
    async def deliver() -> None: ...

    await _run_and_cancel(deliver(), "window closed")
    assert told.names() == ["delivery.started", "delivery.cancelled"]
    assert told.one("delivery.cancelled").attributes["delivery.reason"] == "window closed"


async def test_cancelled_between_tries_that_reached_nobody_it_is_cancelled(told: Captured) -> None:
    @lt.delivery("Acme")
    async def deliver() -> None:
        with _swallow(), lt.attempt("POST"):
            _refuses()
        await asyncio.sleep(10)

    await _run_and_cancel(deliver())
    assert told.names()[-1] == "delivery.cancelled"


@pytest.mark.parametrize("in_try", [True, False])
async def test_timed_out_it_is_unconfirmed_with_the_reason(in_try: bool, told: Captured) -> None:
    @lt.delivery("Acme")
    async def deliver() -> None:
        if in_try:
            async with lt.attempt("POST"):
                await asyncio.sleep(10)
        await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        async with lt.timeout(0.01, "auction window"):
            await deliver()
    end = told.one("delivery.unconfirmed")
    assert end.attributes["error.type"] == "TimeoutError"
    assert end.attributes["delivery.reason"] == "auction window"
    assert end.attributes["delivery.failure.category"] == "technical"
    assert end.attributes["delivery.failure.subcategory"] == "timeout"


def test_an_expected_exception_rejects(told: Captured) -> None:
    with pytest.raises(LookupError), lt.delivery("Acme", expected=(LookupError,)):
        raise LookupError("outside the area")
    end = told.one("delivery.rejected")
    assert end.attributes["delivery.reason"] == "outside the area"
    assert end.attributes["leadtrace.expected"] == "LookupError"
    assert told.events("error.occurred") == []


def test_the_span_is_named_after_the_buyer_and_bare_is_deliver(told: Captured) -> None:
    class Buyer:
        name = "Acme"

    lt.delivery(buyer=lt.arg.buyer.name)(lambda buyer: None)(Buyer())
    lt.delivery(lambda lead: None)(1)
    names = [one.attributes["leadtrace.name"] for one in told.events("delivery.started")]
    assert names == ["deliver to Acme", "deliver"]
