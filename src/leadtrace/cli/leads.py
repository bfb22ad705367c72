"""`leadtrace leads`: find leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from leadtrace.cli.options import echo_json, reading_options, say, width, window_options

if TYPE_CHECKING:
    from leadtrace.reading import Reader

__all__ = ["leads"]


@click.command("leads")
@reading_options
@window_options
@click.option("--state", default="", help="Only leads in this state.")
@click.option("--outcome", default="", help="Only leads with this outcome (delivered, rejected, failed …).")
@click.option("--contains", default="", metavar="TEXT", help="Only leads whose id contains this.")
@click.pass_context
def leads(
    ctx: click.Context,
    from_: str | None,
    tenant: str | None,
    as_json: bool,
    since: int,
    until: int,
    limit: int | None,
    state: str,
    outcome: str,
    contains: str,
) -> None:
    """Leads, the one last touched first, with the time of their first and last record, state and outcome."""
    from leadtrace.cli.colour import print_lines
    from leadtrace.query.listing import lead_json, lead_line
    from leadtrace.reading import open as open_reader

    nothing = True
    with open_reader(from_, tenant=tenant) as reader:
        for row in reader.leads(
            since_ns=since, until_ns=until, state=state, outcome=outcome, contains=contains, limit=limit or 0, note=say
        ):
            nothing = False
            if as_json:
                echo_json(lead_json(row))
            else:
                print_lines([lead_line(row, width())])
        hint = _meant(reader, state, outcome, since, until) if nothing else ""
    if nothing:
        click.echo(f"leadtrace: no such lead in {reader.source.url}{hint}", err=True)
        ctx.exit(1)


_LOOKED_AT = 1_000
"""Leads, the last touched, among whose states and outcomes the meant one is looked for."""


def _meant(reader: Reader, state: str, outcome: str, since: int, until: int) -> str:
    """What to say of a state or an outcome that none of the window's last leads has."""
    from leadtrace.analysis.misspelt import meant
    from leadtrace.query.printable import plain

    rows = list(reader.leads(since_ns=since, until_ns=until, limit=_LOOKED_AT)) if state or outcome else []
    which = ("the last lead" if len(rows) == 1 else f"the last {len(rows):,} leads") + " in the window" * bool(
        since or until
    )
    told = ""
    for what, asked, there in (
        ("state", state, {one.state for one in rows} - {""}),
        ("outcome", outcome, {one.outcome for one in rows} - {""}),
    ):
        if asked and asked not in there and (instead := meant(asked, there)):
            told += f"; of {which} none has the {what} {asked!r}, {instead}"
    return plain(told)
