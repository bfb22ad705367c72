"""Hands one message to one channel: Slack by its own client where a token is given, all else by apprise.

Nothing here decides when or how often; what went wrong is one sentence without secrets in it.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from leadtrace.alerts.channels import secret
from leadtrace.errors import LeadtraceError, SettingsError
from leadtrace.query.printable import plain

if TYPE_CHECKING:
    from leadtrace.alerts.channels import Channel
    from leadtrace.alerts.messages import Rendered
    from leadtrace.alerts.outbox import Message

__all__ = ["NotSentError", "lacking", "send"]

_TIMEOUT_S: Final = 10
_LONGEST_BLOCK: Final = 2_900  # Slack takes 3,000 characters in a section
_SECOND: Final = 1_000_000_000


class NotSentError(LeadtraceError):
    """The channel did not take the message. `after_ns` in `data`: how long it asked to be left alone."""


def lacking(channel: Channel) -> str:
    """What is missing for that channel to work at all, in a sentence; '' where nothing is."""
    try:
        if channel.kind == "slack":
            secret(channel.token, f"the token of the channel {channel.name}")
            _slack_client(channel)
        else:
            _apprise(channel)
    except SettingsError as problem:
        return str(problem)
    return ""


def send(channel: Channel, message: Message, rendered: Rendered) -> str:
    """Send it; the platform's name for the message, '' where it has none. Raises `NotSentError` where it was not taken."""
    try:
        return (
            _by_slack(channel, message, rendered)
            if channel.kind == "slack"
            else _by_apprise(channel, message, rendered)
        )
    except SettingsError as problem:
        raise NotSentError(str(problem)) from problem


def _slack_client(channel: Channel) -> Any:
    try:
        from slack_sdk import WebClient
    except ImportError as cause:
        raise SettingsError("Slack by token needs: pip install 'leadtrace[alerts]'") from cause
    token = secret(channel.token, f"the token of the channel {channel.name}")
    # No handlers that try again: whether a message that nobody answered is sent anew is the outbox's to say.
    return WebClient(token, base_url=channel.base_url, timeout=_TIMEOUT_S, retry_handlers=[])


def _by_slack(channel: Channel, message: Message, rendered: Rendered) -> str:
    client = _slack_client(channel)
    from slack_sdk.errors import SlackApiError, SlackClientError

    said: dict[str, Any] = {
        "channel": channel.to,
        "text": rendered.subject.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": part, "verbatim": True}}
            for part in _parts(rendered.body)
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }
    if message.thread:
        said["thread_ts"] = message.thread
    try:
        answer = client.chat_postMessage(**said)
    except SlackApiError as problem:
        code = str(problem.response.get("error") or problem.response.status_code)
        after = str(problem.response.headers.get("Retry-After", ""))
        raise NotSentError(
            f"Slack answers {_plain(code)}", after_ns=int(after) * _SECOND if after.isdigit() else 0
        ) from problem
    except (SlackClientError, OSError, ValueError) as problem:
        raise NotSentError(f"Slack cannot be reached: {type(problem).__name__}: {_plain(str(problem))}") from problem
    return str(answer.get("ts") or "")


def _parts(body: str) -> list[str]:
    """The text in sections that Slack takes, broken between lines."""
    parts = [""]
    for line in body.splitlines():
        for first in range(0, max(1, len(line)), _LONGEST_BLOCK):
            piece = line[first : first + _LONGEST_BLOCK]
            if parts[-1] and len(parts[-1]) + len(piece) + 1 > _LONGEST_BLOCK:
                parts.append(piece)
            else:
                parts[-1] = f"{parts[-1]}\n{piece}" if parts[-1] else piece
    return [one for one in parts if one.strip()][:50] or ["(nothing)"]


def _apprise(channel: Channel) -> Any:
    try:
        import apprise
    except ImportError as cause:
        raise SettingsError("notifications need: pip install 'leadtrace[alerts]'") from cause
    url = secret(channel.url, f"the URL of the channel {channel.name}")
    found = apprise.Apprise()
    if not found.add(url):
        kind = url.partition("://")[0]
        raise SettingsError(f"apprise knows no such URL for the channel {channel.name}", service=f"{kind}://…")
    return found


_TYPES: Final = {
    "fired": "failure",
    "repeated": "failure",
    "resolved": "success",
    "acknowledged": "info",
    "checked": "info",
}


def _by_apprise(channel: Channel, message: Message, rendered: Rendered) -> str:
    service = _apprise(channel)
    heard = _Heard()
    log = logging.getLogger("apprise")
    log.addHandler(heard)
    try:
        took = service.notify(
            title=rendered.subject,
            body=rendered.body,
            body_format=rendered.format,
            notify_type=_TYPES[message.what],
            interpret_escapes=False,
        )
    except (TypeError, ValueError, OSError) as problem:
        raise NotSentError(f"apprise cannot send it: {type(problem).__name__}: {_plain(str(problem))}") from problem
    finally:
        log.removeHandler(heard)
    if not took:
        raise NotSentError(f"it was not taken: {heard.last or 'no reason was given'}")
    return ""


class _Heard(logging.Handler):
    """The last complaint of apprise, which tells no reason otherwise."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = _plain(record.getMessage())


_URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


def _plain(text: str) -> str:
    """One line, without URLs: they hold secrets."""
    return plain(_URL.sub("(a URL)", text))[:300]
