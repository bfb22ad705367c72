"""The reading commands over a store: what they print, word for word, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import jsonschema
import pytest
from click.testing import CliRunner

from leadtrace.cli import main
from leadtrace.otlp.records import EventRecord, Resource, SpanRecord
from leadtrace.store.embedded import EmbeddedStore

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

BEGAN = 1_795_300_000_000_000_000
MS = 1_000_000
TRACE = "0a11" + "0" * 27 + "1"


def _event(number: int, ms: int, name: str, kind: str, span: str = "a" * 16, **fields: object) -> EventRecord:
    attributes = {key.replace("__", "."): value for key, value in fields.items()}
    attributes |= {"leadtrace.kind": kind, "log.record.uid": f"{'b0' * 8}{number:012x}"}
    return EventRecord(name, BEGAN + ms * MS, TRACE, span, attributes, Resource({"service.name": "lead-intake"}))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "store.db"
    lead = {"lead__id": "lead_7K9m", "leadtrace__run_id": "run_1"}
    flow = {**lead, "leadtrace__word": "flow", "leadtrace__name": "Premium"}
    step = {
        **lead,
        "leadtrace__word": "delivery",
        "leadtrace__name": "deliver to Acme",
        "leadtrace__parent_span_id": "a" * 16,
    }
    sold = {"delivery__buyer": "Acme", "delivery__id": "d1"}
    writer = EmbeddedStore.open(path, write=True)
    writer.append(
        [
            SpanRecord(
                TRACE,
                "c" * 16,
                "POST",
                BEGAN + 20 * MS,
                BEGAN + 90 * MS,
                "b" * 16,
                3,
                attributes={"http.request.method": "POST", "http.response.status_code": 200},
                resource=Resource({"service.name": "lead-intake"}),
            )
        ],
        [
            _event(1, 0, "flow.started", "start", **flow),
            _event(2, 1, "lead.state.changed", "transition", lead__state__to="received", **lead),
            _event(3, 10, "delivery.started", "start", "b" * 16, **step, **sold),
            _event(
                4,
                100,
                "delivery.accepted",
                "success",
                "b" * 16,
                **step,
                **sold,
                delivery__revenue=45.0,
                delivery__currency="USD",
            ),
            _event(
                5, 101, "lead.state.changed", "transition", lead__state__from="received", lead__state__to="sold", **lead
            ),
            _event(6, 102, "flow.completed", "milestone", flow__summary__final_outcome="delivered", **flow),
            _event(7, 103, "circuit.opened", "transition", "", circuit__name="Acme"),
        ],
    )
    writer.close()
    return path


def run(*arguments: object, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(main, [str(one) for one in arguments])


def test_lead_prints_the_story(store: Path) -> None:
    answer = run("lead", "lead_7K9m", "--from", store)
    assert (answer.exit_code, answer.stderr) == (0, "")
    assert (
        answer.stdout
        == """\
Lead lead_7K9m  delivered  state sold
2026-11-21 22:26:40.000 UTC, over 102 ms, in lead-intake
cost 0.00 USD, revenue 45.00 USD, margin 45.00 USD

       0 ms  Premium              102 ms  ✓ completed, delivered
       1 ms  ├─ state → received
      10 ms  ├─ deliver to Acme    90 ms  ✓ accepted, revenue 45.00 USD
      20 ms  │  └─ POST            70 ms  method=POST status_code=200
     101 ms  └─ state received → sold

