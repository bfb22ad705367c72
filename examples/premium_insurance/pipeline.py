"""A lead's way through the house: received, checked, enhanced, priced, offered to buyers.

The words of leadtrace (`lt.…`) are all that is said here about telemetry; without them the same pipeline is left.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import httpx

import leadtrace as lt

from .leads import Lead
from .partners import Buyer, Partners

__all__ = ["ConsentVerified", "Outcome", "Reply", "process"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a lead, as far as is known when its flow ends."""

    lead_id: str
    state: str
    paid: Decimal
    """For the lead itself."""
    replies: list[Reply] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def revenue(self) -> Decimal:
        return sum((reply.price for reply in self.replies if reply.status == "accepted"), Decimal(0))


@lt.flow(
    "Premium Insurance Flow",
    id="flow_3Q8mK5nL2P9wR4xB",
    version=12,
    lead_id=lt.arg.lead.id,
    source=lt.arg.lead.source,
    campaign=lt.arg.lead.campaign,
    campaign_group=lt.arg.lead.campaign_group,
    received_hour=lt.arg.lead.received_at.hour,
)
async def process(lead: Lead, partners: Partners) -> Outcome:
    """One lead's whole way."""
    lead_id = lead.id or give_id(lead)
    if not lead.id:
        lead = replace(lead, id=lead_id)
        lt.identify(lead_id)
    lt.move_to("received")
    if lead.price:
        lt.emit("lead.purchased", price=lead.price)

    if contact_problems(lead) or not consented(lead) or not licensed(lead):
        lt.move_to("rejected", final=True)
        return Outcome(lead_id, "rejected", lead.price)
    lt.move_to("validated")

    facts = await enhance(lead, partners)
    loop = asyncio.get_running_loop()
    facts["rating"] = await loop.run_in_executor(partners.threads, lt.bind(rate_risk), lead, facts)
    lt.move_to("enhanced")

    replies = await sell(lead, facts, partners)
    said = {reply.status for reply in replies}
    if "accepted" in said:
        state = "delivered"
    elif said & {"pending", "unconfirmed"}:
        state = "awaiting"
    else:
        state = "unsold"
    lt.move_to(state, final=state != "awaiting")
    return Outcome(lead_id, state, lead.price, replies, facts)


def give_id(lead: Lead) -> str:
    """An id of ours for a partner's lead, the same whenever its file is read again."""
    return "lead_" + blake2b(lead.consent_id.encode(), digest_size=8).hexdigest()


# ---------------------------------------------------------------- checks: may we sell this lead at all?


class ConsentVerified(lt.Event, name="lead.consent.verified", kind="milestone"):
    """The consumer's consent certificate was looked up, and is recent enough."""

    certificate_id: str
    age_ms: float


@lt.validation("contact data", passed=lambda problems: not problems, reason=lt.result[0])
def contact_problems(lead: Lead) -> list[str]:
    """What is wrong with the contact data, empty if nothing. A telephone number's form is its service's business."""
    required = {"last name": lead.last_name, "phone": lead.phone, "ZIP code": lead.zip}
    problems = [f"{name} is missing" for name, value in required.items() if not value]
    local, at, domain = lead.email.partition("@")
    if not (local and at and "." in domain and "@" not in domain):
        problems.append("e-mail address is invalid")
    return problems


@lt.rule("consent is recent", reason="older than 90 days")
def consented(lead: Lead) -> bool:
    """Whether the person agreed to be called, lately enough."""
    age = lead.received_at - lead.consent_at
    if age > timedelta(days=90):
        return False
    lt.emit(ConsentVerified(certificate_id=lead.consent_id, age_ms=age / timedelta(milliseconds=1)))
    return True


@lt.rule("state is licensed", reason=lambda lead: f"no licence in {lead.state}")
def licensed(lead: Lead) -> bool:
    """Whether we may sell insurance leads there."""
    return lead.state != "AK"


# ---------------------------------------------------------------- enhancements: what else is known?


@lt.enhancement(
    "Phone Intelligence",
    service="TrueCaller ID",
    step_id="step_9K3nL5mP2Q8wR4xB",
    cost=0.02,
    data=["phone_type", "carrier", "risk_score", "line_status", "is_wireless"],
    provides=["phone_type", "line_status"],
)
async def check_phone(lead: Lead, partners: Partners) -> dict[str, Any]:
    """Whose network the number is in, and whether it is in service."""
    if known := partners.phones.get(lead.phone):
        lt.note(cache_hit=True)  # so it cost nothing, and saved 0.02
        return known
    response = await partners.truecaller.call("POST", "/v2/lookup", json={"lead_id": lead.id, "phone": lead.phone})
    if response.status_code == 422:
        lt.current().failed("Malformed phone", category="data", subcategory="invalid_input")
        return {}
    lt.note(
        metadata_api_version=response.headers["x-api-version"],
        metadata_data_freshness=response.headers["x-data-freshness"],
        metadata_response_size=len(response.content),
    )
    partners.phones[lead.phone] = response.json()
    return partners.phones[lead.phone]


