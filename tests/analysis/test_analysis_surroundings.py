"""What other leads tell of one: errors like its own and what they have in common, and whether its flow was fast for its kind."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from drawn import BEGAN, MS, merged, records, timeline, word
from traffic import Traffic

import leadtrace
from leadtrace.analysis.surroundings import FlowUsual, KindredErrors
from leadtrace.errors import SourceError
from leadtrace.otlp.records import EventRecord, Resource, Scope
from leadtrace.query.surroundings import Usual, band_of
from leadtrace.reading import Reader
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import Found

HOSTS = ("worker-1", "worker-2", "worker-3")


def lead(number: int, ms: float = 100, host: str = "worker-1", error: str = "", hour: int | None = None) -> Found:
    """One run on that host, with one error of that fingerprint; at that hour of its day, else three minutes after the last."""
    at_ms = number * 180_000 if hour is None else number * 86_400_000 + (hour * 3_600_000 - BEGAN // MS % 86_400_000)
    found = records(
        word("flow", "Sale", 0, ms), lead=f"lead_{number}", run=f"run_{number}", trace=number + 1, at_ms=at_ms
    )
    resource = Resource({"service.name": "intake", "host.name": host})
    for one in (*found.spans, *found.events):
        one.resource = resource
    if error:
        start = found.events[0]
        told = {
            "lead.id": f"lead_{number}",
            "leadtrace.run_id": f"run_{number}",
            "leadtrace.kind": "error",
            "error.type": "ValueError",
            "error.fingerprint": error,
            "log.record.uid": f"{number + 1:016x}{1:012x}",
        }
        found.events.append(
            EventRecord(
                "error.occurred",
                start.time_ns + 10 * MS,
                start.trace_id,
                start.span_id,
                told,
                resource,
                Scope("leadtrace"),
            )
        )
    return found


def opened(folder: Path, *several: Found) -> Reader:
    path = str(folder / "store.db")
    writer = EmbeddedStore.open(path, write=True)
    for found in several:
        writer.append(found.spans, found.events)
    writer.close()
    return leadtrace.open(path)


def reader_side(reader: Reader, lead_id: str, name: str) -> dict:
    entries = [one for one in reader.timeline(lead_id).events if one.name == name]
    return entries[0].reader


def test_errors_that_come_from_one_host_form_a_pattern(tmp_path: Path) -> None:
    several = [
        lead(n, host=HOSTS[n % 3], error="parse" if n % 3 == 2 and n > 20 else "other" if n % 10 == 0 else "")
        for n in range(60)
    ]
    with opened(tmp_path, *several) as reader:
        told = reader_side(reader, "lead_59", "error.occurred")
        assert told["troubleshooting.related_errors"] == 12
        assert told["troubleshooting.pattern_detected"] is True
        assert told["leadtrace.pattern"] == "13 of 13 on host worker-3, where 33% of runs are"
        assert "12 others like it nearby: 13 of 13 on host worker-3, where 33% of runs are" in str(
            reader.timeline("lead_59")
        )
        spread = reader_side(reader, "lead_40", "error.occurred")
        assert (spread["troubleshooting.related_errors"], spread["troubleshooting.pattern_detected"]) == (4, False)
        assert "leadtrace.pattern" not in spread


def test_errors_at_one_hour_of_the_day_form_a_pattern(tmp_path: Path) -> None:
    several = [lead(n, hour=14 if n % 4 == 0 else n % 24, error="slow" if n % 4 == 0 else "") for n in range(1, 80)]
    with opened(tmp_path, *several) as reader:
        told = reader_side(reader, "lead_40", "error.occurred")
    assert told["leadtrace.pattern"].startswith("19 of 19 at the hour (UTC) 14, where ")


def test_few_errors_or_errors_of_one_lead_form_no_pattern(tmp_path: Path) -> None:
    several = [lead(n, host=HOSTS[n % 3], error="rare" if n in (2, 5, 8, 11) else "") for n in range(60)]
    with opened(tmp_path, *several) as reader:
        told = reader_side(reader, "lead_5", "error.occurred")
    assert (told["troubleshooting.related_errors"], told["troubleshooting.pattern_detected"]) == (3, False)


def test_the_order_in_which_records_arrived_does_not_make_a_pattern(tmp_path: Path) -> None:
    """Hosts by chance, whatever the draw: what is planted nowhere is found nowhere."""
    for seed in range(5):
        chance = random.Random(seed)
        several = [lead(n, host=chance.choice(HOSTS), error="x" if chance.random() < 0.3 else "") for n in range(90)]
        chance.shuffle(several)
        folder = tmp_path / str(seed)
        folder.mkdir()
        with opened(folder, merged(*several)) as reader:
            row = next(iter(reader.report("surroundings", fingerprint=("x",)).of(KindredErrors)))
        assert row.errors == sum(any(one.name == "error.occurred" for one in found.events) for found in several)
        assert row.leads == row.errors == row.looked_at
        assert row.pattern == ""


def test_without_other_leads_only_the_timelines_own_errors_count() -> None:
    found = lead(1, error="x")
    from leadtrace.query.timeline import build

    entry = next(one for one in build(found, "lead_1").events if one.name == "error.occurred")
    assert entry.reader["troubleshooting.related_errors"] == 0
    assert "troubleshooting.pattern_detected" not in entry.reader
    assert all("flow.performance.processing_time" not in one.reader for one in timeline(word("flow", "F", 0, 9)).events)


def test_a_flow_is_fast_or_slow_against_its_own_runs_before(tmp_path: Path) -> None:
    several = [lead(n, ms=100 + n) for n in range(100)]
    several += [lead(100, ms=50), lead(101, ms=180), lead(102, ms=500)]
    with opened(tmp_path, *several) as reader:
        bands = {
            n: reader_side(reader, f"lead_{n}", "flow.completed").get("flow.performance.processing_time")
            for n in (10, 100, 101, 102)
        }
        story = str(reader.timeline("lead_102"))
    assert bands == {10: None, 100: "fast", 101: "normal", 102: "slow"}
    assert "slower than 95 % of this flow's runs before" in story


@pytest.mark.parametrize(
    ("ms", "runs", "band"),
    [(10, 30, "fast"), (10.1, 30, "normal"), (20, 30, "normal"), (20.1, 30, "slow"), (1, 29, None)],
)
def test_bands_have_their_limits_at_the_median_and_the_95th_percentile(ms: float, runs: int, band: str | None) -> None:
    assert band_of(ms, Usual(runs, 10, 20)) == band


def test_what_is_usual_is_what_pandas_says_of_the_runs_that_arrived_last(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    ended = frame[frame.name == "flow.completed"].sort_values("time_ns").tail(600)
    for row in reader.report("surroundings", flow=("Auto Insurance", "Home Insurance")).of(FlowUsual):
        took = ended[ended["flow.name"] == row.flow]["flow.summary.total_duration_ms"]
        assert row.runs == len(took)
        assert row.p50_ms == took.quantile(0.5, interpolation="lower")


def test_a_source_that_cannot_say_leaves_the_timeline_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, *(lead(n, host=HOSTS[2], error="x") for n in range(20))) as reader:
        monkeypatch.setattr(Reader, "report", lambda *_, **__: (_ for _ in ()).throw(SourceError("too old")))
        found = reader.timeline("lead_3")
    entry = next(one for one in found.events if one.name == "error.occurred")
    assert entry.reader["troubleshooting.related_errors"] == 0
    assert found.complete
