"""`leadtrace serve`: OTLP in, the embedded store, the reading API and a page, in one process."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leadtrace.cli.options import Length, store_file, store_option
from leadtrace.errors import LeadtraceError, SettingsError, SourceError

if TYPE_CHECKING:
    from leadtrace.alerts.rules import Rules
    from leadtrace.settings import Settings

__all__ = ["serve"]

_UNGUARDED = (
    "{host} can be reached from other machines: set LEADTRACE_TOKEN or --token-file, "
    "which senders and readers then present, or listen on 127.0.0.1"
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), default=4317, show_default=True, help="0: any free port.")
@click.option("--http-port", type=click.IntRange(0, 65535), default=4318, show_default=True, help="0: any free port.")
@store_option
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that holds the token.  [LEADTRACE_TOKEN: the token itself]",
)
@click.option("--keep", type=Length(), metavar="LENGTH", help="Remove what was last touched longer ago: 90d.")
@click.option("--no-columns", is_flag=True, help="Do not keep columns beside the store, for reports over weeks.")
@click.option(
    "--rules",
    "rules_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rules of alerts, whose declared groups /metrics then names.",
)
def serve(
    host: str,
    grpc_port: int,
    http_port: int,
    store: Path | None,
    token_file: Path | None,
    keep: float | None,
    no_columns: bool,
    rules_file: Path | None,
) -> None:
    """Receive OTLP over gRPC and HTTP into the embedded store, and answer readers.

    Prints one line with its addresses when it is ready; SIGTERM or Ctrl-C ends it, with all that was accepted stored.
    """
    from leadtrace.settings import Settings
    from leadtrace.web.guard import is_loopback

    try:
        settings = Settings.from_env(store=store)
        path = store_file(store, there=False)
        token = _read_token(token_file) if token_file else settings.token
        if not token and not is_loopback(host):
            raise SettingsError(_UNGUARDED.format(host=host))
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # or gRPC writes lines of its own beside our one
        from leadtrace.cli.keeping import Keeping
        from leadtrace.cli.serving import serve_until_stopped

        rules = _read_rules(rules_file, settings) if rules_file else None
        keeping = Keeping(not no_columns, keep)
        asyncio.run(serve_until_stopped(host, grpc_port, http_port, path, token, keeping, rules))
    except LeadtraceError as cause:
        click.echo(f"leadtrace serve: {cause}", err=True)
        sys.exit(3 if isinstance(cause, SourceError) else 2)


def _read_rules(file: Path, settings: Settings) -> Rules:
    from leadtrace.cli.watching import load_rules

    return load_rules(file, settings)


def _read_token(file: Path) -> str:
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as cause:
        raise SettingsError(f"the token file {file} cannot be read", cause=cause) from cause
    if not token or not token.isascii() or not token.isprintable():
        raise SettingsError(f"the token file {file} holds no token: one line of printable ASCII is needed")
    return token
