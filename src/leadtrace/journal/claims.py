"""Claims: which worker has which lead event in hand, and what came of it. Every function is one transaction of the outbox.

A claim is on the disk before the sender is called, and so is what came of it before it is told. What a worker had in hand
when it died comes back marked: its platform may have had it.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadtrace.errors import SealError
from leadtrace.otlp.lead_event import Claimed, LeadEvent, Settled, Telling, Turn, open_content, utf8

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from leadtrace.journal.outbox import Outbox
    from leadtrace.otlp.sealing import Sealer

__all__ = ["reap", "step", "write_telling"]


def step(
    outbox: Outbox, sealer: Sealer, destination: str, settled: Sequence[Settled], told: Sequence[str], now_ns: int
) -> Turn:
    """Settle these, forget what was told, and claim the next of that destination that is due; '' claims none.

    What cannot be opened, because its key is gone, goes into quarantine with that reason, and the one behind it comes.
    """
    tellings: list[Telling] = []
    with outbox.transaction() as database:
        owner = outbox.worker.token  # looked at inside: where the folder was taken away, this is another worker now
        database.executemany("DELETE FROM tellings WHERE uid = ?", [(uid,) for uid in told])
        tellings += [one.telling for one in settled if _settle(database, owner, one, now_ns)]
        claimed = None
        while destination and claimed is None and (row := _next(database, destination, now_ns)) is not None:
            try:
                claimed = _claimed(row, destination, sealer)
            except SealError as why:
                tellings.append(_unopened(row, destination, f"its payload cannot be opened: {why}", now_ns, outbox))
                database.execute(
                    "UPDATE lead_events SET state = 'quarantined', reason = ?, changed_ns = ? WHERE number = ?",
                    (str(tellings[-1].fields["reason"]), now_ns, row.number),
                )
                write_telling(database, tellings[-1], owner)
            else:
                database.execute(
                    "UPDATE lead_events SET state = 'claimed', owner = ?, attempts = attempts + 1, changed_ns = ?"
                    " WHERE number = ?",
                    (owner, now_ns, row.number),
                )
    return Turn(tellings, claimed)


def _unopened(row: _Row, destination: str, reason: str, now_ns: int, outbox: Outbox) -> Telling:
    event = LeadEvent(row.id, destination, tenant=row.tenant)
    recorded = json.loads(row.fields)
    return Telling.of(
        "lead.event.quarantined", now_ns, event, row.lead_id, recorded, reason=reason, location=outbox.location
    )


@dataclass(slots=True)
class _Row:
    number: int
    id: str
    digest: bytes
    sealed: bytes
    lead_id: str
    tenant: str
    fields: str
    received_ns: int
    attempts: int
    may_be_sent: int
    check_again: int


def _next(database: sqlite3.Connection, destination: str, now_ns: int) -> _Row | None:
    paused = database.execute("SELECT pause_ns FROM platforms WHERE destination = ?", (destination,)).fetchone()
    if paused is not None and paused[0] > now_ns:
        return None
    row = database.execute(
        "SELECT number, id, digest, sealed, lead_id, tenant, fields, received_ns, attempts, may_be_sent, check_again"
        " FROM lead_events WHERE destination = ? AND state = 'waiting' AND due_ns <= ?"
        " ORDER BY received_ns, number LIMIT 1",
        (destination, now_ns),
    ).fetchone()
    return _Row(*row) if row is not None else None


def _claimed(row: _Row, destination: str, sealer: Sealer) -> Claimed:
    content = open_content(row.id, row.digest, row.sealed, sealer)
    event = LeadEvent(
        row.id,
        destination,
        tenant=row.tenant,
        received_ns=row.received_ns,
        attempt=row.attempts + 1,
        resend=bool(row.may_be_sent),
        **content.given,
    )
    return Claimed(row.number, event, content, row.lead_id, json.loads(row.fields), bool(row.check_again))


_STATES = {"sent": "sent", "failed": "waiting", "quarantined": "quarantined"}


def _settle(database: sqlite3.Connection, owner: str, settled: Settled, now_ns: int) -> bool:
    """Write down what came of a claim; false where it is this worker's no more, because its lead was erased."""
    changed = database.execute(
        "UPDATE lead_events SET state = ?1, sealed = CASE ?1 WHEN 'sent' THEN NULL ELSE sealed END, reason = ?2,"
        " field = ?3, status = ?4, due_ns = ?5, may_be_sent = may_be_sent OR ?6, owner = '', changed_ns = ?7,"
        " check_again = 0 WHERE number = ?8 AND owner = ?9",
        (
            _STATES[settled.outcome],
            utf8(settled.reason),
            utf8(settled.field),
            settled.status,
            settled.due_ns,
            settled.may_be_sent,
            now_ns,
            settled.number,
            owner,
        ),
    )
    if not changed.rowcount:
        return False
    _platform(database, settled, now_ns)
    write_telling(database, settled.telling, owner)
    return True


