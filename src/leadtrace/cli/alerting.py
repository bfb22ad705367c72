"""`leadtrace alerts`: the rules, what fired, who has it in hand. Each command is imported when it is called."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["alerts"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "check": ("leadtrace.cli.alerts:check", "Whether a rules file is right, and what is wrong with it."),
    "test": ("leadtrace.cli.alerts:test", "When the rules would have fired over what is recorded."),
    "list": ("leadtrace.cli.alerts_history:list_", "What fires now, and what fired before."),
    "show": ("leadtrace.cli.alerts_history:show", "One alert with its checklist, and what was told of it."),
    "ack": ("leadtrace.cli.alerts_history:ack", "Say that somebody has it in hand."),
    "silence": ("leadtrace.cli.alerts_history:silence", "Tell nothing of a rule or a group for a while."),
    "checks": ("leadtrace.cli.alerts_history:checks", "The checklist of one alert; answer an item of it."),
}
"""Where each command is, and what it is for: told here, so that `--help` imports none of them."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [name for name, (where, _) in COMMANDS.items() if find_spec(where.partition(":")[0])]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(module), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group("alerts", cls=_Commands)
def alerts() -> None:
    """Rules, what fired, who has it in hand. `leadtrace watch` evaluates and tells."""
