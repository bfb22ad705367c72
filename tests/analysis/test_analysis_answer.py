"""Reports through every way to ask: Python, the command line, a running server; the answer is the same."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

import leadtrace
from leadtrace.analysis.registry import REPORTS, analysis
from leadtrace.cli import main
from leadtrace.errors import SettingsError
from leadtrace.reading import Reader
from leadtrace.store.interface import Holds

_spec = importlib.util.spec_from_file_location("store_conftest", Path(__file__).parents[1] / "store" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
store_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(store_conftest)


@pytest.fixture(scope="module")
def served(traffic_path: str) -> Iterator[str]:
    """A running server over the traffic's store."""
    with store_conftest.serving(traffic_path) as url:
        yield url


def test_a_server_gives_the_same_typed_report_as_the_store(served: str, reader: Reader) -> None:
    with leadtrace.open(served) as remote:
        for options in ({}, {"over": "day", "by": "flow"}, {"flow": "Home Insurance", "limit": 2}, {"tenant": ""}):
            assert remote.report("frequency", now_ns=5, **options) == reader.report("frequency", now_ns=5, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("performance", {"sample": 5}),
        ("what-if", {"sample": 5, "timeout": ("credit score=100ms",)}),
        ("lint", {"lead": ("lead_00000199",)}),
        ("compare", {"a": "lead_00000001\nlead_00000003\n", "b": "outcome=delivered", "sample": 5}),
        ("surroundings", {"fingerprint": ("credit-timeout",), "flow": ("Auto Insurance",), "arrival": 5000}),
    ],
)
def test_a_server_answers_on_timelines_too(served: str, reader: Reader, name: str, options: dict) -> None:
    with leadtrace.open(served) as remote:
        assert remote.report(name, now_ns=5, **options) == reader.report(name, now_ns=5, **options)


def test_a_timeline_from_a_server_knows_what_other_leads_tell(served: str, reader: Reader, traffic) -> None:
    failed = next(one.lead_id for one in reversed(traffic.events) if one.name == "error.occurred")
    with leadtrace.open(served) as remote:
        found, other = remote.timeline(failed), reader.timeline(failed)
    assert [one.reader for one in found.entries] == [one.reader for one in other.entries]
    assert any("troubleshooting.pattern_detected" in one.reader for one in found.entries)
    assert any("flow.performance.processing_time" in one.reader for one in found.entries)


def test_an_option_too_long_for_an_address_is_posted(served: str) -> None:
    with leadtrace.open(served) as remote:
        found = remote.report("frequency", flow="x" * 10_000)
    assert (found.rows, found.sample["events_of_flow"]) == ((), 0)


def test_a_server_refuses_what_the_store_refuses(served: str) -> None:
    from leadtrace.store.served import ServedStore

    remote = ServedStore(served)
    with pytest.raises(SettingsError, match="over of the report frequency cannot be 'week'"):
        remote.report("frequency", [("over", "week")])
    with pytest.raises(SettingsError, match="no report 'x'"):
        remote.report("x", [])
    with pytest.raises(SettingsError, match="since_ns of the report frequency is int"):
        remote.report("frequency", [("since_ns", "soon")])
    remote.close()


def test_what_a_server_does_not_find_is_not_found_as_in_the_store(served: str, traffic_path: str) -> None:
    asked = ["compare", "flow=Auto Insurence", "outcome=delivered", "--from"]
    ran = [CliRunner().invoke(main, [*asked, source]) for source in (served, traffic_path)]
    assert [one.exit_code for one in ran] == [1, 1]
    assert ran[0].stderr == ran[1].stderr
    assert ran[0].stderr.endswith("; no flow is named 'Auto Insurence'; did you mean Auto Insurance?\n")


