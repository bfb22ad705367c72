"""The embedded engine, measured: SQLite with the store's real schema beside DuckDB with the like of it.

    python bench/engines.py sqlite --leads 100000
    PYTHONPATH=…/with/duckdb/and/numpy python bench/engines.py duckdb --leads 12500

The leads workload of `otlp_bodies.py` in batches of 512 spans (and their 1,024 events), each committed durably before the
next; unique keys on span ids and event uids, an index by lead. Then look-ups of one lead, reports over everything, a
second process that reads while the first one writes, and a kill in the middle. DuckDB is a dependency of this file only.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from otlp_bodies import SPANS, bodies, lead_id

from leadtrace.otlp.decode import decode_traces
from leadtrace.otlp.plain import dumps_attributes
from leadtrace.otlp.records import SpanRecord
from leadtrace.store.embedded import EmbeddedStore

EVENTS = SPANS * 2
STEPS = 8


class Engine(Protocol):
    def append(self, spans: list[SpanRecord]) -> None: ...
    def lead(self, lead: str) -> int: ...
    def report(self, which: str) -> int: ...
    def close(self) -> None: ...


class Sqlite:
    """The embedded store itself."""

    def __init__(self, path: Path, write: bool) -> None:
        self.store = EmbeddedStore.open(path, write=write)

    def append(self, spans: list[SpanRecord]) -> None:
        self.store.append(spans, [])

    def lead(self, lead: str) -> int:
        found = self.store.lead(lead)
        return len(found.spans) + len(found.events)

    def report(self, which: str) -> int:
        sql = {
            "counts by name": "SELECT text, count(*) FROM events JOIN texts ON text_id = name GROUP BY name",
            "cost by service": """SELECT attributes ->> 'enhancement.service', count(*), sum(attributes ->> 'enhancement.cost')
                                  FROM spans GROUP BY 1""",
            "leads by day": "SELECT first_ns / 86400000000000, count(*) FROM leads GROUP BY 1",
        }[which]
        with self.store._reading() as connection:
            return len(connection.execute(sql).fetchall())

    def close(self) -> None:
        self.store.close()


class Duck:
    """The same records in DuckDB, columns where the store has them, keys as it promises them."""

    def __init__(self, path: Path, write: bool) -> None:
        import duckdb

        self.connection = duckdb.connect(str(path), read_only=not write)
        if write:
            self.connection.execute("""
                CREATE TABLE IF NOT EXISTS spans (trace_id VARCHAR, span_id VARCHAR, parent_id VARCHAR, name VARCHAR,
                  start_ns BIGINT, end_ns BIGINT, lead_id VARCHAR, run_id VARCHAR, attributes JSON,
                  PRIMARY KEY (trace_id, span_id));
                CREATE TABLE IF NOT EXISTS events (boot UBIGINT, sequence BIGINT, trace_id VARCHAR, span_id VARCHAR, idx INTEGER,
                  time_ns BIGINT, name VARCHAR, kind VARCHAR, lead_id VARCHAR, attributes JSON, PRIMARY KEY (boot, sequence));
                CREATE INDEX IF NOT EXISTS spans_by_lead ON spans (lead_id);
                CREATE INDEX IF NOT EXISTS events_by_lead ON events (lead_id);
            """)

    def append(self, spans: list[SpanRecord]) -> None:
        import numpy as np

        def column(values: list[Any]) -> Any:
            return np.array(values, dtype=object if isinstance(values[0], str) else None)

        def columns(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
            return {f"c{n}": column(list(one)) for n, one in enumerate(zip(*rows, strict=True))}

        span_rows = columns([
            (s.trace_id, s.span_id, s.parent_span_id, s.name, s.start_ns, s.end_ns, s.lead_id,
             str(s.attributes["leadtrace.run_id"]), dumps_attributes(s.attributes))
            for s in spans
        ])  # fmt: skip
        event_rows = columns([
            (int(e.uid[:16], 16), int(e.uid[16:], 16), e.trace_id, e.span_id, e.index, e.time_ns, e.name,
             str(e.attributes["leadtrace.kind"]), e.lead_id, dumps_attributes(e.attributes))
            for s in spans for e in s.events
        ])  # fmt: skip
        self.connection.execute("BEGIN")
        self.connection.execute("INSERT OR IGNORE INTO spans SELECT * FROM span_rows")
        self.connection.execute("INSERT OR IGNORE INTO events SELECT * FROM event_rows")
        self.connection.execute("COMMIT")
        assert span_rows
        assert event_rows

    def lead(self, lead: str) -> int:
        found = 0
        for table in ("spans", "events"):
            rows = self.connection.execute(f"SELECT * FROM {table} WHERE lead_id = ?", [lead]).fetchall()
            found += len([json.loads(row[-1]) for row in rows])
        return found

    def report(self, which: str) -> int:
        sql = {
            "counts by name": "SELECT name, count(*) FROM events GROUP BY name",
            "cost by service": """SELECT attributes ->> '$."enhancement.service"', count(*),
                                  sum(CAST(attributes ->> '$."enhancement.cost"' AS DOUBLE)) FROM spans GROUP BY 1""",
            "leads by day": """SELECT first_ns // 86400000000000, count(*)
                               FROM (SELECT lead_id, min(start_ns) AS first_ns FROM spans GROUP BY 1) GROUP BY 1""",
        }[which]
        return len(self.connection.execute(sql).fetchall())

    def close(self) -> None:
        self.connection.close()


ENGINES: dict[str, type[Sqlite] | type[Duck]] = {"sqlite": Sqlite, "duckdb": Duck}


def batches(leads: int, first: int = 0) -> Iterator[list[SpanRecord]]:
    return (decode_traces(one) for one in bodies(leads, first=first))


def timed(call: Any, *arguments: Any) -> float:
    began = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - began


def p(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1e3


def measure(name: str, leads: int, folder: Path) -> None:
    make, path = ENGINES[name], folder / "store.db"
    engine = make(path, True)
    print(f"{name}: {leads:,} leads, {leads * SPANS:,} spans, {leads * EVENTS:,} events")
    for step in range(STEPS):
        spent = cpu = done = 0.0
        for batch in batches(leads // STEPS, first=step * (leads // STEPS)):
            before = time.process_time()
            spent += timed(engine.append, batch)
            cpu += time.process_time() - before  # of a machine that others use as well this is the steadier one
            done += len(batch) * (1 + EVENTS / SPANS)
        events, rate = (step + 1) * leads // STEPS * EVENTS, done / spent
        print(
            f"  after {events:>10,} events: {rate:8,.0f} records/s, {cpu / done * 1e6:5.1f} µs of CPU each", flush=True
        )
    chance = random.Random(5)
    asked = [lead_id(chance.randrange(leads)) for _ in range(300)]
    times = []
    for lead in asked:
        began = time.perf_counter()
        assert engine.lead(lead) == SPANS + EVENTS
        times.append(time.perf_counter() - began)
    print(f"  one lead, warm: p50 {p(times, 0.5):.2f} ms, p99 {p(times, 0.99):.2f} ms")
    for which in ("counts by name", "cost by service", "leads by day"):
        took = min(timed(engine.report, which) for _ in range(2))
        print(f"  report, {which}: {took * 1e3:,.0f} ms")
    engine.close()
    cold = []
    for lead in asked[:5]:
        code = f"from engines import *; e = ENGINES[{name!r}](Path({str(path)!r}), False); assert e.lead({lead!r})"
        ran = [sys.executable, "-c", code]
        cold.append(timed(lambda ran=ran: subprocess.run(ran, check=True, cwd=Path(__file__).parent)))
    base = [sys.executable, "-c", "import engines"]
    idle = min(timed(lambda: subprocess.run(base, check=True, cwd=Path(__file__).parent)) for _ in range(3))
    print(f"  one lead from a new process, beyond its imports: {(statistics.median(cold) - idle) * 1e3:,.0f} ms")
    size = sum(one.stat().st_size for one in folder.iterdir())
    print(f"  on the disk: {size / 2**20:,.0f} MB, {size / (leads * (SPANS + EVENTS)):.0f} bytes/record")


def readers(name: str, folder: Path) -> None:
    """A second process reads while this one writes."""
    path = folder / "readers.db"
    engine = ENGINES[name](path, True)
    for batch in batches(640):
        engine.append(batch)
    code = f"""
