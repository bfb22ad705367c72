"""What the bench asks by hand of the Parquet files beside a store is what the reports say: the same figures by other paths."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from traffic import generate

sys.path.append(str(Path(__file__).parents[2] / "bench"))

import by_pandas
from reports import BY_HAND

import leadtrace
from leadtrace.analysis.business import Takings
from leadtrace.analysis.registry import REPORTS
from leadtrace.analysis.reliability import Partner
from leadtrace.analysis.roi import Calls, Return
from leadtrace.reading import Reader
from leadtrace.store.columns.files import folder_of
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore

ALL = (0, 2**62)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the columns of all that it holds."""
    found = tmp_path_factory.mktemp("by_hand") / "store.db"
    store = EmbeddedStore.open(found, write=True)
    generate(seed=2, leads=80, days=7).write(store)
    assert Upkeep(store).copy() > 0
    store.close()
    return found


@pytest.fixture
def reader(path: Path) -> Iterator[Reader]:
    with leadtrace.open(str(path)) as found:
        yield found


def test_pandas_counts_events_and_errors_alike(reader: Reader, path: Path) -> None:
    names = by_pandas.frequency(path, *ALL)
    assert {(one.name, one.kind): (one.events, one.leads) for one in reader.report("frequency").rows} == {
        key: tuple(row) for key, row in names.iterrows()
    }
    groups = by_pandas.errors(path, *ALL)
    assert len(groups) > 1
    assert {one.group: (one.errors, one.leads, one.first_ns, one.last_ns) for one in reader.report("errors").rows} == {
        key: tuple(row) for key, row in groups.iterrows()
    }


def test_pandas_sums_money_alike(reader: Reader, path: Path) -> None:
    calls, money = by_pandas.roi(path, *ALL), reader.report("roi")
    for one in money.of(Calls):
        assert one.attempts == calls.loc[one.enhancement]["calls"].sum()
    for cost in money.of(Return):
        if cost.currency == "USD":
            mine = calls.loc[cost.enhancement].xs("USD", level="currency")
            assert (int(cost.cost * 1_000_000), int(cost.cache_savings * 1_000_000)) == (
                mine["cost"].sum(),
                mine["avoided"].sum(),
            )
    takings = by_pandas.business(path, *ALL)
    rows = reader.report("business").of(Takings)
    assert {one.currency for one in rows} == {"USD", "EUR"}
    for row in rows:
        theirs = takings.xs(row.currency, level="currency").sum()
        assert (int(row.revenue * 1_000_000), int(row.returned * 1_000_000)) == (
            theirs["revenue_micro"],
            theirs["return_micro"],
        )
        assert int(row.cost * 1_000_000) == theirs["cost_micro"] + theirs["price_micro"]


def test_pandas_judges_services_and_buyers_alike(reader: Reader, path: Path) -> None:
    figures = by_pandas.reliability(path, *ALL)
    partners = reader.report("reliability").of(Partner)
    assert {one.name: (one.calls, one.unanswered) for one in partners} == {
        name: (row["calls"], row["failed"]) for name, row in figures.iterrows()
    }


def test_every_report_s_question_by_hand_can_be_asked(path: Path) -> None:
    assert set(BY_HAND) == set(REPORTS)
    with duckdb.connect() as connection:
        for name in ("events", "spans"):
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{folder_of(path)}/{name}-*.parquet'")
        for name, sql in BY_HAND.items():
            rows = connection.execute(sql).fetchall()
            assert bool(rows) == (name not in ("ads", "outbound")), name  # the traffic has none of either
