"""A receiver that was taken out of the configuration: named, and let go of by command."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from leadtrace.cli import main
from leadtrace.journal.aside import set_aside
from leadtrace.journal.books import ledgers
from leadtrace.journal.folder import Folder
from leadtrace.journal.status import status
from leadtrace.otlp import encode, identity

LOGS = encode.signal("logs", "leadtrace", "1", "https://schemas/1")
NOWHERE = "http://127.0.0.1:9"


def tell(sink, name: str, *, opens: int = 0):
    uid = identity.current().uid()
    record = encode.log_record(name, time.time_ns(), {"log.record.uid": uid}, trace_id=7, span_id=8)
    return sink.append(LOGS, record, uid=uid, opens=opens)


@pytest.fixture
def run(folder: Folder, monkeypatch):
    """The command with the variables of a service that sends to one receiver."""
    for name in ("LEADTRACE_ALSO_TO", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LEADTRACE_JOURNAL", str(folder.path))

    def call(*arguments: str):
        answer = CliRunner().invoke(main, list(arguments))
        assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
        return answer

    return call


def left_behind(sink_to, address: str, *names: str) -> None:
    """By a process whose default receiver has all of it, and whose further one, `also1`, none."""
    sink = sink_to(address, NOWHERE, exit_s=0.1)
    for name in names:
        tell(sink, name)
    end = time.monotonic() + 20
    while sink._lanes[0].done < len(names):
        assert time.monotonic() < end
        time.sleep(0.005)
    sink.close(0.1)


def test_what_waits_for_a_receiver_that_nobody_sends_to_is_named_with_the_command(sink_to, over_http, run):
    """By `journal`, exit code 1, and by the doctor."""
    left_behind(sink_to, over_http.address, "one", "two")
    answer = run("journal")
    assert answer.exit_code == 1
    assert "also1.logs: 2 wait" in answer.output
    todo = "name it in LEADTRACE_ALSO_TO again, or leadtrace journal forget also1"
    assert f"nobody sends to also1 any more, and segments are kept for it: {todo}" in answer.output
    told = json.loads(run("doctor", "--json").output)
    (finding,) = [one for one in told["findings"] if "nobody sends there" in one["says"]]
    assert (finding["check"], finding["level"], finding["do"]) == ("books", "warn", todo)


def test_one_that_is_named_or_that_a_living_process_sends_to_is_only_waited_for(sink_to, over_http, folder, run):
    """That it fails is told; nobody is told to let go."""
    sink = sink_to(over_http.address, NOWHERE)
    tell(sink, "one")
    assert not any(one.abandoned for one in status(folder, {"default"}).lanes)
    sink.close(0.1)
    assert not any(one.abandoned for one in status(folder, {"default", "also1"}).lanes)
    assert not any(one.abandoned for one in status(folder).lanes)
    assert any(one.abandoned for one in status(folder, {"default"}).lanes)


def test_forgetting_lets_the_segments_go_and_counts_what_was_let_go_of(sink_to, over_http, folder, run):
    """The books are whole: acknowledged by those who are left, and how many the forgotten one never got."""
    left_behind(sink_to, over_http.address, "one", "two", "three")
    assert folder.segments()
    asked = run("journal", "forget", "also1")
    assert asked.exit_code == 2
    assert "nobody is here to ask: --yes forgets without asking" in asked.output
    assert folder.segments()
    answer = run("journal", "forget", "also1", "--yes")
    assert answer.output == "also1 is forgotten: 3 log records and 0 spans that it never got are let go of\n"
    assert answer.exit_code == 0
    assert not folder.segments()
    (book,) = ledgers(folder)
    assert (book.acknowledged.count, book.waiting.count, book.missing.count) == (3, 0, 0)
    shown = run("journal")
    assert shown.exit_code == 0
    assert "also1.logs: 0 wait; 3 let go of unsent" in shown.output
    told = json.loads(run("doctor", "--json").output)
    assert "also1.logs: 3 were let go of unsent (leadtrace journal forget)" in [one["says"] for one in told["findings"]]
    again = run("journal", "forget", "also1", "--yes")
    assert (again.exit_code, again.output) == (1, "nothing waits for also1\n")


def test_what_another_receiver_waits_for_stays_for_it(sink_to, http_receiver_on, folder, run):
    """And is sent to it later, by whoever sends; of the forgotten one nothing waits meanwhile."""
    sink = sink_to(NOWHERE, NOWHERE)
    tell(sink, "one")
    sink.close(0.1)
    assert run("journal", "forget", "also1", "--yes").exit_code == 0
    waiting = {one.lane: (one.waiting, one.forgotten) for one in status(folder).lanes}
    assert waiting["also1.logs"] == (0, 1)
    assert waiting["default.logs"] == (1, 0)
    receiver = http_receiver_on(0)
    later = sink_to(receiver.address)
    later.start()
    receiver.wait(lambda: receiver.names("logs") == ["one"])
    end = time.monotonic() + 20
    while folder.segments():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert {one.lane: one.forgotten for one in status(folder).lanes}["also1.logs"] == 1


def test_a_dead_process_is_recovered_first_and_a_living_one_is_left(sink_to, over_http, folder, run, run_journaled):
    """What recovery closes goes to the receivers that are left."""
    run_journaled(
        """
        import os
        import leadtrace as lt
        lt.configure(also_to=["http://127.0.0.1:9/mirror"])
        with lt.flow("Flow", lead_id="1"):
            os.kill(os.getpid(), 9)
        """,
        wait=-9,
    )
    living = sink_to(NOWHERE, NOWHERE)
    tell(living, "one")
    answer = run("journal", "forget", "http://127.0.0.1:9/mirror", "--yes")
    assert answer.exit_code == 0, answer.output
    assert (
        "127.0.0.1-9-mirror is forgotten: 2 log records" in answer.output
    )  # the start, and what recovery closed it with
    left = run("journal", "forget", "also1", "--yes")
    assert left.exit_code == 1
    assert f"! process {living._turning.writing.head.pid} of test writes for it: end that first" in left.output
    assert folder.segments()


def test_what_it_had_refused_goes_too(sink_to, over_http, http_receiver_on, folder, run):
    """What others refused stays set aside."""
    refusing = http_receiver_on(0)
    refusing.judge = lambda _: (400, {})
    sink = sink_to(refusing.address, refusing.address)
    tell(sink, "one")
    assert sink.flush(20)
    sink.close(1.0)
    assert len(list(set_aside(folder))) == 2
    answer = run("journal", "forget", "also1", "--yes")
    assert "0 spans that it never got are let go of, and 1 that it refused" in answer.output
    assert [one.lane for one in set_aside(folder)] == ["default.logs"]


@pytest.mark.parametrize(
    ("name", "variable", "said"),
    [
        ("default", "", "default is the receiver of the OTEL_EXPORTER_OTLP_* variables"),
        ("mirror-4318", "http://mirror:4318", "mirror-4318 is named in LEADTRACE_ALSO_TO: take it from there first"),
        ("http://mirror:4318", "optional:http://mirror:4318", "mirror-4318 is named in LEADTRACE_ALSO_TO"),
    ],
)
def test_one_that_is_still_sent_to_is_not_forgotten(folder, run, monkeypatch, name, variable, said):
    """Wrong usage, exit code 2."""
    folder.make()
    monkeypatch.setenv("LEADTRACE_ALSO_TO", variable)
    answer = run("journal", "forget", name, "--yes")
    assert answer.exit_code == 2
    assert said in answer.output
