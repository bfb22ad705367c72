"""Every report as a person sees it in a terminal of 100 columns."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from leadtrace.analysis.registry import REPORTS
from leadtrace.cli import main

ASKED = {
    "what-if": ["--cache", "credit score"],
    "series": ["--of", "leads", "--by", "buyer", "--limit", "20"],
    "business": ["--by", "lead", "--limit", "20"],
    "review": ["--date", "2026-09-30"],
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_prints_and_no_table_is_wider_than_the_terminal_or_cut(name: str, traffic_path: str) -> None:
    done = CliRunner().invoke(main, ["report", name, "--from", traffic_path, *ASKED.get(name, [])])
    assert done.exit_code in (0, 1), done.exception
    lines = [one for one in done.stdout.splitlines() if not one.startswith(("· ", f"{name}, "))]
    if name != "review":  # Markdown, whose tables have no width
        assert max(map(len, lines)) <= 100
        assert not [one for one in lines if "…" in one]


def test_a_name_that_no_run_has_tells_which_there_are(traffic_path: str) -> None:
    done = CliRunner().invoke(main, ["report", "what-if", "--from", traffic_path, "--cache", "TeleCheck"])
    assert done.exit_code == 2
    assert "has a 'TeleCheck'; there are call, credit score, " in done.stderr
    assert "phone validation" in done.stderr
