"""Made-up traffic in a real embedded store, and an open reader of it, for tests of analyses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from in_duckdb import InDuckDB
from traffic import Traffic, generate

import leadtrace
from leadtrace.reading import Reader
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.relations.interface import Relations, Slice


@pytest.fixture(scope="session")
def traffic() -> Traffic:
    """600 leads over a week, nothing of them known but by `traffic.truth` and `traffic.frame()`."""
    return generate(seed=1, leads=600, days=7)


@pytest.fixture(scope="session")
def traffic_path(traffic: Traffic, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of an embedded store that holds it."""
    path = tmp_path_factory.mktemp("traffic") / "store.db"
    writer = EmbeddedStore.open(path, write=True)
    traffic.write(writer)
    writer.close()
    return str(path)


@pytest.fixture
def reader(traffic_path: str) -> Iterator[Reader]:
    """A reader of that store."""
    with leadtrace.open(traffic_path) as found:
        yield found


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Relations, InDuckDB]]:
    """The relations of fewer leads over SQLite, and the same over DuckDB: what is compared is SQL, not statistics."""
    store = EmbeddedStore.open(tmp_path_factory.mktemp("engines") / "store.db", write=True)
    generate(seed=2, leads=150, days=7).write(store)
    with store.relations(Slice()) as relations:
        yield relations, InDuckDB(relations)
    store.close()
