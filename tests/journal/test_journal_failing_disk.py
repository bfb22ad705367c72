"""A disk that fails amid a run: records go on in memory, are sent from there, and are on the disk when that is back."""

from __future__ import annotations

import errno
import os
import threading
import time
import warnings

import pytest
from click.testing import CliRunner
from real_disk import CannotMountError, RealDisk

from leadtrace.cli import main
from leadtrace.journal.aside import set_aside
from leadtrace.journal.books import ledgers
from leadtrace.journal.disk import JournalSink
from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.folder import Folder
from leadtrace.journal.kept import drain
from leadtrace.journal.lanes import Lane
from leadtrace.journal.removal import remove_lead
from leadtrace.journal.transport import OtlpTransport
from leadtrace.otlp import encode, identity
from leadtrace.otlp.peek import peek_log

LOGS = encode.signal("logs", "leadtrace", "1", "https://schemas/1")
FOREIGN = encode.signal("traces", "httpx")
NOWHERE = "http://127.0.0.1:9"
SPAN = b"\x12\x21" + b"\x0a\x10" + b"\x01" * 16 + b"\x12\x08" + b"\x02" * 8 + b"\x2a\x03GET"


def tell(sink, name: str, *, opens: int = 0, closes: int = 0, **attributes):
    uid = identity.current().uid()
    record = encode.log_record(
        name, time.time_ns(), {**attributes, "log.record.uid": uid}, trace_id=7, span_id=opens or closes or 8
    )
    return sink.append(LOGS, record, uid=uid, opens=opens, closes=closes)


