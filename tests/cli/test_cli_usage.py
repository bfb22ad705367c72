"""What is typed wrongly: one line that says what and where the right way stands, and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from leadtrace.cli import main


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("led", "leadtrace: no command 'led'; did you mean lead?; see leadtrace --help"),
        ("--nosuch", "leadtrace: no such option '--nosuch'; see leadtrace --help"),
        ("lead", "leadtrace lead: missing argument 'LEAD_ID'; see leadtrace lead --help"),
        ("lead a b", "leadtrace lead: got unexpected extra argument (b); see leadtrace lead --help"),
        ("lead a --jsn", "leadtrace lead: no such option '--jsn'"),
        (
            "report business --store x",
            "leadtrace report business: no such option '--store'; here it is --from; see leadtrace rep",
        ),
        (
            "reindex --from x",
            "leadtrace reindex: no such option '--from'; here it is --store; see leadtrace reindex --help",
        ),
        ("leads --since yesterday", "leadtrace leads: invalid value for '--since': 'yesterday' is no time: give"),
        ("leads --since 99999999999d", "leadtrace leads: invalid value for '--since': '99999999999d' ago is before"),
        ("leads --limit 0", "leadtrace leads: invalid value for '--limit': 0 is not in the range x>=1;"),
        ("events --kind bad", "leadtrace events: no kind 'bad': the kinds are start, success, failure, "),
        ("events --name deliv*", "leadtrace events: no pattern 'deliv*': only `.*` at the end stands for more; see"),
        ("serve --http-port 99999", "leadtrace serve: invalid value for '--http-port': 99999 is not in the range"),
        ("check", "leadtrace check: nothing to check: give files or folders, or --name NAME; see"),
        ("leads --from http://", "leadtrace: a server is named http://host:port (got: http://)"),
        ("leads --from http://127.0.0.1:99999", "leadtrace: a server is named http://host:port (got: http://127.0."),
        ("catalogue --write /dev/null/x", "leadtrace: could not open file '/dev/null/x"),
        ("demo --folder /dev/null/x", "leadtrace: could not open file '/dev/null/x"),
    ],
)
def test_wrong_usage_is_one_line(asked: str, said: str) -> None:
    answer = CliRunner().invoke(main, asked.split())
    assert (answer.exit_code, answer.stdout) == (2, ""), answer.stderr
    assert answer.stderr.startswith(said)
    assert answer.stderr.count("\n") == 1


def test_no_command_is_answered_with_the_help() -> None:
    answer = CliRunner().invoke(main, [])
    assert answer.exit_code == 2
    assert "Find leads." in answer.output


def test_help_and_version_are_answers() -> None:
    assert CliRunner().invoke(main, ["lead", "--help"]).exit_code == 0
    assert CliRunner().invoke(main, ["--version"]).output.startswith("leadtrace ")


def test_an_interrupt_ends_with_the_shells_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("leadtrace.reading.open", interrupted)
    assert CliRunner().invoke(main, ["leads"]).exit_code == 130


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_an_answer_that_finds_no_room_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "leadtrace", "catalogue"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=50
        )
    assert done.returncode == 2
    assert done.stderr == "leadtrace: the answer cannot be written: No space left on device\n"
