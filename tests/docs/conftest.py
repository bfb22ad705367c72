"""The pages of the docs, and a server for those that send or read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leadtrace.demo import environment, serving

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside the tests, which pytest's importlib mode leaves out

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def docs_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables for a page's samples: a real `leadtrace serve` as receiver and as source, folders of their own."""
    folder = tmp_path / "served"
    folder.mkdir()
    settings = environment(folder) | {f"XDG_{one}_HOME": str(folder / one) for one in ("STATE", "DATA", "CONFIG")}
    with serving(folder / "store.db", settings) as url:
        yield settings | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "LEADTRACE_FROM": url,
            "LEADTRACE_STORE": str(folder / "store.db"),
        }
