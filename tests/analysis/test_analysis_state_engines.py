"""Health, capacity and outbound say the same over rows and over the columnar copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hours import Book
from test_analysis_capacity import rising
from test_analysis_outbound import STORY, story
from traffic import DAY, HOUR, MONDAY

from leadtrace.analysis.options import checked
from leadtrace.analysis.registry import analysis
from leadtrace.store.columns.on_columns import ColumnEngine
from leadtrace.store.columns.register import registered
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.file import connect_reader
from leadtrace.store.interface import EventFilter, Found
from leadtrace.store.relations.engine import SqlRelations
from leadtrace.store.relations.fetched import fetched_relations
from leadtrace.store.relations.interface import Slice
from leadtrace.store.relations.on_rows import RowEngine


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all three families, and its columnar copy."""
    found = tmp_path_factory.mktemp("state") / "store.db"
    store = EmbeddedStore.open(found, write=True)
    book = Book()
    for hour in range(6):
        book.hour(hour, 40, failing=1, bad=1, hits=12)
    book.hour(6, 40, failing=10, bad=15, timeouts=9, took_ms=3_000, service_ms=2_000, version="2.0")
    book.write(store)
    store.append([], [*story(STORY), *rising()])
    Upkeep(store).copy(per_file=500)
    store.close()
    return found


def answered(path: Path, name: str, by_columns: bool, options: dict[str, Any]) -> Any:
    asked = analysis(name)
    given = checked(name, asked.options, {"now_ns": 1} | options)
    connection = connect_reader(path)
    if by_columns:
        connection.execute("BEGIN")
        engine: Any = ColumnEngine(path, connection, registered(connection))
    else:
        engine = RowEngine(connection)
    store = EmbeddedStore.open(path)
    part = Slice(given.since_ns, given.until_ns, given.tenant)
    found = asked.run(SqlRelations(engine, store, part), given)
    engine.close()
    store.close()
    return found


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("health", {}),
        ("health", {"since_ns": MONDAY + 4 * HOUR, "until_ns": MONDAY + 7 * HOUR}),
        ("health", {"flow": "Auto"}),
        ("capacity", {}),
        ("capacity", {"since_ns": MONDAY + DAY, "service": "router"}),
        ("outbound", {}),
        ("outbound", {"since_ns": MONDAY + 3 * HOUR, "until_ns": MONDAY + 5 * HOUR}),
        ("outbound", {"tenant": "nobody"}),
    ],
)
def test_rows_and_columns_say_the_same(path: Path, name: str, options: dict[str, Any]) -> None:
    by_rows, by_columns = (answered(path, name, one, options) for one in (False, True))
    assert by_rows.as_json() == by_columns.as_json()
    assert by_rows == by_columns
    assert bool(by_rows.rows) == (options.get("tenant") is None)


def test_health_of_what_was_fetched_is_that_of_the_store(path: Path) -> None:
    """Traces alone hold what it needs: its events are told inside flows, so they are on spans too."""
    store = EmbeddedStore.open(path)
    asked = analysis("health")
    given = checked("health", asked.options, {"now_ns": 1})
    events = [one for one in store.events(EventFilter()) if one.attributes.get("leadtrace.run_id")]
    with fetched_relations(store, Found([], events), Slice(), ("log records",)) as relations:
        found = asked.run(relations, given)
    store.close()
    assert asked.traces_suffice
    assert found == answered(path, "health", False, {})
