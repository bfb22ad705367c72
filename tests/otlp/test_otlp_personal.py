"""The personal values of a call: found by name, one level down, without running a host's code."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from datetime import date

from leadtrace.otlp.personal import personal_names, personal_values


@dataclass
class Lead:
    id: str
    phone: str
    firstName: str
    dob: date

    @property
    def email(self) -> str:
        raise RuntimeError("a property must not run")


class Slotted:
    __slots__ = ("email", "last_name")

    def __init__(self) -> None:
        self.email = "slot@example.com"


Row = namedtuple("Row", "id address")


def test_parameters_and_what_is_stored_in_them_are_found_by_name():
    """Attributes, keys, slots and fields, one level down; the longest first."""
    found = personal_values(
        {
            "lead": Lead("lead_1", "+1 415 555 0100", "Ann", date(1980, 2, 3)),
            "slotted": Slotted(),
            "row": Row("r", "12 Main Street"),
            "data": {"Last-Name": "Doe", "deeper": {"email": "not looked at"}, "age": 41},
            "email": "direct@example.com",
            "phones": ["5550100", 4155550101],
            "full_name": "Mary Jane Poe",
            "count": 3,
        }
    )
    assert found == [
        "direct@example.com",
        "slot@example.com",
        "+1 415 555 0100",
        "12 Main Street",
        "Mary Jane Poe",
        "1980-02-03",
        "4155550101",
        "5550100",
        "Mary",
        "Jane",
        "Ann",
        "Doe",
        "Poe",
    ]


def test_names_are_extended_by_users():
    """However they are written."""
    assert personal_values({"loanNumber": "L-77"}, personal_names(["loan_number"])) == ["L-77"]


def test_what_raises_when_looked_at_is_passed_over():
    """A host's object may do anything."""

    class Hostile(dict):
        def items(self):
            raise RuntimeError("no")

    class Dark:
        @property
        def __dict__(self):
            raise RuntimeError("no")

    assert personal_values({"a": Hostile(), "b": Dark(), "c": object(), "d": Lead, "phone": None}) == []


def test_it_is_bounded():
    """A call with a huge argument costs a little, not all of it."""
    found = personal_values(
        {"emails": [f"a{n}@example.com" for n in range(100_000)], "x": {f"k{n}": n for n in range(9999)}}
    )
    assert len(found) == 64
