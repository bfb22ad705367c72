"""What an enhancement is worth, measured: leads for which it succeeded against their like for which it did not."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal  # noqa: TC003 - a row is made again from JSON by its types
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

from leadtrace.analysis.homes import with_homes
from leadtrace.analysis.matching import compared
from leadtrace.analysis.model import Row
from leadtrace.analysis.sales import with_sales

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leadtrace.store.relations.interface import Relations

__all__ = ["Measured", "measured_values"]

_Like: TypeAlias = "tuple[str, str, str]"
"""Flow, source and campaign."""
_CameTo: TypeAlias = "tuple[int, int, int, int]"
"""Revenue, what was paid back, whether it was given back, and how many leads came to just that."""

# Leads that were offered to a buyer (the others could not be sold, whatever was known of them), by the stratum of their first
# passage in the window, by which enhancements succeeded for them, and by what they came to in each currency. What is alike is
# counted together: few rows for many leads.
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
_STRAYS: Final = "SELECT run_key FROM lead_events WHERE name = 'enhancement.success' AND lead_key IS NULL"
# Which succeeded is one whole number, a bit for each: many fewer rows than one for each lead and enhancement.
_HELPED: Final = """
SELECT lead_key, {bits} AS helped FROM (
  SELECT lead_key, {named} AS named FROM lead_events WHERE name = 'enhancement.success' AND lead_key IS NOT NULL
  UNION ALL
  SELECT h.lead_key, e.{named} FROM lead_events e JOIN homes h ON h.run_key = e.run_key
  WHERE e.name = 'enhancement.success' AND e.lead_key IS NULL
) succeeded
GROUP BY lead_key"""
_BITS: Final = 32
"""Enhancements in one number."""
_WORTH: Final = """
WITH earned AS (
  SELECT lead_key, currency, sum(revenue_micro) AS revenue FROM sales WHERE answer = 'accepted' GROUP BY lead_key, currency
),
lost AS (
  SELECT lead_key, currency, sum(return_micro) AS returned FROM returned GROUP BY lead_key, currency
),
came_to AS (
  SELECT e.lead_key AS lead_key, e.currency AS currency, e.revenue AS revenue, coalesce(b.returned, 0) AS returned,
    CASE WHEN b.lead_key IS NULL THEN 0 ELSE 1 END AS given_back
  FROM earned e
  LEFT JOIN lost b ON b.lead_key = e.lead_key AND b.currency = e.currency
)
SELECT coalesce(h.helped, 0), l.flow_name, l.source, l.campaign, c.currency, c.revenue, c.returned, c.given_back, count(*)
FROM leads l
JOIN came_to c ON c.lead_key = l.lead_key
LEFT JOIN helped h ON h.lead_key = l.lead_key
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
UNION ALL
SELECT coalesce(h.helped, 0), l.flow_name, l.source, l.campaign, '', 0, 0, 0, count(*)
FROM leads l
LEFT JOIN helped h ON h.lead_key = l.lead_key
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
    relations: Relations, named: str, names: Sequence[str], given: Mapping[str, str | int]
) -> dict[tuple[str, str], list[Measured]]:
    """Those of these enhancements that succeeded for any lead, in every currency in which leads were sold.

    `named` is the column that names them.
    """
    if not names:
        return {}
    tables = with_sales(relations, given)
    tables = with_homes(relations, "homes", _STRAYS, {**tables, "leads": _LEADS}, given)
    sizes: dict[str, Counter[_Like]] = defaultdict(Counter)
    sold: dict[tuple[str, str], dict[_Like, list[_CameTo]]] = defaultdict(lambda: defaultdict(list))
    for first in range(0, len(names), _BITS):
        some = names[first : first + _BITS]
        bits = " + ".join(f"max(CASE WHEN named = $bit_{bit} THEN {1 << bit} ELSE 0 END)" for bit in range(len(some)))
        asked = {**given, **{f"bit_{bit}": one for bit, one in enumerate(some)}}
        helped = {**tables, "helped": _HELPED.format(bits=bits, named=named)}
        for having, flow, source, campaign, currency, *came_to, number in relations.query(_WORTH, asked, helped):
            whom = [one for bit, one in enumerate(some) if having >> bit & 1]
            for who in whom if first else ["", *whom]:
                if currency:
                    sold[who, currency][flow, source, campaign].append((*came_to, number))
                else:
                    sizes[who][flow, source, campaign] += number
    found = {}
    for name in sorted(set(sizes) - {""}):
        for currency in sorted({currency for who, currency in sold if who == ""}):
            strata = [
                _Stratum(sizes[name][one], size, sold[name, currency].get(one, []), sold["", currency].get(one, []))
                for one, size in sizes[""].items()
            ]
            found[name, currency] = _compare(name, currency, strata)
    return found


@dataclass(slots=True)
class _Stratum:
    """Leads of one flow, source and campaign: how many have the enhancement, how many there are, and which were sold."""

    having: int
    all: int
    sold_having: list[_CameTo]
    sold: list[_CameTo]

    def split(self, value: Any, only_sold: bool) -> tuple[dict[int, int], dict[int, int]]:
        """Counts by a value of what a lead came to, with and without."""
        having, every = _counts(self.sold_having, value), _counts(self.sold, value)
        if not only_sold:
            having[0] += self.having - sum(having.values())
            every[0] += self.all - sum(every.values())
        return having, {key: number - having.get(key, 0) for key, number in every.items()}


def _counts(rows: Iterable[_CameTo], value: Any) -> dict[int, int]:
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
