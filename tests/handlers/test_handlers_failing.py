"""Handlers that raise, that are slow, and processes that fork or end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.words import delivering
from leadtrace.words.guard import counts

SRC = str(Path(lt.__file__).parents[1])


@pytest.mark.parametrize("inline", [True, False])
def test_a_handler_that_raises_is_detached_and_that_is_an_event(inline: bool, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []
    failures: list[lt.Event] = []

    def fail(name: str, measured: Any, rest: Any, config: Any) -> None:
        calls.append(name)
        raise ConnectionError("no route to +1 212 555 0123")

    lt.attach("pager", "*", fail, inline=inline)
    lt.on("leadtrace.handler.failed", inline=True)(failures.append)
    with caplog.at_level(logging.ERROR, "leadtrace"), lt.capture() as captured, lt.flow("calls", lead_id="lead_1"):
        lt.emit("lead.received")
        assert lt.drain_handlers()
        lt.emit("lead.accepted")
    assert calls == ["flow.started"]
    assert [one.id for one in lt.list_handlers()] != ["pager"]
    told = captured.one("leadtrace.handler.failed")
    assert {
        key: told.attributes.get(key) for key in ("leadtrace.handler.id", "leadtrace.handler.event", "error.type")
    } == {
        "leadtrace.handler.id": "pager",
        "leadtrace.handler.event": "flow.started",
        "error.type": "ConnectionError",
    }
    assert "lead.id" not in told.attributes
    assert "555" not in str(told.attributes["error.message"])
    assert [one.uid for one in failures] == [told.uid]
    assert "handler 'pager' raised on flow.started and was detached" in caplog.messages
    assert captured.names()[-1] == "flow.completed"  # the pipeline took no notice


def test_handlers_of_failures_that_fail_themselves_come_to_an_end() -> None:
    calls: list[str] = []

    def fail(event: lt.Event) -> None:
        calls.append(event.event_name)
        raise ValueError("always")

    for _ in range(3):
        lt.on("*", inline=True)(lambda event: fail(event))
    with lt.capture() as captured:
        lt.emit("lead.received", lead_id="lead_1")
    assert lt.list_handlers() == []
    assert len(captured.events("leadtrace.handler.failed")) == 3
    assert set(calls) == {"lead.received", "leadtrace.handler.failed"}


def test_a_handler_with_wrong_parameters_is_one_that_raises() -> None:
    lt.attach("short", "lead.*", lambda name: None, inline=True)
    with lt.capture() as captured:
        lt.emit("lead.received", lead_id="lead_1")
    assert captured.one("leadtrace.handler.failed").attributes["error.type"] == "TypeError"


def test_an_interruption_in_an_inline_handler_is_the_hosts() -> None:
    def stop(event: lt.Event) -> None:
        raise KeyboardInterrupt

    lt.on("lead.received", inline=True)(stop)
    with lt.capture(), pytest.raises(KeyboardInterrupt):
        lt.emit("lead.received", lead_id="lead_1")
    assert len(lt.list_handlers()) == 1


def test_what_does_not_fit_is_not_handed_over_but_recorded_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began, go_on = threading.Event(), threading.Event()
    seen: list[float] = []
    monkeypatch.setattr(delivering, "_queue", None)
    monkeypatch.setattr(delivering, "LIMIT", 5)

    @lt.on("low.confidence.detected")
    def take(event: lt.Event) -> None:
        began.set()
        go_on.wait(20)
        seen.append(event.attributes["threshold"])

    before = counts["handlers_missed"]
    with caplog.at_level(logging.WARNING, "leadtrace"), lt.capture() as captured:
        lt.emit("low.confidence.detected", threshold=0.0)
        assert began.wait(10)
        for number in range(1, 10):
            lt.emit("low.confidence.detected", threshold=float(number))
        go_on.set()
        assert lt.drain_handlers()
    assert seen == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]  # one at work, five waiting
    assert len(captured.events()) == 10
    assert lt.list_handlers()[0].missed == 4
    assert counts["handlers_missed"] - before == 4
    assert sum("handlers cannot keep up" in one for one in caplog.messages) == 1


def test_a_handler_cannot_wait_for_itself() -> None:
    answers: list[bool] = []
    lt.on("lead.received")(lambda event: answers.append(lt.drain_handlers(20)))
    with lt.capture():
        lt.emit("lead.received", lead_id="lead_1")
        assert lt.drain_handlers()
    assert answers == [False]


def test_a_handler_detached_while_events_wait_gets_none_of_them() -> None:
    began, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def take(name: str, measured: Any, rest: Any, config: Any) -> None:
        began.set()
        go_on.wait(20)
        seen.append(rest["lead_id"])

    lt.attach("slow", "lead.received", take)
    with lt.capture():
        for number in range(3):
            lt.emit("lead.received", lead_id=f"lead_{number}")
        assert began.wait(10)
        lt.detach("slow")
        go_on.set()
        assert lt.drain_handlers()
    assert seen == ["lead_0"]


def test_many_threads_tell_and_nothing_is_handed_over_twice_or_lost() -> None:
    seen: list[str] = []
    lt.on("lead.received")(lambda event: seen.append(event.uid))
    with lt.capture() as captured:

        def tell() -> None:
            for _ in range(200):
                lt.emit("lead.received", lead_id="lead_1")

        threads = [threading.Thread(target=tell) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert lt.drain_handlers(20)
    assert sorted(seen) == sorted(one.uid for one in captured.events())
    assert len(seen) == 1600


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": SRC, "LEADTRACE_KEY": "", "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        env=environ,
        check=False,
    )


ATTACHED = """
import os, sys, threading
import leadtrace as lt

