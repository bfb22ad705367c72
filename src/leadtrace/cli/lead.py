"""`leadtrace lead`: one lead's timeline."""

from __future__ import annotations

import click

from leadtrace.cli.options import echo_json, reading_options, width

__all__ = ["lead"]


@click.command("lead")
@click.argument("lead_id")
@reading_options
def lead(lead_id: str, from_: str | None, tenant: str | None, as_json: bool) -> None:
    """The timeline of the lead LEAD_ID: everything that happened to it, over all its traces and services."""
    from leadtrace.cli.colour import print_lines
    from leadtrace.query.story import lines
    from leadtrace.reading import open as open_reader

    with open_reader(from_, tenant=tenant) as reader:
        found = reader.timeline(lead_id)
        if as_json:
            echo_json(found.as_json(), indent=2)
        else:
            print_lines(lines(found, width()))
