"""What leads cost and earn: revenue, cost and margin, per currency and never across, as of any date; and how deliveries ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal  # noqa: TC003 - a row is made again from JSON by its types
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from leadtrace.analysis.homes import with_homes
from leadtrace.analysis.model import Rate, Report, Row, Sample, Window, from_micro, limited
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis
from leadtrace.analysis.sales import ANSWER_NAMES, bounds, with_sales
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadtrace.store.relations.interface import Parameters, Relations

__all__ = [
    "BUSINESS",
    "BusinessOptions",
    "Deliveries",
    "Takings",
    "Unattributed",
    "business",
    "moment_ns",
    "sold_and_spent",
]

_OFF: Final = 2 * 3_600 * 10**9
"""How far the clock of a process that worked on a run is believed to be off."""

# What is on the record itself comes first; events inside a flow do not carry the rest, their run does.
_GROUPS: Final = {
    "total": ("''", "''"),
    "lead": ("s.lead_id", "{lead}"),
    "source": ("coalesce(r.source, '')", "CASE WHEN e.source <> '' THEN e.source ELSE coalesce(r.source, '') END"),
    "campaign": (
        "coalesce(r.campaign, '')",
        "CASE WHEN e.campaign <> '' THEN e.campaign ELSE coalesce(r.campaign, '') END",
    ),
    "flow": ("coalesce(r.flow_name, '')", "coalesce(r.flow_name, '')"),
    "buyer": ("s.buyer", "''"),
}
_LEAD: Final = "CASE WHEN e.lead_id <> '' THEN e.lead_id ELSE coalesce(r.lead_id, '') END"

# Where a record's group is not known by its run, runs are looked up only for records that name no lead.
_STRAYS: Final = """
SELECT run_key FROM lead_events
WHERE lead_key IS NULL
  AND name IN ('flow.started', 'enhancement.success', 'enhancement.failed', 'enhancement.cancelled', 'lead.purchased')"""
_BY_RUN: Final = ("source", "campaign", "flow")
# A bulk call has one end event per lead, each with its share of the cost: their sum is the call's, once.
_SPENT: Final = """
SELECT {group} AS grp, coalesce(e.lead_key, r.lead_key) AS lead_key, e.currency AS currency, e.name AS name,
  CASE WHEN e.name = 'lead.purchased' THEN e.price_micro ELSE e.cost_micro END AS micro
FROM lead_events e
LEFT JOIN {runs} r ON r.run_key = e.run_key
WHERE e.name IN ('enhancement.success', 'enhancement.failed', 'enhancement.cancelled', 'lead.purchased')
  AND e.time_ns < $as_of{nothing}"""
_BEGUN: Final = """
SELECT {group} AS grp, coalesce(e.lead_key, r.lead_key) AS lead_key
FROM lead_events e
LEFT JOIN {runs} r ON r.run_key = e.run_key
WHERE e.name = 'flow.started' AND e.time_ns < $as_of{nothing}"""
_SOLD: Final = """
SELECT {group} AS grp, s.tenant AS tenant, s.lead_id AS lead_id, s.lead_key AS lead_key, s.delivery AS delivery,
  s.answer AS answer, s.was_pending AS was_pending, s.revenue_micro AS revenue_micro, s.currency AS currency
