"""Every event whose receipt said `saved` is in the store exactly once and in order, or is named, whatever was killed.

Real processes throughout: the application, `leadtrace journal send`, the OpenTelemetry Collector, `leadtrace serve`. After each
fault the store is compared with the receipts that the application wrote down, and `leadtrace doctor --reconcile` says the same.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from real_servers import (
    LEADTRACE,
    Collector,
    Jaeger,
    Serve,
    leadtrace_environment,
    wait_until,
)
from unreliable import FAULTS, Unreliable

from leadtrace.journal.aside import set_aside
from leadtrace.journal.folder import Folder
from leadtrace.journal.segment import SegmentReader
from leadtrace.journal.status import status
from leadtrace.otlp.records import EventRecord
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import EventFilter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Running

APPLICATION = Path(__file__).parent / "fault_application.py"
SEED = int(os.environ.get("LEADTRACE_FAULT_SEED", "20261125"))
ROUNDS = int(os.environ.get("LEADTRACE_FAULT_ROUNDS", "200"))
AWAY_S = int(os.environ.get("LEADTRACE_FAULT_AWAY_S", "130"))


class Trial:
    """One fault: a journal, the receipts, a store behind a server."""

    def __init__(self, folder: Path, serve: Serve) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.journal = Folder(folder / "journal")
        self.receipts = folder / "receipts"
        self.serve = serve

    def application(self, endpoint: str, *arguments: object, **environ: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, APPLICATION, self.journal.path, endpoint, self.receipts, *map(str, arguments)]
        return subprocess.Popen(argv, env=leadtrace_environment() | environ, stderr=subprocess.DEVNULL)

    def send(self, endpoint: str, *more: str) -> subprocess.Popen[bytes]:
        argv = [*LEADTRACE, "journal", "send", "--journal", self.journal.path, "--to", endpoint, *more]
        return subprocess.Popen(argv, env=leadtrace_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def drain(self, endpoint: str = "") -> None:
        """Send until nothing waits, as an operator would."""

        def empty() -> bool:
            ran = self.send(endpoint or self.serve.url, "--once")
            out, err = ran.communicate(timeout=120)
            assert ran.returncode in (0, 1), out + err
            return status(self.journal).waiting == 0

        wait_until("everything sent", empty, within=120)

    def promised(self) -> dict[str, tuple[str, str]]:
        """By uid: the lead and the event's name of every receipt that said `saved`, in the order in which they were told."""
        found: dict[str, tuple[str, str]] = {}
        for line in self.receipts.read_text().splitlines():
            uid, lead, name = line.split(" ", 2)
            found[uid] = (lead, name)
        return found

    def stored(self) -> list[EventRecord]:
        store = EmbeddedStore.open(self.serve.store)
        try:
            boots = {uid[:16] for uid in self.promised()}
            return [one for one in store.events(EventFilter()) if one.uid[:16] in boots]
        finally:
            store.close()

    def check(self, *, holes: int = 0, tails: bool = False) -> None:
        """What was promised is there once, in order; `holes`: of so many that were damaged on purpose, each is named.

        `tails`: it was the last record of a process, whose number nobody knows any more; that it was cut is told.
        """
        promised = self.promised()
        stored = self.stored()
        times = Counter(one.uid for one in stored)
        assert [uid for uid, number in times.items() if number > 1] == [], "stored twice"
        aside = {one.uid for one in set_aside(self.journal)}
        missing = set(promised) - set(times) - aside
        assert len(missing) <= holes, f"lost although saved: {sorted(missing)[:5]} of {len(promised)}"
        by_uid = {one.uid: one for one in stored}
        for uid, (lead, name) in promised.items():
            if uid in by_uid:
                assert (by_uid[uid].name, by_uid[uid].lead_id or "-") == (name, lead)
        self.check_order(by_uid, promised)
        said = self.doctor()
        named = {
            f"{hole['boot']}{number:012x}"
            for hole in said["holes"]
            if hole["lost"]
            for number in range(hole["from"], hole["to"] + 1)
        }
        assert missing <= named or (tails and status(self.journal).damaged > 0), "lost and not named"
        if not holes:
            assert not named, sorted(named)[:5]

    def check_order(self, by_uid: dict[str, EventRecord], promised: dict[str, tuple[str, str]]) -> None:
        """A lead's events as the reader tells them are in the order in which they were made."""
        leads = list(dict.fromkeys(promised[uid][0] for uid in by_uid if uid in promised and promised[uid][0] != "-"))
        for lead in random.Random(SEED).sample(leads, min(8, len(leads))):
            ran = subprocess.run(
                [*LEADTRACE, "lead", lead, "--json", "--from", str(self.serve.store)],
                env=leadtrace_environment(),
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
            told = [uid for one in json.loads(ran.stdout)["entries"] if (uid := one.get("uid", "")) in promised]
            assert told
            assert told == sorted(told, key=lambda uid: int(uid[16:], 16))

    def doctor(self) -> dict[str, Any]:
        ran = subprocess.run(
            [*LEADTRACE, "doctor", "--reconcile", str(self.serve.url), "--json"],
            env=leadtrace_environment() | {"LEADTRACE_JOURNAL": str(self.journal.path)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        found: dict[str, Any] = json.loads(ran.stdout)
        return found["reconciled"]


@pytest.fixture(scope="module")
def serve(folder: Path, running: Running) -> Serve:
    one = Serve(folder)
    running.start(one)
    return one


@pytest.fixture
def trial(folder: Path, serve: Serve, request: pytest.FixtureRequest) -> Trial:
    return Trial(folder / request.node.name.replace("[", "-").replace("]", ""), serve)


@pytest.fixture
def unreliable(serve: Serve) -> Iterator[Unreliable]:
    one = Unreliable(serve.url, Serve.TOKEN, SEED)
    yield one
    one.close()


def test_the_application_is_killed_at_random_points(trial: Trial) -> None:
    """Two hundred times: amid opening, writing, rotating, sending, recovering what the one before had left."""
    assert trial.application(trial.serve.url, ROUNDS, SEED).wait(240) == 0
    trial.drain()
    trial.check()
    promised = trial.promised()
    assert len({uid[:16] for uid in promised}) >= ROUNDS * 0.7, "most rounds got as far as an event"
    closed = list(EmbeddedStore.open(trial.serve.store).events(EventFilter(("flow.interrupted",))))
    assert len(closed) > ROUNDS * 0.3, "and many were killed amid a flow"
    assert len({one.uid for one in closed}) == len(closed)


def test_the_application_is_killed_while_its_receiver_fails_in_every_way(trial: Trial, unreliable: Unreliable) -> None:
    """429, 503, cut connections, dying before storing, dying after storing and before answering, slowness."""
    assert trial.application(unreliable.url, 30, SEED + 1, 200).wait(240) == 0
    trial.drain(unreliable.url)
    trial.check()
    assert set(unreliable.met) == set(FAULTS), unreliable.met


def test_the_sender_is_killed_again_and_again(trial: Trial, unreliable: Unreliable) -> None:
    """With a backlog of some two thousand events, through a receiver that fails; two senders at once."""
    chance = random.Random(SEED + 2)
    assert trial.application("http://127.0.0.1:9", "once", 1, 150).wait(60) == 0
    assert status(trial.journal).waiting > 1_500
    for _ in range(6):
        several = [trial.send(unreliable.url, "--once") for _ in range(2)]
        time.sleep(chance.uniform(0.3, 1.2))  # the fault itself: a random moment
        for one in several:
            one.send_signal(signal.SIGKILL)
            one.communicate()
    trial.drain(unreliable.url)
    trial.check()


def test_the_server_is_killed_while_it_stores(trial: Trial, running: Running) -> None:
    """`leadtrace serve` by -9, five times, under two applications."""
    chance = random.Random(SEED + 3)
    both = [trial.application(trial.serve.url, "once", number, 150) for number in (1, 2)]
    for _ in range(5):
        time.sleep(chance.uniform(0.1, 0.6))  # the fault itself: a random moment
        trial.serve.kill()
        trial.serve.start()
    for one in both:
        assert one.wait(60) == 0
    trial.drain()
    trial.check()


def test_the_receiver_is_away_for_a_while(trial: Trial, unreliable: Unreliable) -> None:
    """It comes back, and what waited arrives; the application's end was not held up."""
    unreliable.down = True
    began = time.monotonic()
    assert trial.application(unreliable.url, "once", 1, 120).wait(60) == 0
    assert time.monotonic() - began < 30
    found = status(trial.journal)
    assert (found.waiting > 1_200, found.wrong) == (True, True)
    unreliable.down = False
    trial.drain(unreliable.url)
    trial.check()


@pytest.mark.timeout(AWAY_S + 180)
def test_the_receiver_is_away_for_minutes_and_a_living_sender_goes_on_by_itself(
    trial: Trial, unreliable: Unreliable
) -> None:
    """However often it was tried in vain meanwhile: nobody has to start anything again."""
    # Once back it works: each failure more would cost the longest wait, half a minute, and is what other tests are about.
    unreliable.faults = ("fine",)
    unreliable.down = True
    starts = itertools.count(1, 1_000)  # other leads each time: the order of one lead's events is that of one process
    assert trial.application(unreliable.url, "once", next(starts), 20).wait(60) == 0
    sender = trial.send(unreliable.url)
    try:
        came_back = time.monotonic() + AWAY_S
        while time.monotonic() < came_back:  # the fault itself: that time goes by, and that more is recorded in it
            assert trial.application(unreliable.url, "once", next(starts), 20).wait(60) == 0
            time.sleep(min(15, max(0, came_back - time.monotonic())))
            assert sender.poll() is None, sender.communicate()
        assert status(trial.journal).waiting > 1_000
        unreliable.down = False
        wait_until("everything sent", lambda: status(trial.journal).waiting == 0, within=90)
    finally:
        sender.terminate()
        sender.communicate(timeout=30)
    trial.check()


def test_a_receiver_that_refuses_some_for_good(trial: Trial, serve: Serve) -> None:
    """400 for requests with a certain event in them: bisected, set aside with the reason, named; the rest is there."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    way = Unreliable(serve.url, Serve.TOKEN, SEED, ("fine",))

    class Refusing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status_, content = (
                (400, b"no") if b"low.confidence.detected" in body and "logs" in self.path else (200, b"")
            )
            if status_ == 200:
                import urllib.request

                headers = {"content-type": self.headers["content-type"]}
                with urllib.request.urlopen(
                    urllib.request.Request(way.url + self.path, data=body, headers=headers)
                ) as one:
                    content = one.read()
            self.send_response(status_)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert trial.application(url, "once", 1, 60).wait(60) == 0
        trial.drain(url)
    finally:
        server.shutdown()
        server.server_close()
        way.close()
    aside = list(set_aside(trial.journal))
    assert (len(aside), {one.lane for one in aside}) == (60, {"default.logs"})
    trial.check()


def test_the_real_collector_is_killed(trial: Trial, folder: Path, running: Running) -> None:
    """Between application and server, with its persistent queue, by -9 while both send through it."""
    jaeger = Jaeger(folder)
    running.start(jaeger)
    collector = Collector(folder, jaeger_otlp=jaeger.otlp, leadtrace_url=trial.serve.url, token=Serve.TOKEN)
    running.start(collector)
    chance = random.Random(SEED + 4)
    application = trial.application(collector.otlp_http, "once", 1, 300)
    for _ in range(4):
        time.sleep(chance.uniform(0.2, 0.8))  # the fault itself: a random moment
        collector.kill()
        collector.start()
    assert application.wait(60) == 0
    trial.drain(collector.otlp_http)

    def arrived() -> bool:
        return not set(trial.promised()) - {one.uid for one in trial.stored()}

    wait_until("what the Collector took in the store", arrived)
    trial.check()


@pytest.mark.parametrize("where", ["file size", "small file system"])
def test_the_disk_is_full(trial: Trial, where: str, tmp_path: Path) -> None:
    """What was saved before stays; what found no room was said so, and is named as refused, not as lost."""
    if where == "file size":
        argv = [
            sys.executable,
            APPLICATION,
            trial.journal.path,
            "http://127.0.0.1:9",
            trial.receipts,
            "once",
            "1",
            "300",
        ]
        limited = ["/bin/sh", "-c", 'ulimit -f 500; exec "$@"', "sh", *map(str, argv)]
        assert (
            subprocess.run(limited, env=leadtrace_environment(), timeout=60, stderr=subprocess.DEVNULL).returncode == 0
        )
    else:
        small = tmp_path / "small"
        small.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", small], capture_output=True)
        if mounted.returncode:
            pytest.skip("no file system can be mounted here")
        try:
            trial.journal = Folder(small / "journal")
            assert trial.application("http://127.0.0.1:9", "once", 1, 300).wait(60) == 0
            trial.drain()
            trial.check()
        finally:
            subprocess.run(["umount", small], check=True)
        return
    trial.drain()
    trial.check()


@pytest.mark.parametrize("damage", ["flipped", "cut", "zeroed"])
def test_journal_files_are_damaged(trial: Trial, damage: str) -> None:
    """Every intact record arrives; those that were hit are named by number."""
    chance = random.Random(SEED + 5)
    assert trial.application("http://127.0.0.1:9", 12, SEED).wait(60) == 0
    hit = 0
    for segment in trial.journal.segments():
        with SegmentReader(segment) as reader:
            frames = [one for one in reader.read(0).frames if b"log.record.uid" in one.body]
        if len(frames) < 8:
            continue
        content = bytearray(segment.path.read_bytes())
        victim = chance.choice(frames[2:-2])
        if damage == "flipped":
            content[chance.randrange(victim.start, victim.end)] ^= 1 << chance.randrange(8)
            hit += 1
        elif damage == "zeroed":
            content[victim.start : victim.end] = bytes(victim.end - victim.start)
            hit += 1
        else:
            del content[frames[-1].start + 20 :]
            hit += 1
        segment.path.write_bytes(content)
    assert hit > 3
    trial.drain()
    trial.check(holes=hit, tails=damage == "cut")


def test_the_clock_jumps(trial: Trial) -> None:
    """An hour forward and two back amid the run: nothing is lost, and the order is the order in which things happened."""
    assert trial.application(trial.serve.url, "once", 1, 150, FAULT_CLOCK="1").wait(60) == 0
    trial.drain()
    trial.check()
    marked = [one for one in trial.stored() if "clock_reanchored" in (one.attributes.get("leadtrace.marks") or [])]
    assert marked, "the jump is marked where it happened"
