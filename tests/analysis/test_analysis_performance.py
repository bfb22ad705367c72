"""How long flows and steps take, against pandas; what runs wait for, against a walk of the records by another path."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict

import pytest
from drawn import BEGAN, MS, merged, records, sources_example, word
from in_duckdb import InDuckDB
from small import on_engines
from traffic import DAY, MONDAY, Traffic

import leadtrace
from leadtrace.analysis.performance import FlowTime, Improvable, PathPart, Resources, Slowest, StepTime, Waited
from leadtrace.analysis.what_if import Duration, Earned
from leadtrace.reading import Reader
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import Found
from leadtrace.store.relations.interface import Relations


def rank(values: list[float], share: float) -> float:
    return sorted(values)[max(1, math.ceil(round(share * len(values), 9))) - 1]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory):
    """Writes records into a store of their own and opens it."""
    opened: list[Reader] = []

    def store(found: Found) -> Reader:
        path = str(tmp_path_factory.mktemp("stored") / "store.db")
        writer = EmbeddedStore.open(path, write=True)
        writer.append(found.spans, found.events)
        writer.close()
        opened.append(leadtrace.open(path))
        return opened[-1]

    yield store
    for one in opened:
        one.close()


def test_durations_of_flows_are_those_that_pandas_finds(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    ended = frame[frame.name == "flow.completed"]
    found = reader.report("performance", sample=1)
    flows = found.of(FlowTime)
    assert sum(one.runs for one in flows) == len(ended) == found.sample["completed_runs"]
    for one in flows:
        mine = ended[(ended["flow.name"] == one.flow) & (ended["flow.version"] == int(one.version))]
        took = mine["flow.summary.total_duration_ms"].tolist()
        everyone = ended[ended["flow.name"] == one.flow]["flow.summary.total_duration_ms"].tolist()
        assert one.runs == len(took)
        assert (one.p50_ms, one.p90_ms) == (rank(took, 0.5), rank(took, 0.9))
        assert (one.p95_ms, one.p99_ms, one.max_ms) == (rank(took, 0.95), rank(took, 0.99), max(took))
        assert one.mean_ms == pytest.approx(sum(took) / len(took), abs=0.001)
        assert (one.baseline_runs, one.baseline_p50_ms) == (len(everyone), rank(everyone, 0.5))
        assert one.fast is not None
        assert one.slow is not None
        assert one.fast.numerator == sum(ms <= rank(everyone, 0.5) for ms in took)
        assert one.slow.numerator == sum(ms > rank(everyone, 0.95) for ms in took)
        assert one.healthy.numerator == sum(ms < 1000 for ms in took)


def test_durations_of_steps_are_those_that_pandas_finds(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    runs = frame[frame.name == "flow.started"].set_index("leadtrace.run_id")[["flow.name", "flow.version"]]
    ended = frame[(frame["leadtrace.kind"] != "start") & (frame["leadtrace.word"] == "enhancement")]
    joined = ended.join(runs.add_suffix(" of run"), on="leadtrace.run_id")
    steps = [one for one in reader.report("performance", sample=1).of(StepTime) if one.word == "enhancement"]
    assert len(steps) == 9
    for one in steps:
        mine = joined[
            (joined["flow.name of run"] == one.flow)
            & (joined["flow.version of run"] == int(one.version))
            & (joined["enhancement.name"] == one.name)
        ]
        took = mine["enhancement.duration_ms"].tolist()
        assert (one.calls, one.p50_ms, one.p95_ms) == (len(took), rank(took, 0.5), rank(took, 0.95))
        assert one.failed == sum(mine.name == "enhancement.failed")


def test_what_runs_wait_for_is_the_sum_over_their_spans_in_turn(reader: Reader, traffic: Traffic) -> None:
    """The traffic's words run one after the other, so that the path is every word less what lies in it."""
    until = traffic.since_ns + 2 * DAY
    spans = {one.span_id: one for one in traffic.spans}
    runs = {
        one.attributes["leadtrace.run_id"]: one
        for one in traffic.spans
        if one.attributes.get("leadtrace.word") == "flow" and one.end_ns < until
    }
    own: dict[tuple[str, str, str], float] = defaultdict(float)
    length = {one.span_id: (one.end_ns - one.start_ns) / MS for one in traffic.spans}
    for one in traffic.spans:
        run = runs.get(one.attributes["leadtrace.run_id"])
        if run is None:
            continue
        home = spans[one.parent_span_id] if one.attributes["leadtrace.word"] == "attempt" else one
        key = (str(run.attributes["flow.name"]), str(run.attributes["flow.version"]), home.name)
        own[key] += length[one.span_id]
        if one.parent_span_id:
            above = spans[one.parent_span_id]
            own[(*key[:2], above.name)] -= length[one.span_id]
    count: dict[tuple[str, str], int] = defaultdict(int)
    for run in runs.values():
        count[str(run.attributes["flow.name"]), str(run.attributes["flow.version"])] += 1
    found = reader.report("performance", sample=0, until_ns=until)
    assert found.sample["runs_read_whole"] == len(runs)
    parts = found.of(PathPart)
    for one in parts:
        expected = own[one.flow, one.version, one.name] / count[one.flow, one.version]
        assert one.path_ms == pytest.approx(expected, abs=0.01), one
        assert one.self_ms == pytest.approx(expected, abs=0.01), one
    for flow, version in count:
        mine = [one for one in parts if (one.flow, one.version) == (flow, version)]
        assert [one.bottleneck for one in mine] == [True, *[False] * (len(mine) - 1)]
        assert mine[0].path_ms == max(one.path_ms for one in mine)
    planted = traffic.truth.planted["slow_version"]
    means = {(one.flow, one.version): one.path_ms for one in parts if one.name == planted["step"]}
    slow, quick = means[planted["flow"], "2"], means[planted["flow"], "1"]
    assert slow - quick == pytest.approx(planted["more_ms"], rel=0.15)


