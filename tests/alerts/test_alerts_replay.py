"""Rules over what a real store holds: what would have been told, when, and what the silence cost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alerts_story import Story, berlin
from click.testing import CliRunner

from leadtrace.alerts.asking import Asking
from leadtrace.alerts.evaluate import evaluate
from leadtrace.alerts.gathering import observe
from leadtrace.alerts.learning import History, learn, refresh
from leadtrace.alerts.model import State
from leadtrace.alerts.replay import Incident, replay
from leadtrace.alerts.rules import DAY, HOUR, MINUTE, Rules
from leadtrace.alerts.rules_file import loads
from leadtrace.cli import main
from leadtrace.store.embedded import EmbeddedStore

RULES = """
timezone = "Europe/Berlin"
currency = "EUR"
owners = "@ops"

[groups.brand]
kind = "campaign_group"
values = "Brand Search"
value_per_lead = 40

[groups.generic]
kind = "campaign_group"

[groups.acme]
kind = "buyer"
values = "Acme"

[groups.phone]
kind = "enhancement"
values = "TeleCheck"

[rules.silence]
kind = "absence"
groups = "brand"
window = "1h"

[rules.few]
kind = "too_few"
groups = "brand"
window = "2h"
probability = 1e-4

[rules.money]
kind = "budget"
groups = "brand"
window = "2h"
above = 400
probability = 1e-4

[rules.refused]
kind = "error_spike"
groups = "acme"
window = "1h"
min_sample = 10

[rules.phone]
kind = "enhancement_degraded"
groups = "phone"
window = "1h"
min_sample = 10

[rules.slow]
kind = "slowdown"
groups = ["brand"]
window = "1h"
min_sample = 10
factor = 2.5

