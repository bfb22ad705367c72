"""The other side: mail providers that take messages, refuse some, and bring back what people answer."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

__all__ = ["Inbound", "Provider", "ThrottledError"]


class ThrottledError(Exception):
    """The provider asks to be left alone for a while."""

    def __init__(self, provider: str, wait: timedelta) -> None:
        super().__init__(f"{provider} takes no more messages from this sender for now")
        self.wait = wait


@dataclass(frozen=True)
class Inbound:
    """Something that came back for a message that was sent."""

    provider: str
    provider_event: str
    provider_message: str
    at: datetime
    intent: str
    """`interested`, `unsubscribe`, `out_of_office` or `bounce`."""
    return_at: datetime | None = None


@dataclass
class Provider:
    """One provider. A seed decides what people do, so that two runs are alike."""

    name: str
    seed: int
    throttles_every: int = 40
    bouncing: frozenset[str] = frozenset()
    """Senders whose messages come back often."""
    taken: int = 0
    waiting: list[Inbound] = field(default_factory=list)

    def send(self, adapter: str, lead_id: str, text: str, now: datetime) -> str:
        """Take a message; its id here. Raises `ThrottledError` now and then."""
        if not text.strip():
            raise ValueError("an empty message")
        self.taken += 1
        if self.taken % self.throttles_every == 0:
            raise ThrottledError(self.name, timedelta(hours=3))
        message = f"{self.name}-{self.taken:05d}"
        self._answer(message, adapter, lead_id, now)
        return message

    def due(self, now: datetime) -> list[Inbound]:
        """What came in up to now, each a first time and some of it a second."""
        came = sorted((one for one in self.waiting if one.at <= now), key=lambda one: (one.at, one.provider_event))
        self.waiting = [one for one in self.waiting if one.at > now]
        return came

    def _answer(self, message: str, adapter: str, lead_id: str, now: datetime) -> None:
        chance = random.Random(f"{self.seed}/{message}/{lead_id}")
        drawn, later = chance.random(), timedelta(minutes=chance.randrange(20, 60 * 30))
        if drawn < (0.35 if adapter in self.bouncing else 0.02):
            self._tell(message, now + timedelta(minutes=2), "bounce")
        elif drawn < 0.12 + 0.02:
            self._tell(message, now + later, "interested")
            self._tell(message, now + later, "interested")  # webhooks come twice now and then
        elif drawn < 0.20:
            self._tell(
                message, now + timedelta(minutes=1), "out_of_office", now + timedelta(days=chance.randrange(2, 6))
            )
        elif drawn < 0.23:
            self._tell(message, now + later, "unsubscribe")

    def _tell(self, message: str, at: datetime, intent: str, return_at: datetime | None = None) -> None:
        self.waiting.append(Inbound(self.name, f"{message}-{intent}", message, at, intent, return_at))
