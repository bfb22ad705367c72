"""SQL of calls of services and buyers, one row for each, and of their tries by whom they went to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from leadtrace.analysis.sales import ANSWER_NAMES
from leadtrace.analysis.starts import NEAR, STARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadtrace.store.relations.interface import Relations

__all__ = ["CALLS", "SEVERAL", "SORTS", "Sort", "tried"]

Sort: TypeAlias = Literal["service", "buyer"]
SORTS: Final[tuple[Sort, ...]] = ("service", "buyer")

# One row per call: a call for several leads has an end event for each, on one span. Which spans have several is found by itself:
# they are few, and the many need no grouping.
_ENDED_BY: Final = f"('enhancement.success', 'enhancement.failed', 'enhancement.cancelled', {ANSWER_NAMES})"
SEVERAL: Final = {
    "several": f"""
SELECT span_id FROM lead_events
WHERE name IN {_ENDED_BY} AND word IN ('enhancement', 'delivery') AND span_id <> ''
GROUP BY span_id
HAVING count(*) > 1"""  # noqa: S608 - of constants alone
}
CALLS: Final = f"""
each_end AS NOT MATERIALIZED (
  SELECT CASE WHEN e.enhancement_name <> '' OR e.enhancement_service <> '' THEN 'service' ELSE 'buyer' END AS sort,
    CASE WHEN e.enhancement_service <> '' THEN e.enhancement_service WHEN e.enhancement_name <> '' THEN e.enhancement_name
      ELSE e.buyer END AS named,
    e.name AS name, e.duration_ms AS duration_ms, coalesce(e.cache_hit, 0) AS hit,
    CASE WHEN e.delivery_attempts > 0 THEN e.delivery_attempts - 1 ELSE coalesce(e.retry_count, 0) END AS retries,
    CASE WHEN e.failure_category <> '' THEN e.failure_category ELSE e.error_category END AS category,
    CASE WHEN e.failure_category <> '' THEN e.failure_subcategory ELSE e.error_subcategory END AS subcategory,
    CASE WHEN e.failure_category <> '' THEN e.failure_cause ELSE e.error_cause END AS cause, e.time_ns AS time_ns,
    e.tenant AS tenant, e.trace_id AS trace_id, e.span_id AS span_id,
    CASE WHEN e.word IN ('enhancement', 'delivery') AND e.span_id <> '' THEN 0 ELSE e.arrival END AS alone
  FROM lead_events e
  WHERE e.name IN {_ENDED_BY}
),
calls AS (
  SELECT sort, named, name, duration_ms, hit, retries, category, subcategory, cause, time_ns
  FROM each_end
  WHERE {{among}} AND span_id NOT IN (SELECT span_id FROM several)
  UNION ALL
  SELECT sort, named, min(name), max(duration_ms), max(hit), max(retries), max(category), max(subcategory), max(cause),
    min(time_ns)
  FROM each_end
  WHERE {{among}} AND span_id IN (SELECT span_id FROM several)
  GROUP BY sort, named, tenant, trace_id, span_id, alone
),
judged AS (
  SELECT sort, named, name, duration_ms, retries, category, subcategory, cause, time_ns,
    CASE WHEN name IN ('enhancement.cancelled', 'delivery.cancelled') THEN 'cancelled'
      WHEN hit = 1 THEN 'cached'
      WHEN name = 'enhancement.failed' AND category = 'data' THEN 'no_data'
      WHEN name IN ('enhancement.failed', 'delivery.failed') AND category IN ('processing', 'system') THEN 'own_fault'
      WHEN name IN ('enhancement.failed', 'delivery.failed', 'delivery.unconfirmed') THEN 'down'
      ELSE 'answered' END AS ended
  FROM calls
)"""  # noqa: S608 - as above
"""`calls`, and `judged`: how each ended. For a query that has the tables of `SEVERAL`; `among` chooses by `sort` and `named`."""

# Tries say which call they belong to by the span above them. There are many, so that where they belong is worked out where they
# are counted, and not laid out before (see `starts`).
_TRIES: Final = """
tries AS (
  SELECT parent_span_id, kind, http_status, error_subcategory, error_cause, time_ns
  FROM lead_events WHERE name IN ('api.call.succeeded', 'api.call.failed') AND parent_span_id <> ''{among}
),
homes AS ({homes}),
placed AS (
  SELECT CASE WHEN h.span_id IS NULL THEN 'lost' WHEN h.word NOT IN ('enhancement', 'delivery') THEN 'other'
      WHEN h.service <> '' THEN 'service' ELSE 'buyer' END AS sort,
    CASE WHEN h.span_id IS NULL THEN '' WHEN h.service <> '' THEN h.service ELSE h.buyer END AS named, t.kind AS kind,
    t.time_ns AS time_ns,
    CASE WHEN t.http_status = 429 OR t.error_cause = 'rate_limit' THEN 'limit'
      WHEN t.http_status IN (401, 403) OR t.error_subcategory = 'authentication' THEN 'credential' ELSE '' END AS refused
  FROM tries t
  LEFT JOIN homes h ON h.span_id = t.parent_span_id
)"""


def tried(relations: Relations, asked: str, among: str = "") -> Sequence[tuple[Any, ...]]:
    """What is asked of `placed` in the window, a row's first two columns `sort` and `named`; `among` is a condition of tries."""
    since, until = relations.part.since_ns, relations.part.until_ns
    near = " AND ".join([f"time_ns >= {since - NEAR}"] * bool(since) + [f"time_ns < {until}"] * bool(until))
    found: Sequence[tuple[Any, ...]] = ()
    for when in (near or "1 = 1", "1 = 1"):
        homes = STARTS.format(when=when, wanted="SELECT parent_span_id FROM tries")
        found = relations.query(asked.format(tries=_TRIES.format(among=among, homes=homes)))
        if not any(row[0] == "lost" for row in found):
            break
    return [row for row in found if row[0] in SORTS and row[1]]
