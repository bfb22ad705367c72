"""Which leads a comparison is about: one by its id, several by a list of ids, or all that filters hold for.

lead_7K9mHpQR3x2B5N8j                       one lead
outcome=rejected,flow=Premium Insurance     leads for which every condition holds
"lead_A\\nlead_B\\n"                          those named, one in each line (the command line reads them from @FILE)
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from leadtrace.analysis.misspelt import Names, never_recorded
from leadtrace.analysis.sampled import Drawn, draw_leads
from leadtrace.errors import NotFoundError, SettingsError
from leadtrace.store.interface import LeadRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.store.relations.interface import Relations

__all__ = ["CONDITIONS", "Group", "group_of"]

CONDITIONS: Final = {
    "outcome": "what became of a run of it (delivered, rejected, failed …; `open` while it has not ended)",
    "flow": "a run of that flow",
    "version": "a run of that version of a flow",
    "source": "where it came from",
    "campaign": "the campaign that brought it",
    "campaign_group": "the group of that campaign",
    "service": "the service that its flow ran in",
    "buyer": "a buyer that accepted it",
    "event": "an event of that name is told of it",
    "error": "an error of that type",
    "fingerprint": "an error of that fingerprint",
    "host": "an event of it was told on that host",
    "release": "an event of it was told by that version of a service",
    "since": "a run ended from that time on (2026-11-22, 2026-11-22T10:30)",
    "until": "a run ended before that time",
}
"""What a filter may ask of leads, and what each means."""

_OF_RUNS: Final = {
    "outcome": "CASE WHEN outcome = '' THEN 'open' ELSE outcome END",
    "flow": "flow_name",
    "version": "flow_version",
    "source": "source",
    "campaign": "campaign",
    "campaign_group": "campaign_group",
    "service": "service",
}
_OF_EVENTS: Final = {
    "buyer": ("buyer", "name = 'delivery.accepted'"),
    "event": ("name", "name <> ''"),
    "error": ("error_type", "name = 'error.occurred'"),
    "fingerprint": ("error_fingerprint", "name = 'error.occurred'"),
    "host": ("host", "host <> ''"),
    "release": ("service_version", "service_version <> ''"),
}
"""The column that has it, and in which events."""
_CALLED: Final = {
    "campaign_group": "campaign group",
    "buyer": "buyer that accepted",
    "error": "error type",
    "release": "version of a service",
}
"""Where the condition's own name does not say what it names."""


@dataclass(slots=True, frozen=True)
class Group:
    """One side of a comparison."""

    text: str
    """As it was asked for, short enough to be printed."""
    drawn: Drawn
    single: bool = False
    """Whether one lead was named."""
    chosen_by: tuple[str, ...] = ()
    """Attributes of leads, as `lead_facts` names them, that the conditions fix."""


_FIXED: Final = {
    "outcome": ("outcome", "state", "flow.journey.accepted", "delivered to"),
    "flow": ("flow",),
    "version": ("flow version",),
    "source": ("flow.journey.source",),
    "campaign": ("flow.journey.campaign",),
    "campaign_group": ("flow.journey.campaign_group",),
    "service": ("service",),
    "buyer": ("delivered to",),
    "error": ("error.type",),
    "fingerprint": ("error.fingerprint",),
    "host": ("host",),
    "release": ("service version",),
}


def group_of(relations: Relations, text: str, size: int) -> Group:
    """The leads that a text names, as many as `size` of them. Raises `SettingsError` for a condition that there is not,
    `NotFoundError` where no lead is found."""
    if "\n" in text:
        named = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
        rows = [row for one in named if (row := _known(relations, one)) is not None]
        if not rows:
            raise NotFoundError(f"none of the {len(named)} leads listed is in {relations.source.url}")
        return Group(f"{len(named)} leads listed, {len(rows)} known", draw_leads(rows, size))
    name, separator, _ = text.partition("=")
    if separator and name.strip() in CONDITIONS:
        conditions = _conditions(text)
        rows = _that(relations, conditions)
        if not rows:
            hints = "".join(f"; {one}" for one in _never_recorded(relations, conditions))
            raise NotFoundError(f"no lead with {text} in {relations.source.url}{hints}")
        fixed = tuple(dict.fromkeys(one for name, _ in conditions for one in _FIXED.get(name, ())))
        return Group(text, draw_leads(rows, size), chosen_by=fixed)
    row = _known(relations, text)
    if row is None:
        nearest = relations.source.nearest(text, relations.part.tenant)
        known = get_close_matches(name.strip(), list(CONDITIONS), n=1) if separator else []
        if known:
            raise _no_condition(name.strip(), known[0])
        raise NotFoundError(f"no lead {text!r} in {relations.source.url}", **({"nearest": nearest} if nearest else {}))
    return Group(text, Drawn((row,), 1), single=True)


