"""Samples of resources and changes of health as they were told: few events, read whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from leadtrace.otlp.plain import loads_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leadtrace.analysis.series import SeriesRow
    from leadtrace.store.relations.interface import Relations

__all__ = ["gauges", "shares"]

_EVENT: Final = {"capacity": "system.capacity.sampled", "health": "system.health.changed"}
_TEXT: Final = """
SELECT service, host, time_ns, attributes
FROM lead_events
WHERE name = $name
ORDER BY time_ns, arrival"""
_CAPACITY: Final = "system.capacity."
_MAXIMUM: Final = "_max"


def gauges(relations: Relations, of: str) -> Iterator[SeriesRow]:
    """A row for each resource of each sample, or for each change of health, in order of time."""
    from leadtrace.analysis.series import SeriesRow

    for service, host, time_ns, attributes in relations.query(_TEXT, {"name": _EVENT[of]}):
        told = loads_attributes(attributes)
        if of == "health":
            name = str(told.get("system.health.subject") or service or "")
            yield SeriesRow(
                name, host or "", time_ns, time_ns, time_ns, 1, 0, None, str(told.get("system.health.to", ""))
            )
            continue
        for resource, share in shares(told):
            yield SeriesRow(service or "", resource, time_ns, time_ns, time_ns, 1, 0, share, host or "")


def shares(told: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Each resource of a sample whose maximum was declared with it, and which share of that is in use."""
    for attribute, value in told.items():
        if not attribute.startswith(_CAPACITY) or attribute.endswith(_MAXIMUM):
            continue
        most = told.get(f"{attribute}{_MAXIMUM}")
        if _is_number(value) and _is_number(most) and most is not None and most > 0:
            yield attribute.removeprefix(_CAPACITY), value / most


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
