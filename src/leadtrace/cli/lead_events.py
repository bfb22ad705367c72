"""`leadtrace lead-events`: what waits for each advertising platform."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from leadtrace.cli.options import echo_json
from leadtrace.cli.outbox import AS_JSON, FOLDER, open_outbox, when

if TYPE_CHECKING:
    from pathlib import Path

    from leadtrace.journal.waiting import Summary

__all__ = ["lead_events"]


@click.command("lead-events")
@FOLDER
@AS_JSON
@click.pass_context
def lead_events(ctx: click.Context, path: Path | None, as_json: bool) -> None:
    """How many lead events wait for each platform, since when, and why the last one failed.

    Exit code 1 where something is wrong: a platform fails, something is in quarantine, or a kept record cannot be read.
    """
    from leadtrace.journal.waiting import summaries, unreadable
    from leadtrace.query.printable import plain

    outbox = open_outbox(path)
    found, broken, now_ns = summaries(outbox), unreadable(outbox), time.time_ns()
    outbox.close()
    if as_json:
        platforms = [
            {
                "destination": one.destination,
                "waiting": one.waiting,
                "failing": one.failing,
                "quarantined": one.quarantined,
                "oldest_unix_nano": one.oldest_ns or None,
                "last_error": one.error or None,
                "last_error_unix_nano": one.failed_ns or None,
                "paused_until_unix_nano": one.paused_until_ns if one.paused_until_ns > now_ns else None,
            }
            for one in found
        ]
        echo_json({"schema": "leadtrace.lead-events/1", "platforms": platforms, "unreadable": broken}, indent=2)
    else:
        for one in found:
            click.echo(plain(_line(one, now_ns)))
        if broken:
            click.echo(f"{broken} kept records cannot be read; they lie in {outbox.location} as they came")
        if not found and not broken:
            click.echo("no lead event waits")
    ctx.exit(1 if broken or any(one.wrong for one in found) else 0)


def _line(one: Summary, now_ns: int) -> str:
    parts = [f"{one.destination or '(no platform)'}: {one.waiting} wait"]
    if one.oldest_ns:
        parts[0] += f", the oldest since {when(one.oldest_ns)}"
    if one.failing:
        parts.append(f"{one.failing} have failed, last at {when(one.failed_ns)}: {one.error}")
    if one.paused_until_ns > now_ns:
        parts.append(f"left alone for {(one.paused_until_ns - now_ns) / 1e9:.0f} s")
    if one.quarantined:
        parts.append(f"{one.quarantined} in quarantine")
    return "; ".join(parts)
