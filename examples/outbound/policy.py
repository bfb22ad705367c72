"""Whether a sender may send now: one decision from what is known, without side effects."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from .senders import Adapter

__all__ = ["Deferred", "decide", "next_morning"]

_MORNING = time(8, tzinfo=UTC)


@dataclass(frozen=True)
class Deferred:
    """Not now: the event that says why, until when, and what that event has to say."""

    event: str
    until: datetime
    told: dict[str, Any] = field(default_factory=dict)


def decide(adapter: Adapter, version: str, max_share_pct: float, now: datetime) -> Deferred | None:
    """None where it may send; else the first limit that it has met."""
    day = now.date()
    if adapter.resting_until is not None and now < adapter.resting_until:
        return Deferred("policy.adapter_resting", adapter.resting_until, {"defer_until": adapter.resting_until})
    cap, sent = adapter.cap(day), adapter.sent_on(day)
    if sent >= cap:
        return Deferred("policy.ramp_cap", next_morning(now), {"sent_count": sent, "cap": cap, "rate": sent / cap})
    share, of_version = max(1, int(cap * max_share_pct / 100)), adapter.sent_on(day, version)
    if of_version >= share:
        return Deferred(
            "policy.sub_cap",
            next_morning(now),
            {
                "sequence_version_id": version,
                "sent_count": of_version,
                "cap": share,
                "max_share_pct": max_share_pct,
                "rate": of_version / share,
            },
        )
    if adapter.last_sent is not None and now < adapter.last_sent + adapter.min_gap:
        until = adapter.last_sent + adapter.min_gap
        return Deferred(
            "policy.min_gap", until, {"defer_until": until, "min_gap_seconds": adapter.min_gap.total_seconds()}
        )
    return None


def next_morning(now: datetime) -> datetime:
    """When the next day's sending begins."""
    return datetime.combine(now.date() + timedelta(days=1), _MORNING)
