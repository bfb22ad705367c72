"""A store of millions of events for benches, made in minutes: the tests' lead traffic, each lead many times over.

The traffic goes in through the store's own append; then every row is copied with ids of its own, in the order of time, so
that arrivals rise with time as they do when records come in one by one.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import astuple
from pathlib import Path

import apsw
import pyarrow

from leadtrace.store.columns.files import ColumnFile, folder_of, write_file
from leadtrace.store.columns.functions import FUNCTIONS
from leadtrace.store.columns.taking import EVENTS, SPANS, columns_of
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "analysis"))
from traffic import generate

_PER_LEAD = 29.2  # events
_PER_FILE = 1_000_000  # arrivals
_STEP = 20_000  # rows of the pattern copied in one transaction

_COPIED = {
    "traces": "SELECT (trace - 1) * $many + k, randomblob(16), bucket FROM base.traces, numbers",
    "leads": """SELECT (lead - 1) * $many + k, lead_id || '_' || k, tenant, first_ns, last_ns, state, state_ns, outcome, outcome_ns
                FROM base.leads, numbers""",
    "lead_traces": "SELECT (lead - 1) * $many + k, (trace - 1) * $many + k FROM base.lead_traces, numbers",
    "run_traces": "SELECT run_id || '_' || k, (trace - 1) * $many + k FROM base.run_traces, numbers",
}
_ATTRIBUTES = """replace(replace(replace({attributes}, lead_id || '"', lead_id || '_' || k || '"'),
                 '"leadtrace.run_id":"', '"leadtrace.run_id":"' || k || '_'), '"delivery.id":"', '"delivery.id":"' || k || '_')"""
# A span's id begins with the number of the copy, wherever it stands: real ones are of one span.
_PARENT = '"leadtrace.parent_span_id":"'
_BENEATH = f"""CASE WHEN instr(attributes, '{_PARENT}') = 0 THEN attributes
  ELSE substr(attributes, 1, instr(attributes, '{_PARENT}') + {len(_PARENT) - 1}) || printf('%04x', k)
    || substr(attributes, instr(attributes, '{_PARENT}') + {len(_PARENT) + 4}) END"""
_OWN = "CASE WHEN {0} IS NOT NULL THEN CAST(unhex(printf('%04x', k)) || substr({0}, 3) AS BLOB) END"
_EVENTS = f"""
INSERT INTO events SELECT (b.arrival - 1) * $many + k, (trace - 1) * $many + k, {_OWN.format("span_id")}, idx, time_ns + k, name,
  kind, (b.lead - 1) * $many + k, b.tenant, origin, boot + k, sequence, digest, observed_ns, severity, flags, resource, scope,
  {_ATTRIBUTES.format(attributes=_BENEATH)}, rest
FROM base.events b CROSS JOIN numbers JOIN base.leads l ON l.lead = b.lead
WHERE b.arrival BETWEEN $first AND $last"""
_SPANS = f"""
INSERT INTO spans SELECT (b.arrival - 1) * $many + k, (trace - 1) * $many + k, {_OWN.format("span_id")},
  {_OWN.format("parent_id")}, name, kind, start_ns + k, end_ns + k, status, flags, (b.lead - 1) * $many + k, b.tenant, resource,
  scope, {_ATTRIBUTES.format(attributes="attributes")}, rest
