"""Reads a rules file: the `[alerts]` of a `leadtrace.toml`, or a file of its own that has the same without that name.

All that is wrong is told at once, each with file, line and key. A key that nothing reads is wrong too: a rule whose
`windwo` is ignored would be silent when it matters.
"""

from __future__ import annotations

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

from leadtrace.alerts.calendar import always
from leadtrace.alerts.channels import read_channels, read_notify, read_sides
from leadtrace.alerts.checklist import read_checklist
from leadtrace.alerts.kind_keys import read_rule
from leadtrace.alerts.opening import read_calendar
from leadtrace.alerts.rules import GROUP_KINDS, MINUTE, Credential, Group, Place, Rules
from leadtrace.alerts.toml_lines import lines, syntax_line
from leadtrace.alerts.toml_table import Problem, Table
from leadtrace.analysis.series import column_of
from leadtrace.errors import SettingsError
from leadtrace.store.relations.facts import FACTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadtrace.alerts.calendar import Calendar

__all__ = ["SECTIONS", "RulesError", "load", "loads"]

SECTIONS: Final[dict[str, Callable[[Table], object]]] = {
    "channels": read_channels,
    "sides": read_sides,
    "notify": read_notify,
    "checklist": read_checklist,
}
"""Other sections of the file by name, and what reads each (and calls `done` on it): what it gives is in `Rules.extra`."""

_FILE_SECTIONS: Final = ("instrument",)
"""What else a `leadtrace.toml` has, for others to read."""


class RulesError(SettingsError):
    """A rules file cannot be used. `problems` has everything that is wrong with it, each with its place."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")
        self.problems = problems


def load(path: str | os.PathLike[str], *, currency: str = "USD") -> Rules:
    """The rules of that file. Raises `RulesError` for all that is wrong, also where there is no such file."""
    where = Path(os.path.expanduser(path))
    try:
        text = where.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or str(problem)
        raise RulesError((Problem(Place(str(path)), f"the rules cannot be read: {why}"),)) from problem
    return loads(text, str(path), currency=currency)


def loads(text: str, file: str = "rules", *, currency: str = "USD") -> Rules:
    """The rules of that text; `file` is what messages call it, `currency` that of amounts that name none."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        line, why = syntax_line(problem, text)
        raise RulesError((Problem(Place(file, line), f"it is not TOML: {why}"),)) from problem
    problems: list[Problem] = []
    whole = Table(content, lines(text), file, problems)
    table: Table | None = whole
    if whole.has("alerts") or any(whole.has(one) for one in _FILE_SECTIONS):
        table = whole.table("alerts")
        for name in _FILE_SECTIONS:
            whole.get(name)
        whole.done()
        if table is None and not problems:
            problems.append(Problem(Place(file), "it has no [alerts]"))
    found = _rules(table, file, currency) if table is not None else Rules()
    if problems:
        raise RulesError(tuple(sorted(problems, key=lambda one: one.place.line)))
    return found


def _rules(table: Table, file: str, currency: str) -> Rules:
    currency = _currency(table, currency)
    calendar = read_calendar(table, always())
    owners = table.texts("owners")
    groups = {one.name: _group(one, calendar, currency, owners) for one in table.tables("groups")}
    credentials = {one.name: _credential(one, calendar, owners) for one in table.tables("credentials")}
    rules = {}
    for one in table.tables("rules"):
        rule = read_rule(one, groups, credentials, owners)
        if rule is not None:
            rules[rule.name] = rule
    extra = {}
    for name, read in SECTIONS.items():
        if (section := table.table(name)) is not None:
            extra[name] = read(section)
    found = Rules(
        groups,
        rules,
        credentials,
        table.span("every", MINUTE),
        table.span("delay", 0, zero=True),
        file,
        extra,
    )
    table.done()
    if not rules and not table.problems:
        table.wrong("it has no rules: each is a table [rules.NAME] with a kind")
    return found


def _group(table: Table, around: Calendar, currency: str, owners: tuple[str, ...]) -> Group:
    events = table.texts("events")
    attribute = table.text("attribute")
    if attribute and not events:
        table.wrong("attribute goes with events: which events' attribute it is", "attribute")
    if attribute and not column_of(attribute):
        known = [name for one in FACTS if one.sort == "text" for name in one.attributes]
        near = get_close_matches(attribute, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        table.wrong(f"groups cannot be named by {attribute!r}{hint}", "attribute")
    kind = table.text("kind")
    if kind not in GROUP_KINDS:
        near = get_close_matches(kind, GROUP_KINDS, n=1)
        got = f"{kind!r}" if table.has("kind") else "nothing"
        hint = f"; did you mean {near[0]}?" if near else ""
        table.wrong(f"a group's kind is one of {', '.join(GROUP_KINDS)}, got {got}{hint}", "kind")
    found = Group(
        table.name,
        next((one for one in GROUP_KINDS if one == kind), "campaign_group"),
        read_calendar(table, around),
        table.texts("values", (table.name,)),
        table.texts("owners", owners),
        events,
        attribute,
        table.money("value_per_lead"),
        table.money("spend_per_hour"),
        _currency(table, currency),
        table.place,
    )
    if not found.values:
        table.wrong("values names at least one value; left out, it is the group's name", "values")
    table.done()
    return found


def _credential(table: Table, around: Calendar, owners: tuple[str, ...]) -> Credential:
    if ":" in table.name:
        table.wrong("a credential's name has no colon")
    expires = table.moment("expires", around.zone)
    if not table.has("expires"):
        table.wrong("a credential has expires = and a date")
    found = Credential(table.name, expires, table.texts("owners", owners), table.place)
    table.done()
    return found


def _currency(table: Table, default: str) -> str:
    text = table.text("currency", default)
    if not (len(text) == 3 and text.isascii() and text.isalpha()):
        table.wrong(f"expected a currency's three letters, such as USD, got {text!r}", "currency")
        return default
    return text.upper()
