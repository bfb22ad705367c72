"""A rules file: what it says, and where it is wrong."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.alerts.rules import DAY, HOUR, KINDS, MINUTE, Absence, Budget, Custom, Place, TooFew
from leadtrace.alerts.rules_file import RulesError, load, loads
from leadtrace.alerts.toml_lines import lines

GROUPS = """
[groups.brand]
kind = "campaign_group"
values = ["Brand Search", "Brand"]
owners = "@anna"
value_per_lead = "39.90"

[groups.truecaller]
kind = "enhancement"
"""


def problems(text: str) -> list[str]:
    """What is wrong with that text, each as people read it."""
    with pytest.raises(RulesError) as caught:
        loads(text, "r.toml")
    return [str(one) for one in caught.value.problems]


def test_a_file_of_its_own_and_the_alerts_of_a_leadtrace_toml_say_the_same() -> None:
    """The same tables, with and without `alerts` in front; words on code stand beside them unread."""
    own = loads('timezone = "Europe/Berlin"\n[groups.g]\nkind = "flow"\n[rules.r]\nkind = "absence"\ngroups = "g"\n')
    inside = loads(
        '[[instrument]]\ntarget = "a:b"\nword = "step"\n[alerts]\ntimezone = "Europe/Berlin"\n'
        '[alerts.groups.g]\nkind = "flow"\n[alerts.rules.r]\nkind = "absence"\ngroups = "g"\n'
    )
    assert own == inside


def test_what_is_stated_is_read_and_what_is_not_has_its_default() -> None:
    """Every key of every rule in one file."""
    text = (
        'timezone = "Europe/Berlin"\ncurrency = "eur"\nevery = "30s"\ndelay = "2m"\nowners = ["@ops"]\n'
        + GROUPS
        + """
[groups.auto]
kind = "flow"
owners = []
events = "lead.received"
attribute = "lead.campaign"

[credentials.google]
expires = 2027-01-31

[rules.silence]
kind = "absence"
groups = ["brand"]
window = "90m"
for = "5m"
keep_firing = "10m"
severity = "critical"
runbook = "https://wiki/silence"
labels = { team = "marketing" }

[rules.few]
kind = "too_few"
groups = "*"
probability = 0.01
min_weeks = 3
history = "12w"

[rules.money]
kind = "budget"
groups = "brand"
above = 500

