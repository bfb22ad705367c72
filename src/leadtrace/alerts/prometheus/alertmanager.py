"""The channels as a configuration of Alertmanager. Secrets stay where they are: the configuration names files for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from leadtrace.alerts.channels import channels_of
from leadtrace.alerts.prometheus.series import matching, promql_span
from leadtrace.catalogue.common import SEVERITIES

if TYPE_CHECKING:
    from leadtrace.alerts.channels import Channel
    from leadtrace.alerts.rules import Rules

__all__ = ["SECRETS", "export_alertmanager"]

SECRETS: Final = "/etc/alertmanager/secrets"
"""Where the configuration looks for secrets that stand in no file of their own."""

_BY: Final = {"rule": "alertname", "group": "group", "severity": "severity", "kind": "kind"}
_NEVER: Final = "8760h"


def export_alertmanager(rules: Rules) -> tuple[dict[str, Any], list[str]]:
    """The configuration, and what it cannot say, in sentences."""
    unsaid: list[str] = []
    routes, receivers = [], [{"name": "nobody"}]
    channels = channels_of(rules)
    for channel in channels:
        receiver = _receiver(channel, unsaid)
        if receiver is None:
            continue
        receivers.append(receiver)
        routes.append(_route(channel))
    if any(one.kind == "slack" for one in channels):
        unsaid.append(
            "Slack: Alertmanager does not write the end into the thread of the beginning, and mentions no owners"
        )
    unsaid.append("acknowledgements, checks and the checklist: `leadtrace watch` has them; amtool has silences")
    every = promql_span(max(rules.evaluate_every_ns, 1_000_000_000))
    route: dict[str, Any] = {
        "receiver": "nobody",
        "group_by": ["alertname"],
        "group_wait": "0s",
        "group_interval": every,
        "repeat_interval": "4h",
    }
    if routes:
        route["routes"] = routes
    return {"route": route, "receivers": receivers}, unsaid


def _route(channel: Channel) -> dict[str, Any]:
    matchers = []
    if channel.severity != SEVERITIES[0]:
        matchers.append(f"severity=~{matching(SEVERITIES[SEVERITIES.index(channel.severity) :])}")
    if channel.rules:
        matchers.append(f"rule=~{matching(channel.rules)}")
    if channel.groups:
        matchers.append(f"group=~{matching(channel.groups)}")
    found: dict[str, Any] = {"receiver": channel.name}
    if matchers:
        found["matchers"] = matchers
    found |= {
        "group_by": [_BY[one] for one in channel.by],
        "group_wait": promql_span(channel.wait_ns),
        "repeat_interval": promql_span(channel.repeat_ns) if channel.repeat_ns else _NEVER,
        "continue": True,
    }
    return found


def _receiver(channel: Channel, unsaid: list[str]) -> dict[str, Any] | None:
    if channel.kind == "slack":
        said = {
            "api_url": f"{channel.base_url.rstrip('/')}/chat.postMessage",
            "channel": channel.to,
            "send_resolved": True,
            "http_config": {"authorization": {"credentials_file": _file(channel, channel.token, "token", unsaid)}},
            "title": _TITLE,
            "text": _TEXT,
        }
        return {"name": channel.name, "slack_configs": [said]}
    scheme = channel.url.partition("://")[0]
    if scheme in ("json", "jsons"):
        parts = urlsplit(channel.url)
        web = "https" if scheme == "jsons" else "http"
        if parts.username is None and not parts.query:
            unsaid.append(f"channel {channel.name}: the webhook gets Alertmanager's own JSON, which is not apprise's")
            url = f"{web}://{parts.netloc}{parts.path}"
            return {"name": channel.name, "webhook_configs": [{"url": url, "send_resolved": True}]}
    if channel.url.startswith("https://hooks.slack.com/"):
        said = {"api_url": channel.url, "send_resolved": True, "title": _TITLE, "text": _TEXT}
        return {"name": channel.name, "slack_configs": [said]}
    unsaid.append(
        f"channel {channel.name}: Alertmanager does not read apprise's URLs; add a receiver of its own by hand"
    )
    return None


_TITLE: Final = "{{ .Status | toUpper }} {{ .CommonLabels.alertname }}"
_TEXT: Final = "{{ range .Alerts }}{{ .Annotations.summary }} {{ .Annotations.runbook_url }}\n{{ end }}"


def _file(channel: Channel, said: str, what: str, unsaid: list[str]) -> str:
    if said.startswith("file:"):
        return said.removeprefix("file:")
    where = f"{SECRETS}/{channel.name}-{what}"
    unsaid.append(f"channel {channel.name}: put its {what} into {where}")
    return where
