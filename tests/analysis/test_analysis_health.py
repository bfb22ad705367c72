"""The report of health over a real store: hours whose figures were set one by one, and the same counts by pandas."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest
from click.testing import CliRunner
from hours import Book
from traffic import HOUR, MONDAY, Traffic

import leadtrace
from leadtrace.analysis.exchange import report_from_json
from leadtrace.analysis.health import (
    HEALTH,
    HealthCascade,
    HealthCause,
    HealthChange,
    HealthHour,
    HealthNow,
    HealthRevenue,
    thresholds,
)
from leadtrace.analysis.model import Report
from leadtrace.cli import main
from leadtrace.errors import SettingsError
from leadtrace.reading import Reader
from leadtrace.store.embedded import EmbeddedStore

Fill = Callable[[Book], None]


def usual(book: Book, hours: range = range(24), **changed: object) -> None:
    """60 runs an hour; a failed delivery in every third hour, one failed enhancement and 20 cache hits in each."""
    for hour in hours:
        book.hour(hour, **({"failing": 1 if hour % 3 == 0 else 0, "bad": 1, "hits": 20} | changed))


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Report]:
    def judge(fill: Fill, since: int = 0, **options: object) -> Report:
        book = Book()
        fill(book)
        path = tmp_path / "store.db"
        store = EmbeddedStore.open(path, write=True)
        book.write(store)
        store.close()
        with leadtrace.open(str(path)) as reader:
            return reader.report("health", since_ns=MONDAY + since * HOUR if since else 0, **options)

    return judge


def a_bad_day(book: Book) -> None:
    """Hour 24 degrades, hour 25 is a crisis, from hour 26 on all is well again."""
    usual(book)
    book.hour(24, failing=2, bad=20, timeouts=18, hits=4, took_ms=2_500, service_ms=1_800)
    book.hour(25, failing=12, bad=30, timeouts=28, hits=3, took_ms=4_500, service_ms=3_800)
    usual(book, range(26, 30), failing=0)


def test_a_bad_day_is_told_with_its_changes_reasons_cause_cascade_and_cost(judged: Callable[..., Report]) -> None:
    found = judged(a_bad_day, since=22)
    assert found.of(HealthNow) == (HealthNow("healthy", MONDAY + 28 * HOUR, ()),)
    told = [((one.at_ns - MONDAY) // HOUR, one.from_state, one.to_state) for one in found.of(HealthChange)]
    assert told == [
        (25, "healthy", "degraded"),
        (26, "degraded", "crisis"),
        (28, "crisis", "healthy"),
    ]
    degraded = found.of(HealthChange)[0]
    assert "flows take 2.50 s on average (60 flows), usual is 0.80 s (1,440 flows" in degraded.reasons[0]
    assert any(one.startswith("66.7% of 60 enhancements succeeded") for one in degraded.reasons)
    assert any(one.startswith("30.0% of 60 enhancements timed out, usual is 0.0%") for one in degraded.reasons)
    assert any(one.startswith("6.7% of 60 enhancements came from a cache, usual is 33.3%") for one in degraded.reasons)
    first = found.of(HealthCause)[0]
    assert (first.cause, first.name, first.rank, first.state) == ("external API", "TeleCheck", 1, "crisis")
    # 50 failures where 2 are usual; its calls took 2.7 s longer each, and nothing else took longer: all of the excess.
    assert first.weight == 1
    assert first.evidence[0].startswith("50 of 120 failed (46 timed out), usual is 1.7% of 1,440; 78%")
    assert found.of(HealthCascade) == (HealthCascade(MONDAY + 25 * HOUR, "TeleCheck", "Acme", 12, 6.0),)
    money = found.of(HealthRevenue)[0]
    # 8 of 1,440 usual runs earn nothing: 9.94 each; 120 flows began, 14 earned nothing.
    assert (money.currency, money.flows, str(money.revenue)) == ("USD", 120, "1060.00")
    assert (str(money.expected), str(money.impact)) == ("1193.33", "-133.33")


def test_the_state_that_a_window_begins_with_is_that_of_the_hours_before(judged: Callable[..., Report]) -> None:
    found = judged(a_bad_day, since=27)
    assert [one.state for one in found.of(HealthHour)][:2] == ["healthy", "healthy"]
    # In hour 26 the crisis of hour 25 was still held, and the hour after ended it.
    assert [(one.from_state, one.to_state) for one in found.of(HealthChange)] == [("crisis", "healthy")]


def test_hours_have_their_rates_with_what_they_are_of(judged: Callable[..., Report]) -> None:
    found = judged(a_bad_day, since=24)
    hour = found.of(HealthHour)[1]
    assert (hour.hour_ns, hour.minutes, hour.state, hour.flows, hour.mean_ms) == (
        MONDAY + 25 * HOUR,
        60,
        "crisis",
        60,
        4_500.0,
    )
    rates = [
        (one.numerator, one.denominator, one.of)
        for one in (hour.errors, hour.enhancements, hour.timeouts, hour.cache_hits)
    ]
    assert rates == [(12, 60, "runs"), (30, 60, "enhancements"), (28, 60, "enhancements"), (3, 60, "enhancements")]
    assert found.sample.counts == {
        "hours": 6,
        "runs": 360,
        "enhancements": 360,
        "cancelled_enhancements": 0,
        "baseline_hours": 29,
    }


def test_a_volume_spike_is_named_as_such(judged: Callable[..., Report]) -> None:
    def fill(book: Book) -> None:
        usual(book, range(72))
        book.hour(72, 300, bad=5, hits=100, took_ms=2_400, own_ms=1_600)

    first, second = judged(fill, since=72).of(HealthCause)
    assert (first.cause, first.name, first.evidence[0][:44]) == (
        "service degradation",
        "parse",
        "takes 1.60 s on average (300), usual is 5 ms",
    )
    assert (second.cause, second.weight) == ("volume spike", 0.8)
    assert second.evidence == ("300 flows began, 5.0 times the usual 60 for these hours",)


def test_a_new_version_that_fails_beside_the_old_one_is_a_configuration_change(judged: Callable[..., Report]) -> None:
    def fill(book: Book) -> None:
        usual(book)
        book.hour(24, 40, bad=1, hits=12, own=0)
        book.hour(24, 40, bad=0, hits=12, own=20, version="2.0")

    causes = judged(fill, since=24).of(HealthCause)
    assert [(one.cause, one.name) for one in causes] == [
        ("configuration change", "pipeline 2.0"),
        ("service degradation", "parse"),
    ]
    assert causes[0].evidence == (
        "first seen in the hour of 2026-09-29 00:00 UTC",
        "20 of its 40 runs failed, of other versions at the same time 0 of 40, usual is 0.6% of 1,440",
    )


def test_an_hour_with_too_few_runs_says_so_and_leaves_the_state(judged: Callable[..., Report]) -> None:
    def fill(book: Book) -> None:
        usual(book, range(3))
        book.hour(3, 29, failing=29)

    found = judged(fill)
    last = found.of(HealthHour)[-1]
    assert (last.state, last.errors.value, last.note) == (
        "healthy",
        None,
        "too few to tell: 29 runs, at least 30 needed",
    )
    assert "1 of 4 hours had fewer than 30 runs: the state before them stands" in found.notes
    assert found.of(HealthHour)[0].note == "no baseline yet: absolute limits alone decide"


def test_flows_without_an_end_and_events_that_come_late_or_twice_change_no_answer(tmp_path: Path) -> None:
    book = Book()
    a_bad_day(book)
    book.hour(30, 40, ends=False, failing=1)
    answers = []
    for name, events in (
        ("straight", book.events),
        ("shuffled", random.Random(5).sample(book.events, len(book.events))),
        ("twice", [*book.events, *book.events[::-1]]),
    ):
        store = EmbeddedStore.open(tmp_path / f"{name}.db", write=True)
        for first in range(0, len(events), 2_000):
            store.append([], events[first : first + 2_000])
        store.close()
        with leadtrace.open(str(tmp_path / f"{name}.db")) as reader:
            answers.append(reader.report("health", now_ns=1).as_json())
    assert answers[0] == answers[1] == answers[2]
    last = answers[0]["rows"][-1]
    # What sold or failed is known without an end; how long they took is not.
    assert (last["flows"], last["errors"]["numerator"], last["mean_ms"]) == (40, 1, None)


def test_only_one_flow_where_one_is_asked_for(judged: Callable[..., Report]) -> None:
    def fill(book: Book) -> None:
        usual(book)
        book.hour(24, 60, hits=20, flow="Auto")
        book.hour(24, 60, hits=20, failing=30, flow="Home")

    assert judged(fill, since=24, flow="Auto").of(HealthNow)[0].state == "healthy"
    assert judged(fill, since=24, flow="Home").of(HealthNow)[0].state == "crisis"


def test_hourly_counts_are_those_that_pandas_makes_of_the_records(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    frame["hour"] = frame["time_ns"] // HOUR * HOUR
    runs = frame[frame["leadtrace.run_id"].fillna("") != ""]
    bad = runs[(runs["leadtrace.kind"] == "failure") & ~runs["name"].str.startswith("enhancement.")]
    touched = runs[runs["name"].isin(["flow.completed", "delivery.accepted"])]
    wanted_failed = bad.groupby("hour")["leadtrace.run_id"].nunique()
    both = pandas.concat([touched, bad])
    wanted_runs = both.groupby("hour")["leadtrace.run_id"].nunique()
    calls = frame[frame["name"].isin(["enhancement.success", "enhancement.failed"])].groupby("hour")
    took = frame[frame["name"] == "flow.completed"].groupby("hour")["flow.summary.total_duration_ms"].mean()
    rows = reader.report("health").of(HealthHour)
    assert {one.hour_ns: one.flows for one in rows if one.flows} == wanted_runs.to_dict()
    assert {one.hour_ns: one.errors.numerator for one in rows if one.errors.numerator} == wanted_failed.to_dict()
    assert {
        one.hour_ns: one.enhancements.denominator for one in rows if one.enhancements.denominator
    } == calls.size().to_dict()
    hits = calls["enhancement.cache_hit"].sum()
    assert {one.hour_ns: one.cache_hits.numerator for one in rows if one.cache_hits.numerator} == hits[
        hits > 0
    ].to_dict()
    assert {one.hour_ns: one.mean_ms for one in rows if one.mean_ms is not None} == pytest.approx(
        took.to_dict(), abs=1e-3
    )


def test_json_reads_back_and_a_limit_keeps_what_is_last(judged: Callable[..., Report]) -> None:
    found = judged(a_bad_day, since=20, limit=2)
    assert report_from_json(HEALTH, found.as_json()) == found
    assert [len(found.of(sort)) for sort in (HealthNow, HealthChange, HealthHour)] == [1, 2, 2]
    assert found.of(HealthHour)[-1].hour_ns == MONDAY + 29 * HOUR


def test_a_change_becomes_the_event_that_tells_it() -> None:
    event = HealthChange(7, "healthy", "crisis", ("6.0% of 100 runs failed, the limit is 5.0%",)).as_event("Auto")
    with leadtrace.capture() as captured:
        leadtrace.emit(event)
    told = captured.one("system.health.changed").attributes
    assert {key: one for key, one in told.items() if key.startswith("system.")} == {
        "system.health.from": "healthy",
        "system.health.to": "crisis",
        "system.health.reasons": ["6.0% of 100 runs failed, the limit is 5.0%"],
        "system.health.subject": "Auto",
    }
    assert "lead.id" not in told
    assert HealthChange(7, "unknown", "healthy", ()).as_event().from_ is None


def test_thresholds_are_a_setting_and_what_is_typed_goes_before(
    traffic_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def least(*typed: str) -> str:
        done = CliRunner().invoke(main, ["report", "health", "--from", traffic_path, "--limit", "1", *typed])
        return done.output

    monkeypatch.setenv("LEADTRACE_HEALTH", "least=1000, crisis_errors=0.5")
    assert "had fewer than 1,000 runs" in least()
    assert "had fewer than 2,000 runs" in least("--least", "2000")
    monkeypatch.setenv("LEADTRACE_HEALTH", "leest=1000")
    assert "LEADTRACE_HEALTH: there is no threshold 'leest'" in least()
    with pytest.raises(SettingsError, match="least is int"):
        thresholds("least=few")


def test_nothing_recorded_is_no_answer(tmp_path: Path) -> None:
    EmbeddedStore.open(tmp_path / "empty.db", write=True).close()
    with leadtrace.open(str(tmp_path / "empty.db")) as reader:
        assert reader.report("health").rows == ()


def test_performance_and_the_review_judge_by_the_thresholds_that_are_set(
    traffic_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def performance(*typed: str) -> str:
        done = CliRunner().invoke(main, ["report", "performance", "--from", traffic_path, *typed])
        return done.output

    monkeypatch.setenv("LEADTRACE_HEALTH", "healthy_ms=700, crisis_ms=900, crisis_errors=0.001")
    assert "Healthy is below 700 ms, crisis above 900 ms." in performance()
    assert "Healthy is below 700 ms, crisis above 5.00 s." in performance("--crisis-ms", "5000")
    asked = ["report", "review", "--from", traffic_path, "--date", "2026-09-30", "--json"]
    assert "more than 0.1%" in CliRunner().invoke(main, asked).output
    assert "more than 2%" in CliRunner().invoke(main, [*asked, "--health", "crisis_errors=0.02"]).output
    monkeypatch.setenv("LEADTRACE_HEALTH", "crisis=1")
    assert "LEADTRACE_HEALTH: there is no threshold 'crisis'" in performance()


def test_the_running_hour_is_judged_so_far_and_nothing_is_dated_in_the_future(judged: Callable[..., Report]) -> None:
    now = MONDAY + 24 * HOUR + HOUR // 3

    def fill(book: Book) -> None:
        usual(book)
        book.hour(24, failing=30)

    found = judged(fill, since=12, now_ns=now)
    (change,) = (one for one in found.of(HealthChange) if one.to_state == "crisis")
    assert (change.at_ns, found.of(HealthNow)[0].since_ns) == (now, now)
    last = found.of(HealthHour)[-1]
    assert (last.minutes, last.note) == (20, "still running, 20 minutes so far")
    assert found.notes[1] == (
        "the last hour is still running: its state is of its first 20 minutes, and may be another at its end"
    )
    later = judged(fill, since=12, now_ns=MONDAY + 25 * HOUR)
    assert later.of(HealthNow)[0].since_ns == MONDAY + 25 * HOUR
    assert (later.of(HealthHour)[-1].minutes, later.of(HealthHour)[-1].note) == (60, "")
    assert not any("still running" in note for note in later.notes)
