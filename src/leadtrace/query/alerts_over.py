"""Alerts over a timeline: those whose group the lead is of, and whose time its own time touches.

An alert's events say by which attributes records name its group, so that nobody needs the rules to read a timeline. Of an
alert about a service's health or capacity the group is the service.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from leadtrace.query.model import AlertOver, Mark
from leadtrace.query.printable import moment
from leadtrace.query.vocabulary import text
from leadtrace.store.interface import EventFilter

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from leadtrace.otlp.records import EventRecord, Value
    from leadtrace.query.model import Timeline
    from leadtrace.store.interface import Source

__all__ = ["lay_alerts_over"]

_OF_SERVICES: Final = ("health_state", "capacity")


@dataclass(slots=True, frozen=True)
class _Alert:
    """What an alert's event says, read once."""

    over: AlertOver
    names: frozenset[tuple[str, str]]
    """How records name its group: attribute and value."""
    service: str
    """Of alerts about a service: which; '' of all others."""

    def covers(self, first_ns: int, last_ns: int, names: Set[tuple[str, str]], services: Set[str]) -> bool:
        one = self.over
        if one.began_ns > last_ns or (one.ended_ns and one.ended_ns < first_ns):
            return False
        return not names.isdisjoint(self.names) or (bool(self.service) and self.service in services)


@dataclass(slots=True)
class _Known:
    """The alerts of one source as far as they were read, so that the next timeline asks only for newer ones."""

    arrival: int = 0
    alerts: dict[str, _Alert] = field(default_factory=dict)
    """By id: as its end says, or its beginning while that is all there is."""


_known: WeakKeyDictionary[object, _Known] = WeakKeyDictionary()
_lock = Lock()


def lay_alerts_over(timeline: Timeline, source: Source) -> None:
    """Add the alerts that cover the timeline, each with a mark. One look-up by name where nothing new is there."""
    if not timeline.entries or not source.holds.logs:
        return
    alerts = _alerts_of(source)
    if not alerts:
        return
    wanted = {key for one in alerts.values() for key, _ in one.names}
    names = {(key, text(one.attributes, key)) for one in timeline.entries for key in wanted & one.attributes.keys()}
    services = {one.service for one in timeline.entries if one.service}
    first_ns, last_ns = timeline.first_ns, timeline.last_ns
    found = [one.over for one in alerts.values() if one.covers(first_ns, last_ns, names, services)]
    timeline.alerts = sorted(found, key=lambda one: (one.began_ns, one.id))
    timeline.marks += [Mark("alert", _told(one)) for one in timeline.alerts]


def _alerts_of(source: Source) -> dict[str, _Alert]:
    with _lock:
        known = _known.setdefault(source, _Known())
        after, alerts = known.arrival, known.alerts
    fresh = list(source.events(EventFilter(("alert.fired", "alert.resolved"), after_arrival=after)))
    if not fresh:
        return alerts
    alerts = dict(alerts)
    for event in fresh:
        alert_id = text(event.attributes, "alert.id")
        if alert_id and (alert_id not in alerts or event.name == "alert.resolved"):
            alerts[alert_id] = _read(event)
    with _lock:
        known.arrival, known.alerts = max(after, *(one.arrival for one in fresh)), alerts
    return alerts


def _read(event: EventRecord) -> _Alert:
    said = event.attributes
    over = AlertOver(
        text(said, "alert.id"),
        text(said, "alert.rule"),
        text(said, "alert.group"),
        text(said, "alert.severity"),
        _moment(said, "alert.began_at") or event.time_ns,
        _moment(said, "alert.ended_at"),
        text(said, "alert.reason"),
    )
    keys, values = _texts(said, "alert.group_attributes"), _texts(said, "alert.group_values")
    of_service = not values and text(said, "alert.kind") in _OF_SERVICES
    service = over.group.rpartition(":")[0] if text(said, "alert.kind") == "capacity" else over.group
    return _Alert(over, frozenset((key, one) for key in keys for one in values), service if of_service else "")


def _moment(said: Mapping[str, Value], key: str) -> int:
    found = said.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def _texts(said: Mapping[str, Value], key: str) -> set[str]:
    found = said.get(key)
    return {str(one) for one in found} if isinstance(found, list) else set()


def _told(one: AlertOver) -> str:
    whose = f"{one.rule} of {one.group}" if one.group else one.rule
    grave = f" [{one.severity}]" if one.severity else ""
    since = moment(one.began_ns)[:16]
    when = f"was firing from {since} to {moment(one.ended_ns)[:16]} UTC" if one.ended_ns else f"fires since {since} UTC"
    return f"alert {whose}{grave} {when}" + (f": {one.why}" if one.why else "")
