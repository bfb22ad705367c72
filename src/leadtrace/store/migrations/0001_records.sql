-- The store's first form. Times are Unix nanoseconds; ids are bytes; absent is NULL.
--
--   leads ──< lead_traces >── traces ──< spans            a lead's timeline: leads → lead_traces → two range reads
--                               │
--   run_traces >────────────────┴─────< events
--
-- Records refer to their trace by a rising number, not by its random id: the one random look-up is made once per trace,
-- in `traces`, and every other index grows at its right edge. That keeps inserts as fast at 20 million events as at one.

-- Event and span names, kinds and tenants: few, repeated on every record.
CREATE TABLE texts (
  text_id INTEGER PRIMARY KEY,
  text    TEXT NOT NULL UNIQUE
) STRICT;

-- A process, stored once; `digest` is of its attributes and schema URL. Serves the writer: is it known already?
CREATE TABLE resources (
  resource   INTEGER PRIMARY KEY,
  digest     BLOB NOT NULL UNIQUE,
  service    TEXT NOT NULL,
  attributes TEXT NOT NULL,
  schema_url TEXT NOT NULL
) STRICT;

-- An instrumentation scope, stored once.
CREATE TABLE scopes (
  scope      INTEGER PRIMARY KEY,
  digest     BLOB NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  version    TEXT NOT NULL,
  attributes TEXT NOT NULL,
  schema_url TEXT NOT NULL
) STRICT;

-- `bucket` is '' for a real trace. Records without a trace id (x'') lie in one bucket per lead, or run, so that they are
-- found with it; what has neither lies in the bucket ''. UNIQUE serves: which number has this trace?
CREATE TABLE traces (
  trace    INTEGER PRIMARY KEY,
  trace_id BLOB NOT NULL,
  bucket   TEXT NOT NULL DEFAULT '',
  UNIQUE (trace_id, bucket)
) STRICT;

-- One row per lead and tenant: the list of leads without reading their records.
CREATE TABLE leads (
  lead       INTEGER PRIMARY KEY,
  lead_id    TEXT NOT NULL,
  tenant     TEXT NOT NULL,
  first_ns   INTEGER NOT NULL,
  last_ns    INTEGER NOT NULL,
  state      TEXT NOT NULL DEFAULT '',
  state_ns   INTEGER NOT NULL DEFAULT -1,   -- when that state was told: a late record must not turn it back
  outcome    TEXT NOT NULL DEFAULT '',
  outcome_ns INTEGER NOT NULL DEFAULT -1,
  UNIQUE (lead_id, tenant)                  -- serves: the lead of this id, in one tenant or in any
) STRICT;
CREATE INDEX leads_by_last ON leads (last_ns);  -- serves: leads, the one last touched first; leads since a time

-- Which traces hold records that name a lead (by lead.id or in leadtrace.lead_ids). Serves: one lead's timeline.
CREATE TABLE lead_traces (
  lead  INTEGER NOT NULL,
  trace INTEGER NOT NULL,
  PRIMARY KEY (lead, trace)
) STRICT, WITHOUT ROWID;

-- Which traces hold records of a run. Serves: what a flow told before it knew its lead, and after a handover.
CREATE TABLE run_traces (
  run_id TEXT NOT NULL,
  trace  INTEGER NOT NULL,
  PRIMARY KEY (run_id, trace)
) STRICT, WITHOUT ROWID;

-- Records that name several leads, one row for each in leadtrace.lead_ids. Serves: is this record one of that lead's?
CREATE TABLE shared (
  lead    INTEGER NOT NULL,
  arrival INTEGER NOT NULL,
  PRIMARY KEY (lead, arrival)
) STRICT, WITHOUT ROWID;

-- `arrival` rises over spans and events together and is the only cursor.
CREATE TABLE spans (
  arrival    INTEGER PRIMARY KEY,
  trace      INTEGER NOT NULL,
  span_id    BLOB NOT NULL,                 -- a digest where the record has none; `rest` says so
  parent_id  BLOB,
  name       INTEGER NOT NULL,              -- texts
  kind       INTEGER NOT NULL,
  start_ns   INTEGER NOT NULL,
  end_ns     INTEGER NOT NULL,              -- 0: unfinished
  status     INTEGER NOT NULL,              -- 0 unset, 1 ok, 2 error
  flags      INTEGER,
  lead       INTEGER,                       -- leads, by lead.id
  tenant     INTEGER,                       -- texts
  resource   INTEGER NOT NULL,
  scope      INTEGER NOT NULL,
  attributes TEXT NOT NULL,                 -- JSON, all of them, as they came
  rest       TEXT                           -- JSON: what few records have (links, status message, trace state, marks …)
) STRICT;
-- Serves: all spans of a trace; and that a span is stored once.
CREATE UNIQUE INDEX spans_by_trace ON spans (trace, span_id);

CREATE TABLE events (
  arrival     INTEGER PRIMARY KEY,
  trace       INTEGER NOT NULL,
  span_id     BLOB,
  idx         INTEGER,                      -- its place among its span's events; NULL where it was no span event
  time_ns     INTEGER NOT NULL,
  name        INTEGER NOT NULL,             -- texts
  kind        INTEGER,                      -- texts, of leadtrace.kind
  lead        INTEGER,                      -- leads, by lead.id
  tenant      INTEGER,                      -- texts
  origin      INTEGER NOT NULL,             -- 1 log record, 2 span event, 3 both met
  boot        INTEGER,                      -- the two integers of log.record.uid
  sequence    INTEGER,
  digest      BLOB,                         -- of resource, scope and record: a log record without a uid
  observed_ns INTEGER,
  severity    INTEGER,
  flags       INTEGER,
  resource    INTEGER NOT NULL,
  scope       INTEGER NOT NULL,
  attributes  TEXT NOT NULL,                -- JSON, all of them, as they came
  rest        TEXT                          -- JSON: what few records have (body, severity text, marks …)
) STRICT;
-- Serves: one event per uid, whether it came as log record, span event or both.
CREATE UNIQUE INDEX events_by_uid ON events (boot, sequence) WHERE boot IS NOT NULL;
-- Serves: a log record without a uid is stored once. Its time stands first so that new entries lie near each other.
CREATE UNIQUE INDEX events_by_digest ON events (time_ns, digest) WHERE digest IS NOT NULL;
-- Serves: all events of a trace.
CREATE INDEX events_by_trace ON events (trace);
-- Serves: events of a name, in the order of arrival.
CREATE INDEX events_by_name ON events (name);
-- Serves: events of a time window.
CREATE INDEX events_by_time ON events (time_ns);

-- What decodes and cannot be stored in its place, whole, with the reason. Serves by digest: the same again changes nothing.
CREATE TABLE set_aside (
  set_aside   INTEGER PRIMARY KEY,
  digest      BLOB NOT NULL UNIQUE,
  received_ns INTEGER NOT NULL,
  reason      TEXT NOT NULL,
  record      TEXT NOT NULL                 -- JSON of the whole record
) STRICT;

CREATE TABLE counters (
  name  TEXT PRIMARY KEY,                   -- `arrival`: the highest ever given, which deleting records must not lower
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('arrival', 0);
