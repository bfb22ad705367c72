"""The example pipeline stops and goes on: told by `leadtrace watch` in Slack, and by the real Prometheus and Alertmanager."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from alert_catcher import AlertCatcher
from example_run import start_example
from real_servers import (
    AlertingPrometheus,
    Alertmanager,
    Collector,
    Serve,
    Watch,
    free_ports,
    leadtrace,
    programs,
    wait_until,
)

if TYPE_CHECKING:
    from conftest import Running

WINDOW_S = 8
GRACE_S = 12
"""Beside the window: two evaluations, the way to the store and to Slack, and a machine with other things to do."""

RULES = f"""
every = "1s"
[groups.premium]
kind = "flow"
values = ["Premium Insurance Flow"]
owners = ["anna"]
value_per_lead = 25
[rules.silence]
kind = "absence"
groups = "premium"
window = "{WINDOW_S}s"
keep_firing = "0s"
severity = "critical"
runbook = "https://wiki.example/silence"
"""
SLACK = """
[channels.team]
kind = "slack"
token = "env:SLACK_TOKEN"
to = "C042"
base_url = "http://{address}/api/"
people = {{ anna = "U0ANNA0001" }}
"""
HOOK = """
[channels.hook]
kind = "apprise"
url = "json://{address}/hook"
severity = "high"
"""


@pytest.fixture(scope="module")
def catcher() -> Iterator[AlertCatcher]:
    found = AlertCatcher()
    yield found
    found.close()


def test_the_pipeline_stops_and_slack_is_told_and_told_in_the_thread_when_leads_return(
    folder: Path, running: Running, catcher: AlertCatcher
) -> None:
    serve = Serve(folder)
    running.start(serve)
    rules = folder / "rules.toml"
    rules.write_text(RULES + SLACK.format(address=catcher.address))
    first = start_example(folder, serve.url, leads=20, protocol="http/protobuf", speed=40, token=Serve.TOKEN)
    wait_until("a lead in the store", lambda: events(serve, "flow.started"))
    watch = Watch(folder, serve, rules)
    running.start(watch)
    assert catcher.messages == []
    first.finish()
    last = max(one["time_unix_nano"] for one in events(serve, "flow.started")) / 1e9

    told = wait_until("told in Slack", lambda: catcher.messages and catcher.messages[0], within=WINDOW_S + 30)
    assert WINDOW_S - 1 < told["at"] - last < WINDOW_S + GRACE_S
    assert (told["token"], told["channel"]) == ("xoxb-e2e", "C042")
    assert "thread_ts" not in told
    blocks = told["blocks"] if isinstance(told["blocks"], list) else json.loads(told["blocks"])
    text = "\n".join(one["text"]["text"] for one in blocks)
    assert text.startswith(":red_circle: *Firing* [critical] *silence* of *premium*\nno leads for ")
    assert "<@U0ANNA0001>" in text
    assert "1. Identify the root cause" in text

    # Leads that were there today already would not count again: the second run brings new ones after them.
    second = start_example(folder, serve.url, leads=30, protocol="http/protobuf", speed=40, token=Serve.TOKEN)
    ended = wait_until("told that it is over", lambda: of_thread(catcher, "Resolved"), within=60)
    assert ended["thread_ts"] == "1.000100"
    assert watch.stop() == 0
    second.finish()

    listed = lines(leadtrace("alerts", "list", "--json", "--from", serve.url, "--state", str(watch.state)))[-1]
    assert (listed["state"], listed["ended_by"], listed["severity"]) == ("resolved", "recovered", "critical")
    assert abs(listed["began_at"] / 1e9 - last) < 0.001
    kept = [one for one in events(serve, "alert.*") if one["attributes"]["alert.id"] == listed["id"]]
    assert [one["name"] for one in kept if one["name"] != "alert.checked"] == ["alert.fired", "alert.resolved"]
    silent = next(one for one in events(serve, "flow.started") if one["time_unix_nano"] == listed["began_at"])
    lead = json.loads(leadtrace("lead", silent["lead_id"], "--json", "--from", serve.url))
    assert listed["id"] in [one["id"] for one in lead["alerts"]]


def test_the_exported_rules_say_the_same_through_prometheus_and_alertmanager(
    folder: Path, running: Running, catcher: AlertCatcher
) -> None:
    place = folder / "prometheus"
    place.mkdir()
    rules = place / "rules.toml"
    window = f'window = "{WINDOW_S}s"'
    rules.write_text(RULES.replace(window, 'window = "15s"') + HOOK.format(address=catcher.address))
    leadtrace("alerts", "export", "prometheus", "--rules", str(rules), "--to", str(place / "made"))
    checked("promtool", "check", "rules", str(place / "made" / "leadtrace-rules.yml"))
    checked("amtool", "check-config", str(place / "made" / "alertmanager.yml"))
    nowhere = [f"127.0.0.1:{port}" for port in free_ports(2)]
    collector = Collector(place, jaeger_otlp=nowhere[0], leadtrace_url=f"http://{nowhere[1]}")
    alertmanager = Alertmanager(place, place / "made" / "alertmanager.yml")
    prometheus = AlertingPrometheus(place, collector, place / "made" / "leadtrace-rules.yml", alertmanager)
    for server in (collector, alertmanager, prometheus):
        running.start(server)

    wait_until("a group that was never seen is told", lambda: hooked(catcher, "firing"))
    example = start_example(place, collector.otlp_http, leads=20, protocol="http/protobuf", speed=20)
    wait_until("told that leads come", lambda: hooked(catcher, "resolved"))
    example.finish()
    stopped = time.time()
    told = wait_until("told that they stopped", lambda: hooked(catcher, "firing", after=stopped))
    (alert,) = told["alerts"]
    assert alert["labels"] == {
        "alertname": "silence",
        "group": "premium",
        "kind": "absence",
        "rule": "silence",
        "severity": "critical",
    }
    assert alert["annotations"] == {
        "summary": "premium: no leads for 15s",
        "runbook_url": "https://wiki.example/silence",
        "owners": "premium: anna",
    }
    start_example(place, collector.otlp_http, leads=10, protocol="http/protobuf", speed=20).finish()
    wait_until("told that it is over", lambda: hooked(catcher, "resolved", after=told["at"]))


EVERY_KIND = """
every = "1m"
[groups.brand]
kind = "campaign_group"
values = ["Brand (Search)"]
value_per_lead = 10
[groups.search]
kind = "campaign_group"
[groups.closed]
kind = "campaign_group"
[groups.acme]
kind = "buyer"
[rules.silence]
kind = "absence"
groups = ["brand", "search", "closed"]
window = "1h"
keep_firing = "0s"
[rules.refusals]
kind = "error_spike"
groups = "acme"
window = "30m"
above = 0.5
min_sample = 5
keep_firing = "0s"
[rules.keys]
kind = "expiry"
before = "2h"
periodic_errors = false
[credentials.platform]
expires = 1970-01-01T05:00:00Z
"""


def test_the_exported_rules_fire_when_they_should_and_only_then(folder: Path) -> None:
    """By promtool's own tests: series given minute by minute, from 1970 on."""
    place = folder / "promtool"
    place.mkdir()
    (place / "rules.toml").write_text(EVERY_KIND)
    leadtrace("alerts", "export", "prometheus", "--rules", str(place / "rules.toml"), "--to", str(place))
    brand = 'lead_campaign_group_events_total{campaign_group="Brand (Search)", event_name="lead.received"}'
    good = 'lead_buyer_events_total{delivery_buyer="acme", event_name="delivery.accepted", leadtrace_kind="success"}'
    bad = 'lead_buyer_events_total{delivery_buyer="acme", event_name="delivery.failed", leadtrace_kind="failure"}'

    def silent(*groups: str) -> dict[str, Any]:
        return {
            "alertname": "silence",
            "exp_alerts": [
                {
                    "exp_labels": {"group": one, "kind": "absence", "rule": "silence", "severity": severity("absence")},
                    "exp_annotations": {"summary": f"{one}: no leads for 1h"},
                }
                for one in groups
            ],
        }

    spike = {
        "alertname": "refusals",
        "exp_alerts": [
            {
                "exp_labels": {
                    "group": "acme",
                    "kind": "error_spike",
                    "rule": "refusals",
                    "severity": severity("error_spike"),
                },
                "exp_annotations": {"summary": "acme: 75% failed in 30m"},
            }
        ],
    }
    test = {
        "rule_files": ["leadtrace-rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": brand, "values": "1+1x60 61x240"},
                    {"series": 'leadtrace_group_open{group="closed"}', "values": "0x300"},
                    {"series": good, "values": "0+4x60 240+1x240"},
                    {"series": bad, "values": "0x60 0+3x240"},
                ],
                "alert_rule_test": [
                    {"eval_time": "1m", **silent("search")},
                    {"eval_time": "1h58m", **silent("search")},
                    {"eval_time": "2h5m", **silent("brand", "search")},
                    {"eval_time": "1h", "alertname": "refusals", "exp_alerts": []},
                    {"eval_time": "2h", **spike},
                    {"eval_time": "2h50m", "alertname": "keys", "exp_alerts": []},
                    {
                        "eval_time": "3h",
                        "alertname": "keys",
                        "exp_alerts": [
                            {
                                "exp_labels": {
                                    "group": "platform",
                                    "kind": "expiry",
                                    "rule": "keys",
                                    "severity": severity("expiry"),
                                },
                                "exp_annotations": {"summary": "platform ends in 2h 0m 0s"},
                            }
                        ],
                    },
                ],
            }
        ],
    }
    (place / "test.yml").write_text(yaml.safe_dump(test))
    checked("promtool", "test", "rules", str(place / "test.yml"))


def severity(kind: str) -> str:
    from leadtrace.alerts.rules import KINDS

    return KINDS[kind](name="any").severity


def events(serve: Serve, name: str) -> list[dict[str, Any]]:
    return lines(leadtrace("events", "--name", name, "--json", "--from", serve.url, expect=(0, 1)))


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def of_thread(catcher: AlertCatcher, what: str) -> dict[str, Any] | None:
    return next((one for one in catcher.messages if one["text"].startswith(what)), None)


def hooked(catcher: AlertCatcher, status: str, after: float = 0.0) -> dict[str, Any] | None:
    """The first message of Alertmanager's webhook of that status, about the silence."""
    return next(
        (
            one
            for one in catcher.hooks
            if one["status"] == status and one["commonLabels"].get("alertname") == "silence" and one["at"] > after
        ),
        None,
    )


def checked(program: str, *arguments: str) -> None:
    ran = subprocess.run([programs() / program, *arguments], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
