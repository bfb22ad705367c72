"""Uses of the public surface that both type checkers must accept, with the types that they must see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

import leadtrace as lt


class Lead:
    id: str
    phone: str


@lt.step
def bare(lead: Lead, retries: int = 0) -> list[str]:
    return [lead.phone] * retries


@lt.enhancement("Phone Intelligence", service="TrueCaller ID", cost=0.02, data=["phone_type"])
async def called(lead: Lead) -> dict[str, str]:
    return {"phone_type": lead.phone}


@lt.flow("F", id="f", version=12, lead_id=lt.arg.lead.id, source=lt.arg.lead.source, expected=(LookupError,))
async def process(lead: Lead) -> None:
    lt.move_to("received", reason="by form", final=False)
    async with lt.timeout(2, "auction window"):
        assert_type(await called(lead), dict[str, str])


def nothing_found(problems: list[str]) -> bool:
    return not problems


@lt.validation("consent", passed=nothing_found, reason=lt.result[0])
def consent_problems(lead: Lead) -> list[str]:
    return []


@lt.step
def items(n: int) -> Iterator[int]:
    yield from range(n)


@lt.step("aitems", chosen=lt.result)
async def aitems(n: int) -> AsyncIterator[int]:
    yield n


class Desk:
    @lt.step
    def method(self, lead: Lead) -> str:
        return lead.id

    @lt.step("s")
    @classmethod
    def of(cls, n: int) -> Desk:
        return cls()

    @classmethod
    @lt.rule
    def over(cls, n: int) -> bool:
        return n > 0

    @lt.attempt
    @staticmethod
    def fixed(n: int) -> int:
        return n


def read_reply(reply: str) -> lt.Answer:
    return lt.accepted(revenue=4.5) if reply else lt.rejected("no", code=3)


@lt.delivery(buyer=lt.arg.buyer, answer=read_reply)
@lt.attempt("POST lead", max_attempts=3)
def deliver(buyer: str, lead: Lead) -> str:
    return buyer


assert_type(bare(Lead(), retries=2), list[str])
assert_type(consent_problems(Lead()), list[str])
assert_type(items(3), Iterator[int])
assert_type(aitems(3), AsyncIterator[int])
assert_type(Desk().method(Lead()), str)
assert_type(Desk.of(3), Desk)
assert_type(Desk.over(3), bool)
assert_type(Desk.fixed(3), int)
assert_type(deliver("Acme", Lead()), str)
assert_type(lt.bind(bare)(Lead()), list[str])
assert_type(lt.current(), lt.Handle)
assert_type(lt.carry(), dict[str, str])

with lt.step("append to CRM") as step:
    assert_type(step, lt.Handle)
    assert_type(step.emit("low.confidence.detected", confidence_score=0.62), lt.Receipt)
    assert_type(step.lead_id, str)
    assert_type(step.carry(), dict[str, str])
    step.note(chosen="Acme")
    with step.delivery("Acme") as delivery, delivery.attempt("POST", number=2) as attempt:
        assert_type(delivery, lt.Handle)
        attempt.result(3)
        delivery.accepted(revenue=3)

with lt.resume({"leadtrace": "1"}, ends_flow=True) as resumed:
    resumed.move_to("sold", final=True)


async def asynchronous() -> None:
    async with lt.flow("F", lead_id=7) as flow:
        assert_type(flow, lt.Handle)
        assert_type(await lt.emit("lead.received"), lt.Receipt)


class ConsentVerified(lt.Event, name="lead.consent.verified", kind="milestone"):
    """The consumer's consent certificate was checked."""

    certificate_id: str
    age_ms: float = lt.field(unit="ms")


lt.emit(ConsentVerified(certificate_id="c", age_ms=3.0), lead_id="L1")


# -- lead events


@lt.payload_schema("Purchase")
def plausible(payload: dict[str, object]) -> str | None:
    return None if payload else "empty"


lt.payload_schema("Lead", {"type": "object"}, destination="Meta Ads")
assert_type(plausible({}), str | None)


@lt.sender("Meta Ads", refused=(ValueError, 400), max_attempts=5)
def to_meta(payload: dict[str, object], event: lt.LeadEvent) -> int:
    raise lt.Refused("unknown pixel", field="pixel", status=400)


@lt.sender("Google Ads")
async def to_google(payload: dict[str, object]) -> None: ...


async def lead_events() -> None:
    receipt = lt.lead_event({"value": 1}, destination=["Meta Ads", "Google Ads"], type="Lead", lead_id=7, schema=True)
    assert_type(receipt.saved, bool)
    assert_type(receipt.quarantined, str)
    assert_type((await receipt).id, str)
    with lt.sending("Meta Ads") as sending:
        assert_type(sending.result.sent, int)
    assert_type(lt.send_waiting(limit=3).waiting, int)
    assert_type(to_meta({}, lt.LeadEvent("e", "Meta Ads")), int)
    assert_type(await to_google({}), None)
