"""One lead's part of a large trace: a nightly file of fifty thousand leads under one span is one trace.

Of a small trace all is read, and `query` picks what belongs. Of a large one that would be everybody's records for the sake
of one lead's, so what plainly belongs to others is left out here:

    file import                      ◄ kept: an ancestor
    ├── flow, lead L1                ◄ kept: names the lead
    │   └── HTTP call, no lead       ◄ kept: beneath it, and names nobody
    └── flow, lead L2                  left out, with all beneath it

A run handed over line by line is as many traces as it has lines: of those that do not name the lead, only the ones are read
in which the run says something about no lead. Whatever is left out, one record of another lead stays, so that a reader sees
that the run is not this lead's alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

__all__ = ["another_lead_of_run", "is_large", "part_of_lead", "traces_of_run"]

_LARGE: Final = 2_000  # spans, or events: some tens of milliseconds to read


def is_large(connection: apsw.Connection, trace: int) -> bool:
    """Whether a trace has so many records that one lead's are worth picking out."""
    return any(
        _count(connection, f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE trace = ? LIMIT ?)", (trace, _LARGE))  # noqa: S608
        >= _LARGE
        for table in ("spans", "events")
    )


def traces_of_run(connection: apsw.Connection, run_id: str, known: set[int]) -> tuple[set[int], set[int]]:
    """The traces of a run, without the known ones: those where a record of the run names no lead, and all of them."""
    rows = connection.execute("SELECT trace FROM run_traces WHERE run_id = ?", (run_id,))
    everything = {trace for (trace,) in rows} - known
    if not everything:
        return set(), everything
    needed: set[int] = set()
    for table in ("spans", "events"):
        sql = f"""SELECT DISTINCT trace FROM run_traces JOIN {table} USING (trace)
                  WHERE run_traces.run_id = ?1 AND lead IS NULL AND attributes ->> 'leadtrace.run_id' = ?1
                  AND attributes ->> 'leadtrace.lead_ids' IS NULL"""  # noqa: S608 - names above
        needed.update(trace for (trace,) in connection.execute(sql, (run_id,)))
    return needed - known, everything


def another_lead_of_run(connection: apsw.Connection, run_id: str, lead_id: str) -> tuple[int, int]:
    """The arrivals of a span, or else of an event, of the run that names another lead; 0 where none does."""
    for table in ("spans", "events"):
        sql = f"""SELECT arrival FROM run_traces CROSS JOIN {table} USING (trace)
                  WHERE run_traces.run_id = ?1 AND attributes ->> 'leadtrace.run_id' = ?1
                  AND CASE WHEN lead IS NULL THEN EXISTS (
                          SELECT 1 FROM json_each(attributes, '$."leadtrace.lead_ids"') WHERE value <> ?2)
                      ELSE lead NOT IN (SELECT lead FROM leads WHERE lead_id = ?2) END LIMIT 1"""  # noqa: S608
        for (arrival,) in connection.execute(sql, (run_id, lead_id)):
            return (int(arrival), 0) if table == "spans" else (0, int(arrival))
    return 0, 0


def part_of_lead(
    connection: apsw.Connection, trace: int, leads: Sequence[int], runs: Iterable[str] = ()
) -> tuple[list[int], list[int]]:
    """The arrivals of the spans and of the events of a large trace that the timelines of those leads and runs need."""
    listed = ",".join(map(str, leads))
    named = f"(lead IN ({listed}) OR arrival IN (SELECT arrival FROM shared WHERE lead IN ({listed})))"  # noqa: S608
    known = set(runs)
    for table in ("spans", "events"):
        sql = f"SELECT DISTINCT attributes ->> 'leadtrace.run_id' FROM {table} WHERE trace = ? AND {named}"  # noqa: S608
        known.update(run_id for (run_id,) in connection.execute(sql, (trace,)) if run_id)
    # What a run told before it knew its lead names the run alone.
    of_runs = f"""(lead IS NULL AND attributes ->> 'leadtrace.run_id' IN ({",".join("?" * len(known))})
                   AND attributes ->> 'leadtrace.lead_ids' IS NULL)"""
    named = f"({named} OR {of_runs})"
    spans: dict[bytes, int] = {}
    parents: list[bytes | None] = []
    sql = f"SELECT arrival, span_id, parent_id FROM spans WHERE trace = ? AND {named}"  # noqa: S608
    for arrival, span_id, parent_id in connection.execute(sql, (trace, *known)):
        spans[span_id] = arrival
        parents.append(parent_id)
    events: set[int] = set()
    sql = f"SELECT arrival, span_id FROM events WHERE trace = ? AND {named}"  # noqa: S608
    for arrival, span_id in connection.execute(sql, (trace, *known)):
        events.add(arrival)
        parents.append(span_id)
    _add_descendants(connection, trace, spans)
    for span_id, arrival in _events_of_nobody(connection, trace):
        if span_id in spans:
            events.add(arrival)
    _add_ancestors(connection, trace, parents, spans)
    return sorted(spans.values()), sorted(events)


def _add_descendants(connection: apsw.Connection, trace: int, spans: dict[bytes, int]) -> None:
    """The spans that name nobody, beneath those found: their nearest ancestor that names a lead is one of them."""
    children: dict[bytes, list[tuple[bytes, int]]] = defaultdict(list)
    sql = """SELECT parent_id, span_id, arrival FROM spans WHERE trace = ? AND lead IS NULL AND parent_id IS NOT NULL
             AND attributes ->> 'leadtrace.lead_ids' IS NULL"""
    for parent_id, span_id, arrival in connection.execute(sql, (trace,)):
        children[parent_id].append((span_id, arrival))
    open_ones = list(spans)
    while open_ones:
        for span_id, arrival in children.pop(open_ones.pop(), ()):
            if span_id not in spans:
                spans[span_id] = arrival
                open_ones.append(span_id)


def _events_of_nobody(connection: apsw.Connection, trace: int) -> Iterable[tuple[bytes, int]]:
    sql = """SELECT span_id, arrival FROM events WHERE trace = ? AND lead IS NULL AND span_id IS NOT NULL
             AND attributes ->> 'leadtrace.lead_ids' IS NULL"""
    return connection.execute(sql, (trace,))


def _add_ancestors(
    connection: apsw.Connection, trace: int, parents: Iterable[bytes | None], spans: dict[bytes, int]
) -> None:
    """The spans above those found, whoever they name: where in the trace the lead's work stands."""
    sql = "SELECT arrival, parent_id FROM spans WHERE trace = ? AND span_id = ?"
    for parent_id in parents:
        while parent_id is not None and parent_id not in spans:
            row = connection.execute(sql, (trace, parent_id)).fetchone()
            if row is None:
                break
            spans[parent_id], parent_id = row


def _count(connection: apsw.Connection, sql: str, values: tuple[int, int]) -> int:
    return int(connection.execute(sql, values).get)
