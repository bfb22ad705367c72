"""The files of the columnar copy: which count, what replaces them, what is left after a crash or an erasure."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from leadtrace.analysis.answer import answer
from leadtrace.analysis.registry import analysis
from leadtrace.errors import SourceError
from leadtrace.otlp.records import EventRecord, SpanRecord
from leadtrace.store import file
from leadtrace.store.columns import copying, files
from leadtrace.store.columns.copying import add_ready, copy_new, made_from_json, remake
from leadtrace.store.columns.files import folder_of, making
from leadtrace.store.columns.names import has_keys
from leadtrace.store.columns.on_columns import ColumnEngine
from leadtrace.store.columns.ready import ready_files
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.relations.interface import ColumnsReplacedError, Slice

START = 1_790_000_000_000_000_000


def an_event(number: int, **more: object) -> EventRecord:
    attributes = {"lead.id": f"lead_{number % 5}", "log.record.uid": f"{1:016x}{number:012x}"}
    return EventRecord("ours", START + number, f"{number % 5 + 1:032x}", f"{1:016x}", attributes | more)  # type: ignore[arg-type]


def on_disk(store: EmbeddedStore) -> set[str]:
    folder = folder_of(store.path)
    return {one.name for one in folder.iterdir()} if folder.exists() else set()


def registered_names(upkeep: Upkeep) -> set[str]:
    """The files that count, with what lies beside those of events."""
    files = {one.file for one in upkeep.state().files}
    return files.union(*map(ready_files, files))


def test_runs_are_read_from_beside_the_files_and_without_them_worked_out_alike(
    store: EmbeddedStore, upkeep: Upkeep, alike: Callable[[Path, list[Slice]], None]
) -> None:
    def told(name: str, at: int) -> EventRecord:
        return dataclasses.replace(an_event(at, **{"leadtrace.run_id": f"r{at % 3}", "flow.name": "intake"}), name=name)

    store.append([], [told("flow.started", number) for number in range(3)])
    upkeep.copy()
    store.append([], [told("flow.completed", number) for number in (3, 4)])
    upkeep.copy()
    alike(store.path, [Slice()])
    beside = sorted(folder_of(store.path).glob("runs-*.parquet"))
    assert len(beside) == 2
    with store.relations(Slice()) as relations:
        asked = "SELECT run_id, flow_name, ends FROM lead_runs ORDER BY run_id"
        assert relations.query(asked) == [("r0", "intake", 1), ("r1", "intake", 1), ("r2", "intake", 0)]
        often = "SELECT a.{0} FROM lead_runs a JOIN lead_runs b ON b.run_id = a.run_id JOIN lead_runs c ON c.run_id = b.run_id"
        assert sorted(relations.query(often.format("flow_name"))) == [("intake",)] * 3
        assert sorted(relations.query(often.format("ends"))) == [(0,), (1,), (1,)]
        assert relations.query(asked)[2] == ("r2", "intake", 0)
    for one in beside:
        one.unlink()
        alike(store.path, [Slice()])


def test_what_an_earlier_version_did_not_put_beside_a_file_is_made_when_columns_are_kept(
    store: EmbeddedStore, upkeep: Upkeep
) -> None:
    store.append([], [an_event(number) for number in range(10)])
    upkeep.copy()
    there = on_disk(store)
    for name in there:
        if not name.startswith(("events", "spans")):
            (folder_of(store.path) / name).unlink()
    assert upkeep.copy() == 0
    assert on_disk(store) == there


def test_files_of_the_time_before_keys_are_read_and_made_anew_when_columns_are_kept(
    store: EmbeddedStore,
    upkeep: Upkeep,
    alike: Callable[[Path, list[Slice]], None],
    before_keys: Callable[[Path], None],
) -> None:
    said = {"leadtrace.run_id": "r", "flow.name": "intake"}
    store.append([], [an_event(1, **said), an_event(2, **{**said, "tenant_key": "t"})])
    upkeep.copy()
    there = sorted(one.partition(".")[0].rpartition("-")[0] for one in on_disk(store))
    before_keys(store.path)
    assert not any(has_keys(one.file) for one in upkeep.state().files)
    assert events_of(store) == (2, "ColumnEngine")
    alike(store.path, [Slice()])
    assert upkeep.behind() == 2
    assert upkeep.copy() == 2
    assert sorted(one.partition(".")[0].rpartition("-")[0] for one in on_disk(store)) == there
    assert all(has_keys(one.file) for one in upkeep.state().files)
    alike(store.path, [Slice()])
    assert upkeep.behind() == 0


@pytest.mark.parametrize("lost", ["", "runs", "again"])
def test_parts_of_a_run_in_several_files_are_found_whatever_became_of_the_files(
    store: EmbeddedStore, upkeep: Upkeep, alike: Callable[[Path, list[Slice]], None], lost: str
) -> None:
    """Copied one by one, each met by a later one; one of them changed, then made anew; what lies beside another lost."""

    def told(name: str, at: int, run: int) -> EventRecord:
        return dataclasses.replace(an_event(at, **{"leadtrace.run_id": f"r{run}"}), name=name)

    batches = [
        [told("flow.started", 1, 1), told("flow.started", 2, 2)],
        [told("flow.started", 3, 3), told("flow.handed_over", 4, 1)],
        [told("flow.completed", 5, 1), told("flow.completed", 6, 3), told("flow.completed", 7, 2)],
    ]
    for batch in batches:
        store.append([], batch)
        upkeep.copy()
    alike(store.path, [Slice()])
    store.append([], [dataclasses.replace(batches[1][0], origin="span")])
    assert upkeep.state().changed
    alike(store.path, [Slice()])
    if lost:
        sorted(folder_of(store.path).glob(f"{lost}-*"))[0].unlink()
        alike(store.path, [Slice()])
    assert upkeep.settle() == 1
    alike(store.path, [Slice()])
    upkeep.copy()
    alike(store.path, [Slice()])
    with store.relations(Slice()) as relations:
        found = relations.query("SELECT run_id, ends, handed_over, start_ns IS NULL FROM lead_runs ORDER BY run_id")
    assert found == [("r1", 1, 1, False), ("r2", 1, 0, False), ("r3", 1, 0, False)]


def test_a_file_made_while_what_lay_beside_another_was_lost_is_met_when_that_is_made_again(
    store: EmbeddedStore, upkeep: Upkeep, alike: Callable[[Path, list[Slice]], None]
) -> None:
    def told(name: str, at: int) -> EventRecord:
        return dataclasses.replace(an_event(at, **{"leadtrace.run_id": "r1"}), name=name)

    store.append([], [told("flow.started", 1)])
    upkeep.copy()
    (lost,) = folder_of(store.path).glob("runs-*")
    lost.unlink()
    store.append([], [told("flow.completed", 2)])
    upkeep.begin()
    for made in copy_new(store.path):
        upkeep.accept(made)
    alike(store.path, [Slice()])
    upkeep.copy()
    assert lost.exists()
    alike(store.path, [Slice()])
    with store.relations(Slice()) as relations:
        assert relations.query("SELECT run_id, ends FROM lead_runs") == [("r1", 1)]


def test_where_nothing_is_missing_nobody_waits_for_what_is_being_made(store: EmbeddedStore, upkeep: Upkeep) -> None:
    store.append([], [an_event(number) for number in range(3)])
    upkeep.copy()
    with making(folder_of(store.path)):
        add_ready(store.path)


def test_the_last_that_is_told_of_a_run_is_found_over_files_rows_and_changes(
    store: EmbeddedStore, upkeep: Upkeep, alike: Callable[[Path, list[Slice]], None]
) -> None:
    def told(name: str, at: int, run: int, **more: object) -> EventRecord:
        said = {"leadtrace.run_id": f"r{run}", "leadtrace.kind": "point", **more}
        return dataclasses.replace(an_event(at, **said), name=name)

    parts = [Slice(), Slice(START + 2, START + 4), Slice(START + 1), Slice(until_ns=START + 2)]
    asked = "SELECT run_id, last_event, last_about FROM lead_stops ORDER BY run_id"
    store.append([], [told("flow.started", run, run, **{"flow.name": "intake"}) for run in range(4)])
    store.append([], [told("delivery.accepted", 10, 1, **{"delivery.buyer": "Acme"}), told("step.completed", 9, 1)])
    upkeep.copy()
    store.append([], [told("lead.scored", 20, 1), told("step.completed", 21, 2), told("flow.failed", 30, 2)])
    alike(store.path, parts)
    upkeep.copy()
    alike(store.path, parts)
    with store.relations(Slice(START + 1, START + 4)) as relations:
        assert relations.query(asked) == [
            ("r1", "lead.scored", ""),
            ("r2", "step.completed", ""),
            ("r3", "flow.started", ""),
        ]
        assert relations.within(until_ns=START + 1).query(asked) == [("r0", "flow.started", "")]
    with store.relations(Slice(START + 1, START + 2)) as relations:
        assert relations.query(asked) == [("r1", "lead.scored", "")]


def events_of(store: EmbeddedStore) -> tuple[int, str]:
    """How many events the relations have, and which engine said so."""
    with store.relations(Slice()) as relations:
        ((count,),) = relations.query("SELECT count(*) FROM lead_events")
        return count, type(relations._engine).__name__  # type: ignore[attr-defined]


def test_what_was_copied_is_read_from_the_files_and_the_rest_from_the_rows(
    store: EmbeddedStore, upkeep: Upkeep
) -> None:
    store.append([], [an_event(number) for number in range(10)])
    assert events_of(store) == (10, "RowEngine")
    assert upkeep.behind() == 10
    assert upkeep.copy() == 2
    assert (upkeep.behind(), events_of(store)) == (0, (10, "ColumnEngine"))
    store.append([], [an_event(number) for number in range(10, 13)])
    assert (upkeep.behind(), events_of(store)) == (3, (13, "ColumnEngine"))
    assert on_disk(store) == registered_names(upkeep)


def test_a_span_that_ends_after_it_was_copied_is_counted_once(store: EmbeddedStore, upkeep: Upkeep) -> None:
    span = SpanRecord(f"{1:032x}", f"{1:016x}", "s", START, 0)
    store.append([span], [])
    upkeep.copy()
    store.append([dataclasses.replace(span, end_ns=START + 5)], [])
    with store.relations(Slice()) as relations:
        assert relations.query("SELECT length_ns FROM lead_spans") == [(5,)]
    upkeep.settle()
    assert upkeep.state().changed == {}
    with store.relations(Slice()) as relations:
        assert relations.query("SELECT length_ns FROM lead_spans") == [(5,)]


def test_what_a_batch_did_is_counted_right_though_changes_are_noted(store: EmbeddedStore, upkeep: Upkeep) -> None:
    events = [an_event(number) for number in range(4)]
    store.append([], [dataclasses.replace(one, origin="span", index=0) for one in events])
    upkeep.copy()
    told = store.append([], [*events, an_event(9)])
    assert (told.stored, told.united, told.repeated) == (1, 4, 0)
    assert upkeep.state().changed == {2: {1, 2, 3, 4}}


def test_small_files_are_put_together(store: EmbeddedStore, upkeep: Upkeep) -> None:
    for number in range(copying._TOGETHER):
        store.append([], [an_event(number)])
        upkeep.copy()
    files = upkeep.state().of(2)
    assert [(one.first, one.last, one.rows) for one in files] == [(1, copying._TOGETHER, copying._TOGETHER)]
    assert on_disk(store) == registered_names(upkeep)
    assert events_of(store) == (copying._TOGETHER, "ColumnEngine")


def test_rows_that_are_too_large_to_be_sorted_stay_as_they_came_and_answer_all_the_same(
    store: EmbeddedStore, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_MEMORY", "1MB")
    store.append([], [an_event(number) for number in range(5_000)])
    with monkeypatch.context() as told:
        said: list[str] = []
        told.setattr(files._log, "info", lambda text, *given: said.append(text % given))
        upkeep.copy()
    assert any("stay in the order of arrival" in one for one in said)
    assert on_disk(store) == registered_names(upkeep)
    assert events_of(store) == (5_000, "ColumnEngine")


def test_what_a_crash_left_is_removed_and_counts_for_nothing(store: EmbeddedStore, upkeep: Upkeep) -> None:
    store.append([], [an_event(number) for number in range(6)])
    upkeep.begin()
    lost = next(copy_new(store.path, 4))  # made, and nobody lived to register it
    (folder_of(store.path) / "events-1-4-dead.parquet.half").write_bytes(b"PAR1")
    assert events_of(store) == (6, "RowEngine")
    upkeep.copy()
    assert lost.file.file not in on_disk(store)
    assert on_disk(store) == registered_names(upkeep)
    assert events_of(store) == (6, "ColumnEngine")


def test_a_file_that_was_made_too_late_counts_for_nothing(store: EmbeddedStore, upkeep: Upkeep) -> None:
    store.append([], [an_event(number) for number in range(6)])
    upkeep.copy()
    store.append([], [dataclasses.replace(an_event(0), origin="span", index=0)])
    slow = next(remake(store.path, every_changed=True))  # knows nothing of what is erased now
    store.erase(["lead_1"])
    upkeep.accept(made_from_json(slow.as_json()))
    assert slow.file.file not in on_disk(store)
    assert on_disk(store) == registered_names(upkeep)
    assert events_of(store) == (5, "ColumnEngine")


def test_nothing_of_an_erased_lead_is_left_in_the_files(store: EmbeddedStore, upkeep: Upkeep) -> None:
    import pyarrow.parquet as pq

    store.append([], [an_event(number, note="x" * 40) for number in range(20)])
    shared = an_event(30, **{"leadtrace.lead_ids": ["lead_1", "lead_2"]})
    store.append(
        [], [dataclasses.replace(shared, attributes={k: v for k, v in shared.attributes.items() if k != "lead.id"})]
    )
    upkeep.copy()
    before = on_disk(store)
    told = store.erase(["lead_1"])
    assert told.left == []
    tables = [pq.read_table(folder_of(store.path) / name) for name in on_disk(store)]
    assert "lead_1" not in str([table.to_pylist() for table in tables])
    assert "lead_2" in str([table.to_pylist() for table in tables])
    assert before - on_disk(store)
    assert on_disk(store) == registered_names(upkeep)
    assert events_of(store) == (17, "ColumnEngine")


def test_where_they_cannot_be_made_anew_an_erasure_drops_the_files(
    store: EmbeddedStore, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append([], [an_event(number) for number in range(20)])
    upkeep.copy()
    monkeypatch.setattr("leadtrace.store.columns.upkeep.missing", lambda: "pyarrow missing")
    assert store.erase(["lead_1"]).left == []
    assert on_disk(store) == set()
    monkeypatch.undo()
    assert events_of(store) == (16, "RowEngine")


def test_a_name_that_many_rows_refer_to_makes_all_files_stale(store: EmbeddedStore, upkeep: Upkeep) -> None:
    store.append([], [an_event(number) for number in range(3)])
    upkeep.copy()
    with store.writing() as connection:
        connection.execute("UPDATE texts SET text = 'other' WHERE text = 'ours'")
    assert upkeep.state().stale
    with store.relations(Slice()) as relations:
        assert relations.query("SELECT DISTINCT name FROM lead_events") == [("other",)]
    upkeep.copy()
    assert events_of(store) == (3, "ColumnEngine")
    with store.relations(Slice()) as relations:
        assert relations.query("SELECT DISTINCT name FROM lead_events") == [("other",)]


def test_files_that_somebody_removed_are_done_without_and_the_answer_says_so(
    store: EmbeddedStore, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append([], [an_event(number) for number in range(3)])
    upkeep.copy()
    for one in folder_of(store.path).iterdir():
        one.unlink()
    assert events_of(store) == (3, "RowEngine")
    assert upkeep.behind() == 3
    monkeypatch.setattr("leadtrace.store.relations.engine._MANY", 1)
    with store.relations(Slice()) as relations:
        assert "not there; `leadtrace reindex` makes them again" in relations.notes[0]
    assert upkeep.copy() == 2
    assert events_of(store) == (3, "ColumnEngine")
    shutil.rmtree(folder_of(store.path))
    assert store.erase(["lead_1"])
    assert events_of(store)[1] == "RowEngine"
    upkeep.copy()
    assert events_of(store)[1] == "ColumnEngine"
    upkeep.drop()
    with store.relations(Slice()) as relations:
        assert "`leadtrace reindex` makes columns" in relations.notes[0]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Erasing waits for readers who stay: not for long here."""
    monkeypatch.setattr(file, "BUSY_MS", 50)


