"""`leadtrace alerts export prometheus`: rules and routes for Prometheus and Alertmanager, and what they cannot say."""

from __future__ import annotations

from pathlib import Path

import click

from leadtrace.cli.options import echo_json
from leadtrace.cli.watching import RULES, load_rules

__all__ = ["export"]

_SCHEMA = "leadtrace.alerts.export/1"
_MADE = "Made by `leadtrace alerts export prometheus` from {file}: change that and export anew."


@click.group("export")
def export() -> None:
    """The rules in another program's form."""


@export.command("prometheus")
@RULES
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for leadtrace-rules.yml, alertmanager.yml and unsaid.md.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def prometheus(rules_file: Path | None, folder: Path, as_json: bool) -> None:
    """Recording and alerting rules and an Alertmanager configuration that say the same as far as PromQL can.

    What they cannot say is printed, and stands in unsaid.md.
    """
    from leadtrace.alerts.prometheus.alertmanager import export_alertmanager
    from leadtrace.alerts.prometheus.rules_text import export_rules
    from leadtrace.alerts.prometheus.yaml_text import yaml_text
    from leadtrace.query.printable import plain
    from leadtrace.settings import Settings

    rules = load_rules(rules_file, Settings.from_env())
    found = export_rules(rules)
    routes, unsaid = export_alertmanager(rules)
    unsaid = [*found.unsaid, *unsaid]
    made = _MADE.format(file=rules.file)
    listed = "\n".join(f"- {one}" for one in unsaid)
    files = {
        "leadtrace-rules.yml": yaml_text(found.document(), made),
        "alertmanager.yml": yaml_text(routes, made),
        "unsaid.md": f"# What Prometheus and Alertmanager cannot say of {rules.file}\n\n{listed}\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as problem:
        raise click.FileError(str(folder), problem.strerror) from problem
    if as_json:
        written = [str(folder / name) for name in files]
        echo_json({"schema": _SCHEMA, "files": written, "unsaid": list(unsaid)}, indent=2)
        return
    click.echo(f"{', '.join(files)} in {folder}")
    for one in unsaid:
        click.echo(plain(f"not said: {one}"))
