"""Two engines over one store: its rows, and the columnar copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pyarrow.parquet
import pytest

from leadtrace.store.columns.files import folder_of
from leadtrace.store.columns.names import KEYED, SUFFIX
from leadtrace.store.columns.on_columns import ColumnEngine
from leadtrace.store.columns.register import registered
from leadtrace.store.columns.taking import EVENTS, KEYS, SPANS, columns_of
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.file import connect_reader
from leadtrace.store.relations.interface import Slice
from leadtrace.store.relations.on_rows import RowEngine

RUNS = (
    "run_id, tenant, lead_id, parent_run_id, flow_id, flow_name, flow_version, source, campaign, campaign_group, service, "
    "start_ns, end_ns, ends, handed_over, outcome, duration_ms"
)
STOPS = "run_id, tenant, flow_name, outcome, last_event, last_about"
EVENT_COLUMNS = ", ".join(name for name, _ in columns_of(EVENTS) if name not in KEYS)
SPAN_COLUMNS = ", ".join(name for name, _ in columns_of(SPANS) if name not in KEYS)
QUESTIONS = (
    f"SELECT {EVENT_COLUMNS} FROM lead_events ORDER BY arrival",
    f"SELECT {EVENT_COLUMNS} FROM all_events ORDER BY arrival",
    f"SELECT {SPAN_COLUMNS} FROM lead_spans ORDER BY arrival",
    f"SELECT {SPAN_COLUMNS} FROM all_spans ORDER BY arrival",
    f"SELECT {RUNS} FROM lead_runs ORDER BY run_id, tenant",
    f"SELECT {STOPS} FROM lead_stops ORDER BY run_id, tenant",
    "SELECT arrival, lead_id, tenant FROM lead_shared ORDER BY arrival, lead_id, tenant",
    # A key is another value in each engine: what it makes equal is not.
    *(
        f"SELECT min({one}), max({one}), {key} IS NULL, count(*) FROM {relation} GROUP BY {key} ORDER BY 1, 2"
        for relation, key, one in (
            ("all_events", "lead_key", "arrival"),
            ("all_events", "run_key", "arrival"),
            ("all_spans", "lead_key", "arrival"),
            ("all_spans", "run_key", "arrival"),
            ("lead_runs", "run_key", "tenant || '/' || run_id"),
            ("lead_runs", "lead_key", "tenant || '/' || lead_id"),
            ("lead_stops", "run_key", "tenant || '/' || run_id"),
        )
    ),
    "SELECT count(*) FROM all_events e JOIN lead_runs r ON r.run_key = e.run_key AND r.lead_key = e.lead_key",
)


def answers(path: Path, parts: list[Slice], by_columns: bool) -> list[Any]:
    """What one engine answers to all questions, over each part."""
    connection = connect_reader(path)
    engine: Any
    if by_columns:
        connection.execute("BEGIN")
        engine = ColumnEngine(path, connection, registered(connection))
    else:
        engine = RowEngine(connection)
    found = [engine.run(part, sql, None, {}) for part in parts for sql in QUESTIONS]
    engine.close()
    return found


def assert_equal(path: Path, parts: list[Slice]) -> None:
    """Both engines answer alike, to the last column."""
    asked = [sql for _ in parts for sql in QUESTIONS]
    for sql, rows, columns in zip(asked, answers(path, parts, False), answers(path, parts, True), strict=True):
        names = [one.strip() for one in sql.removeprefix("SELECT ").partition(" FROM ")[0].split(",")]
        assert len(rows) == len(columns), sql
        for row, column in zip(rows, columns, strict=True):
            differing = [one for one in zip(names, row, column, strict=True) if one[1] != one[2]]
            assert differing == [], sql[sql.index(" FROM ") :]


def made_before_keys(path: Path) -> None:
    """Turn the files of the columns into such as a version made that had no keys."""
    folder = folder_of(path)
    renamed = []
    for file in list(folder.glob(f"*{KEYED}")):
        if not file.name.startswith(("events-", "spans-")):
            file.unlink()
            continue
        table = pyarrow.parquet.read_table(file)
        before = file.name.removesuffix(KEYED) + SUFFIX
        pyarrow.parquet.write_table(table.drop_columns(list(KEYS)), folder / before)
        file.unlink()
        renamed.append((before, file.name))
    connection = apsw.Connection(str(path))
    connection.executemany("UPDATE column_files SET file = ? WHERE file = ?", renamed)
    connection.close()


@pytest.fixture(scope="session")
def before_keys() -> Callable[[Path], None]:
    return made_before_keys


@pytest.fixture(scope="session")
def alike() -> Callable[[Path, list[Slice]], None]:
    return assert_equal


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    found = EmbeddedStore.open(tmp_path / "store.db", write=True)
    yield found
    found.close()


@pytest.fixture
def upkeep(store: EmbeddedStore) -> Upkeep:
    return Upkeep(store)
