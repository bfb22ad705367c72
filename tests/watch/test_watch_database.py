"""The watch's database: where it lies, what it refuses, claims of the living and the dead; the metrics made of it."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from watch_world import NOON, RULES, World

from leadtrace.alerts.database import Database, alive, path_beside, this_process
from leadtrace.alerts.metrics import declared_lines, watch_lines
from leadtrace.alerts.rules import MINUTE
from leadtrace.alerts.rules_file import loads
from leadtrace.cli.alert_metrics import serving
from leadtrace.errors import SourceError
from leadtrace.settings import Settings


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/data/store.db", "/data/store.alerts.db"),
        ("/data/leads", "/data/leads.alerts.db"),
        ("http://127.0.0.1:4318", "/home/leadtrace/127.0.0.1-4318.alerts.db"),
        ("https://leads.example", "/home/leadtrace/leads.example-443.alerts.db"),
    ],
)
def test_it_lies_beside_the_store(url: str, name: str) -> None:
    assert path_beside(url, Settings(store=Path("/home/leadtrace/store.db"))) == Path(name)


def test_another_programs_database_is_not_touched(tmp_path: Path) -> None:
    import sqlite3

    foreign = tmp_path / "other.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    with pytest.raises(SourceError, match="holds no alerts"):
        Database.open(foreign)
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at as one" * 20)
    with pytest.raises(SourceError, match="are damaged"):
        Database.open(tmp_path / "text.db")
    with pytest.raises(SourceError, match="start `leadtrace watch`"):
        Database.open(tmp_path / "none.db", create=False)


def test_a_change_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with Database.open(tmp_path / "a.alerts.db") as database:
        with pytest.raises(ZeroDivisionError), database.writing():
            database.run("INSERT INTO meta VALUES ('x', 'y')")
            raise ZeroDivisionError
        assert database.run("SELECT name FROM meta") == [("boot",)]


def test_an_owner_is_alive_until_it_is_known_to_be_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host, _, began = this_process().split("/")
    import psutil

    owner = f"{host}/{process.pid}/{psutil.Process(process.pid).create_time():.2f}"
    assert alive(owner)
    assert alive(this_process())
    process.kill()
    process.wait(10)
    assert not alive(owner)
    assert not alive(f"{host}/{os.getpid()}/1.00"), "the number came again, for another process"
    assert alive(f"another-machine/{process.pid}/{began}")


def test_what_was_done_with_long_ago_is_forgotten_and_alerts_stay(world: World) -> None:
    watch = world.watch()
    world.minutes(60, step=15)
    world.minutes(2)
    world.lead("brand", "search")
    world.minutes(2)
    assert len(watch.database.run("SELECT 1 FROM outbox")) == 2
    world.now_ns += 91 * 24 * 60 * MINUTE
    world.lead("brand", "search")
    world.minutes(2)
    assert watch.database.run("SELECT 1 FROM outbox") == []
    assert watch.database.run("SELECT 1 FROM events") == []
    assert len(watch.database.run("SELECT 1 FROM alerts")) == 2


def test_declared_groups_are_metrics_with_whether_they_are_open() -> None:
    rules = loads(
        RULES
        + """
        [groups."odd \\"name\\""]
        kind = "buyer"
        values = ["A", "B"]
        spend_per_hour = 12.5
        pauses = [{ from = 2025-11-25 }]
        [credentials.token]
        expires = 2026-01-01
        """
    )
    lines = [one for one in declared_lines(rules, NOON) if not one.startswith("#")]
    assert lines == [
        'leadtrace_declared_group{group="brand",kind="campaign_group",value="brand"} 1',
        'leadtrace_declared_group{group="search",kind="campaign_group",value="search"} 1',
        'leadtrace_declared_group{group="odd \\"name\\"",kind="buyer",value="A"} 1',
        'leadtrace_declared_group{group="odd \\"name\\"",kind="buyer",value="B"} 1',
        'leadtrace_group_open{group="brand"} 1',
        'leadtrace_group_open{group="search"} 1',
        'leadtrace_group_open{group="odd \\"name\\""} 0',
        'leadtrace_group_value_per_lead{group="brand",currency="USD"} 40.0',
        'leadtrace_group_spend_per_hour{group="odd \\"name\\"",currency="USD"} 12.5',
        'leadtrace_credential_expires_timestamp_seconds{credential="token"} 1767225600.0',
    ]


def test_the_watch_serves_what_fires_and_how_it_fares(make_world: Callable[..., World]) -> None:
    world = make_world()
    watch = world.watch()
    world.told.failing["team"] = "no"
    world.taken.why = "no"
    world.minutes(60, step=15)
    world.minutes(2)
    lines = [one for one in watch_lines(watch.database, world.now_ns) if not one.startswith("#")]
    assert lines == [
        'leadtrace_alert_firing{rule="silence",group="brand",severity="high"} 1',
        'leadtrace_alert_firing{rule="silence",group="search",severity="high"} 1',
        f"leadtrace_watch_evaluated_timestamp_seconds {world.now_ns / 1e9!r}",
        'leadtrace_watch_channel_failures{channel="team"} 2',
        'leadtrace_watch_messages_waiting{channel="team"} 1',
        "leadtrace_watch_events_waiting 2",
    ]
    with serving(0, world.path, watch) as address:
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
        assert "\n".join(lines) in "\n".join(one for one in text.splitlines() if not one.startswith("#"))
        with pytest.raises(urllib.error.HTTPError) as late:
            urllib.request.urlopen(address.replace("/metrics", "/healthz"), timeout=10)
        assert late.value.code == 503, "by this machine's clock the last evaluation was long ago"
