"""The sampler of capacity in this very process: what it tells, its maxima, forks, trouble, and that it stops."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import leadtrace as lt
from leadtrace.errors import SettingsError


@pytest.fixture
def captured() -> Iterator[Any]:
    with lt.capture() as found:
        yield found


@pytest.fixture(autouse=True)
def _stopped() -> Iterator[None]:
    yield
    from leadtrace.setup import capacity

    if capacity._current is not None:
        capacity._current.stop()


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until it holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited too long"
        threading.Event().wait(0.005)


def told(captured: Any) -> list[dict[str, Any]]:
    return [
        {key.removeprefix("system.capacity."): value for key, value in one.attributes.items()}
        for one in captured.events("system.capacity.sampled")
    ]


def test_a_sample_has_each_figure_beside_its_maximum(captured: Any, tmp_path: Path) -> None:
    sampler = lt.sample_capacity(
        60, maxima={"queue_depth": 500, "in_flight": 8, "memory": 2**31}, queue_depth=lambda: 41, disk=tmp_path
    )
    until(lambda: len(told(captured)) == 1)
    sampler.sample()
    first, second = told(captured)
    assert (second["queue_depth"], second["queue_depth_max"]) == (41, 500)
    assert (second["in_flight"], second["in_flight_max"]) == (first["in_flight"], 8)
    assert second["memory_max"] == 2**31
    assert second["memory"] == pytest.approx(psutil.Process().memory_info().rss, rel=0.5)
    assert second["disk_max"] == psutil.disk_usage(str(tmp_path)).total
    assert second["host_memory_max"] == psutil.virtual_memory().total
    # Rates need two samples: the first has none.
    assert "cpu" not in first
    assert second["cpu"] >= 0
    assert second["cpu_max"] > 0
    assert second["host_cpu_max"] == psutil.cpu_count()
    assert "lead.id" not in second


def test_the_samples_keep_to_the_catalogue(captured: Any) -> None:
    lt.sample_capacity(60, maxima={"cpu": 2, "flows_per_hour": 1_000}).sample()
    from leadtrace import catalogue

    for one in captured.events("system.capacity.sampled"):
        assert catalogue.problems(one.name, one.attributes) == []
        assert "leadtrace.marks" not in one.attributes


def test_in_flight_is_the_flows_open_here_and_flows_are_counted(captured: Any) -> None:
    sampler = lt.sample_capacity(60)
    until(lambda: told(captured))
    with lt.flow("outer", lead_id="1"), lt.flow("inner", lead_id="1"):
        sampler.sample()
    sampler.sample()
    before = told(captured)[0]["in_flight"]  # flows that an earlier test left open in this process
    assert [one["in_flight"] for one in told(captured)[-2:]] == [before + 2, before]
    assert told(captured)[-2]["flows_per_hour"] > 0
    assert told(captured)[-1]["flows_per_hour"] == 0


def test_cpu_is_what_the_process_used(captured: Any) -> None:
    sampler = lt.sample_capacity(60)
    until(lambda: told(captured))
    began, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < 0.2:
        sum(range(1000))
    sampler.sample()
    used = (time.process_time() - cpu) / (time.monotonic() - began)
    assert told(captured)[-1]["cpu"] == pytest.approx(used, rel=0.5, abs=0.1)


def test_what_waits_in_the_sink_is_the_journal_lag(tmp_path: Path) -> None:
    """Nobody listens there: all that is recorded waits."""
    with lt.configure(endpoint="http://127.0.0.1:9", journal="off", key=b"k" * 32, service_name="x") as telemetry:
        for _ in range(25):
            lt.emit("lead.received", lead_id="1")
        sampler = lt.sample_capacity(60, maxima={"journal_lag": 100})
        sampler.stop()
        found = sampler._sample()
        assert (found["journal_lag"], found["journal_lag_max"]) == (telemetry.stats.queued, 100)
        assert found["journal_lag"] >= 25
        telemetry.shutdown(0)


def test_it_goes_on_until_it_is_stopped_and_then_takes_no_more(captured: Any) -> None:
    with lt.sample_capacity(0.05) as sampler:
        until(lambda: len(told(captured)) >= 3)
        assert sampler.running
    assert not sampler.running
    assert sampler._thread is not None
    assert not sampler._thread.is_alive()


def test_another_call_takes_the_place_of_the_first(captured: Any) -> None:
    first = lt.sample_capacity(60)
    second = lt.sample_capacity(60)
    assert (first.running, second.running) == (False, True)


def test_a_figure_that_raises_is_left_out_and_said_once(captured: Any, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> int:
        raise RuntimeError("no queue")

    sampler = lt.sample_capacity(60, queue_depth=broken, in_flight=lambda: None)
    sampler.sample()
    sampler.sample()
    assert all("queue_depth" not in one and "in_flight" not in one for one in told(captured))
    assert [one.message for one in caplog.records if "queue_depth" in one.message] == [
        "capacity: queue_depth could not be told"
    ]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"maxima": {"queue": 5}}, "there is no capacity 'queue' (expected: queue_depth, in_flight"),
        ({"maxima": {"cpu": 0}}, "the maximum of cpu is a number above 0 (got: 0)"),
        ({"every_s": 0}, "every_s is a number of seconds (expected: at least 0.05, got: 0)"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        lt.sample_capacity(**wrong)
    assert str(caught.value).startswith(sentence)


def test_without_psutil_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(SettingsError, match=r"needs psutil: pip install 'leadtrace\[reports\]'"):
        lt.sample_capacity()


FORKS = """
import json, os, sys, threading
import leadtrace as lt

with lt.capture() as captured:
    sampler = lt.sample_capacity(0.05)
    child = os.fork()
    if child == 0:
        own = threading.Event()
        before = len(captured.events("system.capacity.sampled"))
        for _ in range(2000):
            if len(captured.events("system.capacity.sampled")) >= before + 3:
                break
            own.wait(0.005)
        threads = [one.name for one in threading.enumerate()]
        sampler.stop()
        told = len(captured.events("system.capacity.sampled")) - before
        print(json.dumps({"told": told, "threads": threads, "left": [one.name for one in threading.enumerate()]}), flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    running = sampler.running
    sampler.stop()
    print(json.dumps({"status": status, "running": running}))
"""


def test_a_forked_child_goes_on_with_a_sampler_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=50, check=True)
    child, parent = (json.loads(line) for line in done.stdout.splitlines())
    assert child["told"] >= 3
    assert child["threads"].count("leadtrace-capacity") == 1
    assert "leadtrace-capacity" not in child["left"]
    assert parent == {"status": 0, "running": True}


def test_a_process_that_forgets_to_stop_it_ends_all_the_same() -> None:
    code = "import leadtrace as lt; lt.sample_capacity(3600); print('done')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False, env=dict(os.environ)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
