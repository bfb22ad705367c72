"""The published schemas of what the reading commands print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.fixture
def schema() -> Callable[[str], Any]:
    """The JSON Schema of a command's `--json`."""
    return lambda command: json.loads((_SCHEMAS / f"output-{command}.schema.json").read_text())
