"""Rules and channels for Prometheus and Alertmanager: what is written, and that all which cannot be said is listed.

What Prometheus makes of them is shown by the end-to-end tests, with promtool, amtool and the servers themselves.
"""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from leadtrace.alerts.prometheus.alertmanager import export_alertmanager
from leadtrace.alerts.prometheus.rules_text import export_rules
from leadtrace.alerts.prometheus.series import matching, promql_span
from leadtrace.alerts.prometheus.yaml_text import yaml_text
from leadtrace.alerts.rules import KINDS, Group, Rules
from leadtrace.alerts.rules_file import loads
from leadtrace.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text("utf-8")
EXAMPLE = PAGE.split("```toml\n")[1].partition("```")[0]
CHANNELS = """
[groups.brand]
kind = "campaign_group"
[rules.silence]
kind = "absence"
groups = "*"
[channels.team]
kind = "slack"
token = "file:/run/secrets/slack"
to = "C1"
severity = "high"
by = ["rule", "group"]
repeat = "0s"
[channels.hook]
kind = "apprise"
url = "jsons://hooks.example/path"
rules = ["silence"]
[channels.mail]
kind = "apprise"
url = "env:MAIL"
"""


def test_every_kind_of_rule_has_an_alert_and_what_it_loses_is_told() -> None:
    rules = loads(EXAMPLE)
    found = export_rules(rules)
    alerts = {one["alert"] for group in found.groups for one in group["rules"] if "alert" in one}
    assert set(rules.rules) <= alerts
    assert {one.kind for one in rules.rules.values()} == set(KINDS)
    for name in rules.rules:
        assert [one for one in found.unsaid if one.startswith(f"{name}: ")], name


DELEGATED = {"capacity", "health_state", "custom"}
"""Kinds of whose figures PromQL has none: they fire where the watch, which knows every option, says so."""
NOT_OF_THEM = {"expiry": {"window_ns", "min_sample"}, "health_state": {"min_sample"}}
"""Fields that every rule has and that the file does not take for that kind."""


def otherwise(value: Any) -> Any:
    """Another value of the sort."""
    match value:
        case bool():
            return not value
        case int() | float() | Decimal():
            return value * 2 + 3 if value >= 1 or not value else value / 2
        case None:
            return 0.125
        case tuple():
            return (*value, "changed")
        case str():
            return f"{value}changed"
    return {**value, "changed": "yes"}


def said_of(rules: Rules) -> tuple[Any, ...]:
    found = export_rules(rules)
    return found.groups, found.unsaid


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (kind, one.name)
        for kind, of in KINDS.items()
        for one in dataclasses.fields(of)
        if one.name not in {"name", "kind", "groups", "place", *NOT_OF_THEM.get(kind, ())}
    ],
)
def test_every_option_of_every_kind_is_in_what_is_exported_or_in_what_is_listed_as_unsaid(
    kind: str, option: str
) -> None:
    rules = loads(EXAMPLE)
    rule = next(one for one in rules.rules.values() if one.kind == kind)
    value = otherwise(getattr(rule, option))
    if option == "severity":
        value = "low" if rule.severity != "low" else "high"
    if option == "credentials":
        value = ("none",)
    changed = dataclasses.replace(rules, rules={**rules.rules, rule.name: dataclasses.replace(rule, **{option: value})})
    if kind in DELEGATED and option not in {"severity", "runbook", "owners", "labels"}:
        assert [one for one in said_of(rules)[1] if f"PromQL has no figures of the kind {kind}" in one]
    else:
        assert said_of(changed) != said_of(rules)


@pytest.mark.parametrize("option", [one.name for one in dataclasses.fields(Group) if one.name not in {"name", "place"}])
def test_every_option_of_a_group_is_exported_or_listed(option: str) -> None:
    file = """
[groups.one]
kind = "buyer"
value_per_lead = 5
{more}
[rules.few]
kind = "too_few"
groups = "*"
[rules.money]
kind = "budget"
groups = "*"
above = 100
"""
    more = {
        "kind": "",
        "calendar": "pauses = [{ from = 2026-11-26T08:00:00Z, until = 2026-11-26T09:00:00Z }]",
        "values": 'values = ["another"]',
        "owners": 'owners = ["@anna"]',
        "events": 'events = ["delivery.rejected"]',
        "attribute": 'events = ["lead.accepted"]\nattribute = "lead.source"',
        "value_per_lead": "",
        "spend_per_hour": "spend_per_hour = 3",
        "currency": 'currency = "EUR"',
    }[option]
    changed = file.format(more=more)
    if option == "kind":
        changed = changed.replace('"buyer"', '"flow"')
    if option == "value_per_lead":
        changed = changed.replace("= 5", "= 7")
    assert said_of(loads(changed)) != said_of(loads(file.format(more="")))


def test_what_the_whole_file_says_and_prometheus_cannot_is_listed() -> None:
    rules = loads(EXAMPLE)
    for changed in (
        dataclasses.replace(rules, delay_ns=120 * 10**9),
        dataclasses.replace(rules, evaluate_every_ns=rules.evaluate_every_ns * 2),
    ):
        assert said_of(changed) != said_of(rules)


