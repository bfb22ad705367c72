"""What is generated from the catalogue is what the files hold, and tools can read it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from leadtrace.catalogue import SCHEMA_URL, VERSION, schemas
from leadtrace.catalogue.common import COMMON
from leadtrace.catalogue.document import own_events
from leadtrace.cli import main

DOCS = Path(__file__).parents[2] / "docs"
SPECS = own_events()


@pytest.mark.parametrize("path", list(schemas.files()))
def test_the_file_is_what_the_catalogue_generates(path: str) -> None:
    """When this fails, run `leadtrace catalogue --write docs` and commit what it wrote."""
    assert (DOCS / path).read_text(encoding="utf-8") == schemas.files()[path]


def test_the_schema_url_carries_the_version() -> None:
    assert SCHEMA_URL.rpartition("/")[2] == VERSION


def an_event(name: str) -> dict[str, Any]:
    values: dict[str, object] = {"string": "x", "int": 1, "double": 0.5, "boolean": True}
    attributes: dict[str, object] = {"lead.id": "lead_7K9mHpQR3x2B5N8j", "leadtrace.kind": SPECS[name].kind.value}
    for one in SPECS[name].attributes.values():
        if one.type == "map":
            attributes[one.attribute.replace("*", "carrier")] = "Verizon"
        elif one.type.endswith("[]"):
            attributes[one.attribute] = [values[one.type[:-2]]]
        else:
            attributes[one.attribute] = one.values[0] if one.values else values[one.type]
    return {"name": name, "attributes": attributes}


VALIDATOR = jsonschema.Draft202012Validator(schemas.json_schema())


def test_the_json_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schemas.json_schema())


@pytest.mark.parametrize("name", list(SPECS))
def test_the_json_schema_takes_each_event_and_refuses_a_wrong_type_in_each_of_its_fields(name: str) -> None:
    event = an_event(name)
    VALIDATOR.validate(event)
    for attribute, one in SPECS[name].attributes.items():
        if one.type != "map":
            wrong = {**event, "attributes": {**event["attributes"], attribute: {"not": "a scalar"}}}
            with pytest.raises(jsonschema.ValidationError):
                VALIDATOR.validate(wrong)


def test_the_json_schema_takes_events_that_it_does_not_know_and_refuses_a_lead_event_without_its_lead() -> None:
    VALIDATOR.validate({"name": "something.else.happened", "attributes": {"any": ["thing"]}})
    with pytest.raises(jsonschema.ValidationError, match=r"'lead[.]id' is a required property"):
        VALIDATOR.validate({"name": "lead.received", "attributes": {}})


def test_the_registry_defines_each_attribute_once_and_refers_to_it_from_each_event() -> None:
    registry = yaml.safe_load((DOCS / "registry/leadtrace.yaml").read_text(encoding="utf-8"))
    assert registry == json.loads(json.dumps(schemas.registry()))
    defining, *events = registry["groups"]
    defined = [one["id"] for one in defining["attributes"]]
    expected = {name.removesuffix(".*") for spec in SPECS.values() for name in spec.attributes} | set(COMMON)
    assert defined == sorted(expected)
    assert [one["name"] for one in events] == list(SPECS)
    for one in events:
        assert {ref["ref"] for ref in one["attributes"]} <= set(defined)


def test_the_registry_keeps_to_the_conventions_own_form() -> None:
    """The forms that OpenTelemetry's tools accept: types, levels and stability are of their closed lists."""
    types = {f"{one}{many}" for one in ("string", "int", "double", "boolean") for many in ("", "[]")} | {
        "template[any]"
    }
    defining, *events = yaml.safe_load((DOCS / "registry/leadtrace.yaml").read_text(encoding="utf-8"))["groups"]
    for one in defining["attributes"]:
        assert set(one) <= {"id", "type", "stability", "brief", "annotations"}
        assert one["stability"] == "development"
        if isinstance(one["type"], dict):
            assert all(set(member) == {"id", "value", "stability"} for member in one["type"]["members"])
        else:
            assert one["type"] in types
    for one in events:
        assert set(one) <= {"id", "type", "name", "stability", "brief", "note", "annotations", "attributes"}
        for ref in one["attributes"]:
            level = ref["requirement_level"]
            assert level in ("required", "recommended", "opt_in") or set(level) == {"conditionally_required"}


