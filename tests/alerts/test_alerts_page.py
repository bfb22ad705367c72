"""The page of alerts: its example is a rules file that is right, and every kind and key is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadtrace.alerts.rules import GROUP_KINDS, KINDS
from leadtrace.alerts.rules_file import SECTIONS, loads
from leadtrace.alerts.toml_table import Table

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text("utf-8")
EXAMPLE, HOURS = (part.partition("```")[0] for part in PAGE.split("```toml\n")[1:])


def test_the_example_is_right_and_has_every_kind_of_rule_and_group() -> None:
    rules = loads(EXAMPLE)
    assert {one.kind for one in rules.rules.values()} == set(KINDS)
    assert {one.kind for one in rules.groups.values()} == set(GROUP_KINDS)
    assert rules.rules["silence"].groups == ("brand", "acme", "phone", "auto")


def test_the_hours_that_it_shows_are_hours() -> None:
    hours = "\n".join(HOURS.splitlines()[1:])
    text = f'[groups.g]\nkind = "flow"\n[groups.g.hours]\n{hours}\n[rules.r]\nkind = "absence"\ngroups = "g"\n'
    assert loads(text).groups["g"].calendar.hours == (
        *[((480, 720), (780, 1080))] * 5,
        ((1320, 120),),
        (),
    )


def test_every_key_that_is_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    done = Table.done

    def and_remembered(self: Table) -> None:
        if "hours" not in self.path:
            asked.update(self._asked)
        done(self)

    monkeypatch.setattr(Table, "done", and_remembered)
    loads(EXAMPLE)
    assert len(asked) > 45
    untold = {one for one in asked if f"`{one}`" not in PAGE and f"`{one} =" not in PAGE}
    assert untold - {"alerts", "instrument", *SECTIONS} == {
        "from",
        "until",
        "reason",
    }
    assert "{ from = 2026-12-24, until = 2026-12-27T12:00:00, reason =" in PAGE


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_severity_that_is_told_is_that_of_the_kind(kind: str) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{kind}` | ") and line.count("|") > 5 - 1]
    assert row.rstrip(" |").endswith(KINDS[kind](name="x").severity)
