"""Every report over a week and over a day, beside the same question asked of DuckDB or pandas by hand.

    python bench/reports.py /tmp/bench --events 1000000 [--rows] [--only NAME]

Makes a store of so many events over seven days and its columns, unless they are there (twenty million take 14 GB and ten to
thirty minutes). Each figure is the best of three, files in the system's cache: seconds, and in brackets
seconds of CPU over all cores. `--rows` also asks the rows of SQLite. "By hand" is DuckDB over the same Parquet files without
leadtrace, and counts what the report's core counts; "pandas" the same over the columns and rows that it needs, run once. What
review asks by hand is one table: each name, day and currency.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
from by_pandas import BY_PANDAS, TOO_LARGE
from lead_traffic import make_store

import leadtrace
from leadtrace.analysis.registry import REPORTS
from leadtrace.store.columns.files import folder_of
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.relations import engine
from leadtrace.store.relations.interface import Slice

DAY = 86_400 * 10**9
BY_HAND = {
    "frequency": "SELECT name, kind, count(*), count(DISTINCT lead_id) FROM events GROUP BY ALL",
    "errors": """SELECT error_fingerprint, count(*), count(DISTINCT lead_id), min(time_ns), max(time_ns) FROM events
                 WHERE kind = 'error' GROUP BY ALL""",
    "roi": """SELECT enhancement_name, name, currency, count(*), sum(cost_micro), sum(cost_avoided_micro), sum(cache_hit)
              FROM events WHERE word = 'enhancement' AND kind IN ('success', 'failure') GROUP BY ALL""",
    "business": """SELECT currency, buyer, sum(revenue_micro), sum(return_micro), sum(price_micro), sum(cost_micro), count(*)
                   FROM events GROUP BY ALL""",
    "patterns": """SELECT path, count(*) FROM (SELECT lead_id, string_agg(name, ' > ' ORDER BY time_ns, arrival) AS path
                   FROM events WHERE lead_id <> '' GROUP BY lead_id) GROUP BY path ORDER BY 2 DESC LIMIT 20""",
    "reliability": """SELECT coalesce(nullif(enhancement_service, ''), buyer), count(*), sum((kind = 'failure')::INT),
                      quantile_disc(duration_ms, [0.5, 0.95]) FROM events
                      WHERE word IN ('enhancement', 'delivery') AND kind <> 'start' GROUP BY ALL""",
    "health": """SELECT time_ns // 3600000000000, count(*), sum((kind = 'failure')::INT), quantile_disc(duration_ms, 0.95)
                 FROM events GROUP BY ALL""",
    "performance": "SELECT word, word_name, count(*), quantile_disc(length_ns, [0.5, 0.95]) FROM spans GROUP BY ALL",
    "what-if": """SELECT r.flow_name, r.flow_version, count(*), quantile_disc(r.length_ns, [0.5, 0.95]),
                  quantile_disc(r.length_ns - coalesce(c.saved, 0), [0.5, 0.95])
                  FROM (SELECT run_id, flow_name, flow_version, length_ns FROM spans WHERE word = 'flow') r
                  LEFT JOIN (SELECT run_id, sum(length_ns) AS saved FROM spans
                    WHERE word_name = 'phone validation' AND cache_hit = 0 GROUP BY run_id) c USING (run_id)
                  GROUP BY ALL""",
    "capacity": """SELECT time_ns // 3600000000000, count(*), max(in_flight), max(queue_depth) FROM events
                   WHERE name IN ('flow.started', 'system.capacity.sampled') GROUP BY ALL""",
    "review": """SELECT time_ns // 86400000000000, name, kind, currency, count(*), count(DISTINCT lead_id),
                 sum(revenue_micro), sum(cost_micro), sum(cache_hit), quantile_disc(duration_ms, [0.5, 0.95])
                 FROM events GROUP BY ALL""",
    "series": """SELECT campaign_group, first // 3600000000000, count(*)
                 FROM (SELECT campaign_group, lead_id, min(time_ns) AS first FROM events
                   WHERE name IN ('flow.started', 'lead.received') AND campaign_group <> ''
                   GROUP BY campaign_group, lead_id, time_ns // 86400000000000) GROUP BY ALL""",
    "ads": "SELECT lead_event_platform, name, count(*) FROM events WHERE name LIKE 'lead.event.%' GROUP BY ALL",
    "outbound": "SELECT outbound_adapter, name, sum(outbound_count) FROM events WHERE name LIKE 'dispatch.%' GROUP BY ALL",
}


