"""`leadtrace retain`: remove what nobody has touched for so long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from leadtrace.cli.options import Length, echo_json, say, store_file, store_option
from leadtrace.cli.progress import progress

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["retain"]


@click.command("retain")
@click.option("--keep", type=Length(), required=True, metavar="LENGTH", help="How long to keep: 90d, 12w, 24h.")
@store_option
@click.option("--dry-run", "dry", is_flag=True, help="Only count.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.pass_context
def retain(ctx: click.Context, keep: float, store: Path | None, dry: bool, yes: bool, as_json: bool) -> None:
    """Remove from a store what was last touched longer ago than that, whole leads only: no timeline is cut.

    Ctrl-C ends it between two transactions; what is gone is gone whole. A running `leadtrace serve` does it itself with
    `--keep`.
    """
    from leadtrace.query.printable import moment
    from leadtrace.store.embedded import EmbeddedStore
    from leadtrace.store.retain import retain as run

    before_ns = time.time_ns() - int(keep * 1e9)
    path = store_file(store)
    if not dry and not yes:
        click.confirm(f"Remove what was last touched before {moment(before_ns)} from {path}?", abort=True, err=True)
    opened = EmbeddedStore.open(path, write=True)
    try:
        with progress("traces") as tell:
            found = run(opened, before_ns, lambda so_far: tell(so_far.looked_at, so_far.of), dry=dry)
    except KeyboardInterrupt:
        say("interrupted: what is gone is gone whole; run it again for the rest")
        ctx.exit(130)
    finally:
        opened.close()
    counts = found.counts()
    if as_json:
        echo_json({"store": str(path), "before_unix_nano": before_ns, "removed": not dry, **counts})
        return
    what = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items())
    click.echo(f"{'would remove' if dry else 'removed'} from {path}, last touched before {moment(before_ns)}: {what}")
