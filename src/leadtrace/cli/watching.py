"""What `leadtrace watch` and `leadtrace alerts` put together: rules, source, database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from leadtrace.alerts.database import Database
    from leadtrace.alerts.own_events import EventSink
    from leadtrace.alerts.rules import Rules
    from leadtrace.settings import Settings

__all__ = ["RULES", "STATE", "database_of", "load_rules", "sink_of", "source_url"]

RULES = click.option(
    "--rules",
    "rules_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The rules.  [default: LEADTRACE_CONFIG, leadtrace.toml]",
)
STATE = click.option(
    "--state",
    "state_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the watch keeps what it knows.  [default: beside the store, *.alerts.db]",
)

_NOT_JAEGER: Final = (
    "Jaeger keeps no events and does not say what arrived when, so silence there says nothing; "
    "watch a store of leadtrace"
)


def source_url(from_: str | None, settings: Settings) -> str:
    """Which source is watched. Raises `SettingsError` for one that cannot be."""
    url = from_ or settings.from_ or str(settings.store)
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme in ("jaeger", "jaegers"):
        raise SettingsError(_NOT_JAEGER, got=url)
    return url


def load_rules(rules_file: Path | None, settings: Settings) -> Rules:
    """The rules of that file, else of the configured one. Raises `RulesError`.

    Functions that rules name are looked for in the working folder too, as `python -m` does.
    """
    import sys

    from leadtrace.alerts.rules_file import load

    if "" not in sys.path:
        sys.path.insert(0, "")
    return load(rules_file or settings.config, currency=settings.currency)


def database_of(url: str, state_file: Path | None, settings: Settings, *, create: bool) -> Database:
    """The watch's database for that source."""
    from leadtrace.alerts.database import Database, path_beside

    return Database.open(state_file or path_beside(url, settings), create=create)


def sink_of(url: str, settings: Settings) -> EventSink:
    """Where the watch of that source sends its own events."""
    from leadtrace.cli.alert_sinks import EmbeddedSink, ServedSink

    if "://" in url:
        return ServedSink(url, settings.token)
    return EmbeddedSink(Path(os.path.expanduser(url)))
