"""Makes the data: lead events from a seed, as landing pages and a CRM post them, malformed ones among them.

Each depends on the seed and its own number only. All people are fictional: 555-01xx numbers, example.com addresses.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["Posted", "make_events"]

DAY = datetime(2026, 3, 2, tzinfo=UTC)
FIRST_NAMES = ["Ada", "Benedikt", "Carla", "Dmitri", "Elena", "Farid", "Grace", "Hiroshi", "Ines", "Jamal"]
LAST_NAMES = ["Abbott", "Brandt", "Castillo", "Dubois", "Eriksen", "Fontaine", "Gupta", "Hughes", "Ivanova", "Jensen"]
AREAS = ["213", "214", "305", "212", "216", "312"]
CAMPAIGNS = [  # group, campaign, the click ids that its landing page gets
    ("social", "spring-auto-quote", ("fbclid",)),
    ("social", "new-parents-life", ("fbclid",)),
    ("search", "cheap-car-insurance", ("gclid",)),
    ("search", "home-and-contents", ("gclid",)),
    ("retargeting", "come-back", ("fbclid", "gclid")),
]


@dataclass(frozen=True)
class Posted:
    """One request to the intake: its body, and what is known of it without reading that."""

    id: str
    body: bytes
    malformed: bool
    platforms: tuple[str, ...]
    """For whom it is, by its click ids."""


def make_events(seed: int, events: int) -> list[Posted]:
    """That many requests, the same for the same seed."""
    return [_posted(seed, number) for number in range(events)]


def _posted(seed: int, number: int) -> Posted:
    chance = random.Random(f"{seed}:{number}")
    event = _event(chance, number)
    platforms = tuple(
        name for name, click in (("Meta Ads", "fbclid"), ("Google Ads", "gclid")) if click in event["click"]
    )
    body = json.dumps(event).encode()
    malformed = chance.random() < 0.08
    if malformed:
        body = _spoilt(event, chance)
    return Posted(event["event_id"], body, malformed, platforms)


def _event(chance: random.Random, number: int) -> dict[str, Any]:
    group, campaign, clicks = chance.choice(CAMPAIGNS)
    first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
    kind = chance.choice(["Lead", "Lead", "QualifiedLead", "Purchase"])
    return {
        "event_id": f"ev_{number:05}_{chance.getrandbits(32):08x}",
        "event_type": kind,
        "occurred_at": (DAY + timedelta(seconds=chance.randrange(86_400))).isoformat(),
        "lead_id": f"lead_{chance.getrandbits(40):010x}",
        "account_id": f"act_{chance.randrange(3)}",
        "campaign_group": group,
        "campaign_id": campaign,
        "ad_id": f"ad_{chance.randrange(20)}",
        "click": {name: f"{name}.{chance.getrandbits(64):016x}" for name in clicks},
        "value": round(chance.uniform(5, 90), 2) if kind == "Purchase" else 0,
        "currency": "USD",
        "person": {
            "first_name": first,
            "last_name": last,
            "email": f"{first}.{last}{number}@example.com".lower(),
            "phone": f"+1{chance.choice(AREAS)}55501{chance.randrange(100):02}",
        },
    }


def _spoilt(event: dict[str, Any], chance: random.Random) -> bytes:
    """What corrupt integrations send: another type, a form's free text, a missing part, half a body."""
    match chance.randrange(5):
        case 0:
            event["event_type"] = "purchas3"
        case 1:
            event["person"]["phone"] = "call me"
        case 2:
            del event["person"]["email"]
        case 3:
            event["value"] = "12,50"
        case _:
            whole = json.dumps(event).encode()
            return whole[: len(whole) // 2]
    return json.dumps(event).encode()
