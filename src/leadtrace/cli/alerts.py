"""`leadtrace alerts`: the rules of alerts checked, and tried on what is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from leadtrace.cli.alerts_export import export
from leadtrace.cli.alerts_history import ack, checks, list_, show, silence
from leadtrace.cli.options import Moment, echo_json, reading_options, say
from leadtrace.cli.watching import RULES, load_rules

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["alerts"]

_CHECK_SCHEMA = "leadtrace.alerts.check/1"


@click.group()
def alerts() -> None:
    """Rules that say when leads are missing or work goes wrong: check them, try them; what fired, who has it in hand."""


for _command in (list_, show, ack, silence, checks, export):
    alerts.add_command(_command)


@alerts.command()
@RULES
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.pass_context
def check(ctx: click.Context, rules_file: Path | None, as_json: bool) -> None:
    """Whether a rules file is right; everything that is wrong with it, a line each: file, line, key.

    Exit code 1 where something is wrong, 2 where there is no such file.
    """
    from leadtrace.alerts.rules_file import RulesError
    from leadtrace.cli.alert_lines import rule_lines
    from leadtrace.query.printable import plain
    from leadtrace.settings import Settings

    settings = Settings.from_env()
    where = rules_file or settings.config
    if not where.is_file():
        raise click.UsageError(f"there is no rules file {str(where)!r}")
    try:
        rules = load_rules(rules_file, settings)
    except RulesError as wrong:
        if as_json:
            problems = [
                {"file": one.place.file, "line": one.place.line, "key": one.place.key, "message": one.message}
                for one in wrong.problems
            ]
            echo_json({"schema": _CHECK_SCHEMA, "file": str(where), "rules": [], "groups": [], "problems": problems})
        else:
            for one in wrong.problems:
                click.echo(plain(str(one)))
        ctx.exit(1)
    if as_json:
        echo_json(
            {
                "schema": _CHECK_SCHEMA,
                "file": str(where),
                "rules": [
                    {"name": one.name, "kind": one.kind, "groups": list(one.groups), "severity": one.severity}
                    for one in rules.rules.values()
                ],
                "groups": [
                    {"name": one.name, "kind": one.kind, "owners": list(one.owners)} for one in rules.groups.values()
                ],
                "problems": [],
            }
        )
        return
    for line in rule_lines(rules):
        click.echo(plain(line))


@alerts.command()
@RULES
@reading_options
@click.option("--since", type=Moment(), help="From when on.  [default: 30 days before the end]")
@click.option("--until", type=Moment(), help="Until when.  [default: now]")
@click.option("--every", metavar="SPAN", help="How far from one evaluation to the next.  [default: the file's every]")
@click.option("--at", type=Moment(), help="Instead of a replay: what every rule says at that moment, and why.")
@click.pass_context
def test(
    ctx: click.Context,
    rules_file: Path | None,
    from_: str | None,
    tenant: str | None,
    as_json: bool,
    since: int | None,
    until: int | None,
    every: str | None,
    at: int | None,
) -> None:
    """When each rule would have fired and resolved over what is recorded, how late, and what the silence cost.

    Exit code 1 where none would have fired; with --at, where none says that something is wrong.
    """
    import time

    from leadtrace.alerts.asking import Asking
    from leadtrace.alerts.replay import judged, replay
    from leadtrace.alerts.rules import DAY
    from leadtrace.alerts.spoken import read_span
    from leadtrace.cli.alert_lines import judged_json, judged_lines, replay_json, replay_lines
    from leadtrace.query.printable import plain
    from leadtrace.reading import open as open_reader
    from leadtrace.settings import Settings

    rules = load_rules(rules_file, Settings.from_env())
    until = until if until is not None else time.time_ns()
    since = since if since is not None else until - 30 * DAY
    step = read_span(every) if every else 0
    if step is None or (every and not step):
        raise click.BadParameter(f"{every!r} is no span of time: give 30s, 5m or 1h", param_hint="--every")
    if since >= until:
        raise click.UsageError("--since is not before --until")
    with open_reader(from_, tenant=tenant) as reader:
        asking = Asking(reader.source, tenant)
        if at is not None:
            said, notes = judged(asking, rules, at)
            found = any(one.verdict.holds for one in said)
            lines, content = judged_lines(rules, said, at), judged_json(rules, said, at, notes)
        else:
            played = replay(asking, rules, since, until, step)
            notes, found = played.notes, bool(played.incidents)
            lines, content = replay_lines(rules, played), replay_json(rules, played)
    if as_json:
        echo_json(content)
    else:
        for line in lines:
            click.echo(plain(line))
        for note in notes:
            say(note)
    ctx.exit(0 if found else 1)