! the spans of 2 words did not arrive; told from start and end events alone
"""
    )


def test_lead_as_json_is_one_object_in_the_published_form(store: Path, schema) -> None:
    answer = run("lead", "lead_7K9m", "--from", store, "--json")
    found = json.loads(answer.stdout)
    jsonschema.validate(found, schema("lead"))
    assert found["schema"] == "leadtrace.lead/1"
    assert [(one["depth"], one["type"], one["name"], one["status"]) for one in found["entries"]] == [
        (0, "span", "Premium", "unset"),
        (1, "event", "flow.started", "unset"),
        (1, "event", "lead.state.changed", "unset"),
        (1, "span", "deliver to Acme", "unset"),
        (2, "event", "delivery.started", "unset"),
        (2, "span", "POST", "unset"),
        (2, "event", "delivery.accepted", "unset"),
        (1, "event", "lead.state.changed", "unset"),
        (1, "event", "flow.completed", "unset"),
    ]
    assert found["money"] == [
        {"currency": "USD", "cost": "0", "revenue": "45", "returned": "0", "net_revenue": "45", "margin": "45"}
    ]
    assert (found["state"], found["outcome"], found["complete"]) == ("sold", "delivered", True)


def test_leads_and_events_are_lines_in_the_published_form(store: Path, schema) -> None:
    for command, count in (("leads", 1), ("events", 7)):
        lines = run(command, "--from", store, "--json").stdout.splitlines()
        assert len(lines) == count
        for line in lines:
            jsonschema.validate(json.loads(line), schema(command))
    assert run("leads", "--from", store).stdout == (
        "2026-11-21 22:26:40.102 UTC  lead_7K9m                           delivered            sold\n"
    )


def test_a_misspelt_outcome_or_state_is_told_with_the_one_that_was_meant(store: Path) -> None:
    ran = run("leads", "--from", store, "--outcome", "delivred", "--state", "new")
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr.endswith(
        "; of the last lead none has the state 'new', there are sold"
        "; of the last lead none has the outcome 'delivred', did you mean delivered?\n"
    )
    ran = run("leads", "--from", store, "--outcome", "delivered", "--contains", "other")
    assert (ran.exit_code, ran.stderr.count(";")) == (1, 0)


def test_events_are_filtered(store: Path) -> None:
    def names(*more: object) -> list[str]:
        return [json.loads(one)["name"] for one in run("events", "--from", store, "--json", *more).stdout.splitlines()]

    assert names("--name", "delivery.*") == ["delivery.started", "delivery.accepted"]
    assert names("--name", "flow.started", "--name", "flow.completed") == ["flow.started", "flow.completed"]
    assert names("--kind", "transition", "--lead", "lead_7K9m") == ["lead.state.changed"] * 2
    assert names("--trace", TRACE, "--limit", 2) == ["flow.started", "lead.state.changed"]
    assert names("--since", "2026-11-21T22:26:40.102Z") == ["flow.completed", "circuit.opened"]
    assert names("--until", "2026-11-21T22:26:40.001Z") == ["flow.started"]


def test_an_event_of_several_leads_says_how_many(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    writer = EmbeddedStore.open(path, write=True)
    leads = [f"lead_{n}" for n in range(500)]
    writer.append([], [_event(1, 0, "enhancement.started", "start", leadtrace__lead_ids=leads)])
    writer.close()
    assert run("events", "--lead", "lead_77", "--from", path).stdout == (
        "2026-11-21 22:26:40.000 UTC  lead_0 +499               • enhancement.started [lead-intake]\n"
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("lead", "lead_7K9n"), "no lead 'lead_7K9n' in STORE; did you mean lead_7K9m?"),
        (("lead", "zzz"), "no lead 'zzz' in STORE"),
        (("events", "--lead", "lead_7k9m"), "no lead 'lead_7k9m' in STORE; did you mean lead_7K9m?"),
        (("events", "--trace", TRACE[:-1] + "2"), f"no trace '{TRACE[:-1]}2' in STORE; did you mean {TRACE}?"),
        (("events", "--trace", "0A11"), f"no trace '0A11' in STORE; did you mean {TRACE}?"),
        (
            ("events", "--name", "delivery.acepted"),
            "no event 'delivery.acepted' in STORE; did you mean delivery.accepted?",
        ),
        (("events", "--name", "enhancement.failed"), "no event 'enhancement.failed' in STORE"),
        (
            ("leads", "--state", "lost"),
            "no such lead in STORE; of the last lead none has the state 'lost', there are sold",
        ),
    ],
)
def test_what_is_not_there_is_said_in_one_line_with_the_nearest_match(store: Path, asked: tuple, said: str) -> None:
    answer = run(*asked, "--from", store)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr == f"leadtrace: {said.replace('STORE', str(store))}\n"


def test_a_lead_that_no_event_names_is_not_called_unknown(tmp_path: Path) -> None:
    """Spans of other languages name a lead and their events do not: those are on its timeline."""
    writer = EmbeddedStore.open(tmp_path / "s.db", write=True)
    writer.append([SpanRecord(TRACE, "c" * 16, "POST", BEGAN, BEGAN + MS, attributes={"lead.id": "lead_1"})], [])
    writer.close()
    answer = run("events", "--lead", "lead_1", "--from", tmp_path / "s.db")
    said = f"leadtrace: no event in {tmp_path / 's.db'} names the lead 'lead_1'; `leadtrace lead` tells its timeline\n"
    assert (answer.exit_code, answer.stdout, answer.stderr) == (1, "", said)


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (("lead", "x", "--from", "/nowhere/store.db"), 3, "leadtrace: there is no store /nowhere/store.db"),
        (
            ("lead", "x", "--from", "jaeger://127.0.0.1:1"),
            3,
            "leadtrace: Jaeger at http://127.0.0.1:1 cannot be reached",
        ),
        (("lead", "x", "--from", "http://127.0.0.1:1"), 3, "leadtrace: "),
        (("lead", "x", "--from", "ftp://host"), 2, "leadtrace: nothing here reads ftp://"),
        (("lead", "x", "--from", "clickhouse://host"), 2, "leadtrace: ClickHouse cannot be read yet"),
    ],
)
def test_a_source_that_cannot_be_read_is_said_in_one_line(asked: tuple, code: int, said: str) -> None:
    answer = run(*asked)
    assert (answer.exit_code, answer.stdout) == (code, "")
    assert answer.stderr.startswith(said)
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "asked", [("leed",), ("lead",), ("events", "--since", "yesterday"), ("events", "--limit", "0")]
)
def test_wrong_usage_ends_with_two(asked: tuple) -> None:
    assert run(*asked).exit_code == 2


def test_the_source_comes_from_the_environment(store: Path) -> None:
    assert run("lead", "lead_7K9m", LEADTRACE_FROM=str(store)).exit_code == 0
    assert run("lead", "lead_7K9m", LEADTRACE_STORE=str(store)).exit_code == 0


def test_another_tenants_lead_is_not_there(store: Path) -> None:
    assert run("lead", "lead_7K9m", "--tenant", "north", "--from", store).exit_code == 1
    assert run("lead", "lead_7K9m", "--tenant", "", "--from", store).exit_code == 0


def test_every_command_has_help_and_the_help_loads_none_of_them() -> None:
    code = "import sys\nfrom leadtrace.cli import main\nmain(['--help'], standalone_mode=False)\n"
    code += "sys.exit(any(m in sys.modules for m in ('apsw', 'rich', 'urllib3', 'starlette', 'leadtrace.cli.serve')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    for name in main.list_commands(None):
        assert f"  {name}" in done.stdout
        assert run(name, "--help").exit_code == 0


def test_the_version_is_told() -> None:
    from leadtrace.version import __version__

    assert run("--version").stdout == f"leadtrace {__version__}\n"


def _process(*arguments: object, **more: object) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        "from leadtrace.cli import main; main(prog_name='leadtrace')",
        *map(str, arguments),
    ]

    def interruptible() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # where the tests run as a shell's background job, it is ignored

    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible, **more
    )


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`leadtrace events | head -1`."""
    path = tmp_path / "store.db"
    writer = EmbeddedStore.open(path, write=True)
    writer.append(
        [], [_event(number, number, "lead.received", "milestone", lead__id="lead_1") for number in range(1, 3000)]
    )
    writer.close()
    process = _process("events", "--json", "--from", path)
    assert json.loads(process.stdout.readline())["name"] == "lead.received"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(30) == 0


