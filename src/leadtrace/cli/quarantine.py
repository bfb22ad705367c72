"""`leadtrace quarantine`: lead events that are not sent; looked at, repaired, released or discarded."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leadtrace.cli.options import echo_json, say
from leadtrace.cli.outbox import AS_JSON, FOLDER, KEY, open_outbox, sealer, when

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.journal.outbox import Outbox
    from leadtrace.journal.quarantine import Quarantined
    from leadtrace.otlp.lead_event import Content, Problem

__all__ = ["quarantine"]

_DESTINATION = click.option("--destination", default="", metavar="NAME", help="Only for that platform.")
_ALL = click.option("--all", "everything", is_flag=True, help="All that are in quarantine, instead of IDs.")
_IDS = click.argument("ids", nargs=-1, metavar="[ID]...")


@click.group()
def quarantine() -> None:
    """Lead events that are not sent: malformed, or refused by their platform for good.

    An ID is the lead event's; where it is for several platforms, each of them is meant unless --destination names one.
    """


@quarantine.command("list")
@FOLDER
@_DESTINATION
@AS_JSON
@click.pass_context
def list_(ctx: click.Context, path: Path | None, destination: str, as_json: bool) -> None:
    """What is in quarantine, the oldest first. Exit code 1 where there is any."""
    from leadtrace.journal.quarantine import in_quarantine

    with closing(open_outbox(path)) as outbox:
        found = in_quarantine(outbox, "", destination)
    if as_json:
        echo_json([{"schema": "leadtrace.quarantined/1", **one.as_json()} for one in found], indent=2)
    else:
        for one in found:
            _print(f"{when(one.received_ns)}  {one.id}  {one.destination}  {one.fields.get('type', '')}  {_what(one)}")
        if not found:
            click.echo("nothing is in quarantine")
    ctx.exit(1 if found else 0)


@quarantine.command()
@FOLDER
@KEY
@_DESTINATION
@AS_JSON
@click.option("--raw", is_flag=True, help="Also the payload as it came, which holds personal data.")
@click.argument("id_", metavar="ID")
def show(path: Path | None, key: Path | None, destination: str, as_json: bool, raw: bool, id_: str) -> None:
    """One lead event: why it is not sent, which field, what it is about; its payload only with --raw."""
    from leadtrace.journal.quarantine import in_quarantine, payload_of

    with closing(open_outbox(path)) as outbox:
        found = in_quarantine(outbox, id_, destination)
    shown: list[dict[str, Any]] = []
    for one in found:
        told = {"schema": "leadtrace.quarantined/1", **one.as_json()}
        if raw:
            content = payload_of(one, sealer(key))
            told["given"] = dict(content.given)
            told |= {"payload": content.payload} if content.raw is None else {"raw": content.raw}
            told["json_schema"] = content.schema
        shown.append(told)
    if as_json:
        echo_json(shown, indent=2)
        return
    for one, told in zip(found, shown, strict=True):
        for name, value in told.items():
            if name in ("schema", "received_unix_nano", "quarantined_unix_nano", "bytes", "json_schema", "given"):
                continue
            if name in ("payload", "raw"):
                _print(f"{name}:\n{json.dumps(value, indent=2, ensure_ascii=False) if name == 'payload' else value}")
            elif value not in ("", None):
                _print(f"{name}: {value}")
        _print(f"received: {when(one.received_ns)}\nin quarantine since: {when(one.since_ns)}")
        if not raw:
            _print(f"payload: {len(one.sealed)} bytes, encrypted; --raw shows it")


@quarantine.command()
@FOLDER
@KEY
@_DESTINATION
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Set a field (user.phone, items[0].price) to JSON, or to text where it is none; may be given again.",
)
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="A whole payload as JSON; - reads it.",
)
@click.argument("id_", metavar="ID")
@click.pass_context
def repair(
    ctx: click.Context,
    path: Path | None,
    key: Path | None,
    destination: str,
    changes: tuple[str, ...],
    file: Path | None,
    id_: str,
) -> None:
    """Mend the payload; it stays in quarantine until it is released.

    It is checked by the JSON Schema that found it malformed. Exit code 1 where something is still wrong with it.
    """
    from leadtrace.journal.quarantine import in_quarantine, payload_of
    from leadtrace.journal.quarantine import repair as put

    if bool(changes) == (file is not None):
        raise click.UsageError("what to change: --set FIELD=VALUE, or --file with a whole payload")
    wrong = False
    with closing(open_outbox(path)) as outbox:
        seal = sealer(key)
        for one in in_quarantine(outbox, id_, destination):
            content = payload_of(one, seal)
            if file is not None:
                payload = _read(file)
            elif content.raw is not None:
                raise click.UsageError(
                    f"the payload of {id_} is not JSON and has no fields to set: give a whole one by --file"
                )
            else:
                payload = content.payload
                for change in changes:
                    payload = _changed(payload, change)
            problem = put(outbox, seal, one, payload, _by_schema, time.time_ns())
            wrong = wrong or problem is not None
            _print(
                f"{one.id} for {one.destination}: "
                + (_still(problem) if problem else "repaired; release lets it be sent")
            )
    ctx.exit(1 if wrong else 0)


@quarantine.command()
@FOLDER
@KEY
@_DESTINATION
@_ALL
@click.option("--unchecked", is_flag=True, help="Without checking again, here and before it is sent.")
@_IDS
@click.pass_context
def release(
    ctx: click.Context,
    path: Path | None,
    key: Path | None,
    destination: str,
    everything: bool,
    unchecked: bool,
    ids: tuple[str, ...],
) -> None:
    """Let lead events be sent, by whoever runs their senders.

    Each is checked again by the JSON Schema that found it malformed, and by the sender's process with the checks that are
    registered there. Exit code 1 where one stays in quarantine.
    """
    from leadtrace.journal.quarantine import release as let_go

    stays = False
    with closing(open_outbox(path)) as outbox:
        seal = sealer(key)
        for one in _chosen(outbox, ids, destination, everything):
            problem = let_go(outbox, seal, one, None if unchecked else _by_schema, time.time_ns())
            stays = stays or problem is not None
            _print(f"{one.id} for {one.destination}: " + (_still(problem) if problem else "released"))
    ctx.exit(1 if stays else 0)


@quarantine.command()
@FOLDER
@_DESTINATION
@_ALL
@_IDS
def discard(path: Path | None, destination: str, everything: bool, ids: tuple[str, ...]) -> None:
    """Let go of lead events: their payloads are overwritten, and they are never sent."""
    from leadtrace.journal.quarantine import discard as throw

    with closing(open_outbox(path)) as outbox:
        for one in _chosen(outbox, ids, destination, everything):
            throw(outbox, one, time.time_ns())
            _print(f"{one.id} for {one.destination}: discarded")
        outbox.overwrite()


def _chosen(outbox: Outbox, ids: Iterable[str], destination: str, everything: bool) -> list[Quarantined]:
    from leadtrace.journal.quarantine import in_quarantine

    asked = list(dict.fromkeys(ids))
    if bool(asked) == everything:
        raise click.UsageError("which ones: give IDs, or --all")
    if everything:
        found = in_quarantine(outbox, "", destination)
        if not found:
            say("nothing is in quarantine")
        return found
    return [one for id_ in asked for one in in_quarantine(outbox, id_, destination)]


def _by_schema(content: Content) -> Problem | None:
    """What the JSON Schema says that found it malformed; None where it is not known."""
    if content.schema is None:
        return None
    from leadtrace.words.json_schema import check_by_schema

    return check_by_schema(content.payload, content.schema)


def _still(problem: Problem) -> str:
    return f"still malformed: {f'{problem.field} {problem.reason}'.strip()}"


def _what(one: Quarantined) -> str:
    if not one.reason:
        return "repaired, not released"
    return f"{one.field} {one.reason}".strip() if one.malformed else f"refused: {one.reason}"


def _read(file: Path) -> Any:
    with click.open_file(str(file), "r", encoding="utf-8") as opened:
        text = opened.read()
    try:
        return json.loads(text)
    except ValueError as why:
        raise click.UsageError(f"the payload in {file} is not JSON: {why}") from None


def _changed(payload: Any, change: str) -> Any:
    """The payload with one field set, objects on the way made where they are missing."""
    where, equals, text = change.partition("=")
    steps: list[str | int] = [
        int(number) if number else name for name, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", where)
    ]
    if not equals or not steps:
        raise click.UsageError(f"--set takes FIELD=VALUE, such as user.phone=+14155550100, not {change!r}")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    whole: Any = payload if isinstance(payload, (dict, list)) else {}
    at = whole
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if isinstance(step, int) != isinstance(at, list) or (isinstance(step, int) and step >= len(at)):
            raise click.UsageError(f"--set {where}: the payload has no such place")
        if last:
            at[step] = value
            break
        if isinstance(step, str) and not isinstance(at.get(step), (dict, list)):
            at[step] = {}
        at = at[step]
    return whole


def _print(text: str) -> None:
    from leadtrace.query.printable import plain

    for line in text.split("\n"):
        click.echo(plain(line))
