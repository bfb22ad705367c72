"""What the watch tells as events of the catalogue: encoded once, in the transaction that made them, sent until taken.

The reading side knows no journal: the events wait in the watch's own database, and leave as OTLP requests. Their uid is the
database's id and the row's number, so however often one is sent, it is one event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from leadtrace.catalogue import SCHEMA_URL, VERSION
from leadtrace.catalogue.alerting import AlertAcknowledged, AlertChecked, AlertFired, AlertResolved
from leadtrace.otlp import encode

if TYPE_CHECKING:
    from leadtrace.alerts.checklist import Check
    from leadtrace.alerts.database import Database
    from leadtrace.alerts.model import Alert
    from leadtrace.alerts.rules import Group
    from leadtrace.catalogue.model import Event

__all__ = ["EventSink", "acknowledged", "checked", "fired", "keep", "named_by", "resolved", "send_waiting"]

SERVICE: Final = "leadtrace-watch"
_SIGNAL: Final = encode.signal("logs", "leadtrace", VERSION, SCHEMA_URL)
_RESOURCE: Final = encode.resource({"service.name": SERVICE})
_WARNING: Final = 13
_BATCH: Final = 200

NAMED_BY: Final = {
    "campaign_group": ("flow.journey.campaign_group", "lead.campaign_group", "lead.event.campaign_group"),
    "buyer": ("delivery.buyer", "bid.buyer"),
    "enhancement": ("enhancement.name", "enhancement.service"),
    "flow": ("flow.name", "flow.id"),
}
"""Which attributes of records name a group, by its kind."""


class EventSink(Protocol):
    """Where leadtrace's own events go; `cli` gives it."""

    def send(self, body: bytes) -> str:
        """Hand over one OTLP logs request; '' once it is safe there, else why not. Never raises for what a store does."""
        ...


def named_by(group: Group) -> tuple[str, ...]:
    """The attributes that name that group on records."""
    return (group.attribute,) if group.attribute else NAMED_BY.get(group.kind, ())


def fired(alert: Alert, group: Group | None) -> Event:
    return AlertFired(**_interval(alert, group))


def resolved(alert: Alert, group: Group | None) -> Event:
    return AlertResolved(**_interval(alert, group))


def acknowledged(alert: Alert, by: str, note: str) -> Event:
    return AlertAcknowledged(id=alert.id, rule=alert.rule, group=alert.group or None, by=by or None, note=note or None)


def checked(alert: Alert, check: Check) -> Event:
    return AlertChecked(
        id=alert.id,
        rule=alert.rule,
        group=alert.group or None,
        item=check.item,
        result=check.result,
        side=check.side or None,
        answer=check.answer or None,
        by=check.by or None,
    )


def keep(database: Database, event: Event, at_ns: int) -> None:
    """Encode it and let it wait in the database. Within `writing`."""
    database.run("INSERT INTO events (record) VALUES (x'')")
    number = database.last_number()
    attributes = {
        **event.attributes,
        "leadtrace.kind": event.spec.kind.value,
        "log.record.uid": f"{database.boot()}{number:012x}",
    }
    record = encode.log_record(event.event_name, at_ns, attributes, severity_number=_WARNING)
    database.run("UPDATE events SET record = ? WHERE number = ?", record, number)


def send_waiting(database: Database, sink: EventSink, now_ns: int) -> str:
    """Send all that waits, in its order; '' where nothing waits any more, else why not."""
    while True:
        rows = database.run("SELECT number, record FROM events WHERE sent_ns = 0 ORDER BY number LIMIT ?", _BATCH)
        if not rows:
            return ""
        body = encode.request(_RESOURCE, [(_SIGNAL, [record for _, record in rows])])
        if why := sink.send(body):
            return why
        with database.writing():
            for number, _ in rows:
                database.run("UPDATE events SET sent_ns = ? WHERE number = ?", now_ns, number)


def _interval(alert: Alert, group: Group | None) -> dict[str, Any]:
    found: dict[str, object] = {
        "id": alert.id,
        "rule": alert.rule,
        "group": alert.group or None,
        "kind": alert.kind,
        "severity": alert.severity,
        "group_values": list(group.values) if group is not None else None,
        "group_attributes": list(named_by(group)) if group is not None else None,
        "began_at": alert.began_ns,
        "ended_at": alert.ended_ns or None,
        "ended_by": alert.ended_by or None,
        "duration_ms": (alert.ended_ns - alert.began_ns) / 1e6 if alert.ended_ns else None,
        "observed": alert.observed,
        "expected": alert.expected,
        "unit": alert.unit or None,
        "reason": alert.why or None,
        "runbook": alert.runbook or None,
        "owners": list(alert.owners) or None,
        "money_at_risk": float(alert.money_at_risk) if alert.money_at_risk is not None else None,
        "currency": alert.currency if alert.money_at_risk is not None else None,
    }
    return {key: value for key, value in found.items() if value is not None}