def test_events_are_followed_as_they_arrive(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    writer = EmbeddedStore.open(path, write=True)
    writer.append([], [_event(1, 1, "lead.received", "milestone", lead__id="lead_1")])
    process = _process("events", "--follow", "--json", "--limit", "3", "--from", path)
    try:
        seen = [json.loads(process.stdout.readline())["uid"][-1]]
        for number in (2, 3):
            writer.append([], [_event(number, 1, "lead.received", "milestone", lead__id="lead_1")])
            seen.append(json.loads(process.stdout.readline())["uid"][-1])
        assert seen == ["1", "2", "3"]
        assert process.wait(30) == 0
    finally:
        process.kill()
        writer.close()


def test_a_terminal_gets_colour_and_no_escape_of_the_telemetrys_own(tmp_path: Path) -> None:
    """On a pseudo-terminal the text is the same with the styles' sequences between; what was recorded adds none."""
    path = tmp_path / "store.db"
    writer = EmbeddedStore.open(path, write=True)
    writer.append(
        [], [_event(1, 1, "lead.\x1b[31mreceived", "milestone", lead__id="lead_1", lead__note="[bold]\x9b2J[/bold]")]
    )
    writer.close()
    shown = _on_terminal("lead", "lead_1", "--from", path)
    assert "\x1b[1mlead_1\x1b[0m" in shown
    assert "\\u001b[31mreceived" in shown
    assert "[bold]\\u009b2J[/bold]" in shown
    assert "\x9b" not in shown
    assert "\x1b" not in _on_terminal("lead", "lead_1", "--from", path, NO_COLOR="1")


def _on_terminal(*arguments: object, **environ: str) -> str:
    import pty

    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-c",
        "from leadtrace.cli import main; main(prog_name='leadtrace')",
        *map(str, arguments),
    ]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environ}
    with subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side closed
                break
            if not piece:
                break
            shown += piece
        assert process.wait(30) == 0
    os.close(ours)
    return shown.decode()


def test_lead_writes_a_page(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "lead.html"
    answer = run("lead", "lead_7K9m", "--from", store, "--html", file)
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert file.read_text().startswith("<!doctype html>")
    assert run("lead", "lead_7K9m", "--from", store, "--html", "-").stdout == file.read_text()
    nowhere = run("lead", "lead_7K9m", "--from", store, "--html", tmp_path / "no" / "lead.html")
    assert nowhere.exit_code == 2
    assert "leadtrace: could not open file" in nowhere.stderr


def test_a_lead_is_followed_from_its_timeline_on(tmp_path: Path) -> None:
    """First the timeline, then only what came after it, and only that lead's."""
    path = tmp_path / "store.db"
    writer = EmbeddedStore.open(path, write=True)
    writer.append([], [_event(1, 1, "lead.received", "milestone", lead__id="lead_1")])
    process = _process("lead", "lead_1", "--follow", "--json", "--from", path)
    try:
        assert json.loads(process.stdout.readline())["schema"] == "leadtrace.lead/1"
        others = {2: "lead_2", 3: "lead_1"}
        writer.append([], [_event(n, n, "lead.received", "milestone", lead__id=lead) for n, lead in others.items()])
        assert json.loads(process.stdout.readline())["uid"][-1] == "3"
        process.send_signal(signal.SIGINT)
        assert (process.wait(30), process.stderr.read()) == (0, "")
    finally:
        process.kill()
        writer.close()
