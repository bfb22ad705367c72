"""What a running server does for its store beside receiving."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from leadtrace.cli.keeping import Keeping
from leadtrace.otlp.records import EventRecord
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import EventFilter
from leadtrace.store.relations.interface import Slice

pytestmark = pytest.mark.slow


class Quick(Keeping):
    look_s = 0.02
    many = 3
    wait_s = 0.0
    retain_every_s = 0.0


async def until(what, timeout: float = 50) -> None:
    deadline = time.monotonic() + timeout
    while not await asyncio.to_thread(what):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        await asyncio.sleep(0.05)


def an_event(number: int, time_ns: int) -> EventRecord:
    return EventRecord(
        "ours", time_ns, f"{number + 1:032x}", "", {"lead.id": f"lead_{number}", "log.record.uid": f"{number:028x}"}
    )


async def test_new_records_are_copied_by_a_child_while_others_are_appended(
    store: EmbeddedStore, upkeep: Upkeep, alike
) -> None:
    now, stop = time.time_ns(), asyncio.Event()
    running = asyncio.create_task(Quick().run(store, stop))
    for number in range(0, 20, 4):
        await asyncio.to_thread(store.append, [], [an_event(each, now) for each in range(number, number + 4)])
    await until(lambda: upkeep.behind() == 0)
    stop.set()
    await running
    assert sum(one.rows for one in upkeep.state().files) == 20
    alike(store.path, [Slice()])


async def test_what_is_too_old_is_removed_as_it_goes(store: EmbeddedStore) -> None:
    now, stop = time.time_ns(), asyncio.Event()
    store.append([], [an_event(1, now - 100 * 86_400 * 10**9), an_event(2, now)])
    running = asyncio.create_task(Quick(columns=False, keep_s=90 * 86_400.0).run(store, stop))
    await until(lambda: [one.lead_id for one in store.events(EventFilter())] == ["lead_2"])
    stop.set()
    await running


async def test_a_child_that_fails_is_told_and_the_server_goes_on(
    store: EmbeddedStore, upkeep: Upkeep, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    stop = asyncio.Event()
    store.append([], [an_event(number, time.time_ns()) for number in range(5)])
    (tmp_path / "store.db.columns").write_text("a file")
    running = asyncio.create_task(Quick().run(store, stop))
    await until(lambda: "cannot be written" in caplog.text)
    stop.set()
    await running
    assert "the store is not looked after: copying into columns failed" in caplog.text
    assert upkeep.state().files == []