def test_a_source_of_traces_only_is_refused_where_events_are_needed(reader: Reader, monkeypatch) -> None:
    from dataclasses import replace

    from leadtrace.analysis.answer import answer

    asked = replace(analysis("frequency"), traces_suffice=False)
    monkeypatch.setattr(type(reader.source), "holds", Holds(logs=False))
    with pytest.raises(SettingsError, match="needs events"):
        answer(reader.source, asked, asked.options())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("performance", {"sample": 5}),
        ("what-if", {"sample": 5, "cache": ("credit score",), "parallel": ("phone validation,geo lookup",)}),
        ("lint", {"sample": 5, "rule": ("orphan_start", "totals_differ")}),
        ("compare", {"a": "lead_00000001", "b": "lead_00000002"}),
        ("compare", {"a": "outcome=rejected", "b": "outcome=delivered", "sample": 5}),
    ],
)
def test_reports_on_timelines_come_back_from_their_json_as_they_were(reader: Reader, name: str, options: dict) -> None:
    from leadtrace.analysis.exchange import report_from_json

    found = reader.report(name, **options)
    assert report_from_json(analysis(name), json.loads(json.dumps(found.as_json()))) == found


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["report", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_without_a_name_the_reports_are_listed() -> None:
    code, out, _ = run()
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(REPORTS)
    lines = [json.loads(line) for line in run("--json")[1].splitlines()]
    assert lines == [{"report": name, "answers": what} for name, (_, what) in REPORTS.items()]


def test_the_table_is_plain_in_a_pipe_and_says_what_it_is_about(traffic_path: str, traffic) -> None:
    code, out, err = run("frequency", "--from", traffic_path, "--limit", "2")
    assert (code, err) == (0, "")
    (first, one), (second, two) = traffic.truth.names.most_common(2)
    total = len(traffic.events)
    assert out == (
        f"frequency, all time: {total:,} events, 600 leads\n\n"
        f"name                kind     events  leads            share\n"
        f"{first}  start     {one:,}    {leads_of(traffic, first)}  {one / total:.1%} of {total:,}\n"
        f"{second}  success   {two:,}    {leads_of(traffic, second)}  {two / total:.1%} of {total:,}\n\n"
        f"· {len(traffic.truth.names) - 2} more rows, left out by the limit\n"
    )


def leads_of(traffic, name: str) -> int:
    return len({one.lead_id for one in traffic.events if one.name == name})


def test_json_is_one_object_in_the_published_form(traffic_path: str, served: str, reader: Reader) -> None:
    wanted = json.loads((Path(__file__).parents[2] / "docs/schemas/output-report.schema.json").read_text())
    for source in (traffic_path, served):
        code, out, _ = run("frequency", "--from", source, "--json", "--over", "day")
        assert code == 0
        found = json.loads(out)
        jsonschema.validate(found, wanted)
        assert found == reader.report("frequency", over="day").as_json()


def test_an_answer_without_rows_is_exit_code_1(traffic_path: str) -> None:
    code, out, _ = run("frequency", "--from", traffic_path, "--tenant", "nobody")
    assert (code, out) == (1, "frequency, all time: 0 events, 0 leads\nnothing to tell\n")


@pytest.mark.parametrize(
    ("name", "options", "note"),
    [
        ("frequency", {"flow": "Auto Insurence"}, "no flow is named 'Auto Insurence'; did you mean Auto Insurance?"),
        ("performance", {"flow": "Auto Insurence"}, "no flow is named 'Auto Insurence'; did you mean Auto Insurance?"),
        ("health", {"flow": "x"}, "no flow is named 'x'; there are Auto Insurance, Home Insurance"),
        (
            "what-if",
            {"flow": "Home Insurance", "version": "99", "cache": ("credit score",)},
            "no version is named '99'; there are 1, 2, 3",
        ),
        (
            "roi",
            {"enhancement": "credit scor"},
            "no enhancement or service is named 'credit scor'; did you mean credit score?",
        ),
        (
            "errors",
            {"fingerprint": "credit-timeot"},
            "no fingerprint is named 'credit-timeot'; did you mean credit-timeout?",
        ),
        ("capacity", {"service": "intake"}, "no service with samples of capacity is named 'intake'"),
    ],
)
def test_a_misspelt_name_is_told_with_the_one_that_was_meant(
    served: str, reader: Reader, traffic_path: str, name: str, options: dict, note: str
) -> None:
    found = reader.report(name, **options)
    assert found.notes[0] == note
    with leadtrace.open(served) as remote:
        assert remote.report(name, **options).notes[0] == note


def test_a_name_that_is_recorded_at_another_time_is_not_misspelt(reader: Reader) -> None:
    found = reader.report("frequency", flow="Auto Insurance", until_ns=1)
    assert (found.rows, found.notes) == ((), ())


def test_wrong_usage_is_one_line_that_names_what_there_is(traffic_path: str) -> None:
    assert run("frequenzy") == (
        2,
        "",
        "leadtrace report: no report 'frequenzy'; did you mean frequency?; see leadtrace report --help\n",
    )
    code, _, err = run("frequency", "--over", "week", "--from", traffic_path)
    assert (code, err.count("\n")) == (2, 1)
    assert run("frequency", "--from", "/nowhere/store.db")[0] == 3
