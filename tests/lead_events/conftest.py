"""What the tests of lead events run in: a runtime with a folder of its own, and senders that are forgotten afterwards."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside the tests, which pytest's importlib mode leaves out

from leadtrace.journal.disk import JournalSink
from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.folder import Folder
from leadtrace.journal.frames import Type
from leadtrace.journal.kept import drain
from leadtrace.journal.lead_events import KeptLeadEvents
from leadtrace.journal.segment import SegmentReader
from leadtrace.journal.transport import OtlpTransport
from leadtrace.otlp import encode
from leadtrace.otlp.lead_event import KIND, Kept
from leadtrace.otlp.records import EventRecord
from leadtrace.otlp.redact import Redactor
from leadtrace.words import guard, payloads, runtime, sender

KEY = b"the key of these tests"


class Told:
    """A runtime whose lead events are kept in the journal of `folder`, and all that was told in it."""

    def __init__(
        self,
        folder: Path,
        *,
        strict: bool = True,
        keys: tuple[bytes, ...] = (KEY,),
        room: int = 1 << 30,
        receiver: str = "",
    ) -> None:
        self.folder = folder
        self.events: list[EventRecord] = []
        transports = {"default": OtlpTransport(endpoints(Target(receiver), {}))} if receiver else {}
        self.sink = JournalSink(Folder(folder), transports, encode.resource({}, ""), capacity_bytes=room, fsync="off")
        self.lead_events = KeptLeadEvents(self.sink, folder, lambda: keys, drain)
        self.runtime = runtime.Runtime(
            sink=self.sink,
            redactor=Redactor(KEY),
            strict=strict,
            lead_events=self.lead_events,
            on_event=self.events.append,
        )

    def names(self, event_id: str = "") -> list[str]:
        return [one.name for one in self.events if not event_id or one.attributes.get("lead.event.id") == event_id]

    def of(self, name: str) -> list[dict[str, object]]:
        """The lead event's own attributes of the events of that name."""
        return [
            {
                key.removeprefix("lead.event."): value
                for key, value in one.attributes.items()
                if key.startswith("lead.event.")
            }
            for one in self.events
            if one.name == name
        ]

    def kept(self) -> list[Kept]:
        """What the journal's segments hold, taken over or not."""
        found: list[Kept] = []
        for segment in Folder(self.folder).segments():
            with SegmentReader(segment) as reader:
                part = reader.read(0)
                bodies = [one.body for one in part.frames if one.type is Type.KEPT]
                found += [Kept.unpacked(body[1 + len(KIND) :]) for body in bodies]
        return found

    def hand_over_again(self) -> None:
        """As when the process died between taking over and noting it."""
        shutil.rmtree(self.folder / "cursors" / f"kept.{KIND}")

    def die(self) -> None:
        """As when the process dies: its lock is free, nothing is settled any more."""
        self.lead_events.outbox.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., Told]]:
    """Starts a process's runtime; another one takes its place."""
    before = runtime.current()
    made: list[Told] = []

    def start(folder: str = "journal", **more) -> Told:
        one = Told(tmp_path / folder, **more)
        runtime.install(one.runtime)
        made.append(one)
        return one

    yield start
    for one in made:
        one.lead_events.close()
        one.sink.close(1)
    runtime.uninstall(before)


@pytest.fixture
def told(process: Callable[..., Told]) -> Told:
    return process()


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    guard._said.clear()
    yield
    sender.senders.clear()
    payloads._checks.clear()
