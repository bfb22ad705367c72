"""What the start of a span says of it: whose work it is, for what is told on it, or beneath it.

A span begins before what is told on it, mostly by minutes. So its start is looked for near the window first, and only those that
are not found there further back, and at last in all that is kept, which takes the longer the more that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from leadtrace.store.relations.interface import Parameters, Relations, Tables

__all__ = ["NEAR", "STARTS", "with_starts"]

_HOUR: Final = 3_600 * 10**9
NEAR: Final = 2 * _HOUR
"""How far before the window is looked first."""
_FAR: Final = 48 * _HOUR
"""And then."""
_COLUMNS: Final = "span_id, parent, word, buyer, service"
STARTS: Final = """
SELECT span_id, max(parent_span_id) AS parent, max(word) AS word, max(buyer) AS buyer,
  max(CASE WHEN enhancement_service <> '' THEN enhancement_service ELSE enhancement_name END) AS service
FROM all_events
WHERE kind = 'start' AND ({when}) AND span_id IN ({wanted})
GROUP BY span_id"""
"""SQL of the starts of the spans that are `wanted`, at some time."""
_LOST: Final = """
SELECT DISTINCT span_id FROM ({wanted}) wanted WHERE span_id NOT IN (SELECT span_id FROM {found})"""


def with_starts(relations: Relations, name: str, wanted: str, tables: Tables, given: Parameters) -> Tables:
    """Those tables and one more of that name, a row for each span whose start is known: `span_id`, `parent`, `word`, `buyer`
    and `service` ('' where it says none). `wanted` selects the `span_id` of those that are asked for, none of them ''."""
    made = dict(tables)
    parts: list[str] = []
    for when in _pieces(relations.part.since_ns, relations.part.until_ns):
        found, lost = f"{name}_{len(parts)}", f"{name}_lost_{len(parts)}"
        made[found] = STARTS.format(when=when, wanted=wanted)
        parts.append(f"SELECT {_COLUMNS} FROM {found}")  # noqa: S608 - names of ours
        made[lost] = _LOST.format(wanted=wanted, found=found)
        if not relations.query(f"SELECT count(*) FROM {lost}", given, made)[0][0]:  # noqa: S608 - as above
            break
        wanted = f"SELECT span_id FROM {lost}"  # noqa: S608 - as above
    return {**made, name: " UNION ALL ".join(parts)}


def _pieces(since_ns: int, until_ns: int) -> list[str]:
    """All of time in pieces, in the order in which a start is looked for, as conditions."""
    before_end = f" AND time_ns < {until_ns}" if until_ns else ""
    after_end = f" OR time_ns >= {until_ns}" if until_ns else ""
    if not since_ns:
        return [f"1 = 1{before_end}", f"1 = 0{after_end}"]
    near, far = since_ns - NEAR, since_ns - _FAR
    return [
        f"time_ns >= {near}{before_end}",
        f"time_ns >= {far} AND time_ns < {near}",
        f"time_ns < {far}{after_end}",
    ]
