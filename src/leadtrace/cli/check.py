"""`leadtrace check`: whether code and names keep to the words and the catalogue."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["check"]


@click.command("check")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--name", "names", multiple=True, metavar="NAME", help="Check an event's name by the naming rule.")
def check(paths: tuple[Path, ...], names: tuple[str, ...]) -> None:
    """Look for misuses of the words, and for undeclared and misnamed events, in the Python code of PATHS.

    One line for each finding, `file:line: message`; exit code 1 where there is one. Code is read, not run. A line that ends
    with `# leadtrace: ignore` is left alone.
    """
    from leadtrace.catalogue.naming import problem_with

    if not paths and not names:
        raise click.UsageError("nothing to check: give files or folders, or --name NAME")
    wrong = 0
    for name in names:
        if problem := problem_with(name):
            click.echo(f"{name}: {problem}")
            wrong += 1
    if paths:
        from leadtrace.cli.checking import check_paths

        findings, files = check_paths(paths)
        for one in findings:
            click.echo(str(one))
        wrong += len(findings)
        if not findings:
            click.echo(f"{files} {'file' if files == 1 else 'files'} checked, nothing found", err=True)
    if wrong:
        raise SystemExit(1)
