"""Senders (adapters of a channel) and the pools that they stand in: how much each may send, and how well it is."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

__all__ = ["Adapter", "Pool"]

_LOOKED_AT = 20
_BOUNCES_DEGRADE, _BOUNCES_REST = 2, 4


@dataclass
class Adapter:
    """One sender, such as a mailbox. Its cap ramps up from day to day, so that receivers get used to it."""

    id: str
    provider: str
    began: date
    first_day: int
    more_a_day: int
    most: int
    min_gap: timedelta
    channel: str = "email"
    health: str = "healthy"
    """`healthy`, `degraded`, `resting` or `suspended`; the last is for good."""
    resting_until: datetime | None = None
    last_sent: datetime | None = None
    sent: Counter[tuple[date, str]] = field(default_factory=Counter)
    """By day and version of the sequence."""
    outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=_LOOKED_AT))
    """Of the last messages: whether each bounced."""

    def cap(self, day: date) -> int:
        """How many it may send that day; half of it while its health is degraded."""
        full = min(self.most, self.first_day + self.more_a_day * max(0, (day - self.began).days))
        return max(1, full // 2) if self.health == "degraded" else full

    def sent_on(self, day: date, version: str = "") -> int:
        """How many it has sent that day, of all sequences or of one version."""
        return sum(number for (on, of), number in self.sent.items() if on == day and version in ("", of))

    def note_sent(self, now: datetime, version: str) -> None:
        self.sent[now.date(), version] += 1
        self.last_sent = now
        self.outcomes.append(False)

    def note_bounce(self) -> str:
        """One of the last messages came back; the health that follows from it."""
        if self.outcomes:
            self.outcomes.popleft()
        self.outcomes.append(True)
        bounces = sum(self.outcomes)
        if self.health in ("resting", "suspended"):
            return self.health
        if bounces >= _BOUNCES_REST:
            return "resting"
        return "degraded" if bounces >= _BOUNCES_DEGRADE else "healthy"

    @property
    def gone(self) -> bool:
        """Whether it never sends again."""
        return self.health == "suspended"


@dataclass
class Pool:
    """Senders that stand in for one another."""

    id: str
    adapters: list[Adapter]

    @property
    def evicted(self) -> list[Adapter]:
        """Those that may not be pinned: resting, or gone."""
        return [one for one in self.adapters if one.health in ("resting", "suspended")]

    def choose(self, day: date) -> Adapter | None:
        """The member with the most room left that day; None where no member may send at all."""
        able = [one for one in self.adapters if one not in self.evicted]
        return max(able, key=lambda one: (one.cap(day) - one.sent_on(day), one.id), default=None)
