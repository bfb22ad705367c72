"""The example's people are nowhere: every byte on the wire, in the store and in the journal is searched for them."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import urllib3

from leadtrace.demo import environment, example_folder, serving

LEADS = 40

PEOPLE = [
    json.loads(line)
    for line in (example_folder() / "premium_insurance" / "leads.jsonl").read_text().splitlines()[:LEADS]
    if line.endswith("}")
]


class Wire:
    """Between the example and the server: hands everything on, and keeps every byte of both directions."""

    def __init__(self, server: str) -> None:
        self.seen: list[bytes] = []
        pool = urllib3.PoolManager(maxsize=16)
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                packed = self.headers.get("Content-Encoding") == "gzip"
                answer = pool.request("POST", server + self.path, body=body, headers=dict(self.headers))
                wire.seen += [
                    self.requestline.encode(),
                    str(self.headers).encode(),
                    gzip.decompress(body) if packed else body,
                    answer.data,
                ]
                self.send_response(answer.status)
                for name in ("Content-Type", "Retry-After"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(answer.data)))
                self.end_headers()
                self.wfile.write(answer.data)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _start(folder: Path, endpoint: str, name: str) -> list[subprocess.Popen[bytes]]:
    """The example, and one who tells of its people carelessly, into one journal."""
    environ = environment(folder) | {"LEADTRACE_JOURNAL": str(folder / name), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    asked = ["--leads", str(LEADS), "--seed", "7", "--speed", "40", "--quiet"]
    example = [sys.executable, "-m", "premium_insurance", *asked]
    careless = [sys.executable, str(Path(__file__).with_name("tell_people.py")), *(["wait"] if name == "sent" else [])]
    people = folder / "people.jsonl"
    people.write_text("".join(json.dumps(one) + "\n" for one in PEOPLE))
    with people.open("rb") as told:
        return [
            subprocess.Popen(example, cwd=example_folder(), env=environ, stderr=subprocess.DEVNULL),
            subprocess.Popen(careless, env=environ, stdin=told, stderr=subprocess.DEVNULL),
        ]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every byte in small letters, by where it was: with a server that takes it all, and with none, so that it waits."""
    folder = tmp_path_factory.mktemp("private")
    with serving(folder / "store.db", environment(folder)) as url:
        wire = Wire(url)
        running = [*_start(folder, wire.url, "sent"), *_start(folder, "http://127.0.0.1:9", "waiting")]
        assert [one.wait(200) for one in running] == [0] * 4
        wire.close()
        of_the_store = [*folder.glob("store.db*"), *folder.glob("store.db*/**/*")]
        store = {str(one.relative_to(folder)): one.read_bytes() for one in of_the_store if one.is_file()}
    journals = [one for name in ("sent", "waiting") for one in (folder / name).rglob("*") if one.is_file()]
    found = {
        "wire": b"\0".join(wire.seen),
        **store,
        **{f"{one.relative_to(folder)}": one.read_bytes() for one in journals},
    }
    return {place: content.lower() for place, content in found.items()}


def test_there_is_something_to_search(told: dict[str, bytes]) -> None:
    """Leads by their ids: in the wire's bytes, in the store's file, and in a journal that waits."""
    lead = next(one["id"] for one in PEOPLE if one["id"]).lower().encode()
    assert lead in told["wire"]
    assert lead in told["store.db"] + told["store.db-wal"]
    waiting = b"".join(content for name, content in told.items() if name.startswith("waiting/segments"))
    assert lead in waiting
    assert len(waiting) > 100_000
    for stands_for in (b"phone#", b"email#", b"name#", b"personal#"):
        for content in (told["wire"], told["store.db"] + told["store.db-wal"], waiting):
            assert content.count(stands_for) > LEADS


def test_no_phone_number_is_anywhere_however_it_is_written(told: dict[str, bytes]) -> None:
    """As it was typed, as digits, with its country."""
    numbers = {one["phone"] for one in PEOPLE if re.fullmatch(r"\(\d{3}\) 555-01\d\d", one["phone"])}
    assert len(numbers) > 25
    for number in numbers:
        digits = re.sub(r"\D", "", number)
        area, rest = digits[:3], digits[3:]
        for form in (
            number,
            digits,
            f"{area}-{rest[:3]}-{rest[3:]}",
            f"{area}.{rest[:3]}.{rest[3:]}",
            f"{rest[:3]}-{rest[3:]}",
            f"%28{area}%29",
        ):
            _nowhere(form, told)


def test_no_e_mail_address_is_anywhere(told: dict[str, bytes]) -> None:
    """Nor its part before the @, nor one with the form's mistakes in it."""
    for one in PEOPLE:
        _nowhere(one["email"], told)
        local = re.match(r"[a-z]+\.[a-z]+\d+", one["email"])
        assert local
        _nowhere(local[0], told)


def test_no_name_is_anywhere(told: dict[str, bytes]) -> None:
    """Neither whole nor the last name alone, in whatever letters."""
    for one in PEOPLE:
        if one["last_name"]:
            _nowhere(f"{one['first_name']} {one['last_name']}", told)
            _nowhere(one["last_name"], told)


def _nowhere(text: str, told: dict[str, bytes]) -> None:
    needle = text.lower().encode()
    for place, content in told.items():
        at = content.find(needle)
        while at >= 0:
            around = content[max(0, at - 60) : at + len(needle) + 60]
            before, after = content[at - 1 : at], content[at + len(needle) : at + len(needle) + 1]
            if not before.isalnum() and not after.isalnum():
                pytest.fail(f"{text!r} is in {place}: {around!r}")
            at = content.find(needle, at + 1)
