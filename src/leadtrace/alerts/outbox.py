"""What waits to be told: messages made in the transaction of what they tell, claimed by one sender, retried until sent.

    (alerts that last or ended)  ──fill──▶  waiting ──claim──▶ being sent ──▶ sent
                                               ▲                  │ failed: later, at growing distances
                                               └──────────────────┤
                                                                  ▼ too old: set aside

Messages of one channel are sent in the order in which they were made, so an end never comes before its beginning. A
message is sent at least once: a sender that dies between the channel's answer and its own note sends it again.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from leadtrace.alerts.checklist import side_at_fault
from leadtrace.alerts.database import alive
from leadtrace.alerts.history import checks_of, kept, silences
from leadtrace.alerts.model import Alert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leadtrace.alerts.channels import Channel
    from leadtrace.alerts.checklist import Check, Checklist
    from leadtrace.alerts.database import Database
    from leadtrace.alerts.history import Kept

__all__ = ["CHANNEL_RULE", "Message", "What", "claim", "failed", "fill", "next_due", "sent", "waiting"]

What = Literal["fired", "repeated", "acknowledged", "checked", "resolved"]

CHANNEL_RULE: Final = "leadtrace.channel"
"""The rule of the watch's own alerts about channels: they are told in every channel but the one they are of."""

