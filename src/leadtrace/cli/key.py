"""`leadtrace key`: the ring of keys of the hashes that stand for personal data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leadtrace.cli.options import echo_json, say

if TYPE_CHECKING:
    from leadtrace.otlp.keyfile import Key

__all__ = ["key"]

_file = click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The key file.  [default: LEADTRACE_KEY, then the user's own]",
)
_json = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


@click.group("key")
def key() -> None:
    """The keys of the hashes that stand for personal data. None of these commands shows a key."""


@key.command("show")
@_file
@_json
def show(file: Path | None, as_json: bool) -> None:
    """Which keys the file holds, by id: the current one, with which is hashed, and the earlier ones."""
    from leadtrace.otlp.keyfile import key_ring

    path = _path(file)
    _tell(path, key_ring(path), as_json)


@key.command("rotate")
@_file
@_json
def rotate(file: Path | None, as_json: bool) -> None:
    """Make a new current key; the earlier ones stay, so that what they hashed is found.

    Running processes hash with the key that they began with until they start anew.
    """
    from leadtrace.otlp.keyfile import rotate_key

    path = _path(file)
    ring = rotate_key(path)
    if len(ring) == 1:
        say("there was no key: this is the first one")
    _tell(path, ring, as_json)


def _path(file: Path | None) -> Path:
    from leadtrace.settings import Settings

    return Settings.from_env(key=file).key


def _tell(path: Path, ring: list[Key], as_json: bool) -> None:
    if as_json:
        keys: list[dict[str, Any]] = [
            {"id": one.id, "since": one.since or None, "current": one is ring[0]} for one in ring
        ]
        echo_json({"schema": "leadtrace.key/1", "file": str(path), "keys": keys})
        return
    for one in ring:
        since = f"since {one.since}" if one.since else "since before it was kept"
        click.echo(f"{one.id}  {'current' if one is ring[0] else 'earlier'}  {since}")
