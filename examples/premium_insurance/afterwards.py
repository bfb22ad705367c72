"""What happens to a lead after its flow has ended: buyers make up their minds, and give leads back."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import leadtrace as lt

from .partners import Buyer, Partners
from .pipeline import Outcome

__all__ = ["Later", "collect_decisions", "collect_returns"]


@dataclass(frozen=True, slots=True)
class Later:
    """One thing that a buyer said about a lead that it had before."""

    buyer: str
    lead_id: str
    said: str
    """accepted, rejected or returned."""
    price: Decimal


async def collect_decisions(outcomes: list[Outcome], partners: Partners) -> list[Later]:
    """Close the deliveries that were pending and are decided now; the others stay open."""
    waiting = {
        (reply.buyer, outcome.lead_id): (reply, outcome)
        for outcome in outcomes
        for reply in outcome.replies
        if reply.status == "pending"
    }
    decided = []
    for buyer in partners.buyers:
        for told in await _ask(buyer, "/decisions", any(name == buyer.name for name, _ in waiting)):
            if (buyer.name, told["lead_id"]) not in waiting:
                continue  # its answer came too late for us: to us this delivery is unconfirmed, not pending
            reply, outcome = waiting[buyer.name, told["lead_id"]]
            price = Decimal(told.get("price", 0))
            # No flow is open here: the lead is named, and the delivery by its id.
            if told["status"] == "accepted":
                lt.emit(
                    "delivery.accepted",
                    lead_id=outcome.lead_id,
                    id=reply.delivery_id,
                    buyer=buyer.name,
                    revenue=price,
                    reference=reply.reference,
                )
            else:
                lt.emit(
                    "delivery.rejected",
                    lead_id=outcome.lead_id,
                    id=reply.delivery_id,
                    buyer=buyer.name,
                    reason=told["reason"],
                    reference=reply.reference,
                )
            if outcome.state == "awaiting":
                state = "delivered" if told["status"] == "accepted" else "unsold"
                lt.move_to(state, reason=f"{buyer.name} has decided", lead_id=outcome.lead_id, final=True)
            decided.append(Later(buyer.name, outcome.lead_id, told["status"], price))
    return decided


async def collect_returns(outcomes: list[Outcome], partners: Partners) -> list[Later]:
    """Take back what buyers return: the lead's net revenue shrinks, weeks after its flow ended."""
    sold_to = {reply.buyer for outcome in outcomes for reply in outcome.replies}
    returned = []
    for buyer in partners.buyers:
        for told in await _ask(buyer, "/returns", buyer.name in sold_to and buyer.name != "Heritage Mutual"):
            amount = Decimal(told["amount"])
            lt.emit(
                "lead.returned",
                lead_id=told["lead_id"],
                return_amount=amount,
                return_reason=told["reason"],
                delivery_buyer=buyer.name,
            )
            returned.append(Later(buyer.name, told["lead_id"], "returned", amount))
    return returned


async def _ask(buyer: Buyer, path: str, worth_asking: bool) -> list[dict[str, str]]:
    if not worth_asking:
        return []
    answer: list[dict[str, str]] = (await buyer.client.get(path)).raise_for_status().json()
    return answer