def until(condition, timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def transport_to(address: str) -> OtlpTransport:
    return OtlpTransport(endpoints(Target(address), {}))


def send_all(folder: Folder, address: str) -> None:
    """As `leadtrace journal send --once`."""
    for kind in ("logs", "traces"):
        lane = Lane(folder, "default", kind, transport_to(address))
        while lane.sweep(time.monotonic() + 20):
            pass
        lane.close()


class Failing:
    """The folder of a journal, and how its disk fails and comes back."""

    def __init__(self, folder: Folder, fail, come_back) -> None:
        self.folder = folder
        self.fail = fail
        self.come_back = come_back


@pytest.fixture
def disk(tmp_path):
    try:
        made = RealDisk(tmp_path)
    except CannotMountError:
        pytest.skip("no file system can be mounted here")
    yield made
    made.remove()


@pytest.fixture
def broken_calls(monkeypatch):
    """Whether all that changes files fails with EIO, at the calls to the system: where no disk can be mounted."""
    broken: list[int] = []

    def breaking(name: str, changes):
        real = getattr(os, name)

        def call(*args, **kwargs):
            if broken and changes(*args):
                raise OSError(broken[0], os.strerror(broken[0]))
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    breaking("open", lambda _, flags, *__: flags & (os.O_WRONLY | os.O_RDWR))
    breaking("write", lambda descriptor, *_: descriptor > 2)
    for name in ("pwrite", "mkdir", "rename", "replace", "unlink", "fsync", "fdatasync"):
        breaking(name, lambda *_: True)
    return broken


@pytest.fixture(params=["read-only", "EIO", "taken away", "calls"])
def failing(request, tmp_path):
    """Each way in which a disk fails, the last one for machines on which nothing can be mounted."""
    if request.param == "calls":
        broken = request.getfixturevalue("broken_calls")
        return Failing(Folder(tmp_path / "journal"), lambda: broken.append(errno.EIO), broken.clear)
    disk = request.getfixturevalue("disk")
    folder = Folder(disk.path / "journal")

    def take_away() -> None:
        disk.die()
        disk.take_away()

    match request.param:
        case "read-only":
            return Failing(folder, disk.turn_read_only, disk.come_back)
        case "EIO":
            return Failing(folder, disk.die, disk.come_back)
    return Failing(folder, take_away, disk.mount)


@pytest.fixture
def folder(failing):
    return failing.folder


def fail(failing: Failing, sink) -> None:
    """Until the sink has noticed: a record that is written to a file that is gone is a record in a file."""
    failing.fail()
    until(lambda: tell(sink, "noticed").why == "in memory")


def test_records_go_on_in_memory_and_to_their_receiver(failing, sink_to, over_http, caplog):
    """Nothing is raised, the receipt is honest, the warning is loud, and each arrives once and in order."""
    sink = sink_to(over_http.address)
    assert tell(sink, "before").saved
    assert sink.flush(20)
    fail(failing, sink)
    noticed = over_http.names("logs").count("noticed")
    receipts = [tell(sink, f"e{number}") for number in range(50)]
    assert {(one.saved, one.why) for one in receipts} == {(False, "in memory")}
    assert sink.flush(20)
    names = [name for name in over_http.names("logs") if name != "noticed"]
    assert names == ["before", *(f"e{number}" for number in range(50))]
    assert noticed <= over_http.names("logs").count("noticed")
    assert "records wait IN MEMORY, and what is not sent when the process dies is LOST" in caplog.text
    assert sink.stats.in_memory == 0
    assert sink.stats.dropped == 0


def test_what_waits_in_memory_is_on_the_disk_when_that_is_back(failing, sink_to, over_http, folder, caplog):
    """With what was sent of it noted: the next process sends the rest, each record once, and the books are whole."""
    sink = sink_to(NOWHERE)
    assert tell(sink, "before").saved
    until(lambda: sink._durability.synced == sink._durability.written)
    fail(failing, sink)
    for number in range(20):
        tell(sink, f"e{number}")
    sink.append(FOREIGN, SPAN)
    assert sink.stats.in_memory >= 22
    failing.come_back()
    until(lambda: not sink._turning.volatile.segments)
    assert tell(sink, "after").saved
    assert sink.stats.in_memory == 0
    until(lambda: "disk is back" in caplog.text)
    last = identity.current().next_sequence - 1
    sink.close(0.1)
    sink_to(over_http.address).start()
    until(lambda: "after" in over_http.names("logs") and not folder.segments())
    names = [name for name in over_http.names("logs") if name != "noticed"]
    assert names == ["before", *(f"e{number}" for number in range(20)), "after"]
    assert over_http.names("traces") == ["GET"]
    (book,) = ledgers(folder)
    assert (book.last_sequence, book.missing.count) == (last, 0)


def test_what_was_sent_from_memory_is_not_sent_again_from_the_disk(failing, sink_to, http_receiver_on, folder):
    """Though it is written there, and though the process dies before it is through."""
    receiver = http_receiver_on(0)
    sink = sink_to(receiver.address, interval_s=0.05)
    assert tell(sink, "before").saved
    assert sink.flush(20)
    until(lambda: sink._durability.synced == sink._durability.written)
    fail(failing, sink)
    tell(sink, "sent")
    assert sink.flush(20)
    receiver.judge = lambda _: (503, {})
    tell(sink, "unsent")
    failing.come_back()
    until(lambda: not sink._turning.volatile.segments)
    sink.close(0.1)
    receiver.judge = None
    sink_to(receiver.address).start()
    until(lambda: "unsent" in receiver.names("logs"))
    names = receiver.names(
        "logs"
    )  # what lay on the disk before it failed may come again: its cursor's note went with it
    assert (names.count("sent"), names.count("unsent")) == (1, 1)


def test_a_disk_that_does_not_come_back_costs_what_is_told(failing, sink_to, caplog):
    """What waits is bounded, what finds no room is refused and counted, and the end is quick and says what is lost."""
    sink = sink_to(NOWHERE, memory_bytes=64 << 10)
    fail(failing, sink)
    receipts = [tell(sink, "e", text="x" * 1000) for _ in range(200)]
    reasons = {one.why for one in receipts}
    assert reasons == {"in memory", "full"}
    assert sink._turning.volatile.bytes < 80 << 10
    refused = sum(one.why == "full" for one in receipts)
    assert sink.stats.dropped == refused
    waited = sink.stats.in_memory
    began = time.monotonic()
    sink.close(5.0)
    assert time.monotonic() - began < 5.0
    assert sink.stats.dropped == refused + waited
    assert f"records in memory are LOST ({waited} logs)" in caplog.text


def test_room_in_memory_comes_back_with_the_receiver(failing, sink_to, http_receiver_on):
    """What is sent is let go of segment by segment, while the disk is away."""
    receiver = http_receiver_on(0)
    receiver.judge = lambda _: (503, {})
    sink = sink_to(receiver.address, memory_bytes=64 << 10)
    fail(failing, sink)
    while tell(sink, "e", text="x" * 1000).why == "in memory":
        pass
    receiver.judge = None
    until(lambda: tell(sink, "more", text="x" * 1000).why == "in memory")
    assert sink.flush(20)


def test_a_word_that_ended_in_memory_is_not_interrupted_by_recovery(failing, sink_to, over_http, folder):
    """Its start is in a segment that the disk took no seal for; its end in a later one, which has its own."""
    sink = sink_to(NOWHERE)
    assert tell(sink, "flow.started", opens=1).saved
    assert tell(sink, "flow.started", opens=2).saved
    until(lambda: sink._durability.synced == sink._durability.written)
    fail(failing, sink)
    tell(sink, "flow.completed", closes=1)
    failing.come_back()
    until(lambda: not sink._turning.volatile.segments)
    assert tell(sink, "flow.completed", closes=2).saved
    sink.close(0.1)
    send_all(folder, over_http.address)
    names = [name for name in over_http.names("logs") if name != "noticed"]
    assert sorted(names) == ["flow.completed", "flow.completed", "flow.started", "flow.started"]
    assert not folder.segments()


def test_what_is_kept_waits_in_memory_and_is_handed_out_from_the_disk(failing, sink_to, folder):
    """A lead event's payload too; nobody gets it before the disk has it."""
    sink = sink_to(NOWHERE)
    fail(failing, sink)
    assert sink.keep("lead_event", b"payload").why == "in memory"
    failing.come_back()
    until(lambda: not sink._turning.volatile.segments)
    taken: list[bytes] = []
    assert drain(folder.path, "lead_event", taken.extend) == 1
    assert taken == [b"payload"]


def test_what_is_refused_for_good_while_the_disk_is_away_is_set_aside_later(failing, sink_to, http_receiver_on, folder):
    """The records behind it are not held up."""
    receiver = http_receiver_on(0)
    receiver.judge = lambda request: (400, {}) if b"bad" in request.body else None
    sink = sink_to(receiver.address)
    fail(failing, sink)
    tell(sink, "bad")
    tell(sink, "good")
    assert sink.flush(20)
    assert "good" in receiver.names("logs")
    failing.come_back()
    until(lambda: not sink._turning.volatile.segments)
    (one,) = set_aside(folder)
    assert peek_log(one.record).name == "bad"


def test_a_lead_that_was_erased_is_not_sent_from_memory_either(failing, sink_to, http_receiver_on, folder):
    """Its numbers are in the books as erased when the disk is back."""
    receiver = http_receiver_on(0)
    sink = sink_to(receiver.address)
    sink.start()
    remove_lead(folder, ["lead_erased"])
    assert tell(sink, "before").saved
    assert sink.flush(20)
    until(lambda: sink._durability.synced == sink._durability.written)
    fail(failing, sink)
    receipt = tell(sink, "lead.received", **{"lead.id": "lead_erased"})
    tell(sink, "other", **{"lead.id": "lead_other"})
    assert sink.flush(20)
    assert "other" in receiver.names("logs")
    assert "lead.received" not in receiver.names("logs")
    failing.come_back()
    until(lambda: not sink._turning.volatile.segments)
    (book,) = ledgers(folder)
    assert int(receipt.uid[16:], 16) in book.erased


def test_a_forked_child_leaves_what_waits_in_memory_to_its_parent(failing, sink_to, http_receiver_on):
    """And goes to memory by itself."""
    receiver = http_receiver_on(0)
    receiver.judge = lambda _: (503, {})
    sink = sink_to(receiver.address)
    fail(failing, sink)
    tell(sink, "parent's")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            good = tell(sink, "child's").why == "in memory" and sink.stats.in_memory == 1
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    receiver.judge = None
    assert sink.flush(20)
    assert receiver.names("logs").count("parent's") == 1


async def test_on_an_event_loop_a_failing_disk_costs_one_call(sink_to, broken_calls, tmp_path, monkeypatch):
    """The call that fails; then none, until the tending thread has the disk back."""
    sink = sink_to(NOWHERE)
    assert tell(sink, "before").saved
    calls: list[str] = []
    me = threading.get_ident()
    for name in ("write", "open", "fsync", "fdatasync", "rename", "mkdir"):
        real = getattr(os, name)

        def counted(*args, _real=real, _name=name, **kwargs):
            if threading.get_ident() == me:
                calls.append(_name)
            return _real(*args, **kwargs)

        monkeypatch.setattr(os, name, counted)
    broken_calls.append(errno.EIO)
    assert tell(sink, "first").why == "in memory"
    assert calls == ["write"]
    receipt = tell(sink, "second")
    assert calls == ["write"]
    assert await receipt is receipt
    broken_calls.clear()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_sync_that_fails_is_told_and_what_was_written_is_sent(sink_to, over_http, monkeypatch, caplog, number):
    """The record is in the file, where its process's death leaves it; the receipt of `always` does not say saved."""
    sink = sink_to(over_http.address, fsync="always")
    assert tell(sink, "one").saved
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    receipt = tell(sink, "two")
    assert (receipt.saved, receipt.why) == (False, f"disk: {os.strerror(number)}")
    assert "disk does not keep what is written" in caplog.text
    monkeypatch.setattr(os, "fdatasync", real)
    until(lambda: tell(sink, "three").saved)
    assert sink.flush(20)
    assert over_http.names("logs")[:2] == ["one", "two"]


def test_a_host_on_a_disk_that_fails_does_its_work_and_everything_arrives(disk, run_journaled, over_http):
    """A process of its own, with the words: its results, its exit code and its timeline are as ever."""
    process = run_journaled(
        """
        import sys
        import leadtrace as lt

        @lt.flow("Flow", lead_id=lt.arg.number)
        def work(number):
            lt.emit("lead.received")
            return number * 2

        with lt.configure() as telemetry:
            print(work(1), lt.emit("lead.received").saved, flush=True)
            telemetry.flush(20)
            sys.stdin.readline()
            print(work(2), lt.emit("lead.received").saved, flush=True)
            telemetry.flush(20)
        """,
        wait=None,
        endpoint=over_http.address,
        LEADTRACE_JOURNAL=str(disk.path / "journal"),
    )
    assert process.stdout.readline() == "2 True\n"
    disk.die()
    out, err = process.communicate("go on\n", timeout=50)
    assert (process.returncode, out) == (0, "4 False\n")
    assert "records wait IN MEMORY" in err
    assert "LOST" not in err.replace("what is not sent when the process dies is LOST", "")
    assert over_http.names("logs").count("flow.completed") == 2
    assert over_http.names("logs").count("lead.received") == 4


@pytest.mark.parametrize("fails", ["turn_read_only", "die"])
def test_commands_say_what_the_disk_says(disk, over_http, monkeypatch, fails):
    """The doctor finds it before a process does; what cannot be sent because nobody could note it is left, exit code 1."""
    folder = Folder(disk.path / "journal")
    sink = JournalSink(folder, {"default": transport_to(NOWHERE)}, encode.resource({}, ""))
    tell(sink, "one")
    sink.close(0.1)
    monkeypatch.setenv("LEADTRACE_JOURNAL", str(folder.path))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", over_http.address)
    getattr(disk, fails)()
    why = {"turn_read_only": "Read-only file system", "die": "Input/output error"}[fails]
    told = CliRunner().invoke(main, ["doctor"]).output
    assert f"bad   journal   the disk of {folder.path} takes nothing ({why})" in told
    sent = CliRunner().invoke(main, ["journal", "send", "--once"])
    assert sent.exit_code == 1
    assert why in sent.output
    assert not over_http.names("logs")
    shown = CliRunner().invoke(main, ["journal"])
    assert shown.exit_code == 1
    assert fails == "turn_read_only" or f"NOT READ: the disk does not give 1 segments: {why}" in shown.output
