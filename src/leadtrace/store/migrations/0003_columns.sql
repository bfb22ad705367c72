-- A columnar copy may lie beside the store, for reports over weeks: Parquet files in a folder, derived from these rows and
-- rebuilt from them. What is registered here counts, whatever else lies in the folder.
--
--   arrivals   1 ─────────────────────── copied ─── watched ────────► now
--              files of `column_files`            │  changes noted    rows only
--              less `column_changes`              │  up to here

-- The registered files. Serves: which to read, and which to leave out for a window.
CREATE TABLE column_files (
  file      TEXT PRIMARY KEY,               -- its name in the folder
  relation  INTEGER NOT NULL,               -- 1 spans, 2 events
  first     INTEGER NOT NULL,               -- the arrivals that it stands for, both included; rows may be fewer
  last      INTEGER NOT NULL,
  rows      INTEGER NOT NULL,
  bytes     INTEGER NOT NULL,
  least_ns  INTEGER NOT NULL,               -- of the rows' times
  most_ns   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rows that were changed or deleted after they may have been copied: they are read from here, where they still are. What
-- stands in a table that many rows refer to has relation 0: then all files are stale. One row per change, so that what a
-- statement did can be counted.
CREATE TABLE column_changes (
  change   INTEGER PRIMARY KEY,
  relation INTEGER NOT NULL,
  arrival  INTEGER NOT NULL
) STRICT;

-- Up to which arrival changes are noted; raised before anything up to there is copied.
INSERT INTO counters VALUES ('watched', 0);

CREATE TRIGGER span_changed AFTER UPDATE ON spans
WHEN old.arrival <= (SELECT value FROM counters WHERE name = 'watched')
BEGIN INSERT INTO column_changes (relation, arrival) VALUES (1, old.arrival); END;
CREATE TRIGGER span_removed AFTER DELETE ON spans
WHEN old.arrival <= (SELECT value FROM counters WHERE name = 'watched')
BEGIN INSERT INTO column_changes (relation, arrival) VALUES (1, old.arrival); END;
-- Updates of events: the two halves of one event meet by the million, and a trigger would cost a fifth of what storing them
-- does, whether or not there is a copy. So appending notes them itself, and whoever else updates does so under a trigger of
-- its own (`EmbeddedStore.writing`).
CREATE TRIGGER event_removed AFTER DELETE ON events
WHEN old.arrival <= (SELECT value FROM counters WHERE name = 'watched')
BEGIN INSERT INTO column_changes (relation, arrival) VALUES (2, old.arrival); END;
CREATE TRIGGER resource_changed AFTER UPDATE ON resources
WHEN 0 < (SELECT value FROM counters WHERE name = 'watched')
BEGIN INSERT INTO column_changes (relation, arrival) VALUES (0, 0); END;
CREATE TRIGGER text_changed AFTER UPDATE ON texts
WHEN 0 < (SELECT value FROM counters WHERE name = 'watched')
BEGIN INSERT INTO column_changes (relation, arrival) VALUES (0, 0); END;
CREATE TRIGGER scope_changed AFTER UPDATE ON scopes
WHEN 0 < (SELECT value FROM counters WHERE name = 'watched')
BEGIN INSERT INTO column_changes (relation, arrival) VALUES (0, 0); END;
