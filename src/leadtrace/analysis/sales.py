"""What deliveries came to, and what was given back: SQL that several analyses of money share.

A delivery is one lead offered to one buyer, by its id, else by its span, else each answer for itself, as in a timeline; its last
answer stands. It belongs to the moment of its first answer, so that a pending one that is accepted weeks later, or a sale that
is given back, changes the figures of its own week, and only as of the later date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from leadtrace.analysis.options import Options

__all__ = ["ANSWERS", "END_OF_TIME", "SALES", "bounds"]

ANSWERS: Final = ("accepted", "rejected", "pending", "failed", "unconfirmed", "cancelled")
END_OF_TIME: Final = 2**62
"""A time after all others: what an open end of a window is in SQL."""

_NAMES: Final = ", ".join(f"'delivery.{one}'" for one in ANSWERS)
_KEY: Final = """CASE WHEN e.delivery_id <> '' THEN 'id ' || e.delivery_id
    WHEN e.word = 'delivery' AND e.span_id <> '' THEN 'span ' || e.trace_id || e.span_id
    ELSE 'event ' || CAST(e.arrival AS VARCHAR) END"""

SALES: Final = f"""
told AS (
  SELECT e.tenant AS tenant, CASE WHEN e.lead_id <> '' THEN e.lead_id ELSE coalesce(r.lead_id, '') END AS lead_id,
    {_KEY} AS delivery, e.time_ns AS time_ns, substr(e.name, 10) AS answer, e.buyer AS buyer, e.delivery_id AS delivery_id,
    e.run_id AS run_id, e.revenue_micro AS revenue_micro, e.currency AS currency
  FROM all_events e
  LEFT JOIN lead_runs r ON r.run_id = e.run_id AND r.tenant = e.tenant AND e.lead_id = ''
  WHERE e.name IN ({_NAMES}) AND e.time_ns >= $since AND e.time_ns < $as_of
),
touched AS (
  SELECT DISTINCT tenant, lead_id, delivery FROM told WHERE time_ns < $until
),
earlier AS (
  SELECT DISTINCT e.tenant AS tenant, CASE WHEN e.lead_id <> '' THEN e.lead_id ELSE coalesce(r.lead_id, '') END AS lead_id,
    'id ' || e.delivery_id AS delivery
  FROM all_events e
  LEFT JOIN lead_runs r ON r.run_id = e.run_id AND r.tenant = e.tenant AND e.lead_id = ''
  WHERE e.name IN ({_NAMES}) AND e.time_ns < $since AND e.delivery_id <> ''
),
ranked AS (
  SELECT t.tenant, t.lead_id, t.delivery, t.time_ns, t.answer, t.revenue_micro, t.currency,
    max(t.buyer) OVER whole AS buyer, max(t.delivery_id) OVER whole AS delivery_id, max(t.run_id) OVER whole AS run_id,
    min(t.time_ns) OVER whole AS first_ns,
    max(CASE WHEN t.answer = 'pending' THEN 1 ELSE 0 END) OVER whole AS was_pending,
    row_number() OVER (
      PARTITION BY t.tenant, t.lead_id, t.delivery
      ORDER BY t.time_ns DESC, CASE WHEN t.answer = 'pending' THEN 1 ELSE 0 END, t.answer DESC,
        coalesce(t.revenue_micro, 0) DESC
    ) AS back
  FROM told t
  JOIN touched ON touched.tenant = t.tenant AND touched.lead_id = t.lead_id AND touched.delivery = t.delivery
  WINDOW whole AS (PARTITION BY t.tenant, t.lead_id, t.delivery)
),
sales AS (
  SELECT r.tenant AS tenant, r.lead_id AS lead_id, r.delivery AS delivery, r.delivery_id AS delivery_id, r.buyer AS buyer,
    r.run_id AS run_id, r.answer AS answer, r.first_ns AS first_ns, r.time_ns AS answered_ns, r.was_pending AS was_pending,
    CASE WHEN r.answer = 'accepted' THEN coalesce(r.revenue_micro, 0) ELSE 0 END AS revenue_micro, r.currency AS currency
  FROM ranked r
  LEFT JOIN earlier ON earlier.tenant = r.tenant AND earlier.lead_id = r.lead_id AND earlier.delivery = r.delivery
  WHERE r.back = 1 AND earlier.delivery IS NULL
),
given_back AS (
  SELECT e.arrival AS arrival, e.tenant AS tenant, e.lead_id AS lead_id, e.time_ns AS time_ns, e.buyer AS buyer,
    e.delivery_id AS delivery_id, e.return_micro AS return_micro, e.currency_said AS currency_said
  FROM all_events e
  WHERE e.name = 'lead.returned' AND e.time_ns >= $since AND e.time_ns < $as_of
),
matched AS (
  SELECT g.arrival AS arrival, s.tenant AS tenant, s.lead_id AS lead_id, s.delivery AS delivery, g.time_ns AS time_ns,
    g.return_micro AS return_micro, CASE WHEN g.currency_said <> '' THEN g.currency_said ELSE s.currency END AS currency,
    row_number() OVER (
      PARTITION BY g.arrival ORDER BY CASE WHEN s.answer = 'accepted' THEN 0 ELSE 1 END, s.answered_ns DESC, s.delivery
    ) AS choice
  FROM given_back g
  JOIN sales s ON s.tenant = g.tenant AND s.lead_id = g.lead_id
    AND ((g.delivery_id <> '' AND s.delivery_id = g.delivery_id)
      OR (g.delivery_id = '' AND s.answer = 'accepted' AND (g.buyer = '' OR s.buyer = g.buyer)))
),
returned AS (
  SELECT arrival, tenant, lead_id, delivery, currency, coalesce(return_micro, 0) AS return_micro,
    CASE WHEN return_micro IS NULL THEN 1 ELSE 0 END AS unnamed
  FROM matched WHERE choice = 1
)"""  # noqa: S608 - of constants alone
"""`sales`: one row per delivery first answered in the window, as it stands before `$as_of`; `returned`: what was given back
of them by then, a row per return. Parameters: `$since`, `$until`, `$as_of`. To stand behind WITH."""


def bounds(options: Options, as_of_ns: int = 0) -> dict[str, int]:
    """The parameters of `SALES`: what is known before `as_of_ns`, 0 for all that is known."""
    return {
        "since": options.since_ns,
        "until": options.until_ns or END_OF_TIME,
        "as_of": as_of_ns or END_OF_TIME,
    }
