"""A clock moved by hand over months: summer time and back, holidays, nights, restarts, records that come late or twice."""

from __future__ import annotations

import json
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from alerts_story import wall
from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.alerts.evaluate import evaluate, verdicts
from leadtrace.alerts.expected import QUARTER, learn
from leadtrace.alerts.model import Observations, Point, Series, State, Transition
from leadtrace.alerts.rules import DAY, HOUR, MINUTE, Rules
from leadtrace.alerts.rules_file import loads

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def rules_of(text: str, zone: str = BERLIN) -> Rules:
    """One group `brand`, with whatever the text says of it and of its rules."""
    return loads(f'timezone = "{zone}"\n[groups.brand]\nkind = "campaign_group"\n{text}')


SILENCE = '[rules.silence]\nkind = "absence"\ngroups = "brand"\nwindow = "1h"\nkeep_firing = "0s"\n'
OFFICE = '[groups.brand.hours]\nmon-fri = "09:00-18:00"\n'


def seen(times: list[int], until: int) -> Observations:
    """All leads up to that moment."""
    points = tuple(Point(one, one) for one in times if one < until)
    return Observations(until, {("leads", "brand"): Series(points)})


def told(changes: list[Transition]) -> list[tuple[str, int]]:
    return [(one.change, one.at_ns) for one in changes]


def run(rules: Rules, times: list[int], moments: range, *, restarting: bool = False) -> tuple[State, list[Transition]]:
    """Evaluate at each moment over all leads so far."""
    everything = seen(times, moments[-1] + 1)
    state, changes = State(), list[Transition]()
    for now in moments:
        state, some = evaluate(rules, replace(everything, until_ns=now), state, now)
        changes += some
        if restarting:
            state = State.from_json(json.loads(json.dumps(state.as_json())))
    return state, changes


@pytest.mark.parametrize(("zone", "country"), [(BERLIN, "DE"), (NEW_YORK, "US")])
def test_ten_months_of_office_hours_with_leads_alarm_never(zone: str, country: str) -> None:
    """Through both changes of the clock, every weekend and every public holiday, looked at each half hour."""
    rules = rules_of(f'country = "{country}"\n{OFFICE}{SILENCE}', zone)
    calendar = rules.groups["brand"].calendar
    since, until = wall("2026-02-02", zone), wall("2026-12-02", zone)
    times = [
        at for span in calendar.spans(since, until) for at in range(span.start_ns + MINUTE, span.end_ns, 25 * MINUTE)
    ]
    state, changes = run(rules, times, range(since + 10 * HOUR, until, 30 * MINUTE))
    assert (changes, state.standings) == ([], {})
    # One lead after the summer began is all that is missing to alarm on the first day after it.
    first_monday = wall("2026-03-30", zone)
    missing = [one for one in times if not first_monday <= one < first_monday + DAY]
    _, changes = run(rules, missing, range(first_monday - DAY, first_monday + 2 * DAY, 30 * MINUTE))
    assert [one.change for one in changes] == ["fired", "resolved"]
    assert changes[0].at_ns <= wall("2026-03-30T10:30", zone)


@pytest.mark.parametrize(
    ("zone", "last", "fires"),
    [
        (BERLIN, "2026-03-29T01:30", "2026-03-29T03:30"),  # 2 to 3 is not there
        (BERLIN, "2026-10-25T01:30", "2026-10-25T02:30"),  # its first 2:30
        (NEW_YORK, "2026-03-08T01:30", "2026-03-08T03:30"),
        (NEW_YORK, "2026-11-01T00:30", "2026-11-01T01:30"),
    ],
)
def test_an_hour_of_silence_is_an_hour_whatever_the_clock_says(zone: str, last: str, fires: str) -> None:
    rules = rules_of(SILENCE, zone)
    at = wall(last, zone)
    _, changes = run(rules, [at], range(at + MINUTE, at + 4 * HOUR, MINUTE))
    assert told(changes) == [("fired", wall(fires, zone) + MINUTE)]
    assert changes[0].alert.began_ns == at


