"""When a group is open: hours of the weekdays in its time zone, without holidays and pauses. Pure arithmetic over days.

Hours are wall-clock times. On the day that a clock is put forward a range that begins in the missing hour begins when it
ends; on the day that it is put back a range covers the doubled hour twice. A range belongs to the day that it begins on:
on the eve of a holiday `22:00-06:00` runs into the holiday, on the holiday itself it does not begin.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holidays import HolidayBase

__all__ = ["WEEKDAYS", "Calendar", "Pause", "Range", "Span", "always", "local_time", "public_holidays"]

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
_UTC: Final = datetime.UTC
_EPOCH: Final = datetime.datetime.fromtimestamp(0, _UTC)
_FURTHEST_DAYS: Final = 400
"""How far back opening time is looked for: a group that was closed for longer has had none."""

Range: TypeAlias = tuple[int, int]
"""Minutes after midnight: where a range begins and ends; an end at or before the beginning is on the next day."""


class Span(NamedTuple):
    """From one moment to another, the end not included."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which nothing is expected, by declaration."""

    since_ns: int
    until_ns: int
    """0: until the file says otherwise."""
    reason: str = ""

    def covers(self, at_ns: int) -> bool:
        return self.since_ns <= at_ns and (not self.until_ns or at_ns < self.until_ns)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The opening times of one group."""

    zone: ZoneInfo
    hours: tuple[tuple[Range, ...], ...] | None = None
    """The ranges of each weekday from Monday on; None: always open, but for closed days and pauses."""
    closed_days: frozenset[datetime.date] = frozenset()
    """Listed dates."""
    country: str = ""
    """Whose public holidays are closed days too (ISO 3166: `DE`, `US`); '' for none."""
    region: str = ""
    """Of that country (`BY`, `CA`)."""
    holiday_hours: tuple[Range, ...] = ()
    """The ranges of a closed day; usually none."""
    pauses: tuple[Pause, ...] = ()

    def is_open(self, at_ns: int) -> bool:
        """Whether leads are expected at that moment."""
        return any(one.start_ns <= at_ns < one.end_ns for one in self.spans(at_ns, at_ns + 1))

    def paused(self, at_ns: int) -> Pause | None:
        """The pause that covers that moment."""
        return next((one for one in self.pauses if one.covers(at_ns)), None)

    def spans(self, since_ns: int, until_ns: int) -> list[Span]:
        """The open stretches within that window, in order, none touching the next."""
        if until_ns <= since_ns:
            return []
        found: list[Span] = []
        for span in sorted(self._by_days(since_ns, until_ns)):
            start, end = max(span.start_ns, since_ns), min(span.end_ns, until_ns)
            if end <= start:
                continue
            if found and start <= found[-1].end_ns:
                found[-1] = Span(found[-1].start_ns, max(end, found[-1].end_ns))
            else:
                found.append(Span(start, end))
        return _without(found, self.pauses, until_ns)

    def open_ns(self, since_ns: int, until_ns: int) -> int:
        """How much of that window is open."""
        if self._never_closes:
            return max(0, until_ns - since_ns)
        return sum(one.end_ns - one.start_ns for one in self.spans(since_ns, until_ns))

    def back(self, until_ns: int, open_ns: int) -> int | None:
        """Where the last `open_ns` of opening time before `until_ns` begin; None where there have not been so many."""
        if self._never_closes:
            return until_ns - open_ns
        left, end = open_ns, until_ns
        width = max(2 * _DAY, open_ns)
        for _ in range(_FURTHEST_DAYS):
            for span in reversed(self.spans(end - width, end)):
                length = span.end_ns - span.start_ns
                if length >= left:
                    return span.end_ns - left
                left -= length
            end -= width
            if until_ns - end > _FURTHEST_DAYS * _DAY:
                break
        return None

    def day(self, at_ns: int) -> datetime.date:
        """The date there at that moment."""
        return self.local(at_ns).date()

    def local(self, at_ns: int) -> datetime.datetime:
        return local_time(self.zone, at_ns)

    def is_holiday(self, day: datetime.date) -> bool:
        """Whether that date is a listed day or a public holiday."""
        return day in self.closed_days or (bool(self.country) and _is_public(self.country, self.region, day))

    @property
    def _never_closes(self) -> bool:
        return self.hours is None and not (self.closed_days or self.country or self.pauses)

    def _by_days(self, since_ns: int, until_ns: int) -> Iterator[Span]:
        day = self.day(since_ns) - datetime.timedelta(days=1)  # a range of yesterday may run into today
        last = self.day(until_ns)
        while day <= last:
            yield from self._of_day(day)
            day += datetime.timedelta(days=1)

    def _of_day(self, day: datetime.date) -> Iterator[Span]:
        if self.is_holiday(day):
            ranges: tuple[Range, ...] = self.holiday_hours
        else:
            ranges = _WHOLE_DAY if self.hours is None else self.hours[day.weekday()]
        for start, end in ranges:
            ends_on = day if end > start else day + datetime.timedelta(days=1)
            yield Span(_moment(day, start, self.zone, last=False), _moment(ends_on, end, self.zone, last=True))


_WHOLE_DAY: Final[tuple[Range, ...]] = ((0, 24 * 60),)


def local_time(zone: ZoneInfo, at_ns: int) -> datetime.datetime:
    """What the clock there shows at that moment, to the second."""
    return (_EPOCH + datetime.timedelta(seconds=at_ns // _SECOND)).astimezone(zone)


def always(zone: str = "UTC") -> Calendar:
    """A calendar that is always open."""
    return Calendar(ZoneInfo(zone))


@lru_cache(maxsize=65_536)
def _moment(day: datetime.date, minutes: int, zone: ZoneInfo, *, last: bool) -> int:
    """When the clock there shows so many minutes after midnight: the last time of two, and at the gap's end where never."""
    wall = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(minutes=minutes)
    early, late = (_ns(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if early <= late:
        return late if last else early
    # The hour is missing: with the offset of after the gap it lies before it, and the other way round.
    low, high = late // _SECOND, early // _SECOND
    before = _offset(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return high * _SECOND


def _offset(seconds: int, zone: ZoneInfo) -> datetime.timedelta | None:
    return local_time(zone, seconds * _SECOND).utcoffset()


def _ns(moment: datetime.datetime) -> int:
    since = moment.astimezone(_UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND


def _without(spans: list[Span], pauses: tuple[Pause, ...], until_ns: int) -> list[Span]:
    for pause in pauses:
        ends = pause.until_ns or until_ns
        cut = ((Span(start, min(end, pause.since_ns)), Span(max(start, ends), end)) for start, end in spans)
        spans = [one for pair in cut for one in pair if one.end_ns > one.start_ns]
    return spans


def _is_public(country: str, region: str, day: datetime.date) -> bool:
    return day in public_holidays(country, region)


@lru_cache(maxsize=64)
def public_holidays(country: str, region: str) -> HolidayBase:
    """The public holidays there, as a mapping of dates that grows with the years that are asked for.

    Raises `SettingsError` where `holidays` is not installed, or does not know the country or region.
    """
    try:
        import holidays
    except ImportError as cause:
        raise SettingsError("holidays by country need: pip install 'leadtrace[alerts]'") from cause
    try:
        return holidays.country_holidays(country, subdiv=region or None)
    except NotImplementedError as cause:
        raise SettingsError("holidays are not known there", country=country, region=region or "none") from cause
