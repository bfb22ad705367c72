"""What happened over time by what names it, beside the same counts made by pandas from the records themselves."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import pytest
from traffic import DAY, HOUR, MONDAY, NS, Traffic

import leadtrace
from leadtrace.analysis.exchange import report_from_json
from leadtrace.analysis.series import SERIES, column_of
from leadtrace.errors import SettingsError
from leadtrace.otlp.records import EventRecord, Resource
from leadtrace.reading import Reader
from leadtrace.store.embedded import EmbeddedStore


@pytest.mark.parametrize(("bucket", "length"), [(3600, HOUR), (86_400, DAY), (0, 0)])
def test_leads_of_a_group_are_different_leads_by_their_first_event_of_the_day(
    reader: Reader, traffic: Traffic, bucket: int, length: int
) -> None:
    frame = traffic.frame()
    starts = frame[frame["name"].isin(["flow.started", "lead.received"])]
    starts = starts.assign(group=starts["flow.journey.campaign_group"].fillna(starts.get("lead.campaign_group")))
    starts = starts[starts["group"].notna()]
    firsts = starts.groupby(["group", "lead.id", starts["time_ns"] // DAY])["time_ns"].min().reset_index(name="first")
    pieces = firsts["first"] // length * length if length else firsts["first"] * 0
    wanted = firsts.groupby(["group", pieces]).size().to_dict()
    found = reader.report("series", of="leads", by="campaign_group", bucket_s=bucket)
    assert {(row.name, row.piece_ns): row.count for row in found.rows} == wanted
    assert found.sample.counts == {"leads": sum(wanted.values())}


def test_the_window_cuts_pieces_and_changes_no_count_inside(reader: Reader) -> None:
    """A lead that was there before the window, on the same day, is not counted inside it."""
    whole = reader.report("series", of="leads", by="flow", bucket_s=3600).rows
    since, until = MONDAY + 2 * DAY + 9 * HOUR, MONDAY + 4 * DAY + 17 * HOUR
    part = reader.report("series", of="leads", by="flow", bucket_s=3600, since_ns=since, until_ns=until).rows
    assert part == tuple(row for row in whole if since <= row.piece_ns < until)


def test_outcomes_count_answers_and_which_of_them_failed(reader: Reader, traffic: Traffic) -> None:
    rows = reader.report("series", of="outcomes", by="buyer", bucket_s=0).rows
    ends: Counter[str] = Counter()
    for (buyer, _), count in traffic.truth.deliveries.items():
        ends[buyer] += count
    assert {row.name: row.count for row in rows} == dict(ends)
    assert {row.name: row.bad for row in rows} == {buyer: traffic.truth.deliveries[buyer, "failed"] for buyer in ends}


def test_an_enhancement_is_found_by_its_name_and_by_its_service(reader: Reader, traffic: Traffic) -> None:
    by_name = reader.report("series", of="outcomes", by="enhancement", values=("credit score",), bucket_s=0).rows
    by_service = reader.report("series", of="outcomes", by="enhancement", values=("CreditCo",), bucket_s=0).rows
    calls = traffic.truth.calls
    assert by_name == by_service
    assert [(one.name, one.also, one.count, one.bad) for one in by_name] == [
        (
            "credit score",
            "CreditCo",
            calls["credit score", "success"] + calls["credit score", "failed"],
            calls["credit score", "failed"],
        )
    ]


def test_durations_are_those_of_the_ends_to_three_digits(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    took = frame[frame["name"].isin(["enhancement.success", "enhancement.failed"])]
    wanted = sorted(took[took["enhancement.name"] == "geo lookup"]["enhancement.duration_ms"])
    rows = reader.report("series", of="durations", by="enhancement", values=("geo lookup",), bucket_s=0).rows
    found = sorted(row.value for row in rows for _ in range(row.count))
    assert found == pytest.approx(wanted, rel=0.005)


def test_errors_are_counted_by_fingerprint(reader: Reader, traffic: Traffic) -> None:
    rows = reader.report("series", of="errors", bucket_s=0).rows
    assert {row.name: row.count for row in rows} == dict(traffic.truth.errors)


def test_work_is_all_that_began(reader: Reader, traffic: Traffic) -> None:
    rows = reader.report("series", of="work", bucket_s=900).rows
    assert all(row.piece_ns % (900 * NS) == 0 for row in rows)
    assert len({row.piece_ns for row in rows}) == len(rows)
    begun = ("flow.started", "delivery.started", "enhancement.started")
    assert sum(row.count for row in rows) == sum(traffic.truth.names[one] for one in begun)


def test_the_last_lead_is_the_last(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    wanted = frame[frame["name"] == "delivery.accepted"].groupby("delivery.buyer")["time_ns"].max().to_dict()
    rows = reader.report("series", of="last", by="buyer").rows
    assert {row.name: row.last_ns for row in rows} == wanted


def test_any_text_column_names_too_and_the_attribute_finds_its_column(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    wanted = frame[frame["name"] == "flow.started"].groupby("flow.journey.source")["lead.id"].nunique().to_dict()
    by = column_of("flow.journey.source")
    rows = reader.report("series", of="leads", by=by, events=("flow.started",), bucket_s=0).rows
    assert {row.name: row.count for row in rows} == wanted
    assert (by, column_of("error.step"), column_of("cost_micro")) == ("source", "", "")
    with pytest.raises(SettingsError, match="no column 'buyr'; did you mean buyer"):
        reader.report("series", by="buyr")
    with pytest.raises(SettingsError, match="which events"):
        reader.report("series", by="source")


def test_one_lead_of_several_events_is_one_and_events_without_a_lead_are_each(tmp_path: Path) -> None:
    """Received, started and told to a platform within one day is one lead; the next day it is another. What several platforms
    are told of somebody who is no lead yet is one as well."""

    def one(name: str, at: int, **attributes: str) -> EventRecord:
        return EventRecord(name, at, attributes=attributes, resource=Resource({"service.name": "p"}))

    noon = MONDAY + 12 * HOUR
    events = [
        one("lead.received", noon, **{"lead.id": "a", "lead.campaign_group": "brand"}),
        one("flow.started", noon + NS, **{"lead.id": "a", "flow.journey.campaign_group": "brand"}),
        one("lead.event.received", noon + 2 * NS, **{"lead.id": "a", "lead.event.campaign_group": "brand"}),
        one("flow.started", noon + DAY, **{"lead.id": "a", "flow.journey.campaign_group": "brand"}),
        one("lead.event.received", noon, **{"lead.event.campaign_group": "brand", "lead.event.id": "1"}),
        *(
            one(
                "lead.event.received",
                noon + late,
                **{"lead.event.campaign_group": "brand", "lead.event.id": "2", "lead.event.destination": platform},
            )
            for late, platform in enumerate(("Meta Ads", "Google Ads"))
        ),
        one("lead.received", noon, **{"lead.id": "b"}),
    ]
    with contextlib.closing(EmbeddedStore.open(tmp_path / "s.db", write=True)) as store:
        store.append([], [*events, *events])
    with leadtrace.open(str(tmp_path / "s.db")) as reader:
        rows = reader.report("series", bucket_s=86_400).rows
        assert [(row.name, row.piece_ns, row.count, row.first_ns) for row in rows] == [
            ("brand", MONDAY, 3, noon),
            ("brand", MONDAY + DAY, 1, noon + DAY),
        ]
        found = reader.report("series", of="outcomes", limit=1)
        assert report_from_json(SERIES, found.as_json()) == found


def test_capacity_is_a_share_of_the_maximum_told_with_it_and_health_is_what_it_went_over_to(tmp_path: Path) -> None:
    """What comes without a maximum is no share of anything."""
    resource = Resource({"service.name": "crm", "host.name": "h1"})
    sample = {
        "system.capacity.queue_depth": 45,
        "system.capacity.queue_depth_max": 50,
        "system.capacity.in_flight": 3,
        "system.capacity.cpu": 0.5,
        "system.capacity.cpu_max": 2.0,
    }
    events = [
        EventRecord("system.capacity.sampled", MONDAY, attributes=sample, resource=resource),
        EventRecord("system.health.changed", MONDAY + 1, attributes={"system.health.to": "crisis"}, resource=resource),
    ]
    with contextlib.closing(EmbeddedStore.open(tmp_path / "s.db", write=True)) as store:
        store.append([], events)
    with leadtrace.open(str(tmp_path / "s.db")) as reader:
        rows = reader.report("series", of="capacity").rows
        assert [(row.name, row.also, row.value) for row in rows] == [("crm", "queue_depth", 0.9), ("crm", "cpu", 0.25)]
        (changed,) = reader.report("series", of="health").rows
        assert (changed.name, changed.text, changed.first_ns) == ("crm", "crisis", MONDAY + 1)


def test_rows_and_columns_answer_alike(traffic: Traffic, tmp_path: Path) -> None:
    """The same texts over the columnar copy, every sort of series, whole and cut by a window."""
    from leadtrace.store.columns.upkeep import Upkeep

    path = tmp_path / "s.db"
    with contextlib.closing(EmbeddedStore.open(path, write=True)) as store:
        traffic.write(store)
        asked = [
            {"of": of, "by": by, "bucket_s": bucket, **window}
            for of in ("leads", "outcomes", "durations", "errors", "work", "last", "capacity", "health")
            for by in ("campaign_group", "enhancement")
            for bucket, window in ((3600, {"since_ns": MONDAY + 30 * HOUR, "until_ns": MONDAY + 3 * DAY}), (0, {}))
        ]
        with leadtrace.open(str(path)) as reader:
            rows = [reader.report("series", now_ns=1, **one) for one in asked]
        assert Upkeep(store).copy() > 0
        with leadtrace.open(str(path)) as reader:
            columns = [reader.report("series", now_ns=1, **one) for one in asked]
    for one, row, column in zip(asked, rows, columns, strict=True):
        assert row.rows == column.rows, one
    assert sum(len(one.rows) for one in rows) > 500
