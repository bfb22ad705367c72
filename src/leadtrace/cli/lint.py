"""`leadtrace lint`: what is wrong with recorded data."""

from __future__ import annotations

import click

from leadtrace.cli.options import echo_json, reading_options, window_options

__all__ = ["lint"]


@click.command("lint")
@click.argument("leads", nargs=-1, metavar="[LEAD_ID]...")
@reading_options
@window_options
@click.option("--rule", "rules", multiple=True, metavar="RULE", help="Only what this rule finds; may be given again.")
@click.option(
    "--sample", type=click.IntRange(0), default=1000, show_default=True, help="How many leads are looked at; 0: all."
)
@click.option("--rules", "list_rules", is_flag=True, help="Which rules there are.")
@click.pass_context
def lint(
    ctx: click.Context,
    leads: tuple[str, ...],
    from_: str | None,
    tenant: str | None,
    as_json: bool,
    since: int,
    until: int,
    limit: int | None,
    rules: tuple[str, ...],
    sample: int,
    list_rules: bool,
) -> None:
    """Look for what cannot be true in recorded leads: in those of LEAD_ID, or in a sample of those with a record in the window.

    Exit code 1 where something is found.
    """
    from leadtrace.analysis.lint_rules import RULES

    if list_rules:
        for rule, finds in RULES.items():
            if as_json:
                echo_json({"rule": rule, "finds": finds})
            else:
                click.echo(f"{rule:<24}{finds}")
        return
    from leadtrace.cli.tables import tell
    from leadtrace.reading import open as open_reader

    with open_reader(from_, tenant=tenant) as reader:
        found = reader.report(
            "lint",
            since_ns=since,
            until_ns=until,
            limit=limit or 0,
            lead=tuple(reader.lead_id_as_recorded(one, reader.tenant) for one in leads),
            rule=rules,
            sample=sample,
        )
    tell(found, as_json, nothing="nothing found")
    if found.rows:
        ctx.exit(1)
