"""Lead events in real processes, by `configure()`: with a journal, without one, over a fork, and at a kill."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

SRC = str(Path(__file__).parents[2] / "src")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script in a home of its own, after `import leadtrace as lt`; nobody receives its telemetry."""

    def start(script: str, **environ: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LEADTRACE_", "XDG_"))}
        settings = {"PYTHONPATH": SRC, "HOME": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", "import os, leadtrace as lt\n" + textwrap.dedent(script)],
            env={**kept, **settings, **environ},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return start


TAKE_IN = """
    telemetry = lt.configure()
    receipt = lt.lead_event({"value": 1}, id=os.environ.get("ID", "e1"), destination="meta", lead_id="l")
    print(receipt.saved, receipt.why)
"""
SEND = """
    @lt.sender("meta")
    def meta(payload, event):
        print(event.id, payload, event.attempt, event.resend)
    telemetry = lt.configure()
    print(lt.send_waiting().waiting)
"""


def test_what_one_process_took_in_another_one_sends_days_later(run):
    assert run(TAKE_IN).stdout == "True \n"
    assert run(SEND).stdout == "e1 {'value': 1} 1 False\n0\n"
    assert run(SEND).stdout == "0\n"


def test_malformed_ones_are_counted(run):
    script = """
        telemetry = lt.configure()
        for schema in (True, False, False):
            lt.lead_event({}, destination="meta", lead_id="l", schema=schema)
        print(telemetry.stats.malformed)
    """
    assert run(script).stdout == "2\n"


@pytest.mark.parametrize("settings", [{"LEADTRACE_EVENTS": "span"}, {"OTEL_SDK_DISABLED": "true"}], ids=str)
def test_lead_events_are_on_the_disk_also_where_telemetry_is_not(run, settings):
    assert run(TAKE_IN, **settings).stdout == "True \n"
    assert run(SEND, **settings).stdout == "e1 {'value': 1} 1 False\n0\n"


def test_without_a_journal_they_are_held_in_memory_sent_and_what_is_not_is_told_as_lost(run):
    script = """
        import logging; logging.basicConfig(format="%(message)s")
        @lt.sender("meta")
        def meta(payload, event): print(event.id)
        telemetry = lt.configure()
        for one in ("e1", "e2"):
            receipt = lt.lead_event({}, id=one, destination=["meta", "google"], lead_id="l")
            print(receipt.saved, receipt.why)
        lt.send_waiting()
        telemetry.shutdown(0.2)
    """
    done = run(script, LEADTRACE_JOURNAL="off")
    assert done.stdout == "False in memory\nFalse in memory\ne1\ne2\n"
    assert "2 lead events were in memory, were not sent before the end, and are lost" in done.stderr


def test_a_journal_that_cannot_be_made_is_said_to_be_and_nothing_is_said_to_be_saved(run):
    done = run(TAKE_IN, LEADTRACE_JOURNAL="/proc/nowhere")
    assert done.stdout == "False in memory\n"


def test_what_a_killed_process_had_in_hand_comes_back_although_its_forked_child_lives(run, tmp_path):
    """The child of a fork inherits open files, and with them the lock that says that its parent lives, unless it lets go."""
    child_lives = tmp_path / "child"
    script = f"""
        import pathlib, signal, time
        telemetry = lt.configure()
        lt.lead_event({{}}, id="e1", destination="meta", lead_id="l")
        @lt.sender("meta")
        def meta(payload, event):
            if os.fork() == 0:
                os.closerange(0, 3)
                pathlib.Path({str(child_lives)!r}).write_text(str(os.getpid()))
                time.sleep(60)
                os._exit(0)
            while not pathlib.Path({str(child_lives)!r}).exists(): time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        lt.send_waiting()
    """
    assert run(script).returncode == -9
    try:
        assert run(SEND).stdout == "e1 {} 2 True\n0\n"
    finally:
        os.kill(int(child_lives.read_text()), 9)


def test_a_forked_child_takes_in_and_sends_on_its_own_and_nothing_is_sent_twice(run):
    script = """
        import sys
        telemetry = lt.configure()
        lt.lead_event({}, id="parent", destination="meta", lead_id="l")
        @lt.sender("meta")
        def meta(payload, event):
            print(os.getpid() == parent, event.id, event.resend, flush=True)
        parent = os.getpid()
        lt.send_waiting(limit=0)
        if os.fork() == 0:
            receipt = lt.lead_event({}, id="child", destination="meta", lead_id="l")
            lt.send_waiting()
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        print(lt.send_waiting().sent)
        lt.lead_event({}, id="after", destination="meta", lead_id="l")
        print(lt.send_waiting().sent)
    """
    assert run(script).stdout.splitlines() == [
        "False parent False",
        "False child False",
        "0",
        "True after False",
        "1",
    ]


def test_a_background_thread_does_not_hold_up_the_end_of_the_process(run):
    script = """
        import time, threading
        @lt.sender("meta")
        def meta(payload, event):
            print("sent", event.id, flush=True)
        lt.configure()
        sending = lt.sending().__enter__()
        lt.lead_event({}, id="e1", destination="meta", lead_id="l")
        while not sending.result.sent: time.sleep(0.01)
    """
    done = run(script)
    assert (done.stdout, done.returncode) == ("sent e1\n", 0)
    assert "Traceback" not in done.stderr


def test_a_second_configure_takes_over_what_the_first_kept(run):
    script = """
        lt.configure()
        lt.lead_event({}, id="e1", destination="meta", lead_id="l")
        @lt.sender("meta")
        def meta(payload, event): print(event.id)
        lt.configure()
        lt.lead_event({}, id="e2", destination="meta", lead_id="l")
        print(lt.send_waiting().sent)
    """
    assert run(script).stdout == "e1\ne2\n2\n"
