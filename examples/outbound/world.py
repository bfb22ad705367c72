"""A small world: two sequences, three pools of senders on two providers, a hundred-odd people. All made up."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from .engine import Engine, Signal
from .provider import Provider
from .records import Enrollment, Records, Sequence, Step
from .senders import Adapter, Pool

__all__ = ["TENANT", "make_engine"]

TENANT = "solar-north"
_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ida", "Jon")

_INTRO = Step("intro", "{Hi|Hello|Good day} {{first_name}}, {a quick question|may I ask} about your roof?", 0)
_NUDGE = Step("nudge", "{Just|} checking in, {{first_name}}. {Worth a look?}", 2)  # an empty and a lone variant
_LAST = Step("last", "{Shall I|May I close this, {{first_name}}?", 3)  # a brace that is never closed
_OFFER = Step("offer", "{Dear|Hello} {{first_name}}, our {{offer}} ends {Friday|this week}.", 0)  # no such variable


def make_engine(people: int = 120, seed: int = 7, start: date | None = None, records: Records | None = None) -> Engine:
    """An engine with everybody enrolled over three mornings, and what will happen to its senders."""
    day = start or datetime.now(UTC).date()
    morning = datetime.combine(day, time(8, tzinfo=UTC))
    warm = [_adapter(f"warm_{n}", "postbox", day - timedelta(days=20), 4, 1, 24, minutes=10) for n in (1, 2, 3)]
    fresh = [_adapter(f"fresh_{n}", "letterway", day, 3, 1, 20, minutes=25) for n in (1, 2)]
    lone = [_adapter("lone_1", "letterway", day - timedelta(days=5), 6, 2, 30, minutes=15)]
    homes = Sequence("homes", "homes_v3", (_INTRO, _NUDGE, _LAST), Pool("pool_warm", warm), 60, keeps_sender=False)
    farms = Sequence("farms", "farms_v1", (_INTRO, _NUDGE), Pool("pool_fresh", fresh), 100, keeps_sender=True)
    shops = Sequence("shops", "shops_v2", (_OFFER,), Pool("pool_lone", lone), 100, keeps_sender=True)
    providers = [
        Provider("postbox", seed, throttles_every=45, bouncing=frozenset({"warm_2"})),
        Provider("letterway", seed, throttles_every=60),
    ]
    engine = Engine(TENANT, [*warm, *fresh, *lone], providers, records or Records(), morning)
    for number in range(people):
        sequence = (homes, homes, farms, homes, shops)[number % 5]
        person = Enrollment(f"enr_{number:04d}", f"prospect_{number:04d}", _NAMES[number % 10], sequence)
        engine.enroll(person, morning + timedelta(days=number % 3, minutes=7 * (number // 3)))
    engine.expect(
        [
            Signal(morning + timedelta(days=1, hours=2), "warm_3", "degraded", 0.55, "postmaster page"),
            Signal(morning + timedelta(days=2, hours=1), "fresh_2", "suspended", 0.05, "letterway"),
            Signal(morning + timedelta(days=2, hours=3), "lone_1", "resting", 0.3, "blocklist"),
            Signal(morning + timedelta(days=3), "warm_1", "suspended", 0.0, "postmaster page"),
            Signal(morning + timedelta(days=4), "warm_3", "healthy", 0.9, "postmaster page"),
        ]
    )
    return engine


def _adapter(name: str, provider: str, began: date, first: int, more: int, most: int, *, minutes: int) -> Adapter:
    return Adapter(name, provider, began, first, more, most, timedelta(minutes=minutes))