def test_no_two_rules_of_one_document_are_the_same_to_prometheus() -> None:
    """promtool refuses them: the same name with the same labels."""
    keys = [
        (one.get("alert") or one.get("record"), *sorted(one.get("labels", {}).items()))
        for group in export_rules(loads(EXAMPLE)).groups
        for one in group["rules"]
    ]
    assert len(keys) == len(set(keys))


def test_an_absence_is_a_declared_group_of_which_nothing_was_counted() -> None:
    declared, silence, _ = export_rules(loads(CHANNELS)).groups
    assert declared["rules"] == [
        {
            "record": "leadtrace:declared_group",
            "expr": "vector(1)",
            "labels": {"group": "brand", "kind": "campaign_group"},
        }
    ]
    recorded, alert = silence["rules"]
    assert recorded["labels"] == {"group": "brand"}
    assert (
        'campaign_group=~"brand", event_name=~"lead\\\\.received|flow\\\\.started|lead\\\\.event\\\\.received"'
        in (recorded["expr"])
    )
    assert alert["expr"] == (
        'leadtrace:declared_group{group=~"brand"}\nunless on (group) leadtrace:leads:silence\n'
        "unless on (group) leadtrace_group_open == 0"
    )
    assert alert["keep_firing_for"] == "5m"


def test_channels_become_routes_that_all_get_what_they_want() -> None:
    document, unsaid = export_alertmanager(loads(CHANNELS))
    assert document["route"]["routes"] == [
        {
            "receiver": "team",
            "matchers": ['severity=~"high|critical"'],
            "group_by": ["alertname", "group"],
            "group_wait": "0s",
            "repeat_interval": "8760h",
            "continue": True,
        },
        {
            "receiver": "hook",
            "matchers": ['rule=~"silence"'],
            "group_by": ["alertname"],
            "group_wait": "0s",
            "repeat_interval": "4h",
            "continue": True,
        },
    ]
    receivers = {one["name"]: one for one in document["receivers"]}
    assert set(receivers) == {"nobody", "team", "hook"}
    slack = receivers["team"]["slack_configs"][0]
    assert slack["api_url"] == "https://slack.com/api/chat.postMessage"
    assert slack["http_config"] == {"authorization": {"credentials_file": "/run/secrets/slack"}}
    assert receivers["hook"]["webhook_configs"] == [{"url": "https://hooks.example/path", "send_resolved": True}]
    assert [one for one in unsaid if one.startswith("channel mail: ")]


def test_a_secret_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL", "mailto://user:hidden@example.com")
    rules = tmp_path / "rules.toml"
    rules.write_text(CHANNELS.replace("file:/run/secrets/slack", "xoxb-hidden"))
    ran = CliRunner().invoke(
        main, ["alerts", "export", "prometheus", "--rules", str(rules), "--to", str(tmp_path / "made"), "--json"]
    )
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    for file in told["files"]:
        assert "hidden" not in Path(file).read_text()
    assert "channel team: put its token into /etc/alertmanager/secrets/team-token" in told["unsaid"]


@pytest.mark.parametrize(
    "value",
    [
        {"a": "x: y # z", "b": 'q "r" \\s', "c": ["1", "2"], "d": [], "e": {}, "f": True, "g": None, "h": 1.5},
        {"rules": [{"alert": "x", "expr": "a\n  unless b\n\nor c", "labels": {"s": "é"}}, {"record": "y"}]},
        {"a": [[1, 2], [3]], "b": [{"c": {"d": [1]}}]},
    ],
)
def test_yaml_reads_back_as_what_was_written(value: Any) -> None:
    assert yaml.safe_load(yaml_text(value, "a comment\nof two lines")) == value


def test_spans_and_names_as_prometheus_has_them() -> None:
    seconds = 1_000_000_000
    assert [promql_span(one * seconds) for one in (0, 90, 3600, 5400, 86_400)] == ["0s", "90s", "1h", "90m", "1d"]
    assert promql_span(seconds // 4) == "250ms"
    assert matching(["a.b", "c|d"]) == '"a\\\\.b|c\\\\|d"'


def test_labels_and_texts_of_the_file_mean_nothing_else_to_prometheus() -> None:
    rules = loads(
        CHANNELS.replace(
            'groups = "*"',
            'groups = "*"\nrunbook = "https://wiki.example/{{ x }}"\nlabels = { "team-name" = "a", group = "mine", 1st = "b" }',
        )
    )
    found = export_rules(rules)
    (alert,) = [one for group in found.groups for one in group["rules"] if one.get("alert") == "silence"]
    assert alert["labels"] == {
        "team_name": "a",
        "group": "mine",
        "_1st": "b",
        "severity": "high",
        "rule": "silence",
        "kind": "absence",
    }
    assert alert["annotations"]["runbook_url"] == 'https://wiki.example/{{ "{{" }} x }}'
    assert "silence: its label group has a meaning of its own there" in found.unsaid