@lt.enhancement(
    "Identity Verification",
    service="ID Verify Pro",
    step_id="step_4T7vB2xN9kQ6mJ3c",
    cost=0.05,
    data=["identity_verified", "age", "financial_band"],
    provides=["identity_verified", "age", "financial_band"],
)
async def verify_identity(lead: Lead, partners: Partners) -> dict[str, Any]:
    """Whether the person is who they say; raises when the service does not answer."""
    asked = {"lead_id": lead.id, "name": f"{lead.first_name} {lead.last_name}", "zip": lead.zip}
    try:
        response = await partners.id_verify.call("POST", "/verify", json=asked)
    except httpx.HTTPError:
        lt.note(impact_used_defaults=True)  # those of `assume_identity`
        raise
    if response.status_code == 404:  # charged all the same
        lt.note(impact_used_defaults=True)
        lt.current().failed("Person not in database", category="data", subcategory="no_match", cost=0.05)
        return {}
    return dict(response.json())


@lt.fallback("assume the usual person", instead_of="Identity Verification")
def assume_identity(lead: Lead) -> dict[str, Any]:
    """What is true of most who ask for this product."""
    usual_age = {"auto": 34, "home": 47, "life": 39}
    return {"identity_verified": False, "age": usual_age[lead.product], "financial_band": "C"}


@lt.enhancement("Address Match", service="PropertyIQ", step_id="step_6R1wF8yH5pD2sG9z", cost=0.01, data=["home_owner"])
async def match_address(lead: Lead, partners: Partners) -> dict[str, Any]:
    """Whether the person owns the house they live in."""
    response = await partners.property_iq.call("GET", "/property", params={"lead_id": lead.id, "zip": lead.zip})
    if response.status_code == 404:
        lt.current().failed("Address not found", category="data", subcategory="no_match")
        return {}
    found: dict[str, Any] = response.json()
    if found["match_confidence"] < 0.7:
        lt.emit(
            "low.confidence.detected",
            confidence_score=found["match_confidence"],
            threshold=0.7,
            action_taken="priced as a tenant",
        )
        found["home_owner"] = False
    return found


async def person_behind(lead: Lead, partners: Partners) -> dict[str, Any]:
    try:
        found = await verify_identity(lead, partners)
    except httpx.HTTPError:  # told by the enhancement already
        found = {}
    return found or assume_identity(lead)


async def enhance(lead: Lead, partners: Partners) -> dict[str, Any]:
    """All that could be found out, at the same time from all services."""
    asked = check_phone(lead, partners), person_behind(lead, partners), match_address(lead, partners)
    results = await asyncio.gather(*asked, return_exceptions=True)
    facts: dict[str, Any] = {"line_status": "unknown", "home_owner": False}
    for result in results:
        if isinstance(result, dict):
            facts |= result
        elif not isinstance(result, httpx.HTTPError):  # a service that fails costs us its facts; anything else is a bug
            raise result
    return facts


# ---------------------------------------------------------------- routing: whom to offer it to?


@lt.step("rate the risk", rating=lt.result)
def rate_risk(lead: Lead, facts: dict[str, Any]) -> int:
    """From 0, a certain claim, to 100. An actuary's work: it computes, so it runs in a thread of its own."""
    best_age = {"auto": 45, "home": 50, "life": 30}[lead.product]
    rating: int = 60 - abs(facts["age"] - best_age) // 2 + {"A": 25, "B": 15, "C": 5, "D": 0}[facts["financial_band"]]
    rating += 10 * bool(facts["home_owner"]) - facts.get("risk_score", 50) // 5
    return max(0, min(100, rating))


@lt.step("routing", chosen=lambda result: [buyer.name for buyer in result])
def choose_buyers(lead: Lead, partners: Partners) -> list[Buyer]:
    """Those who want such leads, the best payer first."""
    return [buyer for buyer in partners.buyers if lead.state in buyer.states and lead.product in buyer.products]


