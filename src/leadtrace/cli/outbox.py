"""What the commands over lead events share: the outbox of a journal's folder, with all that was kept there taken in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from leadtrace.journal.outbox import Outbox
    from leadtrace.otlp.sealing import Sealer

__all__ = ["AS_JSON", "FOLDER", "KEY", "open_outbox", "sealer", "when"]

FOLDER = click.option(
    "--journal", "path", type=click.Path(path_type=Path), help="The journal's folder.  [default: LEADTRACE_JOURNAL]"
)
KEY = click.option(
    "--key", type=click.Path(dir_okay=False, path_type=Path), help="The key file.  [default: LEADTRACE_KEY]"
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


def open_outbox(path: Path | None) -> Outbox:
    """Raises `SourceError` where there is no journal."""
    from leadtrace.cli.journal import journal_folder
    from leadtrace.journal.kept import drain
    from leadtrace.journal.outbox import Outbox
    from leadtrace.otlp.lead_event import KIND

    folder = journal_folder(path).path
    outbox = Outbox(folder)
    drain(folder, KIND, lambda records: _put(outbox, records))
    return outbox


def _put(outbox: Outbox, records: list[bytes]) -> None:
    outbox.put(records, time.time_ns())


def sealer(key: Path | None) -> Sealer:
    from leadtrace.otlp.keyfile import load_keys
    from leadtrace.otlp.sealing import Sealer
    from leadtrace.settings import Settings

    return Sealer(load_keys(Settings.from_env(key=key).key, create=False))


def when(time_ns: int) -> str:
    """A time for a person: UTC, to the second."""
    import datetime

    return datetime.datetime.fromtimestamp(time_ns // 1_000_000_000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
