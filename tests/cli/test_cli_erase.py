"""`leadtrace erase`: one command over journal, lead events and a running server; the receipt; what others must be asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from leadtrace.cli import main
from leadtrace.cli.erasing.elsewhere import asked_of_others
from leadtrace.demo import environment, serving

pytestmark = pytest.mark.slow

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "output-erase.schema.json"
ANN, BOB, PHONE = "lead_ann_7K9mHpQR", "lead_bob_3x2B5N8j", "+1 415 555 0100"

APP = """
import os, sys
import leadtrace as lt

with lt.configure(service_name="intake") as telemetry:
    for lead in sys.argv[1:]:
        with lt.flow("Premium", lead_id=lead):
            lt.move_to("received")
    telemetry.flush(float(os.environ["WAIT_S"]))
"""


class Machine:
    """A user's folders, an application that records there, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = environment(folder) | {
            "LEADTRACE_JOURNAL": str(folder / "journal"),
            "LEADTRACE_STORE": str(folder / "store.db"),
        }

    def run(self, url: str, *leads: str, wait_s: str = "20") -> None:
        environ = self.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "WAIT_S": wait_s}
        subprocess.run([sys.executable, "-c", APP, *leads], env=environ, check=True, timeout=50, cwd=self.folder)

    def ask(self, *asked: str) -> Result:
        unset = dict.fromkeys(name for name in os.environ if name.startswith(("LEADTRACE_", "OTEL_")))
        return CliRunner().invoke(main, asked, env={**unset, **self.environ})

    def receipt(self, *asked: str) -> dict:
        answer = self.ask("erase", *asked, "--yes", "--json")
        told = json.loads(answer.stdout)
        jsonschema.validate(told, json.loads(SCHEMA.read_text()))
        return told

    def holding(self, text: str) -> list[str]:
        """The files in which that text stands, of all that there are."""
        files = (one for one in sorted(self.folder.rglob("*")) if one.is_file())
        return [str(one.relative_to(self.folder)) for one in files if text.encode() in one.read_bytes()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_lead_goes_from_everywhere_and_others_stay(machine: Machine) -> None:
    """Some of it is in the server's store, some waits in the journal; afterwards no byte of it is left, nothing is lost,
    and what the application still records of it is turned away."""
    with serving(machine.folder / "store.db", machine.environ) as url:
        machine.run(url, ANN, BOB)
        machine.run("http://127.0.0.1:9", ANN, BOB, wait_s="0.05")
        told = machine.receipt(ANN, "--from", url)
        receipt = told["receipt"]
        assert receipt["complete"]
        journal, store = receipt["places"]
        assert (journal["place"], journal["counts"]["events"], journal["counts"]["spans"]) == ("journal", 3, 1)
        assert (store["place"], store["counts"]["leads"], store["counts"]["events"], store["counts"]["spans"]) == (
            "store",
            1,
            3,
            1,
        )
        assert store["searched_bytes"] > 0
        assert len(told["traces"]) == 1
        said = json.dumps(receipt)
        assert ANN not in said
        assert told["traces"][0] not in said
        assert machine.holding(ANN) == []
        machine.run(url, ANN, BOB)
        assert machine.ask("lead", ANN, "--from", url).exit_code == 1
        assert machine.ask("lead", BOB, "--from", url).exit_code == 0
        checked = machine.ask("doctor", "--reconcile", url, "--json")
        assert checked.exit_code == 0, checked.output
        reconciled = json.loads(checked.stdout)["reconciled"]
        assert (reconciled["lost"], reconciled["holes"]) == (0, [])
        assert (reconciled["erased"], reconciled["held"], reconciled["waiting"]) == (9, 9, 0)
    assert machine.holding(ANN) == []


def test_a_lead_whose_id_is_a_phone_number_goes_with_the_hashes_of_every_key(machine: Machine) -> None:
    """Recorded before and after a rotation, however the number is typed."""
    with serving(machine.folder / "store.db", machine.environ) as url:
        machine.run(url, PHONE, BOB)
        assert machine.ask("key", "rotate").exit_code == 0
        machine.run(url, PHONE)
        [_, store] = machine.receipt("(415) 555-0100", "--from", url)["receipt"]["places"]
        assert (store["counts"]["leads"], store["counts"]["events"]) == (2, 6)
        assert machine.ask("lead", PHONE, "--from", url).exit_code == 1
    (machine.folder / "key").unlink()
    answer = machine.ask("erase", PHONE, "--yes")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "there is no key file" in answer.stderr


def test_a_store_without_a_server_is_erased_by_its_path(machine: Machine) -> None:
    """And told as text: counts, numbers, and what is for others to delete."""
    with serving(machine.folder / "store.db", machine.environ) as url:
        machine.run(url, ANN)
        busy = machine.ask("erase", ANN, "--yes", "--journal", "off")
        assert busy.exit_code == 1
        assert "is being written by another process" in busy.stdout
    answer = machine.ask("erase", ANN, "--yes", "--journal", "off")
    assert (answer.exit_code, answer.stderr) == (0, "")
    lines = answer.stdout.splitlines()
    assert lines[0].startswith("receipt ")
    assert lines[1] == f"  store {machine.folder}/store.db: 1 leads, 1 spans, 3 events, 0 set aside, 0 changed"
    assert lines[2].startswith("    erased of boot ")
    assert lines[2].endswith(": events 1-3")
    assert lines[3].endswith(" bytes searched: nothing of it is left")
    assert lines[4] == "not reached by this command:"
    assert sum("ALTER TABLE" in line for line in lines) == 2


def test_nothing_is_erased_without_being_asked_for(machine: Machine) -> None:
    """In a script --yes says so; nobody is asked where nobody is."""
    answer = machine.ask("erase", ANN)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "nobody is here to ask: --yes erases without asking" in answer.stderr


def test_where_nothing_of_it_is_found_the_exit_code_says_so(machine: Machine) -> None:
    """It is turned away from now on all the same; and a place that is not there is told."""
    with serving(machine.folder / "store.db", machine.environ) as url:
        machine.run(url, BOB)
        answer = machine.ask("erase", ANN, "--yes", "--from", url)
        assert answer.exit_code == 1
        assert answer.stderr == "leadtrace: nothing of that lead was found; what comes is turned away\n"
        gone = machine.ask("erase", BOB, "--yes", "--from", "http://127.0.0.1:9")
        assert gone.exit_code == 1
        assert "nothing could be done there: cannot reach http://127.0.0.1:9" in gone.stdout
    empty = Machine(machine.folder / "empty")
    (machine.folder / "empty").mkdir()
    assert "there is neither a journal nor a store here" in empty.ask("erase", ANN, "--yes").stderr


def test_what_others_are_asked_is_quoted_for_them() -> None:
    """An id with a quote in it ends no string of a query."""
    jaeger, clickhouse = asked_of_others(["o'brien\\x{y}"], "north", ["0a" * 16])
    assert jaeger.commands[1] == f"Cassandra: DELETE FROM traces WHERE trace_id = 0x{'0a' * 16};"
    assert clickhouse.commands[0] == (
        "ALTER TABLE otel_logs DELETE WHERE (LogAttributes['lead.id'] IN ('o\\'brien\\\\x{y}') "
        "AND LogAttributes['tenant_key'] = 'north') SETTINGS mutations_sync = 2;"
    )
    assert clickhouse.commands[1].endswith(
        f"OR (TraceId IN ('{'0a' * 16}') AND SpanAttributes['lead.id'] = '') SETTINGS mutations_sync = 2;"
    )


EVENTS = """
import sys
import leadtrace as lt

sent = []

with lt.configure(service_name="intake", endpoint="http://127.0.0.1:9") as telemetry:
    if sys.argv[1] == "send":
        @lt.sender("meta")
        def send(payload):
            sent.append(payload["n"])
    for number, lead in enumerate(sys.argv[2:]):
        lt.lead_event({"n": number, "phone": "+1 415 555 0100"}, id=f"{sys.argv[1]}-{number}", destination="meta", lead_id=lead)
    if sys.argv[1] == "send":
        lt.send_waiting()
print(sent)
"""


def test_lead_events_of_the_lead_are_not_sent_whether_they_were_there_or_come_later(machine: Machine) -> None:
    """From the journal, and from what a process takes in afterwards."""

    def run(*asked: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", EVENTS, *asked],
            env=machine.environ,
            check=True,
            timeout=50,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    run("keep", ANN, BOB)
    told = machine.receipt(ANN, "--from", str(machine.folder / "store.db"))["receipt"]
    assert told["places"][0]["counts"]["kept"] == 1
    assert run("send", BOB, ANN) in ("[1, 0]", "[0, 1]")
    # With no receiver to be had, what was recorded since lies in the journal until a sender meets it, or somebody asks again.
    assert machine.receipt(ANN, "--from", str(machine.folder / "store.db"))["receipt"]["places"][0]["left"] == []
    assert machine.holding(ANN) == []


READMITTED = SCHEMA.with_name("output-readmit.schema.json")


def test_who_was_erased_and_comes_back_is_recorded_again(machine: Machine) -> None:
    """From then on, and not before; nothing that was erased comes back, and nothing of the person is in the receipt."""
    with serving(machine.folder / "store.db", machine.environ) as url:
        machine.run(url, ANN, BOB)
        machine.receipt(ANN, "--from", url)
        machine.run(url, ANN)
        assert machine.ask("lead", ANN, "--from", url).exit_code == 1
        answer = machine.ask("readmit", ANN, "--from", url, "--yes", "--json")
        assert answer.exit_code == 0, answer.output
        told = json.loads(answer.stdout)
        jsonschema.validate(told, json.loads(READMITTED.read_text()))
        assert [(one["place"], one["lifted"]) for one in told["receipt"]["places"]] == [
            ("store", 1),
            ("journal", 1),
            ("lead events", 1),
        ]
        assert ANN not in answer.stdout
        machine.run(url, ANN)
        lead = machine.ask("lead", ANN, "--from", url, "--json")
        assert len(json.loads(lead.stdout)["runs"]) == 1
        again = machine.ask("readmit", ANN, "--from", url, "--yes")
        assert again.exit_code == 1
        assert again.stdout.count("was not turned away") == 3


def test_a_phone_number_is_readmitted_by_what_one_types_and_only_as_it_was_erased(machine: Machine) -> None:
    """Under every key of the ring; for the tenant alone where it was erased for that one."""
    with serving(machine.folder / "store.db", machine.environ) as url:
        machine.run(url, PHONE)
        assert machine.ask("key", "rotate").exit_code == 0
        machine.receipt(PHONE, "--from", url)
        wrong = machine.ask("readmit", PHONE, "--tenant", "", "--from", url, "--yes")
        assert wrong.exit_code == 1
        assert "STILL turned away: it was erased for any tenant, which readmit without --tenant undoes" in wrong.stdout
        assert machine.ask("readmit", PHONE, "--from", url, "--yes").exit_code == 0
        machine.run(url, PHONE)
        assert machine.ask("lead", PHONE, "--from", url).exit_code == 0


def test_nothing_is_readmitted_without_being_asked_for(machine: Machine) -> None:
    """Without --yes and without anybody to ask: wrong usage."""
    answer = machine.ask("readmit", ANN)
    assert answer.exit_code == 2
    assert "--yes readmits without asking" in answer.output
