"""What should be on the timelines: the books of both sides, kept without any telemetry.

The companies count what they were asked and what they answered, the pipeline what it sent and what came back. Whoever
wants to know whether leadtrace tells the truth compares its events with this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from .afterwards import Later
from .leads import Unreadable
from .partners import Partners
from .pipeline import Outcome
from .services import Company

__all__ = ["Summary", "summarise"]


@dataclass(frozen=True, slots=True)
class Theirs:
    """One company's book, in sums. Amounts are dollars as decimal strings."""

    requests: int
    """About leads: posted to it, looked up there. Bids, status questions and the like are not in it."""
    answers: dict[str, int]
    billed: str
    bought: int
    paid: str
    returned: int
    unread: int
    """Bought, and never said so in a form that can be read."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One run."""

    leads: int
    quarantined: dict[int, str]
    """By line: why it is no lead."""
    states: dict[str, int]
    """How many leads each flow left in each state, before anything was decided later."""
    deliveries: dict[str, dict[str, int]]
    """By buyer: how many deliveries ended in each way, before anything was decided later."""
    sent: dict[str, int]
    """By company: requests about leads that the pipeline sent or tried to send. One may fail on its way."""
    decided: dict[str, int]
    returned: int
    bought_for: str
    """What we paid for the leads themselves."""
    net_revenue: str
    """Of all that was accepted, at once or later, less what was returned."""
    companies: dict[str, Theirs]
    worth_a_look: dict[str, str]
    """A sentence on what a lead went through, and its id."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_text(self) -> str:
        lines = [f"{self.leads} leads: " + _counts(self.states)]
        if self.quarantined:
            lines.append(f"{len(self.quarantined)} lines kept aside")
        lines.append(f"pending deliveries decided: {_counts(self.decided) or 'none'}; leads returned: {self.returned}")
        lines.append(f"net revenue ${self.net_revenue}, leads bought for ${self.bought_for}")
        width = max(map(len, self.companies))
        for name, book in self.companies.items():
            said = _counts(book.answers) or "cannot be reached"
            lines.append(f"  {name:{width}}  {self.sent.get(name, 0):4} requests  {said}")
        return "\n".join(lines) + "\n"


def summarise(
    unreadable: list[Unreadable],
    outcomes: list[Outcome],
    later: list[Later],
    companies: Mapping[str, Company],
    partners: Partners,
) -> Summary:
    """Both sides' books of one run, in sums."""
    deliveries: dict[str, Counter[str]] = {buyer.name: Counter() for buyer in partners.buyers}
    for outcome in outcomes:
        for reply in outcome.replies:
            deliveries[reply.buyer][reply.status] += 1
    sign = {"accepted": 1, "rejected": 0, "returned": -1}
    net_revenue = sum((outcome.revenue for outcome in outcomes), Decimal(0))
    net_revenue += sum((one.price * sign[one.said] for one in later), Decimal(0))
    everybody = [partners.truecaller, partners.id_verify, partners.property_iq, *partners.buyers]
    return Summary(
        leads=len(outcomes),
        quarantined={one.line: one.reason for one in unreadable},
        states=_sorted(Counter(outcome.state for outcome in outcomes)),
        deliveries={name: _sorted(ends) for name, ends in deliveries.items()},
        sent={partner.name: partner.sent.total() for partner in everybody},
        decided=_sorted(Counter(one.said for one in later if one.said != "returned")),
        returned=sum(one.said == "returned" for one in later),
        bought_for=str(sum((outcome.paid for outcome in outcomes), Decimal(0))),
        net_revenue=str(net_revenue),
        companies={name: _sums(company) for name, company in companies.items()},
        worth_a_look=_worth_a_look(outcomes, later, companies),
    )


def _sums(company: Company) -> Theirs:
    book = company.book
    return Theirs(
        requests=book.requests.total(),
        answers=_sorted(book.answers),
        billed=str(sum(book.billed.values(), Decimal(0))),
        bought=len(book.bought),
        paid=str(sum(book.bought.values(), Decimal(0))),
        returned=len(book.returned),
        unread=len(book.unread),
    )


def _worth_a_look(outcomes: list[Outcome], later: list[Later], companies: Mapping[str, Company]) -> dict[str, str]:
    """A lead of each kind that somebody new to this would like to see."""
    books = {name: company.book for name, company in companies.items()}
    afterwards = {one.lead_id: one.said for one in later}

    def tries(outcome: Outcome, company: str) -> int:
        return books[company].requests[outcome.lead_id]

    def ended(outcome: Outcome, *ways: str) -> bool:
        return {reply.status for reply in outcome.replies} == set(ways)

    kinds: dict[str, Callable[[Outcome], bool]] = {
        "all went well": lambda one: (
            ended(one, "accepted")
            and "carrier" in one.facts
            and one.facts["identity_verified"]
            and max(tries(one, name) for name in books) == 1
        ),
        "taken by a buyer at the third try": lambda one: (
            ended(one, "accepted") and any(tries(one, reply.buyer) == 3 for reply in one.replies)
        ),
        "sold although its identity could not be verified in time": lambda one: (
            ended(one, "accepted") and tries(one, "ID Verify Pro") == 3
        ),
        "bought with a reply that could not be read": lambda one: (
            ended(one, "accepted") and any(one.lead_id in book.garbled for book in books.values())
        ),
        "refused by every buyer": lambda one: ended(one, "rejected"),
        "offered to a buyer of whom nobody knows whether it has it": lambda one: ended(one, "unconfirmed"),
        "offered to a buyer that cannot be reached": lambda one: "failed" in {reply.status for reply in one.replies},
        "not sold: its data or its consent did not do": lambda one: one.state == "rejected",
        "taken by a buyer after thinking about it": lambda one: afterwards.get(one.lead_id) == "accepted",
        "sold and given back": lambda one: afterwards.get(one.lead_id) == "returned",
    }
    found: dict[str, str] = {}
    for why, fits in kinds.items():
        for outcome in sorted(outcomes, key=lambda one: one.lead_id):
            plain = outcome.lead_id not in afterwards or "buyer after" in why or "given back" in why
            if plain and outcome.lead_id not in found.values() and fits(outcome):
                found[why] = outcome.lead_id
                break
    return found


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