FROM sales s{join}"""
_SOLD_IN: Final = "\n  LEFT JOIN lead_runs r ON r.run_key = s.run_key"

# All figures in one text, so that what they share is worked out once: which figure, of what, in which currency, then numbers.
_FIGURES: Final = """
SELECT 'money', grp, currency, sum(accepted), sum(revenue), sum(returns), sum(returned), sum(cost), sum(price), 0, 0
FROM (
  SELECT grp, currency, 1 AS accepted, revenue_micro AS revenue, 0 AS returns, 0 AS returned, 0 AS cost, 0 AS price
  FROM {sold} sold WHERE answer = 'accepted'
  UNION ALL
  SELECT s.grp, g.currency, 0, 0, 1, g.return_micro, 0, 0
  FROM returned g JOIN {sold} s ON s.tenant = g.tenant AND s.lead_id = g.lead_id AND s.delivery = g.delivery
  UNION ALL
  SELECT grp, currency, 0, 0, 0, 0, CASE WHEN name = 'lead.purchased' THEN 0 ELSE micro END,
    CASE WHEN name = 'lead.purchased' THEN micro ELSE 0 END
  FROM spent WHERE micro IS NOT NULL
) told
GROUP BY grp, currency
UNION ALL
SELECT 'leads', grp, '', count(*), sum(delivered), 0, 0, 0, 0, 0, 0 FROM each_lead GROUP BY grp
UNION ALL
SELECT 'different', '', '', count(*), 0, 0, 0, 0, 0, 0, 0 FROM (SELECT DISTINCT lead_key FROM each_lead) different
UNION ALL
SELECT 'deliveries', grp, '', count(*),
  sum(CASE WHEN answer = 'accepted' THEN 1 ELSE 0 END), sum(CASE WHEN answer = 'rejected' THEN 1 ELSE 0 END),
  sum(CASE WHEN answer = 'failed' THEN 1 ELSE 0 END), sum(CASE WHEN answer = 'unconfirmed' THEN 1 ELSE 0 END),
  sum(CASE WHEN answer = 'pending' THEN 1 ELSE 0 END), sum(CASE WHEN answer = 'cancelled' THEN 1 ELSE 0 END),
  sum(CASE WHEN answer = 'accepted' THEN was_pending ELSE 0 END)
FROM {sold} sold
GROUP BY grp
UNION ALL
SELECT 'returns', '', '', count(*), sum(CASE WHEN r.arrival IS NULL THEN 1 ELSE 0 END), coalesce(sum(r.unnamed), 0), 0, 0, 0, 0, 0
FROM given_back g LEFT JOIN returned r ON r.arrival = g.arrival
WHERE g.time_ns < $until OR r.arrival IS NOT NULL"""
_EACH_LEAD: Final = """
SELECT grp, lead_key, max(delivered) AS delivered FROM (
  SELECT grp, lead_key, CASE WHEN answer = 'accepted' THEN 1 ELSE 0 END AS delivered FROM {sold} sold
  UNION ALL SELECT grp, lead_key, 0 FROM spent
  UNION ALL SELECT grp, lead_key, 0 FROM begun
) each_record
WHERE lead_key IS NOT NULL
GROUP BY grp, lead_key"""

# What a flow's end says, beside what was counted of its own run up to then. Runs that went on elsewhere are left out: their
# flow could not know. What another process told may only seem to have come after the end, by its clock, or before the start:
# within two hours of them it is looked at, and where all of the run together is what its flow said, it is that.
_SAID_ENDS: Final = """
SELECT run_key, start_ns, grp, currency, time_ns, said_revenue, said_cost
FROM (
  SELECT e.run_key AS run_key, r.start_ns AS start_ns, {group} AS grp, e.currency AS currency,
    e.time_ns AS time_ns, e.said_revenue_micro AS said_revenue, e.said_cost_micro AS said_cost,
    row_number() OVER (PARTITION BY e.run_key ORDER BY e.time_ns, e.arrival) AS place
  FROM lead_events e
  JOIN lead_runs r ON r.run_key = e.run_key
  WHERE e.name IN ('flow.completed', 'flow.failed', 'flow.cancelled', 'flow.interrupted')
    AND e.time_ns < $as_of AND r.handed_over = 0 AND r.end_ns >= $since
    AND (e.said_revenue_micro IS NOT NULL OR e.said_cost_micro IS NOT NULL)
) ends
WHERE place = 1"""
_WITHIN: Final = f"""
SELECT min(coalesce(start_ns, 0)) - {_OFF}, max(time_ns) + {_OFF} FROM said_ends"""  # noqa: S608 - of a constant
_SAID: Final = """
WITH amounts AS (
  SELECT d.run_key AS run_key, d.said_revenue AS said_revenue, d.said_cost AS said_cost,
    CASE WHEN c.time_ns <= d.time_ns THEN 1 ELSE 0 END AS before_end,
    CASE WHEN c.name = 'delivery.accepted' THEN coalesce(c.revenue_micro, 0) ELSE 0 END AS revenue,
    CASE WHEN c.name = 'lead.purchased' THEN coalesce(c.price_micro, 0)
      WHEN c.name <> 'delivery.accepted' THEN coalesce(c.cost_micro, 0) ELSE 0 END AS cost
  FROM all_events c CROSS JOIN said_ends d  -- in this order: rows would be gone through again for each end
  WHERE d.run_key = c.run_key AND c.currency = d.currency AND c.time_ns >= $first AND c.time_ns < $last
    AND c.name IN ('delivery.accepted', 'enhancement.success', 'enhancement.failed', 'enhancement.cancelled', 'lead.purchased')
),
counted AS (
  SELECT run_key,
    CASE WHEN sum(revenue) = max(said_revenue) THEN sum(revenue) ELSE sum(before_end * revenue) END AS revenue,
    CASE WHEN sum(cost) = max(said_cost) THEN sum(cost) ELSE sum(before_end * cost) END AS cost
  FROM amounts
  GROUP BY run_key
)
SELECT grp, currency, count(*),
  sum(CASE WHEN differs <> 0 THEN 1 ELSE 0 END), sum(said_revenue), sum(revenue), sum(said_cost), sum(cost)
