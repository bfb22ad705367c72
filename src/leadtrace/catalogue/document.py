"""The catalogue for people and programs: as text, as the page `docs/events.md`, and as plain data."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from leadtrace.catalogue import VERSION, events
from leadtrace.catalogue.common import COMMON
from leadtrace.catalogue.taxonomy import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from leadtrace.catalogue.model import EventSpec, FieldSpec

__all__ = ["as_data", "detail", "families", "listing", "markdown", "own_events"]

_SOURCES = {
    "000": "the system-events document",
    "001": "the alerting article",
    "002": "the span-events document",
    "003": "the delivery engine's catalogue",
    "leadtrace": "implied by the sources",
    "user": "a user's own",
}
_SET_BY = {"word": "word", "user": "you", "reader": "reader"}


def own_events() -> dict[str, EventSpec]:
    """The events that come with leadtrace, without users' own."""
    return {name: spec for name, spec in events().items() if spec.source != "user"}


def families(specs: Iterable[EventSpec]) -> Iterator[tuple[str, str, list[EventSpec]]]:
    """The events by family: each family's name, what its module says of it, and its events in their order."""
    grouped: dict[str, list[EventSpec]] = {}
    for spec in specs:
        grouped.setdefault(spec.event_class.__module__, []).append(spec)
    for module, members in grouped.items():
        doc = (sys.modules[module].__doc__ or "").strip().partition("\n")[0]
        yield module.rpartition(".")[2], doc, members


def as_data(spec: EventSpec) -> dict[str, object]:
    """One event as plain data, for `--json`; what is empty or usual is left out."""
    found: dict[str, object] = {
        "name": spec.name,
        "kind": spec.kind.value,
        "doc": spec.doc,
        "source": spec.source,
        "lead": _lead(spec),
    }
    if spec.exception:
        found["exception"] = spec.exception
    found["fields"] = [_field_data(one) for one in spec.fields.values()]
    return found


def _field_data(field: FieldSpec) -> dict[str, object]:
    found: dict[str, object] = {
        "attribute": field.attribute,
        "keyword": field.keyword,
        "type": field.type,
        "requirement": field.requirement,
        "by": field.by,
        "doc": field.doc,
    }
    for key in ("unit", "personal", "dimension", "measurement"):
        if value := getattr(field, key):
            found[key] = value
    for key in ("values", "aliases"):
        if value := getattr(field, key):
            found[key] = list(value)
    return found


def _lead(spec: EventSpec) -> str:
    return "required" if spec.needs_lead else "if open" if spec.lead else "none"


def listing(specs: Iterable[EventSpec]) -> str:
    """The events a line each, by family."""
    lines: list[str] = []
    for name, doc, members in families(specs):
        lines += ["", f"{name}: {doc.partition(': ')[2] or doc}"]
        lines += [f"  {one.name:<36} {one.kind.value:<16} {one.doc}" for one in members]
    return "\n".join(lines[1:])


def detail(spec: EventSpec) -> str:
    """One event with all its fields, for a terminal."""
    lines = [f"{spec.name}  ({spec.kind.value}, {_SOURCES.get(spec.source, spec.source)})", spec.doc]
    if spec.exception:
        lines.append(f"An exception from the naming rule: {spec.exception}.")
    if _lead(spec) != "if open":
        lines.append("Belongs to a lead." if spec.lead else "Belongs to no lead.")
    rows = [(one.attribute, one.keyword, _type(one), _notes(one)) for one in spec.fields.values()]
    if rows:
        wide = [max(len(row[column]) for row in rows) for column in range(3)]
        lines.append("")
        lines += [
            "  ".join([*(cell.ljust(size) for cell, size in zip(row, wide, strict=False)), row[3]]) for row in rows
        ]
    return "\n".join(line.rstrip() for line in lines)


def _type(field: FieldSpec) -> str:
    return f"{field.type} [{field.unit}]" if field.unit else field.type


def _notes(field: FieldSpec) -> str:
    notes = [field.doc]
    if field.values:
        notes.append("One of: " + ", ".join(field.values) + ".")
    if field.personal:
        notes.append("Personal.")
    if field.requirement == "required":
        notes.append("Required.")
    elif field.requirement == "opt_in":
        notes.append("Opt-in.")
    if field.by == "reader":
        notes.append("Computed when read.")
    return " ".join(notes)


def markdown() -> str:
    """The page `docs/events.md`."""
    specs = own_events()
    lines = [
        "# Events",
        "",
        f"The event catalogue, version {VERSION}: {len(specs)} events. This page is generated from the",
        "catalogue in code (`leadtrace catalogue --write docs`), and a test fails when the two differ.",
        "[catalogue.md](catalogue.md) says how to read it, and how to declare events of your own.",
        "",
        "| event | kind | what it says |",
        "|---|---|---|",
        *(f"| [`{name}`](#{_anchor(name)}) | {one.kind.value} | {_cell(one.doc)} |" for name, one in specs.items()),
        "",
        "## Attributes that any event may carry",
        "",
        *_table(COMMON),
        "",
    ]
    for name, doc, members in families(specs.values()):
        lines += [f"## {name.replace('_', ' ').capitalize()}", "", doc, ""]
        for spec in members:
            lines += _section(spec)
    lines += ["## The failure taxonomy", "", "| category | subcategory | causes |", "|---|---|---|"]
    for category, below in LEVELS.items():
        lines += [f"| {category} | {sub} | {', '.join(causes)} |" for sub, causes in below.items()]
    lines += [
        "",
        "Enhancements fail by `technical` or `data`, everything else by `technical`, `processing` or `system`.",
        "",
    ]
    return "\n".join(lines)


def _section(spec: EventSpec) -> list[str]:
    lead = {"required": "belongs to a lead", "if open": "belongs to the open lead, if any", "none": "of no lead"}
    source = f"source {spec.source}" if spec.source.isdigit() else _SOURCES[spec.source]
    lines = [f"### {spec.name}", "", f"{spec.doc} Kind `{spec.kind.value}`; {lead[_lead(spec)]}; {source}.", ""]
    if spec.exception:
        lines += [f"An exception from the naming rule: {spec.exception}.", ""]
    if spec.fields:
        lines += [*_table({one.attribute: one for one in spec.fields.values()}), ""]
    return lines


def _table(fields: Mapping[str, FieldSpec]) -> list[str]:
    lines = ["| attribute | keyword | type | set by | what it says |", "|---|---|---|---|---|"]
    for one in fields.values():
        marks = "".join(
            f" *{mark}*"
            for mark in (
                one.requirement.replace("_", "-") if one.requirement != "recommended" else "",
                f"personal: {one.personal}" if one.personal else "",
                "dimension" if one.dimension else "",
            )
            if mark
        )
        what = _cell(one.doc) + (f" One of {', '.join(f'`{value}`' for value in one.values)}." if one.values else "")
        if one.aliases:
            what += f" Read also as {', '.join(f'`{alias}`' for alias in one.aliases)}."
        lines.append(f"| `{one.attribute}` | `{one.keyword}` | {_type(one)} | {_SET_BY[one.by]} | {what}{marks} |")
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _anchor(heading: str) -> str:
    """The anchor that a heading gets where Markdown pages are shown."""
    return "".join(char for char in heading.lower().replace(" ", "-") if char.isalnum() or char in "-_")