_SECOND: Final = 1_000_000_000
_FIRST_WAIT: Final = 2 * _SECOND
_LONGEST_WAIT: Final = 300 * _SECOND


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one channel, claimed by this process."""

    number: int
    channel: str
    what: What
    alerts: tuple[Alert, ...]
    thread: str = ""
    """The platform's name for the message of the beginning, where it was sent."""
    made_ns: int = 0
    attempts: int = 1
    """This one included."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """`checks` and `side` of a message about those, `by` and `note` of an acknowledgement."""


def fill(database: Database, channels: Iterable[Channel], checklist: Checklist, now_ns: int) -> int:
    """Make a message for all that its channel has not been told yet; how many are new. Within `writing`.

    It compares what is with what was told, so that whatever was missed (a kill, a silence, a channel that is new in the
    file) is made up for, and nothing is made twice.
    """
    lasting = {one.alert.id: one for one in kept(database, now_ns, lasting=True)}
    quiet = silences(database, now_ns)
    made = 0
    for channel in channels:
        made += _Filling(database, channel, checklist, now_ns).fill(
            lasting, {one.alert.id for one in lasting.values() if any(each.covers(one.alert, now_ns) for each in quiet)}
        )
    return made


@dataclass(slots=True)
class _Telling:
    beginning: int
    repeated_ns: int
    acked: bool
    checked_ns: int


@dataclass(slots=True)
class _Filling:
    database: Database
    channel: Channel
    checklist: Checklist
    now_ns: int
    made: int = 0

    def fill(self, lasting: Mapping[str, Kept], silenced: set[str]) -> int:
        told = self._told()
        begin: dict[str, list[Alert]] = defaultdict(list)
        repeat: dict[int, list[Alert]] = defaultdict(list)
        for alert_id, one in lasting.items():
            alert = one.alert
            if alert_id not in told:
                if alert_id not in silenced and self.channel.wants(alert) and not self._of_itself(alert):
                    begin[self.channel.key_of(alert)].append(alert)
                continue
            telling = told[alert_id]
            if one.acked_ns and not telling.acked:
                self._add("acknowledged", [alert], telling.beginning, {"by": one.acked_by, "note": one.note})
                self._note(alert, "acked", 1)
            if self._due_again(one, telling, silenced):
                repeat[telling.beginning].append(alert)
            self._checks(alert, telling)
        for key, alerts in begin.items():
            self._begin(key, sorted(alerts, key=lambda one: (one.began_ns, one.id)))
        for beginning, alerts in repeat.items():
            self._add("repeated", alerts, beginning)
            for alert in alerts:
                self._note(alert, "repeated_ns", self.now_ns)
        self._ends(set(told) - set(lasting), told)
        return self.made

    def _told(self) -> dict[str, _Telling]:
        rows = self.database.run(
            "SELECT alert_id, beginning, repeated_ns, acked, checked_ns FROM tellings WHERE channel = ? AND ended = 0",
            self.channel.name,
        )
        return {alert_id: _Telling(number, at, bool(acked), checked) for alert_id, number, at, acked, checked in rows}

    def _of_itself(self, alert: Alert) -> bool:
        return alert.rule == CHANNEL_RULE and alert.group == self.channel.name

    def _due_again(self, one: Kept, telling: _Telling, silenced: set[str]) -> bool:
        if not self.channel.repeat_ns or one.acked_ns or one.alert.closed or one.alert.id in silenced:
            return False
        if self.now_ns - telling.repeated_ns < self.channel.repeat_ns:
            return False
        waits = self.database.one(
            "SELECT 1 FROM outbox WHERE channel = ? AND beginning = ? AND state = 'waiting'",
            self.channel.name,
            telling.beginning,
        )
        return waits is None

    def _checks(self, alert: Alert, telling: _Telling) -> None:
        row = self.database.one("SELECT checked_ns FROM alerts WHERE alert_id = ?", alert.id)
        if row is None or row[0] <= telling.checked_ns:
            return
        checks = checks_of(self.database, alert.id)
        known = [_plain(one) for one in checks if one.result != "unknown"]
        if known:  # that nothing is known is no news
            side = side_at_fault(self.checklist.of(alert), checks, self.checklist.otherwise)
            self._add("checked", [alert], telling.beginning, {"checks": known, "side": side})
        self._note(alert, "checked_ns", row[0])

    def _begin(self, key: str, alerts: Sequence[Alert]) -> None:
        """A first message, or more in one that waits for others and that nobody sends yet."""
        row = self.database.one(
            "SELECT number, body FROM outbox WHERE channel = ? AND what = 'fired' AND shared = ? AND state = 'waiting' "
            "AND attempts = 0 AND owner = ''",
            self.channel.name,
            key,
        )
        if row is not None:
            number, body = row
            said = json.loads(body)
            said["alerts"] += [one.as_json() for one in alerts]
            self.database.run("UPDATE outbox SET body = ? WHERE number = ?", json.dumps(said), number)
        else:
            number = self._add("fired", alerts, 0, shared=key, wait_ns=self.channel.wait_ns)
        for alert in alerts:
            self.database.run(
                "INSERT INTO tellings (channel, alert_id, beginning, repeated_ns) VALUES (?, ?, ?, ?)",
                self.channel.name,
                alert.id,
                number,
                self.now_ns,
            )

    def _ends(self, gone: set[str], told: Mapping[str, _Telling]) -> None:
        ends: dict[int, list[Alert]] = defaultdict(list)
        for alert_id in sorted(gone):
            row = self.database.one("SELECT body FROM alerts WHERE alert_id = ? AND resolved_ns > 0", alert_id)
            if row is not None:
                ends[told[alert_id].beginning].append(Alert.from_json(json.loads(row[0])))
        for beginning, alerts in ends.items():
            self._add("resolved", sorted(alerts, key=lambda one: (one.began_ns, one.id)), beginning)
            for alert in alerts:
                self._note(alert, "ended", 1)

    def _add(
        self,
        what: What,
        alerts: Sequence[Alert],
        beginning: int,
        more: Mapping[str, Any] | None = None,
        *,
        shared: str = "",
        wait_ns: int = 0,
    ) -> int:
        body = {"alerts": [one.as_json() for one in alerts], "more": dict(more or {})}
        self.database.run(
            "INSERT INTO outbox (channel, what, shared, body, beginning, made_ns, due_ns) VALUES (?, ?, ?, ?, ?, ?, ?)",
            self.channel.name,
            what,
            shared,
            json.dumps(body),
            beginning,
            self.now_ns,
            self.now_ns + wait_ns,
        )
        self.made += 1
        return self.database.last_number()

    def _note(self, alert: Alert, column: str, value: int) -> None:
        self.database.run(
            f"UPDATE tellings SET {column} = ? WHERE channel = ? AND alert_id = ?",  # noqa: S608 - names above
            value,
            self.channel.name,
            alert.id,
        )


def _plain(check: Check) -> dict[str, str]:
    return {
        "item": check.item,
        "result": check.result,
        "answer": check.answer,
        "side": check.side,
        "by": check.by,
    }


def claim(database: Database, names: Iterable[str], owner: str, now_ns: int, lease_ns: int) -> Message | None:
    """The next message that may be sent on one of those channels, now this owner's for so long; None where there is none."""
    if not 0 < next_due(database) <= now_ns:
        return None  # most of the time: nothing is written to find that out
    with database.writing():
        for name in names:
            row = database.one(
                "SELECT number, what, body, beginning, made_ns, due_ns, attempts, owner, until_ns FROM outbox "
                "WHERE channel = ? AND state = 'waiting' ORDER BY number LIMIT 1",
                name,
            )
            if row is None:
                continue
            number, what, body, beginning, made_ns, due_ns, attempts, claimed_by, until_ns = row
            if due_ns > now_ns or (claimed_by and until_ns > now_ns and alive(claimed_by)):
                continue
            database.run(
                "UPDATE outbox SET owner = ?, until_ns = ?, attempts = attempts + 1 WHERE number = ?",
                owner,
                now_ns + lease_ns,
                number,
            )
            thread = database.one("SELECT thread FROM outbox WHERE number = ?", beginning)
            said = json.loads(body)
            return Message(
                number,
                name,
                what,
                tuple(Alert.from_json(one) for one in said["alerts"]),
                str(thread[0]) if thread is not None else "",
                made_ns,
                attempts + 1,
                said["more"],
            )
    return None


