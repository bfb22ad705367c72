"""What the rules and the watch are to Prometheus: declared groups, whether they are open, what fires, what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace.alerts import history, outbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from leadtrace.alerts.database import Database
    from leadtrace.alerts.rules import Rules

__all__ = ["declared_lines", "watch_lines"]


def declared_lines(rules: Rules, now_ns: int) -> Iterator[str]:
    """The declared groups, so that one that was never seen is missed; and whether each is open now, which PromQL cannot say."""
    declared, opened, value, spend = [], [], [], []
    for group in rules.groups.values():
        calendar = group.calendar
        opened.append(({"group": group.name}, int(calendar.is_open(now_ns) and calendar.paused(now_ns) is None)))
        declared += [({"group": group.name, "kind": group.kind, "value": one}, 1) for one in group.values]
        if group.value_per_lead is not None:
            value.append(({"group": group.name, "currency": group.currency}, float(group.value_per_lead)))
        if group.spend_per_hour is not None:
            spend.append(({"group": group.name, "currency": group.currency}, float(group.spend_per_hour)))
    ends = [({"credential": one.name}, one.expires_ns / 1e9) for one in rules.credentials.values()]
    yield from _gauge("declared_group", "A declared group by what records call it; always 1.", declared)
    yield from _gauge("group_open", "Whether leads of the group are expected now: its hours, holidays, pauses.", opened)
    yield from _gauge("group_value_per_lead", "What a lead of the group is worth, as declared.", value)
    yield from _gauge("group_spend_per_hour", "What the group spends in an hour, as declared.", spend)
    yield from _gauge("credential_expires_timestamp_seconds", "When a declared credential ends.", ends)


def watch_lines(database: Database, now_ns: int) -> Iterator[str]:
    """How the watch itself fares."""
    lasting = history.kept(database, now_ns, lasting=True)
    firing = [
        ({"rule": one.alert.rule, "group": one.alert.group, "severity": one.alert.severity}, 1) for one in lasting
    ]
    fares = database.run("SELECT name, failures FROM channels ORDER BY name")
    waiting = outbox.waiting(database)
    (events,) = database.one("SELECT count(*) FROM events WHERE sent_ns = 0") or (0,)
    at_ns = history.state(database, "rules").at_ns
    yield from _gauge("alert_firing", "An alert that was told and lasts; 1 while it does.", firing)
    yield from _gauge(
        "watch_evaluated_timestamp_seconds", "When the rules were judged last.", [({}, at_ns / 1e9)] if at_ns else []
    )
    yield from _gauge(
        "watch_channel_failures",
        "Messages in a row that a channel did not take.",
        [({"channel": n}, f) for n, f in fares],
    )
    yield from _gauge(
        "watch_messages_waiting", "Messages that wait to be sent.", [({"channel": n}, c) for n, c in waiting.items()]
    )
    yield from _gauge("watch_events_waiting", "Events of the watch that no store has taken yet.", [({}, events)])


def _gauge(name: str, doc: str, values: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    values = list(values)
    if not values:
        return
    yield f"# HELP leadtrace_{name} {doc}"
    yield f"# TYPE leadtrace_{name} gauge"
    for labels, value in values:
        told = ",".join(f'{key}="{_escaped(one)}"' for key, one in labels.items())
        yield f"leadtrace_{name}{{{told}}} {value!r}" if told else f"leadtrace_{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
