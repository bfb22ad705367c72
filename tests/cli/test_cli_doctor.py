"""`leadtrace doctor`: each check on the real thing, well and not well, as a sentence with what to do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import jsonschema
import pytest

from leadtrace.cli.examining.finding import Finding
from leadtrace.cli.examining.sending import clock_against
from leadtrace.otlp.keyfile import load_key
from leadtrace.store.embedded import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "output-doctor.schema.json"


class Machine:
    """A user's folders and variables, and `leadtrace doctor` run there as a process of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("LEADTRACE_", "OTEL_"))
        } | {
            "LEADTRACE_JOURNAL": str(folder / "journal"),
            "LEADTRACE_KEY": str(folder / "key"),
            "LEADTRACE_STORE": str(folder / "store.db"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        }

    def ask(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "leadtrace", "doctor", *options],
            env=self.environ | variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=50,
        )

    def findings(self, *options: str, **variables: str) -> list[Finding]:
        answer = self.ask("--json", *options, **variables)
        told = json.loads(answer.stdout)
        jsonschema.validate(told, json.loads(SCHEMA.read_text()))
        found = [Finding(**one) for one in told["findings"]]
        assert answer.returncode == any(one.level == "bad" for one in found) == (not told["ok"]), answer.stderr
        return found

    def amiss(self, *options: str, **variables: str) -> list[tuple[str, str, str]]:
        """What is not well: check, level, sentence and advice."""
        found = self.findings(*options, **variables)
        return [(one.check, one.level, f"{one.says} -> {one.do}") for one in found if one.level != "ok"]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


@pytest.fixture
def machine(tmp_path: Path, listening: socket.socket) -> Machine:
    load_key(tmp_path / "key")
    (tmp_path / "journal").mkdir(mode=0o700)
    EmbeddedStore.open(tmp_path / "store.db", write=True).close()
    return Machine(tmp_path, listening.getsockname()[1])


def test_where_all_is_well_every_check_says_so_and_the_exit_code_is_0(machine: Machine) -> None:
    """A line each, in words."""
    answer = machine.ask()
    assert (answer.returncode, answer.stderr) == (0, "")
    assert {line.split()[0] for line in answer.stdout.splitlines()} == {"ok"}
    assert {line.split()[1] for line in answer.stdout.splitlines()} == {
        "settings", "versions", "key", "journal", "store", "sending",
    }  # fmt: skip


def test_each_setting_is_told_with_where_it_is_from_and_a_token_never(machine: Machine) -> None:
    """For bug reports, which others read."""
    answer = machine.ask("--json", LEADTRACE_TOKEN="geheim", LEADTRACE_TENANT="north")
    told = {one["name"]: (one["value"], one["source"]) for one in json.loads(answer.stdout)["settings"]}
    assert told["tenant"] == ("north", "variable")
    assert told["currency"] == ("USD", "default")
    assert told["token"] == ("set", "variable")
    assert "geheim" not in answer.stdout


def test_a_setting_that_cannot_be_and_a_name_that_nothing_reads_are_told(machine: Machine) -> None:
    """With what it can be, and with the name that was meant."""
    assert machine.amiss(LEADTRACE_JORNAL="/x") == [
        ("settings", "warn", "LEADTRACE_JORNAL is set, and nothing reads it -> did you mean LEADTRACE_JOURNAL?")
    ]
    [wrong] = machine.amiss(LEADTRACE_FSYNC="sometimes")
    assert wrong[:2] == ("settings", "bad")
    assert "LEADTRACE_FSYNC is one of always, interval, off (got: 'sometimes')" in wrong[2]


def test_what_others_can_read_is_bad_with_the_command_that_closes_it(machine: Machine) -> None:
    """Key, journal and store."""
    (machine.folder / "key").chmod(0o644)
    (machine.folder / "journal").chmod(0o755)
    (machine.folder / "store.db").chmod(0o640)
    at = machine.folder
    key, journal, store = machine.amiss()
    assert key == (
        "key",
        "bad",
        f"{at}/key can be read by everybody (644) -> chmod o-rwx {at}/key; leadtrace key rotate",
    )
    assert journal == (
        "journal",
        "bad",
        f"{at}/journal is open to others than its owner (755) -> chmod 700 {at}/journal",
    )
    assert store[:2] == ("store", "bad")
    assert store[2].startswith(f"{at}/store.db can be read by others than its owner -> chmod 600 {at}/store.db")
    (machine.folder / "key").chmod(0o640)
    assert machine.amiss()[0][:2] == ("key", "warn")


def test_a_place_where_nothing_can_be_made_is_bad(machine: Machine) -> None:
    """A file stands where its folder should be."""
    (machine.folder / "file").write_text("")
    where = str(machine.folder / "file" / "x")
    found = machine.amiss(LEADTRACE_JOURNAL=where, LEADTRACE_KEY=where, LEADTRACE_STORE=where)
    assert [(check, level) for check, level, _ in found] == [("key", "bad"), ("journal", "bad"), ("store", "warn")]
    assert all(f"{where} cannot be made: {machine.folder}/file is no folder" in told for _, _, told in found)


def test_what_is_not_there_yet_is_no_mistake(machine: Machine) -> None:
    """The first process that records makes it."""
    where = str(machine.folder / "new" / "x")
    assert machine.amiss(LEADTRACE_JOURNAL=where, LEADTRACE_KEY=where + "y", LEADTRACE_STORE=where + "z") == []


