"""A watch tells changes of health as events, each once, whoever watches; the store then holds what its alerts look at."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))

from hours import Book
from traffic import HOUR, MONDAY
from watch_world import World

from leadtrace.alerts.health_changes import HealthChanges
from leadtrace.alerts.rules import MINUTE
from leadtrace.cli.alert_sinks import EmbeddedSink
from leadtrace.reading.sources import source_of
from leadtrace.store.embedded import EmbeddedStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """Six good hours, one in which a fifth of the runs fails, four good ones."""
    path = tmp_path / "leads.db"
    book = Book()
    for hour in range(11):
        book.hour(hour, 40, hits=12, failing=8 if hour == 6 else 0)
    writer = EmbeddedStore.open(path, write=True)
    book.write(writer)
    writer.close()
    return path


def told(path: Path) -> list[tuple[int, str, str]]:
    source = source_of(str(path), "")
    from leadtrace.store.interface import EventFilter

    found = [
        (
            (one.time_ns - MONDAY) // HOUR,
            str(one.attributes.get("system.health.from", "")),
            str(one.attributes["system.health.to"]),
        )
        for one in source.events(EventFilter(("system.health.changed",)))
    ]
    source.close()
    return found


def watched(world: World, store: Path, owner: str, hours: range) -> None:
    """Watch from the beginning of one hour to that of another, a round every twenty minutes."""
    source = source_of(str(store), "")
    watch = world.watch(owner)
    watch.sink = EmbeddedSink(store)
    watch.health = HealthChanges(source)
    for at in range(hours.start * 60, hours.stop * 60, 20):
        watch.evaluate(MONDAY + at * MINUTE)
        watch.hand_over(MONDAY + at * MINUTE)
    watch.end()
    source.close()


def test_changes_become_events_in_the_store_each_once_whoever_watches(
    make_world: Callable[..., World], store: Path
) -> None:
    world = make_world()
    watched(world, store, "here/1/1", range(1, 8))
    assert told(store) == [(1, "", "healthy"), (7, "healthy", "crisis")]
    watched(world, store, "there/2/2", range(8, 12))
    assert told(store) == [(1, "", "healthy"), (7, "healthy", "crisis"), (9, "crisis", "healthy")]


def test_an_hour_is_judged_once_it_has_passed_and_settled(store: Path) -> None:
    source = source_of(str(store), "")
    changes = HealthChanges(source)
    assert list(changes(MONDAY + HOUR + 4 * MINUTE)) == []
    first = changes(MONDAY + HOUR + 5 * MINUTE)
    assert [one.to_state for one in first] == ["healthy"]
    # Until they are kept they are given again; then not.
    assert changes(MONDAY + HOUR + 6 * MINUTE) == first
    changes.told(first)
    assert changes(MONDAY + HOUR + 7 * MINUTE) == ()
    assert list(changes(MONDAY + 2 * HOUR + 5 * MINUTE)) == []
    source.close()


def test_thresholds_of_the_settings_count(store: Path) -> None:
    source = source_of(str(store), "")
    calm = HealthChanges(source, settings="crisis_errors=0.5")(MONDAY + 8 * HOUR)
    assert "crisis" not in {one.to_state for one in calm}
    source.close()
