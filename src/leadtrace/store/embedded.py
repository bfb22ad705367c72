"""The embedded store: SQLite in one file, one writer, many readers, nothing to install.

What it promises:
- **Once.** The same batch twice changes nothing; a log record and the span event of one uid are one event.
- **Durable.** `append` returns when the batch is on the disk. A kill loses nothing that was returned, nor does a power
  cut where the disk keeps its word; a batch is there whole or not at all.
- **Readers.** Any number of processes and threads read beside the writer without waiting for it. Each answer is read in
  short pieces, so that the write-ahead log can be folded back into the file while somebody reads for hours.
- **One writer.** A second one is refused at once (`StoreLockedError`).
- **Erasure.** `erase` removes a lead's records from rows, indexes, free pages and log, keeps which numbers of events those
  were, and turns away what still arrives of that lead. Everything else goes on meanwhile, but for short waits.
"""

from __future__ import annotations

import contextlib
import threading
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from leadtrace.errors import SourceError
from leadtrace.otlp.plain import loads_attributes
from leadtrace.otlp.records import EventRecord, Resource, Scope, SpanRecord, lead_ids_of
from leadtrace.store.append import Appended, Appender
from leadtrace.store.clean import Needles, fold, longer_ids, replace_mentions, rewrite, search
from leadtrace.store.erase import erase_rows
from leadtrace.store.file import WriteLock, beside, connect_reader, connect_writer, plainly
from leadtrace.store.interface import EventFilter, Found, Holds, LeadFilter, LeadRow
from leadtrace.store.large_traces import another_lead_of_run, is_large, part_of_lead, traces_of_run
from leadtrace.store.relations.engine import SqlRelations, open_engine
from leadtrace.store.rows import event_of, id_bytes, span_of
from leadtrace.store.sequences import held_of, next_boot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import apsw

    from leadtrace.otlp.ledger import Held
    from leadtrace.otlp.tombstone import Readmitted
    from leadtrace.store.erased import Erased
    from leadtrace.store.relations.interface import Relations, Slice

__all__ = ["EmbeddedStore"]

_PAGE: Final = 1_000  # rows in one piece of a long answer
_STRETCH: Final = 200_000  # arrivals looked through in one piece: what bounds a read that finds nothing

_SPANS: Final = """
SELECT s.resource, s.scope, s.arrival, t.trace_id, s.span_id, s.parent_id, n.text, s.kind, s.start_ns, s.end_ns,
       s.status, s.flags, s.attributes, s.rest
FROM spans s JOIN traces t USING (trace) JOIN texts n ON n.text_id = s.name
WHERE """
_EVENTS: Final = """
SELECT e.resource, e.scope, e.arrival, t.trace_id, e.span_id, e.idx, e.time_ns, n.text, e.origin, e.observed_ns,
       e.severity, e.flags, e.attributes, e.rest
FROM events e JOIN traces t USING (trace) JOIN texts n ON n.text_id = e.name
WHERE """

_NOTES_UPDATES: Final = """
CREATE TEMP TRIGGER event_changed AFTER UPDATE ON main.events
WHEN old.arrival <= (SELECT value FROM counters WHERE name = 'watched')
BEGIN INSERT INTO column_changes (relation, arrival) VALUES (2, old.arrival); END"""
"""Columns may hold rows that are updated here; what appending updates it notes itself."""


