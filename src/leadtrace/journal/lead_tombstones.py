"""Leads that were erased from the outbox, known again when something of them arrives later; no id stands in the file."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["tombstone", "was_erased"]


def was_erased(database: sqlite3.Connection, lead_id: str, tenant: str) -> bool:
    """Whether that lead has a tombstone, for its tenant or for any."""
    if not lead_id or database.execute("SELECT 1 FROM erased LIMIT 1").fetchone() is None:
        return False
    marks = (tombstone(database, lead_id, tenant), tombstone(database, lead_id, None))
    return database.execute("SELECT 1 FROM erased WHERE lead IN (?, ?)", marks).fetchone() is not None


def tombstone(database: sqlite3.Connection, lead_id: str, tenant: str | None) -> bytes:
    """What stands for a lead of that tenant, or of any."""
    (key,) = database.execute("SELECT value FROM secrets WHERE name = 'erased'").fetchone()
    whose = "*" if tenant is None else f"={tenant}"
    return hmac.new(key, f"{whose}\0{lead_id}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()[:16]
