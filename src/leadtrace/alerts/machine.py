"""How a verdict moves a standing: inactive → pending → firing → clearing → inactive. Pure; one key at a time.

                    holds                     holds for `for`                 seen not to hold
        (nothing) ─────────▶ pending ─────────────────────▶ firing ─────────────────────────▶ clearing
                                │ does not: dropped            ▲        holds again               │ for `keep_firing`
                                ▼                              └──────────────────────────────────┤
                            (nothing)                                                             ▼
                                                                                   (nothing): resolved, once

A verdict that says nothing (`holds` is None) moves nothing, and stops the clock of `for` and `keep_firing`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from leadtrace.alerts.model import Alert, EndedBy, Key, Standing, Transition, Verdict, alert_id

if TYPE_CHECKING:
    from leadtrace.alerts.rules import Rule

__all__ = ["Moment", "end", "step"]


class Moment(NamedTuple):
    """When a verdict was made."""

    now_ns: int
    seen_ns: int
    """Up to when data were looked at: now less the delay that records are given."""
    before_ns: int
    """The evaluation before; 0 at the first."""


def step(
    key: Key, standing: Standing | None, verdict: Verdict, rule: Rule, owners: tuple[str, ...], moment: Moment
) -> tuple[Standing | None, tuple[Transition, ...]]:
    """Where the key stands after that verdict, and what changed; `owners` are those of what is watched."""
    if verdict.holds is None:
        return _unsaid(standing, verdict, moment), ()
    if verdict.holds:
        return _holding(key, standing, verdict, rule, owners, moment)
    return _quiet(standing, verdict, rule, moment)


def end(standing: Standing, by: EndedBy, moment: Moment) -> tuple[Transition, ...]:
    """What is told of a standing that goes because its group is paused, or its rule or group left the file."""
    if standing.phase == "pending":
        return (Transition("dropped", moment.now_ns, standing.alert),)
    ended = standing.quiet_ns if standing.phase == "clearing" else moment.now_ns
    return (_resolved(standing.alert, ended, by, moment.now_ns),)


def _unsaid(standing: Standing | None, verdict: Verdict, moment: Moment) -> Standing | None:
    if standing is None:
        return None
    return replace(
        standing,
        since_ns=standing.since_ns + _elapsed(moment),
        alert=replace(standing.alert, closed=verdict.closed),
    )


def _holding(
    key: Key, standing: Standing | None, verdict: Verdict, rule: Rule, owners: tuple[str, ...], moment: Moment
) -> tuple[Standing, tuple[Transition, ...]]:
    if standing is None:
        began = min(verdict.since_ns or moment.seen_ns, moment.now_ns)
        fresh = Alert("", key.rule, key.group, rule.kind, rule.severity, began, 0)
        standing = Standing("pending", _told(fresh, verdict, rule, owners), moment.now_ns, moment.seen_ns)
        if rule.for_ns > 0:
            return standing, (Transition("pending", moment.now_ns, standing.alert),)
        return _fire(key, standing, moment)
    alert = _told(standing.alert, verdict, rule, owners)
    if standing.phase == "pending":
        standing = replace(standing, alert=alert, held_ns=moment.seen_ns)
        if moment.now_ns - standing.since_ns >= rule.for_ns:
            return _fire(key, standing, moment)
        return standing, ()
    since = standing.since_ns if standing.phase == "firing" else moment.now_ns
    return Standing("firing", alert, since, moment.seen_ns), ()


def _fire(key: Key, standing: Standing, moment: Moment) -> tuple[Standing, tuple[Transition, ...]]:
    alert = replace(standing.alert, id=alert_id(key, moment.now_ns), fired_ns=moment.now_ns)
    return (
        Standing("firing", alert, moment.now_ns, standing.held_ns),
        (Transition("fired", moment.now_ns, alert),),
    )


def _quiet(
    standing: Standing | None, verdict: Verdict, rule: Rule, moment: Moment
) -> tuple[Standing | None, tuple[Transition, ...]]:
    if standing is None:
        return None, ()
    if standing.phase == "pending":
        return None, (Transition("dropped", moment.now_ns, standing.alert),)
    if standing.phase == "firing":
        # What comes late may lie before what was already seen to hold: the problem lasted at least until then.
        over = max(verdict.over_ns or moment.seen_ns, standing.held_ns)
        alert = replace(standing.alert, closed=False)
        standing = Standing("clearing", alert, moment.now_ns, standing.held_ns, over)
    if moment.now_ns - standing.since_ns >= rule.keep_firing_ns:
        return None, (_resolved(standing.alert, standing.quiet_ns, "recovered", moment.now_ns),)
    return standing, ()


def _resolved(alert: Alert, ended_ns: int, by: EndedBy, now_ns: int) -> Transition:
    ended = min(max(ended_ns, alert.began_ns), now_ns)
    return Transition("resolved", now_ns, replace(alert, ended_ns=ended, resolved_ns=now_ns, ended_by=by, closed=False))


def _told(alert: Alert, verdict: Verdict, rule: Rule, owners: tuple[str, ...]) -> Alert:
    """The alert with what the verdict saw; the money at risk is the largest so far, owners and runbook are the file's."""
    money = alert.money_at_risk
    if verdict.money_at_risk is not None:
        money = verdict.money_at_risk if money is None else max(money, verdict.money_at_risk)
    return replace(
        alert,
        severity=rule.severity,
        owners=tuple(dict.fromkeys((*owners, *rule.owners))),
        runbook=rule.runbook,
        labels=rule.labels,
        observed=verdict.observed,
        expected=verdict.expected,
        unit=verdict.unit,
        text=verdict.text,
        why=verdict.why,
        money_at_risk=money,
        currency=verdict.currency or alert.currency,
        closed=False,
    )


def _elapsed(moment: Moment) -> int:
    return max(0, moment.now_ns - moment.before_ns) if moment.before_ns else 0
