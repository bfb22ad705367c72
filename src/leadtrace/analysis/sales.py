"""What deliveries came to, and what was given back: SQL that several analyses of money share.

A delivery is one lead offered to one buyer, by its id, else by its span, else each answer for itself, as in a timeline; its last
answer stands. It belongs to the moment of its first answer, so that a pending one that is accepted weeks later, or a sale that
is given back, changes the figures of its own week, and only as of the later date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leadtrace.analysis.homes import with_homes
from leadtrace.store.relations.interface import END_OF_TIME

if TYPE_CHECKING:
    from leadtrace.analysis.options import Options
    from leadtrace.store.relations.interface import Parameters, Relations, Tables

__all__ = ["ANSWERS", "ANSWER_NAMES", "bounds", "with_sales"]

ANSWERS: Final = ("accepted", "rejected", "pending", "failed", "unconfirmed", "cancelled")

ANSWER_NAMES: Final = ", ".join(f"'delivery.{one}'" for one in ANSWERS)
"""Their events, as SQL lists them."""
_KEY: Final = """CASE WHEN e.delivery_id <> '' THEN 'id ' || e.delivery_id
    WHEN e.word = 'delivery' AND e.span_id <> '' THEN 'span ' || e.trace_id || e.span_id
    ELSE 'event ' || CAST(e.arrival AS VARCHAR) END"""
_ANSWER: Final = f"""e.tenant AS tenant, e.lead_id AS lead_id, e.lead_key AS lead_key, {_KEY} AS delivery, e.time_ns AS time_ns,
    substr(e.name, 10) AS answer, e.buyer AS buyer, e.run_id AS run_id, e.run_key AS run_key, e.revenue_micro AS revenue_micro,
    e.currency AS currency"""

# Most deliveries are answered once. Of several answers the one that stands, as one text whose greatest is the last: time, no
# pending one where another was told at that moment, answer, revenue, currency.
_ZERO: Final = 1 << 62
_STANDING: Final = f"""substr('0000000000000000000' || CAST(time_ns AS VARCHAR), -19)
      || CASE WHEN answer = 'pending' THEN '0' ELSE '1' END || substr(answer || '            ', 1, 12)
      || CAST(coalesce(revenue_micro, 0) + {_ZERO} AS VARCHAR) || currency"""

# Answers outside the window count where they are of its deliveries. What is few is a table of its own, so that an engine goes
# through the many with it, and not the other way round.
_GIVEN: Final[Tables] = {
    "given": f"""
SELECT {_ANSWER}
FROM lead_events e
WHERE e.name IN ({ANSWER_NAMES}) AND e.time_ns < $as_of""",  # noqa: S608 - of constants alone
    "given_ids": "SELECT DISTINCT substr(delivery, 4) AS delivery_id FROM given WHERE delivery LIKE 'id %'",
    "given_spans": "SELECT DISTINCT delivery FROM given WHERE delivery LIKE 'span %'",
    "elsewhere": f"""
SELECT e.arrival AS arrival, e.time_ns AS time_ns FROM all_events e
WHERE e.name IN ({ANSWER_NAMES}) AND (e.time_ns < $since OR e.time_ns >= $until) AND e.time_ns < $as_of
  AND e.delivery_id <> '' AND e.delivery_id IN (SELECT delivery_id FROM given_ids)
UNION ALL
SELECT e.arrival, e.time_ns FROM all_events e
WHERE e.name IN ({ANSWER_NAMES}) AND e.time_ns >= $until AND e.time_ns < $as_of AND e.delivery_id = '' AND e.word = 'delivery'
  AND 'span ' || e.trace_id || e.span_id IN (SELECT delivery FROM given_spans)""",  # noqa: S608 - as above
    "given_later": f"""
SELECT {_ANSWER}
FROM all_events e
WHERE e.name IN ({ANSWER_NAMES}) AND e.time_ns >= $until
  AND e.arrival IN (SELECT arrival FROM elsewhere WHERE time_ns >= $until)""",  # noqa: S608 - as above
    "before": f"""
SELECT tenant, lead_id, lead_key, run_key, delivery_id
FROM all_events
WHERE name IN ({ANSWER_NAMES}) AND time_ns < $since AND arrival IN (SELECT arrival FROM elsewhere WHERE time_ns < $since)""",  # noqa: S608 - as above
}
_NAMELESS: Final = " UNION ALL ".join(
    f"SELECT run_key FROM {one} WHERE lead_key IS NULL"  # noqa: S608 - as above
    for one in ("given", "given_later", "before")
)
_COLUMNS: Final = (
    "tenant, lead_id, lead_key, delivery, time_ns, answer, buyer, run_id, run_key, revenue_micro, currency"
)
_ANSWERS: Final = "(SELECT {columns} FROM given UNION ALL SELECT {columns} FROM given_later)"
_SALES: Final[Tables] = {
    "repeated": f"""
SELECT delivery FROM {_ANSWERS.format(columns="delivery")} answers GROUP BY delivery HAVING count(*) > 1""",  # noqa: S608 - as above
    "sales": f"""
