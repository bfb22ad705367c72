"""The engine's own books, kept beside its telemetry: what one is compared with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Ledger"]


@dataclass
class Ledger:
    """How often what was decided. By sender unless it says otherwise."""

    sent: Counter[str] = field(default_factory=Counter)
    deferred: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By sender and policy."""
    pinned: Counter[str] = field(default_factory=Counter)
    paused: Counter[str] = field(default_factory=Counter)
    reassigned: Counter[tuple[str, str]] = field(default_factory=Counter)
    """From, to."""
    exhausted: Counter[str] = field(default_factory=Counter)
    """By pool."""
    health: list[tuple[str, str, str]] = field(default_factory=list)
    """Sender, from, to; in order."""
    signals: Counter[str] = field(default_factory=Counter)
    inbound: Counter[str] = field(default_factory=Counter)
    """By intent."""
    rescheduled: int = 0
    spintax: Counter[str] = field(default_factory=Counter)
    """By `error` and `warning`."""

    def as_text(self) -> str:
        """A few lines for a person."""
        policies = Counter[str]()
        for (_, policy), number in self.deferred.items():
            policies[policy] += number
        pins = {
            "pinned": self.pinned,
            "reassigned": self.reassigned,
            "paused": self.paused,
            "pool exhausted": self.exhausted,
        }
        lines = [
            f"sent {sum(self.sent.values())}, by sender: "
            + ", ".join(f"{who} {n}" for who, n in sorted(self.sent.items())),
            "deferred: " + ", ".join(f"{policy} {n}" for policy, n in sorted(policies.items())),
            "came in: "
            + ", ".join(f"{intent} {n}" for intent, n in sorted(self.inbound.items()))
            + f"; out-of-office moved {self.rescheduled}",
            "health: " + ", ".join(f"{who} {before} to {after}" for who, before, after in self.health),
            ", ".join(f"{what} {sum(of.values())}" for what, of in pins.items()),
            "texts: " + ", ".join(f"spintax {what} {n}" for what, n in sorted(self.spintax.items())),
        ]
        return "".join(f"  {line}\n" for line in lines)