@pytest.mark.usefixtures("impatient")
def test_files_made_anew_while_an_answer_is_read_are_read_again(store: EmbeddedStore, upkeep: Upkeep) -> None:
    store.append([], [an_event(number) for number in range(3)])
    upkeep.copy()
    with store.relations(Slice()) as relations:
        store.erase(["lead_1"])
        with pytest.raises(ColumnsReplacedError, match="ask again"):
            relations.query("SELECT count(*) FROM lead_events")

    asked, real, erased = analysis("frequency"), ColumnEngine.run, []

    def slow(self: ColumnEngine, *more: object) -> object:
        if not erased:
            erased.append(store.erase(["lead_2"]))
        return real(self, *more)  # type: ignore[arg-type]

    ColumnEngine.run = slow  # type: ignore[assignment,method-assign]
    try:
        found = answer(store, asked, asked.options())
    finally:
        ColumnEngine.run = real  # type: ignore[method-assign]
    assert found.sample["events"] == 1


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(store: EmbeddedStore, upkeep: Upkeep) -> None:
    store.append([], [an_event(1)])
    folder_of(store.path).write_text("a file")
    with pytest.raises(SourceError, match=r"columns in .* cannot be written"):
        upkeep.copy()
    assert events_of(store) == (1, "RowEngine")


