"""Messages as text: templates over what an alert is, with everything that was recorded made harmless for its channel.

    templates/slack.txt     Slack's mrkdwn              templates/subject.txt    the line above text and html
    templates/text.txt      plain text                  templates/html.html      HTML, escaped by the template engine

A folder of the user's (`[notify] templates`) goes before the package's, file by file. Templates run in jinja2's sandbox.
Every value is escaped as it is put in, so that a template cannot forget it: a name from telemetry neither mentions
anybody, nor links anywhere, nor begins a line of its own.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from leadtrace.alerts.checklist import plan_of
from leadtrace.alerts.kinds.view import number
from leadtrace.alerts.spoken import share_text, span_text
from leadtrace.errors import SettingsError
from leadtrace.query.printable import duration, moment, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jinja2.sandbox import SandboxedEnvironment

    from leadtrace.alerts.channels import Channel, Notify, Side
    from leadtrace.alerts.checklist import Checklist
    from leadtrace.alerts.model import Alert
    from leadtrace.alerts.outbox import Message

__all__ = ["Messages", "Rendered"]

_LONGEST: Final = 600
"""Characters of one value: more is no message."""

_SLACK_ID: Final = re.compile(r"[UW][A-Z0-9]{6,}")
_SLACK_GROUP: Final = re.compile(r"S[A-Z0-9]{6,}")
_CALLS: Final = re.compile(r"@(?=[A-Za-z0-9_])")


class _Safe(str):
    """Text of our own, in the channel's form already."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message ready to be sent."""

    subject: str
    body: str
    format: Literal["slack", "text", "html", "markdown"]


def _short(value: object) -> str:
    text = plain(str(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _for_slack(value: object) -> str:
    """Without the three characters that begin Slack's own commands: `<!channel>`, `<@U…>`, `<https://…|text>`."""
    if isinstance(value, _Safe):
        return str(value)
    return _short(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _for_text(value: object) -> str:
    """Plain text that chat services may still act on: no angle brackets, and an `@` that calls nobody."""
    if isinstance(value, _Safe):
        return str(value)
    return _CALLS.sub("@\u200b", _short(value).replace("<", "\u2039").replace(">", "\u203a"))


_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|~])")


def _for_markdown(value: object) -> str:
    return str(value) if isinstance(value, _Safe) else _MARKDOWN.sub(r"\\\1", _for_text(value))


class Messages:
    """Renders messages for channels. Raises `SettingsError` where a user's template is wrong."""

    def __init__(self, notify: Notify, checklist: Checklist, sides: Mapping[str, Side]) -> None:
        self._checklist = checklist
        self._sides = sides
        folder = os.path.expanduser(notify.templates) if notify.templates else ""
        self._plain = {
            "slack": _environment(folder, _for_slack),
            "text": _environment(folder, _for_text),
            "markdown": _environment(folder, _for_markdown),
        }
        self._html = _environment(folder, None)
        self._subject = _environment(folder, _for_text)

    def render(self, message: Message, channel: Channel, now_ns: int) -> Rendered:
        """The message as that channel takes it."""
        told = self._told(message, channel, now_ns)
        subject = " ".join(_render(self._subject, "subject.txt", told).split())
        if channel.kind == "slack":
            return Rendered(subject, _render(self._plain["slack"], "slack.txt", told), "slack")
        if channel.format == "html":
            return Rendered(subject, _render(self._html, "html.html", told), "html")
        return Rendered(subject, _render(self._plain[channel.format], "text.txt", told), channel.format)

    def _told(self, message: Message, channel: Channel, now_ns: int) -> dict[str, Any]:
        first = message.alerts[0]
        checks = list(message.more.get("checks", ()))
        side = str(message.more.get("side", ""))
        known = {one["item"] for one in checks}
        items = self._checklist.of(first)
        return {
            "what": message.what,
            "alerts": [_alert(one, now_ns) for one in message.alerts],
            "owners": self._owners(message, channel, side),
            "checks": checks,
            "side": side,
            "open": [
                {"name": one.name, "question": one.question, "hint": one.hint, "side": one.side}
                for one in items
                if one.name not in known
            ],
            "plan": plan_of(first) if message.what == "fired" else (),
            "by": message.more.get("by", ""),
            "note": message.more.get("note", ""),
        }

    def _owners(self, message: Message, channel: Channel, side: str) -> list[str]:
        """Whom this message is for: of a side that is at fault its owners, of a beginning the alert's own."""
        owners: tuple[str, ...] = ()
        if message.what in ("checked", "resolved") and side and side in self._sides:
            for alert in message.alerts:
                owners += self._sides[side].owners_of(alert.group)
        elif message.what in ("fired", "repeated") or (message.what == "checked" and side):
            owners = tuple(one for alert in message.alerts for one in alert.owners)
        return [_mention(one, channel) for one in dict.fromkeys(owners)]


def _mention(owner: str, channel: Channel) -> str:
    name = owner.removeprefix("@")
    known = channel.people.get(name, name)
    if channel.kind != "slack":
        return _Safe(plain(known))  # declared in the rules file, not recorded
    if _SLACK_ID.fullmatch(known):
        return _Safe(f"<@{known}>")
    return _Safe(f"<!subteam^{known}>") if _SLACK_GROUP.fullmatch(known) else owner


def _alert(alert: Alert, now_ns: int) -> dict[str, str]:
    return {
        "id": alert.id,
        "rule": alert.rule,
        "group": alert.group,
        "kind": alert.kind.replace("_", " "),
        "severity": alert.severity,
        "began": moment(alert.began_ns)[:16] + " UTC",
        "ended": moment(alert.ended_ns)[:16] + " UTC" if alert.ended_ns else "",
        "ended_by": alert.ended_by,
        "lasted": span_text(alert.duration_ns(now_ns)),
        "why": alert.why,
        "observed": _figure(alert.observed, alert.unit),
        "expected": _figure(alert.expected, alert.unit),
        "money": f"{alert.money_at_risk} {alert.currency}" if alert.money_at_risk is not None else "",
        "runbook": alert.runbook,
    }


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "share":
        return share_text(value)
    return duration(value) if unit == "ms" else f"{number(value)} {unit}".strip()


def _environment(folder: str, escape: Callable[[object], str] | None) -> SandboxedEnvironment:
    try:
        from jinja2 import ChoiceLoader, FileSystemLoader, PackageLoader, StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment
    except ImportError as cause:
        raise SettingsError("messages need: pip install 'leadtrace[alerts]'") from cause
    loaders: Sequence[Any] = [PackageLoader("leadtrace.alerts", "templates")]
    if folder:
        loaders = [FileSystemLoader(folder), *loaders]
    return SandboxedEnvironment(
        loader=ChoiceLoader(loaders),
        undefined=StrictUndefined,
        autoescape=escape is None,
        finalize=escape or _for_html,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _for_html(value: object) -> object:
    """On one line and short; the engine escapes it after this."""
    return _short(value) if type(value) is str else value


def _render(environment: SandboxedEnvironment, name: str, told: Mapping[str, Any]) -> str:
    from jinja2 import TemplateError

    try:
        return environment.get_template(name).render(told).strip()
    except TemplateError as cause:
        where = getattr(cause, "filename", None) or name
        line = getattr(cause, "lineno", None)
        raise SettingsError(f"the template {where}{f':{line}' if line else ''} is wrong: {cause}") from cause
    except Exception as cause:
        raise SettingsError(f"the template {name} is wrong: {type(cause).__name__}: {cause}") from cause
