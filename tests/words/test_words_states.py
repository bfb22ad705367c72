"""`move_to` remembers the state before: in the words that are open, and in the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import leadtrace as lt
from leadtrace.words import runtime

if TYPE_CHECKING:
    from leadtrace.testing import Captured


def moves(told: Captured, lead: str) -> list[tuple[object, object]]:
    changed = told.events("lead.state.changed", lead_id=lead)
    return [(one.attributes.get("lead.state.from"), one.attributes["lead.state.to"]) for one in changed]


def test_a_lead_that_comes_back_outside_any_word_knows_where_it_was(told: Captured) -> None:
    with lt.flow("F", lead_id="L1"):
        lt.move_to("received")
        lt.move_to("delivered")
    lt.move_to("returned", lead_id="L1", final=True)
    lt.move_to("received", lead_id="L2")
    assert moves(told, "L1") == [(None, "received"), ("received", "delivered"), ("delivered", "returned")]
    assert moves(told, "L2") == [(None, "received")]


def test_tenants_have_leads_of_their_own(told: Captured) -> None:
    lt.move_to("received", lead_id="L1", tenant="north")
    lt.move_to("received", lead_id="L1", tenant="south")
    assert moves(told, "L1") == [(None, "received"), (None, "received")]


def test_the_oldest_is_forgotten_first() -> None:
    running = runtime.Runtime()
    for number in range(10_002):
        running.moved("", f"L{number}", "received")
    assert len(running.states) == 10_000
    assert ("", "L1") not in running.states
    assert ("", "L2") in running.states
