"""`leadtrace compare A B`: two leads, or a bad group with a good one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from leadtrace.cli.options import Moment, reading_options

if TYPE_CHECKING:
    from leadtrace.reading import Reader

__all__ = ["compare"]


@click.command("compare")
@click.argument("a")
@click.argument("b")
@reading_options
@click.option(
    "--since", type=Moment(), default=0, show_default=False, help="Conditions hold for runs that ended from then on."
)
@click.option(
    "--until", type=Moment(), default=0, show_default=False, help="Conditions hold for runs that ended before then."
)
@click.option("--limit", type=click.IntRange(1), help="At most so many rows of each sort.  [default: all of them]")
@click.option(
    "--sample",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="How many leads of each side are looked at; 0: all.",
)
@click.option("--all", "everything", is_flag=True, help="Of groups, also what may well be chance.")
@click.pass_context
def compare(
    ctx: click.Context,
    a: str,
    b: str,
    from_: str | None,
    tenant: str | None,
    as_json: bool,
    since: int,
    until: int,
    limit: int | None,
    sample: int,
    everything: bool,
) -> None:
    """What differs between A and B in order, values, timing, retries and money, the most telling first.

    Each is a lead's id, conditions (outcome=rejected,campaign=spring), or @FILE with an id in each line. Exit code 1 where
    nothing differs.
    """
    from leadtrace.cli.tables import tell
    from leadtrace.reading import open as open_reader

    with open_reader(from_, tenant=tenant) as reader:
        found = reader.report(
            "compare",
            since_ns=since,
            until_ns=until,
            limit=limit or 0,
            a=_side(reader, a),
            b=_side(reader, b),
            sample=sample,
            all=everything,
        )
    tell(found, as_json, nothing="nothing differs")
    if not found.rows:
        ctx.exit(1)


def _side(reader: Reader, text: str) -> str:
    """One side as the analysis takes it: a file's content in place of its name, ids as they were recorded."""
    if text.startswith("@"):
        try:
            ids = Path(text[1:]).read_text(encoding="utf-8").split("\n")
        except OSError as problem:
            raise click.FileError(text[1:], problem.strerror) from problem
        except UnicodeDecodeError as problem:
            raise click.BadParameter(f"{text[1:]} is no text: UTF-8 with an id in each line is expected") from problem
        known = [reader.lead_id_as_recorded(one.strip(), reader.tenant) for one in ids if one.strip()]
        if not known:
            raise click.BadParameter(f"{text[1:]} holds no id: an id in each line is expected")
        return "\n".join([*known, ""])
    return text if "=" in text else reader.lead_id_as_recorded(text, reader.tenant)
