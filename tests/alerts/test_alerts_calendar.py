"""When a group is open: over nights, holidays, pauses, and the days on which clocks change."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from alerts_story import wall as at
from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.alerts.calendar import Calendar, Pause, Span
from leadtrace.alerts.rules import HOUR, MINUTE
from leadtrace.alerts.rules_file import loads

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
NINE_TO_FIVE = ((9 * 60, 17 * 60),)


def written(hours: str, more: str = "") -> Calendar:
    """The calendar of a group with those hours in Berlin."""
    text = (
        f'timezone = "{BERLIN}"\n[groups.g]\nkind = "flow"\n{more}\n[groups.g.hours]\n{hours}\n'
        '[rules.r]\nkind = "absence"\ngroups = "g"\n'
    )
    return loads(text).groups["g"].calendar


def hours_of(calendar: Calendar, day: str) -> float:
    """How many hours of that date there are open."""
    start = datetime.date.fromisoformat(day)
    end = (start + datetime.timedelta(days=1)).isoformat()
    zone = calendar.zone.key
    return calendar.open_ns(at(day, zone), at(end, zone)) / HOUR


@pytest.mark.parametrize(
    ("zone", "spring", "autumn"),
    [(BERLIN, "2026-03-29", "2026-10-25"), (NEW_YORK, "2026-03-08", "2026-11-01")],
)
def test_a_day_on_which_the_clock_changes_has_23_or_25_hours(zone: str, spring: str, autumn: str) -> None:
    """A group that is open all day is open for as long as the day is; one of office hours notices nothing."""
    whole, office = Calendar(ZoneInfo(zone), (((0, 1440),),) * 7), Calendar(ZoneInfo(zone), (NINE_TO_FIVE,) * 7)
    assert (hours_of(whole, spring), hours_of(whole, autumn)) == (23, 25)
    assert (hours_of(office, spring), hours_of(office, autumn)) == (8, 8)
    assert office.is_open(at(f"{spring}T09:00", zone))
    assert not office.is_open(at(f"{autumn}T17:00", zone))


def test_a_range_that_begins_in_the_missing_hour_begins_when_it_is_over() -> None:
    """On 29 March 2026 Berlin's clocks go from 2 to 3: `02:30-05:00` is open from 3 to 5."""
    night = written('daily = "02:30-05:00"')
    assert night.spans(at("2026-03-29", BERLIN), at("2026-03-30", BERLIN)) == [
        Span(at("2026-03-29T03:00", BERLIN), at("2026-03-29T05:00", BERLIN))
    ]
    assert hours_of(night, "2026-03-28") == 2.5
    inside = written('daily = "02:10-02:50"')
    assert hours_of(inside, "2026-03-29") == 0


def test_a_range_over_the_doubled_hour_is_open_through_both() -> None:
    """On 25 October 2026 Berlin's clocks go from 3 back to 2: `01:30-02:30` lasts two hours."""
    night = written('daily = "01:30-02:30"')
    assert hours_of(night, "2026-10-25") == 2
    assert night.is_open(at("2026-10-25T02:15", BERLIN, fold=1))
    assert not night.is_open(at("2026-10-25T02:45", BERLIN, fold=1))


def test_hours_over_night_belong_to_the_day_that_they_begin_on() -> None:
    """Friday's `22:00-06:00` ends on Saturday; Sunday begins nothing."""
    nights = written('mon-fri = "22:00-06:00"\nsaturday = ["20:00-23:00", "23:30-01:00"]')
    assert nights.is_open(at("2026-11-28T05:59", BERLIN))
    assert not nights.is_open(at("2026-11-28T06:00", BERLIN))
    assert nights.is_open(at("2026-11-29T00:30", BERLIN))
    assert not nights.is_open(at("2026-11-28T23:15", BERLIN))
    assert hours_of(nights, "2026-11-29") == 1
    assert hours_of(nights, "2026-11-30") == 2


def test_several_ranges_and_the_most_precise_name_of_a_day() -> None:
    """A day by its own name goes before `mon-fri` and `daily`; days that nobody names are closed."""
    week = written('wednesday = "closed"\nmon-fri = ["08:00-12:00", "13:00-18:00"]')
    assert [hours_of(week, f"2026-11-{day}") for day in range(23, 30)] == [9, 9, 0, 9, 9, 0, 0]
    assert week.spans(at("2026-11-23", BERLIN), at("2026-11-24", BERLIN)) == [
        Span(at("2026-11-23T08:00", BERLIN), at("2026-11-23T12:00", BERLIN)),
        Span(at("2026-11-23T13:00", BERLIN), at("2026-11-23T18:00", BERLIN)),
    ]


