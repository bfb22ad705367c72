"""`leadtrace doctor`: whether all is well, each check a sentence; and with `--reconcile` what became of every event."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from leadtrace.cli.options import echo_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.cli.examining import Finding
    from leadtrace.otlp.ledger import Ledger
    from leadtrace.otlp.reconcile import Reconciled
    from leadtrace.settings import Settings

__all__ = ["doctor"]


@click.command("doctor")
@click.option(
    "--app",
    metavar="MODULE",
    help="Import this module of yours, and look at what it sets up: sent twice, words in place.",
)
@click.option(
    "--reconcile",
    metavar="URL",
    help="Compare the journal with what this store holds, and name each event that is missing: a path or http://host:port.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.pass_context
def doctor(ctx: click.Context, app: str | None, reconcile: str | None, as_json: bool) -> None:
    """Look at settings, key, journal, store, versions, receivers and clocks, and say of each how it is.

    With --reconcile, what became of every event that was recorded on this machine: loss is counted, not argued about.

    Exit code 1 where something is bad.
    """
    from leadtrace.cli.examining.books import ledgers_of, told_of_holes
    from leadtrace.cli.examining.configuration import settings_told
    from leadtrace.cli.examining.sending import examine_clock
    from leadtrace.errors import SettingsError
    from leadtrace.settings import Settings

    try:
        settings: Settings | None = Settings.from_env()
    except SettingsError:
        settings = None
    books = (
        ledgers_of(settings.journal) if settings and settings.journal else []
    )  # before the store: what is acknowledged
    found = list(_findings(settings, app, books))  # now must be there then
    compared = None
    if reconcile is not None and settings is not None:
        compared = _reconciled(reconcile, settings, books)
        if reconcile.startswith("http") and reconcile != settings.from_:
            found += examine_clock(reconcile, settings.token)
        found += told_of_holes(compared, reconcile)
    wrong = any(one.level == "bad" for one in found)
    if as_json:
        told: dict[str, Any] = {
            "schema": "leadtrace.doctor/1",
            "ok": not wrong,
            "findings": [one.as_json() for one in found],
            "settings": settings_told(settings, os.environ) if settings else [],
            "books": [one.as_json() for one in books],
            "reconciled": compared.as_json() if compared else None,
        }
        echo_json(told, indent=2)
    else:
        _print(found)
    if wrong:
        ctx.exit(1)


def _reconciled(url: str, settings: Settings, books: list[Ledger]) -> Reconciled:
    from leadtrace.errors import SourceError
    from leadtrace.otlp.reconcile import reconcile
    from leadtrace.reading.sources import source_of

    try:
        source = source_of(url, settings.token)
    except SourceError as problem:  # it names the option of the reading commands, and somebody typed this one
        if "do" in problem.data:
            problem.data["do"] = str(problem.data["do"]).replace("--from", "--reconcile")
        raise
    try:
        return reconcile(books, source.sequences())
    finally:
        source.close()


def _findings(settings: Settings | None, app: str | None, books: list[Ledger]) -> Iterator[Finding]:
    from leadtrace.cli.examining.books import examine_books, examine_own_clock
    from leadtrace.cli.examining.configuration import examine_settings
    from leadtrace.cli.examining.places import examine_places
    from leadtrace.cli.examining.sending import examine_clock, examine_endpoints
    from leadtrace.cli.examining.versions import examine_versions
    from leadtrace.setup.sinks import destination_names

    yield from examine_settings(os.environ)
    yield from examine_versions()
    if settings is None:
        return
    yield from examine_places(settings)
    if settings.journal is not None:
        yield from examine_books(settings.journal, books, destination_names(settings), time.time_ns())
        yield from examine_own_clock(settings.journal, time.time_ns())
    yield from examine_endpoints(os.environ)
    if settings.from_.startswith(("http://", "https://")):
        yield from examine_clock(settings.from_, settings.token)
    if app:
        from leadtrace.cli.examining.application import examine_application

        yield from examine_application(app)


def _print(found: list[Finding]) -> None:
    from leadtrace.query.printable import plain

    wide = max(len(one.check) for one in found)
    for one in found:
        click.echo(plain(f"{one.level:<5} {one.check:<{wide}}  {one.says}"))
        if one.do:
            click.echo(plain(f"{'':<{wide + 8}}-> {one.do}"))
