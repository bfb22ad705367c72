"""The rules of a file as typed, frozen data: groups, rules by kind, credentials, pauses. `rules_file` reads them.

A rule of any kind has what `Rule` says; each kind adds its own keys. `KINDS` is the list of kinds. A duration in the file
is text (`90s`, `15m`, `1h`, `30d`, `2w`), here nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.alerts.calendar import Calendar
    from leadtrace.alerts.model import Severity

__all__ = [
    "DAY",
    "GROUP_KINDS",
    "HOUR",
    "KINDS",
    "MINUTE",
    "Absence",
    "Budget",
    "Capacity",
    "Credential",
    "Custom",
    "EnhancementDegraded",
    "ErrorSpike",
    "Expiry",
    "Group",
    "GroupKind",
    "HealthState",
    "Place",
    "Rule",
    "Rules",
    "Slowdown",
    "TooFew",
]

MINUTE: Final = 60 * 1_000_000_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

GroupKind: TypeAlias = Literal["campaign_group", "buyer", "enhancement", "flow"]
GROUP_KINDS: Final[tuple[GroupKind, ...]] = ("campaign_group", "buyer", "enhancement", "flow")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in the file, for messages: `leads.toml:12: rules.silence.window`."""

    file: str = ""
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (f"{self.file}:{self.line}" if self.line else self.file, self.key) if part)


@dataclass(frozen=True, slots=True)
class Group:
    """Leads, or work, that somebody owns and that should go on coming."""

    name: str
    kind: GroupKind
    calendar: Calendar = field(repr=False)
    """When it is open: hours, time zone, holidays, pauses. Leads are expected then and only then."""
    values: tuple[str, ...] = ()
    """What the records call it; by default its name."""
    owners: tuple[str, ...] = ()
    """Whom to tell: as the channels name people (`@anna`, an address, a Slack id)."""
    events: tuple[str, ...] = ()
    """The events that count as its leads; of each lead the first of a UTC day. Defaults by kind: `gathering` has them."""
    attribute: str = ""
    """The attribute that names the group on those events; '' for the kind's own."""
    value_per_lead: Decimal | None = None
    spend_per_hour: Decimal | None = None
    """What goes on being spent while no leads come."""
    currency: str = "USD"
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What every rule has."""

    name: str
    kind: str = ""
    groups: tuple[str, ...] = ()
    """Names of declared groups, in the file's order; of kinds without groups empty."""
    window_ns: int = HOUR
    """How far back each evaluation looks, in opening time where the kind counts leads."""
    for_ns: int = 0
    """How long the condition must hold, evaluation after evaluation, before it is told."""
    keep_firing_ns: int = 5 * MINUTE
    """How long it must be seen not to hold before the end is told; coming back meanwhile is the same alert."""
    min_sample: int = 0
    """Fewer than so many in the window, and nothing is concluded from them."""
    severity: Severity = "medium"
    runbook: str = ""
    owners: tuple[str, ...] = ()
    """Beside the group's."""
    labels: Mapping[str, str] = field(default_factory=dict)
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence(Rule):
    """No leads of a group for `window` of its opening time. A group that was never seen alarms as well."""

    severity: Severity = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class TooFew(Rule):
    """So few leads in the window that a healthy group would have so few with less than `probability`.

    Against the group's own count by hour of the week, learnt from `history`. `least` weeks must have been learnt.
    """

    keep_firing_ns: int = 15 * MINUTE
    probability: float = 0.0001
    history_ns: int = 8 * 7 * DAY
    min_weeks: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSpike(Rule):
    """More failures among a group's ends than chance explains: `factor` times its normal share at least, and less probable
    than `probability`; or more than the share `above`, whatever is normal."""

    keep_firing_ns: int = 15 * MINUTE
    min_sample: int = 20

    probability: float = 0.0001
    factor: float = 2.0
    above: float | None = None
    history_ns: int = 28 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class EnhancementDegraded(Rule):
    """An enhancement fails more (as `error_spike`), or its `quantile` of durations is `slower` times the normal one."""

    keep_firing_ns: int = 15 * MINUTE
    min_sample: int = 20

    probability: float = 0.0001
    factor: float = 2.0
    above: float | None = None
    quantile: float = 0.95
    slower: float = 2.0
    history_ns: int = 28 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowdown(Rule):
    """The `quantile` of a group's durations is `factor` times its normal one, or more than `above_ms`."""

    keep_firing_ns: int = 15 * MINUTE
    min_sample: int = 20

    quantile: float = 0.95
    factor: float = 2.0
    above_ms: float | None = None
    probability: float = 0.0001
    history_ns: int = 28 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity(Rule):
    """A resource's use, as a share of its declared maximum, is above `above` on the window's mean (or each sample)."""

    window_ns: int = 10 * MINUTE

    above: float = 0.9
    resources: tuple[str, ...] = ()
    """Which: `queue`, `memory`, `cpu`, `disk` …; empty: all that are sampled."""
    services: tuple[str, ...] = ()
    """Of which services; empty: all."""
    statistic: Literal["mean", "lowest", "highest", "last"] = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState(Rule):
    """The health of a service is in one of `states`."""

    window_ns: int = 0
    """How long a state that was told stands; 0: until another is told."""
    severity: Severity = "critical"

    states: tuple[str, ...] = ("crisis",)
    services: tuple[str, ...] = ()
    """Empty: every one that ever told its health."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Rule):
    """More than `above` is at risk: expected minus observed leads, each at the group's `value_per_lead`, or `spend_per_hour`
    for the opening time without a lead. What is missing must also be less probable than `probability`."""

    keep_firing_ns: int = 15 * MINUTE
    severity: Severity = "high"

    above: Decimal = Decimal(0)
    probability: float = 0.001
    history_ns: int = 8 * 7 * DAY
    min_weeks: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry(Rule):
    """A declared credential ends, or a periodic error is due again, within `before`."""

    severity: Severity = "low"

    before_ns: int = 14 * DAY
    credentials: tuple[str, ...] = ()
    """Names of declared credentials; empty: all."""
    periodic_errors: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom(Rule):
    """A number outside `least` … `most`: a column of a report's rows, or what a function says."""

    report: str = ""
    column: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    """Which rows: columns and the text of their values. More than one row: each is watched by itself."""
    function: str = ""
    """`module:function`."""
    least: float | None = None
    most: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """A key, token or certificate with an end, as declared."""

    name: str
    expires_ns: int
    owners: tuple[str, ...] = ()
    place: Place = field(default=Place(), compare=False)


KINDS: Final[Mapping[str, type[Rule]]] = MappingProxyType(
    {
        "absence": Absence,
        "too_few": TooFew,
        "error_spike": ErrorSpike,
        "enhancement_degraded": EnhancementDegraded,
        "slowdown": Slowdown,
        "capacity": Capacity,
        "health_state": HealthState,
        "budget": Budget,
        "expiry": Expiry,
        "custom": Custom,
    }
)


@dataclass(frozen=True, slots=True)
class Rules:
    """A whole rules file."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    credentials: Mapping[str, Credential] = field(default_factory=dict)
    evaluate_every_ns: int = MINUTE
    """How often the watch evaluates."""
    delay_ns: int = 0
    """How long records are given to arrive: every window ends so long before now."""
    file: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Sections that others read (`channels`, `checklist` …), as they stand in the file."""
