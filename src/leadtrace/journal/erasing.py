"""Erasing a lead from the outbox and the quarantine, and telling whose a kept record is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from leadtrace.journal.lead_tombstones import tombstone, was_erased
from leadtrace.journal.outbox import Outbox
from leadtrace.otlp.lead_event import Kept
from leadtrace.otlp.tombstone import Readmitted

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["erase_lead", "lead_of_kept", "readmit_lead"]


def erase_lead(folder: Path, lead_ids: Collection[str], *, tenant: str | None = None) -> dict[str, int]:
    """Remove a lead from the outbox and the quarantine of that journal's folder; how many rows of each state went.

    `lead_ids`: its id as it is recorded, in all forms: where it is a phone number or an e-mail address, one hash for
    each key of the ring. `tenant` None: of any tenant; its tombstone is then for any tenant too. What a living worker
    has in hand goes as well; its sending cannot be called back. Kept records that the journal still holds are not taken
    in any more, by this lead's tombstone; taking them out of the journal's own files is the journal's part: see
    `lead_of_kept`. Nothing of the lead is left in the file, its log and its free pages when this returns.
    """
    outbox = Outbox(folder)
    counts = dict.fromkeys(("waiting", "claimed", "sent", "quarantined", "discarded", "tellings"), 0)
    with outbox.transaction() as database:
        for lead in lead_ids:
            whose = "lead_id = ?1" if tenant is None else "lead_id = ?1 AND tenant = ?2"
            which = (lead,) if tenant is None else (lead, tenant)
            for state, count in database.execute(
                f"SELECT state, count(*) FROM lead_events WHERE {whose} GROUP BY state",  # noqa: S608 - our own text
                which,
            ):
                counts[state] += count
            database.execute(f"DELETE FROM lead_events WHERE {whose}", which)  # noqa: S608 - as above
            counts["tellings"] += database.execute(
                f"DELETE FROM tellings WHERE {whose}",  # noqa: S608 - as above
                which,
            ).rowcount
            database.execute(
                "INSERT OR IGNORE INTO erased VALUES (?, ?)", (tombstone(database, lead, tenant), time.time_ns())
            )
    outbox.overwrite()
    outbox.close()
    return counts


def readmit_lead(folder: Path, lead_ids: Collection[str], *, tenant: str | None = None) -> Readmitted:
    """Take lead events of that lead in again: what `erase_lead` did with the same tenant is undone."""
    outbox = Outbox(folder)
    if not outbox.exists():
        return Readmitted(0, still=False)
    with outbox.transaction() as database:
        found = [tombstone(database, one, tenant) for one in lead_ids]
        lifted = sum(database.execute("DELETE FROM erased WHERE lead = ?", (one,)).rowcount for one in found)
        still = tenant is not None and any(was_erased(database, one, tenant) for one in lead_ids)
    outbox.close()
    return Readmitted(lifted, still)


def lead_of_kept(content: bytes) -> tuple[str, str]:
    """The tenant and the lead id, as recorded, of a kept record of this kind; no key is needed.

    Raises `SealError` where the bytes are no such record.
    """
    kept = Kept.unpacked(content)
    return kept.tenant, kept.lead_id
