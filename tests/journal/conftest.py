"""A journal's folder, and sinks into it that are closed when a test ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from leadtrace.journal import lanes, tending, turning
from leadtrace.journal.disk import JournalSink
from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.folder import Folder
from leadtrace.journal.transport import OtlpTransport
from leadtrace.otlp import encode

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside the tests


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a journal does every second or two it does at once here: the tests wait for it."""
    monkeypatch.setattr(tending, "_LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(turning, "_TRY_DISK_S", 0.1)
    monkeypatch.setattr(lanes, "_LOOK_EVERY_S", 0.2)


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "journal")


@pytest.fixture
def sink_to(folder):
    """Makes a sink to these addresses: the first is the default destination, the others `also1`, `also2` …"""
    made: list[JournalSink] = []

    def make(*addresses: str, **more) -> JournalSink:
        ways = {
            "default" if not number else f"also{number}": OtlpTransport(endpoints(Target(address), {}))
            for number, address in enumerate(addresses)
        }
        resource = encode.resource({"service.name": "test"})
        made.append(JournalSink(folder, ways, resource, **{"interval_s": 0.01, "service": "test", **more}))
        return made[-1]

    yield make
    for sink in made:
        sink.close(0.2)
