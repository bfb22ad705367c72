"""What alerts are made of, as plain frozen data: what was observed, where each rule stands, each alert as an interval.

    Observations  what a source held, counted into buckets of time           gathering makes them
    Verdict       what one rule says of one group now                        a kind's pure function makes it
    State         where every rule stands with every group                   evaluation makes it; kept between evaluations
    Transition    one change: pending, fired, resolved, dropped              evaluation makes it; rows, notifications
    Alert         one problem with its beginning and its end

Nothing here reads a clock or a source. Times are Unix nanoseconds. What is kept between evaluations has `as_json` and
`from_json`, each the other's inverse.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import blake2b
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.alerts.expected import Expected
    from leadtrace.query.model import Json

__all__ = [
    "PERIODIC",
    "Alert",
    "Due",
    "EndedBy",
    "Evaluated",
    "Key",
    "Normal",
    "Observations",
    "Phase",
    "Point",
    "Series",
    "Severity",
    "Signal",
    "Standing",
    "State",
    "Sums",
    "Transition",
    "Verdict",
    "alert_id",
]

Severity: TypeAlias = Literal["low", "medium", "high", "critical"]

Phase: TypeAlias = Literal["pending", "firing", "clearing"]
"""`pending`: the condition holds, not yet for the rule's `for`. `firing`: it was told. `clearing`: it was told and the
condition is seen not to hold, not yet for `keep_firing`; to people that is still firing. Without a standing: inactive."""

EndedBy: TypeAlias = Literal["", "recovered", "paused", "withdrawn"]
"""Why an alert ended: the condition was seen not to hold; its group is paused by declaration; its rule or group left the
file. Only `recovered` says that something is well again."""

Signal: TypeAlias = Literal["leads", "outcomes", "durations", "capacity", "health", "custom"]
"""What a series counts. `leads`: leads of a group, each once a day. `outcomes`: ends of a group's work, `bad` of them
failures. `durations`: how long they took, in `bins`. `capacity`: a resource's use, in `value`, 1.0 at its declared
maximum. `health`: the state that something went over to, in `text`. `custom`: a number that a rule asked for, in
`value`."""


PERIODIC: Final = "error:"
"""What the names of periodic errors begin with."""


class Key(NamedTuple):
    """What stands and alarms by itself: one rule for one group."""

    rule: str
    group: str
    """A declared group's name; of kinds without groups what they watch: a resource, a service, a credential, ''."""


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in one bucket of time (or at one moment, of gauges)."""

    at_ns: int
    """When the first of the bucket happened."""
    last_ns: int
    """When the last of the bucket happened."""
    count: int = 1
    bad: int = 0
    value: float = 0.0
    text: str = ""
    bins: tuple[tuple[int, int], ...] = ()
    """(bin, how many): the bins of `leadtrace.alerts.durations`, so that any window's quantile can be told."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What a window of a series adds up to."""

    count: int
    bad: int


@dataclass(frozen=True, slots=True)
class Series:
    """One signal of one group, in order of time.

    A bucket in which nothing happened has no point: from `from_ns` to the observations' `until_ns` that is an observed
    zero, before `from_ns` nothing is known.
    """

    points: tuple[Point, ...] = ()
    from_ns: int = 0
    """From when on the points are all that there is."""
    earlier_ns: int = 0
    """When the last one before `from_ns` happened; 0 where none ever did."""
    _at: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _counts: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _bads: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_at", tuple(one.at_ns for one in self.points))
        object.__setattr__(self, "_counts", (0, *accumulate(one.count for one in self.points)))
        object.__setattr__(self, "_bads", (0, *accumulate(one.bad for one in self.points)))

    def within(self, since_ns: int, until_ns: int) -> Sums:
        """The sums of the buckets that begin in that window, its start included and its end not."""
        first, last = bisect_left(self._at, since_ns), bisect_left(self._at, until_ns)
        if last <= first:
            return Sums(0, 0)
        return Sums(self._counts[last] - self._counts[first], self._bads[last] - self._bads[first])

    def between(self, since_ns: int, until_ns: int) -> tuple[Point, ...]:
        """The points of that window."""
        return self.points[bisect_left(self._at, since_ns) : bisect_left(self._at, until_ns)]

    def last_before(self, until_ns: int) -> Point | None:
        """The last point before that moment, however long ago; None where there is none with its details."""
        found = bisect_left(self._at, until_ns)
        return self.points[found - 1] if found else None

    def last_seen(self, until_ns: int) -> int:
        """When the last one before that moment happened; 0: never."""
        point = self.last_before(until_ns)
        if point is None:
            return self.earlier_ns if self.earlier_ns < until_ns else 0
        return point.last_ns if point.last_ns < until_ns else point.at_ns

    def first_from(self, since_ns: int) -> Point | None:
        """The first point from that moment on."""
        found = bisect_left(self._at, since_ns)
        return self.points[found] if found < len(self.points) else None


