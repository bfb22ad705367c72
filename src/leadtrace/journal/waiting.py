"""What waits in the outbox, for whom and since when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from leadtrace.journal.outbox import Outbox

__all__ = ["Summary", "due_in_s", "summaries", "unreadable", "waiting"]


def due_in_s(outbox: Outbox, destination: str, now_ns: int) -> float | None:
    """How long until something is due for that destination, its platform's pause included; None where nothing waits."""
    with outbox.transaction() as database:
        some = database.execute(
            "SELECT 1 FROM lead_events WHERE destination = ? AND state = 'waiting' LIMIT 1", (destination,)
        ).fetchone()
        if some is None:
            return None
        paused = database.execute("SELECT pause_ns FROM platforms WHERE destination = ?", (destination,)).fetchone()
        if paused is not None and paused[0] > now_ns:
            return float(paused[0] - now_ns) / 1e9
        (due_ns,) = database.execute(
            "SELECT min(due_ns) FROM lead_events WHERE destination = ? AND state = 'waiting'", (destination,)
        ).fetchone()
    return max(0.0, float(due_ns - now_ns) / 1e9)


def waiting(outbox: Outbox, destinations: Collection[str]) -> int:
    """How many wait for these destinations, those in hand included."""
    with outbox.transaction() as database:
        return sum(
            database.execute(
                "SELECT count(*) FROM lead_events WHERE destination = ? AND state IN ('waiting', 'claimed')", (one,)
            ).fetchone()[0]
            for one in destinations
        )


@dataclass(slots=True, frozen=True)
class Summary:
    """What waits for one platform, and how it goes there; times are Unix nanoseconds, 0 for none."""

    destination: str
    waiting: int
    """Those in a worker's hands included."""
    quarantined: int
    oldest_ns: int
    """When the oldest that waits came in."""
    failing: int
    """How many of those that wait have failed before."""
    error: str
    """Why the last one failed, of those that wait."""
    failed_ns: int
    paused_until_ns: int

    @property
    def wrong(self) -> bool:
        return bool(self.quarantined or self.failing)


def summaries(outbox: Outbox) -> list[Summary]:
    """Every platform for which something waits or is in quarantine, by name."""
    with outbox.transaction() as database:
        rows = database.execute(
            "SELECT destination, sum(state IN ('waiting', 'claimed')), sum(state = 'quarantined'),"
            " min(CASE WHEN state IN ('waiting', 'claimed') THEN received_ns END),"
            " sum(state = 'waiting' AND reason <> '') FROM lead_events"
            " WHERE state IN ('waiting', 'claimed', 'quarantined') GROUP BY destination ORDER BY destination"
        ).fetchall()
        found: list[Summary] = []
        for destination, waits, quarantined, oldest, failing in rows:
            last = database.execute(
                "SELECT reason, changed_ns FROM lead_events WHERE destination = ? AND state = 'waiting'"
                " AND reason <> '' ORDER BY changed_ns DESC LIMIT 1",
                (destination,),
            ).fetchone()
            error, failed_ns = last if last is not None else ("", 0)
            pause = database.execute("SELECT pause_ns FROM platforms WHERE destination = ?", (destination,)).fetchone()
            found.append(
                Summary(
                    destination,
                    waits,
                    quarantined,
                    oldest or 0,
                    failing,
                    error,
                    failed_ns,
                    pause[0] if pause is not None else 0,
                )
            )
    return found


def unreadable(outbox: Outbox) -> int:
    """How many kept records could not be read; they lie in the outbox as they were."""
    with outbox.transaction() as database:
        (count,) = database.execute("SELECT count(*) FROM unreadable").fetchone()
    return int(count)