def test_a_store_of_the_time_before_columns_is_read_by_its_rows(store: EmbeddedStore, tmp_path: Path) -> None:
    store.append([], [an_event(1)])
    with store.writing() as connection:
        for kind, name in connection.execute(
            "SELECT type, name FROM sqlite_master WHERE sql LIKE '%column_changes%' OR sql LIKE '%column_files%'"
        ).fetchall():
            if kind == "trigger":
                connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DROP TABLE column_files")
        connection.execute("DROP TABLE column_changes")
        connection.execute("DELETE FROM counters WHERE name = 'watched'")
        connection.execute("PRAGMA user_version = 2")
    store.close()
    old = EmbeddedStore.open(tmp_path / "store.db")
    assert events_of(old) == (1, "RowEngine")
    old.close()
    new = EmbeddedStore.open(tmp_path / "store.db", write=True)
    new.append([], [an_event(2)])
    Upkeep(new).copy()
    assert events_of(new) == (2, "ColumnEngine")
    new.close()


def test_a_file_made_from_before_an_erasure_counts_for_nothing_though_none_stood_there(
    store: EmbeddedStore, upkeep: Upkeep
) -> None:
    """The first copy of all: begun before the lead was erased, told to the writer after; and its file is gone with the erasure."""
    store.append([], [an_event(number) for number in range(6)])
    upkeep.begin()
    slow = next(copy_new(store.path))
    assert slow.file.file in on_disk(store)
    assert store.erase(["lead_1"]).left == []
    assert on_disk(store) == set()
    upkeep.accept(made_from_json(slow.as_json()))
    assert registered_names(upkeep) == set()
    upkeep.copy()
    assert events_of(store) == (5, "ColumnEngine")


def test_an_erasure_waits_for_a_file_that_is_being_made(store: EmbeddedStore, upkeep: Upkeep) -> None:
    """It holds what is to go, and has no name yet."""
    store.append([], [an_event(number) for number in range(6)])
    upkeep.begin()
    erased = threading.Event()
    with making(folder_of(store.path)):
        thread = threading.Thread(target=lambda: (store.erase(["lead_1"]), erased.set()))
        thread.start()
        assert not erased.wait(0.2)
    assert erased.wait(10)
    thread.join()
