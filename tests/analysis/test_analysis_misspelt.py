"""A name that nobody recorded: what an answer without rows says of it, wherever it is asked and whatever was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from small import Story

import leadtrace
from leadtrace.analysis.misspelt import meant
from leadtrace.cli import main
from leadtrace.reading import Reader
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.relations.on_rows import RowEngine

FORGED = "in\x1b[2Jtake\n· all is well"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Runs of flows of two tenants; one flow's name would clear a screen and forge a line."""
    story = Story()
    for number, (tenant, flow) in enumerate([("ours", "Intake"), ("ours", FORGED), ("theirs", "Secret launch")]):
        about: dict[str, Any] = {
            "lead": f"lead_{number}",
            "run": f"run_{number}",
            "tenant_key": tenant,
            "flow.name": flow,
        }
        story.tell("flow.started", **about)
        story.tell("flow.completed", **about, **{"flow.summary.final_outcome": "delivered"})
    store = EmbeddedStore.open(tmp_path / "store.db", write=True)
    store.append([], story.events)
    Upkeep(store).copy()
    store.close()
    return str(tmp_path / "store.db")


def report(path: str, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["report", "frequency", "--from", path, *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_it_is_told_in_the_table_and_in_json(path: str) -> None:
    note = "no flow is named 'Intakes'; did you mean Intake?"
    code, out, err = report(path, "--flow", "Intakes")
    assert (code, out.splitlines()[-1], err) == (1, f"· {note}", "")
    assert json.loads(report(path, "--flow", "Intakes", "--json")[1])["notes"] == [note]


def test_recorded_names_and_asked_ones_forge_nothing_on_a_screen(path: str) -> None:
    asked = "x\x1b[31m\n"
    out = report(path, "--flow", asked)[1]
    assert "\x1b" not in out
    assert out.splitlines()[-1] == (
        r"· no flow is named 'x\x1b[31m\n'; there are Intake, Secret launch, in\u001b[2Jtake\n· all is well"
    )
    done = CliRunner().invoke(main, ["leads", "--from", path, "--outcome", asked])
    assert done.stderr.endswith(r"none has the outcome 'x\x1b[31m\n', there are delivered" + "\n")
    done = CliRunner().invoke(main, ["compare", "flow=in\x1b[2Jtake all is wel", "outcome=delivered", "--from", path])
    assert (done.exit_code, done.stderr.count("\n"), done.stderr.count("\x1b")) == (1, 1, 0)
    assert done.stderr.endswith("did you mean in\\u001b[2Jtake\\n· all is well?\n")


def test_no_other_tenants_name_is_told(path: str) -> None:
    out = report(path, "--flow", "Secret launc", "--tenant", "ours")[1]
    assert "; there are Intake, " in out
    assert "Secret launch" not in out
    assert "did you mean Secret launch?" in report(path, "--flow", "Secret launc", "--tenant", "theirs")[1]


def test_rows_and_columns_say_the_same(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with leadtrace.open(path) as reader:
        of_columns = reader.report("frequency", flow="intake", now_ns=1)
        monkeypatch.setattr(
            "leadtrace.store.embedded.open_engine", lambda _path, _few: (RowEngine(_connected(path)), ())
        )
        assert reader.report("frequency", flow="intake", now_ns=1) == of_columns
    assert of_columns.notes == ("no flow is named 'intake'; did you mean Intake?",)


def _connected(path: str) -> Any:
    from leadtrace.store.file import connect_reader

    return connect_reader(Path(path))


def test_nothing_is_looked_for_where_there_are_rows(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> str:
        raise AssertionError

    monkeypatch.setattr("leadtrace.analysis.answer.never_recorded", never)
    assert reader.report("frequency", flow="Auto Insurance").rows
    with pytest.raises(AssertionError):
        reader.report("frequency", flow="Auto")


@pytest.mark.parametrize(
    ("asked", "there", "said"),
    [
        ("TRUECALLER ID", ["TrueCaller ID", "Clearbit"], "did you mean TrueCaller ID?"),
        ("intake", ["Intake", "INTAKE"], "did you mean INTAKE?"),
        (
            "x",
            [f"flow {number:02}" for number in range(14)],
            f"there are {', '.join(f'flow {n:02}' for n in range(12))} and 2 more",
        ),
        ("x", [], ""),
        ("x", ["y" * 5_000], f"there are {'y' * 79}…"),
        ("y" * 4_000, ["y" * 5_000, "z"], f"did you mean {'y' * 79}…?"),
    ],
)
def test_the_nearest_is_meant_however_it_is_written_else_some_are_listed(
    asked: str, there: list[str], said: str
) -> None:
    assert meant(asked, there) == said
