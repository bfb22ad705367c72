"""The page of reports has every report with its options, that of the relations every column."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from doc_pages import page

from leadtrace.analysis.options import choices
from leadtrace.analysis.registry import REPORTS, analysis
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.relations.facts import FACTS
from leadtrace.store.relations.interface import Slice

PAGE = page("docs/reports.md")
RELATIONS = page("docs/relations.md")


def section(heading: str) -> str:
    found = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE.text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/reports.md has no section '## {heading}'"
    return found[1]


@pytest.mark.parametrize("name", list(REPORTS))
def test_every_report_has_its_section_with_its_options_and_the_fields_of_its_rows(name: str) -> None:
    assert f"| [`{name}`](#{name}) |" in PAGE.text
    told, asked = section(name), analysis(name)
    assert asked.name == name
    options = [f"--{one.name.replace('_', '-')}" for one in choices(asked.options)]
    assert [one for one in options if not re.search(rf"`{one}\b", told)] == []
    fields = [one.name for sort in asked.rows for one in dataclasses.fields(sort)]
    assert [one for one in fields if f"`{one}`" not in told] == []
    assert [sort.section for sort in asked.rows if sort.section and f"`{sort.section}`" not in told] == []


def test_every_column_taken_out_of_attributes_is_told_as_it_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+?) \|$", RELATIONS.text, re.MULTILINE)
    wanted = [(one.name, one.sort, ", ".join(f"`{name}`" for name in one.attributes), one.doc) for one in FACTS]
    assert rows == wanted


@pytest.mark.parametrize("relation", ["lead_events", "lead_spans", "lead_runs", "lead_stops", "lead_shared"])
def test_every_other_column_is_told_too(relation: str, tmp_path: Path) -> None:
    store = EmbeddedStore.open(tmp_path / "store.db", write=True)
    with store.relations(Slice()) as relations:
        columns = [row[1] for row in relations.query(f"PRAGMA table_info({relation})")]
    store.close()
    told = RELATIONS.text
    facts = {one.name for one in FACTS} if relation in ("lead_events", "lead_spans") else set()
    assert len(columns) > 2
    assert [one for one in columns if one not in facts and f"`{one}`" not in told] == []
