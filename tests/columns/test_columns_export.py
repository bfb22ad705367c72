"""Export to Parquet: what pandas and DuckDB read is what the store holds; broken off, it goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from click.testing import CliRunner

from leadtrace.cli import main
from leadtrace.errors import SettingsError
from leadtrace.store.columns.exporting import export_store
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.relations.interface import Slice

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
from traffic import Traffic, generate  # beside the tests of analyses


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return generate(seed=5, leads=60, days=3)


@pytest.fixture
def filled(store: EmbeddedStore, traffic: Traffic) -> EmbeddedStore:
    traffic.write(store)
    return store


def read(folder: Path, what: str) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(one) for one in sorted(folder.glob(f"{what}-*.parquet"))])


def test_pandas_reads_what_the_store_holds(filled: EmbeddedStore, traffic: Traffic, tmp_path: Path) -> None:
    found = export_store(filled.path, tmp_path / "out", Slice(), per_file=700)
    events, spans = read(tmp_path / "out", "events"), read(tmp_path / "out", "spans")
    assert (len(events), len(spans)) == (len(traffic.events), len(traffic.spans))
    assert found.rows == len(events) + len(spans)
    assert events["name"].value_counts().to_dict() == dict(traffic.truth.names)
    assert not {"lead_key", "run_key"} & {*events.columns, *spans.columns}
    revenue = events[events["name"] == "delivery.accepted"].groupby(["buyer", "currency"])["revenue_micro"].sum()
    assert {key: value / 1e6 for key, value in revenue.items()} == {
        key: float(value) for key, value in traffic.truth.revenue.items()
    }


def test_duckdb_reads_it_too(filled: EmbeddedStore, traffic: Traffic, tmp_path: Path) -> None:
    export_store(filled.path, tmp_path / "out", Slice())
    ((count,),) = duckdb.sql(
        f"SELECT count(*) FROM '{tmp_path}/out/events-*.parquet' WHERE json_extract_string(attributes, '$.\"lead.id\"') = lead_id"
    ).fetchall()
    assert count == len(traffic.events)


def test_a_window_and_a_tenant_are_kept_to(filled: EmbeddedStore, traffic: Traffic, tmp_path: Path) -> None:
    times = sorted(one.time_ns for one in traffic.events)
    since, until = times[100], times[900]
    export_store(filled.path, tmp_path / "out", Slice(since, until))
    assert len(read(tmp_path / "out", "events")) == sum(since <= one < until for one in times)
    assert export_store(filled.path, tmp_path / "none", Slice(tenant="nobody")).files == []


def test_broken_off_it_goes_on_and_later_it_adds_what_has_come(
    filled: EmbeddedStore, traffic: Traffic, tmp_path: Path
) -> None:
    folder = tmp_path / "out"

    def stop(done: int, _: int) -> None:
        if done >= 1_400:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_store(filled.path, folder, Slice(), stop, per_file=700)
    (folder / "events-1401-2100-dead.parquet").write_bytes(b"PAR1")  # a file that was made and not listed yet
    before = set(json.loads((folder / "leadtrace-export.json").read_text())["files"])
    assert before
    found = export_store(filled.path, folder, Slice(), per_file=700)
    assert before < set(found.files) == {one.name for one in folder.glob("*.parquet")}
    assert len(read(folder, "events")) == len(traffic.events)
    assert export_store(filled.path, folder, Slice()).files == found.files
    more = generate(seed=6, leads=5, days=1, tenant="t")
    more.write(filled)
    export_store(filled.path, folder, Slice())
    assert len(read(folder, "events")) == len(traffic.events) + len(more.events)


def test_a_folder_of_something_else_is_left_alone(filled: EmbeddedStore, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(SettingsError, match="holds no export"):
        export_store(filled.path, tmp_path / "mine", Slice())
    export_store(filled.path, tmp_path / "out", Slice())
    with pytest.raises(SettingsError, match="an export of something else"):
        export_store(filled.path, tmp_path / "out", Slice(5))
    (tmp_path / "out" / "leadtrace-export.json").write_text("{}")
    with pytest.raises(SettingsError, match="is not the list of an export"):
        export_store(filled.path, tmp_path / "out", Slice())


def test_the_command_tells_what_it_wrote(filled: EmbeddedStore, traffic: Traffic, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["export", "--to", str(tmp_path / "out"), "--store", str(filled.path), "--json"])
    told = json.loads(done.stdout)
    assert (done.exit_code, told["records"]) == (0, len(traffic.events) + len(traffic.spans))
    again = CliRunner().invoke(main, ["export", "--to", str(tmp_path / "out"), "--store", str(filled.path)])
    assert again.stdout.startswith(f"{told['records']:,} records of {filled.path} in 2 files")
    assert CliRunner().invoke(main, ["export", "--to", str(tmp_path / "x"), "--store", "/nowhere.db"]).exit_code == 3