@dataclass(frozen=True, slots=True)
class Normal:
    """What is normal for a group's outcomes or durations, from history."""

    count: int = 0
    bad: int = 0
    bins: tuple[tuple[int, int], ...] = ()
    spread: float = 0.0
    """How much more the share of failures varies from day to day than chance alone would make it: 0 is not more (the
    intra-class correlation of a beta-binomial)."""


@dataclass(frozen=True, slots=True)
class Due:
    """Something with a date: a declared credential that ends, a periodic error that comes again."""

    name: str
    """`error:` and the error's fingerprint: so it differs from every credential's."""
    at_ns: int
    why: str
    """A sentence: how it is known."""


@dataclass(frozen=True, slots=True)
class Observations:
    """All that evaluation looks at.

    Made anew for each evaluation from what the source holds then, so a record that comes late or twice is simply in it
    (once). A `(signal, group)` that is not in `series` could not be observed: nothing is concluded from it. A declared
    group that was observed and never seen is there, with no points.
    """

    until_ns: int
    """Up to when the source was read. Where reading fails, make none: `evaluate` is then called with None."""
    series: Mapping[tuple[Signal, str], Series] = field(default_factory=dict)
    expected: Mapping[str, Expected] = field(default_factory=dict)
    """How many leads each group has by hour of the week, learnt from its history."""
    normal: Mapping[tuple[Signal, str], Normal] = field(default_factory=dict)
    dues: tuple[Due, ...] | None = None
    """Of periodic errors (credentials are in the rules); None where they were not looked for."""
    notes: tuple[str, ...] = ()
    """Why something may be missing, in sentences."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of a group at one moment."""

    holds: bool | None
    """Whether the rule's condition holds. None: nobody can say (too few samples, nothing learnt, nothing observed), and
    then nothing changes: what fires goes on firing."""
    why: str = ""
    """A sentence for people: what was seen, or why nothing can be said."""
    observed: float | None = None
    expected: float | None = None
    unit: str = ""
    """Of both: `leads`, `share`, `ms`, `USD` …"""
    since_ns: int = 0
    """Where it holds: when the problem itself began as far as the data say, 0 where they do not."""
    over_ns: int = 0
    """Where it does not: when the problem ended as far as the data say, 0 where they do not."""
    money_at_risk: Decimal | None = None
    """Of the group, from `since_ns` to now; None where no value is declared."""
    currency: str = ""
    closed: bool = False
    """Whether the group is closed now; then `holds` is None."""
    text: str = ""
    """What was observed where it is no number (a health state)."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One problem, from its beginning to its end: what is told, listed, laid over timelines and exported."""

    id: str
    """16 hex digits, made of rule, group and `fired_ns`: the same for whoever evaluates the same."""
    rule: str
    group: str
    kind: str
    """The rule's kind: `absence`, `too_few` …"""
    severity: Severity
    began_ns: int
    """When the problem began: of an absence the last lead, else when the condition first held."""
    fired_ns: int
    """When it was told; 0 while pending."""
    ended_ns: int = 0
    """When the problem ended; 0 while it lasts. Never before `began_ns`."""
    resolved_ns: int = 0
    """When its end was told; 0 while it lasts."""
    ended_by: EndedBy = ""
    owners: tuple[str, ...] = ()
    runbook: str = ""
    observed: float | None = None
    """When the condition was last seen to hold."""
    expected: float | None = None
    unit: str = ""
    text: str = ""
    """What was observed where it is no number (a health state)."""
    why: str = ""
    """The sentence that goes with the figures."""
    money_at_risk: Decimal | None = None
    """The largest that it was while the alert lasted."""
    currency: str = ""
    closed: bool = False
    """Whether the group is closed now: the alert lasts, and nobody needs to be reminded of it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The rule's own, for routing."""

    @property
    def state(self) -> Literal["pending", "firing", "resolved"]:
        if self.resolved_ns:
            return "resolved"
        return "firing" if self.fired_ns else "pending"

    def duration_ns(self, now_ns: int) -> int:
        return max(0, (self.ended_ns or now_ns) - self.began_ns)

    def as_json(self) -> dict[str, Json]:
        """All of it; amounts as decimal strings, times as integers (null while there is none)."""
        from leadtrace.query.model import decimal_text

        return {
            "id": self.id,
            "rule": self.rule,
            "group": self.group,
            "kind": self.kind,
            "severity": self.severity,
            "state": self.state,
            "began_at": self.began_ns,
            "fired_at": self.fired_ns or None,
            "ended_at": self.ended_ns or None,
            "resolved_at": self.resolved_ns or None,
            "ended_by": self.ended_by,
            "owners": list(self.owners),
            "runbook": self.runbook,
            "observed": self.observed,
            "expected": self.expected,
            "unit": self.unit,
            "text": self.text,
            "why": self.why,
            "money_at_risk": None if self.money_at_risk is None else decimal_text(self.money_at_risk),
            "currency": self.currency,
            "closed": self.closed,
            "labels": dict(self.labels),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Alert:
        money = said["money_at_risk"]
        return cls(
            id=said["id"],
            rule=said["rule"],
            group=said["group"],
            kind=said["kind"],
            severity=said["severity"],
            began_ns=said["began_at"],
            fired_ns=said["fired_at"] or 0,
            ended_ns=said["ended_at"] or 0,
            resolved_ns=said["resolved_at"] or 0,
            ended_by=said["ended_by"],
            owners=tuple(said["owners"]),
            runbook=said["runbook"],
            observed=said["observed"],
            expected=said["expected"],
            unit=said["unit"],
            text=said["text"],
            why=said["why"],
            money_at_risk=None if money is None else Decimal(money),
            currency=said["currency"],
            closed=said["closed"],
            labels=MappingProxyType(dict(said["labels"])),
        )


def alert_id(key: Key, fired_ns: int) -> str:
    """The id of the alert of that rule and group that was told then."""
    return blake2b(f"{key.rule}\0{key.group}\0{fired_ns}".encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one rule stands with one group; there is none while it is inactive."""

    phase: Phase
    alert: Alert
    """As far as it has come; its `id` is '' while pending."""
    since_ns: int
    """When this phase began, by the clock of the evaluations; that clock stands still while nobody can say."""
    held_ns: int = 0
    """Up to when the data showed the condition to hold."""
    quiet_ns: int = 0
    """While clearing: when the data say that the problem ended."""

    def as_json(self) -> dict[str, Json]:
        return {
            "phase": self.phase,
            "since": self.since_ns,
            "held": self.held_ns,
            "quiet": self.quiet_ns,
            "alert": self.alert.as_json(),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Standing:
        return cls(said["phase"], Alert.from_json(said["alert"]), said["since"], said["held"], said["quiet"])


@dataclass(frozen=True, slots=True)
class State:
    """Where everything stands after an evaluation. Kept by whoever evaluates: read, evaluate and write in one transaction,
    and two watchers beside each other never tell a thing twice."""

    at_ns: int = 0
    """The latest evaluation's moment; an evaluation at an earlier one changes nothing."""
    standings: Mapping[Key, Standing] = field(default_factory=dict)

    @property
    def open(self) -> tuple[Alert, ...]:
        """The alerts that were told and last, the oldest first."""
        told = (one.alert for one in self.standings.values() if one.phase != "pending")
        return tuple(sorted(told, key=lambda one: (one.began_ns, one.id)))

    def replaced(self, at_ns: int, standings: Mapping[Key, Standing]) -> State:
        return replace(self, at_ns=at_ns, standings=MappingProxyType(dict(standings)))

    def as_json(self) -> dict[str, Json]:
        return {
            "schema": "leadtrace.alerts.state/1",
            "at": self.at_ns,
            "standings": [
                {"rule": key.rule, "group": key.group, **standing.as_json()} for key, standing in self.standings.items()
            ],
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> State:
        standings = {Key(one["rule"], one["group"]): Standing.from_json(one) for one in said["standings"]}
        return cls(said["at"], MappingProxyType(standings))


@dataclass(frozen=True, slots=True)
class Transition:
    """One change, in the order in which evaluation made it. `fired` and `resolved` are told to people, once each for an
    alert's id; `pending` and `dropped` (a pending one that did not last) are for lists and replays."""

    change: Literal["pending", "fired", "resolved", "dropped"]
    at_ns: int
    alert: Alert


class Evaluated(NamedTuple):
    state: State
    transitions: tuple[Transition, ...]
