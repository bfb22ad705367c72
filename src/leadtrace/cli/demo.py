"""`leadtrace demo`: the main job in one command."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import click

from leadtrace.cli.options import width

__all__ = ["demo"]

SHOWN = (
    "all went well",
    "taken by a buyer at the third try",
    "sold although its identity could not be verified in time",
)
"""Whose timelines are printed; the others are named."""


@click.command("demo")
@click.option("--leads", default=200, show_default=True, type=click.IntRange(1), help="How many leads.")
@click.option("--seed", default=7, show_default=True, help="Decides what goes wrong, and with whom.")
@click.option(
    "--speed", default=10.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Times as in life."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the store goes.  [default: a new temporary folder]",
)
def demo(leads: int, seed: int, speed: float, folder: Path | None) -> None:
    """Run an insurance lead pipeline and show the timelines of its leads.

    Starts `leadtrace serve` with a fresh store on free ports of this machine, the companies that the pipeline calls,
    and the pipeline; nothing leaves the machine. The store stays for you to look around in.
    """
    from leadtrace import demo as example
    from leadtrace.cli.colour import print_lines
    from leadtrace.query.story import lines
    from leadtrace.reading import open as open_reader

    ran = example.run(folder, leads=leads, seed=seed, speed=speed, say=click.echo)
    rule = "\n" + "─" * width()
    others = ran.worth_a_look
    with open_reader(str(ran.store)) as reader:
        for why in SHOWN:
            if lead := others.pop(why, ""):
                click.echo(f"{rule}\n{why.capitalize()}:\n")
                print_lines(lines(reader.timeline(lead), width()))
    place, command = shlex.quote(str(ran.store)), _command()
    click.echo(f"{rule}\nOther leads worth a look:\n")
    for why, lead in others.items():
        click.echo(f"  {command} lead {lead} --from {place}   # {why}")
    click.echo("\nAll leads, all events, and a server over this store:\n")
    click.echo(f"  {command} leads --from {place}")
    click.echo(f"  {command} events --from {place} --name enhancement.failed")
    click.echo(f"  {command} serve --store {place}")


def _command() -> str:
    """How this program is called from here: by its name where the path has it, else as it was called."""
    if shutil.which("leadtrace"):
        return "leadtrace"
    called = Path(sys.argv[0])
    if called.name != "leadtrace":
        return f"{shlex.quote(sys.executable)} -m leadtrace"
    if called.is_relative_to(Path.cwd()):
        called = called.relative_to(Path.cwd())
    return shlex.quote(str(called))
