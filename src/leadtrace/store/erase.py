"""Removing a person's rows from the embedded store, in one transaction.

    what names the lead                        goes
    what names nobody, beneath that            goes: a foreign span, an event on one
    a trace in which nobody else is named      goes whole
    what a run told before it knew its lead    goes, where the run is nobody else's
    what names several leads                   stays for the others, without this one

That nothing of it is left in the file's pages and its log is `leadtrace.store.clean`'s part.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from leadtrace.otlp.ledger import boot_of, sequence_of
from leadtrace.otlp.plain import attributes_from_plain, attributes_to_plain, dumps_attributes, loads_attributes
from leadtrace.store.erased import Erased
from leadtrace.store.tombstones import add_erased, without_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import apsw

    from leadtrace.store.tombstones import Tombstones

__all__ = ["erase_rows"]

_MOST: Final = 500  # numbers in one IN (…)


def erase_rows(
    connection: apsw.Connection, tombstones: Tombstones, lead_ids: Sequence[str], tenant: str | None
) -> Erased:
    """Remove the records of those ids, note what was removed, and turn away what still comes.

    The ids are one lead's, by each key of the writers' ring; `tenant` None is any. Asked again, it removes what has come
    to be there since.
    """
    told = Erased(secrets.token_hex(8), time.time_ns())
    connection.execute("BEGIN IMMEDIATE")
    try:
        _Erasure(connection, lead_ids, tenant, told).run()
        tombstones.add(lead_ids, tenant, told.erased_ns)
        kept = {**told.counts(), "ranges": {boot: one.as_json() for boot, one in told.ranges.items()}}
        connection.execute("INSERT INTO erasures VALUES (?, ?, ?)", (told.receipt, told.erased_ns, json.dumps(kept)))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        tombstones.reload()
        raise
    return told


class _Row(NamedTuple):
    """A span or an event of a trace, as far as it says whose it is."""

    arrival: int
    span_id: bytes | None
    parent_id: bytes | None
    run_id: str | None
    own: bool
    """Whether it names this lead."""
    others: bool
    """Whether it names anybody else."""

    @property
    def nobody(self) -> bool:
        return not self.own and not self.others


class _Erasure:
    """One erasure within its transaction."""

    def __init__(self, connection: apsw.Connection, lead_ids: Sequence[str], tenant: str | None, told: Erased) -> None:
        self._connection = connection
        self._told = told
        self._tenant = tenant
        self._ids = list(dict.fromkeys(lead_ids))
        self._leads: dict[int, tuple[str, str]] = {}
        among, more = ("", ()) if tenant is None else ("AND tenant = ?", (tenant,))
        for lead_id in self._ids:
            sql = f"SELECT lead, tenant FROM leads WHERE lead_id = ? {among}"  # noqa: S608
            for number, own in connection.execute(sql, (lead_id, *more)):
                self._leads[number] = (own, lead_id)
        self._listed = ",".join(map(str, self._leads))
        self._gone = set(self._leads.values())
        self._delete: dict[str, set[int]] = {"spans": set(), "events": set()}
        self._change: dict[str, set[int]] = {"spans": set(), "events": set()}
        self._runs: dict[int, set[str]] = defaultdict(set)
        """By trace, the runs of records that go."""

    def run(self) -> None:
        execute, listed = self._connection.execute, self._listed
        traces = [n for (n,) in execute(f"SELECT DISTINCT trace FROM lead_traces WHERE lead IN ({listed})")]  # noqa: S608
        for trace in traces:
            self._choose(trace)
        runs = {run_id for found in self._runs.values() for run_id in found}
        for run_id in sorted(runs):
            self._choose_of_run(run_id)
        self._told.traces = sorted(self._trace_ids(self._runs))
        self._share()
        numbers = self._remove()
        for trace in self._runs:
            self._tidy(trace)
        for table in ("lead_traces", "shared", "leads"):
            execute(f"DELETE FROM {table} WHERE lead IN ({listed})")  # noqa: S608 - names above
        self._told.leads = len(self._leads)
        self._remove_set_aside()
        for boot, found in add_erased(self._connection, numbers).items():
            self._told.ranges[boot_of(boot)] = found

    # --- which records ------------------------------------------------------------------------------------------------

    def _choose(self, trace: int) -> None:
        """Choose what goes of a trace that names the lead."""
        spans, events = self._rows("spans", trace), self._rows("events", trace)
        alone = not any(one.others for one in (*spans, *events))
        self._runs[trace] |= {one.run_id for one in (*spans, *events) if one.run_id and (one.own or alone)}
        for table, rows in (("spans", spans), ("events", events)):
            self._delete[table].update(one.arrival for one in rows if alone or (one.own and not one.others))
            self._change[table].update(one.arrival for one in rows if one.own and one.others)
        if not alone:
            self._choose_beneath(spans, events)

    def _choose_of_run(self, run_id: str) -> None:
        """Choose what a run told without naming anybody, in other traces too, where nobody else is in it."""
        if self._has_others(run_id):
            return
        noted = self._connection.execute("SELECT trace FROM run_traces WHERE run_id = ?", (run_id,))
        for trace in [int(number) for (number,) in noted]:
            spans, events = self._rows("spans", trace), self._rows("events", trace)
            told = [one for one in (*spans, *events) if one.nobody and one.run_id == run_id]
            if not told:
                continue
            self._runs[trace].add(run_id)
            for table, rows in (("spans", spans), ("events", events)):
                self._delete[table].update(one.arrival for one in rows if one.nobody and one.run_id == run_id)
            self._choose_beneath(spans, events)

    def _choose_beneath(self, spans: Sequence[_Row], events: Sequence[_Row]) -> None:
        """Choose what names nobody and hangs under spans that go, through any number of each other."""
        children: dict[bytes | None, list[_Row]] = defaultdict(list)
        open_ones: list[bytes | None] = []
        for one in spans:
            if one.arrival in self._delete["spans"]:
                open_ones.append(one.span_id)
            elif one.nobody and one.parent_id is not None:
                children[one.parent_id].append(one)
        gone: set[bytes | None] = set()
        while open_ones:
            span_id = open_ones.pop()
            gone.add(span_id)
            for child in children.pop(span_id, ()):
                self._delete["spans"].add(child.arrival)
                open_ones.append(child.span_id)
        self._delete["events"].update(one.arrival for one in events if one.nobody and one.span_id in gone)

    def _has_others(self, run_id: str) -> bool:
        """Whether a record of the run names anybody else."""
        places = ",".join("?" * len(self._ids))
        return any(
            self._connection.execute(
                f"""SELECT 1 FROM run_traces CROSS JOIN {table} USING (trace)
                    WHERE run_traces.run_id = ? AND attributes ->> 'leadtrace.run_id' = run_traces.run_id
                    AND CASE WHEN lead IS NULL THEN EXISTS (
                            SELECT 1 FROM json_each(attributes, '$."leadtrace.lead_ids"') WHERE value NOT IN ({places}))
                        ELSE lead NOT IN ({self._listed}) END LIMIT 1""",  # noqa: S608 - names and numbers of ours
                (run_id, *self._ids),
            ).fetchone()
            for table in ("spans", "events")
        )

    def _rows(self, table: str, trace: int) -> list[_Row]:
        parent = "parent_id" if table == "spans" else "NULL"
        sql = f"""SELECT arrival, span_id, {parent}, lead, attributes ->> 'leadtrace.run_id',
                  attributes -> 'leadtrace.lead_ids', attributes ->> 'tenant_key' FROM {table} WHERE trace = ?"""  # noqa: S608
        found: list[_Row] = []
        for arrival, span_id, parent_id, lead, run_id, several, tenant in self._connection.execute(sql, (trace,)):
            own, others = lead in self._leads, lead is not None and lead not in self._leads
            if several is not None:
                listed = orjson.loads(several)
                for one in listed if isinstance(listed, list) else ():
                    mine = (str(tenant or ""), str(one)) in self._gone
                    own, others = own or mine, others or not mine
            run = None if run_id is None else str(run_id)
            found.append(_Row(arrival, span_id, parent_id, run, own, others))
        return found

    def _trace_ids(self, traces: Iterable[int]) -> Iterator[str]:
        for (trace_id,) in self._in_chunks("SELECT trace_id FROM traces WHERE trace IN", traces):
            if trace_id:
                yield trace_id.hex()

    # --- what becomes of them -----------------------------------------------------------------------------------------

    def _share(self) -> None:
        """What names several leads stays for the others."""
        execute = self._connection.execute
        for table, arrivals in self._change.items():
            for arrival in sorted(arrivals):
                attributes: str = execute(f"SELECT attributes FROM {table} WHERE arrival = ?", (arrival,)).get  # noqa: S608
                kept = without_ids(loads_attributes(attributes), self._gone)
                assert kept is not None
                execute(
                    f"UPDATE {table} SET attributes = ?, lead = iif(lead IN ({self._listed}), NULL, lead) WHERE arrival = ?",  # noqa: S608
                    (dumps_attributes(kept), arrival),
                )
                self._told.changed += 1

    def _remove(self) -> dict[int, list[int]]:
        """Delete the chosen rows; the numbers of the events among them, by boot."""
        numbers: dict[int, list[int]] = defaultdict(list)
        sql = "SELECT boot, sequence, attributes ->> 'log.record.uid' FROM events WHERE boot IS NOT NULL AND arrival IN"
        for boot, sequence, uid in self._in_chunks(sql, self._delete["events"]):
            if sequence_of(str(uid)):
                numbers[boot].append(sequence)
        for table, arrivals in self._delete.items():
            for _ in self._in_chunks(f"DELETE FROM {table} WHERE arrival IN", arrivals):  # noqa: S608
                pass
        self._told.spans, self._told.events = len(self._delete["spans"]), len(self._delete["events"])
        return numbers

    def _tidy(self, trace: int) -> None:
        """Remove what only led to records that are gone: the trace's own row, and those of its runs."""
        execute = self._connection.execute
        left = [*self._rows("spans", trace), *self._rows("events", trace)]
        there = {one.run_id for one in left}
        for run_id in self._runs[trace] - there:
            execute("DELETE FROM run_traces WHERE run_id = ? AND trace = ?", (run_id, trace))
        if not left:
            execute("DELETE FROM traces WHERE trace = ?", (trace,))

    def _remove_set_aside(self) -> None:
        """What was set aside, by what it says itself: there is no index of these few."""
        execute = self._connection.execute
        for lead_id in self._ids:
            sql = "SELECT set_aside, record FROM set_aside WHERE instr(record, ?)"  # a JSON string, whole
            rows: list[Any] = execute(sql, (orjson.dumps(lead_id).decode(),)).fetchall()
            for number, text in rows:
                record = orjson.loads(text)
                attributes = attributes_from_plain(record["attributes"])
                tenant = str(attributes.get("tenant_key", ""))
                if self._tenant not in (None, tenant):
                    continue
                kept = without_ids(attributes, {(tenant, lead_id)})
                if kept is None:
                    execute("DELETE FROM set_aside WHERE set_aside = ?", (number,))
                    self._told.set_aside += 1
                elif kept is not attributes:
                    record["attributes"] = attributes_to_plain(kept)
                    execute(
                        "UPDATE set_aside SET record = ? WHERE set_aside = ?", (orjson.dumps(record).decode(), number)
                    )
                    self._told.changed += 1

    def _in_chunks(self, sql: str, numbers: Iterable[int]) -> Iterator[tuple[Any, ...]]:
        ordered = sorted(numbers)
        for first in range(0, len(ordered), _MOST):
            yield from self._connection.execute(f"{sql} ({','.join(map(str, ordered[first : first + _MOST]))})")