def test_what_if_is_the_sum_of_what_is_left_of_each_run(reader: Reader, traffic: Traffic) -> None:
    """The traffic's words run one after the other: without one, a run takes as much less as it took."""
    until = traffic.since_ns + 2 * DAY
    flows = {
        str(one.attributes["leadtrace.run_id"]): one
        for one in traffic.spans
        if one.attributes["leadtrace.word"] == "flow" and one.end_ns < until
    }
    calls: dict[str, dict[str, tuple[float, float, bool]]] = defaultdict(dict)
    for one in traffic.spans:
        told = one.attributes
        if told["leadtrace.word"] == "enhancement" and told["leadtrace.run_id"] in flows:
            took = (one.end_ns - one.start_ns) / MS
            call = (took, told["enhancement.cost"], bool(told["enhancement.cache_hit"]))
            calls[str(told["enhancement.name"])][str(told["leadtrace.run_id"])] = call
    hits = sorted(took for took, _, hit in calls["phone validation"].values() if hit)
    hit_ms = rank(hits, 0.5)

    found = reader.report("what-if", sample=0, until_ns=until, without=("credit score",), cache=("phone validation",))
    assert found.sample["runs"] == len(flows)
    assert any(f"in {hit_ms:g} ms (as the median of those recorded from the cache)" in one for one in found.notes)
    for one in found.of(Duration):
        before, after, saved = [], [], 0.0
        for run, span in flows.items():
            if (span.attributes["flow.name"], str(span.attributes["flow.version"])) == (one.flow, one.version):
                took = (span.end_ns - span.start_ns) / MS
                left_out, its_cost, _ = calls["credit score"].get(run, (0.0, 0.0, False))
                cached, its_price, hit = calls["phone validation"].get(run, (hit_ms, 0.0, False))
                before.append(took)
                after.append(took - left_out - (0.0 if hit else cached - hit_ms))
                saved += its_cost + its_price
        assert one.runs == len(before)
        assert (one.p50_ms, one.p95_ms) == (
            pytest.approx(rank(before, 0.5), abs=1e-5),
            pytest.approx(rank(before, 0.95), abs=1e-5),
        )
        assert (one.new_p50_ms, one.new_p95_ms) == (
            pytest.approx(rank(after, 0.5), abs=1e-5),
            pytest.approx(rank(after, 0.95), abs=1e-5),
        )
        assert one.faster == pytest.approx(1 - sum(after) / sum(before), abs=1e-9)
        differences = [old - new for old, new in zip(before, after, strict=True)]
        if len(differences) < 30:
            assert (one.saved_low_ms, one.saved_high_ms) == (None, None)
            continue
        # Student's t at 97.5 % lies between the normal's 1.96 and the 2.05 of 29 degrees of freedom.
        deviation = statistics.stdev(differences) / len(differences) ** 0.5
        assert one.saved_low_ms is not None
        assert one.saved_high_ms is not None
        assert (one.saved_low_ms + one.saved_high_ms) / 2 == pytest.approx(statistics.fmean(differences), abs=1e-5)
        assert 1.95 <= (one.saved_high_ms - one.saved_low_ms) / 2 / deviation <= 2.06
        [money] = [
            row for row in found.of(Earned) if (row.flow, row.version, row.currency) == (one.flow, one.version, "USD")
        ]
        assert float(money.cost - money.new_cost) == pytest.approx(saved, abs=1e-6)
        assert float(money.new_margin - money.margin) == pytest.approx(saved, abs=1e-6)


