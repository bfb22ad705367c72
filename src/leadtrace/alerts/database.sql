-- What the watch keeps: where every rule stands, each alert, what was told where, and what waits to be told.
-- Times are Unix nanoseconds, 0 for never; alerts and states are JSON as `as_json` writes them.

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

-- `rules`: the standings of the file's rules; `own`: those of the watch itself (its source, its channels).
CREATE TABLE states (
  name TEXT PRIMARY KEY,
  body TEXT NOT NULL
) STRICT;

-- Each alert as it is now. The index serves the list, newest first.
CREATE TABLE alerts (
  alert_id    TEXT PRIMARY KEY,
  rule        TEXT NOT NULL,
  target      TEXT NOT NULL,
  fired_ns    INTEGER NOT NULL,
  resolved_ns INTEGER NOT NULL DEFAULT 0,
  body        TEXT NOT NULL,
  acked_ns    INTEGER NOT NULL DEFAULT 0,
  acked_by    TEXT NOT NULL DEFAULT '',
  ack_note    TEXT NOT NULL DEFAULT '',
  checked_ns  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX alerts_by_time ON alerts (fired_ns);

-- What changed, once each: UNIQUE makes a second `fired` of one alert impossible, whoever evaluates.
CREATE TABLE transitions (
  number   INTEGER PRIMARY KEY,
  alert_id TEXT NOT NULL,
  change   TEXT NOT NULL,
  at_ns    INTEGER NOT NULL,
  UNIQUE (alert_id, change)
) STRICT;

CREATE TABLE checks (
  alert_id TEXT NOT NULL,
  item     TEXT NOT NULL,
  at_ns    INTEGER NOT NULL,
  result   TEXT NOT NULL,
  answer   TEXT NOT NULL,
  side     TEXT NOT NULL,
  who      TEXT NOT NULL,
  PRIMARY KEY (alert_id, item, at_ns)
) STRICT;

-- `target` is a rule's or a group's name.
CREATE TABLE silences (
  number   INTEGER PRIMARY KEY,
  target   TEXT NOT NULL,
  since_ns INTEGER NOT NULL,
  until_ns INTEGER NOT NULL,
  who      TEXT NOT NULL,
  note     TEXT NOT NULL
) STRICT;

-- What each channel was told of each alert. UNIQUE: a beginning is told once.
CREATE TABLE tellings (
  channel     TEXT NOT NULL,
  alert_id    TEXT NOT NULL,
  beginning   INTEGER NOT NULL,
  repeated_ns INTEGER NOT NULL,
  acked       INTEGER NOT NULL DEFAULT 0,
  checked_ns  INTEGER NOT NULL DEFAULT 0,
  ended       INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (channel, alert_id)
) STRICT;

-- Messages, in the order in which they were made; of one channel they are sent in this order. `thread` is the platform's
-- name for the message once it was sent, `owner` and `until_ns` the claim of who is sending it.
CREATE TABLE outbox (
  number   INTEGER PRIMARY KEY AUTOINCREMENT,
  channel  TEXT NOT NULL,
  what     TEXT NOT NULL,
  shared   TEXT NOT NULL,
  body     TEXT NOT NULL,
  beginning INTEGER NOT NULL,
  made_ns  INTEGER NOT NULL,
  due_ns   INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  owner    TEXT NOT NULL DEFAULT '',
  until_ns INTEGER NOT NULL DEFAULT 0,
  state    TEXT NOT NULL DEFAULT 'waiting',
  thread   TEXT NOT NULL DEFAULT '',
  why      TEXT NOT NULL DEFAULT '',
  done_ns  INTEGER NOT NULL DEFAULT 0
) STRICT;
-- Serves the claim: the first that waits, a channel each.
CREATE INDEX outbox_waiting ON outbox (channel, number) WHERE state = 'waiting';

-- How each channel fares.
CREATE TABLE channels (
  name       TEXT PRIMARY KEY,
  failures   INTEGER NOT NULL DEFAULT 0,
  failing_ns INTEGER NOT NULL DEFAULT 0,
  worked_ns  INTEGER NOT NULL DEFAULT 0,
  why        TEXT NOT NULL DEFAULT ''
) STRICT;

-- leadtrace's own events, encoded once, until a store has acknowledged them. The number is that of their uid.
CREATE TABLE events (
  number   INTEGER PRIMARY KEY AUTOINCREMENT,
  record   BLOB NOT NULL,
  sent_ns  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX events_waiting ON events (number) WHERE sent_ns = 0;

-- Who does what only one may do at a time.
CREATE TABLE leases (
  name     TEXT PRIMARY KEY,
  owner    TEXT NOT NULL,
  until_ns INTEGER NOT NULL
) STRICT;
