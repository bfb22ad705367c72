"""A rules file over recorded history: when each rule would have fired and resolved, how late, and what the silence cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from leadtrace.alerts.evaluate import Said, evaluate, verdicts
from leadtrace.alerts.gathering import observe
from leadtrace.alerts.learning import History, Learnt, learn, refresh
from leadtrace.alerts.model import State, Transition
from leadtrace.alerts.observing import incidents
from leadtrace.alerts.rules import DAY, MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from leadtrace.alerts.asking import Asking
    from leadtrace.alerts.model import Alert, Observations
    from leadtrace.alerts.rules import Rules
    from leadtrace.query.model import Json

__all__ = ["Incident", "Replay", "judged", "play", "replay"]

_STEPS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Incident:
    """One alert that would have been: as it was told, and as it ended (or stood at the end of the replay)."""

    alert: Alert
    money_when_told: Decimal | None
    """What the silence had cost when the alert was told; `alert.money_at_risk` is what it cost altogether."""

    @property
    def delay_ns(self) -> int:
        """From the problem's beginning until it was told."""
        return max(0, self.alert.fired_ns - self.alert.began_ns)

    def as_json(self) -> dict[str, Json]:
        from leadtrace.query.model import decimal_text

        money = None if self.money_when_told is None else decimal_text(self.money_when_told)
        return {**self.alert.as_json(), "detection_delay": self.delay_ns, "money_when_told": money}


@dataclass(frozen=True, slots=True)
class Replay:
    """What a rules file would have told over a window."""

    since_ns: int
    until_ns: int
    every_ns: int
    evaluations: int
    incidents: tuple[Incident, ...]
    """In the order in which they were told."""
    notes: tuple[str, ...] = ()


def replay(asking: Asking, rules: Rules, since_ns: int, until_ns: int, every_ns: int = 0) -> Replay:
    """Evaluate at every step of the window, as the watch would have with what is recorded now.

    `every_ns` is by default the rules' own, but no more than 20,000 steps. What is normal is learnt anew for each day from the
    days before it, without the incidents that the replay itself found. Records are taken at their own time: that some
    came late is not replayed. Raises as `Asking` does.
    """
    every = every_ns or max(rules.evaluate_every_ns, -(-(until_ns - since_ns) // _STEPS // MINUTE) * MINUTE)
    history = refresh(asking, rules, History(), until_ns, since_ns)
    observations = observe(asking, rules, Learnt(), State(), until_ns, since_ns)
    return play(rules, history, observations, since_ns, until_ns, every)


def judged(asking: Asking, rules: Rules, at_ns: int) -> tuple[tuple[Said, ...], tuple[str, ...]]:
    """What every rule says at one moment, over what is recorded now; and notes on what may be missing."""
    learnt = learn(refresh(asking, rules, History(), at_ns), rules, at_ns)
    observations = observe(asking, rules, learnt, State(), at_ns)
    return verdicts(rules, observations, State(), at_ns), observations.notes


def play(
    rules: Rules, history: History, observations: Observations, since_ns: int, until_ns: int, every_ns: int
) -> Replay:
    """The pure part: the same over what was gathered."""
    state, told, steps = State(), list[Transition](), 0
    over: list[Alert] = []
    day = -1
    for now in _moments(since_ns, until_ns, every_ns):
        if now // DAY != day:
            day = now // DAY
            learnt = learn(history, rules, now, incidents(over, now))
            observations = replace(observations, expected=learnt.expected, normal=learnt.normal, dues=learnt.dues)
        state, changes = evaluate(rules, observations, state, now)
        steps += 1
        for one in changes:
            told.append(one)
            if one.change == "resolved" and one.alert.ended_by == "recovered":
                over.append(one.alert)
    return Replay(since_ns, until_ns, every_ns, steps, tuple(_incidents(told, state)), observations.notes)


def _moments(since_ns: int, until_ns: int, every_ns: int) -> Iterator[int]:
    now = since_ns
    while now < until_ns:
        yield now
        now += every_ns
    yield until_ns


def _incidents(told: list[Transition], state: State) -> Iterator[Incident]:
    last = {one.alert.id: one.alert for one in told if one.change == "resolved"}
    last |= {one.id: one for one in state.open}
    for one in told:
        if one.change == "fired":
            yield Incident(last[one.alert.id], one.alert.money_at_risk)
