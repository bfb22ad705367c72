"""Attaching and detaching: ids, patterns, listing, and what is refused."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import leadtrace as lt
from leadtrace.errors import DecorationError
from leadtrace.words import tell


class ParcelLost(lt.Event, name="parcel.lost", kind="failure", lead=False):
    """A parcel is gone."""


def nothing(*_: object) -> None:
    """A handler that does nothing."""


def names_seen(*events: Any) -> list[str]:
    """What a handler of these events gets to see of four events."""
    seen: list[str] = []
    lt.attach("seen", events, lambda name, measured, rest, config: seen.append(name), inline=True)
    with lt.capture():
        lt.emit("lead.received", lead_id="1")
        lt.emit("lead.event.failed", lead_id="1")
        lt.emit("circuit.opened", name="Acme")
        lt.emit("parcel.lost")
    lt.detach("seen")
    return seen


@pytest.mark.parametrize(
    ("events", "seen"),
    [
        (["lead.received"], ["lead.received"]),
        (["lead.*"], ["lead.received", "lead.event.failed"]),
        (["lead.event.*"], ["lead.event.failed"]),
        (["*"], ["lead.received", "lead.event.failed", "circuit.opened", "parcel.lost"]),
        (["*.failed"], ["lead.event.failed"]),
        (["lead"], []),
        (["lead.received", "lead.*"], ["lead.received", "lead.event.failed"]),
        ([ParcelLost], ["parcel.lost"]),
        ([lt.events()["circuit.opened"], "parcel.lost"], ["circuit.opened", "parcel.lost"]),
    ],
)
def test_a_handler_gets_the_events_that_its_names_and_patterns_mean_each_once(
    events: list[Any], seen: list[str]
) -> None:
    assert names_seen(*events) == seen


def test_attach_many_takes_all_declared_events_and_no_others() -> None:
    seen: list[str] = []
    lt.attach_many("all", lt.events(), lambda name, measured, rest, config: seen.append(name), inline=True)
    with lt.capture(strict=False):
        lt.emit("lead.received", lead_id="1")
        lt.emit("something.else.happened")
    assert seen == ["lead.received"]
    assert len(lt.list_handlers()[0].patterns) == len(lt.events())


def test_a_name_or_a_class_may_stand_alone() -> None:
    lt.attach("one", "lead.received", nothing)
    lt.attach("two", ParcelLost, nothing)
    assert [one.patterns for one in lt.list_handlers()] == [("lead.received",), ("parcel.lost",)]


def test_an_id_is_attached_once_until_it_is_detached() -> None:
    lt.attach("one", "lead.received", nothing)
    with pytest.raises(DecorationError, match="a handler 'one' is attached already; detach it first"):
        lt.attach("one", "lead.*", nothing)
    assert lt.detach("one") is True
    assert lt.detach("one") is False
    lt.attach("one", "lead.*", nothing)


def test_on_gives_the_function_back_and_a_function_can_be_detached_by_itself() -> None:
    @lt.on("lead.received")
    @lt.on("lead.declined")
    def take(event: lt.Event) -> str:
        return f"took {event.event_name}"

    assert take(lt.Event.__new__(ParcelLost)) == "took parcel.lost"
    assert len(lt.list_handlers()) == 2
    assert lt.detach(take) is True
    assert lt.list_handlers() == []
    assert tell.handed is None


def test_a_module_that_is_loaded_again_does_not_attach_its_functions_twice() -> None:
    source = "import leadtrace as lt\n@lt.on('lead.received')\ndef take(event): pass\n"
    for _ in range(2):
        exec(source, {"__name__": "shop.handlers"})
    assert [one.id for one in lt.list_handlers()] == ["shop.handlers.take"]


def test_functions_made_in_a_function_are_one_handler_each() -> None:
    def make() -> None:
        @lt.on("lead.received")
        def take(event: lt.Event) -> None: ...

    make()
    make()
    first, second = lt.list_handlers()
    assert second.id == f"{first.id}#2"


def test_handlers_are_listed_by_the_names_that_their_patterns_may_mean() -> None:
    for handler_id, pattern in {
        "a": "lead.received",
        "b": "lead.*",
        "c": "*",
        "d": "delivery.accepted",
        "e": "*.failed",
    }.items():
        lt.attach(handler_id, pattern, nothing, {"of": handler_id}, inline=handler_id == "a")

    def ids(prefix: str) -> str:
        return "".join(one.id for one in lt.list_handlers(prefix))

    assert (ids(""), ids("lead"), ids("lead.received"), ids("delivery"), ids("x")) == (
        "abcde",
        "abce",
        "abce",
        "cde",
        "ce",
    )
    one = lt.list_handlers("lead.received")[0]
    assert (one.id, one.patterns, one.handler, one.config, one.inline, one.missed) == (
        "a",
        ("lead.received",),
        nothing,
        {"of": "a"},
        True,
        0,
    )


segments = st.lists(st.sampled_from(["lead", "event", "failed", "sent"]), min_size=1, max_size=3).map(".".join)


@given(segments, segments, st.sampled_from(["", ".*", "*"]))
def test_a_handler_is_listed_under_every_prefix_of_every_name_that_it_would_get(
    name: str, stem: str, tail: str
) -> None:
    pattern = stem + tail
    if pattern == name or fnmatchcase(name, pattern):
        lt.attach("one", pattern, nothing)
        try:
            assert all(lt.list_handlers(name[:length]) for length in range(len(name) + 1))
        finally:
            lt.detach("one")


async def coroutine(event: lt.Event) -> None: ...


@pytest.mark.parametrize(
    ("attempt", "sentence"),
    [
        (lambda: lt.attach("", "lead.received", nothing), "takes the handler's id as text, not ''"),
        (lambda: lt.attach("x", [], nothing), "needs the name of an event"),
        (
            lambda: lt.attach("x", [7], nothing),
            "names of events, patterns such as 'delivery.*', or event classes, not 7",
        ),
        (lambda: lt.attach("x", "lead.*", "no function"), "a handler is a function, not 'no function'"),
        (lambda: lt.on()(nothing), "needs the name of an event"),
        (
            lambda: lt.on(nothing),
            "names of events, patterns such as 'delivery.*', or event classes, not <function nothing",
        ),
        (lambda: lt.on(lt.Event), "or event classes, not <class 'leadtrace.catalogue.model.Event'>"),
        (lambda: lt.on("lead.*")(coroutine), "a handler is a plain function"),
    ],
)
def test_a_mistake_is_raised_where_it_is_written(attempt: Any, sentence: str) -> None:
    with pytest.raises(DecorationError) as raised:
        attempt()
    assert sentence in str(raised.value)
    assert lt.list_handlers() == []


def test_a_name_that_looks_like_a_slip_is_told_once_when_events_come(caplog: pytest.LogCaptureFixture) -> None:
    lt.attach("slip", "lead.recieved", nothing)
    assert caplog.messages == []  # its event may still be declared
    with caplog.at_level(logging.WARNING, "leadtrace"), lt.capture():
        lt.emit("lead.received", lead_id="1")
        lt.emit("lead.accepted", lead_id="1")
    assert caplog.messages == [
        "handler 'slip' waits for 'lead.recieved', which is not declared; did you mean 'lead.received'?"
    ]
