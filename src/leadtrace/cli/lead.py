"""`leadtrace lead`: one lead's timeline."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import click

from leadtrace.cli.options import echo_json, reading_options, width

__all__ = ["lead"]


@click.command("lead")
@click.argument("lead_id")
@reading_options
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write one self-contained HTML file instead; `-` for standard output.",
)
@click.option("--follow", is_flag=True, help="Go on with the lead's events as they arrive.")
def lead(lead_id: str, from_: str | None, tenant: str | None, as_json: bool, html: Path | None, follow: bool) -> None:
    """The timeline of the lead LEAD_ID: everything that happened to it, over all its traces and services."""
    from leadtrace.cli.colour import print_lines
    from leadtrace.cli.events import show
    from leadtrace.query.story import lines
    from leadtrace.reading import open as open_reader

    with open_reader(from_, tenant=tenant) as reader:
        which = reader.filter(lead_id=lead_id)
        # Before the timeline is read: what arrives meanwhile is then told by either, and by none twice.
        arrived = max((event.arrival for event in reader.united.events(which)), default=0) if follow else 0
        found = reader.timeline(lead_id)
        if html is not None:
            from leadtrace.query.page import page

            try:
                with click.open_file(str(html), "w", encoding="utf-8") as file:
                    file.write(page(found))
            except BrokenPipeError:
                raise
            except OSError as problem:
                raise click.FileError(str(html), problem.strerror) from problem
            return
        if as_json:
            echo_json(found.as_json(), indent=None if follow else 2)
        else:
            print_lines(lines(found, width()))
        if follow:
            told = {entry.uid for entry in found.events if entry.uid}
            later = reader.follow(replace(which, after_arrival=arrived))
            with contextlib.suppress(KeyboardInterrupt):
                show((event for event in later if event.uid not in told), as_json)
