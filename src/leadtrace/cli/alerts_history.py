"""`leadtrace alerts list | show | ack | silence | checks`: the history that the watch keeps, and what people do about it."""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING, Any

import click

from leadtrace.cli.options import Moment, echo_json, say, width
from leadtrace.cli.watching import RULES, STATE, database_of, load_rules, source_url
from leadtrace.errors import LeadtraceError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from leadtrace.alerts.checklist import Check, Checklist
    from leadtrace.alerts.database import Database
    from leadtrace.alerts.history import Kept
    from leadtrace.alerts.rules import Rules
    from leadtrace.query.model import Json
    from leadtrace.query.story import Line

__all__ = ["ack", "checks", "list_", "show", "silence"]

LIST_SCHEMA = "leadtrace.alerts/1"
ALERT_SCHEMA = "leadtrace.alert/1"


def _about(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--from`, `--state` and `--json`: whose alerts, and how they are shown."""
    command = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")(command)
    command = STATE(command)
    return click.option(
        "--from", "from_", metavar="URL", help="The source that is watched.  [default: as of `leadtrace watch`]"
    )(command)


def _open(from_: str | None, state_file: Path | None) -> Database:
    from leadtrace.settings import Settings

    settings = Settings.from_env()
    return database_of(source_url(from_, settings), state_file, settings, create=False)


@click.command("list")
@_about
@click.option("--all", "every", is_flag=True, help="What has ended too, without an end in time.")
@click.option("--firing", is_flag=True, help="Only what fires now.")
@click.option(
    "--since", type=Moment(), default="7d", show_default=True, help="What ended since then: a date, or 24h, 7d ago."
)
@click.option("--limit", type=click.IntRange(1), help="At most so many.  [default: all of them]")
@click.pass_context
def list_(
    ctx: click.Context,
    from_: str | None,
    state_file: Path | None,
    as_json: bool,
    every: bool,
    firing: bool,
    since: int,
    limit: int | None,
) -> None:
    """Alerts, the one that was told last first, then silences and channels that fail.

    Exit code 1 where there are none. With --json one line each.
    """
    from leadtrace.alerts import outbox
    from leadtrace.alerts.history import kept, silences
    from leadtrace.cli.colour import print_lines

    now = time.time_ns()
    with _open(from_, state_file) as database:
        found = kept(database, now, since_ns=0 if every else since, lasting=firing, limit=limit or 0)
        quiet = silences(database, now)
        waiting = outbox.waiting(database)
        failing = database.run("SELECT name, failures, why FROM channels WHERE failures > 0 ORDER BY name")
    if as_json:
        for one in found:
            echo_json({"schema": LIST_SCHEMA, **one.as_json()})
    else:
        for one in found:
            print_lines([_line(one, now)])
        for each in quiet:
            until = _when(each.until_ns)
            say(f"{each.target} is silenced until {until}{f' by {each.by}' if each.by else ''}")
    for name, failures, why in failing:
        say(f"the channel {name} failed {failures} times in a row, {waiting.get(name, 0)} messages wait: {why}")
    if not found:
        say(
            "nothing fires"
            if firing
            else "no alerts" + ("" if every else f" since {_when(since)}; --all shows older ones")
        )
        ctx.exit(1)


@click.command("show")
@click.argument("alert_id", metavar="ID")
@_about
@RULES
def show(alert_id: str, from_: str | None, state_file: Path | None, as_json: bool, rules_file: Path | None) -> None:
    """The alert ID (the beginning of its id will do): the interval, the figures, who has it, the checklist, what was told."""
    from leadtrace.alerts.checklist import plan_of, side_at_fault
    from leadtrace.alerts.history import checks_of, find
    from leadtrace.cli.colour import print_lines

    now = time.time_ns()
    checklist = _checklist(rules_file)
    with _open(from_, state_file) as database:
        one = find(database, alert_id, now)
        known = checks_of(database, one.alert.id)
        told = _told(database, one.alert.id)
    side = side_at_fault(checklist.of(one.alert), known, checklist.otherwise)
    if as_json:
        echo_json(
            {
                "schema": ALERT_SCHEMA,
                **one.as_json(),
                "side": side,
                "checks": _checks_json(one, known, checklist),
                "plan": list(plan_of(one.alert)),
                "told": told,
            },
            indent=2,
        )
        return
    print_lines(_alert_lines(one, now))
    if side:
        print_lines([[("side at fault: ", "faint"), (side, "no")]])
    print_lines(_check_lines(one, known, checklist))
    for at, step in enumerate(plan_of(one.alert), 1):
        print_lines([[(f"{at}. {step}", "hint")]])
    for message in told:
        state = f"{message['state']}" + (f": {message['why']}" if message["why"] else "")
        print_lines([[(f"{message['channel']}: {message['what']}, {state}", "faint")]])


@click.command("ack")
@click.argument("alert_id", metavar="ID")
@click.option("--by", default="", metavar="NAME", help="Who has it.  [default: the user's name]")
@click.option("--note", default="", metavar="TEXT", help="What is known, or done.")
@_about
def ack(alert_id: str, by: str, note: str, from_: str | None, state_file: Path | None, as_json: bool) -> None:
    """Say that somebody has the alert ID in hand: it is told where it was told, and not repeated any more."""
    from leadtrace.alerts.history import acknowledge

    with _open(from_, state_file) as database:
        one = acknowledge(database, alert_id, by or _user(), note, time.time_ns())
    if as_json:
        echo_json({"schema": ALERT_SCHEMA, **one.as_json()})
    else:
        click.echo(f"{one.alert.id} {_named(one)} is acknowledged by {one.acked_by}")


@click.command("silence")
@click.argument("target", metavar="GROUP|RULE")
@click.option("--for", "span", required=True, metavar="SPAN", help="How long: 30m, 2h, 1d; 0 ends a silence.")
@click.option("--by", default="", metavar="NAME", help="Who wants it.  [default: the user's name]")
@click.option("--note", default="", metavar="TEXT", help="Why.")
@_about
@RULES
def silence(
    target: str,
    span: str,
    by: str,
    note: str,
    from_: str | None,
    state_file: Path | None,
    as_json: bool,
    rules_file: Path | None,
) -> None:
    """Tell nothing of a rule or a group for a while. It is judged all the same, and told afterwards if it still fires."""
    from leadtrace.alerts.history import silence as keep_silence
    from leadtrace.alerts.spoken import read_span

    for_ns = 0 if span.strip() == "0" else read_span(span)
    if for_ns is None:
        raise click.UsageError(f"{span!r} is no span of time: give 30m, 2h, 1d, or 0", click.get_current_context())
    _known(target, rules_file)
    now = time.time_ns()
    with _open(from_, state_file) as database:
        found = keep_silence(database, target, now, now + for_ns, by or _user(), note)
    if as_json:
        echo_json({"schema": "leadtrace.silence/1", **found.as_json()})
    else:
        click.echo(f"{target} is silenced until {_when(found.until_ns)}" if for_ns else f"{target} is told again")


@click.command("checks")
@click.argument("alert_id", metavar="ID")
@click.option("--item", default="", metavar="NAME", help="Answer this item.")
@click.option("--result", type=click.Choice(["passed", "failed", "unknown"]), help="What was found.")
@click.option("--side", default="", metavar="SIDE", help="Whose fault it is.  [default: the item's, where it failed]")
@click.option("--note", default="", metavar="TEXT", help="What was seen, in a sentence.")
@click.option("--by", default="", metavar="NAME", help="Who looked.  [default: the user's name]")
@_about
@RULES
@click.pass_context
def checks(
    ctx: click.Context,
    alert_id: str,
    item: str,
    result: str | None,
    side: str,
    note: str,
    by: str,
    from_: str | None,
    state_file: Path | None,
    as_json: bool,
    rules_file: Path | None,
) -> None:
    """The checklist of the alert ID: what was looked at, what was found, what is still open. Exit code 1 where an item failed.

    With --item and --result, what a person found is kept, told in the thread, and decides whose side the fault is on.
    """
    from leadtrace.alerts.checklist import Check, side_at_fault
    from leadtrace.alerts.history import check, checks_of, find
    from leadtrace.cli.colour import print_lines

    if bool(item) != bool(result):
        raise click.UsageError("--item and --result go together", ctx)
    now = time.time_ns()
    checklist = _checklist(rules_file)
    with _open(from_, state_file) as database:
        one = find(database, alert_id, now)
        if item and result:
            asked = next((each for each in checklist.of(one.alert) if each.name == item), None)
            if asked is None:
                names = ", ".join(each.name for each in checklist.of(one.alert)) or "none"
                raise click.UsageError(f"no item {item!r} belongs to this alert: {names}", ctx)
            whose = (side or asked.side) if result == "failed" else ""
            answered: Any = result
            check(database, one.alert, [Check(item, answered, note, whose, by or _user(), now)], now)
        known = checks_of(database, one.alert.id)
    at_fault = side_at_fault(checklist.of(one.alert), known, checklist.otherwise)
    if as_json:
        echo_json(
            {
                "schema": "leadtrace.checks/1",
                "id": one.alert.id,
                "side": at_fault,
                "checks": _checks_json(one, known, checklist),
            },
            indent=2,
        )
    else:
        print_lines(_check_lines(one, known, checklist))
        if at_fault:
            print_lines([[("side at fault: ", "faint"), (at_fault, "no")]])
    if any(each.result == "failed" for each in known):
        ctx.exit(1)


def _rules(rules_file: Path | None) -> Rules | None:
    """The rules, where there are any: what is asked for by name must be there, the usual file need not."""
    from leadtrace.settings import Settings

    try:
        return load_rules(rules_file, Settings.from_env())
    except LeadtraceError:
        if rules_file is not None:
            raise
        return None


def _checklist(rules_file: Path | None) -> Checklist:
    from leadtrace.alerts.checklist import Checklist, checklist_of

    rules = _rules(rules_file)
    return checklist_of(rules) if rules is not None else Checklist()


def _known(target: str, rules_file: Path | None) -> None:
    """A name that no rule and no group has is a slip."""
    from difflib import get_close_matches

    from leadtrace.alerts.outbox import CHANNEL_RULE
    from leadtrace.alerts.own_rules import SOURCE_RULE

    rules = _rules(rules_file)
    if rules is None:
        return
    names = [*rules.rules, *rules.groups, *rules.credentials, SOURCE_RULE, CHANNEL_RULE]
    if target not in names and not any(not one.groups for one in rules.rules.values()):
        near = get_close_matches(target, names, n=1)
        raise SettingsError(f"no rule or group {target!r}" + (f"; did you mean {near[0]}?" if near else ""))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _when(at_ns: int) -> str:
    from leadtrace.query.printable import moment

    return moment(at_ns)[:16] + " UTC"


def _named(one: Kept) -> str:
    from leadtrace.query.printable import plain

    return plain(f"{one.alert.rule} of {one.alert.group}" if one.alert.group else one.alert.rule)


def _line(one: Kept, now_ns: int) -> Line:
    from leadtrace.alerts.spoken import span_text
    from leadtrace.query.printable import cut, plain

    alert = one.alert
    state = "resolved" if alert.resolved_ns else "acknowledged" if one.acked_ns else "firing"
    if one.silenced and not alert.resolved_ns:
        state += ", silenced"
    head: Line = [
        (f"{alert.id}  ", "head"),
        (f"{_when(alert.began_ns)}  ", "time"),
        (f"{state:<12}  ", "good" if alert.resolved_ns else "bad"),
        (f"{alert.severity:<8}  ", "faint"),
        (f"{_named(one)}  ", "title"),
        (f"{span_text(alert.duration_ns(now_ns))}  ", "took"),
    ]
    used = sum(len(text) for text, _ in head)
    return [*head, (cut(plain(alert.why), max(20, width() - used)), "")]


def _alert_lines(one: Kept, now_ns: int) -> Iterator[Line]:
    from leadtrace.alerts.spoken import span_text
    from leadtrace.query.printable import plain

    alert = one.alert
    yield [("Alert ", ""), (alert.id, "head"), (f"  {_named(one)}", "title"), (f"  {alert.severity}", "faint")]
    ended = f" to {_when(alert.ended_ns)}" if alert.ended_ns else ", and lasts"
    yield [(f"from {_when(alert.began_ns)}{ended}: {span_text(alert.duration_ns(now_ns))}", "time")]
    if alert.ended_by and alert.ended_by != "recovered":
        yield [(f"ended because it was {alert.ended_by}", "note")]
    yield [(plain(alert.why), "")]
    if alert.money_at_risk is not None:
        yield [(f"at risk: {alert.money_at_risk} {alert.currency}", "money")]
    if alert.owners:
        yield [(f"owners: {', '.join(map(plain, alert.owners))}", "faint")]
    if alert.runbook:
        yield [(f"runbook: {plain(alert.runbook)}", "hint")]
    if one.acked_ns:
        note = f": {plain(one.note)}" if one.note else ""
        yield [(f"acknowledged by {plain(one.acked_by)} {_when(one.acked_ns)}{note}", "good")]


def _check_lines(one: Kept, known: list[Check], checklist: Checklist) -> Iterator[Line]:
    from leadtrace.query.printable import plain

    answers = {each.item: each for each in known}
    for item in checklist.of(one.alert):
        found = answers.get(item.name)
        result = found.result if found is not None else "open"
        style = {"passed": "good", "failed": "bad"}.get(result, "open")
        line: Line = [(f"{result:<8}", style), (f"{item.name}: ", "title"), (plain(item.question), "")]
        if found is not None and found.answer:
            line.append((f" {plain(found.answer)}", "faint"))
        if found is not None and found.side:
            line.append((f" (side: {plain(found.side)})", "no"))
        yield line
        if result in ("open", "unknown") and item.hint:
            yield [(f"        → {plain(item.hint)}", "hint")]


def _checks_json(one: Kept, known: list[Check], checklist: Checklist) -> list[Json]:
    answers = {each.item: each for each in known}
    found: list[Json] = []
    for item in checklist.of(one.alert):
        each = answers.get(item.name)
        found.append(
            {
                "item": item.name,
                "question": item.question,
                "side": (each.side if each is not None else "") or item.side,
                "result": each.result if each is not None else "unknown",
                "answer": each.answer if each is not None else "",
                "by": each.by if each is not None else "",
                "at": each.at_ns if each is not None else None,
                "hint": item.hint,
            }
        )
    return found


def _told(database: Database, alert_id: str) -> list[dict[str, Json]]:
    rows = database.run(
        "SELECT channel, what, state, made_ns, nullif(done_ns, 0), attempts, why FROM outbox WHERE EXISTS "
        "(SELECT 1 FROM json_each(body, '$.alerts') WHERE json_extract(value, '$.id') = ?) ORDER BY number",
        alert_id,
    )
    names = ("channel", "what", "state", "made_at", "done_at", "attempts", "why")
    return [dict(zip(names, row, strict=True)) for row in rows]
