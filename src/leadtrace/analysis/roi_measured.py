"""What an enhancement is worth, measured: leads for which it succeeded against their like for which it did not."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal  # noqa: TC003 - a row is made again from JSON by its types
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from leadtrace.analysis.matching import compared
from leadtrace.analysis.model import Row
from leadtrace.analysis.sales import SALES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.store.relations.interface import Relations

__all__ = ["Measured", "measured_values"]

# Leads that were offered to a buyer (the others could not be sold, whatever was known of them), by the stratum of their first
# passage in the window, and by what they came to in each currency: once all of them
# (named ''), once those for which each enhancement succeeded. What is alike is counted together: few rows for many leads.
_LEADS: Final = """
WITH offered AS (
  SELECT DISTINCT lead_key FROM sales WHERE answer <> 'cancelled'
)
SELECT lead_key, flow_name, source, campaign FROM (
  SELECT r.lead_key AS lead_key, r.flow_name AS flow_name, r.source AS source, r.campaign AS campaign,
    row_number() OVER (PARTITION BY r.lead_key ORDER BY r.start_ns, r.run_id) AS place
  FROM lead_runs r
  JOIN offered o ON o.lead_key = r.lead_key
  WHERE r.start_ns >= $since AND r.start_ns < $until
) passages
WHERE place = 1"""
_HELPED: Final = {
    "succeeded": """
SELECT DISTINCT lead_key, {named} AS named
FROM lead_events WHERE name = 'enhancement.success' AND lead_key IS NOT NULL AND {chosen}""",
    "strays": """
SELECT DISTINCT run_key, {named} AS named
FROM lead_events WHERE name = 'enhancement.success' AND lead_key IS NULL AND run_key IS NOT NULL AND {chosen}""",
    "homes": "SELECT run_key, lead_key FROM lead_runs WHERE lead_key IS NOT NULL AND run_key IN (SELECT run_key FROM strays)",
    "helped": """
