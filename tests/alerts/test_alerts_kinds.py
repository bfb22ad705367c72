"""What each kind of rule says: of failures, durations, resources, health, dates and numbers."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from leadtrace.alerts.asking import Asking
from leadtrace.alerts.durations import added, bin_of, quantile, share_above
from leadtrace.alerts.evaluate import evaluate, verdicts
from leadtrace.alerts.expected import Expected
from leadtrace.alerts.gathering import observe
from leadtrace.alerts.learning import History, Learnt, due_again, learn, refresh
from leadtrace.alerts.model import Due, Normal, Observations, Point, Series, State, Verdict
from leadtrace.alerts.rules import DAY, HOUR, MINUTE, Rules
from leadtrace.alerts.rules_file import loads
from leadtrace.analysis.rhythm import periodic
from leadtrace.errors import SettingsError
from leadtrace.otlp.records import EventRecord, Resource
from leadtrace.store.embedded import EmbeddedStore

_spec = importlib.util.spec_from_file_location("store_conftest", Path(__file__).parents[1] / "store" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_store_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_store_conftest)
serving = _store_conftest.serving

NOW = 20_724 * DAY + 12 * HOUR
"""Monday, 2026-09-28, at noon UTC."""
GROUPS = (
    '[groups.acme]\nkind = "buyer"\n[groups.phone]\nkind = "enhancement"\n'
    '[groups.brand]\nkind = "campaign_group"\nvalue_per_lead = 40\n[groups.dear]\nkind = "campaign_group"\nspend_per_hour = 90\n'
)


def one_rule(text: str) -> Rules:
    return loads(f"{GROUPS}[rules.r]\n{text}\n")


def said(rules: Rules, seen: Observations, now: int = NOW) -> Verdict:
    """What the only rule says of its only target."""
    (one,) = verdicts(rules, seen, State(), now)
    return one.verdict


def ends(count: int, bad: int, *, normal: Normal | None = None, group: str = "acme", ms: float = 0.0) -> Observations:
    """So many ends within the last half hour, and what is normal."""
    bins = ((bin_of(ms), count),) if ms else ()
    point = Point(NOW - 30 * MINUTE, NOW - MINUTE, count, bad)
    took = Point(NOW - 30 * MINUTE, NOW - MINUTE, count, bins=bins)
    usual = {("outcomes", group): normal} if normal else {}
    slow = {("durations", group): normal} if normal and normal.bins else {}
    return Observations(
        NOW,
        {("outcomes", group): Series((point,)), ("durations", group): Series((took,))},
        normal={**usual, **slow},  # type: ignore[dict-item]
    )


NORMAL = Normal(10_000, 200, ((bin_of(100.0), 9_000), (bin_of(300.0), 1_000)))


@pytest.mark.parametrize(
    ("count", "bad", "normal", "holds", "why"),
    [
        (100, 10, NORMAL, True, "10 of 100 failed (10 %), normal are 2 %"),
        (100, 3, NORMAL, False, "3 of 100 failed (3 %), normal are 2 %"),
        (40, 2, NORMAL, False, "2 of 40 failed (5 %), normal are 2 %"),  # 2.5 times as many, and mere chance
        (10, 10, NORMAL, None, "10 ended in 1 h, 20 are needed"),
        (0, 0, NORMAL, None, "0 ended in 1 h, 20 are needed"),
        (100, 50, None, None, "fewer than 100 ends are in its history: what is normal is not learnt yet"),
        (100, 8, Normal(10_000, 0), True, "8 of 100 failed (8 %), normal are 0.005 %"),
        (100, 10, Normal(10_000, 200, spread=0.3), False, "10 of 100 failed (10 %), normal are 2 %"),
    ],
)
def test_failures_are_a_spike_where_chance_does_not_explain_them(
    count: int, bad: int, normal: Normal | None, holds: bool | None, why: str
) -> None:
    """By factor and by probability; where days differ much, much is normal."""
    found = said(one_rule('kind = "error_spike"\ngroups = "acme"'), ends(count, bad, normal=normal))
    assert (found.holds, found.why) == (holds, why)
    if holds:
        assert (found.observed, found.unit, found.since_ns) == (bad / count, "share", NOW - 30 * MINUTE)


def test_a_fixed_share_needs_nothing_learnt() -> None:
    rules = one_rule('kind = "error_spike"\ngroups = "acme"\nabove = 0.3')
    assert [said(rules, ends(100, bad)).holds for bad in (30, 31)] == [False, True]


def test_a_group_that_is_not_observed_says_nothing() -> None:
    for kind, group in (
        ("error_spike", "acme"),
        ("slowdown", "acme"),
        ("enhancement_degraded", "phone"),
        ("absence", "acme"),
    ):
        found = said(one_rule(f'kind = "{kind}"\ngroups = "{group}"'), Observations(NOW))
        assert found.holds is None
        assert "not observed" in found.why


@pytest.mark.parametrize(
    ("ms", "count", "holds"),
    [(120.0, 50, False), (700.0, 50, True), (590.0, 50, False), (700.0, 10, None)],
)
def test_a_slowdown_is_a_quantile_against_its_own_normal(ms: float, count: int, holds: bool | None) -> None:
    found = said(one_rule('kind = "slowdown"\ngroups = "acme"'), ends(count, 0, normal=NORMAL, ms=ms))
    assert found.holds is holds
    if holds:
        assert (found.expected, found.unit) == (pytest.approx(300, rel=0.012), "ms")
        assert found.observed == pytest.approx(ms, rel=0.012)


def test_a_slowdown_by_a_fixed_limit_needs_nothing_learnt() -> None:
    rules = one_rule('kind = "slowdown"\ngroups = "acme"\nabove = "500ms"\nquantile = 0.5')
    assert [said(rules, ends(50, 0, ms=ms)).holds for ms in (480.0, 520.0)] == [False, True]


@pytest.mark.parametrize(
    ("bad", "ms", "holds", "unit"),
    [(1, 110.0, False, "share"), (30, 110.0, True, "share"), (1, 900.0, True, "ms"), (30, 900.0, True, "share")],
)
def test_an_enhancement_is_degraded_by_failures_or_by_durations(bad: int, ms: float, holds: bool, unit: str) -> None:
    """Failures are told first."""
    found = said(
        one_rule('kind = "enhancement_degraded"\ngroups = "phone"'),
        ends(100, bad, normal=NORMAL, group="phone", ms=ms),
    )
    assert (found.holds, found.unit) == (holds, unit)


def test_bins_tell_quantiles_to_about_a_hundredth_whatever_the_scale() -> None:
    values = [0.01 * 1.07**step for step in range(300)]
    bins = added(((bin_of(one), 1),) for one in values)
    for share in (0.01, 0.5, 0.95, 1.0):
        exact = values[max(0, -(-int(share * 300) // 1) - 1)]
        assert quantile(bins, share) == pytest.approx(exact, rel=0.011)
    assert share_above(bins, values[149] * 1.03) == pytest.approx(0.5)
    assert (quantile((), 0.5), share_above((), 1.0), bin_of(0.0), bin_of(-5.0)) == (0.0, 0.0, 0, 0)


def gauge(*values: float) -> Observations:
    points = tuple(
        Point(NOW - len(values) * MINUTE + at * MINUTE, NOW - len(values) * MINUTE + at * MINUTE, value=one)
        for at, one in enumerate(values)
    )
    return Observations(NOW, {("capacity", "crm:queue_depth"): Series(points), ("capacity", "crm:cpu"): Series(points)})


@pytest.mark.parametrize(
    ("statistic", "used", "holds"),
    [("mean", 0.8, False), ("highest", 1.0, True), ("lowest", 0.5, False), ("last", 0.95, True)],
)
def test_capacity_is_judged_by_its_statistic(statistic: str, used: float, holds: bool) -> None:
    text = f'kind = "capacity"\nstatistic = "{statistic}"\nresources = "queue_depth"\nmin_sample = 4'
    found = said(one_rule(text), gauge(0.75, 1.0, 0.5, 0.95))
    assert (found.holds, found.observed) == (holds, pytest.approx(used))
    assert said(one_rule(text), gauge(1.0, 1.0, 1.0)).holds is None


def test_a_resource_that_is_sampled_no_more_stays_watched_and_firing() -> None:
    """Its samples stop while it is full: nobody can say, so it goes on."""
    rules = one_rule('kind = "capacity"')
    state, changes = evaluate(rules, gauge(0.99), State(), NOW)
    assert {one.alert.group for one in changes} == {"crm:queue_depth", "crm:cpu"}
    later = NOW + DAY
    state, changes = evaluate(rules, Observations(later), state, later)
    assert changes == ()
    assert len(state.open) == 2
    state, changes = evaluate(
        one_rule('kind = "capacity"\nresources = "cpu"'), Observations(later + 1), state, later + 1
    )
    assert [(one.alert.group, one.alert.ended_by) for one in changes] == [("crm:queue_depth", "withdrawn")]


def health(*told: tuple[int, str]) -> Observations:
    points = tuple(Point(NOW - ago, NOW - ago, text=state) for ago, state in told)
    return Observations(NOW, {("health", "crm"): Series(points)})


def test_a_state_of_health_lasts_until_another_is_told() -> None:
    rules = one_rule('kind = "health_state"\nstates = ["crisis", "degraded"]')
    found = said(rules, health((9 * DAY, "healthy"), (2 * DAY, "crisis")))
    assert (found.holds, found.text, found.since_ns, found.why) == (
        True,
        "crisis",
        NOW - 2 * DAY,
        "its health is crisis",
    )
    assert said(rules, health((2 * DAY, "crisis"), (HOUR, "healthy"))).holds is False
    bounded = one_rule('kind = "health_state"\nwindow = "1d"')
    assert said(bounded, health((2 * DAY, "crisis"))).holds is None


def test_health_that_was_told_late_ends_no_alert_before_it_was_last_seen() -> None:
    """`healthy` of half an hour ago arrives now: until the look before, crisis was all that anybody saw."""
    rules = one_rule('kind = "health_state"\nkeep_firing = "0s"')
    state, _ = evaluate(rules, health((2 * HOUR, "crisis")), State(), NOW)
    later = NOW + 5 * MINUTE
    points = (Point(NOW - 2 * HOUR, NOW - 2 * HOUR, text="crisis"), Point(NOW - HOUR, NOW - HOUR, text="healthy"))
    _, changes = evaluate(rules, Observations(later, {("health", "crm"): Series(points)}), state, later)
    assert [(one.change, one.alert.began_ns, one.alert.ended_ns) for one in changes] == [
        ("resolved", NOW - 2 * HOUR, NOW)
    ]


def test_a_credential_is_told_so_long_before_it_ends_and_after() -> None:
    text = f'[credentials.google]\nexpires = 2026-10-05\nowners = "@sam"\n{GROUPS}[rules.r]\nkind = "expiry"\nbefore = "7d"\n'
    rules = loads(text)
    seen = Observations(NOW, dues=())
    assert said(rules, seen, NOW - 13 * HOUR).holds is False
    found = said(rules, seen)
    assert (found.holds, found.unit, found.why) == (True, "days", "ends in 6 d 12 h")
    assert found.since_ns == 20_724 * DAY
    assert said(rules, seen, NOW + 30 * DAY).why == "ends since 23 d 12 h"
    renewed = loads(text.replace("2026-10-05", "2027-10-05"))
    state, _ = evaluate(rules, seen, State(), NOW)
    assert state.open[0].owners == ("@sam",)
    state, _ = evaluate(renewed, seen, state, NOW + HOUR)
    state, changes = evaluate(renewed, seen, state, NOW + 2 * HOUR)
    assert [(one.change, one.alert.ended_by) for one in changes] == [("resolved", "recovered")]


def test_a_periodic_error_is_due_one_distance_after_its_last_burst() -> None:
    """Every thirty days, three distances at least; one that did not come when it was due is given up. Where nothing else went
    on, silence says nothing; and what comes again within half a day is worth no date."""
    late = {NOW - 35 * DAY - at * 30 * DAY + hour * HOUR: 5 for at in range(4) for hour in range(3)}
    month = {at + 10 * DAY: count for at, count in late.items()}
    work = dict.fromkeys(range(NOW - 150 * DAY, NOW, HOUR), 9)
    assert due_again("key", month, work, NOW) == Due("error:key", NOW + 5 * DAY, "seen 4 times, every 30 d")
    assert due_again("key", late, work, NOW) is None
    assert due_again("key", month, {}, NOW) is None
    fewer = {at: count for at, count in month.items() if at > NOW - 90 * DAY}
    assert due_again("key", fewer, work, NOW) is None
    odd = {NOW - ago * DAY: 1 for ago in (40, 33, 21, 18, 2)}
    assert due_again("key", odd, work, NOW) is None
    often = {NOW - at * 8 * HOUR: 1 for at in range(1, 60)}
    assert periodic(often, work, NOW, NOW) is not None
    assert due_again("key", often, work, NOW) is None
    rules = one_rule('kind = "expiry"\nbefore = "7d"')
    found = said(rules, Observations(NOW, dues=(Due("error:key", NOW + 5 * DAY, "seen 4 times, every 30 d"),)))
    assert (found.holds, found.why) == (True, "is due again (seen 4 times, every 30 d) in 5 d")


def numbers(value: float, count: int = 1, ago: int = 0) -> Observations:
    return Observations(NOW, {("custom", "r"): Series((Point(NOW - ago, NOW - ago, count, value=value),))})


@pytest.mark.parametrize(
    ("value", "holds", "why"),
    [
        (0.5, True, "0.5 EUR, expected at least 1"),
        (1.0, False, "1 EUR"),
        (5.0, False, "5 EUR"),
        (5.1, True, "5.1 EUR, expected at most 5"),
        (float("nan"), None, "there is no value of the last 1 h"),
    ],
)
def test_a_number_is_expected_within_its_range(value: float, holds: bool | None, why: str) -> None:
    rules = one_rule('kind = "custom"\nfunction = "math:sqrt"\nat_least = 1\nat_most = 5\nunit = "EUR"')
    found = said(rules, numbers(value))
    assert (found.holds, found.why) == (holds, why)
    assert said(rules, numbers(9.0, ago=2 * HOUR)).holds is None


def leads(count: int, group: str, rate: float = 10.0) -> Observations:
    """So many leads in the last hour where ten an hour were learnt over eight weeks."""
    points = tuple(Point(NOW - HOUR + 1 + one, NOW - HOUR + 1 + one) for one in range(count))
    learnt = Expected((rate,) * 168, (8,) * 168)
    return Observations(NOW, {("leads", group): Series(points, NOW - 3 * DAY)}, {group: learnt})


def test_a_budget_is_what_is_missing_times_its_worth_and_no_mere_chance() -> None:
    rules = one_rule('kind = "budget"\ngroups = "brand"\nabove = 300')
    found = said(rules, leads(1, "brand"))
    assert (found.holds, found.money_at_risk, found.currency) == (True, Decimal("360.00"), "USD")
    assert found.why == "360.00 USD at risk in 1 h of opening time: 1 leads where 10 are normal"
    assert said(rules, leads(3, "brand")).holds is False  # 280 are at risk
    unlikely = one_rule('kind = "budget"\ngroups = "brand"\nabove = 150')
    assert said(unlikely, leads(6, "brand")).holds is False  # 160 are, and six of ten come by chance
    assert said(unlikely, leads(6, "acme")).holds is None


def test_where_spending_is_declared_it_is_what_is_at_risk() -> None:
    """All of it while no leads come, the missing share of it while few do."""
    rules = one_rule('kind = "budget"\ngroups = "dear"\nabove = 50\nprobability = 0.01')
    assert said(rules, leads(0, "dear")).money_at_risk == Decimal("90.00")
    assert said(rules, leads(2, "dear")).money_at_risk == Decimal("72.00")
    silence = one_rule('kind = "absence"\ngroups = "dear"\nwindow = "30m"')
    found = said(
        silence, Observations(NOW, {("leads", "dear"): Series((Point(NOW - 90 * MINUTE, NOW - 90 * MINUTE),))})
    )
    assert (found.money_at_risk, found.expected) == (Decimal("135.00"), None)


# What a real store, and a running server over one, give to it.


def event(name: str, at: int, service: str = "crm", **attributes: object) -> EventRecord:
    return EventRecord(
        name,
        at,
        attributes=attributes,
        resource=Resource({"service.name": service}),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    events = [
        event(
            "system.capacity.sampled",
            NOW - ago * MINUTE,
            **{"system.capacity.queue_depth": 95, "system.capacity.queue_depth_max": 100},
        )
        for ago in range(1, 6)
    ]
    events.append(event("system.health.changed", NOW - 5 * DAY, **{"system.health.to": "crisis"}))
    events += [event("lead.declined", NOW - ago * MINUTE, **{"lead.id": f"l{ago}"}) for ago in range(1, 31)]
    events += [
        event(
            "error.occurred", NOW - 5 * DAY - cycle * 14 * DAY + more * MINUTE, **{"error.fingerprint": "key-expired"}
        )
        for cycle in range(5)
        for more in range(30)
    ]
    events += [
        event("enhancement.started", NOW - ago * 6 * HOUR, **{"enhancement.name": "phone"}) for ago in range(1, 280)
    ]
    path = tmp_path_factory.mktemp("kinds") / "store.db"
    with contextlib.closing(EmbeddedStore.open(path, write=True)) as store:
        store.append([], events)
        store.append([], events)  # and once more: a sender that got no answer sends again
    return str(path)


@pytest.fixture(params=["embedded", "served"])
def asking(request: pytest.FixtureRequest, store_path: str) -> Iterator[Asking]:
    if request.param == "embedded":
        with contextlib.closing(EmbeddedStore.open(store_path)) as store:
            yield Asking(store)
        return
    from leadtrace.store.served import ServedStore

    with serving(store_path) as url, contextlib.closing(ServedStore(url)) as store:
        yield Asking(store)


STORED = """
[rules.full]
kind = "capacity"
[rules.crisis]
kind = "health_state"
[rules.again]
kind = "expiry"
before = "10d"
[rules.declined]
kind = "custom"
report = "frequency"
column = "events"
where = { name = "lead.declined" }
at_most = 20
[rules.share]
kind = "custom"
report = "frequency"
column = "share"
at_most = 0.5
min_sample = 30
[rules.mine]
kind = "custom"
function = "numbers_of_ours:twice"
at_most = 50
[rules.broken]
kind = "custom"
function = "numbers_of_ours:broken"
at_most = 50
"""


def twice(report, since_ns: int, until_ns: int) -> dict[str, float | None]:
    (row,) = [
        one for one in report("frequency", since_ns=since_ns, until_ns=until_ns).rows if one.name == "lead.declined"
    ]
    return {"declined": 2.0 * row.events, "nothing": None}


def broken(report, since_ns: int, until_ns: int) -> float:
    return 1 / 0


def test_resources_health_errors_and_numbers_come_from_a_store_and_from_a_server(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same verdicts from both; a function that raises is one rule without a value, and a note."""
    module = types.ModuleType("numbers_of_ours")
    module.twice, module.broken = twice, broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "numbers_of_ours", module)
    rules = loads(STORED)
    history = refresh(asking, rules, History(), NOW)
    learnt = learn(history, rules, NOW)
    seen = observe(asking, rules, learnt, State(), NOW)
    found = {
        (one.rule.name, one.target): (one.verdict.holds, one.verdict.observed)
        for one in verdicts(rules, seen, State(), NOW)
    }
    assert found == {
        ("full", "crm:queue_depth"): (True, pytest.approx(0.95)),
        ("crisis", "crm"): (True, None),
        ("again", "error:key-expired"): (True, pytest.approx(9 - 0.5, abs=0.6)),
        ("declined", ""): (True, 30.0),
        ("share", "lead.declined / rejection"): (True, pytest.approx(30 / 35)),
        ("share", "system.capacity.sampled / milestone"): (False, pytest.approx(5 / 35)),
        ("mine", "declined"): (True, 60.0),
    }
    assert seen.notes == ("rule broken: numbers_of_ours:broken raised ZeroDivisionError: division by zero",)