FROM (
  SELECT d.grp AS grp, d.currency AS currency,
    coalesce(d.said_revenue, coalesce(c.revenue, 0)) AS said_revenue, coalesce(c.revenue, 0) AS revenue,
    coalesce(d.said_cost, coalesce(c.cost, 0)) AS said_cost, coalesce(c.cost, 0) AS cost,
    CASE WHEN coalesce(d.said_revenue, coalesce(c.revenue, 0)) <> coalesce(c.revenue, 0)
      OR coalesce(d.said_cost, coalesce(c.cost, 0)) <> coalesce(c.cost, 0) THEN 1 ELSE 0 END AS differs
  FROM said_ends d
  LEFT JOIN counted c ON c.run_key = d.run_key
) each_run
GROUP BY grp, currency
HAVING sum(differs) > 0
ORDER BY grp, currency"""

# A bulk delivery begins once and is answered once per lead: it is open where nobody answered at all.
_DELIVERY: Final = "CASE WHEN delivery_id <> '' THEN delivery_id ELSE trace_id || span_id END"
_UNANSWERED: Final = f"""
SELECT tenant, delivery FROM (
  SELECT tenant, {_DELIVERY} AS delivery, max(CASE WHEN name = 'delivery.started' THEN 0 ELSE 1 END) AS answered
  FROM lead_events
  WHERE (name = 'delivery.started' OR name IN ({ANSWER_NAMES})) AND time_ns < $as_of AND (delivery_id <> '' OR span_id <> '')
  GROUP BY tenant, {_DELIVERY}
) each_delivery
WHERE answered = 0"""  # noqa: S608 - of constants alone
_OPEN: Final = f"""
SELECT count(*) FROM unanswered u LEFT JOIN (
  SELECT DISTINCT tenant, {_DELIVERY} AS delivery FROM all_events
  WHERE name IN ({ANSWER_NAMES}) AND time_ns >= $until AND time_ns < $as_of AND {_DELIVERY} IN (SELECT delivery FROM unanswered)
) a ON a.tenant = u.tenant AND a.delivery = u.delivery
WHERE a.delivery IS NULL"""  # noqa: S608 - as above


@dataclass(slots=True, frozen=True, kw_only=True)
class BusinessOptions(Options):
    by: Literal["total", "source", "campaign", "flow", "buyer", "lead"] = option(
        "total", "What the figures are told of, a row each."
    )
    as_of: str = option(
        "", "Only what was known before that moment: 2026-11-22 (before the day after it), or 2026-11-22T10:30Z."
    )


@dataclass(slots=True, frozen=True)
class Takings(Row):
    """What was earned and spent in one currency. By buyer there is no cost: it is a lead's, not a buyer's."""

    section: ClassVar[str] = "money"
    of: str
    """Which source, campaign, flow, buyer or lead; '' in total, and where it was not told."""
    currency: str
    leads: int
    """Different leads that began a flow, cost something or were offered: in any currency."""
    accepted: int
    """Deliveries accepted in that currency."""
    revenue: Decimal
    """Before what was returned."""
    returns: int
    returned: Decimal
    net_revenue: Decimal
    """Revenue less what was returned."""
    cost: Decimal | None
    """Of enhancements and of the leads themselves."""
    lead_prices: Decimal | None
    """The part of the cost that was paid for the leads."""
    margin: Decimal | None
    """Net revenue less cost."""
    margin_per_lead: Decimal | None
    """To a millionth."""


@dataclass(slots=True, frozen=True)
class Deliveries(Row):
    """How deliveries ended, each counted once by the answer that stands."""

    section: ClassVar[str] = "deliveries"
    of: str
    deliveries: int
    success: Rate
    """Accepted ones; of those that were answered or failed, so without what is pending or was cancelled."""
    leads_delivered: Rate
    """Leads that a buyer accepted."""
    accepted: int
    rejected: int
    failed: int
    unconfirmed: int
    pending: int
    cancelled: int


@dataclass(slots=True, frozen=True)
class Unattributed(Row):
    """Where flows' ends state other sums than their events add up to."""

    section: ClassVar[str] = "unattributed"
    of: str
    currency: str
    runs: int
    """Runs that ended in the window and stated a sum."""
    runs_that_differ: int
    said_revenue: Decimal
    counted_revenue: Decimal
    unattributed_revenue: Decimal
    """Said less counted."""
    said_cost: Decimal
    counted_cost: Decimal
    unattributed_cost: Decimal


