"""`leadtrace report NAME`: the analyses by name, each with its own options; without a name, which there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leadtrace.cli.options import echo_json, reading_options, window_options

if TYPE_CHECKING:
    from leadtrace.analysis.options import Choice

__all__ = ["report"]


class _Reports(click.Group):
    """A group whose commands are made from the registry of reports when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        from leadtrace.analysis.registry import REPORTS

        return list(REPORTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        from leadtrace.analysis.registry import REPORTS

        return _command(cmd_name) if cmd_name in REPORTS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from leadtrace.analysis.registry import REPORTS

        if args and args[0] not in REPORTS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], list(REPORTS), n=1)
            ctx.fail(f"no report {args[0]!r}" + (f"; did you mean {near[0]}?" if near else f": {', '.join(REPORTS)}"))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        from leadtrace.analysis.registry import REPORTS

        with formatter.section("Reports"):
            formatter.write_dl([(name, what) for name, (_, what) in REPORTS.items()])


@click.group("report", cls=_Reports, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Without a name: the list of reports as JSON Lines.")
@click.pass_context
def report(ctx: click.Context, as_json: bool) -> None:
    """Questions of all leads. Without a name: which reports there are."""
    if ctx.invoked_subcommand is not None:
        return
    from leadtrace.analysis.registry import REPORTS

    for name, (_, what) in REPORTS.items():
        if as_json:
            echo_json({"report": name, "answers": what})
        else:
            click.echo(f"{name:<14}{what}")


def _command(name: str) -> click.Command:
    """The command of one report, its options as its analysis declares them."""
    from leadtrace.analysis.options import choices
    from leadtrace.analysis.registry import REPORTS, analysis

    own = choices(analysis(name).options)

    def run(
        from_: str | None, tenant: str | None, as_json: bool, since: int, until: int, limit: int | None, **given: Any
    ) -> None:
        _answer(name, from_, as_json, {"since_ns": since, "until_ns": until, "limit": limit or 0}, tenant, own, given)

    command = click.command(name, help=REPORTS[name][1])(window_options(reading_options(run)))
    command.params = [*(_parameter(one) for one in own), *command.params]
    return command


def _parameter(one: Choice) -> click.Option:
    kind: click.ParamType[Any] | type = click.Choice(one.values) if one.values else one.type
    if one.file:
        kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    default = None if one.file or one.several else one.default
    shown = "" if default in (None, "", False, 0) else f"  [default: {default}]"
    return click.Option(
        [f"--{one.name.replace('_', '-')}", one.name],
        type=kind,
        is_flag=one.type is bool,
        multiple=one.several,
        default=default if default is not None else one.default if one.several else None,
        metavar="FILE" if one.file else None,
        help=one.doc + shown,
    )


def _answer(
    name: str,
    from_: str | None,
    as_json: bool,
    shared: dict[str, Any],
    tenant: str | None,
    own: tuple[Choice, ...],
    given: dict[str, Any],
) -> None:
    from leadtrace.cli.tables import tell
    from leadtrace.reading import open as open_reader

    # What was not typed is left to the settings, then to the analysis.
    source = click.get_current_context().get_parameter_source
    typed = [one for one in own if source(one.name) is not click.core.ParameterSource.DEFAULT]
    options = {one.name: _value(one, given[one.name]) for one in typed if given[one.name] is not None}
    with open_reader(from_, tenant=tenant) as reader:
        found = reader.report(name, **shared, **options)
    tell(found, as_json)
    if not found.rows:
        click.get_current_context().exit(1)


def _value(one: Choice, given: Any) -> Any:
    if not one.file:
        return given
    try:
        return given.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise click.BadParameter(f"{given} is no text: UTF-8 is expected", param_hint=f"--{one.name}") from problem
