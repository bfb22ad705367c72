"""An error has a suggestion, from a table that users extend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leadtrace.catalogue import troubleshooting
from leadtrace.catalogue.nested import from_nested
from leadtrace.catalogue.taxonomy import LEVELS
from leadtrace.catalogue.troubleshooting import Advice, add, rows, suggestion_for, symptom

SEEDS = Path(__file__).parents[1] / "data" / "seeds"


@pytest.mark.parametrize(
    ("attributes", "title"),
    [
        (
            {"enhancement.failure.category": "technical", "enhancement.failure.subcategory": "timeout"},
            "Enhancement times out",
        ),
        ({"delivery.failure.subcategory": "timeout"}, "Delivery got no answer in time"),
        ({"error.subcategory": "timeout", "error.category": "technical"}, "Service keeps timing out"),
        ({"error.subcategory": "timeout", "leadtrace.word": "delivery"}, "Delivery got no answer in time"),
        ({"error.subcategory": "connection", "error.cause": "dns_failure"}, "Name does not resolve"),
        ({"error.subcategory": "connection", "error.cause": "unheard_of"}, "Service cannot be reached"),
        ({"error.subcategory": "authentication", "error.cause": "expired_token"}, "Token ran out"),
        ({"error.category": "processing", "error.subcategory": "parsing"}, "Input cannot be parsed"),
        ({"error.type": "BuyerDown"}, "Error"),
    ],
)
def test_the_row_with_the_most_conditions_that_hold_is_taken(attributes: dict[str, object], title: str) -> None:
    found = suggestion_for(attributes)
    assert found is not None
    assert found.title == title
    assert found.suggestion == found.actions[0]


def test_what_is_no_error_has_no_suggestion() -> None:
    assert suggestion_for({"lead.id": "l1", "leadtrace.word": "delivery"}) is None


def test_the_source_documents_failed_enhancement_has_one() -> None:
    sample = from_nested(json.loads((SEEDS / "enhancement.failed.json").read_text(encoding="utf-8")))
    found = suggestion_for({**sample.attributes, "enhancement.failure.subcategory": "timeout"})
    assert found is not None
    assert found.suggestion == "Check the service's status; if it is up, raise the time-out or cache its answers."


def test_every_subcategory_has_a_row_of_its_own() -> None:
    for category, below in LEVELS.items():
        for subcategory in below:
            found = suggestion_for({"error.category": category, "error.subcategory": subcategory})
            assert found is not None
            assert found.subcategory == subcategory


def test_every_row_is_of_the_taxonomys_lists_and_says_what_to_do() -> None:
    for row in rows():
        assert not row.category or row.subcategory in LEVELS[row.category], row
        assert not row.subcategory or any(row.subcategory in below for below in LEVELS.values()), row
        assert all(action.endswith(".") for action in row.actions)
        assert row.causes


def test_symptoms_are_asked_for_by_name_and_never_fit_an_error() -> None:
    slow = symptom("slow_flow")
    assert slow is not None
    assert slow.title == "Flows run slowly"
    assert symptom("unheard_of") is None
    found = suggestion_for({"error.type": "x"})
    assert found is not None
    assert found.symptom == ""


def test_a_users_row_wins_over_one_with_as_many_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(troubleshooting, "_own", [])
    acme = Advice(
        title="Acme is down",
        error_type="BuyerDown",
        causes=("Acme's nightly maintenance",),
        actions=("Wait until 03:00.",),
    )
    parsing = Advice(title="Ours", category="processing", subcategory="parsing", causes=("c",), actions=("Ask Ann.",))
    add(acme)
    add(parsing)
    assert suggestion_for({"error.type": "BuyerDown"}) is acme
    assert suggestion_for({"error.category": "processing", "error.subcategory": "parsing"}) is parsing
