"""Lines of styled pieces onto standard output: in colour on a terminal that has some, as plain text elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.text import Text

    from leadtrace.query.story import Line

__all__ = ["print_lines", "styled"]

_STYLES = {
    "head": "bold",
    "time": "dim",
    "tree": "dim",
    "title": "bold",
    "foreign": "",
    "took": "cyan",
    "good": "green",
    "bad": "red",
    "no": "yellow",
    "open": "yellow",
    "money": "magenta",
    "state": "bold blue",
    "event": "blue",
    "faint": "dim",
    "hint": "italic",
    "note": "yellow",
}


def print_lines(lines: Iterable[Line]) -> None:
    """Print each line as it comes. `NO_COLOR` is honoured."""
    if not (sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"):
        for line in lines:
            click.echo("".join(piece for piece, _ in line).rstrip())
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(styled(line))


def styled(line: Line) -> Text:
    """A line as rich's text, in the colours of a terminal."""
    from rich.text import Text

    return Text.assemble(*((piece, _STYLES.get(style, "")) for piece, style in line))
