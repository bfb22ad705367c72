"""Evaluation: data and a moment in, where everything stands and what changed out. No clock, no source."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leadtrace.alerts.judging import judge, targets
from leadtrace.alerts.machine import Moment, end, step
from leadtrace.alerts.model import Evaluated, Key

if TYPE_CHECKING:
    from leadtrace.alerts.model import Observations, Standing, State, Transition, Verdict
    from leadtrace.alerts.rules import Rule, Rules

__all__ = ["Said", "evaluate", "verdicts"]


class Said(NamedTuple):
    """What one rule says of one target."""

    rule: Rule
    target: str
    verdict: Verdict


def evaluate(rules: Rules, observations: Observations | None, state: State, now_ns: int) -> Evaluated:
    """Judge every rule for each of its groups at `now_ns`, and move the state.

    `observations` is None where the source could not be read: then nothing is concluded, and nothing ends for want of
    data. The same arguments give the same answer; an evaluation at or before `state.at_ns` changes nothing. Transitions
    come in the file's order of rules and groups, the ends of what left the file or is paused first. Never raises for what
    was recorded.
    """
    if now_ns <= state.at_ns:
        return Evaluated(state, ())
    seen = now_ns - rules.delay_ns
    if observations is not None:
        seen = min(seen, observations.until_ns)
    moment = Moment(now_ns, seen, state.at_ns)
    watched = [(rule, target) for rule in rules.rules.values() for target in targets(rule, rules, observations, state)]
    standings: dict[Key, Standing] = {}
    changes: list[Transition] = []
    keys = {Key(rule.name, target) for rule, target in watched}
    for key, standing in state.standings.items():
        if key not in keys:
            changes.extend(end(standing, "withdrawn", moment))
    for rule, target in watched:
        key = Key(rule.name, target)
        group = rules.groups.get(target) if rule.groups else None
        before = state.standings.get(key)
        if group is not None and group.calendar.paused(seen) is not None:
            if before is not None:
                changes.extend(end(before, "paused", moment))
            continue
        verdict = judge(rule, target, rules, observations, before, moment)
        after, told = step(key, before, verdict, rule, _owners(rule, target, rules), moment)
        changes.extend(told)
        if after is not None:
            standings[key] = after
    return Evaluated(state.replaced(now_ns, standings), tuple(changes))


def _owners(rule: Rule, target: str, rules: Rules) -> tuple[str, ...]:
    """Whose what is watched is: the group's, or the credential's."""
    owned = rules.groups.get(target) if rule.groups else rules.credentials.get(target)
    return owned.owners if owned is not None else ()


def verdicts(rules: Rules, observations: Observations | None, state: State, now_ns: int) -> tuple[Said, ...]:
    """What every rule says of everything that it watches at that moment, with its reason; nothing moves."""
    seen = now_ns - rules.delay_ns
    if observations is not None:
        seen = min(seen, observations.until_ns)
    moment = Moment(now_ns, seen, state.at_ns)
    return tuple(
        Said(
            rule, target, judge(rule, target, rules, observations, state.standings.get(Key(rule.name, target)), moment)
        )
        for rule in rules.rules.values()
        for target in targets(rule, rules, observations, state)
    )