class EmbeddedStore:
    """A `Source` over one SQLite file, and, opened with `write`, the place where records go."""

    def __init__(self, path: Path, lock: WriteLock | None, writer: apsw.Connection | None) -> None:
        """Use `open`."""
        self.path: Final = path
        self._lock = lock
        self._writer = writer
        self._appender = Appender(writer) if writer else None
        self._appending = threading.Lock()
        self._idle: list[apsw.Connection] = []  # a list's append and pop are safe among threads
        self._closed = False
        self._resources: dict[int, Resource] = {}
        self._scopes: dict[int, Scope] = {}

    @classmethod
    def open(cls, path: str | Path, write: bool = False) -> EmbeddedStore:
        """Open the store at `path`; with `write` as its one writer, which makes it if it is not there.

        Raises SourceError where there is no such file or it cannot be read, StoreLockedError where another process
        writes it, StoreDamagedError where it is damaged or no store of ours.
        """
        path = Path(path).expanduser().absolute()
        if not write:
            store = cls(path, None, None)
            store._idle.append(connect_reader(path))
            return store
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as cause:
            raise SourceError(
                f"the folder of the store {path} cannot be made", cause=cause.strerror or str(cause)
            ) from cause
        lock = WriteLock(path)
        try:
            return cls(path, lock, connect_writer(path))
        except BaseException:
            lock.release()
            raise

    @property
    def url(self) -> str:
        return str(self.path)

    @property
    def holds(self) -> Holds:
        return Holds()

    def close(self) -> None:
        """Close all connections; a writer folds its log back into the file and lets another one write."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        with self._appending:
            if self._writer:
                self._writer.close()
                self._writer = self._appender = None
            if self._lock:
                self._lock.release()
                self._lock = None

    # --- writing ------------------------------------------------------------------------------------------------------

    def append(self, spans: Iterable[SpanRecord], events: Iterable[EventRecord]) -> Appended:
        """Store a batch; on the disk when this returns. Any thread may call it; batches go in one after the other."""
        with self._appending, plainly(self.path):
            if self._appender is None:
                raise SourceError(f"the store {self.path} is not open for writing")
            return self._appender.append(spans, events)

    def erase(self, lead_ids: Sequence[str], tenant: str | None = None) -> Erased:
        """Remove a lead, recorded under those ids, and turn away what still arrives of it; `tenant` None is any.

        What could not be made sure of is in the answer's `left`: asked again, it goes on from there. Raises SourceError
        where the store is not open for writing, or cannot be written; nothing is removed then.
        """
        with self._erasing() as (writer, appender):
            longer = longer_ids(writer, lead_ids)
            told = erase_rows(writer, appender.tombstones, lead_ids, tenant)
            told.store = self.path.name
            old = not writer.execute("SELECT value FROM counters WHERE name = 'overwrites'").get
            if old:  # written by a leadtrace that did not overwrite
                rewrite(writer)
                told.rewritten = True
            folded = fold(writer)
        needles = Needles(lead_ids, longer)
        found, told.searched_bytes = search(self.path, needles)  # while others write: an erased lead comes no more
        if found and folded:
            with self._erasing() as (writer, _):
                told.changed += replace_mentions(writer, needles)
                folded = fold(writer)
            found, told.searched_bytes = search(self.path, needles)
        if found and folded and not told.rewritten:
            with self._erasing() as (writer, _):
                rewrite(writer)
                folded = fold(writer)
            told.rewritten = True
            found, told.searched_bytes = search(self.path, needles)
        told.left += self._settle_columns()
        if not folded:
            told.left.append("the write-ahead log could not be emptied, because somebody reads the store: ask again")
        elif found:
            told.left.append("an id of the lead is still in the store's file, as a part of a longer word")
        return told

    def readmit(self, lead_ids: Sequence[str], tenant: str | None = None) -> Readmitted:
        """Store what arrives of a lead again that was erased, with the same tenant; raises SourceError as `erase` does."""
        with self._erasing() as (_, appender):
            return appender.tombstones.lift(lead_ids, tenant)

    def _settle_columns(self) -> list[str]:
        """See to it that nothing of erased rows is left in the columnar copy; what could not be done, as sentences."""
        from leadtrace.store.columns.upkeep import Upkeep

        try:
            Upkeep(self).settle()
        except SourceError as problem:
            return [f"the columnar copy may still hold the lead, because {problem}: ask again"]
        return []

    @contextlib.contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """The one writing connection, for as long as nobody appends. Raises SourceError where the store is open for reading."""
        with self._erasing() as (writer, _):
            yield writer

    @contextlib.contextmanager
    def _erasing(self) -> Iterator[tuple[apsw.Connection, Appender]]:
        """The writer, for as long as nobody appends; what it remembers of rows is forgotten afterwards."""
        with self._appending, plainly(self.path):
            if self._writer is None or self._appender is None:
                raise SourceError(f"the store {self.path} is not open for writing")
            self._writer.execute(_NOTES_UPDATES)
            try:
                yield self._writer, self._appender
            finally:
                self._writer.execute("DROP TRIGGER IF EXISTS temp.event_changed")
                self._appender.forget()

    def size(self) -> int:
        """How many bytes the store takes on the disk, its log included."""
        files = (beside(self.path, suffix) for suffix in ("", "-wal"))
        return sum(one.stat().st_size for one in files if one.exists())

    def highest_trace(self) -> int:
        """The number of the trace that came last; numbers rise and are not used again."""
        with self._reading() as connection:
            return connection.execute("SELECT max(trace) FROM traces").get or 0

    def counts(self) -> dict[str, int]:
        """How many records of each sort lie in the store; reads whole indexes."""
        tables = ("spans", "events", "leads", "set_aside")
        with self._reading() as connection:
            return {table: connection.execute(f"SELECT count(*) FROM {table}").get for table in tables}  # noqa: S608 - names above

    # --- reading ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _reading(self) -> Iterator[apsw.Connection]:
        """A connection for one short read; what it sees is one state of the store."""
        if self._closed:
            raise SourceError(f"the store {self.path} has been closed")
        with plainly(self.path):
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = connect_reader(self.path)
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                connection.execute("ROLLBACK")
                if self._closed:
                    connection.close()
                else:
                    self._idle.append(connection)

    def lead(self, lead_id: str, tenant: str | None = None) -> Found:
        found = Found()
        with self._reading() as connection:
            leads = self._leads_named(connection, lead_id, tenant)
            traces = set(_ints(connection, "SELECT trace FROM lead_traces WHERE lead IN", leads))
            cut = self._read_traces(connection, traces, found, leads)
            # A run may lie in traces that do not name the lead yet, or no more.
            runs = _runs_of(found, lead_id)
            others: set[int] = set()
            for run_id in runs:
                needed, all_of_run = traces_of_run(connection, run_id, traces)
                others |= needed
                cut |= needed != all_of_run
            cut |= self._read_traces(connection, others, found, leads, runs)
            if cut:
                self._read_witnesses(connection, runs, lead_id, found)
        return found

    def trace(self, trace_id: str) -> Found:
        found = Found()
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT trace FROM traces WHERE trace_id = ? AND bucket = ''", (id_bytes(trace_id),)
            )
            self._read_traces(connection, {number for (number,) in rows} if trace_id else set(), found)
        return found

    def leads(self, which: LeadFilter) -> Iterator[LeadRow]:
        conditions: list[str] = ["1"]
        values: list[Any] = []
        if which.since_ns:
            conditions.append("last_ns >= ?")
            values.append(which.since_ns)
        if which.until_ns:
            conditions.append("first_ns < ?")
            values.append(which.until_ns)
        for column, asked in (
            ("tenant", which.tenant),
            ("state", which.state or None),
            ("outcome", which.outcome or None),
        ):
            if asked is not None:
                conditions.append(f"{column} = ?")
                values.append(asked)
        if which.contains:
            conditions.append("instr(lead_id, ?)")
            values.append(which.contains)
        # Which leads, first, and only then what is known of them: a lead that is touched meanwhile moves in the order.
        sql = f"SELECT lead FROM leads WHERE {' AND '.join(conditions)} ORDER BY last_ns DESC, lead DESC LIMIT ?"  # noqa: S608
        with self._reading() as connection:
            numbers = [number for (number,) in connection.execute(sql, (*values, which.limit or -1))]
        columns = "SELECT lead_id, tenant, first_ns, last_ns, state, outcome FROM leads WHERE lead = ?"
        for first in range(0, len(numbers), _PAGE):
            with self._reading() as connection:
                rows = [connection.execute(columns, (one,)).fetchone() for one in numbers[first : first + _PAGE]]
            yield from (LeadRow(*row) for row in rows if row)

    def events(self, which: EventFilter) -> Iterator[EventRecord]:
        given = 0
        for arrivals in self._arrivals(which):
            for first in range(0, len(arrivals), _PAGE):
                with self._reading() as connection:
                    rows = connection.executemany(
                        _EVENTS + "e.arrival = ?", ((n,) for n in arrivals[first : first + _PAGE])
                    )
                    page = [self._event(connection, row) for row in rows]
                for event in page:
                    yield event
                    given += 1
                    if which.limit and given >= which.limit:
                        return

    def nearest(self, lead_id: str, tenant: str | None = None) -> str:
        among = "" if tenant is None else "AND tenant = ?2"
        values = (lead_id,) if tenant is None else (lead_id, tenant)
        near: dict[str, None] = {}
        with self._reading() as connection:
            for sql in (
                f"SELECT lead_id FROM leads WHERE lead_id >= ?1 {among} ORDER BY lead_id LIMIT 100",  # noqa: S608
                f"SELECT lead_id FROM leads WHERE lead_id < ?1 {among} ORDER BY lead_id DESC LIMIT 100",  # noqa: S608
                f"SELECT lead_id FROM leads WHERE ?1 <> '' {among} ORDER BY last_ns DESC LIMIT 5000",  # noqa: S608
            ):
                near.update((one, None) for (one,) in connection.execute(sql, values))
        return next(iter(get_close_matches(lead_id, near, 1)), "")

    @contextlib.contextmanager
    def relations(self, part: Slice, few: bool = False) -> Iterator[Relations]:
        """The records as relations for SQL, of the state that the store is in now.

        They are read from the columnar copy, where there is one, unless `few` are looked for; the answers are the same.
        """
        if self._closed:
            raise SourceError(f"the store {self.path} has been closed")
        with plainly(self.path):
            engine, notes = open_engine(self.path, few)
            try:
                yield SqlRelations(engine, self, part, notes=notes)
            finally:
                engine.close()

    def sequences(self) -> Iterator[Held]:
        boot: int | None = None
        while True:
            with self._reading() as connection:
                boot = next_boot(connection, boot)
            if boot is None:
                return
            if (held := held_of(self._reading, boot)) is not None:
                yield held

    # --- pieces of an answer ------------------------------------------------------------------------------------------

    def _leads_named(self, connection: apsw.Connection, lead_id: str, tenant: str | None) -> list[int]:
        among, values = ("", (lead_id,)) if tenant is None else ("AND tenant = ?", (lead_id, tenant))
        return [n for (n,) in connection.execute(f"SELECT lead FROM leads WHERE lead_id = ? {among}", values)]  # noqa: S608

    def _read_traces(
        self,
        connection: apsw.Connection,
        traces: Iterable[int],
        found: Found,
        leads: Sequence[int] = (),
        runs: Iterable[str] = (),
    ) -> bool:
        """Add the records of those traces, of large ones only what the leads and runs need, where some are named.

        Whether any record was left out.
        """
        cut = False
        for trace in sorted(traces):
            if leads and is_large(connection, trace):
                cut = True
                spans, events = part_of_lead(connection, trace, leads, runs)
                span_rows = connection.executemany(_SPANS + "s.arrival = ?", [(one,) for one in spans])
                event_rows = connection.executemany(_EVENTS + "e.arrival = ?", [(one,) for one in events])
            else:
                span_rows = connection.execute(_SPANS + "s.trace = ?", (trace,))
                event_rows = connection.execute(_EVENTS + "e.trace = ?", (trace,))
            found.spans += [self._span(connection, row) for row in span_rows]
            found.events += [self._event(connection, row) for row in event_rows]
        return cut

    def _read_witnesses(self, connection: apsw.Connection, runs: Iterable[str], lead_id: str, found: Found) -> None:
        """One record of another lead per run that has any, where others' were left out: else the run seems to be this lead's."""
        there = {one.arrival for one in found.spans} | {one.arrival for one in found.events}
        for run_id in sorted(runs):
            span, event = another_lead_of_run(connection, run_id, lead_id)
            if span and span not in there:
                rows = connection.execute(_SPANS + "s.arrival = ?", (span,))
                found.spans += [self._span(connection, row) for row in rows]
            if event and event not in there:
                rows = connection.execute(_EVENTS + "e.arrival = ?", (event,))
                found.events += [self._event(connection, row) for row in rows]

    def _span(self, connection: apsw.Connection, row: Sequence[Any]) -> SpanRecord:
        return span_of(tuple(row[2:]), self._resource(connection, row[0]), self._scope(connection, row[1]))

    def _event(self, connection: apsw.Connection, row: Sequence[Any]) -> EventRecord:
        return event_of(tuple(row[2:]), self._resource(connection, row[0]), self._scope(connection, row[1]))

    def _resource(self, connection: apsw.Connection, number: int) -> Resource:
        found = self._resources.get(number)
        if found is None:
            sql = "SELECT attributes, schema_url FROM resources WHERE resource = ?"
            ((attributes, url),) = connection.execute(sql, (number,))
            found = self._resources[number] = Resource(loads_attributes(attributes), url)
        return found

    def _scope(self, connection: apsw.Connection, number: int) -> Scope:
        found = self._scopes.get(number)
        if found is None:
            sql = "SELECT name, version, attributes, schema_url FROM scopes WHERE scope = ?"
            ((name, version, attributes, url),) = connection.execute(sql, (number,))
            found = self._scopes[number] = Scope(name, version, loads_attributes(attributes), url)
        return found

    def _arrivals(self, which: EventFilter) -> Iterator[list[int]]:
        """The arrivals of the asked events in their order, a stretch at a time."""
        with self._reading() as connection:
            conditions, values = _conditions(connection, which)
            if conditions is None:
                return
            if which.lead_id or which.trace_id:
                yield self._arrivals_in_traces(connection, which, conditions, values)
                return
            at, last = _bounds(connection, which)
        sql = f"SELECT arrival FROM events e WHERE arrival > ? AND arrival <= ? {conditions} ORDER BY arrival LIMIT ?"  # noqa: S608
        while at < last:
            stretch = min(last, at + _STRETCH)
            with self._reading() as connection:
                found = [n for (n,) in connection.execute(sql, (at, stretch, *values, which.limit or -1))]
            yield found
            at = stretch

    def _arrivals_in_traces(
        self, connection: apsw.Connection, which: EventFilter, conditions: str, values: list[Any]
    ) -> list[int]:
        if which.trace_id:
            rows = connection.execute(
                "SELECT trace FROM traces WHERE trace_id = ? AND bucket = ''", (id_bytes(which.trace_id),)
            )
            traces = {number for (number,) in rows}
        if which.lead_id:
            leads = self._leads_named(connection, which.lead_id, which.tenant)
            of_lead = set(_ints(connection, "SELECT trace FROM lead_traces WHERE lead IN", leads))
            traces = traces & of_lead if which.trace_id else of_lead
            listed = ",".join(map(str, leads))
            conditions += (
                f" AND (e.lead IN ({listed}) OR e.arrival IN (SELECT arrival FROM shared WHERE lead IN ({listed})))"  # noqa: S608
            )
        # There is no index of events by lead: the traces of a lead are few range reads.
        sql = f"SELECT arrival FROM events e INDEXED BY events_by_trace WHERE trace = ? AND arrival > ? {conditions}"  # noqa: S608
        return sorted(n for trace in traces for (n,) in connection.execute(sql, (trace, which.after_arrival, *values)))


def _runs_of(found: Found, lead_id: str) -> set[str]:
    """The runs that records naming the lead belong to."""
    records: list[SpanRecord | EventRecord] = [*found.spans, *found.events]
    runs: set[str] = set()
    for one in records:
        said = one.attributes
        if (run := said.get("leadtrace.run_id")) is None or str(run) in runs:
            continue
        if lead_id in lead_ids_of(said):
            runs.add(str(run))
    return runs


def _bounds(connection: apsw.Connection, which: EventFilter) -> tuple[int, int]:
    """Between which arrivals the asked events lie: after the first number, up to the second."""
    one = "SELECT {}(arrival) FROM events"
    conditions, values = _window(which)
    if conditions:
        one += f" WHERE {' AND '.join(conditions)}"
    # Apart, because SQLite finds one end of a table at once, and both together by reading all of it.
    least, most = (_integer(connection, one.format(end), values) for end in ("min", "max"))
    return (0, 0) if least is None or most is None else (max(which.after_arrival, least - 1), most)


def _integer(connection: apsw.Connection, sql: str, values: Sequence[Any]) -> int | None:
    ((found,),) = connection.execute(sql, values).fetchall()
    return None if found is None else int(found)


def _conditions(connection: apsw.Connection, which: EventFilter) -> tuple[str | None, list[Any]]:
    """The SQL of a filter's conditions on columns, None where nothing can fit them."""
    conditions, values = _window(which)
    for column, asked in (("name", which.names), ("kind", which.kinds)):
        if asked:
            numbers = [number for one in asked for number in _texts_like(connection, one)]
            if not numbers:
                return None, []
            conditions.append(f"{column} IN ({','.join(map(str, numbers))})")
    if which.tenant == "":
        conditions.append("tenant IS NULL")
    elif which.tenant is not None:
        numbers = list(_texts_like(connection, which.tenant, exactly=True))
        if not numbers:
            return None, []
        conditions.append(f"tenant = {numbers[0]}")
    return "".join(f" AND {one}" for one in conditions), values


def _window(which: EventFilter) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if which.since_ns:
        conditions.append("time_ns >= ?")
        values.append(which.since_ns)
    if which.until_ns:
        conditions.append("time_ns < ?")
        values.append(which.until_ns)
    return conditions, values


def _texts_like(connection: apsw.Connection, text: str, exactly: bool = False) -> Iterator[int]:
    """The numbers of the texts that a filter means: itself, or with `.*` all that begin so."""
    if text.endswith(".*") and not exactly:
        start = text[:-1]
        rows = connection.execute("SELECT text_id FROM texts WHERE text >= ? AND text < ?", (start, start[:-1] + "/"))
    else:
        rows = connection.execute("SELECT text_id FROM texts WHERE text = ?", (text,))
    return (number for (number,) in rows)


def _ints(connection: apsw.Connection, sql: str, numbers: Sequence[int]) -> Iterator[int]:
    return (n for (n,) in connection.execute(f"{sql} ({','.join(map(str, numbers))})"))
