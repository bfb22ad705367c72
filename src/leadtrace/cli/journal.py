"""`leadtrace journal`: what waits, for whom, since when; sending it; what was refused for good."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leadtrace.cli.options import echo_json

if TYPE_CHECKING:
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.forgetting import Forgotten
    from leadtrace.journal.lanes import Lane

__all__ = ["journal", "journal_folder"]

_FOLDER = click.option(
    "--journal", "path", type=click.Path(path_type=Path), help="The journal's folder.  [default: LEADTRACE_JOURNAL]"
)
_LONGEST_ONCE_S = 3600
_TRIES_ONCE = 5
"""In a row, with waits between them: then the receiver is down."""
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


@click.group(invoke_without_command=True)
@_FOLDER
@_JSON
@click.pass_context
def journal(ctx: click.Context, path: Path | None, as_json: bool) -> None:
    """How much waits in the journal, for which receiver, the oldest, and the last error.

    Exit code 1 where something is wrong: records were refused for want of room or set aside, a segment is damaged or was
    written by a later leadtrace, a receiver fails, or segments are kept for one that nobody sends to any more.
    """
    ctx.obj = path
    if ctx.invoked_subcommand is not None:
        return
    from leadtrace.journal.status import status
    from leadtrace.settings import Settings
    from leadtrace.setup.sinks import destination_names

    found = status(journal_folder(path), destination_names(Settings.from_env()))
    if as_json:
        echo_json(found.as_json(), indent=2)
    else:
        for line in found.lines(time.time_ns()):
            click.echo(line)
    ctx.exit(1 if found.wrong else 0)


@journal.command()
@_FOLDER
@click.option("--once", is_flag=True, help="End when nothing is left, or when nothing can be sent.")
@click.option("--to", "url", metavar="URL", help="The receiver.  [default: the OTEL_EXPORTER_OTLP_* variables]")
@click.pass_context
def send(ctx: click.Context, path: Path | None, once: bool, url: str | None) -> None:
    """Send what waits, of living and dead processes, as a process of its own.

    Without --once it goes on until SIGTERM or Ctrl-C. Processes that send for themselves are left alone. Exit code 1 where
    something is left.
    """
    from leadtrace.journal.status import status

    folder = journal_folder(path or ctx.obj)
    lanes = _lanes(folder, url)
    if once:
        left = _send_once(lanes)
    else:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        for lane in lanes:
            lane.start()
        click.echo(f"leadtrace journal send: {folder.path} to {', '.join(one.name for one in lanes)}")
        sys.stdout.flush()
        while not stop.wait(0.5):
            pass
        for lane in lanes:
            lane.stop(time.monotonic() + 1.0, patient=False)
        for lane in lanes:
            if lane.join(2.0):
                lane.close()
        left = False
    found = status(folder)
    sent = sum(lane.acknowledged for lane in lanes)
    aside = sum(lane.aside for lane in lanes)
    click.echo(f"{sent} records sent, {aside} set aside, {found.waiting} wait")
    error = next((lane.last_error for lane in lanes if lane.last_error), found.unreadable_why)
    left = left or bool(found.unreadable)
    if error and left:
        click.echo(f"leadtrace journal send: {error}", err=True)
    ctx.exit(1 if once and (left or aside) else 0)


def _send_once(lanes: list[Lane]) -> bool:
    """Whether something is left, because its receiver does not take it now or another process has it in hand."""
    from leadtrace.journal.delivering import GaveUpError

    left = False
    for lane in lanes:
        until = time.monotonic() + _LONGEST_ONCE_S
        try:
            while lane.sweep(until, tries=_TRIES_ONCE):
                pass
        except GaveUpError:
            left = True
        except OSError as why:
            lane.last_error = f"the journal cannot be read or its cursors written: {why}"
            left = True
        lane.close()
    return left


def _lanes(folder: Folder, url: str | None) -> list[Lane]:
    from leadtrace.settings import Settings
    from leadtrace.setup.sinks import sending_lanes

    return sending_lanes(folder, Settings.from_env(), url)


@journal.command()
@_FOLDER
@_JSON
@click.option("--retry", is_flag=True, help="Send all of it again; what is taken is let go of.")
@click.option("--discard", is_flag=True, help="Let go of all of it.")
@click.pass_context
def aside(ctx: click.Context, path: Path | None, as_json: bool, retry: bool, discard: bool) -> None:
    """What receivers refused for good, with what they said. Exit code 1 where there is any."""
    from leadtrace.journal.aside import rewrite_aside, set_aside

    if retry and discard:
        raise click.UsageError("--retry or --discard, not both")
    folder = journal_folder(path or ctx.obj)
    if discard:
        click.echo(f"{rewrite_aside(folder, lambda _: False)} records discarded")
        return
    if retry:
        taken, left = _retry(folder)
        click.echo(f"{taken} records sent, {left} still refused")
        ctx.exit(1 if left else 0)
    several = list(set_aside(folder))
    if as_json:
        echo_json([_shown(one) for one in several], indent=2)
    else:
        from leadtrace.query.printable import plain

        for one in several:
            shown = _shown(one)
            some = f" (one of {one.of}, {one.rejected} of which were rejected)" if one.of else ""
            click.echo(plain(f"{shown['at']}  {one.lane}  {shown['name']}  {shown['uid']}  {one.why}{some}"))
        if not several:
            click.echo("nothing is set aside")
    ctx.exit(1 if several else 0)


def _shown(one: Any) -> dict[str, Any]:
    import datetime

    from leadtrace.otlp.peek import peek_log, peek_span

    record = (peek_log if one.kind == "logs" else peek_span)(one.record)
    at = datetime.datetime.fromtimestamp(one.at_ns / 1e9, datetime.UTC).isoformat(timespec="seconds")
    return {
        "at": at,
        "lane": one.lane,
        "name": record.name,
        "uid": one.uid,
        "lead_id": record.attributes.get("lead.id", ""),
        "why": one.why,
        "of": one.of,
        "rejected": one.rejected,
    }


def _retry(folder: Folder) -> tuple[int, int]:
    from leadtrace.journal.aside import Aside, rewrite_aside, set_aside
    from leadtrace.otlp import encode
    from leadtrace.otlp.sink import Signal
    from leadtrace.settings import Settings
    from leadtrace.setup.sinks import transports

    ways = transports(Settings.from_env(), None)
    taken: set[tuple[str, bytes]] = set()
    left = 0
    for one in set_aside(folder):
        way = ways.get(one.lane.rpartition(".")[0])
        body = encode.request(one.resource, [(Signal(one.kind, one.scope), [one.record])])
        answer = way.send(one.kind, body) if way is not None and one.kind in way.kinds else None
        if answer is not None and answer.outcome == "taken" and not answer.rejected:
            taken.add((one.lane, one.record))
        else:
            left += 1

    def stays(one: Aside) -> bool:
        return (one.lane, one.record) not in taken

    rewrite_aside(folder, stays)
    return len(taken), left


@journal.command()
@click.argument("destination")
@_FOLDER
@click.option("--yes", is_flag=True, help="Do not ask first.")
@click.pass_context
def forget(ctx: click.Context, destination: str, path: Path | None, yes: bool) -> None:
    """Let go of all that waits for DESTINATION, a further receiver that nobody sends to any more.

    DESTINATION is its name as `leadtrace journal` shows it, without the kind, or its address. What other receivers wait for
    stays. How many records it never got stays in the books. It cannot be undone. Exit code 1 where nothing waits for it, or
    where something is left because a living process writes for it.
    """
    from leadtrace.journal.forgetting import forget as let_go
    from leadtrace.journal.forgetting import would_forget
    from leadtrace.setup.sinks import name_of

    folder = journal_folder(path or ctx.obj)
    name = name_of(destination) if "://" in destination else destination
    _check_destination(name)
    would = would_forget(folder, name)
    if would.some and not yes:
        _ask_to_forget(name, would)
    done = let_go(folder, name) if would.some else would
    for sentence in done.left:
        click.echo(f"! {sentence}")
    if done.some:
        click.echo(f"{name} is forgotten: {_told(done)}")
    elif not done.left:
        click.echo(f"nothing waits for {name}")
    ctx.exit(1 if done.left or not done.some else 0)


def _check_destination(name: str) -> None:
    from leadtrace.settings import Settings
    from leadtrace.setup.sinks import DEFAULT, destination_names

    if name == DEFAULT:
        raise click.UsageError(
            "default is the receiver of the OTEL_EXPORTER_OTLP_* variables, whatever their address: it is not forgotten"
        )
    if name in destination_names(Settings.from_env()):
        raise click.UsageError(f"{name} is named in LEADTRACE_ALSO_TO: take it from there first, or more comes to wait")


def _ask_to_forget(name: str, would: Forgotten) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is here to ask: --yes forgets without asking")
    from leadtrace.query.printable import plain

    told = f"Forget {name}? {_told(would)}. It cannot be undone."
    click.confirm(plain(told), abort=True, err=True)


def _told(one: Forgotten) -> str:
    never = f"{one.records['logs']:,} log records and {one.records['traces']:,} spans that it never got are let go of"
    return f"{never}, and {one.set_aside:,} that it refused" if one.set_aside else never


def journal_folder(path: Path | None) -> Folder:
    """The journal that was named, or that of the settings. Raises `SourceError` where there is none."""
    from leadtrace.errors import SourceError
    from leadtrace.journal.folder import Folder
    from leadtrace.settings import Settings

    where = path or Settings.from_env().journal
    if where is None:
        raise click.UsageError("the journal is off; --journal or LEADTRACE_JOURNAL names its folder")
    found = Folder(Path(where).expanduser())
    if not found.exists():
        raise SourceError(f"there is no journal {found.path}", do="name its folder with --journal")
    return found