@lt.on("lead.received")
def take(event):
    os.write(1, f"{event.lead_id} in {'child' if os.getpid() != MAIN else 'parent'}\\n".encode())

MAIN = os.getpid()
"""


def test_the_end_of_the_process_waits_for_what_was_told() -> None:
    done = run(ATTACHED + "for n in range(50): lt.emit('lead.received', lead_id=f'lead_{n}')\n")
    assert done.stdout.splitlines() == [f"lead_{n} in parent" for n in range(50)], done.stderr
    assert done.returncode == 0


def test_the_end_of_the_process_does_not_wait_for_ever() -> None:
    """A handler that hangs holds up the end for two seconds, and what is left is said."""
    done = run(
        "import threading\nimport leadtrace as lt\n"
        "lt.on('lead.received')(lambda event: threading.Event().wait())\n"
        "for n in range(3): lt.emit('lead.received', lead_id='lead_1')\n"
    )
    assert done.returncode == 0
    assert "3 events were not handed to handlers before the process ended" in done.stderr


def test_what_a_handler_tells_at_the_end_is_still_sent(over_http: Any) -> None:
    """Handlers are done before the sink closes, whichever was first set up."""
    done = run(
        "import sys\nimport leadtrace as lt\n"
        "lt.on('lead.received')(lambda event: lt.emit('lead.accepted', lead_id=event.lead_id))\n"
        "lt.configure(endpoint=sys.argv[1], key=b'k' * 32, journal='off')\n"
        "lt.emit('lead.received', lead_id='lead_1')\n",
        over_http.address,
    )
    assert done.returncode == 0, done.stderr
    over_http.wait(lambda: len(over_http.names("logs")) == 2)
    assert over_http.names("logs") == ["lead.received", "lead.accepted"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_hands_over_its_own_events_and_not_its_parents() -> None:
    done = run(
        ATTACHED
        + "import warnings; warnings.simplefilter('ignore')\n"
        + "lt.emit('lead.received', lead_id='before')\n"
        + "pid = os.fork()\n"
        + "lt.emit('lead.received', lead_id='after')\n"
        + "lt.drain_handlers()\n"
        + "if pid == 0: os._exit(0)\n"
        + "os.waitpid(pid, 0)\n"
    )
    assert sorted(done.stdout.splitlines()) == ["after in child", "after in parent", "before in parent"], done.stderr


def test_a_child_of_multiprocessing_hands_over_before_it_ends() -> None:
    """Such a child leaves without the interpreter's own end."""
    done = run(
        ATTACHED
        + "import multiprocessing, warnings; warnings.simplefilter('ignore')\n"
        + "lt.emit('lead.received', lead_id='before'); lt.drain_handlers()\n"
        + "child = multiprocessing.get_context('fork').Process(target=lambda: lt.emit('lead.received', lead_id='inside'))\n"
        + "child.start(); child.join()\n"
    )
    assert sorted(done.stdout.splitlines()) == ["before in parent", "inside in child"], done.stderr
