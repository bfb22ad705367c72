"""`leadtrace catalogue`: what may be emitted, for people and for tools."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from leadtrace.catalogue.model import EventSpec

__all__ = ["catalogue"]


@click.command("catalogue")
@click.argument("name", required=False, default="")
@click.option("--json", "form", flag_value="json", help="The events as JSON, a list.")
@click.option("--markdown", "form", flag_value="markdown", help="The page docs/events.md.")
@click.option("--schema", "form", flag_value="schema", help="A JSON Schema of events.")
@click.option("--registry", "form", flag_value="registry", help="A registry for OpenTelemetry's tools, as YAML.")
@click.option(
    "--write",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the page, the schema and the registry into this folder.",
)
def catalogue(name: str, form: str | None, folder: Path | None) -> None:
    """The events that may be emitted, or one of them with its fields.

    NAME is an event (`delivery.accepted`), a pattern (`delivery.*`) or a namespace (`delivery`).
    """
    import json

    from leadtrace.catalogue import document, schemas

    if folder is not None or form in ("markdown", "schema", "registry"):
        if name:
            raise click.UsageError(f"--{form or 'write'} is of the whole catalogue; leave out {name}")
        if folder is not None:
            for path, text in schemas.files().items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
        elif form == "markdown":
            click.echo(document.markdown(), nl=False)
        elif form == "schema":
            click.echo(json.dumps(schemas.json_schema(), indent=2))
        else:
            click.echo(schemas.yaml_text(schemas.registry()), nl=False)
        return
    found = _matching(name)
    if form == "json":
        click.echo(json.dumps([document.as_data(one) for one in found], indent=2))
    elif len(found) == 1 and name == found[0].name:
        click.echo(document.detail(found[0]))
    else:
        click.echo(document.listing(found))


def _matching(name: str) -> list[EventSpec]:
    from leadtrace.catalogue import document, nearest
    from leadtrace.errors import NotFoundError

    specs = document.own_events()
    if not name:
        return list(specs.values())
    pattern = name if "*" in name else f"{name}.*"
    found = [spec for one, spec in specs.items() if one == name or fnmatchcase(one, pattern)]
    if not found:
        raise NotFoundError(f"no event {name!r} in the catalogue", nearest=nearest(name))
    return found
