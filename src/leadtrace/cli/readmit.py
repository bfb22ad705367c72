"""`leadtrace readmit`: a lead that was erased is recorded again from now on, with a receipt."""

from __future__ import annotations

import datetime
import secrets
import sys
from typing import TYPE_CHECKING

import click

from leadtrace.cli.erasing.options import lead_and_places
from leadtrace.cli.options import echo_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from leadtrace.cli.erasing.places import Opened

__all__ = ["readmit"]


@click.command("readmit")
@click.option("--tenant", metavar="KEY", help="Undo `erase --tenant KEY`.  [default: undo `erase` without it]")
@lead_and_places
@click.pass_context
def readmit(
    ctx: click.Context,
    lead_id: str,
    tenant: str | None,
    from_: str | None,
    journal: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Record the lead LEAD_ID again, which `leadtrace erase` has turned away: somebody who came back, and agreed.

    What was erased stays so. What was recorded of the lead before, and still waits somewhere else, would be let in as well:
    erase there first. Exit code 1 where it was not turned away, or is so still.
    """
    from leadtrace.cli.erasing.places import ids_of, readmit_everywhere
    from leadtrace.settings import Settings

    if not lead_id.strip():
        raise click.UsageError("a lead's id is needed")
    settings = Settings.from_env(journal=str(journal) if journal is not None else None)
    ids = ids_of(lead_id, tenant, settings)
    source = from_ or settings.from_ or str(settings.store)
    if not yes:
        _ask(lead_id, tenant, settings.journal, source)
    done = readmit_everywhere(ids, tenant, settings.journal, source, bool(from_ or settings.from_), settings.token)
    receipt = {
        "receipt": secrets.token_hex(8),
        "readmitted_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "complete": not any(one.left or one.still for one in done),
        "places": [one.as_json() for one in done],
    }
    if as_json:
        echo_json({"schema": "leadtrace.readmit/1", "receipt": receipt}, indent=2)
    else:
        click.echo(f"receipt {receipt['receipt']}, {receipt['readmitted_at']}")
        _print(done)
    ctx.exit(0 if receipt["complete"] and any(one.lifted for one in done) else 1)


def _ask(lead_id: str, tenant: str | None, journal: Path | None, source: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is here to ask: --yes readmits without asking")
    from leadtrace.query.printable import plain

    whose = f"of tenant {tenant!r}" if tenant is not None else "of any tenant"
    told = (
        f"Record {lead_id} {whose} again, in the journal {journal or '(none)'} and the store {source}? What was recorded"
        " before it was erased, and waits elsewhere still, is let in as well."
    )
    click.confirm(plain(told), abort=True, err=True)


def _print(done: Sequence[Opened]) -> None:
    from leadtrace.query.printable import plain

    for one in done:
        told = "let in again" if one.lifted else "was not turned away"
        if one.still:
            told = "STILL turned away: it was erased for any tenant, which readmit without --tenant undoes"
        click.echo(plain(f"  {one.place} {one.where}: {'; '.join(one.left) or told}"))
    if not done:
        click.echo("  there is neither a journal nor a store here")
