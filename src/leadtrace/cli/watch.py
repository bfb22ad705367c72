"""`leadtrace watch`: the evaluating loop over one source, until SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import click

from leadtrace.cli.options import say
from leadtrace.cli.watching import RULES, STATE, database_of, load_rules, sink_of, source_url
from leadtrace.errors import LeadtraceError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leadtrace.alerts.rules import Rules
    from leadtrace.alerts.watch import Round, Watch
    from leadtrace.settings import Settings

__all__ = ["watch"]


class _Every(click.ParamType[int]):
    """A span of time: 30s, 5m."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from leadtrace.alerts.spoken import read_span

        found = value if isinstance(value, int) else read_span(str(value))
        if not found:
            self.fail(f"{value!r} is no span of time: give 30s, 5m, 1h", param, ctx)
        return found


@click.command("watch")
@RULES
@click.option(
    "--from",
    "from_",
    metavar="URL",
    help="What is watched: a store's path, or http://host:port.  [default: LEADTRACE_FROM, then the default store]",
)
@click.option("--tenant", metavar="KEY", help="Only this tenant's records; '' for those that carry none.")
@click.option("--once", is_flag=True, help="Evaluate once, send what is due, and end.")
@click.option("--every", type=_Every(), metavar="SPAN", help="How often: 30s, 5m.  [default: the file's `every`, 1m]")
@STATE
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Serve /metrics and /healthz on 127.0.0.1; 0: any free port."
)
@click.pass_context
def watch(
    ctx: click.Context,
    rules_file: Path | None,
    from_: str | None,
    tenant: str | None,
    once: bool,
    every: int | None,
    state_file: Path | None,
    metrics_port: int | None,
) -> None:
    """Judge the rules again and again over one source, and tell who must know.

    Prints one line when it is ready; SIGTERM or Ctrl-C ends it. A changed rules file is read anew; a wrong one is told,
    and the rules before stay. Exit code 3 with --once where the source cannot be read.
    """
    from leadtrace.alerts.asking import Asking
    from leadtrace.alerts.channels import channels_of
    from leadtrace.alerts.health_changes import HealthChanges
    from leadtrace.alerts.history import kept
    from leadtrace.alerts.observing import Observing
    from leadtrace.alerts.probes import Probes
    from leadtrace.alerts.sending import lacking
    from leadtrace.alerts.spoken import span_text
    from leadtrace.alerts.watch import Watch, run
    from leadtrace.cli.alert_metrics import serving
    from leadtrace.settings import Settings

    settings = Settings.from_env()
    url = source_url(from_, settings)
    rules = load_rules(rules_file, settings)
    for channel in channels_of(rules):
        if problem := lacking(channel):
            raise SettingsError(problem)
    stop = threading.Event()
    with (
        _stopped_by_signals(stop),
        _Source(url, settings) as source,
        database_of(url, state_file, settings, create=True) as database,
    ):
        asking = Asking(source, tenant)
        observing = Observing(asking, lambda: [one.alert for one in kept(database, 0)])
        found = Watch(
            rules,
            url,
            database,
            observing,
            sink_of(url, settings),
            Probes(source, tenant, _backlog),
            every or rules.evaluate_every_ns,
            health=HealthChanges(source, tenant, settings.health),
        )
        with serving(metrics_port, database.path, found) as address:
            several = ", ".join(one.name for one in channels_of(rules)) or "none"
            shown = f" metrics {address}" if address else ""
            click.echo(
                f"leadtrace watch: {len(rules.rules)} rules, {len(rules.groups)} groups from {rules.file} over {url} "
                f"every {span_text(found.every_ns)}; alerts {database.path}; channels: {several}{shown}"
            )
            telling = _Telling()
            try:
                last = run(found, stop, once=once, before=_Rereading(found, rules_file, settings), told=telling)
            finally:
                found.end()
    if once and last.unreadable:
        ctx.exit(3)


class _Source:
    """The source, opened when it is first asked, so that a watch may begin before its store does."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self._settings = settings
        self._opened: Any = None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def __getattr__(self, name: str) -> Any:
        if self._opened is None:
            from leadtrace.reading.sources import source_of

            self._opened = source_of(self.url, self._settings.token)
        return getattr(self._opened, name)


class _Rereading:
    """Reads the rules anew once their file has changed."""

    def __init__(self, found: Watch, rules_file: Path | None, settings: Settings) -> None:
        self._watch = found
        self._file = rules_file or settings.config
        self._settings = settings
        self._seen = self._stamp()

    def _stamp(self) -> tuple[int, int]:
        try:
            found = os.stat(self._file)
        except OSError:
            return (0, 0)
        return found.st_mtime_ns, found.st_size

    def __call__(self) -> None:
        if (stamp := self._stamp()) == self._seen:
            return
        self._seen = stamp
        from leadtrace.alerts.channels import channels_of
        from leadtrace.alerts.sending import lacking

        try:
            rules: Rules = load_rules(self._file, self._settings)
        except LeadtraceError as problem:
            say(f"the rules stay as they were: {problem}")
            return
        self._watch.use(rules)
        for channel in channels_of(rules):
            if missing := lacking(channel):
                say(missing)
        click.echo(f"leadtrace watch: {self._file} was read anew: {len(rules.rules)} rules, {len(rules.groups)} groups")


class _Telling:
    """Prints what changes: a line for each beginning and end, one when the source fails and one when it is back."""

    def __init__(self) -> None:
        self._unreadable = ""
        self._standing_by = False

    def __call__(self, found: Round) -> None:
        from leadtrace.query.printable import plain

        if not found.evaluated and not self._standing_by:
            click.echo("leadtrace watch: another watcher evaluates; this one stands by")
        self._standing_by = not found.evaluated
        if found.unreadable != self._unreadable:
            say(found.unreadable or "the source can be read again")
            self._unreadable = found.unreadable
        for one in found.changed:
            whose = f" of {one.group}" if one.group else ""
            told = "resolved" if one.resolved_ns else "fired"
            click.echo(plain(f"{told} {one.id} {one.rule}{whose} [{one.severity}]: {one.why}"))


@contextlib.contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _backlog(path: str) -> int:
    """How many records wait in a journal."""
    from pathlib import Path

    from leadtrace.errors import SourceError
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.status import status

    folder = Folder(Path(path).expanduser())
    if not folder.exists():
        raise SourceError(f"there is no journal {folder.path}")
    return status(folder).waiting
