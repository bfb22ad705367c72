"""An alert's life under any sequence of values, gaps, restarts and repeated looks, beside a second telling of the rules."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from leadtrace.alerts.evaluate import evaluate
from leadtrace.alerts.model import Key, Observations, Point, Series, State, Transition
from leadtrace.alerts.rules import HOUR, MINUTE, Custom, Rules

KEY = Key("margin", "")
ABOVE, WITHIN = 11.0, 5.0


class Life(RuleBasedStateMachine):
    """One rule, `at most 10`, evaluated at growing moments. The second telling keeps plain sums of time:

    how long the condition has held or been seen not to hold since it last changed, each evaluation counting the time
    since the one before it, and unknown ones counting nothing.
    """

    @initialize(hold=st.integers(0, 4), keep=st.integers(0, 4))
    def begin(self, hold: int, keep: int) -> None:
        self.rules = Rules(
            rules={
                "margin": Custom(
                    name="margin", kind="custom", most=10.0, for_ns=hold * MINUTE, keep_firing_ns=keep * MINUTE
                )
            }
        )
        self.hold, self.keep = hold * MINUTE, keep * MINUTE
        self.state, self.now = State(), 1000 * HOUR
        self.told: list[Transition] = []
        self.expected: list[tuple[str, int]] = []
        self.phase = "inactive"
        self.counted = 0
        self.unknown_now = False

    @rule(steps=st.integers(1, 3), value=st.sampled_from([ABOVE, WITHIN, None, "unreadable"]))
    def evaluate(self, steps: int, value: float | str | None) -> None:
        """Time goes on, and the value is above, within, missing, or the whole source cannot be read."""
        self.now += steps * MINUTE
        self.look(value)
        self.second_telling(value, steps * MINUTE)

    @rule()
    def restart(self) -> None:
        """What was kept as JSON is all that there is."""
        self.state = State.from_json(json.loads(json.dumps(self.state.as_json())))

    @rule(value=st.sampled_from([ABOVE, WITHIN, None]), back=st.integers(0, 90))
    def look_again(self, value: float | None, back: int) -> None:
        """The same moment, or an earlier one, changes nothing whatever is seen."""
        moment = self.now - back * MINUTE
        if moment <= self.state.at_ns:
            state, changes = evaluate(self.rules, self.seen(value), self.state, moment)
            assert (state, changes) == (self.state, ())

    def seen(self, value: float | None) -> Observations:
        points = (Point(self.now, self.now, value=value),) if value is not None else ()
        return Observations(self.now, {("custom", "margin"): Series(points)})

    def look(self, value: float | str | None) -> None:
        seen = None if isinstance(value, str) else self.seen(value)
        self.unknown_now = value is None or isinstance(value, str)
        before = len(self.told)
        self.state, changes = evaluate(self.rules, seen, self.state, self.now)
        self.told += changes
        self.new = self.told[before:]

    def second_telling(self, value: float | str | None, elapsed: int) -> None:
        if self.unknown_now:
            return
        holds = value == ABOVE
        match self.phase, holds:
            case "inactive", True:
                self.counted = 0
                self.phase = "pending"
                self.tell("pending" if self.hold else "fired")
            case "pending", True:
                self.counted += elapsed
                if self.counted >= self.hold:
                    self.tell("fired")
            case "pending", False:
                self.tell("dropped")
            case "firing", False:
                self.phase, self.counted = "clearing", 0
                if not self.keep:
                    self.tell("resolved")
            case "clearing", False:
                self.counted += elapsed
                if self.counted >= self.keep:
                    self.tell("resolved")
            case "clearing", True:
                self.phase = "firing"

    def tell(self, change: str) -> None:
        self.expected.append((change, self.now))
        self.phase = {"fired": "firing", "pending": "pending"}.get(change, "inactive")

    @invariant()
    def both_tell_the_same(self) -> None:
        if hasattr(self, "told"):
            assert [(one.change, one.at_ns) for one in self.told] == self.expected
            standing = self.state.standings.get(KEY)
            assert (standing.phase if standing else "inactive") == self.phase

    @invariant()
    def nothing_ends_while_nobody_can_say(self) -> None:
        if hasattr(self, "new") and self.unknown_now:
            assert self.new == []

    @invariant()
    def every_alert_is_one_interval(self) -> None:
        if not hasattr(self, "told"):
            return
        fired = Counter(one.alert.id for one in self.told if one.change == "fired")
        resolved = Counter(one.alert.id for one in self.told if one.change == "resolved")
        assert all(count == 1 for count in (*fired.values(), *resolved.values()))
        assert set(resolved) <= set(fired)
        assert set(fired) - set(resolved) == {one.id for one in self.state.open}
        for one in self.told:
            alert = one.alert
            assert alert.began_ns <= one.at_ns
            if one.change == "resolved":
                assert alert.began_ns <= alert.fired_ns
                assert alert.began_ns <= alert.ended_ns <= alert.resolved_ns == one.at_ns


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=40)
