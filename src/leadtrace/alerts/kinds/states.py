"""Kinds that look at a value or a date: capacity, health state, expiry, custom."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from leadtrace.alerts.kinds.view import View, number, unknown
from leadtrace.alerts.model import Verdict
from leadtrace.alerts.rules import DAY
from leadtrace.alerts.spoken import share_text, span_text

if TYPE_CHECKING:
    from leadtrace.alerts.rules import Capacity, Custom, Expiry, HealthState

__all__ = ["capacity", "custom", "expiry", "health_state"]


def capacity(rule: Capacity, view: View) -> Verdict:
    """Holds where the resource's use over the window is above `above`."""
    series = view.series("capacity")
    points = series.between(view.seen_ns - rule.window_ns, view.seen_ns) if series is not None else ()
    if len(points) < max(1, rule.min_sample):
        return unknown(f"{len(points)} samples in {span_text(rule.window_ns)}, {max(1, rule.min_sample)} are needed")
    values = [one.value for one in points]
    match rule.statistic:
        case "mean":
            used = math.fsum(values) / len(values)
        case "lowest":
            used = min(values)
        case "highest":
            used = max(values)
        case "last":
            used = values[-1]
    why = f"{share_text(used)} of its maximum in use ({rule.statistic} of {len(values)} samples)"
    first = next((one.at_ns for one in points if one.value > rule.above), 0)
    return Verdict(used > rule.above, why, used, rule.above, "share", first)


def health_state(rule: HealthState, view: View) -> Verdict:
    """Holds where the last state that was told is one of `states`; a state lasts until another is told."""
    series = view.series("health")
    point = series.last_before(view.seen_ns) if series is not None else None
    if point is None:
        return unknown("its health was never told")
    if rule.window_ns and point.last_ns < view.seen_ns - rule.window_ns:
        return unknown(f"its health was not told for {span_text(rule.window_ns)}")
    return Verdict(
        point.text in rule.states,
        f"its health is {point.text}",
        since_ns=point.at_ns,
        over_ns=point.at_ns,
        text=point.text,
    )


def expiry(rule: Expiry, view: View) -> Verdict:
    """Holds from `before` the end of a credential, or the next date of a periodic error, on."""
    credential = view.rules.credentials.get(view.target)
    if credential is not None:
        ends, why = credential.expires_ns, "ends"
    else:
        if view.observations.dues is None:
            return unknown("periodic errors were not looked for")
        due = next((one for one in view.observations.dues if one.name == view.target), None)
        if due is None:
            return Verdict(False, "nothing periodic is seen any more")
        ends, why = due.at_ns, f"is due again ({due.why})"
    left = ends - view.now_ns
    when = f"in {span_text(left)}" if left > 0 else f"since {span_text(-left)}"
    found = Verdict(left <= rule.before_ns, f"{why} {when}", left / DAY, rule.before_ns / DAY, "days")
    return replace(found, since_ns=ends - rule.before_ns) if found.holds else found


def custom(rule: Custom, view: View) -> Verdict:
    """Holds where the last value of the window is outside `least` … `most`."""
    series = view.series("custom", rule.name if not view.target else f"{rule.name}/{view.target}")
    point = series.last_before(view.seen_ns + 1) if series is not None else None
    if point is None or point.at_ns < view.seen_ns - rule.window_ns or not math.isfinite(point.value):
        return unknown(f"there is no value of the last {span_text(rule.window_ns)}")
    if point.count < rule.min_sample:
        return unknown(f"it rests on {point.count}, {rule.min_sample} are needed")
    unit = f" {rule.unit}" if rule.unit else ""
    value = f"{number(point.value)}{unit}"
    if rule.least is not None and point.value < rule.least:
        return Verdict(True, f"{value}, expected at least {number(rule.least)}", point.value, rule.least, rule.unit)
    if rule.most is not None and point.value > rule.most:
        return Verdict(True, f"{value}, expected at most {number(rule.most)}", point.value, rule.most, rule.unit)
    return Verdict(False, value, point.value, None, rule.unit)
