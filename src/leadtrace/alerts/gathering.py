"""Observations from a source: what the rules need, in the windows that they look at, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leadtrace.alerts.asking import points_of, series_of
from leadtrace.alerts.learning import watched
from leadtrace.alerts.model import Observations, Series
from leadtrace.alerts.rules import (
    DAY,
    HOUR,
    MINUTE,
    Absence,
    Budget,
    Capacity,
    Custom,
    EnhancementDegraded,
    ErrorSpike,
    HealthState,
    Slowdown,
    TooFew,
)
from leadtrace.alerts.values import values_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.alerts.asking import Asking
    from leadtrace.alerts.learning import Learnt
    from leadtrace.alerts.model import Signal, State
    from leadtrace.alerts.rules import Group, Rule, Rules

__all__ = ["observe"]

_LONGEST_ALERT: Final = 7 * DAY
"""Leads are counted back to the beginning of an alert that stands, so far at most."""
_VALUES: Final = 1_000
"""A custom rule is asked so often at most over a replay."""
_LOOKED_FOR: Final = (DAY, 14 * DAY, 92 * DAY)
"""How far back the last lead of a silent group is looked for, step by step."""


def observe(asking: Asking, rules: Rules, learnt: Learnt, state: State, now_ns: int, first_ns: int = 0) -> Observations:
    """What evaluation at `now_ns` looks at, or at any moment from `first_ns` to then where that is given (a replay).

    A custom rule whose report or function fails is observed as missing, with a note that says why. Raises `SourceError`
    where the source cannot be read.
    """
    asking.incomplete.clear()
    until = now_ns - rules.delay_ns
    start = min(first_ns or now_ns, now_ns) - rules.delay_ns
    series: dict[tuple[Signal, str], Series] = {}
    notes: list[str] = []
    if counted := watched(rules, Absence, TooFew, Budget):
        series |= _leads(asking, rules, counted, state, start, until)
    for signal, kinds in (
        ("outcomes", (ErrorSpike, EnhancementDegraded)),
        ("durations", (Slowdown, EnhancementDegraded)),
    ):
        groups = watched(rules, *kinds)
        if not groups:
            continue
        since = start - _widest(rules, *kinds)
        for name, rows in asking.groups(signal, groups, since, until).items():  # type: ignore[arg-type]
            series[signal, name] = series_of(signal, rows, since)  # type: ignore[index,arg-type]
    if window := _widest(rules, Capacity):
        series |= _gauges(asking, "capacity", start - window, until)
    if any(isinstance(rule, HealthState) for rule in rules.rules.values()):
        series |= _gauges(asking, "health", 0, until)
    for rule in rules.rules.values():
        if isinstance(rule, Custom):
            found, problem = values_of(asking, rule, _moments(rule, start, until))
            series |= found
            if problem:
                notes.append(f"rule {rule.name}: {problem}")
    return Observations(until, series, learnt.expected, learnt.normal, learnt.dues, (*notes, *asking.incomplete))


def _leads(
    asking: Asking, rules: Rules, groups: tuple[Group, ...], state: State, start: int, until: int
) -> dict[tuple[Signal, str], Series]:
    since = {one.name: _lead_window(rules, one, state, start) for one in groups}
    earliest = min(since.values()) // MINUTE * MINUTE
    rows = asking.groups("leads", groups, earliest, until)
    earlier = {
        key.group: one.alert.began_ns
        for key, one in state.standings.items()
        if isinstance(rules.rules.get(key.rule), Absence)
    }
    # Only an absence asks how long ago the last lead was; one within the first minute does for all later looks.
    silent = [
        one
        for one in watched(rules, Absence)
        if one.name not in earlier
        and (start < until or one.calendar.is_open(until))
        and not any(row.first_ns < since[one.name] + MINUTE or start == until for row in rows[one.name])
    ]
    for far in _LOOKED_FOR:
        if not silent:
            break
        for name, last in asking.groups("last", silent, earliest - far, earliest).items():
            if last:
                earlier[name] = max(one.last_ns for one in last)
        silent = [one for one in silent if one.name not in earlier]
    return {("leads", name): series_of("leads", found, earliest, earlier.get(name, 0)) for name, found in rows.items()}


def _lead_window(rules: Rules, group: Group, state: State, until: int) -> int:
    """From when on the leads of that group are needed: its rules' windows, and the alerts that stand."""
    starts = [until - HOUR]
    for rule in rules.rules.values():
        if isinstance(rule, (Absence, TooFew, Budget)) and group.name in rule.groups:
            start = group.calendar.back(until, rule.window_ns)
            starts.append(start if start is not None else until - rule.window_ns)
    for key, standing in state.standings.items():
        if key.group == group.name:
            starts.append(max(standing.alert.began_ns, until - _LONGEST_ALERT))
    return max(0, min(starts))


def _moments(rule: Custom, start: int, until: int) -> list[int]:
    """When a custom rule is asked for its value: now; over a replay as often as its window needs."""
    step = max(rule.window_ns // 4, (until - start) // _VALUES, MINUTE)
    return [*range(start, until, step), until]


def _gauges(asking: Asking, of: Signal, since: int, until: int) -> dict[tuple[Signal, str], Series]:
    rows: dict[str, list[object]] = {}
    for row in asking.other(of, since, until):  # type: ignore[arg-type]
        rows.setdefault(f"{row.name}:{row.also}" if of == "capacity" else row.name, []).append(row)
    return {(of, name): Series(points_of(of, found), since) for name, found in rows.items()}  # type: ignore[arg-type]


def _widest(rules: Rules, *kinds: type[Rule]) -> int:
    windows: Iterable[int] = (rule.window_ns for rule in rules.rules.values() if isinstance(rule, kinds))
    return max(windows, default=0)
