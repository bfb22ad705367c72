"""The catalogue for tools: a JSON Schema of events, and a registry as OpenTelemetry's semantic conventions have them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from leadtrace.catalogue import SCHEMA_URL, VERSION
from leadtrace.catalogue.common import COMMON
from leadtrace.catalogue.document import markdown, own_events

if TYPE_CHECKING:
    from leadtrace.catalogue.model import EventSpec, FieldSpec

__all__ = ["files", "json_schema", "registry", "registry_manifest", "yaml_text"]

_JSON_TYPES = {"string": "string", "int": "integer", "double": "number", "boolean": "boolean"}


def json_schema() -> dict[str, object]:
    """A schema of one event as `leadtrace events --json` prints it: its name, and its attributes by full name."""
    specs = own_events()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{SCHEMA_URL}/events.schema.json",
        "title": "Events of leadtrace",
        "description": "An event whose name is in the catalogue has attributes of the declared types; others are free.",
        "type": "object",
        "required": ["name", "attributes"],
        "properties": {
            "name": {"type": "string"},
            "attributes": {"type": "object", "properties": {name: _json_field(one) for name, one in COMMON.items()}},
        },
        "allOf": [
            {
                "if": {"properties": {"name": {"const": name}}},
                "then": {"properties": {"attributes": {"$ref": f"#/$defs/{name}"}}},
            }
            for name in specs
        ],
        "$defs": {name: _json_event(spec) for name, spec in specs.items()},
    }


def _json_event(spec: EventSpec) -> dict[str, object]:
    required = [*(["lead.id"] if spec.needs_lead else []), *spec.required]
    found: dict[str, object] = {"description": spec.doc, "type": "object"}
    plain = {name: _json_field(one) for name, one in spec.attributes.items() if one.type != "map"}
    prefixes = [name.removesuffix("*").replace(".", "[.]") for name in spec.attributes if name.endswith("*")]
    free: dict[str, object] = {f"^{prefix}": {} for prefix in prefixes}
    found["properties"] = {"leadtrace.kind": {"const": spec.kind.value}, **plain}
    if free:
        found["patternProperties"] = free
    if required:
        found["required"] = required
    return found


def _json_field(field: FieldSpec) -> dict[str, object]:
    single = field.type.removesuffix("[]")
    found: dict[str, object] = {"type": _JSON_TYPES[single]}
    if field.values:
        found["enum"] = list(field.values)
    if single != field.type:
        found = {"type": "array", "items": found}
    return {"description": field.doc, **found}


def files() -> dict[str, str]:
    """What is generated from the catalogue: each file's path under the docs folder, and its text."""
    return {
        "events.md": markdown(),
        "schemas/events.schema.json": json.dumps(json_schema(), indent=2) + "\n",
        "registry/leadtrace.yaml": yaml_text(registry()),
        "registry/registry_manifest.yaml": yaml_text(registry_manifest()),
    }


def registry_manifest() -> dict[str, object]:
    """What stands beside the registry: its name and version."""
    return {
        "name": "leadtrace",
        "description": "Events of a lead pipeline, as leadtrace records them.",
        "semconv_version": VERSION,
        "schema_base_url": SCHEMA_URL.removesuffix(VERSION),
    }


def registry() -> dict[str, object]:
    """The attributes, each once, and the events that refer to them, as groups of a semantic-conventions registry."""
    attributes: dict[str, FieldSpec] = dict(COMMON)
    specs = own_events()
    for spec in specs.values():
        for name, field in spec.attributes.items():
            attributes.setdefault(name, field)
    groups: list[dict[str, object]] = [
        {
            "id": "registry.leadtrace",
            "type": "attribute_group",
            "display_name": "Attributes of leadtrace's events",
            "brief": "Every attribute of the catalogue, those included that OpenTelemetry's own conventions define.",
            "attributes": [_registry_attribute(attributes[name]) for name in sorted(attributes)],
        }
    ]
    groups += [_registry_event(spec, attributes) for spec in specs.values()]
    return {"groups": groups}


def _registry_attribute(field: FieldSpec) -> dict[str, object]:
    kind: object = field.type
    if field.values:
        kind = {"members": [{"id": one, "value": one, "stability": "development"} for one in field.values]}
    elif field.type == "map":
        kind = "template[any]"
    found: dict[str, object] = {
        "id": field.attribute.removesuffix(".*"),
        "type": kind,
        "stability": "development",
        "brief": field.doc,
    }
    said: dict[str, object] = {"set_by": field.by}
    if field.unit:
        said["unit"] = field.unit
    if field.personal:
        said["personal"] = field.personal
    if field.dimension:
        said["dimension"] = True
    found["annotations"] = {"leadtrace": said}
    return found


def _registry_event(spec: EventSpec, attributes: dict[str, FieldSpec]) -> dict[str, object]:
    refs: list[dict[str, object]] = []
    if spec.lead:
        level = "required" if spec.needs_lead else {"conditionally_required": "When a lead is open."}
        refs.append({"ref": "lead.id", "requirement_level": level})
    for name, field in spec.attributes.items():
        ref: dict[str, object] = {"ref": name.removesuffix(".*"), "requirement_level": field.requirement}
        if field.doc != attributes[name].doc:
            ref["brief"] = field.doc
        refs.append(ref)
    found: dict[str, object] = {
        "id": f"event.{spec.name}",
        "type": "event",
        "name": spec.name,
        "stability": "development",
        "brief": spec.doc,
        "annotations": {"leadtrace": {"kind": spec.kind.value, "source": spec.source}},
        "attributes": refs,
    }
    if spec.exception:
        found["note"] = f"An exception from the naming rule: {spec.exception}."
    return found


def yaml_text(data: object, indent: int = 0) -> str:
    """Mappings, lists, strings, numbers and truth values as YAML; strings are quoted as JSON quotes them."""
    lines: list[str] = []
    pad = " " * indent
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(value, (dict, list)) and value:
                lines.append(f"{pad}{key}:\n{yaml_text(value, indent + 2)}")
            else:
                lines.append(f"{pad}{key}: {json.dumps(value, ensure_ascii=False)}\n")
    elif isinstance(data, list):
        for value in data:
            if isinstance(value, (dict, list)) and value:
                inner = yaml_text(value, indent + 2)
                lines.append(f"{pad}- {inner[indent + 2 :]}")
            else:
                lines.append(f"{pad}- {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(lines)
