"""Volume against capacity: known lines, the same fits by pandas and numpy, and when it is honest to give a date."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traffic import DAY, HOUR, MONDAY, SCOPE, Traffic

import leadtrace
from leadtrace.analysis.capacity import CAPACITY, ResourceRow, VolumeRow
from leadtrace.analysis.exchange import report_from_json
from leadtrace.analysis.model import Report
from leadtrace.analysis.trend import fit
from leadtrace.otlp.records import EventRecord, Resource
from leadtrace.reading import Reader
from leadtrace.store.embedded import EmbeddedStore

CACHE = {"host.name": "w1", "service.name": "router", "service.instance.id": "1"}


def sample(time_ns: int, number: int, *, host: str = "w1", instance: str = "1", **figures: float) -> EventRecord:
    return EventRecord(
        "system.capacity.sampled",
        time_ns,
        "",
        "",
        {
            "leadtrace.kind": "milestone",
            "log.record.uid": f"{9:016x}{number:012x}",
            **{f"system.capacity.{name}": value for name, value in figures.items()},
        },
        Resource({"service.name": "router", "service.instance.id": instance, "host.name": host}),
        SCOPE,
        observed_ns=time_ns,
    )


def flow(time_ns: int, number: int) -> EventRecord:
    run = f"{number:016x}"
    return EventRecord(
        "flow.started",
        time_ns,
        run.zfill(32),
        run,
        {
            "lead.id": run,
            "leadtrace.kind": "start",
            "leadtrace.run_id": run,
            "log.record.uid": f"{8:016x}{number:012x}",
        },
        Resource({"service.name": "router", "host.name": "w1"}),
        SCOPE,
        observed_ns=time_ns,
    )


@pytest.fixture
def answered(tmp_path: Path) -> Callable[..., Report]:
    numbers = itertools.count()

    def answer(events: list[EventRecord], **options: object) -> Report:
        path = tmp_path / f"{next(numbers)}.db"  # each in a store of its own
        store = EmbeddedStore.open(path, write=True)
        store.append([], events)
        store.close()
        with leadtrace.open(str(path)) as reader:
            return reader.report("capacity", now_ns=1, **options)

    return answer


def rising(days: int = 10, a_day: float = 0.05, start: float = 0.2) -> list[EventRecord]:
    """Four samples a day; the peak of each day, at noon, rises by the same share of the maximum."""
    events = []
    for day in range(days):
        for hour, share in ((0, 0.3), (6, 0.7), (12, 1.0), (18, 0.6)):
            queue = round((start + a_day * day) * share * 1_000_000)
            events.append(
                sample(MONDAY + day * DAY + hour * HOUR, len(events), queue_depth=queue, queue_depth_max=1_000_000)
            )
    return events


def test_a_steady_rise_meets_its_limit_on_the_day_that_one_can_count(answered: Callable[..., Report]) -> None:
    """20 % at noon of the first day and 5 % more each day: 100 % at noon of the 17th, 16 days later."""
    [row] = answered(rising()).of(ResourceRow)
    assert (row.service, row.host, row.resource, row.samples, row.points) == ("router", "w1", "queue_depth", 40, 10)
    assert (row.maximum, row.latest, row.peak) == (1_000_000.0, pytest.approx(0.39), pytest.approx(0.65))
    assert (row.trend_a_day, row.fit) == (pytest.approx(0.05), pytest.approx(1.0))
    assert row.full_ns == pytest.approx(MONDAY + 16 * DAY + 12 * HOUR, abs=1e12)
    assert (row.peak_ns, row.note) == (MONDAY + 9 * DAY + 12 * HOUR, "")


def test_another_limit_than_all_of_it(answered: Callable[..., Report]) -> None:
    [row] = answered(rising(), at=0.8).of(ResourceRow)
    assert row.full_ns == pytest.approx(MONDAY + 12 * DAY + 12 * HOUR, abs=1e12)


def test_a_scattered_rise_has_the_fit_and_interval_that_numpy_gives(answered: Callable[..., Report]) -> None:
    rng = random.Random(4)
    shares = [0.3 + 0.02 * day + rng.uniform(-0.05, 0.05) for day in range(14)]
    events = [
        sample(MONDAY + day * DAY, day, memory=round(share * 10**9), memory_max=10**9)
        for day, share in enumerate(shares)
    ]
    [row] = answered(events).of(ResourceRow)
    days = numpy.arange(14.0)
    (slope, height), covariance = numpy.polyfit(days, shares, 1, cov=True)
    assert row.trend_a_day == pytest.approx(slope, rel=1e-5)
    assert row.fit == pytest.approx(numpy.corrcoef(days, shares)[0, 1] ** 2, rel=1e-5)
    reach = 2.1788128 * covariance[0, 0] ** 0.5  # Student's 97.5 % of 12 degrees of freedom
    assert (row.trend_low, row.trend_high) == (
        pytest.approx(slope - reach, rel=1e-4),
        pytest.approx(slope + reach, rel=1e-4),
    )
    assert row.full_ns == pytest.approx(MONDAY + (1 - height) / slope * DAY, abs=1e13)
    assert row.full_from_ns < row.full_ns < row.full_until_ns


@pytest.mark.parametrize(
    ("shares", "note"),
    [
        ([0.5, 0.52, 0.49, 0.51, 0.5, 0.48, 0.52], "no trend: "),
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], "it falls: -10.00% a day"),
        ([0.1, 0.101, 0.102, 0.103, 0.104, 0.105], "it rises by 0.10% a day; the limit is too far ahead to say when"),
        ([0.5, 0.6, 0.7, 0.8, 0.9, 1.0], "at its limit now"),
        ([0.5, 0.6, 0.7], "too few to tell: peaks of 3 hours, at least 6 needed"),
    ],
)
def test_where_no_date_can_be_given_it_says_why(
    answered: Callable[..., Report], shares: list[float], note: str
) -> None:
    events = [
        sample(MONDAY + day * DAY, day, disk=round(one * 10**6), disk_max=10**6) for day, one in enumerate(shares)
    ]
    [row] = answered(events).of(ResourceRow)
    assert row.note.startswith(note)
    assert (row.full_ns is None) == (note != "at its limit now")
    assert row.service == ""  # a disk is the host's


def test_with_few_days_the_peaks_of_hours_are_taken(answered: Callable[..., Report]) -> None:
    events = [sample(MONDAY + one * HOUR // 2, one, in_flight=10 + one, in_flight_max=100) for one in range(24)]
    [row] = answered(events).of(ResourceRow)
    assert row.points == 12
    # 2 more of 100 an hour; 33 at 11:30, so the 100 are met 33.5 hours later.
    assert row.full_ns == pytest.approx(MONDAY + 45 * HOUR, abs=2e9)


def test_volume_stands_beside_what_all_processes_together_are_made_for(answered: Callable[..., Report]) -> None:
    events = [flow(MONDAY + one * (HOUR // 90), one) for one in range(90)]
    events += [flow(MONDAY + HOUR + one, 90 + one) for one in range(30)]
    for number, (host, instance, most) in enumerate([("w1", "1", 60.0), ("w1", "2", 60.0), ("w2", "1", 30.0)]):
        for again in range(2):
            events.append(
                sample(
                    MONDAY + 60 * 10**9 * again,
                    number * 2 + again,
                    host=host,
                    instance=instance,
                    flows_per_hour=1.0,
                    flows_per_hour_max=most,
                )
            )
    found = answered(events)
    assert found.of(VolumeRow) == (
        VolumeRow(MONDAY, 90, 150.0, 0.6),
        VolumeRow(MONDAY + HOUR, 30, None, None),
    )
    [row] = [one for one in found.of(ResourceRow) if one.resource == "flows_per_hour"]
    assert (row.service, row.maximum, row.peak) == ("", 150.0, 0.6)
    assert found.sample.counts == {"samples": 6, "hours": 2, "flows": 120}
    assert report_from_json(CAPACITY, found.as_json()) == found


def test_volume_is_the_flows_that_began_in_each_hour(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    starts = frame[frame["name"] == "flow.started"]
    rows = reader.report("capacity").of(VolumeRow)
    assert {one.hour_ns: one.flows for one in rows if one.flows} == starts.groupby(
        starts["time_ns"] // HOUR * HOUR
    ).size().to_dict()


def test_what_was_not_sampled_or_declared_is_said(answered: Callable[..., Report]) -> None:
    found = answered([flow(MONDAY, 1)])
    assert found.of(ResourceRow) == ()
    assert found.notes[0] == "no samples of capacity: sample_capacity() takes them where flows run"
    found = answered([sample(MONDAY, 1, cpu=1.0, cpu_max=2.0, memory=5)])
    assert [one.resource for one in found.of(ResourceRow)] == ["cpu"]  # memory has no maximum beside it
    assert "no flows per hour were declared: volume has nothing to be compared with" in found.notes


def test_order_of_arrival_and_duplicates_change_nothing(answered: Callable[..., Report]) -> None:
    straight = answered(rising()).as_json()
    shuffled = rising()
    random.Random(1).shuffle(shuffled)
    assert answered([*shuffled, *shuffled[:10]]).as_json() == straight


def test_a_clock_that_is_off_moves_the_date_by_as_much_and_nothing_else(answered: Callable[..., Report]) -> None:
    late = [replace(one, time_ns=one.time_ns + 600 * 10**9) for one in rising()]
    (row,), (off,) = answered(rising()).of(ResourceRow), answered(late).of(ResourceRow)
    assert (off.maximum, off.latest, off.peak, off.points) == (row.maximum, row.latest, row.peak, row.points)
    assert (off.trend_a_day, off.fit) == (pytest.approx(row.trend_a_day), pytest.approx(row.fit))
    assert off.full_ns - row.full_ns == pytest.approx(600 * 10**9, abs=10**9)
    assert off.peak_ns - row.peak_ns == 600 * 10**9


def test_samples_that_are_missing_are_fewer_and_the_line_stays_where_the_peaks_are(
    answered: Callable[..., Report],
) -> None:
    whole = rising()
    gaps = [one for number, one in enumerate(whole) if number % 4 == 2 or number % 3]  # each day's peak is at noon
    (row,), (cut,) = answered(whole).of(ResourceRow), answered(gaps).of(ResourceRow)
    assert (row.samples, cut.samples, cut.points) == (40, len(gaps), 10)
    assert (cut.trend_a_day, cut.full_ns, cut.peak) == (row.trend_a_day, row.full_ns, row.peak)
    (fewer,) = answered([one for one in whole if one.time_ns < MONDAY + 4 * DAY]).of(ResourceRow)
    assert fewer.points != row.points
    assert fewer.samples == 16


def test_only_one_service(answered: Callable[..., Report]) -> None:
    assert answered(rising(), service="other").of(ResourceRow) == ()
    assert len(answered(rising(), service="router").of(ResourceRow)) == 1


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=40),
    st.floats(-0.1, 0.1),
)
def test_a_line_through_any_points_is_numpys(noise: list[float], slope: float) -> None:
    places = [float(one) for one in range(len(noise))]
    heights = [slope * at + one for at, one in zip(places, noise, strict=True)]
    line = fit(places, heights)
    assert line is not None
    expected = numpy.polyfit(places, heights, 1)
    assert line.slope == pytest.approx(expected[0], abs=1e-9)
    assert line.level - line.slope * line.at == pytest.approx(expected[1], abs=1e-9)
    assert line.low <= line.slope <= line.high
    assert 0 <= line.fit <= 1


def test_no_line_goes_through_two_points_or_one_place() -> None:
    assert fit([1.0, 2.0], [1.0, 2.0]) is None
    assert fit([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