def business(relations: Relations, options: BusinessOptions) -> Report[Row]:
    """Sum what deliveries first answered, and costs incurred, in the window came to, as of a date."""
    return _summed(relations, options, whole=True)


def sold_and_spent(relations: Relations, options: BusinessOptions) -> Report[Row]:
    """The same without what flows' ends state and without a note of what is open, each of which takes a search of its own."""
    return _summed(relations, options, whole=False)


def _summed(relations: Relations, options: BusinessOptions, whole: bool) -> Report[Row]:
    as_of = moment_ns(options.as_of) if options.as_of else 0
    given = bounds(options, as_of)
    figures = _figures(relations, options, given)
    buyers = options.by == "buyer"
    leads = {of: (number, delivered) for of, _, number, delivered, *_ in figures["leads"]}
    money = sorted(figures["money"], key=lambda row: (row[5] + row[6] + row[7] - row[3], row[0], row[1]))
    deliveries = sorted(figures["deliveries"], key=lambda row: (-row[2], row[0]))
    sorts: tuple[Sequence[Row], ...] = (
        [_takings(row, leads.get(row[0], (0, 0))[0], buyers) for row in money],
        [_deliveries(row, *leads.get(row[0], (0, 0))) for row in deliveries],
        _unattributed(relations, options, given) if whole else [],
    )
    rows, notes = limited(sorts, options.limit)
    ((_, _, _, elsewhere, unnamed, *_),) = figures["returns"]
    open_ones = relations.query(_OPEN, given, {"unanswered": _UNANSWERED})[0][0] if whole else 0
    notes += _notes(buyers, sum(row[9] for row in deliveries), unnamed or 0, elsewhere or 0, open_ones)
    return Report(
        BUSINESS.name,
        Window(options.since_ns, options.until_ns),
        Sample(
            {
                "leads": figures["different"][0][2],
                "deliveries": sum(row[2] for row in deliveries),
                "returns": sum(row[4] for row in money),
            }
        ),
        tuple(rows),
        tuple(notes),
    )


