"""Volume against capacity: how full each resource is, and when it will be if it goes on like this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from leadtrace.analysis.gauges import shares
from leadtrace.analysis.intervals import nearest_rank
from leadtrace.analysis.misspelt import Names
from leadtrace.analysis.model import Report, Row, Sample, Window, limited
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis
from leadtrace.analysis.trend import Line, fit
from leadtrace.otlp.plain import loads_attributes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leadtrace.store.relations.interface import Relations

__all__ = ["CAPACITY", "CapacityOptions", "ResourceRow", "VolumeRow", "capacity"]

_HOUR: Final = 3_600 * 10**9
_DAY: Final = 24 * _HOUR
_SAMPLES: Final = """
SELECT service, host, instance, time_ns, attributes
FROM lead_events
WHERE name = 'system.capacity.sampled'
ORDER BY time_ns, arrival"""
_VOLUME: Final = """
SELECT time_ns - time_ns % 3600000000000 AS piece, count(*)
FROM lead_events
WHERE name = 'flow.started'
GROUP BY 1
ORDER BY 1"""
_FLOWS: Final = "flows_per_hour"
_OF_HOST: Final = frozenset({"host_memory", "host_cpu", "disk"})
_DAYS_ENOUGH: Final = 5
_HOURS_ENOUGH: Final = 6
_HORIZON: Final = 3
"""A date that lies more than so many times as far ahead as the data go back is no answer."""


_SERVICES: Final = Names(
    "service with samples of capacity",
    "SELECT DISTINCT service FROM all_events WHERE name = 'system.capacity.sampled' AND service <> ''",
)


@dataclass(slots=True, frozen=True, kw_only=True)
class CapacityOptions(Options):
    at: float = option(1.0, "The share of the maximum that counts as its limit.")
    service: str = option("", "Only processes of this service.", names=_SERVICES)


@dataclass(slots=True, frozen=True)
class ResourceRow(Row):
    """One resource of a service on a host (of its fullest process, where there are several), or of the host itself."""

    section: ClassVar[str] = "resources"
    service: str
    """'' where it is the host's."""
    host: str
    resource: str
    samples: int
    first_ns: int
    last_ns: int
    maximum: float
    """As the last sample says, in the resource's own unit."""
    latest: float
    """Share of the maximum in use at the last sample."""
    usual: float
    """The median share."""
    peak: float
    """The largest share."""
    peak_ns: int
    trend_a_day: float | None
    """By how much of the maximum its peaks rise a day; None where there are too few to tell."""
    trend_low: float | None
    """Student's interval of that at 95 %."""
    trend_high: float | None
    fit: float | None
    """R² of the line through the peaks."""
    points: int
    """The peaks that the line goes through: of days, or of hours where there are few days."""
    full_ns: int | None
    """When the line meets the limit; None where it does not, or too far ahead to say."""
    full_from_ns: int | None
    """With the steepest slope of the interval."""
    full_until_ns: int | None
    """With the least steep one; None where that never meets it."""
    note: str


@dataclass(slots=True, frozen=True)
class VolumeRow(Row):
    """Flows that began in one hour, beside what the processes of that hour say that they are made for."""

    section: ClassVar[str] = "volume"
    hour_ns: int
    flows: int
    capacity: float | None
    """Summed over the processes that told it in that hour; None where none did."""
    used: float | None
    """Flows as a share of it; more than 1 is more than was declared."""


@dataclass(slots=True)
class _Series:
    """The samples of one resource, as they are read."""

    times: list[int]
    used: list[float]
    maximum: float = 0.0


def capacity(relations: Relations, options: CapacityOptions) -> Report[Row]:
    """Read all samples of the window. Without any the report has only the volume."""
    found: dict[tuple[str, str, str], _Series] = {}
    declared: dict[int, dict[tuple[str, str, str], float]] = {}
    samples = 0
    for service, host, instance, time_ns, attributes in relations.query(_SAMPLES):
        if options.service and service != options.service:
            continue
        samples += 1
        told = loads_attributes(attributes)
        for resource, share in shares(told):
            of = "" if resource in _OF_HOST else service or ""
            series = found.setdefault((of, host or "", resource), _Series([], []))
            series.times.append(time_ns)
            series.used.append(share)
            series.maximum = _maximum(told, resource)
        if (most := _maximum(told, _FLOWS)) > 0:
            hour = time_ns - time_ns % _HOUR
            declared.setdefault(hour, {})[service or "", host or "", instance or ""] = most
    volume = _volume(relations.query(_VOLUME), declared)
    rows: list[Row] = [_resource(key, one, options.at) for key, one in sorted(found.items())]
    if (flows := _flows_row(volume, options.at)) is not None:
        rows = [one for one in rows if isinstance(one, ResourceRow) and one.resource != _FLOWS]
        rows.append(flows)
    hours, notes = limited([volume], options.limit, newest=(VolumeRow,))
    rows += hours
    if not samples:
        notes.append("no samples of capacity: sample_capacity() takes them where flows run")
    elif flows is None:
        notes.append("no flows per hour were declared: volume has nothing to be compared with")
    if rows:
        notes.append(
            "dates go on from the trend of peaks, of days or of hours where there are few days; one that lies more than "
            f"{_HORIZON} times as far ahead as the data go back is not told"
        )
    return Report(
        CAPACITY.name,
        Window(options.since_ns, options.until_ns),
        Sample({"samples": samples, "hours": len(volume), "flows": sum(one.flows for one in volume)}),
        tuple(rows),
        tuple(notes),
    )