@lt.step("auction", bids=lambda result: len(result))
async def auction(lead: Lead, buyers: list[Buyer], partners: Partners) -> list[tuple[Buyer, Decimal]]:
    """An exclusive lead goes to whoever bids most; those who do not bid within the window are out."""
    bids: list[tuple[Buyer, Decimal]] = []

    @lt.step("ask for a bid", buyer=lt.arg.buyer.name)
    async def ask(buyer: Buyer) -> None:
        lt.emit("bid.requested", buyer=buyer.name)
        try:
            response = await buyer.client.post("/bid", json={"lead_id": lead.id, "product": lead.product})
        except httpx.TransportError:
            lt.emit("bid.declined", buyer=buyer.name, reason="cannot be reached")
            return
        bids.append((buyer, Decimal(response.json()["price"])))
        lt.emit("bid.received", buyer=buyer.name, price=bids[-1][1])

    try:
        # That time is up is how an auction ends, no failure: who is cut off is cancelled. (`lt.timeout` would say failed.)
        # A group waits for all whom it cuts off; `gather` would leave the slowest running after the auction's end.
        async with asyncio.timeout(partners.auction_window_s), asyncio.TaskGroup() as group:
            for buyer in buyers:
                group.create_task(ask(buyer))
    except TimeoutError:
        for late in {buyer.name for buyer in buyers} - {buyer.name for buyer, _ in bids}:
            lt.emit("bid.expired", buyer=late)
    return sorted(bids, key=lambda bid: bid[1], reverse=True)


# ---------------------------------------------------------------- delivery: who takes it?


@dataclass(frozen=True, slots=True)
class Reply:
    """What a buyer said, or that nobody knows what it said."""

    buyer: str
    status: str
    """accepted, rejected, pending, unconfirmed or failed."""
    price: Decimal = Decimal(0)
    reason: str = ""
    code: str = ""
    reference: str = ""
    delivery_id: str = ""
    """By which a pending delivery is closed later."""


def read_reply(reply: Reply) -> lt.Answer:
    """A buyer's reply as leadtrace's answer."""
    match reply.status:
        case "accepted":
            return lt.accepted(revenue=reply.price)
        case "pending":
            return lt.pending(reply.reference)
        case "rejected":
            return lt.rejected(reply.reason, code=reply.code)
        case _:
            return lt.unconfirmed(reply.reason)


@lt.delivery(buyer=lt.arg.buyer.name, answer=read_reply)
async def deliver(lead: Lead, buyer: Buyer, offer: dict[str, Any]) -> Reply:
    """Offer the lead to one buyer; raises when it cannot be reached or has no time for us."""
    response = await buyer.call("POST", "/leads", json=offer)
    try:
        said = response.json()
    except ValueError as error:
        lt.error(
            error,
            severity="high",
            code="PARSE_ERROR",
            context_operation="Response parsing",
            context_expected="JSON object",
            impact_data_lost=False,
            recovery_action="Asked the buyer for the lead's status",
        )
        try:
            said = (await buyer.client.get(f"/leads/{lead.id}")).json()
        except ValueError:
            return Reply(buyer.name, "unconfirmed", reason="Reply and status cannot be read")
    said["price"] = Decimal(said.get("price", 0))
    return Reply(buyer.name, delivery_id=lt.current().id, **said)


async def sell(lead: Lead, facts: dict[str, Any], partners: Partners) -> list[Reply]:
    """Offer the lead to one buyer after another, until as many have it as may."""
    offer = {
        "lead_id": lead.id,
        "received_at": lead.received_at.isoformat(),
        "contact": {"name": f"{lead.first_name} {lead.last_name}", "email": lead.email, "phone": lead.phone},
        "product": lead.product,
        "line_status": facts["line_status"],
        "rating": facts["rating"],
    }
    buyers = choose_buyers(lead, partners)
    prices: dict[str, dict[str, str]] = {}
    if lead.sell_to == 1:
        bids = await auction(lead, buyers, partners)
        buyers = [buyer for buyer, _ in bids]
        prices = {buyer.name: {"price": str(price)} for buyer, price in bids}
    lt.move_to("routed")
    replies: list[Reply] = []
    for buyer in buyers:
        try:
            reply = await deliver(lead, buyer, offer | prices.get(buyer.name, {}))
        except httpx.ReadTimeout:
            reply = Reply(buyer.name, "unconfirmed", reason="no answer in time")
        except httpx.HTTPError as error:
            reply = Reply(buyer.name, "failed", reason=type(error).__name__)
        replies.append(reply)
        # Who may have it counts as one who has it: sold twice is worse than sold once too little.
        if sum(reply.status in ("accepted", "pending", "unconfirmed") for reply in replies) == lead.sell_to:
            break
    return replies