_PATIENCE = 3
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0


def _platform(database: sqlite3.Connection, settled: Settled, now_ns: int) -> None:
    """Whether the platform works: after some failures in a row it is left alone, each time longer, until one is sent."""
    destination, failures = database.execute(
        "SELECT destination, coalesce(failures, 0) FROM lead_events LEFT JOIN platforms USING (destination)"
        " WHERE number = ?",
        (settled.number,),
    ).fetchone()
    if settled.outcome == "sent":
        if failures:
            database.execute("DELETE FROM platforms WHERE destination = ?", (destination,))
    elif settled.platform_failed or settled.pause_until_ns:
        failures += 1
        pause_s = 0.0
        if failures >= _PATIENCE:
            longest = min(_FIRST_PAUSE_S * 2.0 ** min(failures - _PATIENCE, 20), _LONGEST_PAUSE_S)
            pause_s = longest * random.uniform(0.5, 1.0)  # noqa: S311 - so that workers do not come back together
        database.execute(
            "INSERT INTO platforms VALUES (?1, ?2, ?3) ON CONFLICT (destination) DO UPDATE"
            " SET failures = ?2, pause_ns = max(pause_ns, ?3)",
            (destination, failures, max(settled.pause_until_ns, now_ns + int(pause_s * 1e9))),
        )


def write_telling(database: sqlite3.Connection, telling: Telling, owner: str) -> None:
    """An event to be told by that worker; by any where the owner is ''. Within the caller's transaction."""
    database.execute(
        "INSERT OR REPLACE INTO tellings VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            telling.uid,
            telling.name,
            telling.lead_id,
            telling.tenant,
            telling.time_ns,
            json.dumps(dict(telling.fields)),
            owner,
        ),
    )


def reap(outbox: Outbox, now_ns: int) -> list[Telling]:
    """Take back what dead workers had in hand; the events that nobody told yet, now this worker's to tell."""
    with outbox.transaction() as database:
        me = outbox.worker.token
        owners = database.execute(
            "SELECT owner FROM lead_events WHERE owner <> '' UNION SELECT owner FROM tellings"
        ).fetchall()
        gone = [owner for (owner,) in owners if owner != me and not outbox.worker.alive(owner)]
        found: list[Telling] = []
        for owner in gone:
            if owner:
                database.execute(
                    "UPDATE lead_events SET state = 'waiting', owner = '', may_be_sent = 1, due_ns = 0, changed_ns = ?"
                    " WHERE owner = ?",
                    (now_ns, owner),
                )
            for uid, name, lead_id, tenant, time_ns, fields in database.execute(
                "SELECT uid, name, lead_id, tenant, time_ns, fields FROM tellings WHERE owner = ? ORDER BY time_ns, uid",
                (owner,),
            ):
                found.append(Telling(uid, name, lead_id, tenant, time_ns, json.loads(fields)))
            database.execute("UPDATE tellings SET owner = ? WHERE owner = ?", (me, owner))
    return found
