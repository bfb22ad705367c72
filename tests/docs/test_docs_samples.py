"""Every Python sample of the docs runs, and prints what the page says that it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import PAGES, ROOT, Page

import leadtrace

WITH_SAMPLES = [one for one in PAGES if any(block.language == "python" for block in one.blocks)]


@pytest.mark.parametrize("page", WITH_SAMPLES, ids=lambda one: one.name)
def test_the_samples_of_a_page_run_from_top_to_bottom(
    page: Page, docs_environment: dict[str, str], tmp_path: Path
) -> None:
    path = [str(Path(leadtrace.__file__).parents[1]), str(ROOT / "examples")]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("run_page.py")), page.name],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=docs_environment | {"PYTHONPATH": ":".join(path)},
        timeout=50,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", WITH_SAMPLES, ids=lambda one: one.name)
def test_a_sample_that_is_not_run_says_why(page: Page) -> None:
    without = [block.line for block in page.blocks if block.language == "python" and block.no_run == ""]
    assert without == []


def test_few_samples_are_not_run() -> None:
    """A sample that nobody runs is a sample that nobody checks."""
    blocks = [block for one in PAGES for block in one.blocks if block.language == "python"]
    not_run = [block for block in blocks if block.no_run is not None]
    assert len(not_run) <= len(blocks) // 10
