-- The outbox of lead events, first form. Times are Unix nanoseconds; payloads are sealed; the rest is what events say as well.

-- One row per lead event and platform. A state changes in one direction: waiting → claimed → sent, or back to waiting when
-- a try failed; quarantined when malformed or refused for good, from where release leads back to waiting and discard to the
-- end. Rows that are sent or discarded keep no payload, and stay some days so that the same event kept twice is known.
CREATE TABLE lead_events (
  number      INTEGER PRIMARY KEY,
  id          TEXT NOT NULL,
  destination TEXT NOT NULL,
  digest      BLOB NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('waiting', 'claimed', 'sent', 'quarantined', 'discarded')),
  lead_id     TEXT NOT NULL,
  tenant      TEXT NOT NULL,
  fields      TEXT NOT NULL,              -- JSON: type, account_id … as recorded
  received_ns INTEGER NOT NULL,
  sealed      BLOB,
  attempts    INTEGER NOT NULL DEFAULT 0,
  may_be_sent INTEGER NOT NULL DEFAULT 0, -- a try was cut off: the platform may have it
  check_again INTEGER NOT NULL DEFAULT 0, -- released: the sender's own checks come before the next try
  due_ns      INTEGER NOT NULL DEFAULT 0,
  owner       TEXT NOT NULL DEFAULT '',   -- the worker that claims it
  reason      TEXT NOT NULL DEFAULT '',   -- why it is quarantined, or why the last try failed
  field       TEXT NOT NULL DEFAULT '',
  status      INTEGER NOT NULL DEFAULT 0,
  malformed   INTEGER NOT NULL DEFAULT 0, -- quarantined on arrival, not by the platform
  changed_ns  INTEGER NOT NULL DEFAULT 0,
  UNIQUE (id, destination, digest)        -- serves: is it here already; quarantine show ID
) STRICT;
-- Serves: the next that is due for a platform, in the order in which they came; how many wait; what is quarantined.
CREATE INDEX lead_events_by_state ON lead_events (destination, state, received_ns, number);
-- Serves: claims of workers that died.
CREATE INDEX lead_events_by_owner ON lead_events (owner) WHERE owner <> '';
-- Serves: erasing a lead.
CREATE INDEX lead_events_by_lead ON lead_events (lead_id, tenant);
-- Serves: letting old rows go.
CREATE INDEX lead_events_by_end ON lead_events (changed_ns) WHERE state IN ('sent', 'discarded');

-- Events that are to be told of what happened here: written with it, gone once they are told.
CREATE TABLE tellings (
  uid     TEXT PRIMARY KEY,
  name    TEXT NOT NULL,
  lead_id TEXT NOT NULL,
  tenant  TEXT NOT NULL,
  time_ns INTEGER NOT NULL,
  fields  TEXT NOT NULL,
  owner   TEXT NOT NULL                   -- the worker that tells it; '' for nobody yet
) STRICT;

-- A platform that does not work is left alone for a while, whichever worker found out.
CREATE TABLE platforms (
  destination TEXT PRIMARY KEY,
  failures    INTEGER NOT NULL DEFAULT 0, -- in a row
  pause_ns    INTEGER NOT NULL DEFAULT 0  -- until then
) STRICT;

-- Leads that were erased, as hashes under this file's own key: what arrives of them later is not taken in.
CREATE TABLE erased (
  lead  BLOB PRIMARY KEY,
  at_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE secrets (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;

-- Kept records that cannot be read: so that one of them does not hold up those behind it.
CREATE TABLE unreadable (
  number INTEGER PRIMARY KEY,
  record BLOB NOT NULL,
  why    TEXT NOT NULL,
  at_ns  INTEGER NOT NULL
) STRICT;
