"""`leadtrace doctor --reconcile`: a real application, its journal, a real server; what is missing is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import apsw
import jsonschema
import pytest
from click.testing import CliRunner

from leadtrace.cli import main
from leadtrace.demo import environment, serving

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "output-doctor.schema.json"

APP = """
import os
import leadtrace as lt
with lt.configure(service_name="intake") as telemetry:
    for number in range(20):
        lt.emit("lead.received", lead_id=f"lead_{number:08}")
    telemetry.flush(float(os.environ.get("WAIT_S", "20")))
"""


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store.db"
        self.environ = {
            name: value for name, value in environment(folder).items() if not name.startswith("LEADTRACE_")
        } | {
            "LEADTRACE_JOURNAL": str(folder / "journal"),
            "LEADTRACE_KEY": str(folder / "key"),
            "LEADTRACE_STORE": str(self.store),
        }

    def run(self, url: str, wait_s: str = "20") -> None:
        environ = self.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "WAIT_S": wait_s}
        subprocess.run([sys.executable, "-c", APP], env=environ, check=True, timeout=50)

    def doctor(self, url: str, *options: str) -> tuple[int, str]:
        environ: dict[str, str | None] = {
            **dict.fromkeys(name for name in os.environ if name.startswith("LEADTRACE_")),
            **self.environ,
        }
        answer = CliRunner().invoke(main, ["doctor", "--reconcile", url, *options], env=environ)
        return answer.exit_code, answer.output

    def told(self, url: str) -> dict:
        _, output = self.doctor(url, "--json")
        told = json.loads(output)
        jsonschema.validate(told, json.loads(SCHEMA.read_text()))
        return told


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """An application has sent all it recorded, and the server has ended."""
    machine = Machine(tmp_path_factory.mktemp("reconcile"))
    with serving(machine.store, machine.environ) as url:
        machine.run(url)
        code, output = machine.doctor(url)
        assert code == 0, output
        assert "20 events of 1 processes: 20 in http" in output
    return machine


def test_where_everything_arrived_the_sum_says_so(sent: Machine) -> None:
    """Numbered = in the store; and the journal's own sum is right."""
    told = sent.told(str(sent.store))
    assert told["ok"]
    assert told["reconciled"] | {"holes": []} == told["reconciled"]
    assert (told["reconciled"]["numbered"], told["reconciled"]["held"], told["reconciled"]["lost"]) == (20, 20, 0)
    [book] = told["books"]
    assert (book["service"], book["acknowledged"], book["last_sequence"]) == ("intake", [[1, 20]], 20)


def test_what_the_store_lost_is_named_by_number_process_and_time(sent: Machine, tmp_path: Path) -> None:
    """Acknowledged, and not there: a copy of the store from which rows were removed behind its back."""
    copy = tmp_path / "copy.db"
    with apsw.Connection(str(sent.store)) as source, apsw.Connection(str(copy)) as target:
        with target.backup("main", source, "main") as backup:
            backup.step()
        target.execute("DELETE FROM events WHERE sequence BETWEEN 5 AND 7 OR sequence = 20")
    code, output = sent.doctor(str(copy))
    assert code == 1
    assert "20 events of 1 processes: 16 in " in output
    assert "4 lost" in output
    told = sent.told(str(copy))
    first, second = told["reconciled"]["holes"]
    assert (first["from"], first["to"], first["why"], first["service"]) == (5, 7, "acknowledged", "intake")
    assert 0 < first["after_ns"] < first["before_ns"]
    assert (second["from"], second["to"], second["before_ns"]) == (20, 20, 0)
    assert (
        f"events 5-7 (3) of intake, process {first['pid']} on {first['host']} (boot {first['boot']}), made between 20"
        in output
    )


def test_what_waits_is_no_loss(tmp_path: Path) -> None:
    """Nobody listens: the journal has it all."""
    machine = Machine(tmp_path)
    with serving(machine.store, machine.environ):
        pass
    machine.run("http://127.0.0.1:9", "0.1")
    told = machine.told(str(machine.store))
    assert told["reconciled"]["waiting"] == 20
    assert told["reconciled"]["lost"] == 0
    assert any(one["check"] == "books" and "20 waiting" in one["says"] for one in told["findings"])


def test_a_store_that_cannot_be_read_is_an_error_of_the_source(tmp_path: Path) -> None:
    """Exit code 3, one line."""
    code, output = Machine(tmp_path).doctor(str(tmp_path / "nothing.db"))
    assert code == 3
    assert "there is no store" in output
    assert "name another with --reconcile" in output


def test_a_clock_that_was_set_between_processes_is_told_with_when(tmp_path: Path) -> None:
    """An hour back for the second of three: forth and back again, between whom; also when the journal has sent it all."""
    machine = Machine(tmp_path)
    jumped = "import time; real = time.time_ns; time.time_ns = lambda: real() - 3_600_000_000_000\n"
    with serving(machine.store, machine.environ) as url:
        for before in ("", jumped, ""):
            environ = machine.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
            subprocess.run([sys.executable, "-c", before + APP], env=environ, check=True, timeout=50)
        told = [one for one in machine.told(url)["findings"] if "clock was set" in one["says"]]
    assert [one["level"] for one in told] == ["warn", "warn"]
    back, forth = (one["says"] for one in told)
    assert "a clock was set back by 3,600 s after intake, process " in back
    assert "a clock was set forward by 3,600 s after intake, process " in forth


def test_a_clock_that_keeps_time_is_told_as_such(sent: Machine) -> None:
    """By every note that the journal has."""
    said = [one["says"] for one in sent.told(str(sent.store))["findings"] if one["check"] == "clock"]
    assert said == ["nobody has set it by more than 5 s between the processes that recorded"]
