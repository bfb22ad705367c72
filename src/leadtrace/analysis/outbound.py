"""Cold outbound: what each sender sent, which limits held it back and until when, its health, pools, and pins that moved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from leadtrace.analysis.model import Rate, Report, Row, Sample, Window, limited
from leadtrace.analysis.options import Options
from leadtrace.analysis.registry import Analysis
from leadtrace.otlp.plain import loads_attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.store.relations.interface import Relations
    from leadtrace.store.relations.interface import Row as SqlRow

__all__ = [
    "OUTBOUND",
    "AdapterRow",
    "HealthRow",
    "OutboundOptions",
    "PolicyRow",
    "PoolRow",
    "ReassignmentRow",
    "SequenceRow",
    "TemplateRow",
    "outbound",
]

# A send does not say by which adapter: that is the one that its enrollment was pinned to last, however long ago.
_SENDS: Final = """
WITH moves AS (
  SELECT tenant, outbound_enrollment, time_ns, arrival, name, outbound_adapter, outbound_provider, outbound_channel,
    outbound_sequence, outbound_step, outbound_execution, coalesce(outbound_count, 1) AS number,
    CASE WHEN name = 'dispatch.adapter_pinned' THEN outbound_adapter
      WHEN name = 'enrollment.sender_reassigned' THEN outbound_new_adapter ELSE '' END AS pin,
    CASE WHEN name = 'dispatch.sent' THEN 0 ELSE 1 END AS is_pin
  FROM all_events
  WHERE name IN ('dispatch.sent', 'dispatch.adapter_pinned', 'enrollment.sender_reassigned')
), epochs AS (
  SELECT moves.*,
    sum(is_pin) OVER (PARTITION BY tenant, outbound_enrollment ORDER BY time_ns, is_pin DESC, arrival) AS epoch
  FROM moves
), pinned AS (
  SELECT epochs.*, max(pin) OVER (PARTITION BY tenant, outbound_enrollment, epoch) AS last_pin
  FROM epochs
), sends AS (
  SELECT tenant, time_ns, outbound_execution AS execution, number, outbound_provider AS provider,
    outbound_channel AS channel, outbound_sequence AS sequence, outbound_step AS step,
    CASE WHEN outbound_adapter <> '' THEN outbound_adapter
      WHEN outbound_enrollment <> '' THEN last_pin ELSE '' END AS adapter
  FROM pinned
  WHERE is_pin = 0
)"""
_SENT: Final = (
    _SENDS
    + """
SELECT adapter, provider, channel, sequence, step, sum(number)
FROM sends
WHERE time_ns >= $since AND ($until = 0 OR time_ns < $until)
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5"""
)
_CAME_IN: Final = (
    _SENDS  # noqa: S608 - texts of our own
    + """
SELECT coalesce(s.adapter, ''), coalesce(s.sequence, ''), coalesce(s.step, ''), i.outbound_intent,
  sum(coalesce(i.outbound_count, 1))
FROM lead_events i
LEFT JOIN (
  SELECT tenant, execution, max(adapter) AS adapter, max(sequence) AS sequence, max(step) AS step
  FROM sends
  WHERE execution <> ''
  GROUP BY 1, 2
) s ON s.tenant = i.tenant AND s.execution = i.outbound_execution
WHERE i.name = 'ingest.inbound_message'
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4"""
)
_POLICIES: Final = """
SELECT outbound_adapter, name, sum(coalesce(outbound_count, 1)),
  count(DISTINCT CASE WHEN outbound_execution <> '' THEN tenant || '/' || outbound_execution END),
  max(outbound_defer_until), max(outbound_rate), max(outbound_cap)
FROM lead_events
WHERE name IN ('policy.adapter_resting', 'policy.ramp_cap', 'policy.sub_cap', 'policy.min_gap')
GROUP BY 1, 2
ORDER BY 1, 2"""
_PINS: Final = """
SELECT outbound_adapter, sum(coalesce(outbound_count, 1))
FROM lead_events
WHERE name = 'dispatch.adapter_pinned'
GROUP BY 1
ORDER BY 1"""
_HEALTH: Final = """
SELECT time_ns, outbound_adapter, name, outbound_from,
  CASE WHEN name = 'health.external_signal' THEN outbound_health ELSE outbound_to END,
  outbound_reason, outbound_signal, outbound_score
FROM lead_events
WHERE name IN ('health.state_changed', 'health.external_signal')
ORDER BY time_ns, arrival"""
_LAST_STATE: Final = """
SELECT outbound_adapter, outbound_to, time_ns
FROM all_events
WHERE name = 'health.state_changed' AND ($until = 0 OR time_ns < $until)
ORDER BY time_ns, arrival"""
_EXHAUSTED: Final = """
SELECT outbound_pool, outbound_sequence_version, time_ns, coalesce(outbound_count, 1), attributes
FROM lead_events
WHERE name = 'dispatch.pool_exhausted'
ORDER BY time_ns, arrival"""
_MOVED: Final = """
SELECT name, CASE WHEN name = 'enrollment.sender_reassigned' THEN outbound_old_adapter ELSE outbound_adapter END,
  outbound_new_adapter, outbound_reason, sum(coalesce(outbound_count, 1)), min(time_ns), max(time_ns)