def test_a_source_that_keeps_no_events_is_refused_rather_than_silent(
    store_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jaeger answers to a depth: what it does not show would be told as missing."""
    from leadtrace.store.interface import Holds

    rules = one_rule('kind = "absence"\ngroups = "acme"')
    monkeypatch.setattr(EmbeddedStore, "holds", Holds(logs=False))
    with (
        contextlib.closing(EmbeddedStore.open(store_path)) as store,
        pytest.raises(SettingsError, match="keeps traces only"),
    ):
        observe(Asking(store), rules, Learnt(), State(), NOW)


def test_rules_that_need_no_group_need_no_leads(tmp_path: Path) -> None:
    """An empty store: the groups that are declared alarm, and nothing else says anything."""
    path = tmp_path / "store.db"
    EmbeddedStore.open(path, write=True).close()
    rules = loads(
        GROUPS + STORED.partition("[rules.declined]")[0] + '[rules.silence]\nkind = "absence"\ngroups = "*"\n'
    )
    with contextlib.closing(EmbeddedStore.open(path)) as store:
        asking = Asking(store)
        learnt = learn(refresh(asking, rules, History(), NOW), rules, NOW)
        state, changes = evaluate(rules, observe(asking, rules, learnt, State(), NOW), State(), NOW)
    assert [(one.change, one.alert.rule, one.alert.group) for one in changes] == [
        ("fired", "silence", name) for name in ("acme", "phone", "brand", "dear")
    ]
    assert len(state.open) == 4