FROM base.spans b CROSS JOIN numbers JOIN base.leads l ON l.lead = b.lead
WHERE b.arrival BETWEEN $first AND $last"""


def make_store(path: Path, events: int, copies: int = 40, days: int = 7) -> tuple[int, int]:
    """A store of about so many events at `path`, over so many days. Gives the first and the last moment of them."""
    pattern = path.with_name("pattern.db")
    traffic = generate(seed=11, leads=int(events / copies / _PER_LEAD), days=days)
    store = EmbeddedStore.open(pattern, write=True)
    traffic.write(store)
    store.close()
    EmbeddedStore.open(path, write=True).close()
    connection = apsw.Connection(str(path))
    connection.pragma("synchronous", "off")
    connection.pragma("cache_size", -512_000)
    connection.execute("ATTACH ? AS base", (str(pattern),))
    connection.execute("CREATE TEMP TABLE numbers (k INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO numbers VALUES (?)", [(one,) for one in range(1, copies + 1)])
    with connection:
        for table in ("texts", "resources", "scopes"):
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM base.{table}")
        for table, sql in _COPIED.items():
            connection.execute(f"INSERT INTO main.{table} {sql}", {"many": copies})
    last = connection.execute("SELECT value FROM base.counters WHERE name = 'arrival'").get
    began = time.monotonic()
    for first in range(1, last + 1, _STEP):
        with connection:
            for sql in (_EVENTS, _SPANS):
                connection.execute(sql, {"many": copies, "first": first, "last": first + _STEP - 1})
        done = min(first + _STEP - 1, last)
        print(
            f"\r{done * copies:,} of {last * copies:,} rows, {time.monotonic() - began:.0f} s", end="", file=sys.stderr
        )
    with connection:
        connection.execute("UPDATE counters SET value = ? WHERE name = 'arrival'", (last * copies,))
    print(file=sys.stderr)
    connection.close()
    pattern.unlink()
    for suffix in (".lock", "-wal", "-shm"):
        pattern.with_name(pattern.name + suffix).unlink(missing_ok=True)
    return traffic.since_ns, traffic.until_ns


def multiply_columns(path: Path, target: Path, copies: int) -> None:
    """A store at `target` whose columns hold those of the store at `path` so many times over, each copy with ids of its own.

    Made by DuckDB from the columns, in the order of time, because turning rows into columns takes most of an hour for twenty
    million. The rows of `target` are those of `path`: reports over columns do not read them.
    """
    import duckdb

    if not target.exists():
        shutil.copyfile(path, target)
    folder = folder_of(target)
    folder.mkdir(exist_ok=True)
    store = EmbeddedStore.open(target, write=True)
    state = Upkeep(store).state()
    duck = duckdb.connect(config={"temp_directory": str(folder), "memory_limit": "4GB"})
    duck.execute("SET arrow_lossless_conversion = true")  # a key comes as one, not as its text
    for one in FUNCTIONS:
        duck.execute(one)
    made: list[ColumnFile] = []
    last = max(one.last for one in state.files)
    step = max(1, _PER_FILE // copies)
    for relation, name, time_column in ((SPANS, "spans", "start_ns"), (EVENTS, "events", "time_ns")):
        paths = [str(folder_of(path) / one.file) for one in state.of(relation)]
        columns = []
        lead_id, run_id = (f"CASE WHEN {one} = '' THEN '' ELSE {one} || '_' || k END" for one in ("lead_id", "run_id"))
        for column, _ in columns_of(relation):
            changed = {
                "arrival": "(arrival - 1) * $copies + k AS arrival",
                time_column: f"{time_column} + k AS {time_column}",
                "lead_id": f"{lead_id} AS lead_id",
                "run_id": f"{run_id} AS run_id",
                "lead_key": f"key_of(tenant, {lead_id}) AS lead_key",
                "run_key": f"key_of(tenant, {run_id}) AS run_key",
                "delivery_id": "CASE WHEN delivery_id = '' THEN '' ELSE delivery_id || '_' || k END AS delivery_id",
                "span_id": "CASE WHEN span_id = '' THEN '' ELSE substr(md5(span_id || k), 1, 16) END AS span_id",
                "parent_span_id": """CASE WHEN parent_span_id = '' THEN ''
                  ELSE substr(md5(parent_span_id || k), 1, 16) END AS parent_span_id""",
                "trace_id": "md5(trace_id || k) AS trace_id",
            }
            columns.append(changed.get(column, column))
        for first in range(1, last + 1, step):
            upper = min(first + step - 1, last) * copies
            reader = duck.sql(
                f"""SELECT {", ".join(columns)} FROM read_parquet($paths), range(1, $copies + 1) numbers(k)
                    WHERE arrival BETWEEN $first AND $last ORDER BY arrival""",
                params={"paths": paths, "copies": copies, "first": first, "last": first + step - 1},
            ).to_arrow_reader(50_000)
            tables = (pyarrow.Table.from_batches([batch]) for batch in reader)
            made.append(write_file(folder, relation, (first - 1) * copies + 1, upper, tables, for_reports=True))
            print(f"\r{name}: {upper:,} of {last * copies:,}", end="", file=sys.stderr)
    print(file=sys.stderr)
    with store.writing() as connection, connection:
        connection.execute("DELETE FROM column_files")
        connection.executemany(
            "INSERT INTO column_files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [astuple(one) for one in made]
        )
        connection.execute("UPDATE counters SET value = ? WHERE name IN ('arrival', 'watched')", (last * copies,))
    store.close()


if __name__ == "__main__":
    print(make_store(Path(sys.argv[1]), int(sys.argv[2])))