FROM lead_events
WHERE name IN ('enrollment.sender_reassigned', 'enrollment.paused_pin_unavailable')
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4"""
_TEMPLATES: Final = """
SELECT name, outbound_reason, sum(coalesce(outbound_count, 1)),
  count(DISTINCT CASE WHEN outbound_execution <> '' THEN tenant || '/' || outbound_execution END)
FROM lead_events
WHERE name IN ('template.spintax_error', 'template.spintax_warning')
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2"""
_MOVED_BY_ABSENCE: Final = """
SELECT sum(coalesce(outbound_count, 1)) FROM lead_events WHERE name = 'ingest.ooo_rescheduled'"""
_BOUNCES: Final = ("bounce", "bounced", "hard_bounce")
_MOST_NAMED: Final = 50


@dataclass(slots=True, frozen=True, kw_only=True)
class OutboundOptions(Options):
    pass


@dataclass(slots=True, frozen=True)
class AdapterRow(Row):
    """One sender: what it sent, what held it back, how well it is."""

    section: ClassVar[str] = "adapters"
    adapter: str
    """'' for what cannot be attributed to one."""
    provider: str
    sent: int
    share: Rate
    """Of all that was sent."""
    pinned: int
    """Enrollments pinned to it in the window."""
    deferred: int
    """How often a limit of its held something back."""
    replies: int
    """Messages that came in for what it sent, bounces apart."""
    bounces: Rate
    """Of what it sent in the window."""
    health: str
    """As last told, before the window's end; '' where it never was."""
    health_since_ns: int | None


@dataclass(slots=True, frozen=True)
class PolicyRow(Row):
    """How often one limit held back one sender."""

    section: ClassVar[str] = "policies"
    adapter: str
    policy: str
    deferrals: int
    executions: int
    """Different step executions among them: one may be put off again and again."""
    until_ns: int | None
    """Until when the last of them is put off; None where the policy does not say."""
    fullest: float | None
    """The largest share of the cap that was met; None where it is no cap."""
    cap: int | None
    """The largest cap that was met."""


@dataclass(slots=True, frozen=True)
class HealthRow(Row):
    """A sender's health went over to another state, or was told from outside."""

    section: ClassVar[str] = "health"
    at_ns: int
    adapter: str
    what: str
    """`changed` or `signal`."""
    from_state: str
    state: str
    reason: str
    source: str
    score: float | None


@dataclass(slots=True, frozen=True)
class PoolRow(Row):
    """How often no member of a pool could send."""

    section: ClassVar[str] = "pools"
    pool: str
    version: str
    exhausted: int
    evicted: tuple[str, ...]
    """The members that were out of it, in any of those cases."""
    first_ns: int
    last_ns: int


@dataclass(slots=True, frozen=True)
class ReassignmentRow(Row):
    """Enrollments whose sender was gone: moved to another, or paused."""

    section: ClassVar[str] = "reassignments"
    old_adapter: str
    new_adapter: str
    """'' where they were paused."""
    reason: str
    enrollments: int
    first_ns: int
    last_ns: int


@dataclass(slots=True, frozen=True)
class SequenceRow(Row):
    """One step of a sequence: what was sent, and what came of it."""

    section: ClassVar[str] = "sequences"
    sequence: str
    step: str
    channel: str
    sent: int
    replies: Rate
    """Messages that came in for it, bounces apart, of what was sent in the window; late ones may make it more than all."""
    intents: tuple[str, ...]
    """What they mean, with counts, the most frequent first."""


@dataclass(slots=True, frozen=True)
class TemplateRow(Row):
    """A fault in texts with variants."""

    section: ClassVar[str] = "templates"
    fault: str
    """`error` (the original text went out) or `warning`."""
    reason: str
    times: int
    executions: int


