"""What `erase` and `readmit` are asked with: a lead, and where it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["lead_and_places"]

_F = TypeVar("_F", bound="Callable[..., Any]")


def lead_and_places(command: _F) -> _F:
    """LEAD_ID, `--from`, `--journal`, `--yes` and `--json`, in this order."""
    options = (
        click.argument("lead_id"),
        click.option(
            "--from",
            "from_",
            metavar="URL",
            help="The store: a path that nobody writes now, or http://host:port of a running server.  "
            "[default: LEADTRACE_FROM, then the default store]",
        ),
        click.option(
            "--journal",
            type=click.Path(path_type=Path),
            help="The journal's folder, `off` for none.  [default: LEADTRACE_JOURNAL]",
        ),
        click.option("--yes", is_flag=True, help="Do not ask first."),
        click.option("--json", "as_json", is_flag=True, help="JSON instead of text."),
    )
    for option in reversed(options):
        command = option(command)
    return command
