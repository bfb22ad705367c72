"""Opening times as they are written in a rules file: weekdays, ranges, holidays, pauses."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from leadtrace.alerts.calendar import WEEKDAYS, Calendar, Pause, Range, public_holidays
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from leadtrace.alerts.toml_table import Table

__all__ = ["read_calendar", "read_pauses"]

_SHORT: Final = {day[:3]: number for number, day in enumerate(WEEKDAYS)}
_RANGE: Final = re.compile(r"(\d{1,2}):(\d\d)\s*(?:-|to)\s*(\d{1,2}):(\d\d)")
_ALL_DAY: Final[tuple[Range, ...]] = ((0, 24 * 60),)


def read_calendar(table: Table, around: Calendar) -> Calendar:
    """The opening times that a table states; what it does not state is as around it. Pauses add up."""
    zone = _zone(table, around.zone)
    country, region = table.text("country", around.country).upper(), table.text("region", around.region)
    if table.has("country") and not table.has("region") and country != around.country:
        region = ""
    if country and (table.has("country") or table.has("region")):
        try:
            public_holidays(country, region)
        except SettingsError as problem:
            table.wrong(str(problem), "country")
            country = region = ""
    hours, holiday_hours = around.hours, around.holiday_hours
    if table.get("hours") == "always":
        hours = None
    elif (stated := table.table("hours")) is not None:
        hours, holiday_hours = _hours(stated)
    return Calendar(
        zone,
        hours,
        around.closed_days | table.dates("closed_on"),
        country,
        region,
        holiday_hours,
        around.pauses + read_pauses(table, zone),
    )


def read_pauses(table: Table, zone: ZoneInfo) -> tuple[Pause, ...]:
    """The `pauses` of a table: `{ from = 2026-12-24, until = 2026-12-27, reason = "…" }`, each or both ends open."""
    found = []
    for one in table.array("pauses"):
        since, until = one.moment("from", zone), one.moment("until", zone)
        if not one.has("from") and not one.has("until"):
            one.wrong("a pause has a from, an until, or both")
        if until and until <= since:
            one.wrong("a pause ends after it begins", "until")
        found.append(Pause(since, until, one.text("reason")))
        one.done()
    return tuple(found)


def _zone(table: Table, around: ZoneInfo) -> ZoneInfo:
    name = table.text("timezone")
    if not name:
        return around
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = get_close_matches(name, sorted(available_timezones()), n=1, cutoff=0.5)
        table.wrong(f"{name!r} is no time zone" + (f"; did you mean {near[0]}?" if near else ""), "timezone")
        return around


def _hours(table: Table) -> tuple[tuple[tuple[Range, ...], ...], tuple[Range, ...]]:
    """The ranges of each weekday, and of holidays; a day that is not named is closed."""
    week: list[tuple[Range, ...]] = [()] * 7
    named: dict[int, str] = {}
    holidays: tuple[Range, ...] = ()
    for key in table.content:
        ranges = _ranges(table, key)
        if key.lower() in ("holidays", "holiday"):
            holidays = ranges
            continue
        days = _days(key)
        if days is None:
            near = get_close_matches(key.lower(), (*WEEKDAYS, "daily", "holidays"), n=1, cutoff=0.5)
            table.wrong(
                f"{key!r} names no days: give monday, mon-fri, daily or holidays"
                + (f"; did you mean {near[0]}?" if near else ""),
                key,
            )
            continue
        for day in days:
            if day in named and len(days) > 1 and len(_days(named[day]) or ()) == 1:
                continue  # what names one day goes before what names several
            if day in named and (len(days) > 1) == (len(_days(named[day]) or ()) > 1):
                table.wrong(f"{WEEKDAYS[day]} has its hours already, by {named[day]!r}", key)
            week[day], named[day] = ranges, key
    return tuple(week), holidays


def _days(key: str) -> list[int] | None:
    """The weekdays that a key names: `monday`, `Mon`, `mon-fri`, `fri-mon`, `daily`."""
    text = key.strip().lower()
    if text == "daily":
        return list(range(7))
    ends = [_SHORT.get(part.strip()[:3]) for part in text.split("-")]
    whole = all(len(part.strip()) == 3 or part.strip() in WEEKDAYS for part in text.split("-"))
    if not whole or None in ends or len(ends) > 2:
        return None
    first, last = ends[0], ends[-1]
    if first is None or last is None:
        return None
    return [(first + step) % 7 for step in range((last - first) % 7 + 1)]


def _ranges(table: Table, key: str) -> tuple[Range, ...]:
    found: list[Range] = []
    for text in table.texts(key):
        plain = text.strip().lower()
        if plain in ("closed", ""):
            continue
        if plain in ("open", "24h", "all day"):
            return _ALL_DAY
        match = _RANGE.fullmatch(plain)
        start, end = (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])) if match else (-1, -1)
        minutes_fit = match is not None and int(match[2]) < 60 and int(match[4]) < 60
        if not minutes_fit or not 0 <= start < 24 * 60 or not 0 <= end <= 24 * 60:
            table.wrong(f"{text!r} is no range of hours: give 09:00-18:00, 22:00-06:00, 00:00-24:00 or closed", key)
            continue
        if start == end:
            table.wrong(f"{text!r} begins when it ends; a whole day is 00:00-24:00", key)
            continue
        found.append((start, end))
    return tuple(sorted(found))