from engines import *
import time
reader, end, count = ENGINES[{name!r}](Path({str(path)!r}), False), time.monotonic() + 3, 0
while time.monotonic() < end:
    assert reader.lead(lead_id(count % 640)) == {SPANS + EVENTS}
    count += 1
print(count)
"""
    ran = [sys.executable, "-c", code]
    with subprocess.Popen(
        ran, cwd=Path(__file__).parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as reader:
        records, began = 0, time.perf_counter()
        for batch in batches(100_000, first=1_000):
            engine.append(batch)
            records += len(batch) * (1 + EVENTS // SPANS)
            if reader.poll() is not None:
                break
        took = time.perf_counter() - began
        said, wrong = reader.communicate()
    engine.close()
    if reader.returncode:
        print(f"  a reader beside the writer: refused ({wrong.strip().splitlines()[-1][:100]})")
    else:
        print(
            f"  a reader beside the writer: {int(said):,} look-ups in 3 s, no error; meanwhile {records / took:,.0f} records/s"
        )


def kill(name: str, folder: Path) -> None:
    """A writer that is killed: what it had said was stored must be there."""
    path = folder / "kill.db"
    code = f"""
from engines import *
engine, total = ENGINES[{name!r}](Path({str(path)!r}), True), 0
for batch in batches(100_000):
    engine.append(batch)
    total += len(batch)
    print(total, flush=True)
"""
    lost = []
    for _ in range(3):
        ran = [sys.executable, "-c", code]
        with subprocess.Popen(ran, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True) as writer:
            said = 0
            for _ in range(15):
                said = int(writer.stdout.readline())
            writer.kill()
        engine = ENGINES[name](path, False)
        full = said // SPANS
        lost.append(sum(engine.lead(lead_id(n)) != SPANS + EVENTS for n in range(full)))
        engine.close()
        for one in folder.glob("kill.db*"):
            one.unlink()
    print(f"  kill -9 while writing, three times: leads lost of those acknowledged: {lost}")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("engine", choices=list(ENGINES))
    options.add_argument("--leads", type=int, default=100_000)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(asked.engine, asked.leads, Path(folder))
        readers(asked.engine, Path(folder))
        kill(asked.engine, Path(folder))


if __name__ == "__main__":
    main()
