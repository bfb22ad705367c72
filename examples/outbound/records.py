"""What the engine works on, and the database in which it keeps what was sent and what came back."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from .senders import Adapter, Pool

__all__ = ["Enrollment", "Execution", "Records", "Sequence", "Step"]


@dataclass(frozen=True)
class Step:
    """One message of a sequence: its text with variants, and how many days after the one before."""

    key: str
    text: str
    after_days: int


@dataclass(frozen=True)
class Sequence:
    """Messages that follow one another."""

    key: str
    version: str
    steps: tuple[Step, ...]
    pool: Pool
    max_share_pct: float
    """The most of a sender's day that this sequence may have."""
    keeps_sender: bool
    """Whether a person must always hear from the same sender; else another may go on."""


@dataclass
class Enrollment:
    """One person on the way through a sequence."""

    id: str
    lead_id: str
    first_name: str
    sequence: Sequence
    state: str = "active"
    """`active`, `paused`, `replied`, `unsubscribed`, `bounced` or `finished`."""
    adapter: Adapter | None = None


@dataclass
class Execution:
    """One step of one enrollment, waiting for its time."""

    id: str
    enrollment: Enrollment
    number: int
    due: datetime
    tries: int = 0

    @property
    def step(self) -> Step:
        return self.enrollment.sequence.steps[self.number]


class Records:
    """What is stored survives the engine: a message counts as sent only once it is here."""

    def __init__(self, path: str = ":memory:") -> None:
        self._database = sqlite3.connect(path)
        self._database.executescript(
            """
            CREATE TABLE IF NOT EXISTS sent (
              out_message TEXT PRIMARY KEY, provider_message TEXT, execution TEXT, adapter TEXT, at TEXT, text TEXT);
            CREATE TABLE IF NOT EXISTS inbound (
              provider_event TEXT PRIMARY KEY, provider_message TEXT, intent TEXT, at TEXT);
            """
        )

    def sent(self, provider_message: str, execution: Execution, adapter: Adapter, at: datetime, text: str) -> str:
        """Store that a message was sent; its own id."""
        out_message = f"out_{execution.id}"
        with self._database:
            self._database.execute(
                "INSERT INTO sent VALUES (?, ?, ?, ?, ?, ?)",
                (out_message, provider_message, execution.id, adapter.id, at.isoformat(), text),
            )
        return out_message

    def inbound(self, provider_event: str, provider_message: str, intent: str, at: datetime) -> bool:
        """Store what came in; False where it is known already: providers tell things twice."""
        with self._database:
            stored = self._database.execute(
                "INSERT OR IGNORE INTO inbound VALUES (?, ?, ?, ?)",
                (provider_event, provider_message, intent, at.isoformat()),
            )
        return stored.rowcount == 1

    def count(self, table: str, by: str) -> dict[str, int]:
        """How many rows there are of each value of that column."""
        return dict(self._database.execute(f"SELECT {by}, count(*) FROM {table} GROUP BY 1 ORDER BY 1"))  # noqa: S608 - names of our own

    def close(self) -> None:
        self._database.close()
