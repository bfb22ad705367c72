"""Alerts as the database keeps them: states between evaluations, each alert with its acknowledgement and checks, silences."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leadtrace.alerts import own_events
from leadtrace.alerts.checklist import Check
from leadtrace.alerts.model import Alert, State
from leadtrace.alerts.rules import DAY
from leadtrace.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.alerts.database import Database
    from leadtrace.alerts.model import Evaluated
    from leadtrace.alerts.rules import Group
    from leadtrace.query.model import Json

__all__ = [
    "Kept",
    "Silence",
    "acknowledge",
    "check",
    "checks_of",
    "find",
    "kept",
    "prune",
    "settle",
    "silence",
    "silences",
    "state",
]


_KEPT: Final = 90 * DAY


@dataclass(frozen=True, slots=True)
class Kept:
    """An alert, and what was done about it."""

    alert: Alert
    acked_ns: int = 0
    acked_by: str = ""
    note: str = ""
    silenced: bool = False

    def as_json(self) -> dict[str, Json]:
        return {
            **self.alert.as_json(),
            "acknowledged_at": self.acked_ns or None,
            "acknowledged_by": self.acked_by,
            "note": self.note,
            "silenced": self.silenced,
        }


@dataclass(frozen=True, slots=True)
class Silence:
    """A time in which a rule or a group is not told of."""

    target: str
    since_ns: int
    until_ns: int
    by: str = ""
    note: str = ""

    def covers(self, alert: Alert, at_ns: int) -> bool:
        return self.target in (alert.rule, alert.group) and self.since_ns <= at_ns < self.until_ns

    def as_json(self) -> dict[str, Json]:
        return {
            "target": self.target,
            "since": self.since_ns,
            "until": self.until_ns,
            "by": self.by,
            "note": self.note,
        }


def state(database: Database, name: str) -> State:
    """Where everything stood after the last evaluation."""
    row = database.one("SELECT body FROM states WHERE name = ?", name)
    return State.from_json(json.loads(row[0])) if row is not None else State()


def settle(database: Database, name: str, found: Evaluated, groups: Mapping[str, Group]) -> tuple[Alert, ...]:
    """Keep an evaluation: its state, its alerts, and an event for each beginning and end. Within `writing`.

    Gives the alerts whose beginning or end is new: what is in the database already is told no second time.
    """
    database.run("INSERT OR REPLACE INTO states VALUES (?, ?)", name, json.dumps(found.state.as_json()))
    for alert in found.state.open:
        database.run(
            "UPDATE alerts SET body = ?1 WHERE alert_id = ?2 AND body <> ?1", json.dumps(alert.as_json()), alert.id
        )
    fresh = []
    for change in found.transitions:
        alert = change.alert
        if change.change not in ("fired", "resolved"):
            continue
        there = database.one("SELECT 1 FROM transitions WHERE alert_id = ? AND change = ?", alert.id, change.change)
        if there is not None:
            continue
        database.run(
            "INSERT INTO transitions (alert_id, change, at_ns) VALUES (?, ?, ?)", alert.id, change.change, change.at_ns
        )
        database.run(
            "INSERT INTO alerts (alert_id, rule, target, fired_ns, resolved_ns, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
            "ON CONFLICT (alert_id) DO UPDATE SET resolved_ns = ?5, body = ?6",
            alert.id,
            alert.rule,
            alert.group,
            alert.fired_ns,
            alert.resolved_ns,
            json.dumps(alert.as_json()),
        )
        group = groups.get(alert.group)
        make = own_events.fired if change.change == "fired" else own_events.resolved
        own_events.keep(database, make(alert, group), change.at_ns)
        fresh.append(alert)
    return tuple(fresh)


_COLUMNS = "SELECT body, acked_ns, acked_by, ack_note FROM alerts"


def kept(database: Database, now_ns: int, *, since_ns: int = 0, lasting: bool = False, limit: int = 0) -> list[Kept]:
    """Alerts, those that were told last first; `lasting`: only those that have not ended."""
    rows = database.run(
        f"{_COLUMNS} WHERE (resolved_ns = 0 OR (resolved_ns >= ? AND ?)) ORDER BY fired_ns DESC, alert_id LIMIT ?",
        since_ns,
        not lasting,
        limit or -1,
    )
    quiet = silences(database, now_ns)
    return [_kept(row, quiet, now_ns) for row in rows]


def find(database: Database, alert_id: str, now_ns: int) -> Kept:
    """The alert of that id, or whose id begins so where there is one such. Raises `NotFoundError`."""
    asked = alert_id.strip().lower()
    rows = database.run(
        f"{_COLUMNS} WHERE alert_id >= ?1 AND alert_id < ?1 || 'g' ORDER BY alert_id LIMIT 2",
        asked,
    )
    if len(rows) > 1 and asked:
        raise NotFoundError(f"several alerts begin with {alert_id!r}: give more of the id")
    if not rows or not asked:
        raise NotFoundError(f"there is no alert {alert_id!r}; `leadtrace alerts list` shows them")
    return _kept(rows[0], silences(database, now_ns), now_ns)


def _kept(row: tuple[object, ...], quiet: Iterable[Silence], now_ns: int) -> Kept:
    body, acked_ns, acked_by, note = row
    alert = Alert.from_json(json.loads(str(body)))
    silenced = any(one.covers(alert, now_ns) for one in quiet)
    return Kept(alert, int(str(acked_ns)), str(acked_by), str(note), silenced)


def acknowledge(database: Database, alert_id: str, by: str, note: str, now_ns: int) -> Kept:
    """Note that somebody has it in hand: it is not told again until it ends. A second time changes name and note."""
    with database.writing():
        found = find(database, alert_id, now_ns)
        database.run(
            "UPDATE alerts SET acked_ns = ?, acked_by = ?, ack_note = ? WHERE alert_id = ?",
            now_ns,
            by,
            note,
            found.alert.id,
        )
        own_events.keep(database, own_events.acknowledged(found.alert, by, note), now_ns)
        return find(database, found.alert.id, now_ns)


def check(database: Database, alert: Alert, checks: Iterable[Check], now_ns: int) -> None:
    """Keep what looking at the checklist gave, with an event for each item."""
    with database.writing():
        for one in checks:
            database.run(
                "INSERT OR REPLACE INTO checks VALUES (?, ?, ?, ?, ?, ?, ?)",
                alert.id,
                one.item,
                one.at_ns or now_ns,
                one.result,
                one.answer,
                one.side,
                one.by,
            )
            own_events.keep(database, own_events.checked(alert, one), one.at_ns or now_ns)
        database.run("UPDATE alerts SET checked_ns = ? WHERE alert_id = ?", now_ns, alert.id)


def checks_of(database: Database, alert_id: str) -> list[Check]:
    """What is known of the checklist: of each item the latest, in the order in which they were looked at."""
    rows = database.run(
        "SELECT item, result, answer, side, who, max(at_ns) FROM checks WHERE alert_id = ? GROUP BY item "
        "ORDER BY max(at_ns), min(rowid)",
        alert_id,
    )
    return [Check(item, result, answer, side, who, at_ns) for item, result, answer, side, who, at_ns in rows]


def prune(database: Database, now_ns: int) -> None:
    """Forget messages and events that were done with 90 days ago; alerts themselves stay. Within `writing`."""
    before = now_ns - _KEPT
    database.run("DELETE FROM outbox WHERE state <> 'waiting' AND done_ns > 0 AND done_ns < ?", before)
    database.run("DELETE FROM events WHERE sent_ns > 0 AND sent_ns < ?", before)


def silence(database: Database, target: str, since_ns: int, until_ns: int, by: str, note: str) -> Silence:
    """Tell nothing of that rule or group until then; an earlier silence of it ends now."""
    with database.writing():
        database.run(
            "UPDATE silences SET until_ns = ?1 WHERE target = ?2 AND until_ns > ?1 AND since_ns <= ?1", since_ns, target
        )
        if until_ns > since_ns:
            database.run(
                "INSERT INTO silences (target, since_ns, until_ns, who, note) VALUES (?, ?, ?, ?, ?)",
                target,
                since_ns,
                until_ns,
                by,
                note,
            )
    return Silence(target, since_ns, until_ns, by, note)


def silences(database: Database, now_ns: int) -> list[Silence]:
    """Those that hold now."""
    rows = database.run(
        "SELECT target, since_ns, until_ns, who, note FROM silences WHERE since_ns <= ?1 AND until_ns > ?1 "
        "ORDER BY number",
        now_ns,
    )
    return [Silence(*row) for row in rows]