def _known(relations: Relations, lead_id: str) -> LeadRow | None:
    tenant = relations.part.tenant
    found = relations.source.lead(lead_id, tenant)
    return LeadRow(lead_id, tenant or "", 0, 0) if found.spans or found.events else None


def _no_condition(name: str, near: str) -> SettingsError:
    return SettingsError(f"no condition {name!r}; did you mean {near}?", conditions=", ".join(CONDITIONS))


def _conditions(text: str) -> list[tuple[str, str]]:
    """Pairs of condition and value; a comma belongs to the value where no condition's name follows it."""
    found: list[tuple[str, str]] = []
    for part in text.split(","):
        name, separator, value = part.partition("=")
        if separator and name.strip() in CONDITIONS:
            found.append((name.strip(), value.strip()))
        elif separator and (near := get_close_matches(name.strip(), list(CONDITIONS), n=1, cutoff=0.75)):
            raise _no_condition(name.strip(), near[0])
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]},{part}")
    return found


def _that(relations: Relations, conditions: list[tuple[str, str]]) -> list[LeadRow]:
    """The leads for which every condition holds. Conditions of runs hold for one and the same run."""
    part = relations.part
    times = {"since": part.since_ns, "until": part.until_ns}
    among = ["lead_id <> ''", "($since = 0 OR end_ns >= $since)", "($until = 0 OR end_ns < $until)"]
    values: dict[str, str | int | float | None] = {}
    several: set[tuple[str, str]] | None = None
    for at, (name, value) in enumerate(conditions):
        if name in times:
            times[name] = _moment(name, value)
        elif name in _OF_RUNS:
            among.append(f"{_OF_RUNS[name]} = $v{at}")
            values[f"v{at}"] = value
        else:
            # The conditions' own names stand in the text, never what was typed.
            column, among_events = _OF_EVENTS[name]
            sql = f"SELECT DISTINCT lead_id, tenant FROM all_events WHERE lead_id <> '' AND {among_events} AND {column} = $value"  # noqa: S608
            found = {(str(a), str(b)) for a, b in relations.query(sql, {"value": value})}
            several = found if several is None else several & found
    sql = f"SELECT DISTINCT lead_id, tenant FROM lead_runs WHERE {' AND '.join(among)}"  # noqa: S608
    of_runs = {(str(a), str(b)) for a, b in relations.query(sql, {**values, **times})}
    asked_of_runs = len(among) > 3 or any(times.values())
    leads = of_runs if several is None else several & of_runs if asked_of_runs else several
    return [LeadRow(lead_id, tenant, 0, 0) for lead_id, tenant in sorted(leads)]


def _never_recorded(relations: Relations, conditions: list[tuple[str, str]]) -> Iterator[str]:
    """What to say of values that are recorded of no lead."""
    for name, value in conditions:
        if name in _OF_RUNS:
            column, relation, among = _OF_RUNS[name], "lead_runs", "lead_id <> ''"
        elif name in _OF_EVENTS:
            column, among = _OF_EVENTS[name]
            relation, among = "all_events", f"lead_id <> '' AND {among}"
        else:
            continue
        sql = f"SELECT DISTINCT {column} FROM {relation} WHERE {among} AND {column} <> ''"  # noqa: S608 - of constants alone
        if told := never_recorded(relations, Names(_CALLED.get(name, name), sql), value):
            yield told


def _moment(name: str, text: str) -> int:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{name} is a date, or date and time", expected="2026-11-22T10:30", got=text) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    since = moment - datetime.datetime.fromtimestamp(0, datetime.UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
