"""Lead events through kill -9: the intake and a worker are killed at seeded random moments, again and again.

The intake takes lead events over HTTP and sends them in the background; a worker beside it sends, too; the platforms refuse,
limit, fail in part, and cut connections after they have taken something. Afterwards the books of three sides are compared:
what the intake said it has, what the platforms took, and what the store holds. `LEADTRACE_KILLS` says how many kills.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from real_servers import ROOT, Serve, leadtrace, leadtrace_environment, wait_until

from conftest import Running

sys.path.insert(0, str(ROOT))
from examples.ad_platforms.make_events import Posted, make_events
from examples.ad_platforms.platforms import Platform
from examples.ad_platforms.platforms import running as platforms_running

KILLS = int(os.environ.get("LEADTRACE_KILLS", "25"))
SEED = int(os.environ.get("LEADTRACE_KILL_SEED", "7"))
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Processes:
    """Intake and worker, by name, over one journal."""

    folder: Path
    env: dict[str, str]
    url: str = ""
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def start(self, name: str) -> None:
        more = {"intake": [], "worker": ["--every", "0.05"]}[name.partition(" ")[0]]
        argv = [sys.executable, "-m", f"examples.ad_platforms.{name.partition(' ')[0]}", *more]
        with (self.folder / f"{name}.log").open("a") as log:
            self.running[name] = subprocess.Popen(
                argv, env=self.env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        if name == "intake":
            line = self.running[name].stdout.readline().strip()
            assert line.startswith("http://"), (self.folder / "intake.log").read_text()
            self.url = line

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait(10)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever a test ends with, nothing of it lives on."""
        for name in list(self.running):
            self.kill(name)

    def end(self) -> None:
        for process in self.running.values():
            process.terminate()
        for name, process in self.running.items():
            assert process.wait(20) in (0, -15), (self.folder / f"{name}.log").read_text()
        self.running.clear()

    def post(self, event: Posted) -> dict[str, Any] | None:
        """What the intake answered; None where nobody did, or where it does not have it."""
        headers = {"x-event-id": event.id, "content-type": "application/json"}
        try:
            with OPENER.open(
                urllib.request.Request(f"{self.url}/lead-events", event.body, headers), timeout=5
            ) as answer:
                return json.load(answer)
        except (OSError, HTTPException):
            return None

    def waiting(self) -> int:
        found = json.loads(leadtrace("lead-events", "--json", "--journal", str(self.journal), expect=(0, 1)))
        assert found["unreadable"] == 0
        return sum(one["waiting"] for one in found["platforms"])


@dataclass
class Books:
    """What all sides say in the end."""

    events: list[Posted]
    receipts: dict[str, dict[str, Any]]
    platforms: dict[str, Platform]
    aside: list[dict[str, Any]]
    told: list[dict[str, Any]]
    folder: Path
    kills: Counter[str] = field(default_factory=Counter)


