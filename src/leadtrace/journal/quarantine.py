"""Quarantine: lead events that are not sent, because they are malformed or because their platform will never take them.

They lie in the outbox, sealed, with the reason and the failing field beside them. Looking at a payload, mending it and
releasing it need the key; listing and discarding do not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from leadtrace.errors import LeadtraceError, NotFoundError
from leadtrace.journal.claims import write_telling
from leadtrace.otlp.lead_event import Content, LeadEvent, Problem, Telling, open_content, seal_content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leadtrace.journal.outbox import Outbox
    from leadtrace.otlp.sealing import Sealer

__all__ = ["Quarantined", "discard", "in_quarantine", "payload_of", "release", "repair"]


@dataclass(slots=True, frozen=True)
class Quarantined:
    """One lead event in quarantine for one platform."""

    number: int
    id: str
    destination: str
    digest: bytes
    sealed: bytes
    lead_id: str
    tenant: str
    fields: Mapping[str, str]
    received_ns: int
    attempts: int
    reason: str
    """'' once it was repaired."""
    field: str
    status: int
    malformed: bool
    """It came in so; otherwise its platform refused it."""
    since_ns: int

    def as_json(self) -> dict[str, Any]:
        """What may be shown without the key."""
        return {
            "id": self.id,
            "destination": self.destination,
            "lead_id": self.lead_id,
            "tenant": self.tenant,
            **dict(self.fields),
            "received_unix_nano": self.received_ns,
            "quarantined_unix_nano": self.since_ns,
            "malformed": self.malformed,
            "reason": self.reason,
            "field": self.field,
            "status": self.status or None,
            "attempts": self.attempts,
            "bytes": len(self.sealed),
        }


_NAMES = tuple(one.name for one in fields(Quarantined))
_COLUMNS = ", ".join("changed_ns" if name == "since_ns" else name for name in _NAMES)


def in_quarantine(outbox: Outbox, id: str = "", destination: str = "") -> list[Quarantined]:  # noqa: A002 - the event's word
    """All of them, or those of that lead event and that platform, in the order in which they came in.

    Raises `NotFoundError` where `id` is given and is not in quarantine.
    """
    with outbox.transaction() as database:
        rows = database.execute(
            f"SELECT {_COLUMNS} FROM lead_events WHERE state = 'quarantined' AND (?1 = '' OR id = ?1)"  # noqa: S608 - our own names
            " AND (?2 = '' OR destination = ?2) ORDER BY received_ns, number",
            (id, destination),
        ).fetchall()
        if id and not rows:
            states = database.execute(
                "SELECT DISTINCT state FROM lead_events WHERE id = ? AND (? = '' OR destination = ?)",
                (id, destination, destination),
            ).fetchall()
            known = f": it is {' and '.join(state for (state,) in states)}" if states else ""
            raise NotFoundError(f"no lead event {id} is in quarantine{known}")
    return [_quarantined(*row) for row in rows]


def _quarantined(*row: Any) -> Quarantined:
    named = dict(zip(_NAMES, row, strict=True))
    return Quarantined(**named | {"fields": json.loads(named["fields"]), "malformed": bool(named["malformed"])})


def payload_of(one: Quarantined, sealer: Sealer) -> Content:
    """The raw payload with what was given beside it. Raises `SealError` where it cannot be opened."""
    return open_content(one.id, one.digest, one.sealed, sealer)


def repair(
    outbox: Outbox,
    sealer: Sealer,
    one: Quarantined,
    payload: Any,
    check: Callable[[Content], Problem | None],
    now_ns: int,
) -> Problem | None:
    """Put another payload in its place; it stays in quarantine until it is released. What is still wrong with it, if anything."""
    before = payload_of(one, sealer)
    content = Content(payload, None, before.given, before.schema)
    wrong = check(content)
    digest, sealed = seal_content(one.id, content, sealer)
    with outbox.transaction() as database:
        there = database.execute(
            "SELECT state FROM lead_events WHERE id = ? AND destination = ? AND digest = ? AND number <> ?",
            (one.id, one.destination, digest, one.number),
        ).fetchone()
        if there is not None:
            raise LeadtraceError(
                f"lead event {one.id} for {one.destination} is there with this very payload already, {there[0]}; "
                "discard this one"
            )
        _changed(
            database.execute(
                "UPDATE lead_events SET digest = ?, sealed = ?, reason = ?, field = ?, changed_ns = ?"
                " WHERE number = ? AND state = 'quarantined'",
                (
                    digest,
                    sealed,
                    wrong.reason if wrong is not None else "",
                    wrong.field if wrong is not None else "",
                    now_ns,
                    one.number,
                ),
            ).rowcount,
            one,
        )
    return wrong


def release(
    outbox: Outbox, sealer: Sealer, one: Quarantined, check: Callable[[Content], Problem | None] | None, now_ns: int
) -> Problem | None:
    """Let it be sent, unless something is still wrong with it, which is given back then.

    `check` None: unchecked, by here and by the sender's process. What is no JSON is never released: repair it first.
    """
    content = payload_of(one, sealer)
    if content.raw is not None:
        return Problem(one.reason or "is not JSON")
    if check is not None and (wrong := check(content)) is not None:
        return wrong
    telling = _telling("lead.event.released", one, now_ns)
    with outbox.transaction() as database:
        _changed(
            database.execute(
                "UPDATE lead_events SET state = 'waiting', check_again = ?, attempts = 0, due_ns = 0, reason = '',"
                " field = '', status = 0, changed_ns = ? WHERE number = ? AND state = 'quarantined'",
                (check is not None, now_ns, one.number),
            ).rowcount,
            one,
        )
        write_telling(database, telling, "")
    return None


def discard(outbox: Outbox, one: Quarantined, now_ns: int) -> None:
    """Let go of it: its payload is overwritten, and it is never sent."""
    with outbox.transaction() as database:
        _changed(
            database.execute(
                "UPDATE lead_events SET state = 'discarded', sealed = NULL, changed_ns = ?"
                " WHERE number = ? AND state = 'quarantined'",
                (now_ns, one.number),
            ).rowcount,
            one,
        )
        write_telling(database, _telling("lead.event.discarded", one, now_ns, reason=one.reason), "")


def _telling(name: str, one: Quarantined, now_ns: int, **more: str) -> Telling:
    event = LeadEvent(one.id, one.destination, tenant=one.tenant)
    return Telling.of(name, now_ns, event, one.lead_id, one.fields, **more)


def _changed(rows: int, one: Quarantined) -> None:
    if not rows:
        raise NotFoundError(f"lead event {one.id} for {one.destination} is not in quarantine any more")
