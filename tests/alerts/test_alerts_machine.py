"""How a verdict moves an alert from its beginning to its end."""

from __future__ import annotations

from leadtrace.alerts.calendar import always
from leadtrace.alerts.evaluate import evaluate
from leadtrace.alerts.model import Key, Observations, Point, Series, State
from leadtrace.alerts.rules import HOUR, MINUTE, Absence, Group, Rules


def _rules(**more: object) -> Rules:
    group = Group("brand", "campaign_group", always(), owners=("@anna",))
    rule = Absence(name="silence", kind="absence", groups=("brand",), keep_firing_ns=0, **more)  # type: ignore[arg-type]
    return Rules({"brand": group}, {"silence": rule})


def _seen(*minutes: int, until: int) -> Observations:
    points = tuple(Point(one * MINUTE, one * MINUTE) for one in minutes)
    return Observations(until * MINUTE, {("leads", "brand"): Series(points)})


def test_an_absence_fires_after_its_window_and_ends_with_the_next_lead() -> None:
    """It began with the last lead, is told once the window is over, and ended when the next lead came."""
    rules, state, told = _rules(), State(), []
    for minute in range(1000, 1200):
        leads = [*range(900, 1011), *(one for one in range(1150, 1200) if one < minute)]
        state, changes = evaluate(rules, _seen(*leads, until=minute), state, minute * MINUTE)
        told += [(one.change, one.at_ns // MINUTE) for one in changes]
        last = changes[-1].alert if changes else None
        if last is not None and last.state == "resolved":
            assert (last.began_ns, last.ended_ns) == (1010 * MINUTE, 1150 * MINUTE)
            assert (last.owners, last.observed, last.ended_by) == (("@anna",), 0.0, "recovered")
    assert told == [("fired", 1071), ("resolved", 1151)]
    assert state.standings == {}


def test_nothing_is_concluded_where_the_source_cannot_be_read() -> None:
    """What fires goes on firing, and what does not does not begin."""
    rules = _rules()
    state, _ = evaluate(rules, None, State(), 10 * HOUR)
    assert state.standings == {}
    state, _ = evaluate(rules, _seen(until=660), state, 11 * HOUR)
    assert [one.group for one in state.open] == ["brand"]
    state, changes = evaluate(rules, None, state, 12 * HOUR)
    assert changes == ()
    assert state.standings[Key("silence", "brand")].phase == "firing"
    assert State.from_json(state.as_json()) == state