def environment(folder: Path, platforms: dict[str, Platform], receiver: str) -> dict[str, str]:
    return leadtrace_environment() | {
        "META_ADS_URL": platforms["Meta Ads"].url,
        "GOOGLE_ADS_URL": platforms["Google Ads"].url,
        "AD_PLATFORMS_FIRST_WAIT": "0.02",
        "LEADTRACE_JOURNAL": str(folder / "journal"),
        "LEADTRACE_KEY": str(folder / "key"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver,
    }


def finished(processes: Processes, serve: Serve) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Let everything be sent and told; what is in quarantine, and what the store was told of lead events."""
    wait_until("nothing waiting for a platform", lambda: processes.waiting() == 0, within=120)
    processes.end()
    leadtrace("journal", "send", "--once", "--journal", str(processes.journal), "--to", serve.url)
    aside = json.loads(leadtrace("quarantine", "list", "--json", "--journal", str(processes.journal), expect=(0, 1)))
    listed = leadtrace("events", "--name", "lead.event.*", "--json", "--from", str(serve.store))
    return aside, [json.loads(line) for line in listed.splitlines()]


@pytest.fixture(scope="module")
def killed(folder: Path, running: Running) -> Iterator[Books]:
    """A run with that many kills in it."""
    chance = random.Random(SEED)
    serve = Serve(folder)
    running.start(serve)
    with ExitStack() as stack:
        platforms = stack.enter_context(platforms_running(SEED))
        processes = stack.enter_context(Processes(folder, environment(folder, platforms, serve.url)))
        events = make_events(SEED, KILLS * 12)
        receipts: dict[str, dict[str, Any]] = {}
        kills: Counter[str] = Counter()
        posted, given_up = threading.Event(), threading.Event()

        def post_all() -> None:
            for event in events:
                while (answer := processes.post(event)) is None:
                    if given_up.wait(0.01):
                        return
                receipts[event.id] = answer
            posted.set()

        stack.callback(given_up.set)
        for name in ("intake", "worker"):
            processes.start(name)
        threading.Thread(target=post_all, daemon=True).start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.02, 0.8))
            victim = chance.choice(["intake", "intake", "worker"])
            processes.kill(victim)
            kills[victim] += 1
            processes.start(victim)
        assert posted.wait(120), "the intake did not take everything in"
        aside, told = finished(processes, serve)
        yield Books(events, receipts, platforms, aside, told, folder, kills)


def test_every_lead_event_that_was_said_to_be_saved_is_at_each_of_its_platforms_or_was_refused_there(
    killed: Books,
) -> None:
    assert all(receipt["saved"] for receipt in killed.receipts.values())
    assert killed.kills.total() == KILLS
    for name, platform in killed.platforms.items():
        for_it = {one.id for one in killed.events if name in one.platforms and not one.malformed}
        refused = {one["id"] for one in killed.aside if one["destination"] == name and not one["malformed"]}
        taken = platform.taken()
        assert for_it - taken.keys() - refused == set(), f"lost on the way to {name}"
        assert taken.keys() <= for_it
        assert len(taken) > KILLS


def test_whatever_came_to_a_platform_again_after_it_was_taken_said_so(killed: Books) -> None:
    resends = 0
    for platform in killed.platforms.values():
        here: set[str] = set()
        for arrival in platform.arrivals:
            if arrival.id in here:
                assert arrival.resend, f"{arrival.id} came to {platform.name} again without a word"
                resends += 1
            if arrival.taken:
                here.add(arrival.id)
    assert resends, "no kill fell between sending and noting: more kills are needed"


def test_what_is_malformed_is_in_quarantine_and_never_came_to_a_platform(killed: Books) -> None:
    malformed = {one.id for one in killed.events if one.malformed}
    assert {one["id"] for one in killed.aside if one["malformed"]} == malformed
    assert {event_id for event_id, receipt in killed.receipts.items() if receipt["quarantined"]} == malformed
    for platform in killed.platforms.values():
        assert malformed.isdisjoint(platform.tries)


def test_the_store_holds_each_sending_once_and_what_was_taken_in(killed: Books) -> None:
    def of(name: str) -> Counter[tuple[str, str]]:
        return Counter(
            (one["attributes"]["lead.event.id"], one["attributes"]["lead.event.destination"])
            for one in killed.told
            if one["name"] == name
        )

    good = {(one.id, name) for one in killed.events if not one.malformed for name in one.platforms}
    refused = {(one["id"], one["destination"]) for one in killed.aside if not one["malformed"]}
    assert of("lead.event.sent") == Counter(good - refused), "told once each"
    assert of("lead.event.saved").keys() == good
    assert of("lead.event.quarantined").keys() >= refused
    resent = {
        one["attributes"]["lead.event.id"] for one in killed.told if one["attributes"].get("lead.event.resend") is True
    }
    assert resent, "a sending that may have been one too many is told as one"


def test_no_byte_of_the_journal_or_the_store_tells_who_it_is_about(killed: Books) -> None:
    files = {
        one: one.read_bytes()
        for one in killed.folder.rglob("*")
        if one.is_file() and one.name.partition("-")[0] not in ("key", "token")
    }
    assert any(one.name == "outbox.db" for one in files)
    words: set[str] = set()
    for event in killed.events:
        with suppress(ValueError, KeyError):
            person = json.loads(event.body)["person"]
            words |= {f"{person['first_name']} {person['last_name']}", person.get("email", ""), person["phone"]}
    whole = b"\0".join(files.values())
    assert [word for word in words if len(word) > 7 and word.encode() in whole] == []
    assert killed.events[0].id.encode() in whole, "ids are there, and the search finds what is"


def test_workers_that_live_beside_each_other_send_nothing_twice(tmp_path: Path, running: Running) -> None:
    """No kill and no trouble: each arrives once, and none says that it is a resend."""
    with ExitStack() as stack:
        platforms = stack.enter_context(platforms_running(SEED, trouble=0))
        receiver = "http://127.0.0.1:9"
        processes = stack.enter_context(Processes(tmp_path, environment(tmp_path, platforms, receiver)))
        for name in ("intake", "worker 1", "worker 2"):
            processes.start(name)
        events = make_events(SEED, 150)
        for event in events:
            wait_until(f"{event.id} taken in", lambda event=event: processes.post(event))
        wait_until("nothing waiting for a platform", lambda: processes.waiting() == 0, within=60)
        processes.end()
        for name, platform in platforms.items():
            for_it = {one.id for one in events if name in one.platforms and not one.malformed}
            assert {one.id for one in platform.arrivals} == for_it
            assert Counter(one.id for one in platform.arrivals).most_common(1)[0][1] == 1
            assert not [one for one in platform.arrivals if one.resend]


def test_the_example_as_a_reader_runs_it_loses_nothing_over_its_kill(tmp_path: Path) -> None:
    env = leadtrace_environment() | {"TMPDIR": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "examples.ad_platforms", "--events", "60"]
    ran = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("killed after 30 events, with ")
    assert ran.stdout.count(", 0 lost\n") == 2