[rules.margin]
kind = "custom"
report = "frequency"
column = "share"
where = { name = "lead.declined" }
at_least = 0
"""
    )
    rules = loads(text)
    assert (rules.evaluate_every_ns, rules.delay_ns) == (MINUTE // 2, 2 * MINUTE)
    brand = rules.groups["brand"]
    assert (brand.values, brand.owners, brand.value_per_lead, brand.currency) == (
        ("Brand Search", "Brand"),
        ("@anna",),
        Decimal("39.90"),
        "EUR",
    )
    assert (rules.groups["truecaller"].values, rules.groups["truecaller"].owners) == (("truecaller",), ("@ops",))
    assert (rules.groups["auto"].owners, rules.groups["auto"].attribute) == ((), "lead.campaign")
    assert rules.rules["silence"] == Absence(
        name="silence",
        kind="absence",
        groups=("brand",),
        window_ns=90 * MINUTE,
        for_ns=5 * MINUTE,
        keep_firing_ns=10 * MINUTE,
        severity="critical",
        runbook="https://wiki/silence",
        labels={"team": "marketing"},
    )
    few = rules.rules["few"]
    assert isinstance(few, TooFew)
    assert (few.groups, few.probability, few.min_weeks, few.history_ns) == (
        ("brand", "truecaller", "auto"),
        0.01,
        3,
        84 * DAY,
    )
    assert (few.window_ns, few.for_ns, few.keep_firing_ns, few.severity) == (HOUR, 0, 15 * MINUTE, "medium")
    money, margin = rules.rules["money"], rules.rules["margin"]
    assert isinstance(money, Budget)
    assert (money.above, money.severity) == (Decimal(500), "high")
    assert isinstance(margin, Custom)
    assert (margin.where, margin.least, margin.most) == ({"name": "lead.declined"}, 0.0, None)
    expires = datetime.datetime(2027, 1, 30, 23, tzinfo=datetime.UTC)
    assert rules.credentials["google"].expires_ns == int(expires.timestamp()) * 10**9
    assert rules.rules["few"].place == Place("rules", text[: text.index("[rules.few]")].count("\n") + 1, "rules.few")


def test_everything_that_is_wrong_is_told_at_once_with_file_line_and_key() -> None:
    """A key that nothing reads, a value out of range, a name that is not declared: each with the nearest that is."""
    text = (
        'timezone = "Europe/Berln"\n'
        "[groups.brand]\n"
        'kind = "campaign_grup"\n'
        'value_per_lead = "many"\n'
        "[groups.brand.hours]\n"
        'moonday = "9:00-17:00"\n'
        'friday = "9-17"\n'
        "\n"
        "[rules.silence]\n"
        'kind = "absence"\n'
        'groups = ["brnd"]\n'
        "# a comment\n"
        'windwo = "1h"\n'
        'for = "5 minutes"\n'
        'severity = "hgh"\n'
        "[rules.few]\n"
        'kind = "to_few"\n'
        "[rules.money]\n"
        'kind = "budget"\n'
        "probability = [\n  1,\n]\n"
        'groups = "brand"\n'
        "[rules.odd]\n"
        'kind = "custom"\n'
        "[rules.share]\n"
        'kind = "custom"\n'
        'report = "frequency"\n'
        "at_most = 1\n"
        'column = "shar"\n'
        'where = { nme = "x" }\n'
        "[rules.mine]\n"
        'kind = "custom"\n'
        "at_least = 3\n"
        "at_most = 1\n"
        'function = "statistics:meen"\n'
        "[rule.x]\n"
    )
    assert problems(text) == [
        "r.toml:1: timezone: 'Europe/Berln' is no time zone; did you mean Europe/Berlin?",
        (
            "r.toml:3: groups.brand.kind: a group's kind is one of campaign_group, buyer, enhancement, flow, "
            "got 'campaign_grup'; did you mean campaign_group?"
        ),
        "r.toml:4: groups.brand.value_per_lead: expected an amount from 0 on, such as 40 or \"39.95\", got 'many'",
        (
            "r.toml:6: groups.brand.hours.moonday: 'moonday' names no days: give monday, mon-fri, daily or holidays; "
            "did you mean monday?"
        ),
        (
            "r.toml:7: groups.brand.hours.friday: '9-17' is no range of hours: give 09:00-18:00, 22:00-06:00, "
            "00:00-24:00 or closed"
        ),
        "r.toml:11: rules.silence.groups: there is no group 'brnd'; did you mean brand?",
        "r.toml:13: rules.silence.windwo: there is no such key; did you mean window?",
        "r.toml:14: rules.silence.for: expected a span of time as text: 90s, 15m, 1h, 30d, 2w, got '5 minutes'",
        "r.toml:15: rules.silence.severity: 'hgh' is not one of low, medium, high, critical; did you mean high?",
        (
            "r.toml:17: rules.few.kind: a rule's kind is one of absence, too_few, error_spike, enhancement_degraded, "
            "slowdown, capacity, health_state, budget, expiry, custom, got 'to_few'; did you mean too_few?"
        ),
        "r.toml:18: rules.money: a budget has above = and an amount: how much may be at risk",
        "r.toml:20: rules.money.probability: expected a number above 0 and below 1, got [1]",
        "r.toml:23: rules.money.groups: group 'brand' declares neither value_per_lead nor spend_per_hour",
        "r.toml:24: rules.odd: a custom rule has either report and column, or function",
        "r.toml:24: rules.odd: what is expected? give at_least, at_most, or both",
        "r.toml:30: rules.share.column: the report frequency has no column 'shar'; did you mean share?",
        "r.toml:34: rules.mine.at_least: at_least is more than at_most",
        "r.toml:36: rules.mine.function: 'statistics:meen' is not there: module 'statistics' has no attribute 'meen'",
        "r.toml:37: rule: there is no such key; did you mean rules?",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = \n", "r.toml:1: it is not TOML: Invalid value"),
        ("[groups\n", "r.toml:1: it is not TOML: Expected ']' at the end of a table declaration"),
        ("x = 1\nx = 2\n", "r.toml:2: it is not TOML: Cannot overwrite a value"),
        ("[[instrument]]\n", "r.toml: it has no [alerts]"),
        ("", "r.toml:1: it has no rules: each is a table [rules.NAME] with a kind"),
        ("alerts = 3\n", "r.toml:1: alerts: expected a table, got 3"),
        ('country = "XX"\n', "r.toml:1: country: holidays are not known there (country: XX, region: none)"),
    ],
)
def test_what_is_no_rules_file_is_told_with_its_line(text: str, told: str) -> None:
    """Text that is no TOML, or has no rules."""
    assert problems(text)[0] == told


def test_a_file_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    """And one that is there is read."""
    with pytest.raises(RulesError, match="the rules cannot be read: No such file or directory"):
        load(tmp_path / "none.toml")
    where = tmp_path / "r.toml"
    where.write_text(f'{GROUPS}\n[rules.r]\nkind = "absence"\ngroups = "brand"\n', "utf-8")
    assert load(where).file == str(where)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_window_hold_time_keep_firing_time_severity_and_runbook(kind: str) -> None:
    """Each with what it needs beside them; those without samples or windows refuse those keys."""
    needs = {
        "budget": "above = 1",
        "custom": 'function = "statistics:fmean"\nat_most = 3.5',
        "capacity": "above = 0.8",
    }.get(kind, "")
    groups = {"enhancement_degraded": 'groups = "truecaller"'}.get(kind, 'groups = "brand"')
    text = (
        f'{GROUPS}\n[rules.r]\nkind = "{kind}"\n{needs}\nfor = "1m"\nkeep_firing = "0s"\nseverity = "low"\n'
        'runbook = "r"\nowners = "@bob"\n'
    )
    if kind not in ("capacity", "health_state", "expiry", "custom"):
        text += groups + "\n"
    if kind != "expiry":
        text += 'window = "2h"\n'
    if kind not in ("expiry", "health_state"):
        text += "min_sample = 7\n"
    rule = loads(text).rules["r"]
    assert isinstance(rule, KINDS[kind])
    assert (rule.for_ns, rule.keep_firing_ns, rule.severity, rule.runbook) == (MINUTE, 0, "low", "r")
    assert rule.kind == kind
    assert rule.window_ns == (HOUR if kind == "expiry" else 2 * HOUR)


@given(st.lists(st.sampled_from(["", "# note", "a = 1", "b = [\n1,\n2]", 'c = """x\n[no]\n"""', "d.e = { f = 1 }"])))
@settings(max_examples=50)
def test_every_key_has_the_line_that_it_stands_on(parts: list[str]) -> None:
    """Whatever stands before it: comments, values over several lines, text that looks like a header."""
    parts = list(dict.fromkeys(parts))
    text = "\n".join([*parts, "[[t]]", "k = 1", "[t.u]", "[[t]]", "k = 2"])
    found = lines(text)
    written = text.split("\n")
    assert written[found["t", 0, "k"] - 1] == "k = 1"
    assert written[found["t", 1, "k"] - 1] == "k = 2"
    assert written[found["t", 0, "u"] - 1] == "[t.u]"
    for key in ("a", "b", "c"):
        if (key,) in found:
            assert written[found[key,] - 1].startswith(f"{key} = ")
    if ("d", "e", "f") in found:
        assert written[found["d", "e", "f"] - 1].startswith("d.e")
