"""`leadtrace alerts check`: what is right is listed, what is wrong told with file, line and key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from leadtrace.cli import main

RIGHT = """
[[instrument]]
target = "crm:append"
word = "step"

[alerts.groups.brand]
kind = "campaign_group"
owners = "@anna"

[alerts.rules.silence]
kind = "absence"
groups = "brand"
window = "90m"
for = "5m"

[alerts.rules.margin]
kind = "custom"
function = "numbers_in_the_folder:margin"
at_least = 0
"""


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["alerts", *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEADTRACE_CONFIG", raising=False)
    (tmp_path / "numbers_in_the_folder.py").write_text("def margin(report, since_ns, until_ns): ...\n")
    (tmp_path / "leadtrace.toml").write_text(RIGHT)
    return tmp_path


def test_a_right_file_lists_its_rules(folder: Path, published: Callable[[str, Any], None]) -> None:
    """The working folder's leadtrace.toml, its functions found in the folder too."""
    assert run("check") == (
        0,
        (
            "leadtrace.toml: 2 rules, 1 group; nothing is wrong\n"
            "\n"
            "rule     kind     groups  window      for      severity\n"
            "silence  absence  brand   1 h 30 min  5 min    high\n"
            "margin   custom           1 h         at once  medium\n"
        ),
        "",
    )
    code, out, _ = run("check", "--json")
    published("alerts-check", json.loads(out))
    assert (code, json.loads(out)) == (
        0,
        {
            "schema": "leadtrace.alerts.check/1",
            "file": "leadtrace.toml",
            "rules": [
                {"name": "silence", "kind": "absence", "groups": ["brand"], "severity": "high"},
                {"name": "margin", "kind": "custom", "groups": [], "severity": "medium"},
            ],
            "groups": [{"name": "brand", "kind": "campaign_group", "owners": ["@anna"]}],
            "problems": [],
        },
    )


def test_a_wrong_file_is_told_line_by_line_and_ends_with_1(folder: Path, published: Callable[[str, Any], None]) -> None:
    wrong = folder / "other.toml"
    wrong.write_text(RIGHT.replace("window", "windwo").replace(":margin", ":margn"))
    code, out, err = run("check", "--rules", "other.toml")
    assert (code, err) == (1, "")
    assert out == (
        "other.toml:13: alerts.rules.silence.windwo: there is no such key; did you mean window?\n"
        "other.toml:18: alerts.rules.margin.function: 'numbers_in_the_folder:margn' is not there: "
        "module 'numbers_in_the_folder' has no attribute 'margn'\n"
    )
    code, out, _ = run("check", "--rules", "other.toml", "--json")
    assert code == 1
    published("alerts-check", json.loads(out))
    assert json.loads(out)["problems"][0] == {
        "file": "other.toml",
        "line": 13,
        "key": "alerts.rules.silence.windwo",
        "message": "there is no such key; did you mean window?",
    }


def test_no_file_is_wrong_usage_and_so_are_wrong_rules_in_a_replay(folder: Path) -> None:
    code, _, err = run("check", "--rules", "none.toml")
    assert (code, err) == (
        2,
        "leadtrace alerts check: there is no rules file 'none.toml'; see leadtrace alerts check --help\n",
    )
    (folder / "leadtrace.toml").write_text("[alerts.rules.x]\nkind = 'absense'\n")
    code, _, err = run("test")
    assert code == 2
    assert err.startswith("leadtrace: leadtrace.toml:2: alerts.rules.x.kind: a rule's kind is one of absence")
    (folder / "leadtrace.toml").write_text(RIGHT)
    assert run("test", "--every", "soon")[0] == 2
    assert run("test", "--since", "2026-11-02", "--until", "2026-11-01")[0] == 2
    assert run("test", "--from", str(folder / "no-store.db"))[0] == 3
