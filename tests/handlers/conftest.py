"""Handlers are the process's: each test leaves none behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import leadtrace as lt


@pytest.fixture(autouse=True)
def no_handlers_left() -> Iterator[None]:
    yield
    for one in lt.list_handlers():
        lt.detach(one.id)
    assert lt.drain_handlers()
