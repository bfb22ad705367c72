"""How records enter the embedded store: one batch, one durable transaction, each record once.

    span   new ─────────────────────► stored
           same ids, unfinished ────► replaced by the later one
           same ids, equal ─────────► nothing
           same ids, other content ─► set aside, with its events that bring no uid
    any    of an erased lead ────────► turned away; what names others too stays for them
    event  new ─────────────────────► stored
           its other half is there ─► united (a log record and the span event of one uid)
           the same half again ─────► nothing, or set aside where it says something else

Nothing that decodes is refused. Numbers of texts, traces, resources and scopes are remembered between batches; if a
transaction fails they are forgotten, because the rows behind them went with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from leadtrace.otlp.plain import dumps_attributes, event_to_plain, span_to_plain
from leadtrace.store.rows import (
    LOG,
    SPAN,
    digest_of,
    event_digest,
    event_rest,
    id_bytes,
    same_record,
    span_rest,
    uid_of,
)
from leadtrace.store.summaries import summarise_leads
from leadtrace.store.tombstones import Tombstones, add_erased

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

    from leadtrace.otlp.records import EventRecord, Resource, Scope, SpanRecord

__all__ = ["Appended", "Appender"]

_MAX: Final = 2**63 - 1  # of SQLite's integers; a time beyond it stands whole in `rest`
_TOO_LATE: Final = 2**63
_SEVERAL: Final = "leadtrace.lead_ids"
_TEXT: Final = (str, type(None))
_REMEMBERED: Final = 100_000  # numbers of one sort kept between batches
_STATUS: Final = {"unset": 0, "ok": 1, "error": 2}
_ORIGIN: Final = {"log": LOG, "span": SPAN, "both": LOG | SPAN}


def _places(columns: int) -> str:
    return f"VALUES ({','.join('?' * columns)})"


_SPAN: Final = "INSERT INTO spans " + _places(16) + " ON CONFLICT (trace, span_id) DO NOTHING"
_EVENT: Final = "INSERT INTO events " + _places(20)
_EVENT_BY_DIGEST: Final = _EVENT + " ON CONFLICT (time_ns, digest) WHERE digest IS NOT NULL DO NOTHING"
_EVENT_BY_UID: Final = (
    _EVENT
    + """
ON CONFLICT (boot, sequence) WHERE boot IS NOT NULL DO UPDATE SET
  origin = 3,
  idx = coalesce(idx, excluded.idx),
  trace = iif(span_id IS NULL, excluded.trace, trace),
  span_id = coalesce(span_id, excluded.span_id),
  -- The log record is the primary record: what it says stands.
  lead = iif(excluded.origin = 1, excluded.lead, lead),
  kind = iif(excluded.origin = 1, excluded.kind, kind),
  tenant = iif(excluded.origin = 1, excluded.tenant, tenant),
  time_ns = iif(excluded.origin = 1, excluded.time_ns, time_ns),
  observed_ns = iif(excluded.origin = 1, excluded.observed_ns, observed_ns),
  severity = iif(excluded.origin = 1, excluded.severity, severity),
  flags = iif(excluded.origin = 1, excluded.flags, flags),
  resource = iif(excluded.origin = 1, excluded.resource, resource),
  scope = iif(excluded.origin = 1, excluded.scope, scope),
  attributes = iif(excluded.origin = 1, excluded.attributes, attributes),
  rest = iif(excluded.origin = 1, excluded.rest, rest)
