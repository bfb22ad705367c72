"""What a capture says to a test that expected something else."""

from __future__ import annotations

import pytest

import leadtrace as lt


@pytest.fixture
def captured():
    with lt.capture() as told:
        for lead in ("lead_1", "lead_2"):
            with lt.flow("Premium", lead_id=lead), lt.delivery(buyer="Acme") as delivery:
                delivery.accepted(revenue=33.75)
    return told


def test_names_are_asked_for_like_events(captured) -> None:
    assert captured.names("delivery.*", lead_id="lead_2") == ["delivery.started", "delivery.accepted"]


def test_an_event_that_did_not_come_is_answered_with_the_tree(captured) -> None:
    with pytest.raises(AssertionError) as problem:
        captured.one("delivery.rejected", lead_id="lead_1")
    told = str(problem.value)
    assert told.startswith("expected one 'delivery.rejected', lead_id='lead_1', got 0; told was:\nflow 'Premium'\n")
    assert told.endswith(captured.tree())


def test_events_of_that_name_are_shown_with_their_fields(captured) -> None:
    with pytest.raises(AssertionError) as problem:
        captured.one("delivery.accepted", delivery_revenue=34)
    *_, first, second = str(problem.value).splitlines()
    assert [one.partition(":")[0] for one in (first, second)] == ["delivery.accepted"] * 2
    assert "delivery.revenue=33.75" in first
    assert ("'lead_1'" in first, "'lead_2'" in second) == (True, True)
    with pytest.raises(AssertionError, match="got 2"):
        captured.one("delivery.accepted")
