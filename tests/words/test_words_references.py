"""References and callables, keywords and names: mistakes fail where they are written, misses cost one attribute."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

import leadtrace as lt
from leadtrace.testing import Captured
from leadtrace.words.guard import counts


class Lead:
    def __init__(self) -> None:
        self.id = "L1"
        self.buyers = [{"name": "Acme"}]
        self.first = "Ann"


def _step(told: Captured, *args: Any, function: Any = None, **fields: Any) -> dict[str, Any]:
    lt.step("s", **fields)(function or (lambda lead=None: lead))(*args)
    return dict(told.events("operation.completed")[-1].attributes)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (lt.arg.lead.id, "L1"),
        (lt.arg.lead.buyers[0]["name"], "Acme"),
        (lt.arg.lead.buyers[0].name, "Acme"),
        (lt.arg["lead"].id, "L1"),
        (lt.result.id, "L1"),
        (lambda lead: f"{lead.first} of {lead.id}", "Ann of L1"),
        (lambda result: result.first, "Ann"),
        (lambda found: found.first, "Ann"),
        (lambda lead, result: lead is result, True),
        (lambda lead, /: lead.id, "L1"),
        (lambda *, lead: lead.id, "L1"),
        (lambda *, found: found.id, "L1"),
        (lambda lead, other="default": other, "default"),
    ],
)
def test_a_value_is_read_at_call_time(reference: Any, found: object, told: Captured) -> None:
    assert _step(told, Lead(), x=reference)["step.x"] == found


def test_parameters_of_every_kind_are_read(told: Captured) -> None:
    @lt.step("s", a=lt.arg.a, b=lt.arg.b, rest=lt.arg.rest, c=lt.arg.c, d=lt.arg.d, more=lt.arg.more["e"], z=lt.arg.e)
    def work(a: int, /, b: int, *rest: int, c: int, d: int = 4, **more: int) -> None: ...

    work(1, 2, 8, 9, c=3, e=5)
    end = told.one("operation.completed").attributes
    assert {key.removeprefix("step."): value for key, value in end.items() if key.startswith("step.")} == {
        "a": 1,
        "b": 2,
        "rest": [8, 9],
        "c": 3,
        "d": 4,
        "more": 5,
        "z": 5,
    }


def test_self_and_cls_are_parameters_too(told: Captured) -> None:
    class Desk:
        name = "front"

        @lt.step("s", desk=lt.arg.self.name)
        def work(self) -> None: ...

        @lt.step("s", desk=lt.arg.cls.name)
        @classmethod
        def of(cls) -> None: ...

    Desk().work()
    Desk.of()
    assert [one.attributes["step.desk"] for one in told.events("operation.completed")] == ["front", "front"]


@pytest.mark.parametrize("make", [lt.step, lt.flow, lt.delivery, lt.enhancement], ids=lambda one: one.__name__)
@pytest.mark.parametrize("how", ["lead_id", "own", "callable"])
def test_a_parameter_that_does_not_exist_fails_at_import_and_lists_those_that_do(make: Any, how: str) -> None:
    wrong = {
        "lead_id": {"lead_id": lt.arg.leed.id},
        "own": {"mine": lt.arg.leed},
        "callable": {"mine": lambda leed, b: 1},
    }

    def process(lead: Lead, buyers: list[str]) -> None: ...

    with pytest.raises(
        lt.LeadtraceError, match="parameter that is not there; the function's parameters are: lead, buyers"
    ):
        make("N", **wrong[how])(process)


@pytest.mark.parametrize(
    "reference",
    [lt.arg.lead.nothing, lt.arg.lead.buyers[7], lt.arg.lead.buyers[0]["no"], lt.result.id, lambda lead: lead.nothing],
)
def test_what_is_missing_at_call_time_costs_that_attribute_and_one_warning(
    reference: Any, told: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    """Also under strict, which this is; the function is called all the same."""
    calls: list[Lead] = []
    caplog.set_level(logging.WARNING, logger="leadtrace")
    before = counts.total()
    work = lt.step(f"s {reference!r}", mine=reference, other="kept")(lambda lead: calls.append(lead))
    for _ in range(3):
        work(Lead())
    assert len(calls) == 3
    end = told.events("operation.completed")[-1].attributes
    assert "step.mine" not in end
    assert end["step.other"] == "kept"
    marks = [one.attributes["leadtrace.marks"] for one in told.events() if "leadtrace.marks" in one.attributes]
    assert marks == [["missing:step.mine"]] * 3
    assert len([one for one in caplog.records if "no value for step.mine" in one.message]) <= 1
    assert counts.total() == before + 3


@pytest.mark.parametrize(
    ("use", "what"),
    [
        (bool, "tested"),
        (list, "iterated"),
        (lambda one: one(), "called"),
        (lambda one: one == 1, "compared"),
        (lambda one: one != 1, "compared"),
        (lambda one: one < 1, "compared"),
        (lambda one: f"{one}", "formatted"),
        (str, "formatted"),
        (lambda one: "%s" % one, "formatted"),  # noqa: UP031
        (lambda one: 1 in one, "iterated"),
        (len, "iterated"),
        (int, "formatted"),
        (lambda one: one + "x", "formatted"),
    ],
)
def test_a_reference_refuses_with_a_sentence(use: Any, what: str) -> None:
    for reference in (lt.arg.lead.id, lt.result[0]):
        with pytest.raises(
            TypeError, match=r"names a value that is read when the decorated function is called"
        ) as said:
            use(reference)
        assert what in str(said.value)
        assert repr(reference) in str(said.value)


def test_references_are_for_decorators() -> None:
    with lt.capture():
        for use in (
            lambda: lt.emit("lead.received", lead_id="L", source=lt.arg.lead),
            lambda: lt.move_to(lt.arg.lead, lead_id="L"),
            lambda: lt.step("s", x=lt.arg.lead).__enter__(),
        ):
            with pytest.raises(TypeError, match="decorators"):
                use()
        with lt.step("s") as step, pytest.raises(TypeError, match="decorators"):
            step.note(x=lt.arg.lead)


@pytest.mark.parametrize(
    ("word", "keyword", "nearest"),
    [
        (lt.enhancement, "servce", "service"),
        (lt.enhancement, "provide", "provides"),
        (lt.enhancement, "posiiton", "position"),
        (lt.delivery, "answr", "answer"),
        (lt.attempt, "max_attempt", "max_attempts"),
        (lt.step, "leadid", "lead_id"),
        (lt.flow, "tennant", "tenant"),
        (lt.validation, "reasn", "reason"),
    ],
)
def test_a_keyword_close_to_a_declared_one_fails_at_decoration(word: Any, keyword: str, nearest: str) -> None:
    with pytest.raises(lt.LeadtraceError, match=f"no keyword '{keyword}'; did you mean '{nearest}'"):
        word("N", **{keyword: "x"})(lambda: None)


def test_values_of_many_types_are_converted(told: Captured) -> None:
    class Colour(Enum):
        RED = "red"

    when = datetime(2026, 11, 22, tzinfo=UTC)
    fields = {"u": UUID(int=1), "d": Decimal("1.5"), "e": Colour.RED, "w": when, "l": (1, 2.5), "n": None, "t": ""}
    end = _step(told, **fields)
    assert end["step.u"] == "00000000-0000-0000-0000-000000000001"
    assert (end["step.d"], end["step.e"], end["step.l"]) == (1.5, "red", [1.0, 2.5])
    assert end["step.w"] == 1_795_305_600 * 10**9
    assert "step.n" not in end
    assert "step.t" not in end


def test_attributes_take_full_names_on_every_word_and_on_emit(told: Captured) -> None:
    with lt.flow("F", lead_id="L1", attributes={"acme.region": "west"}):
        lt.emit("lead.received", attributes={"acme.feed": 3})
        lt.note(attributes={"acme.late": True})
    assert told.one("lead.received").attributes["acme.feed"] == 3
    end = told.one("flow.completed").attributes
    assert (end["acme.region"], end["acme.late"]) == ("west", True)


def test_pythons_own_words_have_an_underscore_behind(told: Captured) -> None:
    lt.emit("lead.state.changed", lead_id="L1", from_="a", to="b")
    one = told.one("lead.state.changed").attributes
    assert (one["lead.state.from"], one["lead.state.to"]) == ("a", "b")
    assert _step(told, class_="x")["step.class"] == "x"


# -- strict, or marked


def test_under_strict_a_mistake_raises_where_it_is_made(told: Captured) -> None:
    with pytest.raises(lt.StrictError, match=r"event 'lead.recieved' is not declared; did you mean lead.received"):
        lt.emit("lead.recieved", lead_id="L1")
    with pytest.raises(lt.StrictError, match="has no field 'sauce'"):
        lt.emit("lead.received", lead_id="L1", sauce="x")
    with pytest.raises(lt.StrictError, match="declared as double"):
        lt.emit("lead.purchased", lead_id="L1", price="four")
    with lt.step("s") as step, pytest.raises(lt.StrictError, match="did you mean 'output_size'"):
        step.note(output_siz=3)


def test_otherwise_it_is_recorded_marked_counted_and_warned_about_once(
    lenient: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="leadtrace")
    for _ in range(3):
        lt.emit("lead.recieved", lead_id="L1", source="call 415-555-0100")
        lt.emit("lead.received", lead_id="L1", sauce="x")
        lt.emit("lead.purchased", lead_id="L1", price="four")
    events = lenient.events()
    assert [one.attributes["leadtrace.marks"] for one in events[:3]] == [
        ["undeclared"],
        ["undeclared:lead.sauce"],
        ["wrong_fields"],
    ]
    assert events[1].attributes["lead.sauce"] == "x"
    assert events[2].attributes["lead.price"] == "four"
    assert "555" not in str(events[0].attributes["lead.source"])
    assert len(caplog.records) == 3
    assert counts["undeclared:lead.recieved"] == 3


class ConsentVerified(lt.Event, name="lead.agreement.verified", kind="milestone"):
    """The consumer's consent certificate was checked."""

    certificate_id: str
    age_ms: float


def test_an_event_of_ones_own_is_typed_and_in_the_same_catalogue(told: Captured) -> None:
    with lt.flow("F", lead_id="L1") as flow:
        flow.emit(ConsentVerified(certificate_id="c1", age_ms=3.5))
        lt.emit("lead.agreement.verified", certificate_id="c2", age_ms=4)
    first, second = told.events("lead.agreement.verified")
    assert first.attributes["lead.agreement.certificate_id"] == "c1"
    assert second.attributes["lead.agreement.age_ms"] == 4.0
    assert first.attributes["leadtrace.kind"] == "milestone"
    assert "lead.agreement.verified" in lt.events()
    with pytest.raises(lt.StrictError, match="certificate_id"):
        lt.emit("lead.agreement.verified", lead_id="L1", age_ms=4)


async def test_a_receipt_tells_and_may_be_awaited(told: Captured) -> None:
    receipt = lt.emit("lead.received", lead_id="L1")
    assert (receipt.uid, receipt.saved, receipt.why) == (told.one("lead.received").uid, False, "captured")
    assert await receipt is receipt