def ask(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["catalogue", *arguments])
    return done.exit_code, done.output


def test_the_command_tells_one_event_whole() -> None:
    assert ask("system.cache.hit") == (
        0,
        (
            "system.cache.hit  (milestone, the span-events document)\n"
            "A cache had the answer.\n"
            "An exception from the naming rule: the span-events document's own name; `hit` is its own past tense, "
            "and reads as a noun beside `miss`.\n"
            "\n"
            "cache.name    cache_name    string       Which cache.\n"
            "cache.age_ms  cache_age_ms  double [ms]  How old what was found is.\n"
        ),
    )


def test_the_command_lists_a_namespace() -> None:
    assert ask("rule") == (
        0,
        (
            "judgement: what was checked about a lead, and its answer.\n"
            "  rule.satisfied                       success          The lead meets the rule.\n"
            "  rule.rejected                        rejection        "
            "The lead does not meet the rule: a valid answer, not a failure of the check.\n"
        ),
    )


def test_the_command_names_the_nearest_event_when_there_is_none_of_that_name() -> None:
    assert ask("delivery.acepted") == (
        1,
        "leadtrace: no event 'delivery.acepted' in the catalogue; did you mean delivery.accepted?\n",
    )


def test_the_commands_json_is_the_catalogue() -> None:
    code, text = ask("--json", "lead.state.changed")
    assert (code, json.loads(text)[0]["fields"][1]) == (
        0,
        {
            "attribute": "lead.state.to",
            "keyword": "to",
            "type": "string",
            "requirement": "required",
            "by": "word",
            "doc": "The state now.",
            "dimension": True,
        },
    )
    assert [one["name"] for one in json.loads(ask("--json")[1])] == list(SPECS)


@pytest.mark.parametrize(
    ("option", "path"),
    [
        ("--markdown", "events.md"),
        ("--schema", "schemas/events.schema.json"),
        ("--registry", "registry/leadtrace.yaml"),
    ],
)
def test_the_command_prints_what_the_files_hold(option: str, path: str) -> None:
    assert ask(option) == (0, (DOCS / path).read_text(encoding="utf-8"))
    assert ask(option, "lead.received")[0] == 2


def test_the_command_writes_the_files(tmp_path: Path) -> None:
    assert ask("--write", str(tmp_path / "docs")) == (0, "")
    written = {str(one.relative_to(tmp_path / "docs")): one for one in (tmp_path / "docs").rglob("*") if one.is_file()}
    assert {path: one.read_text(encoding="utf-8") for path, one in written.items()} == schemas.files()


def test_the_samples_on_the_catalogues_page_run() -> None:
    """In a process of their own, because they add to the catalogue and to the tables."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "catalogue.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    asked = """
from leadtrace import catalogue
from leadtrace.catalogue.taxonomy import classify
from leadtrace.catalogue.troubleshooting import suggestion_for
from types import SimpleNamespace
print(*catalogue.get("lead.consent.verified").attributes)
print(classify(SimpleNamespace(status_code=460), domain="enhancement")[:3])
print(suggestion_for({"error.type": "BuyerDown", "leadtrace.word": "delivery"}).suggestion)
"""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*blocks, asked])], capture_output=True, text=True, check=False
    )
    assert done.stdout == (
        "lead.consent.certificate_id lead.consent.age_ms\n"
        "('data', 'no_match', 'person')\n"
        "Wait until 03:00, then deliver what is pending.\n"
    ), done.stderr