def test_a_sample_is_stated_and_is_the_same_when_asked_again(reader: Reader) -> None:
    one, other = (reader.report("performance", sample=20) for _ in range(2))
    assert one == other
    assert one.sample["runs_read_whole"] == 20
    assert any("20 of the" in note for note in one.notes)
    assert any("too few to say what usually is the bottleneck" in note for note in one.notes)


def test_memory_is_bounded_and_the_answer_the_same_where_everything_fits(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More runs than are kept: parts are counted over all of them, remedies tried on those kept, what-if reads them twice."""
    asked = {"cache": ("credit score",), "without": ("geo lookup",), "sample": 40}
    whole, changed = reader.report("performance", sample=40), reader.report("what-if", **asked)
    monkeypatch.setattr("leadtrace.analysis.performance._KEPT", 3)
    monkeypatch.setattr("leadtrace.analysis.what_if._KEPT", 3)
    few = reader.report("performance", sample=40)
    assert few.of(PathPart) == whole.of(PathPart)
    assert {one.runs_changed.denominator for one in few.of(Improvable)} == {3}
    assert any("tried on 3 runs of each flow version at most" in one for one in few.notes)
    assert reader.report("what-if", **asked) == changed


def test_bands_are_of_the_time_before_the_window(reader: Reader, traffic: Traffic) -> None:
    since = traffic.since_ns + 4 * DAY
    frame = traffic.frame()
    ended = frame[frame.name == "flow.completed"]
    for one in reader.report("performance", since_ns=since, sample=1).of(FlowTime):
        mine = ended[ended["flow.name"] == one.flow]
        before = mine[mine.time_ns < since]["flow.summary.total_duration_ms"].tolist()
        after = mine[(mine.time_ns >= since) & (mine["flow.version"] == int(one.version))]
        took = after["flow.summary.total_duration_ms"].tolist()
        assert (one.runs, one.baseline_runs, one.baseline_p95_ms) == (len(took), len(before), rank(before, 0.95))
        assert one.normal is not None
        assert one.normal.numerator == sum(rank(before, 0.5) < ms <= rank(before, 0.95) for ms in took)


def test_without_enough_of_a_baseline_there_are_no_bands_and_the_reason_is_told(stored) -> None:
    found = stored(records(sources_example())).report("performance")
    (flow,) = found.of(FlowTime)
    assert (flow.p50_ms, flow.fast, flow.normal, flow.slow) == (1200, None, None, None)
    assert any("its baseline has 1 runs" in one for one in found.notes)
    assert any("of so few the percentiles say little" in one for one in found.notes)


def test_the_sources_example_by_the_report(stored) -> None:
    found = stored(records(sources_example())).report("performance")
    assert [(one.name, one.path_ms, one.bottleneck) for one in found.of(PathPart)][:2] == [
        ("deliver to Premier", 550, True),
        ("Enhancement 1", 300, False),
    ]
    assert next((one.change, one.saved_ms) for one in found.of(Improvable)) == ("cache Enhancement 1", 300)
    what_if = stored(records(sources_example())).report("what-if", without=("Enhancement 1", "Enhancement 2"))
    assert what_if.rows[0].faster == pytest.approx(0.4167, abs=1e-4)


def test_the_slowest_runs_are_told_with_what_each_waited_for(stored) -> None:
    several = [
        records(
            word(
                "flow", "F", 0, 100 + n, word("delivery", "deliver to A", 10, 90 + n, word("attempt", "POST", 20, 80))
            ),
            lead=f"l{n}",
            run=f"r{n}",
            trace=n + 1,
        )
        for n in range(8)
    ]
    found = stored(merged(*several)).report("performance").of(Slowest)
    assert [(one.lead_id, one.duration_ms) for one in found] == [(f"l{n}", 100 + n) for n in (7, 6, 5, 4, 3)]
    assert found[0].waited == (Waited("F", 0, 10), Waited("deliver to A", 10, 87), Waited("F", 97, 10))


def test_runs_that_failed_or_are_open_are_counted_apart(stored) -> None:
    def flow(number: int, end: tuple[str, str] | None, ended: float | None = 100) -> Found:
        return records(word("flow", "F", 0, ended, end=end), lead=f"l{number}", run=f"r{number}", trace=number + 1)

    found = stored(
        merged(
            flow(0, None),
            flow(1, ("flow.failed", "failure"), 900),
            flow(2, ("flow.cancelled", "cancelled")),
            flow(3, ("flow.interrupted", "failure")),
            flow(4, None, None),
        )
    ).report("performance")
    assert [one.max_ms for one in found.of(FlowTime)] == [100]
    counts = found.sample.counts
    assert {name: counts[name] for name in counts if name.endswith("_runs")} == {
        "completed_runs": 1,
        "failed_runs": 1,
        "cancelled_runs": 1,
        "interrupted_runs": 1,
        "open_runs": 1,
    }


def test_a_run_that_says_no_duration_has_that_between_its_start_and_its_end(stored) -> None:
    told = [
        records(word("flow", "F", 0, 100 + n), lead=f"l{n}", run=f"r{n}", trace=n + 1, spans=False) for n in range(3)
    ]
    for found in told[:2]:
        for one in found.events:
            one.attributes.pop("flow.summary.total_duration_ms", None)
    told[0].events = [one for one in told[0].events if one.name == "flow.completed"]
    found = stored(merged(*told)).report("performance")
    (flow,) = found.of(FlowTime)
    assert (flow.runs, flow.p50_ms, flow.max_ms) == (2, 101, 102)
    assert any("1 completed runs say no duration" in one for one in found.notes)


def test_missing_ends_and_clocks_that_are_off_are_told(stored) -> None:
    """The figures are those of the same run with its clock right and nothing missing but the word without an end."""

    def flow(off_ms: float) -> Found:
        theirs = word("step", "theirs", 30, 70, service="buyer", off_ms=off_ms)
        return records(
            word("flow", "F", 0, 100, word("attempt", "POST", 20, 80, theirs), word("step", "lost", 90, None))
        )

    off, right = stored(flow(-5000)).report("performance"), stored(flow(0)).report("performance")
    assert off.of(PathPart) == right.of(PathPart)
    assert [(one.name, one.path_ms) for one in off.of(PathPart)] == [("F", 60), ("theirs", 40)]
    assert any("1 of these runs have words without an end" in one for one in off.notes)
    assert any("In 1 of these runs a clock is off" in one for one in off.notes)
    assert not any("a clock is off" in one for one in right.notes)


def test_resources_are_what_flows_told_at_their_end(stored) -> None:
    def flow(number: int, cpu: float, concurrent: int) -> Found:
        used = {"flow__performance__cpu_ms": cpu, "flow__performance__concurrent_flows": concurrent}
        memory = {"flow__performance__peak_memory_bytes": 1000 + number}
        return records(
            word("flow", "F", 0, 100, flow__version=3, **used, **memory),
            lead=f"l{number}",
            run=f"r{number}",
            trace=number + 1,
        )

    (found,) = (
        stored(merged(*(flow(n, 10.0 * n, 1 if n < 3 else n) for n in range(1, 6)))).report("performance").of(Resources)
    )
    assert (found.runs, found.cpu_p50_ms, found.cpu_p95_ms) == (5, 30, 50)
    assert (found.runs_alone, found.cpu_alone_ms) == (2, 15)
    assert (found.peak_memory_bytes, found.concurrent_max) == (1005, 5)


def test_a_window_cuts_runs_by_their_end(stored) -> None:
    several = merged(
        *(records(sources_example(), lead=f"l{n}", run=f"r{n}", trace=n + 1, at_ms=n * 10_000) for n in range(4))
    )
    since, until = BEGAN + 10_000 * MS, BEGAN + 31_200 * MS
    found = stored(several).report("performance", since_ns=since, until_ns=until)
    assert (found.sample["completed_runs"], found.sample["runs_read_whole"]) == (2, 2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("performance", {"sample": 5}),
        ("performance", {"sample": 5, "flow": "Auto Insurance", "since_ns": MONDAY + 3 * DAY}),
        ("what-if", {"sample": 5, "cache": ("credit score",), "version": "2"}),
        ("lint", {"sample": 3}),
        ("compare", {"a": "outcome=rejected,source=google", "b": "buyer=Acme,since=2026-09-29", "sample": 5}),
        ("compare", {"a": "host=worker-3", "b": "error=ValueError", "sample": 5}),
        ("surroundings", {"fingerprint": ("credit-timeout", "parse-spring"), "flow": ("Home Insurance",)}),
    ],
)
def test_both_engines_say_the_same(engines: tuple[Relations, InDuckDB], name: str, options: dict) -> None:
    assert on_engines(name, engines, **options).sample.counts