WHERE origin + excluded.origin = 3 AND name = excluded.name"""
)
# Only for records that are there under this arrival: not for what was repeated, united or set aside.
_SHARED: Final = """
INSERT OR IGNORE INTO shared SELECT ?1, ?2
WHERE EXISTS (SELECT 1 FROM spans WHERE arrival = ?2) OR EXISTS (SELECT 1 FROM events WHERE arrival = ?2)"""


# More than what was united is noted by it: what is noted is read from here instead of from a copy, and is the same.
_NOTE: Final = """
INSERT INTO column_changes (relation, arrival)
SELECT 2, arrival FROM events WHERE boot = ? AND sequence = ? AND arrival <= ?"""


@dataclass(slots=True)
class Appended:
    """What became of a batch's records, spans and events together."""

    stored: int = 0
    united: int = 0
    """Events whose other half was there."""
    repeated: int = 0
    """Records that were there already."""
    replaced: int = 0
    """Spans that took the place of their unfinished form."""
    set_aside: int = 0
    erased: int = 0
    """Records turned away, because a lead that they name was erased."""

    def add(self, other: Appended) -> None:
        self.stored += other.stored
        self.united += other.united
        self.repeated += other.repeated
        self.replaced += other.replaced
        self.set_aside += other.set_aside
        self.erased += other.erased


class Appender:
    """Writes batches through one connection; not for several threads at once."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.tombstones = Tombstones(connection)
        self.forget()
        self._arrival: int = connection.execute("SELECT value FROM counters WHERE name = 'arrival'").get

    def forget(self) -> None:
        """Forget which numbers texts, traces, resources and scopes have: rows behind them may be gone."""
        self._texts: dict[str, int] = {}
        self._traces: dict[tuple[bytes, str], int] = {}
        self._resources: dict[bytes, int] = {}
        self._scopes: dict[bytes, int] = {}

    def append(self, spans: Iterable[SpanRecord], events: Iterable[EventRecord]) -> Appended:
        """Store a batch in one transaction, on the disk when this returns; a failure leaves the store as it was."""
        before = self._arrival
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            sifted = self.tombstones.sift(spans, events)
            told = _Batch(self).store(sifted.spans, sifted.events)
            told.erased = sifted.erased
            add_erased(self._connection, sifted.numbers)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk ends it by itself
                self._connection.execute("ROLLBACK")
            self._arrival = before
            self.forget()
            raise
        finally:
            for remembered in (self._texts, self._traces, self._resources, self._scopes):
                if len(remembered) > _REMEMBERED:
                    remembered.clear()
        return told

    def next_arrival(self) -> int:
        self._arrival += 1
        return self._arrival

    @property
    def arrival(self) -> int:
        """The highest arrival given so far."""
        return self._arrival

    def execute(self, sql: str, values: Sequence[Any] = ()) -> apsw.Cursor:
        return self._connection.execute(sql, values)

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement for each row; how many rows of the table it changed. (RETURNING would double its cost.)"""
        before = self._connection.total_changes()
        self._connection.executemany(sql, rows)
        return self._connection.total_changes() - before

    def watched(self) -> int:
        """Up to which arrival changes are to be noted, because rows up to there may have been copied; 0: of none."""
        found: int = self._connection.execute("SELECT value FROM counters WHERE name = 'watched'").get
        return found

    def changes(self) -> int:
        """How many rows the last statement changed."""
        return self._connection.changes()

    def text(self, text: str) -> int:
        """The number of a name, kind or tenant."""
        number = self._texts.get(text)
        if number is None:
            number = self._number(
                "SELECT text_id FROM texts WHERE text = ?", "INSERT INTO texts (text) VALUES (?)", (text,)
            )
            self._texts[text] = number
        return number

    def trace(self, trace_id: bytes, bucket: str) -> int:
        """The number of a trace, or of the bucket of records that have none."""
        key = (trace_id, bucket)
        number = self._traces.get(key)
        if number is None:
            number = self._traces[key] = self._number(
                "SELECT trace FROM traces WHERE trace_id = ? AND bucket = ?",
                "INSERT INTO traces (trace_id, bucket) VALUES (?, ?)",
                key,
            )
        return number

    def resource(self, resource: Resource) -> tuple[int, bytes]:
        """The number and the digest of a resource."""
        attributes = dumps_attributes(resource.attributes)
        digest = digest_of(attributes, resource.schema_url)
        number = self._resources.get(digest)
        if number is None:
            number = self._resources[digest] = self._number(
                "SELECT resource FROM resources WHERE digest = ?1",
                "INSERT INTO resources (digest, service, attributes, schema_url) VALUES (?, ?, ?, ?)",
                (digest, resource.service, attributes, resource.schema_url),
            )
        return number, digest

    def scope(self, scope: Scope) -> tuple[int, bytes]:
        """The number and the digest of an instrumentation scope."""
        attributes = dumps_attributes(scope.attributes)
        digest = digest_of(scope.name, scope.version, attributes, scope.schema_url)
        number = self._scopes.get(digest)
        if number is None:
            number = self._scopes[digest] = self._number(
                "SELECT scope FROM scopes WHERE digest = ?1",
                "INSERT INTO scopes (digest, name, version, attributes, schema_url) VALUES (?, ?, ?, ?, ?)",
                (digest, scope.name, scope.version, attributes, scope.schema_url),
            )
        return number, digest

    def _number(self, select: str, insert: str, values: Sequence[Any]) -> int:
        asked = values[:1] if "?1" in select else values
        for (found,) in self._connection.execute(select, asked):
            return int(found)
        self._connection.execute(insert, values)
        return self._connection.last_insert_rowid()


