"""Which kind judges which rule, and what a rule watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace.alerts.kinds.leads import absence, budget, too_few
from leadtrace.alerts.kinds.states import capacity, custom, expiry, health_state
from leadtrace.alerts.kinds.view import View, unknown
from leadtrace.alerts.kinds.work import enhancement_degraded, error_spike, slowdown
from leadtrace.alerts.model import PERIODIC
from leadtrace.alerts.rules import (
    Absence,
    Budget,
    Capacity,
    Custom,
    EnhancementDegraded,
    ErrorSpike,
    Expiry,
    HealthState,
    Slowdown,
    TooFew,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from leadtrace.alerts.machine import Moment
    from leadtrace.alerts.model import Observations, Standing, State, Verdict
    from leadtrace.alerts.rules import Rule, Rules

__all__ = ["judge", "targets"]


def targets(rule: Rule, rules: Rules, observations: Observations | None, state: State) -> tuple[str, ...]:
    """What that rule watches, a name each: its groups; else what was observed, and what stands already.

    What stands and is not observed any more stays watched: that it went missing says nothing about it.
    """
    if rule.groups:
        return rule.groups
    standing = [key.group for key in state.standings if key.rule == rule.name]
    seen = observations.series if observations is not None else {}
    match rule:
        case Capacity():
            found = [name for signal, name in seen if signal == "capacity" and _resource_is_of(rule, name)]
            standing = [one for one in standing if _resource_is_of(rule, one)]
        case HealthState():
            found = [
                name for signal, name in seen if signal == "health" and (not rule.services or name in rule.services)
            ]
            standing = [one for one in standing if not rule.services or one in rule.services]
        case Expiry():
            found = [one for one in rules.credentials if not rule.credentials or one in rule.credentials]
            dues = observations.dues if observations is not None and rule.periodic_errors else None
            found += [one.name for one in dues or ()]
            standing = [one for one in standing if rule.periodic_errors and one.startswith(PERIODIC)]
        case Custom():
            found = list(_rows_of(rule, seen))
        case _:
            return ()
    return tuple(dict.fromkeys((*found, *standing)))


def judge(
    rule: Rule,
    target: str,
    rules: Rules,
    observations: Observations | None,
    standing: Standing | None,
    moment: Moment,
) -> Verdict:
    """What the rule says of that target now."""
    if observations is None:
        return unknown("the source could not be read")
    view = View(
        rules,
        observations,
        target,
        rules.groups.get(target) if rule.groups else None,
        moment.now_ns,
        moment.seen_ns,
        standing.alert.began_ns if standing is not None else 0,
        standing.held_ns if standing is not None else 0,
    )
    match rule:
        case Absence():
            return absence(rule, view)
        case TooFew():
            return too_few(rule, view)
        case Budget():
            return budget(rule, view)
        case ErrorSpike():
            return error_spike(rule, view)
        case EnhancementDegraded():
            return enhancement_degraded(rule, view)
        case Slowdown():
            return slowdown(rule, view)
        case Capacity():
            return capacity(rule, view)
        case HealthState():
            return health_state(rule, view)
        case Expiry():
            return expiry(rule, view)
        case Custom():
            return custom(rule, view)
    raise TypeError(f"no kind judges {type(rule).__name__}")


def _resource_is_of(rule: Capacity, name: str) -> bool:
    service, _, resource = name.rpartition(":")
    return (not rule.services or service in rule.services) and (not rule.resources or resource in rule.resources)


def _rows_of(rule: Custom, seen: Iterable[tuple[str, str]]) -> Iterator[str]:
    for signal, name in seen:
        if signal == "custom" and name == rule.name:
            yield ""
        elif signal == "custom" and name.startswith(f"{rule.name}/"):
            yield name.removeprefix(f"{rule.name}/")