[rules.never]
kind = "absence"
groups = "generic"
"""


def only(*names: str) -> Rules:
    """The same file with these rules alone."""
    rules = loads(RULES)
    return replace(rules, rules={name: rules.rules[name] for name in names})


@pytest.fixture(scope="module")
def asking(story_path: str) -> Iterator[Asking]:
    with contextlib.closing(EmbeddedStore.open(story_path)) as store:
        yield Asking(store)


@pytest.fixture(scope="module")
def incidents(asking: Asking) -> dict[str, list[Incident]]:
    """What the last two weeks would have told, by rule, every ten minutes."""
    found = replay(asking, loads(RULES), berlin("2026-10-12T00:00"), berlin("2026-10-26T00:00"), 10 * MINUTE)
    by_rule: dict[str, list[Incident]] = {}
    for one in found.incidents:
        by_rule.setdefault(one.alert.rule, []).append(one)
    assert found.notes == ()
    return by_rule


def test_a_silence_is_told_one_window_after_its_last_lead_and_ends_with_the_next(
    incidents: dict[str, list[Incident]], story: Story
) -> None:
    (found,) = [one for one in incidents["silence"] if one.delay_ns < 2 * HOUR and one.alert.duration_ns(0) > 3 * HOUR]
    start, end = story.silent[0]
    times = story.times()
    alert = found.alert
    assert alert.began_ns == max(one for one in times if one < start)
    assert alert.ended_ns == min(one for one in times if one >= end)
    assert HOUR <= found.delay_ns < HOUR + 10 * MINUTE
    assert (alert.observed, alert.unit, alert.owners, alert.ended_by) == (0.0, "leads", ("@ops",), "recovered")


def test_the_silence_cost_what_the_missing_leads_are_worth(incidents: dict[str, list[Incident]], story: Story) -> None:
    """Expected by hour of the week times 40 EUR, against the rate that the traffic was made with."""
    (found,) = [one for one in incidents["silence"] if one.alert.duration_ns(0) > 3 * HOUR]
    alert = found.alert
    last_look = alert.ended_ns - alert.ended_ns % (10 * MINUTE)
    quarters = range(alert.began_ns, last_look, 15 * MINUTE)
    truth = sum(story.rate(one) / 4 for one in quarters) * 40
    assert alert.currency == "EUR"
    assert alert.money_at_risk is not None
    assert found.money_when_told is not None
    assert float(alert.money_at_risk) == pytest.approx(truth, rel=0.15)
    assert Decimal(0) < found.money_when_told < alert.money_at_risk / 2


def test_a_thin_stream_is_told_by_too_few_and_by_its_budget(incidents: dict[str, list[Incident]], story: Story) -> None:
    """Absence does not see it, for some leads come."""
    start, end, _ = story.thin[0]
    for rule in ("few", "money"):
        found = [one for one in incidents[rule] if one.alert.fired_ns >= start and one.alert.fired_ns < end]
        assert len(found) == 1, rule
        assert found[0].alert.fired_ns <= start + 2 * HOUR
        assert end - HOUR < found[0].alert.ended_ns < end + 2 * HOUR
    assert [one for one in incidents["silence"] if start < one.alert.fired_ns < end] == []


def test_failures_and_slowness_are_told_of_the_side_where_they_are(
    incidents: dict[str, list[Incident]], story: Story
) -> None:
    failing, slow = story.failing[0], story.slow[0]
    (refused,) = incidents["refused"]
    assert failing[0] <= refused.alert.fired_ns < failing[0] + 40 * MINUTE
    assert failing[1] < refused.alert.ended_ns < failing[1] + HOUR
    assert refused.alert.observed is not None
    assert 0.2 < refused.alert.observed < 0.8
    phone = incidents["phone"]
    assert len(phone) == 2
    assert failing[0] <= phone[0].alert.fired_ns < failing[0] + 40 * MINUTE
    assert phone[0].alert.unit == "share"
    assert slow[0] <= phone[1].alert.fired_ns < slow[0] + 40 * MINUTE
    assert phone[1].alert.unit == "ms"
    (flow,) = incidents["slow"]
    assert slow[0] <= flow.alert.fired_ns < slow[0] + 40 * MINUTE
    assert flow.alert.expected == pytest.approx(390, rel=0.1)  # 150 ms · e^(0.4 · 1.645) + 100 ms


def test_a_group_that_was_never_seen_alarms_and_goes_on(incidents: dict[str, list[Incident]]) -> None:
    (found,) = incidents["never"]
    assert (found.alert.group, found.alert.state) == ("generic", "firing")
    assert found.alert.fired_ns == berlin("2026-10-12T00:00")


def test_nothing_else_is_told(incidents: dict[str, list[Incident]]) -> None:
    """Two weeks of ten-minute looks at five rules: the false alarms that chance owes, and no more."""
    counts = {rule: len(found) for rule, found in incidents.items()}
    assert counts["refused"] == counts["slow"] == counts["never"] == 1
    assert counts["few"] + counts["money"] + counts["silence"] <= 8


def test_looking_live_again_and_again_says_what_the_replay_says(asking: Asking, story: Story) -> None:
    """Each look gathers anew what the store holds up to then, as the watch does."""
    rules = only("silence", "few", "money")
    start = story.silent[0][0]
    state, told = State(), []
    history = refresh(asking, rules, History(), start)
    for now in range(start - 30 * MINUTE, start + 150 * MINUTE, 15 * MINUTE):
        learnt = learn(history, rules, now)
        observations = observe(asking, rules, learnt, state, now)
        state, changes = evaluate(rules, observations, state, now)
        told += [(one.change, one.alert.rule, one.at_ns) for one in changes if one.change in ("fired", "resolved")]
    played = replay(asking, rules, start - 30 * MINUTE, start + 135 * MINUTE, 15 * MINUTE)
    fired = [("fired", one.alert.rule, one.alert.fired_ns) for one in played.incidents]
    assert [one for one in told if one[0] == "fired"] == fired
    assert {one[1] for one in told} == {"silence", "few", "money"}


def test_history_by_days_is_the_history_at_once(asking: Asking, story: Story) -> None:
    """Refreshed from time to time or made in one go, the same is learnt."""
    rules = only("silence", "refused", "slow")
    step = History()
    for day in (20, 21, 26):
        step = refresh(asking, rules, step, story.since_ns + day * DAY)
    now = story.since_ns + 26 * DAY
    whole = refresh(asking, rules, History(), now)
    assert learn(step, rules, now) == learn(whole, rules, now)
    early = refresh(asking, rules, History(), story.since_ns + 21 * DAY)
    assert learn(whole, rules, early.until_ns) == learn(early, rules, early.until_ns)
    assert refresh(asking, rules, step, now) is step


def test_the_command_prints_what_would_have_fired(
    story_path: str, tmp_path: Path, published: Callable[[str, Any], None]
) -> None:
    """As a table, and as one object that programs read; at one moment, every rule's verdict with its reason."""
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES, "utf-8")
    window = ["--rules", str(rules), "--from", story_path, "--every", "10m"]
    window += ["--since", "2026-10-13", "--until", "2026-10-14"]
    done = CliRunner().invoke(main, ["alerts", "test", *window])
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == ("2026-10-13 00:00 to 2026-10-14 00:00 UTC, 145 evaluations 10 min apart: 7 rules, 4 groups")
    assert "told after" in lines[2]
    assert any(line.startswith("silence  brand") and "EUR" in line for line in lines)
    assert lines[-1].startswith("at risk in all ")
    done = CliRunner().invoke(main, ["alerts", "test", *window, "--json"])
    told = json.loads(done.stdout)
    published("alerts-test", told)
    assert (told["schema"], told["evaluations"]) == ("leadtrace.alerts.test/1", 145)
    assert {one["rule"] for one in told["alerts"]} == {"silence", "few", "money", "never"}
    assert told["cost"][0]["currency"] == "EUR"
    done = CliRunner().invoke(main, ["alerts", "test", *window, "--at", "2026-10-13T10:30Z", "--json"])
    published("alerts-test", json.loads(done.stdout))
    verdicts = {(one["rule"], one["group"]): one for one in json.loads(done.stdout)["verdicts"]}
    assert verdicts["silence", "brand"]["holds"] is True
    assert verdicts["refused", "acme"]["holds"] is None
    assert "are needed" in verdicts["refused", "acme"]["why"]
    quiet = CliRunner().invoke(
        main, ["alerts", "test", *window[:4], "--since", "2026-08-01", "--until", "2026-08-01T00:30"]
    )
    assert quiet.exit_code == 0  # a store without any leads: the declared groups alarm
    assert quiet.stdout.count("no leads, and") == 2