_Place: TypeAlias = "tuple[int, int | None, int | None]"  # trace, lead, tenant


class _Batch:
    """One batch on its way in."""

    def __init__(self, store: Appender) -> None:
        self._store = store
        self._told = Appended()
        self._now = time.time_ns()
        self._leads: dict[tuple[str, str], int] = {}
        self._origins: dict[
            tuple[int, int], tuple[int, int, bytes]
        ] = {}  # by the objects, which a batch's records share
        self._places: dict[tuple[object, ...], _Place] = {}
        self._lead_traces: set[tuple[int, int]] = set()
        self._run_traces: set[tuple[str, int]] = set()
        self._shared: list[tuple[int, int]] = []

    def store(self, spans: Iterable[SpanRecord], events: Iterable[EventRecord]) -> Appended:
        store, told = self._store, self._told
        spans, events = list(spans), list(events)
        self._leads = summarise_leads(store, spans, events, self._now)
        rows = [self._span_row(one) for one in spans]
        stored = store.many(_SPAN, rows)
        told.stored += stored
        there_before: set[int] = set()
        if stored < len(rows):
            new_ones = store.execute(
                "SELECT arrival FROM spans WHERE arrival BETWEEN ? AND ?", (rows[0][0], rows[-1][0])
            )
            there_before = {row[0] for row in rows} - {arrival for (arrival,) in new_ones}
        by_uid: list[tuple[tuple[Any, ...], EventRecord]] = []
        plain: list[tuple[Any, ...]] = []
        again: list[tuple[tuple[Any, ...], EventRecord]] = []  # events without a uid of spans that were there before
        by_digest: list[tuple[Any, ...]] = []
        for span, row in zip(spans, rows, strict=True):
            new = row[0] not in there_before
            accepted = new or self._second_span(span, row)
            for event in span.events:
                event_row = self._event_row(event)
                if event_row[10] is not None:
                    by_uid.append((event_row, event))
                elif not span.span_id:  # its place in the span says nothing: told by the span's content
                    digest = digest_of(row[2].hex(), event.index)
                    by_digest.append((*event_row[:12], digest, *event_row[13:]))
                elif new:
                    plain.append(event_row)
                elif accepted:
                    again.append((event_row, event))
        for event in events:
            event_row = self._event_row(event)
            if event_row[10] is not None:
                by_uid.append((event_row, event))
            elif event_row[12] is not None:
                by_digest.append(event_row)
            else:
                again.append((event_row, event))
        store.many(_EVENT, plain)
        told.stored += len(plain)
        for row, event in again:
            self._second_event(row, event)
        if by_digest:
            stored = store.many(_EVENT_BY_DIGEST, by_digest)
            told.stored += stored
            told.repeated += len(by_digest) - stored
        if by_uid:
            self._events_by_uid(by_uid)
        store.many("INSERT OR IGNORE INTO lead_traces VALUES (?, ?)", sorted(self._lead_traces))
        store.many("INSERT OR IGNORE INTO run_traces VALUES (?, ?)", sorted(self._run_traces))
        store.many(_SHARED, self._shared)
        store.execute("UPDATE counters SET value = ? WHERE name = 'arrival' AND value < ?1", (store.arrival,))
        return told

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _place(self, record: SpanRecord | EventRecord, arrival: int) -> _Place:
        """A record's trace, lead and tenant by number; notes what finds it again."""
        get = record.attributes.get
        lead_id, run_id, tenant_key, several = get("lead.id"), get("leadtrace.run_id"), get("tenant_key"), get(_SEVERAL)
        said = None
        if several is None and isinstance(lead_id, str) and run_id.__class__ in _TEXT and tenant_key.__class__ in _TEXT:
            said = (lead_id, run_id, tenant_key, record.trace_id)  # what nearly all records of a trace say alike
            if (known := self._places.get(said)) is not None:
                return known
        tenant = str(get("tenant_key", ""))
        lead = self._leads[tenant, str(lead_id)] if lead_id else None
        others = [self._leads[tenant, str(one)] for one in several] if isinstance(several, list) else []
        bucket = ""
        if not record.trace_id and (lead or others):
            bucket = f"lead:{lead or others[0]}"
        elif not record.trace_id and run_id:
            bucket = f"run:{run_id!s}"
        trace = self._store.trace(id_bytes(record.trace_id), bucket)
        if lead:
            self._lead_traces.add((lead, trace))
        if run_id:
            self._run_traces.add((str(run_id), trace))
        found = (trace, lead, self._store.text(tenant) if tenant else None)
        if said is not None:
            self._places[said] = found
        self._lead_traces.update((one, trace) for one in others)
        self._shared.extend((one, arrival) for one in others)
        return found

    def _origin(self, resource: Resource, scope: Scope) -> tuple[int, int, bytes]:
        """The numbers of a resource and a scope, and the digests of both."""
        key = (id(resource), id(scope))
        found = self._origins.get(key)
        if found is None:
            (resource_number, one), (scope_number, other) = self._store.resource(resource), self._store.scope(scope)
            found = self._origins[key] = (resource_number, scope_number, one + other)
        return found

    def _span_row(self, span: SpanRecord) -> tuple[Any, ...]:
        arrival = self._store.next_arrival()
        trace, lead, tenant = self._place(span, arrival)
        resource, scope, _ = self._origin(span.resource, span.scope)
        attributes, rest = dumps_attributes(span.attributes), span_rest(span)
        key = id_bytes(span.span_id)
        if not key:  # two spans without an id are two spans
            key = digest_of(span.name, str(span.start_ns), str(span.end_ns), attributes, rest)
        start_ns, end_ns = span.start_ns, span.end_ns
        return (
            arrival,
            trace,
            key,
            id_bytes(span.parent_span_id) if span.parent_span_id else None,
            self._store.text(span.name),
            span.kind,
            start_ns if start_ns < _TOO_LATE else _MAX,
            end_ns if end_ns < _TOO_LATE else _MAX,
            _STATUS[span.status],
            span.flags or None,
            lead,
            tenant,
            resource,
            scope,
            attributes,
            rest,
        )

    def _event_row(self, event: EventRecord) -> tuple[Any, ...]:
        store, attributes, time_ns = self._store, event.attributes, event.time_ns
        arrival = store.next_arrival()
        trace, lead, tenant = self._place(event, arrival)
        resource, scope, digests = self._origin(event.resource, event.scope)
        uid, kind = attributes.get("log.record.uid"), attributes.get("leadtrace.kind")
        index = event.index if event.index >= 0 else None
        boot = sequence = digest = None
        if uid:
            boot, sequence = uid_of(str(uid))
        elif index is None:
            digest = event_digest(event, digests)
        observed_ns = event.observed_ns
        return (
            arrival,
            trace,
            id_bytes(event.span_id) if event.span_id else None,
            index,
            time_ns if time_ns < _TOO_LATE else _MAX,
            store.text(event.name),
            store.text(str(kind)) if kind else None,
            lead,
            tenant,
            _ORIGIN[event.origin],
            boot,
            sequence,
            digest,
            (observed_ns if observed_ns < _TOO_LATE else _MAX) or None,
            event.severity_number or None,
            event.flags or None,
            resource,
            scope,
            dumps_attributes(attributes),
            event_rest(event),
        )

    # --- what was there before ----------------------------------------------------------------------------------------

    def _second_span(self, span: SpanRecord, row: tuple[Any, ...]) -> bool:
        """A span whose ids are there: whether its events belong into the store."""
        there = self._store.execute("SELECT * FROM spans WHERE trace = ? AND span_id = ?", row[1:3]).fetchone()
        assert there is not None
        if same_record(there[1:], row[1:]):
            self._told.repeated += 1
            return True
        if not there[7]:  # the one that is there is unfinished
            self._store.execute("DELETE FROM spans WHERE arrival = ?", there[:1])
            self._store.execute(_SPAN, row)
            self._told.replaced += 1
            return True
        self._set_aside("another span has these ids", span_to_plain(span))
        return False

    def _second_event(self, row: tuple[Any, ...], event: EventRecord) -> None:
        """An event without a uid whose span was there before: its place among the span's events is its identity."""
        there = self._store.execute(
            "SELECT * FROM events WHERE trace = ? AND span_id IS ? AND idx IS ? AND boot IS NULL AND digest IS NULL",
            row[1:4],
        ).fetchone()
        if there is None:
            self._store.execute(_EVENT, row)
            self._told.stored += 1
        elif same_record(there[1:], row[1:]):
            self._told.repeated += 1
        else:
            self._set_aside("another event has this place in its span", event_to_plain(event))

    def _events_by_uid(self, found: list[tuple[tuple[Any, ...], EventRecord]]) -> None:
        store, told = self._store, self._told
        changed = store.many(_EVENT_BY_UID, [row for row, _ in found])
        arrivals = [row[0] for row, _ in found]
        sql = "SELECT count(*) FROM events WHERE boot IS NOT NULL AND arrival BETWEEN ? AND ?"
        stored = store.execute(sql, (min(arrivals), max(arrivals))).get
        told.stored += stored
        told.united += changed - stored
        if changed > stored and (watched := store.watched()):
            store.many(_NOTE, [(*row[10:12], watched) for row, _ in found])
        if changed == len(found):
            return
        told.repeated += len(found) - changed
        for row, event in found:  # some said nothing new; do they say the same?
            there = store.execute("SELECT * FROM events WHERE boot = ? AND sequence = ?", row[10:12]).fetchone()
            assert there is not None
            origin, came = there[9], row[9]
            # Of a united row only the log record's words are there to compare with.
            comparable = origin == came or (origin == LOG | SPAN and came == LOG)
            same_words = same_record(there[4:9] + there[16:], row[4:9] + row[16:]) if comparable else there[5] == row[5]
            if not same_words:
                told.repeated -= 1
                self._set_aside("another event has this uid", event_to_plain(event))

    def _set_aside(self, reason: str, record: dict[str, Any]) -> None:
        """Keep what cannot stand in its place, whole; the same record again changes nothing."""
        record["arrival"] = 0
        text = orjson.dumps(record).decode()
        self._store.execute(
            "INSERT OR IGNORE INTO set_aside (digest, received_ns, reason, record) VALUES (?, ?, ?, ?)",
            (digest_of(reason, text), self._now, reason, text),
        )
        kept = self._store.changes()
        self._told.set_aside += kept
        self._told.repeated += 1 - kept