def test_a_damaged_key_and_a_damaged_store_are_bad(machine: Machine) -> None:
    """Each says what to do."""
    (machine.folder / "key").write_text("short")
    (machine.folder / "store.db").write_bytes(b"no store at all" * 100)
    assert [(check, level, told.split(" -> ")[0]) for check, level, told in machine.amiss()] == [
        ("key", "bad", f"a key has 16 bytes or more (path: {machine.folder}/key, got: 5 bytes)"),
        (
            "store",
            "bad",
            f"{machine.folder}/store.db is not a store (do: name another file; this one has not been touched)",
        ),
    ]


def test_a_receiver_that_does_not_listen_is_a_warning(machine: Machine, listening: socket.socket) -> None:
    """What is recorded waits for it."""
    listening.close()
    assert [(check, level) for check, level, _ in machine.amiss()] == [("sending", "warn")] * 2


def test_an_exporter_beside_ours_to_the_same_receiver_is_bad(machine: Machine) -> None:
    """By name in the variable, where the SDK sets both up."""
    [found] = machine.amiss(OTEL_TRACES_EXPORTER="otlp,leadtrace")
    assert found[:2] == ("sending", "bad")
    assert "OTEL_TRACES_EXPORTER names otlp beside leadtrace" in found[2]


APP = """
import functools
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
import leadtrace as lt

provider = TracerProvider()
trace.set_tracer_provider(provider)
lt.configure(service_name="app")
"""


def _application(machine: Machine, code: str) -> None:
    (machine.folder / "app.py").write_text(APP + textwrap.dedent(code))
    (machine.folder / "crm.py").write_text("def append(lead):\n    return lead\n")


def test_spans_that_an_application_sends_twice_are_found_in_it(machine: Machine) -> None:
    """An exporter that was added after configure(), to the same receiver."""
    _application(machine, "provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))")
    [found] = machine.amiss("--app", "app")
    assert found[:2] == ("sending", "bad")
    assert "spans go to one receiver twice" in found[2]
    _application(machine, "")
    assert machine.amiss("--app", "app") == []


def test_a_function_that_was_captured_before_its_word_came_is_found_with_who_holds_it(machine: Machine) -> None:
    """A partial, a registry, a closure; a name in a module was replaced and is well."""
    _application(
        machine,
        """
        import crm
        from crm import append
        registry = [crm.append]
        later = functools.partial(crm.append, 1)
        def outer():
            held = crm.append
            return lambda: held(2)
        closure = outer()
        lt.instrument("crm:append", lt.step())
        lt.instrument("crm:remove", lt.step())
        lt.instrument("not_imported:f", lt.step())
        """,
    )
    captured, missing, waiting = machine.amiss("--app", "app")
    assert captured[:2] == ("instrument", "bad")
    assert (
        "crm:append was captured before its word came, by a closure of outer.<locals>.<lambda>, a list, a partial:"
        in captured[2]
    )
    assert missing[1] == "bad"
    assert "crm:remove" in missing[2]
    assert waiting[:2] == ("instrument", "warn")
    _application(machine, "import crm\nfrom crm import append\nlt.instrument('crm:append', lt.step())")
    assert machine.amiss("--app", "app") == []


def test_an_application_that_cannot_be_imported_is_wrong_usage(machine: Machine) -> None:
    """Said with its own error."""
    answer = machine.ask("--app", "nowhere")
    assert answer.returncode == 2
    assert "--app nowhere cannot be imported: ModuleNotFoundError: No module named 'nowhere'" in answer.stderr


@pytest.mark.parametrize(
    ("date", "before", "after", "level", "said"),
    [
        ("Wed, 25 Nov 2026 12:00:00 GMT", 0.2, 0.4, "ok", "agree to within 5 s"),
        ("Wed, 25 Nov 2026 12:00:00 GMT", 5.9, 6.1, "ok", "agree"),
        ("Wed, 25 Nov 2026 12:00:00 GMT", 61.0, 61.1, "bad", "clock is 60 s ahead of that of server"),
        ("Wed, 25 Nov 2026 12:00:00 GMT", -90.0, -89.0, "bad", "clock is 89 s behind that of server"),
        ("Wed, 25 Nov 2026 12:00:00 GMT", -90.0, 90.0, "ok", "agree"),
        ("soon", 0.0, 0.0, "warn", "does not say what time it is there"),
    ],
)
def test_two_clocks_are_compared_as_far_as_whole_seconds_and_the_way_allow(date, before, after, level, said):
    """A slow answer proves nothing; a difference of more than five seconds is told with its direction."""
    noon = 1_795_608_000.0
    found = clock_against(date, noon + before, noon + after, "server")
    assert found.level == level
    assert said in found.says


def test_the_clock_of_the_server_that_is_read_from_is_compared(machine: Machine) -> None:
    """By the Date of its answer."""

    class Late(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", "Wed, 25 Nov 2026 12:00:00 GMT")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Late)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        [found] = machine.amiss(LEADTRACE_FROM=f"http://127.0.0.1:{server.server_port}")
        assert found[:2] == ("clock", "bad")
    finally:
        server.shutdown()
        server.server_close()
