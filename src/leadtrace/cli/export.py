"""`leadtrace export`: a store's records as Parquet files."""

from __future__ import annotations

from pathlib import Path

import click

from leadtrace.cli.options import Moment, echo_json, store_file, store_option
from leadtrace.cli.progress import progress

__all__ = ["export"]


@click.command("export")
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder for the files."
)
@store_option
@click.option("--since", type=Moment(), default=0, show_default=False, help="Only records from that time on.")
@click.option("--until", type=Moment(), default=0, show_default=False, help="Only records before that time.")
@click.option("--tenant", metavar="KEY", help="Only this tenant's records; '' for those that carry none.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def export(folder: Path, store: Path | None, since: int, until: int, tenant: str | None, as_json: bool) -> None:
    """Write a store's events and spans as Parquet, a column for each of the relations' columns.

    Broken off, it goes on where it was; run again on the same folder it adds what has arrived since. It may run beside a
    server.
    """
    from leadtrace.store.columns.exporting import export_store
    from leadtrace.store.relations.interface import Slice

    path = store_file(store).expanduser().absolute()
    with progress("records") as tell:
        found = export_store(path, folder, Slice(since, until, tenant), tell)
    if as_json:
        echo_json({"folder": str(folder), **found.as_json()})
        return
    size = f"{found.bytes / 1e6:,.1f} MB"
    click.echo(f"{found.rows:,} records of {path} in {len(found.files)} files, {size}, in {folder}")
