"""Where alerts are told, as the rules file declares it: channels, the sides of a fault and their owners.

    [channels.team]                                  [channels.mail]
    kind = "slack"                                   kind = "apprise"
    token = "env:SLACK_BOT_TOKEN"                    url = "file:/run/secrets/mail-url"
    to = "C0123456789"                               severity = "high"
    people = { anna = "U0123ABCD" }

    [sides.client]
    owners = ["@anna"]

A secret may stand as `env:NAME` or `file:PATH`, so that the file can be shown to anybody.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from leadtrace.alerts.rules import HOUR, Place
from leadtrace.catalogue.common import SEVERITIES
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.alerts.model import Alert
    from leadtrace.alerts.rules import Rules
    from leadtrace.alerts.toml_table import Table

__all__ = [
    "OURS",
    "Channel",
    "Notify",
    "Side",
    "channels_of",
    "notify_of",
    "read_channels",
    "read_notify",
    "read_sides",
    "secret",
    "sides_of",
]

OURS: Final = "ours"
"""The side of whoever runs the pipeline."""

_BY: Final = ("rule", "group", "severity", "kind")
_FORMATS: Final = ("text", "html", "markdown")
_SLACK: Final = "https://slack.com/api/"


@dataclass(frozen=True, slots=True)
class Channel:
    """One place where alerts are told, and which of them."""

    name: str
    kind: Literal["slack", "apprise"]
    url: str = field(default="", repr=False)
    """Of `apprise`: the service's URL (`mailto://`, `json://`, `slack://`, `https://hooks.slack.com/…` …)."""
    token: str = field(default="", repr=False)
    """Of `slack`: the bot's token, which has `chat:write`."""
    to: str = ""
    """Of `slack`: the conversation's id."""
    base_url: str = _SLACK
    people: Mapping[str, str] = field(default_factory=dict)
    """Owners as the rules name them → as the channel mentions them (of Slack a user's or a user group's id)."""
    format: Literal["text", "html", "markdown"] = "text"
    severity: str = "low"
    """The least that is told here."""
    rules: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Only these; empty: all."""
    by: tuple[str, ...] = ("rule",)
    """What alerts must have in common to be told in one message; empty: all of a moment are."""
    wait_ns: int = 0
    """How long a first message waits for others to join it."""
    repeat_ns: int = 4 * HOUR
    """How often what lasts and nobody acknowledged is told again; 0: never."""
    place: Place = field(default=Place(), compare=False)

    def wants(self, alert: Alert) -> bool:
        """Whether that alert is told here."""
        return (
            SEVERITIES.index(alert.severity) >= SEVERITIES.index(self.severity)
            and (not self.rules or alert.rule in self.rules)
            and (not self.groups or alert.group in self.groups)
        )

    def key_of(self, alert: Alert) -> str:
        """What alerts that are told together share."""
        return "\0".join(str(getattr(alert, one)) for one in self.by)


@dataclass(frozen=True, slots=True)
class Side:
    """Who may be at fault: us, the client, a platform."""

    name: str
    owners: tuple[str, ...] = ()
    of_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Owners for single groups, before those of the side."""

    def owners_of(self, group: str) -> tuple[str, ...]:
        return self.of_groups.get(group, self.owners)


@dataclass(frozen=True, slots=True)
class Notify:
    """What holds for all channels."""

    templates: str = ""
    """A folder whose templates go before those of the package."""
    give_up_ns: int = 24 * HOUR
    """How long a message is tried before it is set aside."""


def secret(said: str, what: str) -> str:
    """The value behind `env:NAME` and `file:PATH`; anything else is the value. Raises `SettingsError` where it is not there."""
    kind, colon, where = said.partition(":")
    if colon and kind == "env":
        value = os.environ.get(where, "").strip()
        if not value:
            raise SettingsError(f"{what} is in the variable {where}, which is not set")
        return value
    if colon and kind == "file" and not where.startswith("//"):
        try:
            value = Path(os.path.expanduser(where)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as cause:
            why = getattr(cause, "strerror", None) or str(cause)
            raise SettingsError(f"{what} is in the file {where}, which cannot be read", cause=why) from cause
        if not value:
            raise SettingsError(f"{what} is in the file {where}, which is empty")
        return value
    return said


def channels_of(rules: Rules) -> tuple[Channel, ...]:
    found = rules.extra.get("channels", ())
    return found if isinstance(found, tuple) else ()


def sides_of(rules: Rules) -> Mapping[str, Side]:
    found = rules.extra.get("sides")
    return found if isinstance(found, MappingProxyType) else {}


def notify_of(rules: Rules) -> Notify:
    found = rules.extra.get("notify")
    return found if isinstance(found, Notify) else Notify()


def read_channels(table: Table) -> tuple[Channel, ...]:
    """`[channels.NAME]`, each a channel."""
    return tuple(_channel(one) for one in table.each())


def _channel(table: Table) -> Channel:
    kind: Literal["slack", "apprise"] = (
        "slack" if table.choice("kind", ("slack", "apprise"), "apprise") == "slack" else "apprise"
    )
    if not table.has("kind"):
        table.wrong('a channel has kind = "slack" (by token) or "apprise" (by URL)')
    needed = ("token", "to") if kind == "slack" else ("url",)
    for key in needed:
        if not table.text(key) and (not table.has(key) or isinstance(table.get(key), str)):
            table.wrong(f"a channel of kind {kind} has {key} =", key)
    by = table.texts("by", ("rule",))
    for one in by:
        if one not in _BY:
            table.wrong(f"{one!r} is not one of {', '.join(_BY)}", "by")
    people = table.table("people")
    url = table.text("url") if kind == "apprise" else ""
    if url and not url.startswith(("env:", "file:")) and "://" not in url:
        table.wrong("an apprise URL begins with its service: mailto://, json://, slack:// …", "url")
    found = Channel(
        table.name,
        kind,
        url,
        table.text("token") if kind == "slack" else "",
        table.text("to") if kind == "slack" else "",
        table.text("base_url", _SLACK) if kind == "slack" else "",
        MappingProxyType({key.removeprefix("@"): people.text(key) for key in people.content} if people else {}),
        _format(table) if kind == "apprise" else "text",
        table.choice("severity", SEVERITIES, "low"),
        table.texts("rules"),
        table.texts("groups"),
        tuple(one for one in by if one in _BY),
        table.span("wait", 0, zero=True),
        table.span("repeat", 4 * HOUR, zero=True),
        table.place,
    )
    table.done()
    return found


def _format(table: Table) -> Literal["text", "html", "markdown"]:
    said = table.choice("format", _FORMATS, "text")
    return "html" if said == "html" else "markdown" if said == "markdown" else "text"


def read_sides(table: Table) -> Mapping[str, Side]:
    """`[sides.NAME]`: who is told that the fault is on that side."""
    found = {}
    for one in table.each():
        groups = one.table("groups")
        of_groups = {key: groups.texts(key) for key in groups.content} if groups is not None else {}
        found[one.name] = Side(one.name, one.texts("owners"), MappingProxyType(of_groups))
        one.done()
    return MappingProxyType(found)


def read_notify(table: Table) -> Notify:
    found = Notify(table.text("templates"), table.span("give_up", 24 * HOUR))
    if found.templates and not Path(os.path.expanduser(found.templates)).is_dir():
        table.wrong(f"there is no folder {found.templates!r}", "templates")
    table.done()
    return found
