"""`leadtrace reindex`: the columnar copy beside a store, made or brought up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from leadtrace.cli.options import echo_json, store_file, store_option
from leadtrace.cli.progress import progress

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["reindex"]


@click.command("reindex")
@store_option
@click.option("--anew", is_flag=True, help="Drop the columns that are there first.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def reindex(store: Path | None, anew: bool, as_json: bool) -> None:
    """Copy a store's records into columns beside it, which make reports over weeks fast.

    They are derived: PATH.columns may be deleted at any time. A running `leadtrace serve` keeps those of its store up to
    date by itself.
    """
    from leadtrace.store.columns.upkeep import Upkeep
    from leadtrace.store.embedded import EmbeddedStore

    opened = EmbeddedStore.open(store_file(store), write=True)
    try:
        upkeep = Upkeep(opened)
        if anew:
            upkeep.drop()
        arrival = upkeep.state().arrival
        with progress("records") as tell:
            upkeep.copy(lambda made: tell(made.file.last, arrival))
        files = upkeep.state().files
    finally:
        opened.close()
    rows, size = sum(one.rows for one in files), sum(one.bytes for one in files)
    if as_json:
        echo_json({"store": str(opened.path), "files": len(files), "records": rows, "bytes": size})
    else:
        click.echo(f"{rows:,} records in {len(files)} files of columns, {size / 1e6:,.1f} MB, beside {opened.path}")