def moment_ns(text: str) -> int:
    """The moment before which something counts: of a date, the end of that day (UTC). Raises `SettingsError` for neither."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"as_of {text!r} is no time", expected="a date or a date and time: 2026-11-22, 2026-11-22T10:30Z"
        ) from None
    if len(text) <= 10:
        found += timedelta(days=1)
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    since = found - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def _figures(relations: Relations, options: BusinessOptions, given: Parameters) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of `_FIGURES` by which figure they are, without that."""
    sale_group, record_group = _GROUPS[options.by]
    group = record_group.format(lead=_LEAD)
    by_run = options.by in _BY_RUN
    runs = "lead_runs" if by_run else "runs"
    # By buyer nothing that was spent belongs to one, nor does a lead that was offered to nobody.
    nothing = " AND 1 = 0" if options.by == "buyer" else ""
    tables = with_sales(relations, given)
    if not by_run:
        tables = with_homes(relations, "runs", _STRAYS, tables, given)
    sold = _SOLD.format(group=sale_group, join=_SOLD_IN if by_run else "")
    if by_run:
        tables, sold = {**tables, "sold": sold}, "sold"
    else:  # no more than the sales under another name: another table of them would only be copied
        sold = f"({sold})"
    tables = {
        **tables,
        "spent": _SPENT.format(group=group, runs=runs, nothing=nothing),
        "begun": _BEGUN.format(group=group, runs=runs, nothing=nothing),
        "each_lead": _EACH_LEAD.format(sold=sold),
    }
    found: dict[str, list[tuple[Any, ...]]] = {
        one: [] for one in ("money", "leads", "different", "deliveries", "returns")
    }
    for figure, *row in relations.query(_FIGURES.format(sold=sold), given, tables):
        found[figure].append(tuple(row))
    return found


def _takings(row: tuple[Any, ...], leads: int, buyers: bool) -> Takings:
    of, currency, accepted, revenue, returns, returned, cost, price, *_ = row
    margin = revenue - returned - cost - price
    return Takings(
        of,
        currency,
        leads,
        accepted,
        from_micro(revenue),
        returns,
        from_micro(returned),
        from_micro(revenue - returned),
        None if buyers else from_micro(cost + price),
        None if buyers else from_micro(price),
        None if buyers else from_micro(margin),
        None if buyers or not leads else from_micro((2 * margin + leads) // (2 * leads)),
    )


def _deliveries(row: tuple[Any, ...], leads: int, delivered: int) -> Deliveries:
    of, _, number, accepted, rejected, failed, unconfirmed, pending, cancelled, _ = row
    return Deliveries(
        of,
        number,
        Rate(accepted, accepted + rejected + failed + unconfirmed, "deliveries answered or failed"),
        Rate(delivered, leads, "leads"),
        accepted,
        rejected,
        failed,
        unconfirmed,
        pending,
        cancelled,
    )


def _unattributed(relations: Relations, options: BusinessOptions, given: Parameters) -> list[Unattributed]:
    if options.by == "buyer":
        return []
    tables = {"said_ends": _SAID_ENDS.format(group=_GROUPS[options.by][1].format(lead=_LEAD))}
    ((first, last),) = relations.query(_WITHIN, given, tables)
    if last is None:
        return []
    return [
        Unattributed(
            of,
            currency,
            runs,
            differing,
            from_micro(said_revenue),
            from_micro(revenue),
            from_micro(said_revenue - revenue),
            from_micro(said_cost),
            from_micro(cost),
            from_micro(said_cost - cost),
        )
        for of, currency, runs, differing, said_revenue, revenue, said_cost, cost in relations.query(
            _SAID, {**given, "first": first, "last": last}, tables
        )
    ]


def _notes(buyers: bool, accepted_later: int, unnamed: int, elsewhere: int, open_ones: int) -> list[str]:
    notes = []
    if buyers:
        notes.append("no cost and no margin by buyer: what was spent on a lead is spent whoever buys it")
    if accepted_later:
        notes.append(
            f"{accepted_later:,} accepted deliveries were pending at first; they count where they were offered"
        )
    if unnamed:
        notes.append(f"{unnamed:,} returns name no amount, and nothing is taken off for them")
    if elsewhere:
        notes.append(
            f"{elsewhere:,} returns came in the window for sales that are not in it: they change the figures of their own time"
        )
    if open_ones:
        notes.append(f"{open_ones:,} deliveries began in the window and have no answer: they are in no figure")
    return notes


BUSINESS: Final = Analysis("business", business, BusinessOptions, (Takings, Deliveries, Unattributed))