def best(ask: Callable[[], object], times: int = 3) -> str:
    """The best of some runs: its time, and the CPU time that it took over all cores."""
    took: list[tuple[float, float]] = []
    for _ in range(times):
        began, used = time.perf_counter(), time.process_time()
        ask()
        took.append((time.perf_counter() - began, time.process_time() - used))
        if took[-1][0] > 5:
            break
    wall, cpu = min(took)
    return f"{wall:.2f} ({cpu:.2f})"


def by_hand(path: Path, sql: str, since: int, until: int) -> str:
    def ask() -> None:
        with duckdb.connect() as connection:
            for name, moment in (("events", "time_ns"), ("spans", "start_ns")):
                connection.execute(
                    f"CREATE VIEW {name} AS SELECT * FROM '{folder_of(path)}/{name}-*.parquet' "
                    f"WHERE {moment} >= {since} AND {moment} < {until}"
                )
            connection.execute(sql).fetchall()

    return best(ask)


def measure(path: Path, only: str, rows: bool) -> None:
    with leadtrace.open(str(path)) as reader:
        store = reader.source
        assert isinstance(store, EmbeddedStore)
        with store.relations(Slice()) as relations:
            ((events, first, last),) = relations.query("SELECT count(*), min(time_ns), max(time_ns) FROM lead_events")
        monday = first // DAY * DAY
        windows = {"week": (monday, monday + 7 * DAY), "day": (monday + 3 * DAY, monday + 4 * DAY)}
        print(f"\n{path.name}: {events:,} events over {(min(last, monday + 7 * DAY) - first) / DAY:.1f} days\n")
        head = ["report", *(f"{name}, s" for name in windows), *(f"by hand {name}, s" for name in windows)]
        head += [f"pandas {name}, s" for name in windows]
        head += [f"rows {name}, s" for name in windows] * rows
        print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
        for name in [only] if only else REPORTS:
            cells = [name]
            for since, until in windows.values():
                cells.append(asked(reader, name, since, until))
            for since, until in windows.values():
                cells.append(by_hand(path, BY_HAND[name], since, until) if name in BY_HAND else "")
            for since, until in windows.values():
                small_enough = name in BY_PANDAS and (name not in TOO_LARGE or events < 5_000_000)
                cells.append(best(partial(BY_PANDAS[name], path, since, until), 1) if small_enough else "")
            if rows:
                real, engine._no_columns = engine._no_columns, lambda *_: "for the bench"
                cells += [asked(reader, name, *window) for window in windows.values()]
                engine._no_columns = real
            print(f"| {' | '.join(cells)} |", flush=True)


def asked(reader: leadtrace.reading.Reader, name: str, since: int, until: int) -> str:
    given = {"since_ns": since, "until_ns": until, "now_ns": until}
    if name == "what-if":
        given["cache"] = ("phone validation",)
    try:
        return best(lambda: reader.report(name, **given))
    except leadtrace.LeadtraceError as problem:  # a report that asks for an option
        return str(problem).split(";")[0][:40]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("--only", default="")
    asked_for = parser.parse_args()
    asked_for.folder.mkdir(exist_ok=True)
    path = asked_for.folder / "one.db"
    if not path.exists():
        began = time.perf_counter()
        make_store(path, asked_for.events)
        print(f"store of {asked_for.events:,} events: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    store = EmbeddedStore.open(path, write=True)
    upkeep = Upkeep(store)
    if behind := upkeep.behind():
        began, cpu = time.perf_counter(), time.process_time()
        upkeep.copy()
        took, used = time.perf_counter() - began, time.process_time() - cpu
        print(f"columns of {behind:,} records: {took:.0f} s, {used / behind * 1e6:.0f} µs of CPU each")
    store.close()
    measure(path, asked_for.only, asked_for.rows)


if __name__ == "__main__":
    main()
