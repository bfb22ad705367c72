"""Forks, exits, signals and prefork workers: what a process recorded is in the journal, whatever way it went."""

from __future__ import annotations

import os
import signal

import pytest

from leadtrace.journal.folder import Folder
from leadtrace.journal.segment import SegmentReader, lock_of_the_dead
from leadtrace.journal.status import status
from leadtrace.otlp.peek import peek_log


@pytest.fixture
def journal(tmp_path) -> Folder:
    return Folder(tmp_path / "journal")


def names(journal: Folder) -> list[str]:
    """The events in the journal, process by process, in the order in which each wrote them."""
    found = []
    for segment in journal.segments():
        with SegmentReader(segment) as reader:
            offset = 0
            while (part := reader.read(offset)).end != offset:
                found += [
                    peek_log(one.record).name
                    for one in part.frames
                    if one.type.name in ("LOG", "LOG_OPENS", "LOG_CLOSES")
                ]
                offset = part.end
    return found


def test_a_forked_child_writes_a_segment_of_its_own_and_holds_no_lock_of_its_parents(run_journaled, journal):
    """The parent is killed while the child lives: the parent's segment is free, the child's is not."""
    parent = run_journaled(
        """
        import os, sys, time
        import leadtrace as lt
        lt.configure()
        lt.emit("lead.received", lead_id="parent")
        if os.fork() == 0:
            lt.emit("lead.accepted", lead_id="child")
            print("ready", os.getpid(), flush=True)
            time.sleep(30)
        time.sleep(30)
        """,
        wait=None,
    )
    child = int(parent.stdout.readline().split()[1])
    try:
        parent.kill()
        parent.wait(10)
        owners = {}
        for segment in journal.segments():
            with SegmentReader(segment) as reader, lock_of_the_dead(segment) as free:
                owners[reader.head.pid] = free is not None
        assert owners == {parent.pid: True, child: False}
        assert len({one.boot for one in journal.segments()}) == 2
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("way", "code"),
    [("os._exit(3)", 3), ("os.kill(os.getpid(), 9)", -9), ("os.kill(os.getpid(), 15)", -15), ("os.abort()", -6)],
)
def test_however_a_process_leaves_what_it_recorded_is_there(run_journaled, journal, way, code):
    """No farewell is needed."""
    run_journaled(
        f"""
        import os, sys
        import leadtrace as lt
        lt.configure()
        assert lt.emit("lead.received", lead_id="1").saved
        {way}
        """,
        wait=code,
    )
    assert names(journal) == ["lead.received"]


def test_what_is_recorded_while_the_interpreter_shuts_down_is_there(run_journaled, journal):
    """In an atexit hook, and by a thread that is no daemon."""
    run_journaled(
        """
        import atexit, threading, time
        import leadtrace as lt
        atexit.register(lambda: print(lt.emit("lead.accepted", lead_id="1")))
        lt.configure()
        lt.emit("lead.received", lead_id="1")
        def late():
            threading.main_thread().join()
            assert lt.emit("lead.purchased", lead_id="1").saved
        threading.Thread(target=late).start()
        """
    )
    assert set(names(journal)) >= {"lead.received", "lead.purchased"}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_record_into_the_journal(run_journaled, journal, method, tmp_path):
    """They leave by os._exit; and a pool's workers by SIGTERM."""
    (tmp_path / "job.py").write_text(
        "import leadtrace as lt\n"
        "from leadtrace.setup import composition\n"
        "def job(number):\n"
        "    composition.current() or lt.configure()\n"
        "    return lt.emit('lead.received', lead_id=f'lead_{number}').saved\n"
    )
    run_journaled(
        f"""
        import sys; sys.path.insert(0, {str(tmp_path)!r})
        import multiprocessing, job
        import leadtrace as lt
        if __name__ == "__main__":
            lt.configure()
            context = multiprocessing.get_context({method!r})
            with context.Pool(2) as pool:
                assert all(pool.map(job.job, range(20)))
        """
    )
    assert names(journal).count("lead.received") == 20


def test_the_end_with_a_receiver_that_is_down_takes_under_a_second(run_journaled):
    """From the last line of the program until everything that ends with it has ended."""
    process = run_journaled(
        """
        import atexit, time
        atexit.register(lambda: print(time.monotonic() - last))  # registered first, so called last
        import leadtrace as lt
        lt.configure()
        with lt.flow("Flow", lead_id="1"):
            lt.emit("lead.received")
        time.sleep(0.5)  # for the receiver to have failed, as it would have in any program that lives
        last = time.monotonic()
        """
    )
    assert float(process.told) < 3.0  # a busy machine is given more; without a limit it were five


def test_a_live_process_of_the_service_takes_over_what_a_dead_one_left(run_journaled, over_http, journal):
    """Within seconds, without being asked; its open flow is closed as interrupted."""
    run_journaled(
        """
        import os
        import leadtrace as lt
        lt.configure()
        with lt.flow("Flow", lead_id="1"):
            lt.emit("lead.received")
            os.kill(os.getpid(), 9)
        """,
        wait=-9,
    )
    run_journaled(
        """
        import sys
        import leadtrace as lt
        lt.configure()
        sys.stdin.read()
        """,
        wait=None,
        endpoint=over_http.address,
    )
    over_http.wait(lambda: over_http.names("logs") == ["flow.started", "lead.received", "flow.interrupted"], 20)
    (closed,) = [one for one in over_http.records("logs") if one.event_name == "flow.interrupted"]
    told = {one.key: one.value for one in closed.attributes}
    assert told["flow.summary.final_outcome"].string_value == "interrupted"
    assert told["lead.id"].string_value == "1"
    assert told["leadtrace.marks"].array_value.values[0].string_value == "recovered"


def test_a_process_of_another_service_leaves_it_alone(run_journaled, over_http, journal):
    """Its receiver may be another one."""
    run_journaled("import leadtrace as lt, os; lt.configure(); lt.emit('lead.received', lead_id='1'); os._exit(0)")
    run_journaled(
        "import leadtrace as lt\nwith lt.configure() as t:\n    lt.emit('lead.accepted', lead_id='2'); t.flush(10)",
        endpoint=over_http.address,
        OTEL_SERVICE_NAME="other",
    )
    assert over_http.names("logs") == ["lead.accepted"]
    assert status(journal).waiting == 2  # the event, and the span that carries it


def test_a_coroutine_awaits_what_always_promises(run_journaled, journal):
    """`await receipt` comes back with the record on the disk."""
    process = run_journaled(
        """
        import asyncio
        import leadtrace as lt
        lt.configure(fsync="always")
        async def main():
            receipt = await lt.emit("lead.received", lead_id="1")
            print(receipt.saved)
        asyncio.run(main())
        """
    )
    assert process.told.strip() == "True"
