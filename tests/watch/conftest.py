"""A watch over leads that a test gives it, with a clock that the test moves; and a server shaped like Slack's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside the tests, which pytest's importlib mode leaves out

from watch_world import RULES, Slack, World

from leadtrace.alerts.rules_file import loads


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(text: str = RULES) -> World:
        made.append(World(tmp_path / "store.alerts.db", loads(text)))
        made[-1].lead("brand", "search")
        return made[-1]

    yield make
    for world in made:
        for watch in world.watches:
            watch.database.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def slack() -> Iterator[Slack]:
    server = Slack()
    yield server
    server.close()
