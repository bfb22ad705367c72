"""Commands that work on the store's own file say so where they are given something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from leadtrace.cli import main

COMMANDS = [
    ["retain", "--keep", "90d", "--yes"],
    ["export", "--to", "files"],
    ["reindex"],
    ["serve", "--http-port", "0"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one[0])
@pytest.mark.parametrize("set_by", ["option", "environment"])
def test_a_url_is_refused_with_what_to_do_instead(
    command: list[str], set_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = "http://127.0.0.1:4318"
    if set_by == "environment":
        monkeypatch.setenv("LEADTRACE_STORE", url)
    done = CliRunner().invoke(main, command if set_by == "environment" else [*command, "--store", url])
    assert done.exit_code == 2
    instead = "run it where the server runs, with --store and the path that `leadtrace serve` names when it starts"
    instead, who = ("name a file with --store", " serve") if command[0] == "serve" else (instead, "")
    assert done.stderr == f"leadtrace{who}: {url} is a URL, and this works on the store's own file (do: {instead})\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS[:3], ids=lambda one: one[0])
def test_a_store_that_is_not_there_is_not_made(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    done = CliRunner().invoke(main, [*command, "--store", str(path)])
    assert (done.exit_code, done.stderr) == (3, f"leadtrace: there is no store {path} (do: name one with --store)\n")
    assert list(tmp_path.iterdir()) == []
