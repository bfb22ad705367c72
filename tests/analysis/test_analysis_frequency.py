"""Events by name, kind, flow and time, beside the same counts made by pandas from the records themselves."""

from __future__ import annotations

import pytest
from traffic import DAY, HOUR, Traffic

from leadtrace.analysis.exchange import report_from_json
from leadtrace.analysis.frequency import FREQUENCY
from leadtrace.errors import SettingsError
from leadtrace.reading import Reader


def test_counts_by_name_are_those_of_the_records(reader: Reader, traffic: Traffic) -> None:
    found = reader.report("frequency")
    assert {row.name: row.events for row in found.rows} == dict(traffic.truth.names)
    assert found.sample.counts == {"events": len(traffic.events), "leads": traffic.truth.leads}
    assert found.rows[0].events == max(traffic.truth.names.values())


def test_leads_and_times_are_those_of_the_records(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame().groupby(["name", "leadtrace.kind"])
    wanted = {
        key: (len(part), part["lead.id"].nunique(), part["time_ns"].min(), part["time_ns"].max()) for key, part in frame
    }
    rows = reader.report("frequency").rows
    assert {(row.name, row.kind): (row.events, row.leads, row.first_ns, row.last_ns) for row in rows} == wanted


@pytest.mark.parametrize(("over", "length"), [("hour", HOUR), ("day", DAY)])
def test_pieces_of_time_hold_what_fell_into_them(reader: Reader, traffic: Traffic, over: str, length: int) -> None:
    frame = traffic.frame()
    wanted = frame.groupby([frame["time_ns"] // length * length, "name"]).size().to_dict()
    found = reader.report("frequency", over=over)
    assert {(row.piece_ns, row.name): row.events for row in found.rows} == wanted
    pieces = [row.piece_ns for row in found.rows]
    assert pieces == sorted(pieces)


def test_an_event_inside_a_flow_counts_for_that_flow(reader: Reader, traffic: Traffic) -> None:
    frame = traffic.frame()
    flows = frame[frame["name"] == "flow.started"].set_index("leadtrace.run_id")["flow.name"]
    frame["flow"] = frame["leadtrace.run_id"].map(flows).fillna("")
    wanted = frame.groupby(["name", "flow"]).size().to_dict()
    rows = reader.report("frequency", by="flow").rows
    assert {(row.name, row.flow): row.events for row in rows} == wanted
    assert ("lead.returned", "") in wanted  # of no run

    one = reader.report("frequency", flow="Home Insurance")
    assert {row.name: row.events for row in one.rows} == {
        name: number for (name, flow), number in wanted.items() if flow == "Home Insurance"
    }
    assert one.sample["events_of_flow"] == sum(row.events for row in one.rows) < one.sample["events"]
    assert {row.share.denominator for row in one.rows} == {one.sample["events_of_flow"]}


def test_a_window_takes_its_start_and_not_its_end(reader: Reader, traffic: Traffic) -> None:
    times = sorted(one.time_ns for one in traffic.events)
    since, until = times[100], times[5_000]
    inside = [one for one in traffic.events if since <= one.time_ns < until]
    found = reader.report("frequency", since_ns=since, until_ns=until)
    assert sum(row.events for row in found.rows) == len(inside) == found.sample["events"]
    assert (found.window.since_ns, found.window.until_ns) == (since, until)


def test_a_flow_that_began_before_the_window_is_still_known_in_it(reader: Reader, traffic: Traffic) -> None:
    started = {one.attributes["leadtrace.run_id"]: one for one in traffic.events if one.name == "flow.started"}
    sold = next(one for one in traffic.events if one.name == "delivery.accepted")
    found = reader.report("frequency", by="flow", since_ns=sold.time_ns, until_ns=sold.time_ns + 1)
    assert {row.flow for row in found.rows} == {started[sold.attributes["leadtrace.run_id"]].attributes["flow.name"]}


def test_a_limit_leaves_out_the_last_rows_and_says_so(reader: Reader) -> None:
    whole = reader.report("frequency")
    found = reader.report("frequency", limit=3)
    assert found.rows == whole.rows[:3]
    assert found.notes == (f"{len(whole.rows) - 3} more rows, left out by the limit",)


def test_an_empty_window_is_an_empty_answer(reader: Reader) -> None:
    found = reader.report("frequency", since_ns=1, until_ns=2)
    assert found.rows == ()
    assert found.sample.counts == {"events": 0, "leads": 0}


def test_another_tenant_s_events_are_not_counted(reader: Reader, traffic: Traffic) -> None:
    assert reader.report("frequency", tenant="other").rows == ()
    assert reader.report("frequency", tenant="").sample["events"] == len(traffic.events)


def test_json_reads_back_into_the_same_report(reader: Reader) -> None:
    for options in ({}, {"over": "day", "by": "flow", "limit": 5}):
        found = reader.report("frequency", **options)
        assert report_from_json(FREQUENCY, found.as_json()) == found


def test_options_that_cannot_be_are_refused_with_what_can(reader: Reader) -> None:
    with pytest.raises(
        SettingsError, match=r"over of the report frequency cannot be 'week' \(expected: none, hour, day\)"
    ):
        reader.report("frequency", over="week")
    with pytest.raises(SettingsError, match="no option 'per'"):
        reader.report("frequency", per="day")
    with pytest.raises(SettingsError, match="did you mean frequency"):
        reader.report("frequenzy")
