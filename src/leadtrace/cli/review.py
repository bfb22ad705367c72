"""`leadtrace review`: the weekly or the monthly review, as a page, as Markdown, or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from leadtrace.cli.options import echo_json, reading_options, say

if TYPE_CHECKING:
    from typing import Any

    from leadtrace.analysis.model import Report

__all__ = ["review"]

_FILE = click.Path(dir_okay=False, path_type=Path, allow_dash=True)


@click.command("review")
@reading_options
@click.option("--week", "period", flag_value="week", default="week", help="The weekly review.  [default]")
@click.option("--month", "period", flag_value="month", help="The monthly review.")
@click.option(
    "--date", metavar="DAY", default="", help="A day of the period: 2026-11-22.  [default: the last one that is over]"
)
@click.option("--html", type=_FILE, help="Write one self-contained HTML file; `-` for standard output.")
@click.option("--markdown", type=_FILE, help="Write Markdown to that file; `-` for standard output, as without any.")
@click.pass_context
def review(
    ctx: click.Context,
    from_: str | None,
    tenant: str | None,
    as_json: bool,
    period: str,
    date: str,
    html: Path | None,
    markdown: Path | None,
) -> None:
    """The weekly or monthly review: each figure beside the period before, with pictures, and advice where it applies.

    Exit code 1 where nothing ran in that period.
    """
    from leadtrace.reading import open as open_reader

    with open_reader(from_, tenant=tenant) as reader:
        found = reader.report("review", period=period, date=date)
    for reason in found.incomplete:
        say(reason)
    if as_json:
        echo_json(found.as_json())
    elif html is None or markdown is not None:
        _write(markdown or Path("-"), found, tenant, html=False)
    if html is not None:
        _write(html, found, tenant, html=True)
    if not found.rows:
        ctx.exit(1)


def _write(where: Path, found: Report[Any], tenant: str | None, *, html: bool) -> None:
    from leadtrace.analysis.review_markdown import review_markdown
    from leadtrace.analysis.review_page import review_page

    text = review_page(found, tenant) if html else review_markdown(found, tenant)
    try:
        with click.open_file(str(where), "w", encoding="utf-8") as file:
            file.write(text)
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise click.FileError(str(where), problem.strerror) from problem
