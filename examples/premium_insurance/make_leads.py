"""Makes the data: leads from a seed, with the mistakes that people, forms and partners' files make.

    python -m premium_insurance.make_leads --seed 7 --leads 300 > leads.jsonl

Every line depends on the seed and its own number only, so that the first hundred of three hundred are the same hundred.
All people are fictional: 555-01xx telephone numbers, example.com addresses.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["make_lines"]

DAY = datetime(2026, 3, 2, tzinfo=UTC)
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"

FIRST_NAMES = ["Ada", "Ben", "Carla", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jamal", "Kim", "Lena"]
LAST_NAMES = ["Abbott", "Brandt", "Castillo", "Dubois", "Eriksen", "Fontaine", "Gupta", "Hughes", "Ivanova", "Jensen"]
PLACES = {  # a state, its ZIP prefix and its telephone area code
    "CA": ("90", "213"), "TX": ("75", "214"), "FL": ("33", "305"), "NY": ("10", "212"), "OH": ("44", "216"),
    "IL": ("60", "312"), "VT": ("05", "802"), "AK": ("99", "907"),
}  # fmt: skip
SOURCES = [  # source, campaign, group, the price of one lead
    ("Facebook Lead Ads", "spring-auto-quote", "social", "9.00"),
    ("Facebook Lead Ads", "new-parents-life", "social", "11.50"),
    ("Google Ads", "cheap-car-insurance", "search", "14.00"),
    ("Google Ads", "home-and-contents", "search", "12.75"),
    ("Partner API", "compare-and-save", "partners", "6.25"),
    ("Organic", "website-form", "own", "0.00"),
]
# Hours in which leads arrive: few at night, many at lunch and in the early afternoon.
HOURS = [0, 6, 8, 9, 10, 11, 12, 12, 13, 14, 14, 14, 15, 16, 17, 19, 20, 21, 23]


def make_lines(seed: int, leads: int) -> Iterator[str]:
    """That many lines of leads, without line ends."""
    for number in range(leads):
        yield _line(seed, number)


def _line(seed: int, number: int) -> str:
    chance = random.Random(f"{seed}:{number}")
    lead = _lead(seed, number, chance)
    fault = chance.random()
    if fault < 0.03:
        lead["phone"] = chance.choice(["555-01", "call me", "+1 (555) 01", "0000"])
    elif fault < 0.06:
        lead["email"] = lead["email"].replace("@", chance.choice([" at ", "", "@@"]))
    elif fault < 0.09:
        lead[chance.choice(["zip", "last_name", "phone"])] = ""
    elif fault < 0.11:
        return _broken(lead, chance)
    return json.dumps(lead)


def _lead(seed: int, number: int, chance: random.Random) -> dict[str, Any]:
    # One in ten is a person who has asked before, through another form: the same contact data, another lead.
    person = chance.randrange(number) if number > 5 and chance.random() < 0.1 else number
    who = random.Random(f"{seed}:person:{person}")
    first, last = who.choice(FIRST_NAMES), who.choice(LAST_NAMES)
    state = who.choices(list(PLACES), weights=[22, 20, 16, 14, 12, 10, 4, 2])[0]
    zip_prefix, area = PLACES[state]
    phone = f"({area}) 555-01{who.randrange(100):02}"
    email = f"{first}.{last}{person}@example.com".lower()
    source, campaign, group, price = chance.choices(SOURCES, weights=[5, 3, 4, 3, 3, 2])[0]
    received = DAY + timedelta(hours=chance.choice(HOURS), seconds=chance.randrange(3600))
    consent_age = timedelta(days=chance.choice([0, 0, 0, 0, 1, 3, 12, 30, 95]), minutes=chance.randrange(5, 300))
    return {
        # Partners' files have no ids of ours.
        "id": None if group == "partners" else "lead_" + "".join(chance.choices(ALPHABET, k=16)),
        "source": source,
        "campaign": campaign,
        "campaign_group": group,
        "received_at": received.isoformat(),
        "first_name": first,
        "last_name": last,
        "email": email,
        "phone": phone,
        "zip": f"{zip_prefix}{who.randrange(1000):03}",
        "state": state,
        "product": chance.choice(["auto", "auto", "home", "life"]),
        "price": price,
        "sell_to": chance.choice([1, 2, 2, 3]),
        "consent_id": "consent_" + "".join(chance.choices(ALPHABET, k=12)),
        "consent_at": (received - consent_age).isoformat(),
    }


def _broken(lead: dict[str, Any], chance: random.Random) -> str:
    """A line that is no lead any more, as a cut-off upload or another version of a form leaves it."""
    way = chance.randrange(4)
    if way == 0:
        whole = json.dumps(lead)
        return whole[: len(whole) // 2]
    if way == 1:
        lead["received_at"] = "yesterday"
    elif way == 2:
        del lead["consent_id"]
    else:
        lead["price"] = "free"
    return json.dumps(lead)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make leads from a seed, one JSON object a line.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--leads", type=int, default=300)
    asked = parser.parse_args()
    for line in make_lines(asked.seed, asked.leads):
        print(line)


if __name__ == "__main__":
    main()
