"""The published JSON Schemas hold for what a real pipeline's store prints, and describe every key of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from doc_pages import DOCS, ROOT, page

import leadtrace
from leadtrace.cli import main
from leadtrace.demo import environment, serving


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the synchronous example told a real server: tries, rejections, failures and money."""
    folder = tmp_path_factory.mktemp("schemas")
    settings = environment(folder)
    with serving(folder / "store.db", settings) as url:
        path = str(Path(leadtrace.__file__).parents[1])
        subprocess.run(
            [sys.executable, "-m", "sync_service"],
            cwd=ROOT / "examples",
            env=settings | {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "PYTHONPATH": path},
            check=True,
            capture_output=True,
            timeout=50,
        )
    return str(folder / "store.db")


def printed(store: str, *arguments: str) -> str:
    done = CliRunner().invoke(main, [*arguments, "--from", store, "--json"])
    assert done.exit_code == 0, done.output
    return done.stdout


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCS / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def lines(store: str, command: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in printed(store, command).splitlines()]
    assert found
    return found


def test_leads(store: str) -> None:
    wanted = schema("output-leads")
    for line in lines(store, "leads"):
        jsonschema.validate(line, wanted)
        assert set(line) <= set(wanted["properties"])


def test_events_keep_to_the_schema_of_the_output_and_to_that_of_the_catalogue(store: str) -> None:
    wanted = schema("output-events")
    catalogued = jsonschema.Draft202012Validator(schema("events"))
    found = lines(store, "events")
    assert {"api.call.failed", "delivery.rejected", "enhancement.failed", "flow.completed"} <= {
        one["name"] for one in found
    }
    for line in found:
        jsonschema.validate(line, wanted)
        catalogued.validate(line)
        assert set(line) <= set(wanted["properties"])


def keys(value: Any, above: str = "") -> Iterator[str]:
    """The keys of the output's own objects; attributes and counts have names of the records' own."""
    if isinstance(value, list):
        for one in value:
            yield from keys(one, above)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in ("attributes", "reader", "counted", "said", "unattributed", "body"):
                yield from keys(inner, key)


def test_lead(store: str) -> None:
    wanted = schema("output-lead")
    told = json.dumps(wanted)
    for lead in lines(store, "leads"):
        found = json.loads(printed(store, "lead", lead["lead_id"]))
        jsonschema.validate(found, wanted)
        assert {key for key in keys(found) if f'"{key}": {{' not in told} == set()


def test_the_page_of_commands_names_the_keys_of_a_lead_and_of_its_entries() -> None:
    section = re.search(r"^## leadtrace lead$(.*?)^## ", page("docs/cli.md").text, re.MULTILINE | re.DOTALL)
    assert section
    told = set(re.findall(r"`(\w+)`", section[1]))
    wanted = schema("output-lead")
    entry = wanted["properties"]["entries"]["items"]
    entry = wanted["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else entry
    assert {*wanted["properties"], *entry["properties"]} - told == set()