SELECT lead_key, '' AS named FROM leads
UNION ALL
SELECT lead_key, named FROM succeeded
UNION ALL
SELECT lead_key, named FROM (
  SELECT h.lead_key AS lead_key, s.named AS named
  FROM strays s JOIN homes h ON h.run_key = s.run_key
  EXCEPT
  SELECT lead_key, named FROM succeeded
) by_run""",
}
_WORTH: Final = """
WITH earned AS (
  SELECT lead_key, currency, sum(revenue_micro) AS revenue, count(*) AS accepted
  FROM sales WHERE answer = 'accepted' GROUP BY lead_key, currency
),
lost AS (
  SELECT lead_key, currency, sum(return_micro) AS returned FROM returned GROUP BY lead_key, currency
),
came_to AS (
  SELECT l.lead_key AS lead_key, l.flow_name AS flow_name, l.source AS source, l.campaign AS campaign,
    coalesce(e.currency, '') AS currency, coalesce(e.revenue, 0) AS revenue, coalesce(e.accepted, 0) AS accepted,
    coalesce(b.returned, 0) AS returned, CASE WHEN b.lead_key IS NULL THEN 0 ELSE 1 END AS given_back
  FROM leads l
  LEFT JOIN earned e ON e.lead_key = l.lead_key
  LEFT JOIN lost b ON b.lead_key = e.lead_key AND b.currency = e.currency
)
SELECT h.named, c.flow_name, c.source, c.campaign, c.currency, c.revenue, c.accepted, c.returned, c.given_back, count(*)
FROM came_to c JOIN helped h ON h.lead_key = c.lead_key
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
UNION ALL
SELECT h.named, l.flow_name, l.source, l.campaign, '=', 0, 0, 0, 0, count(*)
FROM leads l JOIN helped h ON h.lead_key = l.lead_key
GROUP BY 1, 2, 3, 4"""


@dataclass(slots=True, frozen=True)
class Measured(Row):
    """Leads with the enhancement against leads without, within the same flow, source and campaign."""

    section: ClassVar[str] = "measured"
    enhancement: str
    currency: str
    measure: Literal["net_revenue", "acceptance", "price", "returns"]
    """Per lead: net revenue; sold in that currency or not; the revenue of one that was sold; returned or not, of those
    that were sold."""
    leads_with: int
    """Those that have their like without it, as `leads_without`."""
    leads_without: int
    strata: int
    """Combinations of flow, source and campaign that have both."""
    mean_with: Decimal | None
    mean_without: Decimal | None
    """Weighted as the leads with it are spread over the strata."""
    difference: Decimal | None
    low: Decimal | None
    """At 95 %, as `high`."""
    high: Decimal | None
    note: str
    """Why there is no difference; '' where there is one."""


def measured_values(
    relations: Relations, named: str, chosen: str, given: Mapping[str, str | int]
) -> dict[tuple[str, str], list[Measured]]:
    """Every enhancement in every currency in which leads were sold.

    `named` is the column that names it; `chosen` the condition, and `given` the parameters, by which some are asked for.
    """
    helped = {name: text.format(named=named, chosen=chosen) for name, text in _HELPED.items()}
    tables = {**SALES, "leads": _LEADS, **helped}
    sizes: dict[str, dict[tuple[str, str, str], int]] = defaultdict(dict)
    sold: dict[tuple[str, str], dict[tuple[str, str, str], list[tuple[int, int, int, int]]]]
    sold = defaultdict(lambda: defaultdict(list))
    for who, flow, source, campaign, currency, revenue, _, returned, given_back, number in relations.query(
        _WORTH, given, tables
    ):
        if currency == "=":
            sizes[who][flow, source, campaign] = number
        elif currency:
            sold[who, currency][flow, source, campaign].append((revenue, returned, given_back, number))
    found = {}
    for name in sorted(set(sizes) - {""}):
        for currency in sorted({currency for who, currency in sold if who == ""}):
            strata = [
                _Stratum(
                    sizes[name].get(one, 0), size, sold[name, currency].get(one, []), sold["", currency].get(one, [])
                )
                for one, size in sizes[""].items()
            ]
            found[name, currency] = _compare(name, currency, strata)
    return found


@dataclass(slots=True)
class _Stratum:
    """Leads of one flow, source and campaign: how many have the enhancement, how many there are, and which were sold."""

    having: int
    all: int
    sold_having: list[tuple[int, int, int, int]]
    sold: list[tuple[int, int, int, int]]

    def split(self, value: Any, only_sold: bool) -> tuple[dict[int, int], dict[int, int]]:
        """Counts by a value of what a lead came to, with and without."""
        having, every = _counts(self.sold_having, value), _counts(self.sold, value)
        if not only_sold:
            having[0] += self.having - sum(having.values())
            every[0] += self.all - sum(every.values())
        return having, {key: number - having.get(key, 0) for key, number in every.items()}


def _counts(rows: Iterable[tuple[int, int, int, int]], value: Any) -> dict[int, int]:
    found: dict[int, int] = defaultdict(int)
    for revenue, returned, given_back, number in rows:
        found[value(revenue, returned, given_back)] += number
    return found


_MEASURES: Final[tuple[tuple[Literal["net_revenue", "acceptance", "price", "returns"], Any, bool, int], ...]] = (
    ("net_revenue", lambda revenue, returned, _: revenue - returned, False, 1_000_000),
    ("acceptance", lambda *_: 1, False, 1),
    ("price", lambda revenue, *_: revenue, True, 1_000_000),
    ("returns", lambda _, __, given_back: given_back, True, 1),
)
"""Each measure: its name, what it takes of a lead, whether only of those that were sold, and in which unit."""


def _compare(name: str, currency: str, strata: list[_Stratum]) -> list[Measured]:
    found = []
    for measure, value, only_sold, unit in _MEASURES:
        told = compared((one.split(value, only_sold) for one in strata), unit)
        found.append(
            Measured(
                name,
                currency,
                measure,
                told.leads_with,
                told.leads_without,
                told.strata,
                told.mean_with,
                told.mean_without,
                told.difference,
                told.low,
                told.high,
                told.note,
            )
        )
        if told.note and measure == "net_revenue":
            break  # too few for one measure are too few for those of a part of them
    return found
