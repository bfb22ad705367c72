"""`leadtrace watch` as processes: killed, doubled, ended; over a real store, towards a server shaped like Slack's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from watch_world import Slack

from leadtrace.alerts.database import Database
from leadtrace.alerts.history import kept, state
from leadtrace.otlp.records import EventRecord
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import EventFilter

RULES = """
every = "1s"
[groups.brand]
kind = "campaign_group"
owners = ["anna"]
[rules.silence]
kind = "absence"
groups = "brand"
window = "10m"
keep_firing = "0s"
severity = "critical"
[channels.team]
kind = "slack"
token = "env:TEAM_TOKEN"
to = "C042"
base_url = "{url}"
"""
HOUR = 3600 * 1_000_000_000


class Field:
    """A store, a rules file, and the processes that a test starts."""

    def __init__(self, folder: Path, slack: Slack) -> None:
        self.folder = folder
        self.slack = slack
        self.store = folder / "store.db"
        self.state = folder / "store.alerts.db"
        self.rules = folder / "rules.toml"
        self.rules.write_text(RULES.replace("{url}", slack.url))
        self.processes: list[subprocess.Popen[str]] = []
        self.lead(time.time_ns() - HOUR)

    def lead(self, at_ns: int) -> None:
        store = EmbeddedStore.open(self.store, write=True)
        event = EventRecord(
            "lead.received",
            at_ns,
            attributes={
                "lead.id": f"lead_{at_ns}",
                "lead.campaign_group": "brand",
                "leadtrace.kind": "milestone",
                "log.record.uid": f"{at_ns:028x}",
            },
        )
        store.append((), [event])
        store.close()

    def run(self, *arguments: str, code: int = 0) -> str:
        ran = subprocess.run(
            self._line(*arguments), env=self._environment(), capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == code, ran.stderr + ran.stdout
        return ran.stdout

    def watch(self, *more: str) -> subprocess.Popen[str]:
        """A watch that has said that it is ready."""
        process = subprocess.Popen(
            self._line("watch", "--rules", str(self.rules), "--from", str(self.store), *more),
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("leadtrace watch: 1 rules, 1 groups from "), line + process.stdout.read()
        return process

    def _line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "leadtrace", *arguments]

    def _environment(self) -> dict[str, str]:
        return {name: one for name, one in os.environ.items() if not name.startswith("LEADTRACE_")} | self._own

    @property
    def _own(self) -> dict[str, str]:
        return {"TEAM_TOKEN": "xoxb-team", "PYTHONUNBUFFERED": "1", "XDG_DATA_HOME": str(self.folder)}

    def until(self, what: Callable[[], Any], within: float = 40) -> Any:
        deadline = time.monotonic() + within
        while not (found := what()):
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(0.02)
        return found

    def sent(self) -> list[tuple[str, str]]:
        with Database.open(self.state) as database:
            return database.run("SELECT what, thread FROM outbox WHERE state = 'sent' ORDER BY number")  # type: ignore[return-value]


@pytest.fixture
def place(tmp_path: Path, slack: Slack) -> Iterator[Field]:
    found = Field(tmp_path, slack)
    yield found
    for one in found.processes:
        if one.poll() is None:
            one.kill()
        one.wait(10)
        if one.stdout is not None:
            one.stdout.close()


def test_a_watch_that_is_killed_amid_sending_is_followed_by_one_that_sends_it(place: Field) -> None:
    place.slack.hold.clear()
    first = place.watch()
    place.until(lambda: place.slack.messages)
    first.kill()
    first.wait(10)
    place.slack.hold.set()
    second = place.watch()
    assert place.until(place.sent) == [("fired", "2.000100")]
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0
    assert [one["token"] for one in place.slack.messages] == ["xoxb-team", "xoxb-team"]
    with Database.open(place.state) as database:
        assert database.run("SELECT change FROM transitions") == [("fired",)]


def test_two_watches_tell_once_and_the_second_goes_on_in_the_thread_when_the_first_is_killed(
    place: Field, published: Callable[[str, Any], None]
) -> None:
    first = place.watch()
    place.until(place.sent)
    second = place.watch()
    assert second.stdout is not None
    assert second.stdout.readline() == "leadtrace watch: another watcher evaluates; this one stands by\n"
    first.kill()
    first.wait(10)
    place.lead(time.time_ns())
    assert place.until(lambda: place.sent()[1:]) == [("resolved", "2.000100")]
    assert [one.get("thread_ts") for one in place.slack.messages] == [None, "1.000100"]
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0
    store = EmbeddedStore.open(place.store)
    events = list(store.events(EventFilter(("alert.*",))))
    store.close()
    names = [one.name for one in events]
    assert names[0] == "alert.fired"
    assert names[-1] == "alert.resolved"
    assert set(names[1:-1]) == {"alert.checked"}
    assert len({one.uid for one in events}) == len(events)
    listed = json.loads(place.run("alerts", "list", "--json", "--from", str(place.store)))
    published("alerts-list", listed)
    assert (listed["state"], listed["rule"], listed["group"]) == ("resolved", "silence", "brand")
    shown = json.loads(place.run("alerts", "show", listed["id"][:6], "--json", "--from", str(place.store)))
    published("alerts-show", shown)
    assert [one["what"] for one in shown["told"]] == ["fired", "resolved"]
    assert len(shown["plan"]) == 4


def test_one_round_says_what_it_did_and_people_answer(place: Field, published: Callable[[str, Any], None]) -> None:
    where = ("--from", str(place.store))
    rules = ("--rules", str(place.rules))
    told = place.run("watch", *rules, *where, "--once").splitlines()
    assert told[1].startswith("fired ")
    assert "silence of brand [critical]: no leads for" in told[1]
    with Database.open(place.state) as database:
        (one,) = kept(database, time.time_ns())
        assert state(database, "rules").at_ns > 0
    place.run("watch", *rules, *where, "--once")
    assert place.run("alerts", "ack", one.alert.id[:8], "--by", "anna", *where) == (
        f"{one.alert.id} silence of brand is acknowledged by anna\n"
    )
    checks = place.run(
        "alerts", "checks", one.alert.id, "--item", "ad-settings", "--result", "failed", *where, *rules, code=1
    )
    assert "side at fault: client" in checks
    published(
        "alerts-checks", json.loads(place.run("alerts", "checks", one.alert.id, "--json", *where, *rules, code=1))
    )
    published("alerts-list", json.loads(place.run("alerts", "list", "--firing", "--json", *where)))
    published("alerts-show", json.loads(place.run("alerts", "show", one.alert.id, "--json", *where, *rules)))
    published("alerts-show", json.loads(place.run("alerts", "ack", one.alert.id, "--json", *where)))
    told = json.loads(place.run("alerts", "silence", "brand", "--for", "1h", "--json", *where, *rules))
    published("alerts-silence", told)
    assert "silenced until" in place.run("alerts", "silence", "brand", "--for", "2h", *where, *rules)
    place.run("alerts", "silence", "brnad", "--for", "2h", *where, *rules, code=2)
    place.run("watch", *rules, *where, "--once")
    assert [what for what, _ in place.sent()] == ["fired", "acknowledged", "checked"]
    place.run("alerts", "show", "ffff", *where, code=1)
    place.run("alerts", "list", "--state", str(place.folder / "none.db"), code=3)


def test_what_cannot_be_watched_is_told_before_it_begins(place: Field) -> None:
    rules = ("--rules", str(place.rules))
    place.run("watch", *rules, "--from", "jaeger://127.0.0.1:16686", code=2)
    place.run("watch", "--rules", str(place.folder / "none.toml"), code=2)
    place.rules.write_text(place.rules.read_text().replace("TEAM_TOKEN", "NO_SUCH_TOKEN"))
    place.run("watch", *rules, "--from", str(place.store), code=2)


def test_the_backlog_of_a_journal_is_what_waits_in_it(tmp_path: Path) -> None:
    """A process that died with what it could not send: two events, and the spans that carry them."""
    from leadtrace.cli.watch import _backlog
    from leadtrace.errors import SourceError

    told = (
        "import os, leadtrace as lt\n"
        f"lt.configure(journal={str(tmp_path / 'journal')!r}, endpoint='http://127.0.0.1:9', key={str(tmp_path / 'key')!r})\n"
        "lt.emit('lead.received', lead_id='lead_1'); lt.emit('lead.accepted', lead_id='lead_1')\n"
        "os._exit(0)\n"
    )
    environment = {name: one for name, one in os.environ.items() if not name.startswith(("LEADTRACE_", "OTEL_"))}
    subprocess.run([sys.executable, "-c", told], check=True, timeout=60, env=environment)
    assert _backlog(str(tmp_path / "journal")) == 4
    with pytest.raises(SourceError, match="there is no journal"):
        _backlog(str(tmp_path / "none"))
