"""Retention: what goes, what stays because something still refers to it, and that the rest is as it was."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from leadtrace.cli import main
from leadtrace.otlp.records import EventRecord, SpanRecord, Value
from leadtrace.query.timeline import timeline
from leadtrace.store.columns.files import folder_of
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import EventFilter, LeadFilter
from leadtrace.store.relations.interface import Slice
from leadtrace.store.retain import retain

DAY = 86_400 * 1_000_000_000
START = 1_790_000_000_000_000_000
CUT = START + 10 * DAY
_uids = iter(range(1, 10_000))


def an_event(day: float, trace: int, lead: str = "", run: str = "", **more: Value) -> EventRecord:
    attributes: dict[str, Value] = {"log.record.uid": f"{1:016x}{next(_uids):012x}", **more}
    attributes |= {"lead.id": lead} if lead else {}
    attributes |= {"leadtrace.run_id": run} if run else {}
    return EventRecord("ours", START + int(day * DAY), f"{trace:032x}" if trace else "", "", attributes)


def a_span(day: float, trace: int, lead: str = "", hours: float = 1) -> SpanRecord:
    start = START + int(day * DAY)
    said: dict[str, Value] = {"lead.id": lead} if lead else {}
    return SpanRecord(f"{trace:032x}", f"{trace:016x}", "s", start, start + int(hours * DAY / 24), attributes=said)


def left(store: EmbeddedStore) -> list[tuple[float, str]]:
    """Day and lead of what is there."""
    found = [((one.time_ns - START) / DAY, one.lead_id) for one in store.events(EventFilter())]
    with store.relations(Slice()) as relations:
        found += relations.query(f"SELECT (start_ns - {START}) / {DAY}, lead_id FROM lead_spans")
    return sorted(found)


def test_a_lead_goes_whole_or_stays_whole(store: EmbeddedStore) -> None:
    store.append(
        [a_span(1, 1, "old"), a_span(1, 2), a_span(1, 4, "touched")],
        [an_event(2, 1, "old"), an_event(1, 4, "touched"), an_event(11, 5, "touched"), an_event(12, 6, "young")],
    )
    kept = timeline(store, "touched").as_json()
    found = retain(store, CUT)
    assert left(store) == [(1, "touched"), (1, "touched"), (11, "touched"), (12, "young")]
    assert found.counts() == {"leads": 1, "traces": 2, "spans": 2, "events": 1, "set_aside": 0}
    assert sorted(row.lead_id for row in store.leads(LeadFilter())) == ["touched", "young"]
    assert timeline(store, "touched").as_json() == kept
    assert retain(store, CUT).counts() == dict.fromkeys(found.counts(), 0)


def test_the_moment_itself_stays(store: EmbeddedStore) -> None:
    store.append([a_span(9.99, 1, hours=0.24)], [an_event(10, 2), an_event(9.999, 3)])
    retain(store, CUT)
    assert left(store) == [(9, ""), (10.0, "")]  # the span ended at the cut, whole days told


def test_a_call_for_several_leads_stays_as_long_as_one_of_them(store: EmbeddedStore) -> None:
    store.append(
        [],
        [
            an_event(1, 1, **{"leadtrace.lead_ids": ["a", "b"]}),
            an_event(11, 2, "b"),
            an_event(1, 3, **{"leadtrace.lead_ids": ["c", "d"]}),
        ],
    )
    retain(store, CUT)
    assert left(store) == [(1, ""), (11, "b")]
    assert sorted(row.lead_id for row in store.leads(LeadFilter())) == ["b"] or "a" in [
        row.lead_id for row in store.leads(LeadFilter())
    ]


def test_what_a_run_told_before_it_knew_its_lead_stays_with_it(store: EmbeddedStore) -> None:
    store.append(
        [],
        [
            an_event(1, 1, run="r"),
            an_event(11, 2, "lead", run="r"),
            an_event(1, 3, run="gone"),
            an_event(2, 4, "x", run="gone"),
        ],
    )
    retain(store, CUT)
    assert left(store) == [(1, ""), (11, "lead")]


def test_what_belongs_to_nobody_goes_by_its_own_time(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadtrace.store.retain._ROWS", 3)
    store.append([], [an_event(day, 0) for day in (1, 2, 3, 4, 5, 6, 7, 11, 12)])
    assert retain(store, CUT).events == 7
    assert left(store) == [(11, ""), (12, "")]


def test_what_was_removed_is_no_loss(store: EmbeddedStore) -> None:
    events = [an_event(1, 1, "old"), an_event(12, 2, "young"), an_event(2, 1, "old")]
    store.append([], events)
    numbers = [int(one.uid[16:], 16) for one in events]
    retain(store, CUT)
    (held,) = store.sequences()
    assert all(number in _numbers(held) for number in numbers)


def _numbers(held) -> set[int]:
    told = held.as_json()
    return {
        number for key in ("held", "erased") for first, last in told[key] for number in range(int(first), int(last) + 1)
    }


def test_columns_lose_the_same_and_answer_alike(store: EmbeddedStore, upkeep: Upkeep, alike, monkeypatch) -> None:
    monkeypatch.setattr("leadtrace.store.retain._SETTLE_AT", 4)
    store.append(
        [a_span(day, 100 + number, f"lead_{number}") for number, day in enumerate((1, 2, 11, 3, 12))],
        [an_event(day, 1 + number, f"lead_{number}") for number, day in enumerate((1, 2, 11, 3, 12, 4, 5, 6))],
    )
    upkeep.copy(per_file=5)
    retain(store, CUT)
    assert upkeep.state().changed == {}
    alike(store.path, [Slice()])
    assert left(store) == [(11, "lead_2"), (11, "lead_2"), (12, "lead_4"), (12, "lead_4")]
    assert sum(one.rows for one in upkeep.state().files) == 4
    store.append([], [an_event(13, 50, "lead_9")])
    upkeep.copy()
    alike(store.path, [Slice()])


def test_stopped_in_the_middle_it_goes_on_when_asked_again(store: EmbeddedStore, monkeypatch) -> None:
    monkeypatch.setattr("leadtrace.store.retain._TRACES", 2)
    store.append([], [an_event(1, number, f"lead_{number}") for number in range(1, 9)] + [an_event(11, 9, "young")])
    rounds = []

    def stop(so_far) -> None:
        rounds.append(so_far.traces)
        if len(rounds) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retain(store, CUT, stop)
    assert len(left(store)) == 5
    assert retain(store, CUT).traces == 4
    assert left(store) == [(11, "young")]


def test_a_dry_run_removes_nothing(store: EmbeddedStore) -> None:
    store.append([], [an_event(1, 1, "old"), an_event(2, 0), an_event(11, 2, "young")])
    before = left(store)
    found = retain(store, CUT, dry=True)
    assert (found.events, found.traces, found.leads) == (2, 1, 1)
    assert left(store) == before


def run(*arguments: object, answer: str = "") -> tuple[int, str, str]:
    done = CliRunner().invoke(main, [str(one) for one in arguments], input=answer)
    return done.exit_code, done.stdout, done.stderr


def aged(path: Path) -> None:
    now = (time.time_ns() - START) / DAY
    writer = EmbeddedStore.open(path, write=True)
    writer.append([], [an_event(now - 100, 1, "old"), an_event(now - 1, 2, "young")])
    writer.close()


def test_the_command_asks_and_tells_what_it_removed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    aged(path)
    code, out, err = run("retain", "--keep", "90d", "--store", path, answer="n\n")
    assert (code, out) == (130, "")
    assert "Remove what was last touched before" in err
    code, out, _ = run("retain", "--keep", "90d", "--store", path, "--dry-run")
    assert (code, out.startswith("would remove from")) == (0, True)
    code, out, _ = run("retain", "--keep", "90d", "--store", path, "--yes", "--json")
    told = json.loads(out)
    assert code == 0
    assert {key: told[key] for key in ("removed", "leads", "events", "traces")} == {
        "removed": True,
        "leads": 1,
        "events": 1,
        "traces": 1,
    }
    store = EmbeddedStore.open(path)
    assert [row.lead_id for row in store.leads(LeadFilter())] == ["young"]
    store.close()


def test_a_store_that_is_being_written_is_left_to_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    writer = EmbeddedStore.open(path, write=True)
    code, _, err = run("retain", "--keep", "90d", "--store", path, "--yes")
    assert code == 3
    assert "being written by another process" in err
    assert run("reindex", "--store", path)[0] == 3
    writer.close()
    assert run("retain", "--keep", "soon", "--store", path)[0] == 2
    assert run("retain", "--keep", "1d", "--store", tmp_path / "none.db", "--yes")[0] == 3
    assert not (tmp_path / "none.db").exists()


def test_reindex_makes_columns_and_says_how_many(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    aged(path)
    code, out, _ = run("reindex", "--store", path, "--json")
    told = json.loads(out)
    assert (code, told["records"], told["files"]) == (0, 2, 2)
    first = {one.name for one in folder_of(path).iterdir()}
    assert sorted(one.partition("-")[0] for one in first) == ["again", "events", "runs", "spans", "told"]
    assert run("reindex", "--store", path)[1].startswith("2 records in 2 files of columns")
    assert {one.name for one in folder_of(path).iterdir()} == first
    run("reindex", "--store", path, "--anew")
    assert {one.name for one in folder_of(path).iterdir()}.isdisjoint(first)
