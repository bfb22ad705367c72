"""A queue in a file, as small as a queue between processes can be: SQLite, one row a message.

It stands for whatever queue you have: all that leadtrace asks of it is that a message may hold a few strings.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["Queue"]


class Queue:
    """Messages in the order in which they were put. Any process may put and take."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with closing(self._open()) as database:
            database.execute("CREATE TABLE IF NOT EXISTS message (number INTEGER PRIMARY KEY, body TEXT NOT NULL)")

    def put(self, message: dict[str, Any]) -> None:
        """Add a message; it is on disk when this returns."""
        with closing(self._open()) as database:
            database.execute("INSERT INTO message (body) VALUES (?)", [json.dumps(message)])

    def take(self) -> dict[str, Any] | None:
        """Remove the oldest message and give it; None if there is none."""
        oldest = "DELETE FROM message WHERE number = (SELECT min(number) FROM message) RETURNING body"
        with closing(self._open()) as database:
            row = database.execute(oldest).fetchone()
        return None if row is None else json.loads(row[0])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.file, timeout=30, isolation_level=None)
