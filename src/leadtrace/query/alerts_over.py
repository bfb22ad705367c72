"""Alerts over a timeline: those whose group the lead is of, and whose time its own time touches.

An alert's events say by which attributes records name its group, so that nobody needs the rules to read a timeline. Of an
alert about a service's health or capacity the group is the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leadtrace.query.model import AlertOver, Mark
from leadtrace.query.printable import moment
from leadtrace.query.vocabulary import text
from leadtrace.store.interface import EventFilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.otlp.records import EventRecord, Value
    from leadtrace.query.model import Timeline
    from leadtrace.store.interface import Source

__all__ = ["lay_alerts_over"]

_OF_SERVICES: Final = ("health_state", "capacity")
_MOST: Final = 100_000


def lay_alerts_over(timeline: Timeline, source: Source) -> None:
    """Add the alerts that cover the timeline, each with a mark. One look-up by name where the source has no alerts."""
    if not timeline.entries or not source.holds.logs:
        return
    latest: dict[str, EventRecord] = {}
    for event in source.events(EventFilter(("alert.fired", "alert.resolved"), limit=_MOST)):
        alert_id = text(event.attributes, "alert.id")
        if alert_id and (alert_id not in latest or event.name == "alert.resolved"):
            latest[alert_id] = event
    found = [_over(event) for event in latest.values() if _covers(event, timeline)]
    timeline.alerts = sorted(found, key=lambda one: (one.began_ns, one.id))
    timeline.marks += [Mark("alert", _told(one)) for one in timeline.alerts]


def _over(event: EventRecord) -> AlertOver:
    said = event.attributes
    return AlertOver(
        text(said, "alert.id"),
        text(said, "alert.rule"),
        text(said, "alert.group"),
        text(said, "alert.severity"),
        _moment(said, "alert.began_at") or event.time_ns,
        _moment(said, "alert.ended_at"),
        text(said, "alert.reason"),
    )


def _covers(event: EventRecord, timeline: Timeline) -> bool:
    said = event.attributes
    began, ended = _moment(said, "alert.began_at") or event.time_ns, _moment(said, "alert.ended_at")
    if began > timeline.last_ns or (ended and ended < timeline.first_ns):
        return False
    values, attributes = _texts(said, "alert.group_values"), _texts(said, "alert.group_attributes")
    if values and attributes:
        return any(text(one.attributes, key) in values for one in timeline.entries for key in attributes)
    if text(said, "alert.kind") not in _OF_SERVICES:
        return False
    group = text(said, "alert.group")
    return any(one.service and group in (one.service, *_resource_of(group, one.service)) for one in timeline.entries)


def _resource_of(group: str, service: str) -> Iterable[str]:
    return (group,) if group.startswith(f"{service}:") else ()


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