def test_public_holidays_and_listed_days_are_closed_and_may_have_hours_of_their_own() -> None:
    """Epiphany is one in Bavaria and none in Berlin; the night that began on the eve runs on."""
    hours = 'daily = "22:00-06:00"'
    bavaria = written(hours, 'country = "DE"\nregion = "BY"\nclosed_on = [2026-11-27, "2026-11-28"]')
    berlin = written(hours, 'country = "DE"\nregion = "BE"')
    assert hours_of(berlin, "2026-01-06") == 8
    assert hours_of(bavaria, "2026-01-06") == 6
    assert hours_of(bavaria, "2026-01-07") == 2
    assert [hours_of(bavaria, f"2026-11-{day}") for day in (26, 27, 28, 29)] == [8, 6, 0, 2]
    short = written('daily = "09:00-17:00"\nholidays = "10:00-12:00"', 'country = "US"\nregion = "CA"')
    assert hours_of(short, "2026-11-26") == 2


def test_pauses_of_all_and_of_one_group_add_up() -> None:
    """From, until, or both; dates are local, date and time may name an offset."""
    text = (
        f'timezone = "{BERLIN}"\npauses = [{{ from = 2026-12-24, until = 2026-12-27 }}]\n'
        '[groups.g]\nkind = "flow"\npauses = [{ from = 2026-12-01T12:00:00Z, until = "2026-12-01T14:00", reason = "move" }]\n'
        '[rules.r]\nkind = "absence"\ngroups = "g"\n'
    )
    calendar = loads(text).groups["g"].calendar
    assert hours_of(calendar, "2026-12-25") == 0
    assert hours_of(calendar, "2026-12-01") == 23
    assert calendar.paused(at("2026-12-26T23:59", BERLIN)) is not None
    assert calendar.paused(at("2026-12-27", BERLIN)) is None
    assert calendar.paused(at("2026-12-01T13:59", BERLIN)) == Pause(
        at("2026-12-01T12:00"), at("2026-12-01T14:00", BERLIN), "move"
    )


def test_going_back_counts_opening_time_only() -> None:
    """One open hour before Monday 9:30 reaches into Friday; a group that never opens has none."""
    office = written('mon-fri = "09:00-17:00"', 'country = "DE"')
    assert office.back(at("2026-11-30T09:30", BERLIN), HOUR) == at("2026-11-27T16:30", BERLIN)
    assert office.back(at("2026-11-29T12:00", BERLIN), 8 * HOUR) == at("2026-11-27T09:00", BERLIN)
    assert Calendar(ZoneInfo("UTC"), ((),) * 7).back(at("2026-11-29"), HOUR) is None
    assert Calendar(ZoneInfo("UTC")).back(at("2026-11-29"), HOUR) == at("2026-11-28T23:00")


RANGES = st.lists(
    st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda one: one[0] != one[1]), max_size=3
)


@given(
    st.lists(RANGES, min_size=7, max_size=7),
    st.sampled_from([BERLIN, NEW_YORK, "Asia/Kathmandu", "Australia/Lord_Howe"]),
    st.integers(at("2026-01-01") // MINUTE, at("2026-12-31") // MINUTE),
    st.integers(1, 3 * 24 * 60),
    st.integers(1, 3 * 24 * 60),
)
@settings(max_examples=50)
def test_spans_lie_in_their_window_in_order_and_add_up(
    week: list[list[tuple[int, int]]], zone: str, start: int, first: int, second: int
) -> None:
    """Opening time of two windows beside each other is that of both together, and `back` finds its way."""
    calendar = Calendar(ZoneInfo(zone), tuple(tuple(day) for day in week))
    since, middle, until = start * MINUTE, (start + first) * MINUTE, (start + first + second) * MINUTE
    spans = calendar.spans(since, until)
    edges = [edge for one in spans for edge in one]
    assert edges == sorted(set(edges))
    assert all(since <= edge <= until for edge in edges)
    assert calendar.open_ns(since, middle) + calendar.open_ns(middle, until) == calendar.open_ns(since, until)
    for moment in (since, middle, until - 1):
        local = calendar.local(moment)
        minute = local.hour * 60 + local.minute
        today, yesterday = week[local.weekday()], week[local.weekday() - 1]
        by_hand = any((begin <= minute < end) if end > begin else minute >= begin for begin, end in today) or any(
            minute < end <= begin for begin, end in yesterday
        )
        if calendar.local(moment - 3 * HOUR).utcoffset() == calendar.local(moment + 3 * HOUR).utcoffset():
            assert calendar.is_open(moment) == by_hand
    if (whole := calendar.open_ns(since, until)) > 0:
        back = calendar.back(until, whole)
        assert back is not None
        assert calendar.open_ns(back, until) == whole


def test_a_year_of_office_hours_has_as_many_days_as_the_calendar_says() -> None:
    """2026 has 261 weekdays, and Bavaria nine public holidays on one of them: 252 days of eight hours."""
    office = written('mon-fri = "09:00-17:00"', 'country = "DE"\nregion = "BY"')
    assert office.open_ns(at("2026-01-01", BERLIN), at("2027-01-01", BERLIN)) == 252 * 8 * HOUR
