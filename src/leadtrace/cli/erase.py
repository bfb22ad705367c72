"""`leadtrace erase`: a lead removed from journal, lead events and store, with a receipt."""

from __future__ import annotations

import datetime
import secrets
import sys
from typing import TYPE_CHECKING, Any

import click

from leadtrace.cli.erasing.options import lead_and_places
from leadtrace.cli.options import echo_json, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from leadtrace.cli.erasing.elsewhere import Elsewhere
    from leadtrace.cli.erasing.places import Done

__all__ = ["erase"]


@click.command("erase")
@click.option("--tenant", metavar="KEY", help="Only this tenant's lead of that id.  [default: any tenant's]")
@lead_and_places
@click.pass_context
def erase(
    ctx: click.Context,
    lead_id: str,
    tenant: str | None,
    from_: str | None,
    journal: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove the lead LEAD_ID from the journal, the lead events and the store, and turn away what still comes of it.

    Prints a receipt, in which nothing of the person is, and what Jaeger and ClickHouse must be asked to delete. It cannot be
    undone. Exit code 1 where nothing was found, or where something could not be made sure of.
    """
    from leadtrace.cli.erasing.elsewhere import asked_of_others
    from leadtrace.cli.erasing.places import erase_everywhere, ids_of
    from leadtrace.settings import Settings

    if not lead_id.strip():
        raise click.UsageError("a lead's id is needed")
    settings = Settings.from_env(journal=str(journal) if journal is not None else None)
    ids = ids_of(lead_id, tenant, settings)
    source = from_ or settings.from_ or str(settings.store)
    if not yes:
        _ask(lead_id, tenant, settings.journal, source)
    done = erase_everywhere(ids, tenant, settings.journal, source, bool(from_ or settings.from_), settings.token)
    traces = sorted({one for place in done for one in place.traces})
    others = asked_of_others(ids, tenant, traces)
    receipt = {
        "receipt": secrets.token_hex(8),
        "erased_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "complete": not any(one.left for one in done),
        "places": [one.as_json() for one in done],
    }
    if as_json:
        elsewhere = [one.as_json() for one in others]
        echo_json(
            {"schema": "leadtrace.erase/1", "receipt": receipt, "traces": traces, "elsewhere": elsewhere}, indent=2
        )
    else:
        _print(receipt, done, others)
    if not any(one.found for one in done) and receipt["complete"]:
        say(
            "nothing of that lead was found; what comes is turned away"
            if done
            else "there is neither a journal nor a store here"
        )
        ctx.exit(1)
    if not receipt["complete"]:
        ctx.exit(1)


def _ask(lead_id: str, tenant: str | None, journal: Path | None, source: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is here to ask: --yes erases without asking")
    from leadtrace.query.printable import plain

    whose = f"of tenant {tenant!r}" if tenant is not None else "of any tenant"
    told = (
        f"Erase {lead_id} {whose} from the journal {journal or '(none)'} and the store {source}? It cannot be undone."
    )
    click.confirm(plain(told), abort=True, err=True)


def _print(receipt: dict[str, Any], done: Sequence[Done], others: Sequence[Elsewhere]) -> None:
    from leadtrace.query.printable import plain

    click.echo(f"receipt {receipt['receipt']}, {receipt['erased_at']}")
    for one in done:
        counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in one.counts.items()) or "nothing"
        click.echo(plain(f"  {one.place} {one.where}: {counts}"))
        for boot, runs in one.ranges.items():
            numbers = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
            click.echo(f"    erased of boot {boot}: events {numbers}")
        if one.searched_bytes and not one.left:
            click.echo(f"    {one.searched_bytes:,} bytes searched: nothing of it is left")
        for sentence in one.left:
            click.echo(plain(f"    ! {sentence}"))
    click.echo("not reached by this command:")
    for other in others:
        click.echo(plain(f"  {other.keeper} {other.says}"))
        for command in other.commands:
            click.echo(plain(f"    {command}"))
