"""Every analysis over the same traffic, told well and told badly: what came in another order or twice changes no answer, and
clocks that differ and ends that are missing change none either, or are said."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from told_badly import Told, as_it_was, by_another_clock, mixed, without_ends
from traffic import DAY, HOUR, MONDAY, NS

import leadtrace
from leadtrace.analysis.ads import LeadEvents
from leadtrace.analysis.business import Takings
from leadtrace.analysis.compare import Differs
from leadtrace.analysis.errors import ErrorGroup
from leadtrace.analysis.health import HealthHour
from leadtrace.analysis.lint import Linted
from leadtrace.analysis.model import Report, rows_as_json
from leadtrace.analysis.patterns import Conversion, Stop
from leadtrace.analysis.performance import FlowTime, StepTime
from leadtrace.analysis.registry import COMMANDS, REPORTS
from leadtrace.analysis.reliability import Partner
from leadtrace.analysis.review_rows import ReviewFigure
from leadtrace.analysis.roi import Calls
from leadtrace.analysis.what_if import Duration

ASKED: dict[str, dict[str, Any]] = {
    **{name: {} for name in REPORTS},
    "what-if": {"without": ("geo lookup",)},
    "business": {"by": "source"},
    "series": {"of": "outcomes", "by": "buyer", "bucket_s": 0},
    "review": {"date": "2026-10-01"},
    "compare": {"a": "lead_00000003", "b": "lead_00000006"},
    "lint": {},
    "surroundings": {"fingerprint": ("credit-timeout", "TeleCheck-unavailable"), "flow": ("Home Insurance",)},
}
OFF = 40 * NS
Ask = Callable[..., Report[Any]]
OTHERWISE: list[tuple[str, dict[str, Any]]] = [
    *(("series", {"of": of, "by": "buyer"}) for of in ("leads", "durations", "errors", "work", "last", "capacity")),
    ("errors", {"of": "failures"}),
    ("errors", {"of": "attempt_failures"}),
    ("business", {"by": "lead"}),
    ("business", {"by": "buyer"}),
    ("patterns", {"per": "run", "by": "word", "length": 2}),
    ("frequency", {"by": "flow", "over": "day"}),
    ("roi", {"over": "day", "by": "service"}),
    ("ads", {"over": "day"}),
]
"""What else a few of them may be asked."""


def each(*left_out: str) -> list[Any]:
    """The analyses but those, the review as a slow test."""
    return [
        pytest.param(name, marks=pytest.mark.slow if name == "review" else ()) for name in ASKED if name not in left_out
    ]


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    well = as_it_was()
    return {
        "well": well,
        "mixed": mixed(well),
        "behind": by_another_clock(well, -OFF),
        "ahead": by_another_clock(well, OFF),
        "cut": without_ends(well)[0],
    }


@pytest.fixture(scope="module")
def ask(told: dict[str, Told], tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """The report of that name over what was told in that way."""
    folder: Path = tmp_path_factory.mktemp("told")
    paths = {way: one.write(folder / f"{way}.db", ordered=way != "mixed") for way, one in told.items()}

    @cache
    def usual(way: str, name: str) -> Report[Any]:
        return answer(way, name, **ASKED[name])

    def answer(way: str, name: str, **options: Any) -> Report[Any]:
        if not options and ASKED[name]:
            return usual(way, name)
        with leadtrace.open(paths[way]) as reader:
            return reader.report(name, now_ns=MONDAY + 30 * DAY, **options)

    return answer


def test_every_analysis_is_asked() -> None:
    assert set(ASKED) == {*REPORTS, *COMMANDS}


@pytest.mark.parametrize("name", each())
def test_another_order_and_duplicates_change_no_answer(ask: Ask, name: str) -> None:
    well = ask("well", name)
    assert well.rows or name == "lint"
    assert ask("mixed", name) == well


@pytest.mark.parametrize(("name", "options"), OTHERWISE)
def test_nor_do_they_whatever_else_is_asked(ask: Ask, name: str, options: dict[str, Any]) -> None:
    well = ask("well", name, **options)
    assert well.rows
    assert ask("mixed", name, **options) == well


# --- clocks that differ -------------------------------------------------------------------------------------------------


def timeless(value: Any) -> Any:
    """Rows as JSON without moments."""
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items() if not key.endswith("_ns")}
    return [timeless(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("way", ["behind", "ahead"])
@pytest.mark.parametrize(
    "name",
    each("patterns", "performance", "what-if", "health", "compare", "lint", "review"),
)
def test_a_service_whose_clock_is_off_changes_nothing_but_moments(ask: Ask, name: str, way: str) -> None:
    well, off = ask("well", name), ask(way, name)
    assert timeless(rows_as_json(off.rows)) == timeless(rows_as_json(well.rows))
    assert (off.sample, off.notes) == (well.sample, well.notes)


@pytest.mark.parametrize("way", ["behind", "ahead"])
def test_what_hangs_on_order_says_that_a_clock_is_off(ask: Ask, told: dict[str, Told], way: str) -> None:
    """Durations of runs and steps are those of one clock each; what lies beside what is not, and says so."""
    runs = {one.attributes["leadtrace.run_id"] for one in told["well"].events if one.name == "delivery.started"}
    off = f"In {len(runs)} of these runs a clock is off; calls into other services were put in the middle of their caller."
    well, found = ask("well", "performance"), ask(way, "performance")
    assert (found.of(FlowTime), found.of(StepTime)) == (well.of(FlowTime), well.of(StepTime))
    assert off in found.notes
    assert off not in well.notes
    changed = ask(way, "what-if")
    before = [(one.flow, one.version, one.p50_ms, one.p95_ms, one.mean_ms) for one in changed.of(Duration)]
    assert before == [
        (one.flow, one.version, one.p50_ms, one.p95_ms, one.mean_ms) for one in ask("well", "what-if").of(Duration)
    ]
    assert off in changed.notes

    compared = ask(way, "compare")
    assert "In 2 of these leads a clock is off; calls into other services were put in the middle of their caller." in (
        compared.notes
    )
    assert [one for one in compared.of(Differs) if one.aspect != "order"] == [
        one for one in ask("well", "compare").of(Differs) if one.aspect != "order"
    ]
    well, found = ask("well", "patterns"), ask(way, "patterns")
    assert [(one.step, one.leads) for one in found.of(Conversion)] == [
        (one.step, one.leads) for one in well.of(Conversion)
    ]
    processes: dict[str, set[Any]] = defaultdict(set)
    for one in told[way].events:
        processes[one.lead_id].add((one.resource.service, one.resource.attributes.get("host.name")))
    several = sum(len(some) > 1 for lead, some in processes.items() if lead)
    assert f"{several} leads have events of several processes: their order is that of these processes' clocks" in (
        found.notes
    )


@pytest.mark.parametrize(("way", "words"), [("behind", "behind that of"), ("ahead", "ahead of that of")])
def test_lint_tells_whose_clock_is_off_and_nothing_else(ask: Ask, told: dict[str, Told], way: str, words: str) -> None:
    hosts: dict[str, set[str]] = defaultdict(set)
    for one in told["well"].events:
        if one.name == "flow.started":
            hosts[str(one.resource.attributes["host.name"])].add(one.lead_id)
    delivered = {one.lead_id for one in told["well"].events if one.name == "delivery.started"}
    found = ask(way, "lint").of(Linted)
    assert {(one.rule, one.what): one.leads.numerator for one in found} == {
        ("clock_skew", f"deliverer on deliverer-1 and pipeline on {host}"): len(leads & delivered)
        for host, leads in hosts.items()
    }
    for one in found:
        least = re.search(r"is about (\d+\.\d) s", one.text)
        assert least is not None
        assert float(least[1]) == pytest.approx(40, abs=1.5)  # as long as a run may take, beside
        assert words in one.text
    assert ask("well", "lint").rows == ()


@pytest.mark.parametrize("way", ["behind", "ahead"])
def test_hours_of_health_hold_what_was_told_in_them_by_whatever_clock(
    ask: Ask, told: dict[str, Told], way: str
) -> None:
    runs: dict[int, set[Any]] = defaultdict(set)
    failed: dict[int, set[Any]] = defaultdict(set)
    for one in told[way].events:
        run, hour = one.attributes.get("leadtrace.run_id"), one.time_ns // HOUR * HOUR
        bad = one.attributes.get("leadtrace.kind") == "failure" and not one.name.startswith("enhancement.")
        if run and (bad or one.name in ("flow.completed", "delivery.accepted")):
            runs[hour].add(run)
        if run and bad:
            failed[hour].add(run)
    rows = ask(way, "health").of(HealthHour)
    assert {one.hour_ns: one.flows for one in rows if one.flows} == {hour: len(some) for hour, some in runs.items()}
    assert {one.hour_ns: one.errors.numerator for one in rows if one.errors.numerator} == {
        hour: len(some) for hour, some in failed.items()
    }
    well = {
        one.hour_ns: (one.enhancements, one.cache_hits, one.mean_ms) for one in ask("well", "health").of(HealthHour)
    }
    assert {one.hour_ns: (one.enhancements, one.cache_hits, one.mean_ms) for one in rows if one.hour_ns in well} == well


@pytest.mark.slow
@pytest.mark.parametrize("way", ["behind", "ahead"])
def test_figures_of_a_review_are_the_same_by_whatever_clock(ask: Ask, way: str) -> None:
    well, off = ask("well", "review").of(ReviewFigure), ask(way, "review").of(ReviewFigure)
    assert off == well


# --- ends that are missing ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gone(told: dict[str, Told]) -> Counter[str]:
    """How many ends are missing, by what of."""
    names: Counter[str] = Counter()
    for one in without_ends(told["well"])[1]:
        names["flow" if one.name.startswith("flow") else one.name.rpartition(".")[0]] += 1
    assert min(names[one] for one in ("flow", "enhancement", "delivery", "operation", "lead.event")) >= 6
    return names


@pytest.mark.parametrize("name", ["errors", "capacity", "outbound", "surroundings"])
def test_what_needs_no_ends_says_the_same_without_some(ask: Ask, name: str) -> None:
    def kept(found: Report[Any]) -> Any:
        rows = [
            one
            for one in rows_as_json(found.rows)
            if name != "surroundings" or one["section"] != "flows"  # what is usual is of flows that ended
        ]
        return rows if name != "errors" else [{k: v for k, v in one.items() if k != "flows_stopped"} for one in rows]

    assert kept(ask("cut", name)) == kept(ask("well", name))
    assert ask("cut", name).of(ErrorGroup) or name != "errors"


def test_counts_of_ends_lose_those_that_are_missing_and_no_other(ask: Ask, told: dict[str, Told]) -> None:
    missing = Counter(one.name for one in without_ends(told["well"])[1])
    counts = [{one.name: one.events for one in ask(way, "frequency").rows} for way in ("well", "cut")]
    assert {name: count - counts[1].get(name, 0) for name, count in counts[0].items() if name in missing} == missing
    assert all(counts[1][name] == count for name, count in counts[0].items() if name not in missing)
    answers = Counter(
        str(one.attributes["delivery.buyer"])
        for one in told["cut"].events
        if one.name in ("delivery.accepted", "delivery.rejected", "delivery.failed")
    )
    assert {one.name: one.count for one in ask("cut", "series").rows} == answers


def test_what_began_and_has_no_end_is_counted_apart_or_noted(ask: Ask, gone: Counter[str]) -> None:
    assert sum(one.unfinished for one in ask("cut", "roi").of(Calls)) == gone["enhancement"]
    assert sum(one.unfinished for one in ask("well", "roi").of(Calls)) == 0
    assert f"{gone['delivery']} deliveries began in the window and have no answer: they are in no figure" in (
        ask("cut", "business").notes
    )
    assert {f"{gone[word]} more calls of a {sort} began in the window than ended in it: they are in no figure"
            for word, sort in (("enhancement", "service"), ("delivery", "buyer"))} <= {
        *ask("cut", "reliability").notes
    }  # fmt: skip
    assert not any("more calls" in one for one in ask("well", "reliability").notes)
    tries = [sum(one.tries for one in ask(way, "reliability").of(Partner)) for way in ("well", "cut")]
    assert tries[0] == tries[1]
    assert f"{gone['flow']} more flows began than ended and said how long they took: they are in no mean duration" in (
        ask("cut", "health").notes
    )
    waiting = [sum(one.waiting for one in ask(way, "ads").of(LeadEvents)) for way in ("well", "cut")]
    assert waiting[1] - waiting[0] == gone["lead.event"]


def test_runs_without_an_end_are_open_and_words_without_one_are_told(
    ask: Ask, told: dict[str, Told], gone: Any
) -> None:
    ended = {one.attributes["leadtrace.run_id"] for one in told["cut"].events if one.name == "flow.completed"}
    lacking = {
        one.attributes["leadtrace.run_id"]
        for one in without_ends(told["well"])[1]
        if one.attributes.get("leadtrace.run_id") in ended
    }
    said = f"{len(lacking)} of these runs have words without an end; their time counts as their caller's."
    found = ask("cut", "performance")
    assert (found.sample["completed_runs"], found.sample["open_runs"]) == (len(ended), gone["flow"])
    assert said in found.notes
    changed = ask("cut", "what-if")
    assert sum(one.runs for one in changed.of(Duration)) == len(ended)
    assert said in changed.notes
    open_runs = sum(one.runs for one in ask("cut", "patterns").of(Stop) if one.outcome == "")
    assert open_runs == gone["flow"]
    assert f"{gone['flow']} leads have not ended, and are in no share of bad ends" in ask("cut", "patterns").notes
    assert any("leads have words without an end" in one for one in ask("cut", "compare").notes)


def test_lint_finds_each_start_whose_end_is_missing_and_sums_that_no_longer_add_up(
    ask: Ask, told: dict[str, Told]
) -> None:
    missing = [one for one in without_ends(told["well"])[1] if not one.name.startswith("lead.event")]
    found = ask("cut", "lint").of(Linted)
    assert {one.rule for one in found} == {"orphan_start", "totals_differ"}
    assert sum(one.count for one in found if one.rule == "orphan_start") == len(missing)


def test_revenue_is_of_the_answers_that_are_there(ask: Ask, told: dict[str, Told]) -> None:
    rows = ask("cut", "business").of(Takings)
    for currency in ("USD", "EUR"):
        accepted = [
            one.attributes["delivery.revenue"]
            for one in told["cut"].events
            if one.name == "delivery.accepted" and one.attributes["delivery.currency"] == currency
        ]
        assert float(sum(one.revenue for one in rows if one.currency == currency)) == pytest.approx(sum(accepted))
