"""What the start of a span says of it: whose work it is, for what is told on it, or beneath it.

A span begins before what is told on it, mostly by less than a day. So its start is looked for near the window, and only where
some are not found there in all that is kept, which takes the longer the more that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from leadtrace.store.relations.interface import Parameters, Relations, Tables

__all__ = ["with_starts"]

_NEAR: Final = 86_400 * 10**9
_STARTS: Final = """
SELECT span_id, max(parent_span_id) AS parent, max(word) AS word, max(buyer) AS buyer,
  max(CASE WHEN enhancement_service <> '' THEN enhancement_service ELSE enhancement_name END) AS service
FROM all_events
WHERE kind = 'start' AND {when} AND span_id IN ({wanted})
GROUP BY span_id"""
_LOST: Final = """
SELECT DISTINCT span_id FROM ({wanted}) wanted WHERE span_id NOT IN (SELECT span_id FROM {near})"""


def with_starts(relations: Relations, name: str, wanted: str, tables: Tables, given: Parameters) -> Tables:
    """Those tables and one more of that name, a row for each span whose start is known: `span_id`, `parent`, `word`, `buyer`
    and `service` ('' where it says none). `wanted` selects the `span_id` of those that are asked for, none of them ''."""
    since, until = relations.part.since_ns, relations.part.until_ns
    bounds = [f"time_ns >= {since - _NEAR}"] * bool(since) + [f"time_ns < {until}"] * bool(until)
    if not bounds:
        return {**tables, name: _STARTS.format(when="1 = 1", wanted=wanted)}
    near, lost = f"{name}_near", f"{name}_lost"
    together = " AND ".join(bounds)
    found = {
        **tables,
        near: _STARTS.format(when=together, wanted=wanted),
        lost: _LOST.format(wanted=wanted, near=near),
    }
    both = f"SELECT span_id, parent, word, buyer, service FROM {near}"  # noqa: S608 - names of ours
    if relations.query(f"SELECT count(*) FROM {lost}", given, found)[0][0]:  # noqa: S608 - as above
        both += " UNION ALL" + _STARTS.format(when=f"NOT ({together})", wanted=f"SELECT span_id FROM {lost}")  # noqa: S608 - as above
    return {**found, name: both}
