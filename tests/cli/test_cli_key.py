"""`leadtrace key`: which keys there are, by id; a rotation; never a key."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from leadtrace.cli import main
from leadtrace.otlp.keyfile import key_ring


def _ask(path: Path, *asked: str):
    return CliRunner().invoke(main, ["key", *asked], env={"LEADTRACE_KEY": str(path)})


def test_a_rotation_is_told_by_ids_and_shown_again(tmp_path: Path) -> None:
    """The current key first; the file's own content on no screen."""
    path = tmp_path / "key"
    first = _ask(path, "rotate")
    assert (first.exit_code, first.stderr) == (0, "leadtrace: there was no key: this is the first one\n")
    second = _ask(path, "rotate")
    new, old = key_ring(path)
    assert second.stdout == f"{new.id}  current  since {new.since}\n{old.id}  earlier  since before it was kept\n"
    assert _ask(path, "show").stdout == second.stdout
    told = json.loads(_ask(path, "show", "--json").stdout)
    assert told == {
        "schema": "leadtrace.key/1",
        "file": str(path),
        "keys": [
            {"id": new.id, "since": new.since, "current": True},
            {"id": old.id, "since": None, "current": False},
        ],
    }
    for one in (new, old):
        assert one.secret.hex() not in second.stdout
        assert one.secret.decode("latin-1") not in second.stdout


def test_showing_makes_no_key(tmp_path: Path) -> None:
    """There is nothing to show, which is said."""
    answer = _ask(tmp_path / "key", "show")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr == f"leadtrace: there is no key file; LEADTRACE_KEY names it (path: {tmp_path / 'key'})\n"
    assert not (tmp_path / "key").exists()
