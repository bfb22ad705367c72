"""What is normal, learnt from history: kept by day, so that each new day costs one day's counting.

    history = refresh(asking, rules, history, now)     # asks for the days that are not there yet
    learnt = learn(history, rules, now)                # pure

Days are those of UTC. History ends with yesterday: today's silence teaches nothing about itself. Of what is there already the
last day is counted again, because records may come late.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from leadtrace.alerts.asking import points_of
from leadtrace.alerts.durations import Bins, added
from leadtrace.alerts.expected import QUARTER, Expected
from leadtrace.alerts.expected import learn as learn_expected
from leadtrace.alerts.model import PERIODIC, Due, Normal
from leadtrace.alerts.rules import (
    DAY,
    HOUR,
    Absence,
    Budget,
    EnhancementDegraded,
    ErrorSpike,
    Expiry,
    Slowdown,
    TooFew,
)
from leadtrace.alerts.spoken import span_text
from leadtrace.analysis.rhythm import periodic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leadtrace.alerts.asking import Asking
    from leadtrace.alerts.calendar import Span
    from leadtrace.alerts.model import Signal
    from leadtrace.alerts.rules import Group, Rule, Rules

__all__ = ["History", "Learnt", "due_again", "learn", "refresh", "watched"]

_ABSENCE_HISTORY: Final = 8 * 7 * DAY
"""An absence needs no history to fire; what it says of money and of what was expected does."""
_SHORTEST: Final = 12 * HOUR
"""An error that comes again after a shorter time is not worth a date."""


@dataclass(frozen=True, slots=True)
class History:
    """Counts of whole days, as they were when they were asked for."""

    since_ns: int = 0
    until_ns: int = 0
    """Midnight (UTC) up to which it goes; 0 where there is none yet."""
    leads: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Of each group: leads by quarter of an hour."""
    outcomes: Mapping[str, Mapping[int, tuple[int, int]]] = field(default_factory=dict)
    """Of each group: ends and failures by day."""
    durations: Mapping[str, Mapping[int, Bins]] = field(default_factory=dict)
    """Of each group: bins by day."""
    errors: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Of each fingerprint: how often, by quarter of an hour."""
    work: Mapping[int, int] = field(default_factory=dict)
    """What began, by quarter of an hour: where nothing began, no error could come."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is normal, as evaluation looks at it."""

    expected: Mapping[str, Expected] = field(default_factory=dict)
    normal: Mapping[tuple[Signal, str], Normal] = field(default_factory=dict)
    dues: tuple[Due, ...] | None = None


def watched(rules: Rules, *kinds: type[Rule]) -> tuple[Group, ...]:
    """The groups that rules of these kinds watch, in the file's order."""
    names = {name for rule in rules.rules.values() if isinstance(rule, kinds) for name in rule.groups}
    return tuple(one for one in rules.groups.values() if one.name in names)