def outbound(relations: Relations, options: OutboundOptions) -> Report[Row]:
    """Read the whole family. A limit keeps the first rows of each sort, of health the last."""
    window: dict[str, str | int | float | None] = {"since": options.since_ns, "until": options.until_ns}
    sent = relations.query(_SENT, window)
    came_in = relations.query(_CAME_IN)
    policies = [PolicyRow(*row) for row in relations.query(_POLICIES)]
    total = sum(row[5] for row in sent)
    rows: list[list[Row]] = [
        list(_adapters(relations, window, sent, came_in, policies, total)),
        list(policies),
        [
            HealthRow(at, adapter, "signal" if name == "health.external_signal" else "changed", *rest)
            for at, adapter, name, *rest in relations.query(_HEALTH)
        ],
        list(_pools(relations)),
        [
            ReassignmentRow(old, "" if name.endswith("unavailable") else new, reason, int(number), first, last)
            for name, old, new, reason, number, first, last in relations.query(_MOVED)
        ],
        list(_sequences(sent, came_in)),
        [
            TemplateRow(name.removeprefix("template.spintax_"), reason, int(times), executions)
            for name, reason, times, executions in relations.query(_TEMPLATES)
        ],
    ]
    moved = relations.query(_MOVED_BY_ABSENCE)[0][0] or 0
    found, left_out = limited(rows, options.limit, newest=(HealthRow,))
    notes = ["a send counts for the adapter that its enrollment was pinned to last"] if total else []
    if any(row[0] == "" for row in sent):
        lost = sum(row[5] for row in sent if row[0] == "")
        notes.append(f"{lost:,} of {total:,} sends have no adapter: their enrollments were never told to be pinned")
    return Report(
        OUTBOUND.name,
        Window(options.since_ns, options.until_ns),
        Sample(
            {
                "sent": int(total),
                "deferrals": sum(one.deferrals for one in policies),
                "came_in": int(sum(row[4] for row in came_in)),
                "moved_by_absence": int(moved),
            }
        ),
        tuple(found),
        (*notes, *left_out),
    )


def _adapters(
    relations: Relations,
    window: Mapping[str, str | int | float | None],
    sent: Iterable[SqlRow],
    came_in: Iterable[SqlRow],
    policies: Iterable[PolicyRow],
    total: int,
) -> Iterable[AdapterRow]:
    sends, replies, bounces = Counter[str](), Counter[str](), Counter[str]()
    providers: dict[str, str] = {}
    for adapter, provider, _, _, _, number in sent:
        sends[str(adapter)] += int(number)
        providers[str(adapter)] = str(provider)
    for adapter, _, _, intent, number in came_in:
        (bounces if intent in _BOUNCES else replies)[str(adapter)] += int(number)
    deferred = Counter[str]()
    for one in policies:
        deferred[one.adapter] += one.deferrals
    pins = {adapter: int(number) for adapter, number in relations.query(_PINS)}
    states = {adapter: (state, at) for adapter, state, at in relations.query(_LAST_STATE, window)}
    known = sends.keys() | deferred.keys() | pins.keys() | states.keys() | replies.keys() | bounces.keys()
    for adapter in sorted(known, key=lambda one: (-sends[one], one)):
        state, since = states.get(adapter, ("", None))
        yield AdapterRow(
            adapter,
            providers.get(adapter, ""),
            sends[adapter],
            Rate(sends[adapter], total, "messages sent", 1),
            pins.get(adapter, 0),
            deferred[adapter],
            replies[adapter],
            Rate(bounces[adapter], sends[adapter], "messages sent by it"),
            state,
            since,
        )


def _pools(relations: Relations) -> Iterable[PoolRow]:
    found: dict[tuple[str, str], list[tuple[int, int, frozenset[str]]]] = {}
    for pool, version, at, number, attributes in relations.query(_EXHAUSTED):
        evicted = loads_attributes(attributes).get("outbound.evicted_adapter_ids")
        names = frozenset(str(one) for one in evicted) if isinstance(evicted, list) else frozenset()
        found.setdefault((pool, version), []).append((at, int(number), names))
    for (pool, version), cases in sorted(found.items()):
        names = frozenset().union(*(one for _, _, one in cases))
        yield PoolRow(
            pool,
            version,
            sum(number for _, number, _ in cases),
            tuple(sorted(names)[:_MOST_NAMED]),
            cases[0][0],
            cases[-1][0],
        )


def _sequences(sent: Iterable[SqlRow], came_in: Iterable[SqlRow]) -> Iterable[SequenceRow]:
    sends, channels = Counter[tuple[str, str]](), dict[tuple[str, str], str]()
    for _, _, channel, sequence, step, number in sent:
        sends[str(sequence), str(step)] += int(number)
        channels[str(sequence), str(step)] = str(channel)
    intents: dict[tuple[str, str], Counter[str]] = {}
    for _, sequence, step, intent, number in came_in:
        told = intents.setdefault((str(sequence), str(step)), Counter())
        told[str(intent) or "unknown"] += int(number)
    for key in sorted(sends.keys() | intents.keys(), key=lambda one: (one[0], -sends[one], one[1])):
        told = intents.get(key, Counter())
        replies = sum(number for intent, number in told.items() if intent not in _BOUNCES)
        named = tuple(
            f"{intent} {number:,}" for intent, number in sorted(told.items(), key=lambda one: (-one[1], one[0]))
        )
        yield SequenceRow(
            key[0], key[1], channels.get(key, ""), sends[key], Rate(replies, sends[key], "messages sent"), named
        )


OUTBOUND: Final = Analysis(
    "outbound",
    outbound,
    OutboundOptions,
    (AdapterRow, PolicyRow, HealthRow, PoolRow, ReassignmentRow, SequenceRow, TemplateRow),
    shares=("fullest",),
)
