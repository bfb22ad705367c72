"""The example's telemetry against the books that its companies and its pipeline keep without any telemetry.

One run of the demo's three processes: real calls, a real store. Each test asks the store what the books know too.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from premium_insurance.leads import Lead, read_leads
from premium_insurance.run import lines_for, run
from premium_insurance.services import running

import leadtrace
from leadtrace.demo import Demo
from leadtrace.demo import run as run_demo

if TYPE_CHECKING:
    from leadtrace.otlp.records import EventRecord
    from leadtrace.reading import Reader

pytestmark = pytest.mark.slow

LEADS = 150
SERVICES = {"TrueCaller ID": "POST /v2/lookup", "ID Verify Pro": "POST /verify", "PropertyIQ": "GET /property"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return run_demo(tmp_path_factory.mktemp("demo"), leads=LEADS, speed=4)  # patience enough for a machine that is busy


@pytest.fixture(scope="module")
def reader(ran: Demo) -> Reader:
    return leadtrace.open(str(ran.store))


@pytest.fixture(scope="module")
def events(reader: Reader) -> dict[str, list[EventRecord]]:
    """All recorded events by name."""
    found: dict[str, list[EventRecord]] = defaultdict(list)
    for one in reader.events():
        found[one.name].append(one)
    return found


def money(values: list[EventRecord], attribute: str) -> Decimal:
    return sum((Decimal(repr(one.attributes.get(attribute, 0))) for one in values), Decimal(0))


def test_every_lead_has_a_run_that_ended(ran: Demo, events: dict[str, list[EventRecord]]) -> None:
    started, completed = events["flow.started"], events["flow.completed"]
    assert len(started) == len(completed) == ran.summary["leads"]
    assert not events["flow.failed"]
    assert not events["flow.cancelled"]
    assert len({one.lead_id for one in completed}) == ran.summary["leads"]


def test_every_event_is_stored_once_and_none_is_missing(events: dict[str, list[EventRecord]]) -> None:
    # An exception's span event is OpenTelemetry's own and has no identity of ours.
    uids = [one.uid for name, found in events.items() if name != "exception" for one in found]
    assert len(uids) == len(set(uids))
    by_process: dict[str, set[int]] = defaultdict(set)
    for uid in uids:
        by_process[uid[:16]].add(int(uid[16:], 16))
    for numbers in by_process.values():
        assert numbers == set(range(min(numbers), min(numbers) + len(numbers)))


def timed_out(events: dict[str, list[EventRecord]], which: Callable[[EventRecord], bool]) -> int:
    """The tries that ended without an answer because time ran out, or that were cancelled."""
    lost = [one for one in events["api.call.failed"] if one.attributes.get("error.subcategory") == "timeout"]
    return sum(which(one) for one in lost + events["api.call.cancelled"])


def test_each_request_to_a_service_is_an_attempt(ran: Demo, events: dict[str, list[EventRecord]]) -> None:
    attempted = Counter(one.attributes["leadtrace.name"] for one in events["api.call.attempted"])
    for company, call in SERVICES.items():
        assert attempted[call] == ran.summary["sent"][company]
        # A try that ran out of time may have ended before its request had left.
        cut_off = timed_out(events, lambda one, call=call: one.attributes["leadtrace.name"] == call)
        assert 0 <= attempted[call] - ran.summary["companies"][company]["requests"] <= cut_off


def test_each_offer_to_a_buyer_is_an_attempt_of_its_delivery(ran: Demo, events: dict[str, list[EventRecord]]) -> None:
    buyer_of = {one.span_id: one.attributes["delivery.buyer"] for one in events["delivery.started"]}
    attempted = Counter(
        buyer_of[str(one.attributes["leadtrace.parent_span_id"])]
        for one in events["api.call.attempted"]
        if one.attributes["leadtrace.name"] == "POST /leads"
    )
    for buyer in ran.summary["deliveries"]:
        assert attempted[buyer] == ran.summary["sent"].get(buyer, 0)
        if buyer != "Heritage Mutual":  # at which nobody listens
            cut_off = timed_out(
                events, lambda one, buyer=buyer: buyer_of.get(str(one.attributes["leadtrace.parent_span_id"])) == buyer
            )
            assert 0 <= attempted[buyer] - ran.summary["companies"][buyer]["requests"] <= cut_off


def test_deliveries_end_as_the_pipeline_saw_them_end(ran: Demo, events: dict[str, list[EventRecord]]) -> None:
    ended: dict[str, Counter[str]] = defaultdict(Counter)
    for status in ("accepted", "rejected", "pending", "unconfirmed", "failed", "cancelled"):
        for one in events[f"delivery.{status}"]:
            if "leadtrace.word" in one.attributes:  # those told afterwards are no word's end
                ended[str(one.attributes["delivery.buyer"])][status] += 1
    assert {buyer: dict(sorted(found.items())) for buyer, found in ended.items()} == {
        buyer: found for buyer, found in ran.summary["deliveries"].items() if found
    }


def test_pending_deliveries_are_closed_by_their_own_id(ran: Demo, events: dict[str, list[EventRecord]]) -> None:
    pending = {one.attributes["delivery.id"]: one.lead_id for one in events["delivery.pending"]}
    closed = [
        one
        for status in ("accepted", "rejected")
        for one in events[f"delivery.{status}"]
        if "leadtrace.word" not in one.attributes
    ]
    assert closed
    assert len(closed) == sum(ran.summary["decided"].values())
    assert all(pending[one.attributes["delivery.id"]] == one.lead_id for one in closed)


def test_revenue_is_what_the_buyers_say_they_pay(ran: Demo, events: dict[str, list[EventRecord]]) -> None:
    told = money(events["delivery.accepted"], "delivery.revenue")
    back = money(events["lead.returned"], "lead.return.amount")
    assert told - back == Decimal(ran.summary["net_revenue"])
    if not any(book["unread"] for book in ran.summary["companies"].values()):
        assert told == sum(Decimal(book["paid"]) for book in ran.summary["companies"].values())
    assert len(events["lead.returned"]) == ran.summary["returned"] > 0


def test_cost_is_what_the_services_charge(ran: Demo, events: dict[str, list[EventRecord]]) -> None:
    ended = events["enhancement.success"] + events["enhancement.failed"]
    for company in SERVICES:
        of_it = [one for one in ended if one.attributes["enhancement.service"] == company]
        assert money(of_it, "enhancement.cost") == Decimal(ran.summary["companies"][company]["billed"])
    assert money(events["lead.purchased"], "lead.price") == Decimal(ran.summary["bought_for"])


def test_the_money_on_the_timelines_adds_up_to_the_books(ran: Demo, reader: Reader) -> None:
    cost = net_revenue = Decimal(0)
    for row in reader.leads():
        for one in reader.timeline(row.lead_id).as_json()["money"]:
            assert one["currency"] == "USD"
            cost += Decimal(one["cost"])
            net_revenue += Decimal(one["net_revenue"])
    billed = sum(Decimal(book["billed"]) for book in ran.summary["companies"].values())
    assert cost == billed + Decimal(ran.summary["bought_for"])
    assert net_revenue == Decimal(ran.summary["net_revenue"])


def test_lines_that_are_no_leads_are_told_with_their_reason(ran: Demo, events: dict[str, list[EventRecord]]) -> None:
    told = {str(one.attributes["record.line"]): one.attributes["record.reason"] for one in events["record.quarantined"]}
    assert told == ran.summary["quarantined"]
    assert told


def test_leads_are_in_the_state_in_which_the_pipeline_left_them(ran: Demo, reader: Reader) -> None:
    states = Counter(row.state for row in reader.leads())
    decided = Counter(ran.summary["states"])
    assert states.total() == ran.summary["leads"]
    assert states["rejected"] == decided["rejected"]
    # What was awaiting a decision has moved on where there was one.
    assert states["delivered"] + states["unsold"] + states["awaiting"] == (
        decided["delivered"] + decided["unsold"] + decided["awaiting"]
    )
    assert states["delivered"] >= decided["delivered"]


def test_a_failed_enhancement_says_what_is_missing_and_what_took_its_place(
    ran: Demo, events: dict[str, list[EventRecord]]
) -> None:
    lead = ran.worth_a_look["sold although its identity could not be verified in time"]
    [failed] = [one for one in events["enhancement.failed"] if one.lead_id == lead]
    found = failed.attributes
    assert found["enhancement.name"] == "Identity Verification"
    assert found["enhancement.failure.category"] == "technical"
    assert found["enhancement.failure.subcategory"] == "timeout"
    assert found["enhancement.impact.data_missing"] == ["identity_verified", "age", "financial_band"]
    assert found["enhancement.impact.used_defaults"] is True
    assert found["enhancement.retry.count"] == 2
    [fallback] = [one for one in events["fallback.used"] if one.lead_id == lead]
    assert fallback.attributes["fallback.name"] == "assume the usual person"


def test_a_delivery_taken_at_the_third_try_shows_three_tries_two_waits_and_the_recovery(
    ran: Demo, events: dict[str, list[EventRecord]]
) -> None:
    lead = ran.worth_a_look["taken by a buyer at the third try"]
    tries = [
        (one.name, one.attributes.get("attempt"))
        for name in ("api.call.attempted", "api.call.failed", "api.call.succeeded", "system.retry.attempted")
        for one in events[name]
        if one.lead_id == lead and one.attributes.get("leadtrace.name", "POST /leads") == "POST /leads"
    ]
    assert [number for name, number in tries if name == "api.call.attempted"][:3] == [1, 2, 3]
    assert [number for name, number in tries if name == "system.retry.attempted"] == [2, 3]
    assert [number for name, number in tries if name == "api.call.failed"] == [1, 2]
    waits = [one.attributes["waited_ms"] for one in events["system.retry.attempted"] if one.lead_id == lead]
    assert all(30 < wait < 2000 for wait in waits), waits
    assert [one for one in events["error.recovered"] if one.lead_id == lead]


def test_no_contact_data_is_in_the_store(ran: Demo) -> None:
    files = [*ran.store.parent.glob("store.db*"), *ran.store.parent.glob("store.db*/**/*"), *ran.journal.rglob("*")]
    kept = b"".join(path.read_bytes() for path in files if path.is_file())
    assert b"Premium Insurance Flow" in kept
    for lead in read_leads(lines_for(None, LEADS, seed=7)):
        if isinstance(lead, Lead):
            assert lead.email.encode() not in kept
            assert not lead.phone.startswith("(") or lead.phone.encode() not in kept
            assert f"{lead.first_name} {lead.last_name}".encode() not in kept


def test_without_telemetry_the_pipeline_does_the_same(ran: Demo) -> None:
    """Nothing is configured here. What hangs on the machine's speed (who was asked in time) may differ, the leads do not."""
    with running(seed=7, speed=10) as companies:
        summary = asyncio.run(run(lines_for(None, LEADS, seed=7), companies)).as_json()
    assert summary["leads"] == ran.summary["leads"]
    assert summary["bought_for"] == ran.summary["bought_for"]
    assert summary["states"]["rejected"] == ran.summary["states"]["rejected"]
    assert sum(summary["states"].values()) == sum(ran.summary["states"].values())
