"""A store of four weeks with known incidents, for tests of gathering, learning and replays."""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from recorded import Story

from leadtrace.alerts.rules import HOUR
from leadtrace.store.embedded import EmbeddedStore

_spec = importlib.util.spec_from_file_location("store_conftest", Path(__file__).parents[1] / "store" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_store_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_store_conftest)
serving = _store_conftest.serving


def wall(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """The nanoseconds of a wall-clock time there."""
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(moment.timestamp()) * 1_000_000_000


def berlin(text: str) -> int:
    return wall(text, "Europe/Berlin")


@pytest.fixture(scope="session")
def story() -> Story:
    """From 28 September to 25 October 2026: 12 leads an hour; four incidents in the last two weeks."""
    found = Story(seed=7, since_ns=berlin("2026-09-28T02:00"), days=28, per_hour=12.0)
    found.silent.append((berlin("2026-10-13T10:00"), berlin("2026-10-13T14:00")))
    found.thin.append((berlin("2026-10-16T11:00"), berlin("2026-10-16T15:00"), 0.25))
    found.failing.append((berlin("2026-10-20T09:00"), berlin("2026-10-20T12:00"), 0.6))
    found.slow.append((berlin("2026-10-22T13:00"), berlin("2026-10-22T16:00"), 5.0))
    assert all(start % (HOUR // 4) == 0 for start, *_ in (*found.silent, *found.thin))
    return found


@pytest.fixture(scope="session")
def story_path(story: Story, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of an embedded store that holds it."""
    path = tmp_path_factory.mktemp("story") / "store.db"
    events = story.events()
    with contextlib.closing(EmbeddedStore.open(path, write=True)) as store:
        for first in range(0, len(events), 5_000):
            store.append([], events[first : first + 5_000])
    return str(path)
