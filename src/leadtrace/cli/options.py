"""What all reading commands share: where to read, for which tenant, in which form, in which window of time."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Length",
    "Moment",
    "echo_json",
    "reading_options",
    "say",
    "store_file",
    "store_option",
    "width",
    "window_options",
]

_F = TypeVar("_F", bound="Callable[..., Any]")
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_URL = re.compile(r"[a-z]{2,}:/", re.IGNORECASE)
"""As a path has it, in which two slashes are one; a single letter is a drive."""
_WIDEST = 160
_LONGEST_S = 200 * 365 * 86400


class Moment(click.ParamType[int]):
    """A time as nanoseconds: a date, or date and time (UTC unless it says otherwise), or so long ago: 90m, 7d."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip()
        now = datetime.datetime.now(datetime.UTC)
        if found := _AGO.fullmatch(text.lower()):
            try:
                moment = now - datetime.timedelta(seconds=float(found[1]) * _UNITS[found[2]])
            except OverflowError:
                self.fail(f"{text!r} ago is before all time", param, ctx)
        elif text.lower() == "now":
            moment = now
        else:
            try:
                moment = datetime.datetime.fromisoformat(text)
            except ValueError:
                self.fail(
                    f"{text!r} is no time: give 2026-11-22, 2026-11-22T10:30Z, or how long ago: 90m, 24h, 7d",
                    param,
                    ctx,
                )
            moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        since_1970 = moment - datetime.datetime.fromtimestamp(0, datetime.UTC)
        return (since_1970.days * 86_400 + since_1970.seconds) * 1_000_000_000 + since_1970.microseconds * 1000


class Length(click.ParamType[float]):
    """A length of time as seconds: 90m, 24h, 90d, 12w."""

    name = "length"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = _AGO.fullmatch(str(value).strip().lower())
        seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
        if not 0 < seconds < _LONGEST_S:
            self.fail(f"{value!r} is no length of time: give 90m, 24h, 90d, 12w", param, ctx)
        return seconds


def reading_options(command: _F) -> _F:
    """`--from`, `--tenant` and `--json`, as `from_`, `tenant` and `as_json`."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="JSON instead of text."),
        click.option("--tenant", metavar="KEY", help="Only this tenant's records; '' for those that carry none."),
        click.option(
            "--from",
            "from_",
            metavar="URL",
            help="Where to read: a store's path, http://host:port, jaeger://host:port.  "
            "[default: LEADTRACE_FROM, then the default store]",
        ),
    ):
        command = option(command)
    return command


def window_options(command: _F) -> _F:
    """`--since`, `--until` and `--limit`, as `since`, `until` (nanoseconds, 0 where not given) and `limit`."""
    for option in (
        click.option("--limit", type=click.IntRange(1), help="At most so many.  [default: all of them]"),
        click.option("--until", type=Moment(), default=0, show_default=False, help="Only before that time."),
        click.option(
            "--since",
            type=Moment(),
            default=0,
            show_default=False,
            help="Only from that time on: 2026-11-22, 2026-11-22T10:30Z, or so long ago: 90m, 24h, 7d.",
        ),
    ):
        command = option(command)
    return command


def width() -> int:
    """How wide lines may be: the terminal's width within reason; in a pipe or file always the same."""
    return min(shutil.get_terminal_size((100, 24)).columns, _WIDEST) if sys.stdout.isatty() else 100


def echo_json(found: object, *, indent: int | None = None) -> None:
    """Print JSON on one line, or indented for a person. ASCII only: no terminal acts on what was recorded."""
    click.echo(json.dumps(found, indent=indent, allow_nan=False))


def say(sentence: str) -> None:
    """Tell on standard error what an answer may lack: what is on standard output stays for programs."""
    from leadtrace.query.printable import plain

    click.echo(f"leadtrace: {plain(sentence)}", err=True)


def store_option(command: _F) -> _F:
    """`--store`, as `store`: a file that is written, so no URL."""
    return click.option(
        "--store", type=click.Path(dir_okay=False, path_type=Path), help="The store's file.  [LEADTRACE_STORE]"
    )(command)


def store_file(given: Path | None, *, there: bool = True) -> Path:
    """The store's file, as typed or set. Raises for a URL, and where it must be `there` and is not."""
    from leadtrace.errors import SettingsError, SourceError
    from leadtrace.settings import Settings

    path = Settings.from_env(store=given).store
    if _URL.match(str(path)):
        raise SettingsError(
            f"{str(path).replace(':/', '://', 1)} is a URL, and this works on the store's own file",
            do="run it where the server runs, with --store and the path that `leadtrace serve` names when it starts"
            if there
            else "name a file with --store",
        )
    if there and not path.exists():
        raise SourceError(f"there is no store {path}", do="name one with --store")
    return path
