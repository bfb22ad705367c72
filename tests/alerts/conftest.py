"""A store of four weeks with known incidents, for tests of gathering, learning and replays."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from alerts_story import Story, berlin

from leadtrace.alerts.rules import HOUR
from leadtrace.store.embedded import EmbeddedStore


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