def _maximum(told: Mapping[str, object], resource: str) -> float:
    most = told.get(f"system.capacity.{resource}_max")
    return float(most) if isinstance(most, (int, float)) else 0.0


def _volume(
    counted: Sequence[Sequence[int]], declared: Mapping[int, Mapping[tuple[str, str, str], float]]
) -> list[VolumeRow]:
    flows = {hour: number for hour, number in counted}  # noqa: C416 - rows are tuples of any length to a type checker
    rows = []
    for hour in sorted(flows.keys() | declared.keys()):
        number = flows.get(hour, 0)
        most = sum(declared[hour].values()) if hour in declared else None
        rows.append(VolumeRow(hour, number, most, number / most if most else None))
    return rows


def _flows_row(volume: Sequence[VolumeRow], at: float) -> ResourceRow | None:
    """Volume as a resource: whole hours in which a capacity was told."""
    told = [one for one in volume if one.used is not None]
    if not told:
        return None
    series = _Series([one.hour_ns for one in told], [one.used or 0.0 for one in told], told[-1].capacity or 0.0)
    return _resource(("", "", _FLOWS), series, at)


def _resource(key: tuple[str, str, str], series: _Series, at: float) -> ResourceRow:
    service, host, resource = key
    peak = max(range(len(series.used)), key=series.used.__getitem__)
    line, points, note = _line(series)
    full: tuple[int | None, int | None, int | None] = (None, None, None)
    last_ns = series.times[-1]
    if line is not None and not note:
        full, note = _full(line, at, series, last_ns)
    return ResourceRow(
        service,
        host,
        resource,
        len(series.used),
        series.times[0],
        last_ns,
        series.maximum,
        series.used[-1],
        nearest_rank(sorted(series.used), 0.5),
        series.used[peak],
        series.times[peak],
        line.slope if line else None,
        line.low if line else None,
        line.high if line else None,
        line.fit if line else None,
        points,
        *full,
        note,
    )


def _line(series: _Series) -> tuple[Line | None, int, str]:
    """The line through the peaks of days, or of hours where there are few days; places are days since 1970."""
    for length, enough in ((_DAY, _DAYS_ENOUGH), (_HOUR, _HOURS_ENOUGH)):
        peaks: dict[int, tuple[float, int]] = {}
        for time_ns, used in zip(series.times, series.used, strict=True):
            piece = time_ns // length
            peaks[piece] = max(peaks.get(piece, (-1.0, 0)), (used, time_ns))
        if len(peaks) >= enough:
            line = fit([at / _DAY for _, at in peaks.values()], [used for used, _ in peaks.values()])
            return line, len(peaks), ""
    return None, len(peaks), f"too few to tell: peaks of {len(peaks)} hours, at least {_HOURS_ENOUGH} needed"


def _full(
    line: Line, at: float, series: _Series, last_ns: int
) -> tuple[tuple[int | None, int | None, int | None], str]:
    nothing = (None, None, None)
    if series.used[-1] >= at:
        return (last_ns, last_ns, last_ns), "at its limit now"
    if not line.rises:
        told = "it falls" if line.falls else "no trend"
        return nothing, f"{told}: {line.slope:+.2%} a day, between {line.low:+.2%} and {line.high:+.2%}"
    horizon = (last_ns - series.times[0]) / _DAY * _HORIZON
    found: list[int | None] = []
    for slope in (line.slope, line.high, line.low):
        place = line.meets(at, slope)
        found.append(int(max(place, last_ns / _DAY) * _DAY) if place is not None else None)
    meets = found[0]
    if meets is None or (meets - last_ns) / _DAY > horizon:
        return nothing, f"it rises by {line.slope:.2%} a day; the limit is too far ahead to say when"
    return (found[0], found[1], found[2]), ""


CAPACITY: Final = Analysis(
    "capacity",
    capacity,
    CapacityOptions,
    (ResourceRow, VolumeRow),
    traces_suffice=False,
    hidden=("first_ns", "trend_low", "trend_high", "full_from_ns", "full_until_ns", "points", "peak_ns"),
    beneath=("note",),
    shares=("latest", "usual", "peak", "trend_a_day", "used"),
)