def sent(database: Database, message: Message, now_ns: int, thread: str = "") -> None:
    """The channel took it; `thread` is its name for the message, under which the rest is told."""
    with database.writing():
        database.run(
            "UPDATE outbox SET state = 'sent', owner = '', thread = ?, why = '', done_ns = ? WHERE number = ?",
            thread,
            now_ns,
            message.number,
        )
        database.run(
            "INSERT INTO channels (name, worked_ns) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE "
            "SET failures = 0, failing_ns = 0, worked_ns = ?2, why = ''",
            message.channel,
            now_ns,
        )


def failed(
    database: Database, message: Message, now_ns: int, why: str, *, after_ns: int = 0, give_up_ns: int = 0
) -> None:
    """The channel did not take it: it waits longer each time, `after_ns` at least, and is set aside once it is too old."""
    wait = max(after_ns, min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(message.attempts - 1, 20)))
    too_old = bool(give_up_ns) and now_ns - message.made_ns >= give_up_ns
    with database.writing():
        database.run(
            "UPDATE outbox SET state = ?, owner = '', until_ns = 0, due_ns = ?, why = ?, done_ns = ? WHERE number = ?",
            "set aside" if too_old else "waiting",
            now_ns + wait,
            why,
            now_ns if too_old else 0,
            message.number,
        )
        database.run(
            "INSERT INTO channels (name, failures, failing_ns, why) VALUES (?1, 1, ?2, ?3) ON CONFLICT (name) DO UPDATE "
            "SET failures = failures + 1, failing_ns = iif(failures = 0, ?2, failing_ns), why = ?3",
            message.channel,
            now_ns,
            why,
        )


def waiting(database: Database) -> dict[str, int]:
    """How many messages wait, a channel each."""
    return dict(database.run("SELECT channel, count(*) FROM outbox WHERE state = 'waiting' GROUP BY channel"))


def next_due(database: Database) -> int:
    """When the next message is due; 0 where none waits."""
    row = database.one("SELECT min(due_ns) FROM outbox WHERE state = 'waiting'")
    return int(row[0] or 0) if row is not None else 0