WITH told AS NOT MATERIALIZED (
  SELECT a.tenant AS tenant, CASE WHEN a.lead_id <> '' THEN a.lead_id ELSE coalesce(h.lead_id, '') END AS lead_id,
    coalesce(a.lead_key, h.lead_key) AS lead_key, a.delivery AS delivery, a.time_ns AS time_ns, a.answer AS answer,
    a.buyer AS buyer, a.run_id AS run_id, a.run_key AS run_key, a.revenue_micro AS revenue_micro, a.currency AS currency
  FROM {_ANSWERS.format(columns=_COLUMNS)} a
  LEFT JOIN sale_homes h ON h.run_key = a.run_key AND a.lead_key IS NULL
),
answered AS (
  SELECT tenant, lead_id, lead_key, delivery, buyer, run_key, answer, time_ns AS first_ns, time_ns AS answered_ns,
    CASE WHEN answer = 'pending' THEN 1 ELSE 0 END AS was_pending,
    CASE WHEN answer = 'accepted' THEN coalesce(revenue_micro, 0) ELSE 0 END AS revenue_micro, currency
  FROM told
  WHERE time_ns < $until AND delivery NOT IN (SELECT delivery FROM repeated)
  UNION ALL
  SELECT tenant, lead_id, lead_key, delivery, buyer, run_key, rtrim(substr(standing, 21, 12)), first_ns, time_ns, was_pending,
    CASE WHEN substr(standing, 21, 9) = 'accepted ' THEN CAST(substr(standing, 33, 19) AS BIGINT) - {_ZERO} ELSE 0 END,
    substr(standing, 52)
  FROM (
    SELECT tenant, lead_id, max(lead_key) AS lead_key, delivery, min(time_ns) AS first_ns, max(time_ns) AS time_ns,
      max(buyer) AS buyer, key_of(tenant, max(run_id)) AS run_key,
      max(CASE WHEN answer = 'pending' THEN 1 ELSE 0 END) AS was_pending, max({_STANDING}) AS standing
    FROM told
    WHERE delivery IN (SELECT delivery FROM repeated)
    GROUP BY tenant, lead_id, delivery
    HAVING min(time_ns) < $until
  ) several
),
earlier AS (
  SELECT DISTINCT b.tenant AS tenant, CASE WHEN b.lead_id <> '' THEN b.lead_id ELSE coalesce(r.lead_id, '') END AS lead_id,
    'id ' || b.delivery_id AS delivery
  FROM before b
  LEFT JOIN sale_homes r ON r.run_key = b.run_key AND b.lead_id = ''
)
SELECT a.tenant AS tenant, a.lead_id AS lead_id, a.lead_key AS lead_key, a.delivery AS delivery,
  a.buyer AS buyer, a.run_key AS run_key, a.answer AS answer, a.first_ns AS first_ns, a.answered_ns AS answered_ns,
  a.was_pending AS was_pending, a.revenue_micro AS revenue_micro, a.currency AS currency
FROM answered a
LEFT JOIN earlier ON earlier.tenant = a.tenant AND earlier.lead_id = a.lead_id AND earlier.delivery = a.delivery
WHERE earlier.delivery IS NULL""",  # noqa: S608 - as above
    "given_back": """
SELECT e.arrival AS arrival, e.tenant AS tenant, e.lead_id AS lead_id, e.time_ns AS time_ns, e.buyer AS buyer,
  e.delivery_id AS delivery_id, e.return_micro AS return_micro, e.currency_said AS currency_said
FROM all_events e
WHERE e.name = 'lead.returned' AND e.time_ns >= $since AND e.time_ns < $as_of""",
    "returned": """
SELECT arrival, tenant, lead_id, lead_key, delivery, currency, coalesce(return_micro, 0) AS return_micro,
  CASE WHEN return_micro IS NULL THEN 1 ELSE 0 END AS unnamed
FROM (
  SELECT g.arrival AS arrival, s.tenant AS tenant, s.lead_id AS lead_id, s.lead_key AS lead_key, s.delivery AS delivery,
    g.return_micro AS return_micro, CASE WHEN g.currency_said <> '' THEN g.currency_said ELSE s.currency END AS currency,
    row_number() OVER (
      PARTITION BY g.arrival ORDER BY CASE WHEN s.answer = 'accepted' THEN 0 ELSE 1 END, s.answered_ns DESC, s.delivery
    ) AS choice
  FROM given_back g
  JOIN sales s ON s.tenant = g.tenant AND s.lead_id = g.lead_id
    AND ((g.delivery_id <> '' AND s.delivery = 'id ' || g.delivery_id)
      OR (g.delivery_id = '' AND s.answer = 'accepted' AND (g.buyer = '' OR s.buyer = g.buyer)))
) matched
WHERE choice = 1""",
}


def with_sales(relations: Relations, given: Parameters) -> Tables:
    """Tables for a query. `sales`: one row per delivery first answered in the window, as it stands before `$as_of`; `returned`:
    what was given back of them by then, a row per return. `given` are the parameters, those of `bounds` among them."""
    return {**with_homes(relations, "sale_homes", _NAMELESS, _GIVEN, given), **_SALES}


def bounds(options: Options, as_of_ns: int = 0) -> dict[str, int]:
    """The parameters of `with_sales`: what is known before `as_of_ns`, 0 for all that is known."""
    return {
        "since": options.since_ns,
        "until": options.until_ns or END_OF_TIME,
        "as_of": as_of_ns or END_OF_TIME,
    }
