"""`leadtrace demo`: the main job in one command."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leadtrace.cli.options import width

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    from leadtrace.cli.tables import print_report
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
        click.echo(f"{rule}\nWhat they cost and earned, all together:\n")
        print_report(reader.report("business"))
    command = _command()
    click.echo(f"{rule}\nAll that follows reads the store of this run and the journal that it was sent from:\n")
    click.echo(
        f"  export LEADTRACE_FROM={shlex.quote(str(ran.store))} LEADTRACE_JOURNAL={shlex.quote(str(ran.journal))}"
    )
    for heading, commands in _to_type(others):
        click.echo(f"\n{heading}\n")
        for line, what in commands:
            click.echo(f"  {command} {line:<{max(len(one) for one, _ in commands)}}   # {what}")


def _to_type(leads: Mapping[str, str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a user may look at next: commands and what they show, under headings."""
    return [
        ("Other leads worth a look:", [(f"lead {lead}", why) for why, lead in leads.items()]),
        (
            "Questions of all leads:",
            [
                ("report performance", "what runs wait for, and what would make them faster"),
                ("report errors", "which errors come together, and what to do about them"),
                ("report roi", "what each enhancement costs, and what it returns"),
                ("compare outcome=rejected outcome=delivered", "what tells refused leads from sold ones"),
                ("lint", "whether anything recorded cannot be true"),
                ("events --name enhancement.failed", "events, one by one"),
            ],
        ),
        (
            "And the machinery:",
            [
                ("journal", "nothing waits any more: all that was recorded is in the store"),
                ("doctor", "whether all is well on this machine"),
                ('serve --store "$LEADTRACE_FROM"', "a server over this store"),
            ],
        ),
    ]


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