@pytest.mark.parametrize(
    ("zone", "change"),
    [(BERLIN, "2026-03-29"), (BERLIN, "2026-10-25"), (NEW_YORK, "2026-03-08"), (NEW_YORK, "2026-11-01")],
)
def test_what_is_expected_goes_by_the_clock_on_the_wall(zone: str, change: str) -> None:
    """Weeks learnt before the change hold after it, an hour of UTC earlier or later; a group kept in UTC would alarm."""
    few = '[rules.few]\nkind = "too_few"\ngroups = "brand"\nwindow = "1h"\nprobability = 1e-6\n'
    there, utc = rules_of(few, zone), rules_of(few, "UTC")
    calendar = there.groups["brand"].calendar
    turn = wall(change, zone)
    quarters = {
        at: 15 if 9 <= calendar.local(at).hour < 18 else 1
        for at in range((turn - 28 * DAY) // QUARTER * QUARTER, turn + 6 * DAY, QUARTER)
    }
    points = tuple(Point(at, at, count) for at, count in quarters.items())
    alarms = {}
    for name, rules in (("there", there), ("utc", utc)):
        learnt = learn(quarters, rules.groups["brand"].calendar, turn - 28 * DAY, turn)
        assert learnt.spread == 0
        all_leads = Observations(turn + 6 * DAY, {("leads", "brand"): Series(points)}, {"brand": learnt})
        state, count = State(), 0
        for now in range(turn + DAY, turn + 6 * DAY, QUARTER):
            state, changes = evaluate(rules, all_leads, state, now)
            count += sum(1 for one in changes if one.change == "fired")
        alarms[name] = count
    assert alarms["there"] == 0
    assert alarms["utc"] >= 5


def test_a_holiday_neither_alarms_nor_teaches() -> None:
    """Five December weeks with Christmas on a Friday: silent, closed, and the Friday's count is as it was."""
    few = '[rules.few]\nkind = "too_few"\ngroups = "brand"\nwindow = "1h"\n'
    rules = rules_of(f'country = "DE"\n{OFFICE}{SILENCE}{few}')
    calendar = rules.groups["brand"].calendar
    since, until = wall("2026-11-30", BERLIN), wall("2027-01-05", BERLIN)
    times = [at for span in calendar.spans(since, until) for at in range(span.start_ns, span.end_ns, 5 * MINUTE)]
    assert not any(wall("2026-12-25", BERLIN) <= one < wall("2026-12-28", BERLIN) for one in times)
    quarters: dict[int, int] = {}
    for one in times:
        quarters[one // QUARTER * QUARTER] = quarters.get(one // QUARTER * QUARTER, 0) + 1
    learnt = learn(quarters, calendar, since, until)
    friday_ten = 4 * 24 + 10
    assert learnt.rates[friday_ten] == pytest.approx(12)
    assert learnt.times[friday_ten] == 3  # of five Fridays Christmas and New Year's Day are none
    whole = Observations(
        until, {("leads", "brand"): Series(tuple(Point(one, one) for one in times))}, {"brand": learnt}
    )
    state = State()
    for now in range(since + 10 * HOUR, until, 20 * MINUTE):
        state, changes = evaluate(rules, whole, state, now)
        assert changes == ()


def test_silence_does_not_grow_while_the_group_is_closed() -> None:
    """Last lead at 17:30 on Friday: half an hour of it is Friday's, the other half Monday's."""
    rules = rules_of(OFFICE + SILENCE)
    last = wall("2026-11-27T17:30", BERLIN)
    _, changes = run(rules, [last], range(last + 5 * MINUTE, wall("2026-11-30T12:00", BERLIN), 5 * MINUTE))
    assert told(changes) == [("fired", wall("2026-11-30T09:35", BERLIN))]
    assert changes[0].alert.why == "no leads for 1 h 5 min of opening time"


def test_an_alert_stands_over_night_and_ends_with_the_next_lead_in_opening_time() -> None:
    """While the group is closed it is marked so, and nothing is concluded; the morning's lead ends it."""
    rules = rules_of(OFFICE + SILENCE)
    last, back = wall("2026-11-26T15:00", BERLIN), wall("2026-11-27T09:20", BERLIN)
    state, changes = run(rules, [last, back], range(last + 5 * MINUTE, wall("2026-11-27T03:00", BERLIN), 5 * MINUTE))
    assert [one.closed for one in state.open] == [True]
    state, changes = run(rules, [last, back], range(last + 5 * MINUTE, wall("2026-11-27T10:00", BERLIN), 5 * MINUTE))
    assert told(changes) == [("fired", last + HOUR + 5 * MINUTE), ("resolved", back + 5 * MINUTE)]
    assert (changes[1].alert.ended_ns, changes[1].alert.closed) == (back, False)


def test_a_group_that_was_never_seen_alarms_and_one_that_is_closed_or_paused_does_not() -> None:
    rules = rules_of(OFFICE + SILENCE)
    noon, night = wall("2026-11-26T12:00", BERLIN), wall("2026-11-26T20:00", BERLIN)
    _, changes = evaluate(rules, seen([], noon), State(), noon)
    assert [one.change for one in changes] == ["fired"]
    assert changes[0].alert.began_ns == noon - HOUR
    assert evaluate(rules, seen([], night), State(), night).transitions == ()
    paused = rules_of(f"pauses = [{{ from = 2026-11-26 }}]\n{OFFICE}{SILENCE}")
    assert evaluate(paused, seen([], noon), State(), noon).transitions == ()


def test_a_pause_ends_an_alert_and_says_so_and_so_does_leaving_the_file() -> None:
    """Neither says that anything is well."""
    rules = rules_of(SILENCE)
    start = wall("2026-11-26T12:00", BERLIN)
    state, _ = evaluate(rules, seen([], start), State(), start)
    for after, by in (
        (rules_of("pauses = [{ from = 2026-11-26T12:30:00, until = 2026-11-26T14:00:00 }]\n" + SILENCE), "paused"),
        (rules_of(SILENCE.replace("rules.silence", "rules.other")), "withdrawn"),
    ):
        later, changes = evaluate(after, seen([], start + HOUR), state, start + HOUR)
        ended = [one.alert for one in changes if one.change == "resolved"]
        assert [(one.ended_by, one.ended_ns, one.state) for one in ended] == [(by, start + HOUR, "resolved")]
        assert "silence" not in {key.rule for key in later.standings}


@given(st.lists(st.integers(0, 600), max_size=25), st.integers(0, 20), st.integers(0, 20))
@settings(max_examples=30)
def test_restarts_between_any_two_looks_change_nothing(minutes: list[int], hold: int, keep: int) -> None:
    """What was kept as JSON goes on as if nothing had happened, whatever leads came."""
    rules = rules_of(SILENCE.replace('keep_firing = "0s"', f'for = "{hold}m"\nkeep_firing = "{keep}m"'))
    start = wall("2026-10-24T20:00", BERLIN)
    times = sorted(start + one * MINUTE for one in minutes)
    moments = range(start, start + 11 * HOUR, 7 * MINUTE)
    assert run(rules, times, moments) == run(rules, times, moments, restarting=True)


def test_leads_that_come_late_un_tell_nothing() -> None:
    """A collector was down from 10:00 and handed everything over at 11:30: told at 11:01, over at 11:31, once."""
    rules = rules_of(SILENCE)
    start = wall("2026-11-26T09:00", BERLIN)
    happened = range(start, start + 5 * HOUR, 5 * MINUTE)
    down, up = start + HOUR, start + 150 * MINUTE
    state, changes = State(), list[Transition]()
    for now in range(start + MINUTE, start + 5 * HOUR, MINUTE):
        arrived = [one for one in happened if one < (now if now >= up or now < down else down)]
        state, some = evaluate(rules, seen(arrived, now), state, now)
        changes += some
    assert told(changes) == [("fired", down + HOUR - 5 * MINUTE + MINUTE), ("resolved", up)]
    alert = changes[-1].alert
    assert (alert.began_ns, alert.ended_ns) == (down - 5 * MINUTE, up)  # nobody saw it before
    assert alert.id == changes[0].alert.id


def test_records_are_given_time_to_arrive() -> None:
    """They are handed over every ten minutes: with such a delay no window of five is empty, and without it half of them."""
    text = 'kind = "absence"\ngroups = "brand"\nwindow = "5m"\nkeep_firing = "0s"\n'
    counts = {}
    for delay in (0, 10):
        rules = loads(f'delay = "{delay}m"\n[groups.brand]\nkind = "flow"\n[rules.silence]\n{text}')
        start = wall("2026-11-26T09:00", BERLIN)
        happened = {at: at + (-at // MINUTE % 10) * MINUTE for at in range(start, start + 5 * HOUR, MINUTE)}
        state, count = State(), 0
        for now in range(start + HOUR, start + 5 * HOUR, MINUTE):
            arrived = sorted(at for at, came in happened.items() if came <= now)
            state, some = evaluate(rules, seen(arrived, now), state, now)
            count += sum(1 for one in some if one.change == "fired")
        counts[delay] = count
    assert counts[10] == 0
    assert counts[0] > 10


def test_a_stopped_clock_and_a_clock_put_back_change_nothing() -> None:
    rules = rules_of(SILENCE)
    start = wall("2026-11-26T12:00", BERLIN)
    state, _ = evaluate(rules, seen([], start), State(), start)
    assert evaluate(rules, seen([start - 1], start), state, start) == (state, ())
    assert evaluate(rules, seen([], start - HOUR), state, start - HOUR) == (state, ())


def test_every_verdict_has_its_reason() -> None:
    few = '[rules.few]\nkind = "too_few"\ngroups = "brand"\n'
    rules = rules_of(OFFICE + SILENCE + few)
    noon, night = wall("2026-11-26T12:00", BERLIN), wall("2026-11-26T20:00", BERLIN)
    said = {one.rule.name: one.verdict for one in verdicts(rules, seen([noon - MINUTE], noon), State(), noon)}
    assert (said["silence"].holds, said["silence"].why) == (False, "leads come")
    assert (said["few"].holds, said["few"].why) == (None, "nothing is learnt of it yet")
    said = {one.rule.name: one.verdict for one in verdicts(rules, seen([], night), State(), night)}
    assert {(one.holds, one.closed) for one in said.values()} == {(None, True)}
    said = {one.rule.name: one.verdict for one in verdicts(rules, None, State(), noon)}
    assert {one.why for one in said.values()} == {"the source could not be read"}
    assert ZoneInfo(BERLIN) == rules.groups["brand"].calendar.zone
