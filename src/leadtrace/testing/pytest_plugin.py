"""The pytest plugin: the fixture `captured`. It is loaded by pytest through an entry point and imports leadtrace at use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.testing.captured import Captured


@pytest.fixture
def captured() -> Iterator[Captured]:
    """What the test's pipeline tells, strictly and with repeatable ids; see `leadtrace.capture`."""
    from leadtrace.testing.captured import capture

    with capture(deterministic=True) as found:
        yield found
