"""`leadtrace`: the commands by name, and how errors become one line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from leadtrace.errors import LeadtraceError, NotFoundError, SettingsError, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["main"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "lead": ("leadtrace.cli.lead:lead", "One lead's timeline."),
    "leads": ("leadtrace.cli.leads:leads", "Find leads."),
    "events": ("leadtrace.cli.events:events", "List or follow events."),
    "report": (
        "leadtrace.cli.report:report",
        "Questions of all leads: how often, what fails, what it costs and earns.",
    ),
    "compare": ("leadtrace.cli.compare:compare", "What differs between two leads, or two groups of them."),
    "lint": ("leadtrace.cli.lint:lint", "What is wrong with recorded data."),
    "alerts": ("leadtrace.cli.alerts:alerts", "Rules of alerts, what fired, who has it in hand."),
    "watch": ("leadtrace.cli.watch:watch", "Judge the rules again and again, and tell who must know."),
    "reindex": ("leadtrace.cli.reindex:reindex", "Columns beside a store, for reports over weeks."),
    "retain": ("leadtrace.cli.retain:retain", "Remove what nobody has touched for so long."),
    "export": ("leadtrace.cli.export:export", "A store's records as Parquet files."),
    "review": ("leadtrace.cli.review:review", "The weekly or monthly review, as a page or as Markdown."),
    "serve": ("leadtrace.cli.serve:serve", "OTLP in, an embedded store, the reading API."),
    "journal": ("leadtrace.cli.journal:journal", "What waits to be sent, for whom, since when; sending it."),
    "lead-events": ("leadtrace.cli.lead_events:lead_events", "What waits for each advertising platform."),
    "quarantine": (
        "leadtrace.cli.quarantine:quarantine",
        "Lead events that are not sent; looked at, repaired, released or discarded.",
    ),
    "demo": ("leadtrace.cli.demo:demo", "The example pipeline and its timelines, in one command."),
    "catalogue": ("leadtrace.cli.catalogue:catalogue", "What may be emitted."),
    "erase": ("leadtrace.cli.erase:erase", "A lead removed from journal, lead events and store, with a receipt."),
    "readmit": ("leadtrace.cli.readmit:readmit", "A lead that was erased, recorded again from now on, with a receipt."),
    "doctor": ("leadtrace.cli.doctor:doctor", "Whether all is well, and what became of every event."),
    "key": ("leadtrace.cli.key:key", "The keys of the hashes that stand for personal data."),
    "check": ("leadtrace.cli.check:check", "Whether code and names keep to the words and the catalogue."),
}
"""Where each command is, and what it is for: told here, so that `--help` imports none of them."""

ANSWERED, NOTHING_FOUND, WRONG_USAGE, UNREADABLE = range(4)
INTERRUPTED = 130  # as a shell has it


class _Commands(click.Group):
    """A group whose commands are imported when they are called, and whose errors are one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as problem:
            problem.show()
            code = WRONG_USAGE
        except click.ClickException as problem:
            click.echo(_usage(problem), err=True)
            code = WRONG_USAGE
        except click.Abort:
            code = INTERRUPTED
        sys.exit(code if isinstance(code, int) else ANSWERED)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(module), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], list(COMMANDS), n=1)
            ctx.fail(f"no command {args[0]!r}" + (f"; did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()
        except LeadtraceError as problem:
            from leadtrace.query.printable import plain

            click.echo(f"leadtrace: {plain(_sentence(problem))}", err=True)
            ctx.exit(_exit_code(problem))
        except BrokenPipeError:
            # Whoever read the output has seen enough. What the interpreter still flushes at exit goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(ANSWERED)
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                raise click.ClickException(f"the answer cannot be written: {problem.strerror}") from problem
            if problem.filename is None:
                raise
            raise click.FileError(str(problem.filename), problem.strerror) from problem
        else:
            return found


_OTHER_NAME: Final = {"--store": "--from", "--from": "--store"}
"""What reads takes any source, what writes takes a file: whoever comes from the one types its option at the other."""


def _usage(problem: click.ClickException) -> str:
    """What is wrong with what was typed, and where the right way stands."""
    from leadtrace.query.printable import plain

    told = problem.format_message().rstrip(".")
    ctx = problem.ctx if isinstance(problem, click.UsageError) else None
    if ctx is not None and isinstance(problem, click.NoSuchOption):
        other = _OTHER_NAME.get(problem.option_name)
        if other and any(other in one.opts for one in ctx.command.params):
            told = f"{problem.message.rstrip('.')}; here it is {other}"
    if ctx is None:
        return plain(f"leadtrace: {told[:1].lower()}{told[1:]}")
    where = " ".join(["leadtrace", *ctx.command_path.removeprefix(ctx.find_root().command_path).split()])
    return plain(f"{where}: {told[:1].lower()}{told[1:]}; see {where} --help")


def _sentence(problem: LeadtraceError) -> str:
    if isinstance(problem, NotFoundError):
        nearest = problem.data.get("nearest")
        return f"{problem.message}" + (f"; did you mean {nearest}?" if nearest else "")
    return str(problem)


def _exit_code(problem: LeadtraceError) -> int:
    if isinstance(problem, SettingsError):
        return WRONG_USAGE
    return UNREADABLE if isinstance(problem, SourceError) else NOTHING_FOUND


def _print_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from leadtrace.version import __version__

        click.echo(f"leadtrace {__version__}")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def main() -> None:
    """The flight recorder of a lead pipeline.

    Reading commands take --from: a path of an embedded store, http://host:port of a running `leadtrace serve`, or
    jaeger://host:16686. Exit codes: 0 answered, 1 found nothing, 2 wrong usage, 3 the source cannot be read.
    """