def refresh(asking: Asking, rules: Rules, history: History, now_ns: int, first_ns: int = 0) -> History:
    """The history with every day up to yesterday in it, and without those that no rule looks at any more.

    Give it `History()` at first, and after the rules changed. It reaches back as far as the rules look from `now_ns`, or
    from `first_ns` where that is given (a replay). Raises as `Asking` does.
    """
    until = now_ns // DAY * DAY
    if history.until_ns >= until:
        return history
    since = max(0, (min(first_ns or until, until) - _longest(rules)) // DAY * DAY)
    ask_from = max(since, history.until_ns - DAY) if history.until_ns else since
    counted = watched(rules, Absence, TooFew, Budget)
    ended = watched(rules, ErrorSpike, EnhancementDegraded)
    took = watched(rules, Slowdown, EnhancementDegraded)
    fresh_leads = asking.groups("leads", counted, ask_from, until, QUARTER) if counted else {}
    fresh_ends = asking.groups("outcomes", ended, ask_from, until, DAY) if ended else {}
    fresh_durations = asking.groups("durations", took, ask_from, until, DAY) if took else {}
    errors: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    work: dict[int, int] = {}
    if any(isinstance(rule, Expiry) and rule.periodic_errors for rule in rules.rules.values()):
        for row in asking.other("errors", ask_from, until, QUARTER):
            errors[row.name][row.piece_ns] += row.count
        work = {row.piece_ns: row.count for row in asking.other("work", ask_from, until, QUARTER)}
    return History(
        since,
        until,
        {name: _joined(history.leads.get(name), _leads(rows), since, ask_from) for name, rows in fresh_leads.items()},
        {name: _joined(history.outcomes.get(name), _ends(rows), since, ask_from) for name, rows in fresh_ends.items()},
        {
            name: _joined(history.durations.get(name), _durations(rows), since, ask_from)
            for name, rows in fresh_durations.items()
        },
        {
            name: _joined(history.errors.get(name), errors.get(name, {}), since, ask_from)
            for name in {*history.errors, *errors}
        },
        _joined(history.work, work, since, ask_from),
    )


def learn(history: History, rules: Rules, now_ns: int, without: Mapping[str, Sequence[Span]] | None = None) -> Learnt:
    """What is normal as of that moment. `without` are each group's known incidents, which are not."""
    until = min(history.until_ns, now_ns // DAY * DAY)
    expected: dict[str, Expected] = {}
    for group in watched(rules, Absence, TooFew, Budget):
        quarters = history.leads.get(group.name, {})
        since = max(history.since_ns, until - _span(rules, group, Absence, TooFew, Budget))
        first = min((one for one in quarters if one >= since), default=0)
        if first and first < until:
            # What was before its first lead is no silence of it: the group was not there yet.
            begun = max(since, first // DAY * DAY)
            incidents = (without or {}).get(group.name, ())
            expected[group.name] = learn_expected(quarters, group.calendar, begun, until, incidents)
    normal: dict[tuple[Signal, str], Normal] = {}
    for group in watched(rules, ErrorSpike, EnhancementDegraded):
        since = until - _span(rules, group, ErrorSpike, EnhancementDegraded)
        days = [ends for day, ends in history.outcomes.get(group.name, {}).items() if since <= day < until]
        normal["outcomes", group.name] = Normal(
            sum(count for count, _ in days), sum(bad for _, bad in days), (), spread_of(days)
        )
    for group in watched(rules, Slowdown, EnhancementDegraded):
        since = until - _span(rules, group, Slowdown, EnhancementDegraded)
        bins = [one for day, one in history.durations.get(group.name, {}).items() if since <= day < until]
        if bins:
            normal["durations", group.name] = Normal(bins=added(bins))
    work = {at: count for at, count in history.work.items() if at < until}
    dues = [
        due_again(name, {at: count for at, count in quarters.items() if at < until}, work, until)
        for name, quarters in history.errors.items()
    ]
    return Learnt(expected, normal, tuple(one for one in dues if one is not None))


def due_again(name: str, quarters: Mapping[int, int], work: Mapping[int, int], until_ns: int) -> Due | None:
    """When an error that comes again and again is due next, by its rhythm up to that midnight; None where it has none."""
    rhythm = periodic(quarters, work, until_ns, until_ns)
    if rhythm is None or rhythm.period_ns < _SHORTEST:
        return None
    why = f"seen {rhythm.cycles + 1} times, every {span_text(rhythm.period_ns)}"
    return Due(f"{PERIODIC}{name}", rhythm.next_ns, why)


def spread_of(days: Sequence[tuple[int, int]]) -> float:
    """How much more the share of failures varies from day to day than chance makes it (intra-class correlation)."""
    count, bad = sum(one for one, _ in days), sum(one for _, one in days)
    if not 0 < bad < count or len(days) < 2:
        return 0.0
    share = bad / count
    chance = share * (1 - share)
    beyond = sum((failed - ends * share) ** 2 - ends * chance for ends, failed in days)
    pairs = sum(ends * (ends - 1) for ends, _ in days) * chance
    return min(1.0, max(0.0, beyond / pairs)) if pairs else 0.0


def _joined(
    before: Mapping[int, Any] | None, fresh: Mapping[int, Any], since_ns: int, fresh_from_ns: int
) -> dict[int, Any]:
    kept = {at: one for at, one in (before or {}).items() if since_ns <= at < fresh_from_ns}
    return kept | dict(fresh)


def _leads(rows: Iterable[Any]) -> dict[int, int]:
    found: dict[int, int] = defaultdict(int)
    for row in rows:
        found[row.piece_ns] += row.count
    return found


def _ends(rows: Iterable[Any]) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for row in rows:
        count, bad = found.get(row.piece_ns, (0, 0))
        found[row.piece_ns] = (count + row.count, bad + row.bad)
    return found


def _durations(rows: Iterable[Any]) -> dict[int, Bins]:
    return {one.at_ns // DAY * DAY: one.bins for one in points_of("durations", rows)}


def _longest(rules: Rules) -> int:
    spans = [getattr(rule, "history_ns", _ABSENCE_HISTORY) for rule in rules.rules.values()]
    return max((*spans, DAY))


def _span(rules: Rules, group: Group, *kinds: type[Rule]) -> int:
    """The longest history that a rule of these kinds wants of that group."""
    return max(
        getattr(rule, "history_ns", _ABSENCE_HISTORY)
        for rule in rules.rules.values()
        if isinstance(rule, kinds) and group.name in rule.groups
    )
