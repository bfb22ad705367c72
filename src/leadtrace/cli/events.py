"""`leadtrace events`: list or follow events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from leadtrace.cli.options import echo_json, reading_options, say, width, window_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from leadtrace.otlp.records import EventRecord
    from leadtrace.reading import Reader

__all__ = ["events", "show"]

_TIMELINE = "; `leadtrace lead` tells its timeline"


@click.command("events")
@reading_options
@window_options
@click.option("--name", "names", multiple=True, help="Only events of this name; may end in `.*`; may be given again.")
@click.option("--kind", "kinds", multiple=True, help="Only events of this kind (success, failure, rejection …).")
@click.option("--lead", "lead_id", default="", metavar="LEAD_ID", help="Only this lead's events.")
@click.option("--trace", "trace_id", default="", metavar="TRACE_ID", help="Only events of this trace.")
@click.option("--follow", is_flag=True, help="Go on with new events as they arrive.")
@click.pass_context
def events(
    ctx: click.Context,
    from_: str | None,
    tenant: str | None,
    as_json: bool,
    since: int,
    until: int,
    limit: int | None,
    names: tuple[str, ...],
    kinds: tuple[str, ...],
    lead_id: str,
    trace_id: str,
    follow: bool,
) -> None:
    """Events in the order in which they arrived."""
    for name in names:
        if "*" in name.removesuffix(".*"):
            raise click.UsageError(f"no pattern {name!r}: only `.*` at the end stands for more", ctx)
    from leadtrace.catalogue.model import Kind
    from leadtrace.reading import open as open_reader

    if unknown := set(kinds) - {str(one.value) for one in Kind}:
        raise click.UsageError(f"no kind {min(unknown)!r}: the kinds are {', '.join(one.value for one in Kind)}", ctx)
    with open_reader(from_, tenant=tenant) as reader:
        which = reader.filter(
            *names,
            lead_id=lead_id,
            trace_id=trace_id,
            kinds=kinds,
            since_ns=since,
            until_ns=until,
            limit=limit or 0,
            note=say,
        )
        found = reader.follow(which) if follow else reader.united.events(which)
        try:
            shown = show(found, as_json, limit or 0)
        except KeyboardInterrupt:
            if not follow:
                raise
            return
        if not shown:
            click.echo(f"leadtrace: {_nothing(reader, names, lead_id, trace_id)}", err=True)
            ctx.exit(1)


def show(found: Iterable[EventRecord], as_json: bool, limit: int = 0) -> int:
    """Print events as they come, `limit` of them at most (0: all); gives how many were printed."""
    from leadtrace.cli.colour import print_lines
    from leadtrace.query.listing import event_json, event_lines

    shown = 0
    for event in found:
        if as_json:
            echo_json(event_json(event))
        else:
            print_lines(event_lines(event, width()))
        shown += 1
        if shown == limit:
            break
    return shown


def _nothing(reader: Reader, names: tuple[str, ...], lead_id: str, trace_id: str) -> str:
    """The sentence for an empty answer: which of what was asked for is not there, and what is most like it."""
    from leadtrace.query.printable import plain

    where = f"in {reader.source.url}"
    for what, asked, nearest in _unknown(reader, names, lead_id, trace_id):
        if nearest == asked:  # it is known by its spans alone
            return plain(f"no event {where} names the {what} {asked!r}" + _TIMELINE * (what == "lead"))
        return plain(f"no {what} {asked!r} {where}" + (f"; did you mean {nearest}?" if nearest else ""))
    return plain(f"no such event {where}")


def _unknown(reader: Reader, names: tuple[str, ...], lead_id: str, trace_id: str) -> Iterator[tuple[str, str, str]]:
    from leadtrace import catalogue

    if lead_id and not any(True for _ in reader.events(lead_id=lead_id, limit=1)):
        yield "lead", lead_id, reader.source.nearest(reader.lead_id_as_recorded(lead_id), reader.tenant)
    if trace_id and not any(True for _ in reader.events(trace_id=trace_id, limit=1)):
        yield "trace", trace_id, reader.nearest_trace(trace_id)
    for name in names:
        if not any(True for _ in reader.events(name, limit=1)):
            known = catalogue.get(name) is not None or name.endswith(".*")
            yield "event", name, "" if known else catalogue.nearest(name)
