-- Persons can be erased. What was removed leaves behind: that it was removed (so that it is no loss), and a hash that
-- turns away what still arrives. No id, and nothing else of the person, is in these tables.

-- Keys that never leave this file, each made at its first use. `tombstones`: of the hashes below. The store's own, because
-- the writers' key may be on another machine, and because without it nobody can try ids against the hashes.
CREATE TABLE secrets (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Who was erased, as keyed hashes of tenant and lead id. Read once by the writer; serves: may this lead be stored?
CREATE TABLE tombstones (
  tombstone BLOB PRIMARY KEY,
  erased_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which numbers of a process's events (boot and sequence, as in `events`) were removed or turned away, as runs.
-- Serves: is a hole in a process's sequence a loss?
CREATE TABLE erased (
  boot  INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last  INTEGER NOT NULL,
  PRIMARY KEY (boot, first)
) STRICT, WITHOUT ROWID;

-- One row per erasure: when, and what was removed, in counts.
CREATE TABLE erasures (
  receipt   TEXT PRIMARY KEY,
  erased_ns INTEGER NOT NULL,
  told      TEXT NOT NULL                   -- JSON
) STRICT, WITHOUT ROWID;

-- From here on what is deleted is overwritten with zeros at once (`secure_delete`). A store that was written before is
-- rewritten as a whole by its first erasure, because its pages may hold copies of rows that were moved.
INSERT INTO counters
SELECT 'overwrites', NOT EXISTS (SELECT 1 FROM spans) AND NOT EXISTS (SELECT 1 FROM events);
