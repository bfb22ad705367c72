"""Retention: removing what nobody has touched for so long, from the embedded store, in short transactions.

    a trace     goes when its newest record, and everything told since of each lead that it names, is older
    a lead      goes with its last trace
    no trace    records without one go with their lead or run, and what belongs to nobody by its own time

So no timeline is cut: until a lead goes, all of it stays. What is removed is noted as such (`erased`), so that it is no loss.
Between two transactions others append.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from leadtrace.otlp.ledger import sequence_of
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.tombstones import add_erased

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import apsw

    from leadtrace.store.embedded import EmbeddedStore

__all__ = ["Retained", "retain"]

_TRACES: Final = 200  # in one transaction
_ROWS: Final = 2_000  # of one trace in one transaction
_SETTLE_AT: Final = 200_000  # removed rows after which the columns are made anew


_NEWEST: Final = """
SELECT max((SELECT coalesce(max(max(start_ns, end_ns)), 0) FROM spans WHERE trace = ?1),
           (SELECT coalesce(max(time_ns), 0) FROM events WHERE trace = ?1))"""


@dataclass(slots=True)
class Retained:
    """What was removed so far, and how far it is through."""

    before_ns: int
    looked_at: int = 0
    """Traces."""
    of: int = 0
    traces: int = 0
    spans: int = 0
    events: int = 0
    leads: int = 0
    set_aside: int = 0

    def counts(self) -> dict[str, int]:
        """What was removed, by sort."""
        return {name: getattr(self, name) for name in ("leads", "traces", "spans", "events", "set_aside")}


def retain(
    store: EmbeddedStore, before_ns: int, told: Callable[[Retained], object] | None = None, dry: bool = False
) -> Retained:
    """Remove what was last touched before that moment. `told` hears of it after each transaction; what it raises ends it there.

    Stopped at any point, what is gone is gone whole and the rest is as it was; asked again, it goes on. With `dry` it only
    counts. Raises SourceError where the store is not open for writing.
    """
    found = Retained(before_ns)
    found.of = store.highest_trace()
    work, unsettled, at = _Work(found, dry), 0, 0
    while at < found.of:
        before = found.spans + found.events
        with store.writing() as connection:
            at = work.step(connection, at)
        unsettled += found.spans + found.events - before
        if unsettled > _SETTLE_AT and not dry:
            Upkeep(store).settle()
            unsettled = 0
        if told:
            told(found)
    with store.writing() as connection:
        work.finish(connection)
    if not dry:
        Upkeep(store).settle()
    return found


class _Work:
    def __init__(self, found: Retained, dry: bool) -> None:
        self._found = found
        self._dry = dry

    def step(self, connection: apsw.Connection, after: int) -> int:
        """Look at the next traces in one transaction; gives the last one looked at, or the one before if rows are left."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            last = after
            sql = "SELECT trace, trace_id, bucket FROM traces WHERE trace > ? ORDER BY trace LIMIT ?"
            rows: list[Any] = connection.execute(sql, (after, _TRACES)).fetchall()
            if not rows:
                last = self._found.of
            for trace, trace_id, bucket in rows:
                if trace_id or bucket:
                    self._trace(connection, trace)
                elif self._nobodys(connection, trace):
                    break  # more of it is left for the next transaction
                last = trace
            self._found.looked_at = last
            connection.execute("ROLLBACK" if self._dry else "COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return last

    def finish(self, connection: apsw.Connection) -> None:
        """Leads of which nothing is left, and what was set aside so long ago."""
        before = self._found.before_ns
        connection.execute("BEGIN IMMEDIATE")
        try:
            gone = "last_ns < ? AND NOT EXISTS (SELECT 1 FROM lead_traces WHERE lead_traces.lead = leads.lead)"
            if self._dry:
                held = "SELECT count(*) FROM leads WHERE last_ns < ?"
                self._found.leads = connection.execute(held, (before,)).get
            else:
                connection.execute(f"DELETE FROM shared WHERE lead IN (SELECT lead FROM leads WHERE {gone})", (before,))  # noqa: S608
                connection.execute(f"DELETE FROM leads WHERE {gone}", (before,))  # noqa: S608
                self._found.leads = connection.changes()
            connection.execute("DELETE FROM set_aside WHERE received_ns < ?", (before,))
            self._found.set_aside = connection.changes()
            connection.execute("ROLLBACK" if self._dry else "COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    # --- one trace ----------------------------------------------------------------------------------------------------

    def _trace(self, connection: apsw.Connection, trace: int) -> None:
        if connection.execute(_NEWEST, (trace,)).get >= self._found.before_ns:
            return
        leads, runs = self._named(connection, trace)
        if any(self._is_young(connection, lead) for lead in leads):
            return
        if not leads and any(self._goes_on(connection, run, trace) for run in runs):
            return  # what a flow told before it knew its lead
        self._remove(connection, "trace = ?", (trace,))
        pairs = [(lead, trace) for lead in leads]
        connection.executemany("DELETE FROM lead_traces WHERE lead = ? AND trace = ?", pairs)
        connection.executemany("DELETE FROM run_traces WHERE run_id = ? AND trace = ?", [(run, trace) for run in runs])
        connection.execute("DELETE FROM traces WHERE trace = ?", (trace,))
        self._found.traces += 1

    def _nobodys(self, connection: apsw.Connection, trace: int) -> bool:
        """What belongs to nobody, a piece of it; whether more of it may be there."""
        sql = "SELECT arrival FROM events WHERE trace = ? AND time_ns < ? LIMIT ?"
        arrivals = connection.execute(sql, (trace, self._found.before_ns, _ROWS)).fetchall()
        for (arrival,) in arrivals:
            self._remove(connection, "arrival = ?", (arrival,), ("events",))
        sql = "SELECT arrival FROM spans WHERE trace = ? AND max(start_ns, end_ns) < ? LIMIT ?"
        spans = connection.execute(sql, (trace, self._found.before_ns, _ROWS)).fetchall()
        for (arrival,) in spans:
            self._remove(connection, "arrival = ?", (arrival,), ("spans",))
        return not self._dry and _ROWS in (len(arrivals), len(spans))

    def _remove(
        self,
        connection: apsw.Connection,
        where: str,
        values: Sequence[Any],
        tables: Sequence[str] = ("spans", "events"),
    ) -> None:
        if "events" in tables:
            numbers: dict[int, list[int]] = defaultdict(list)
            sql = (
                f"SELECT boot, sequence, attributes ->> 'log.record.uid' FROM events WHERE {where} AND boot IS NOT NULL"  # noqa: S608
            )
            for boot, sequence, uid in connection.execute(sql, values):
                if sequence_of(str(uid)):
                    numbers[boot].append(sequence)
            add_erased(connection, numbers)
        for table in tables:
            connection.execute(f"DELETE FROM {table} WHERE {where}", values)  # noqa: S608 - names above
            setattr(self._found, table, getattr(self._found, table) + connection.changes())

    def _named(self, connection: apsw.Connection, trace: int) -> tuple[set[int], set[str]]:
        """The leads, by number, and the runs that a trace's records name."""
        leads: set[int] = set()
        runs: set[str] = set()
        for table in ("spans", "events"):
            sql = f"""SELECT lead, attributes ->> 'leadtrace.run_id', attributes -> 'leadtrace.lead_ids',
                      attributes ->> 'tenant_key' FROM {table} WHERE trace = ?"""  # noqa: S608 - names above
            for lead, run, several, tenant in connection.execute(sql, (trace,)):
                if lead is not None:
                    leads.add(lead)
                if run is not None:
                    runs.add(str(run))
                listed = orjson.loads(several) if several else ()
                for one in listed if isinstance(listed, list) else ():
                    number = connection.execute(
                        "SELECT lead FROM leads WHERE lead_id = ? AND tenant = ?", (str(one), str(tenant or ""))
                    ).get
                    if number is not None:
                        leads.add(number)
        return leads, runs

    def _is_young(self, connection: apsw.Connection, lead: int) -> bool:
        found: int | None = connection.execute("SELECT last_ns FROM leads WHERE lead = ?", (lead,)).get
        return found is not None and found >= self._found.before_ns

    def _goes_on(self, connection: apsw.Connection, run: str, trace: int) -> bool:
        """Whether the run has another trace that stays."""
        sql = "SELECT trace FROM run_traces WHERE run_id = ? AND trace <> ?"
        others: list[Any] = connection.execute(sql, (run, trace)).fetchall()
        for (other,) in others:
            leads, _ = self._named(connection, other)
            if connection.execute(_NEWEST, (other,)).get >= self._found.before_ns or any(
                self._is_young(connection, lead) for lead in leads
            ):
                return True
        return False
