"""What the tests of lead events run in: a runtime with a folder of its own, and senders that are forgotten afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside the tests, which pytest's importlib mode leaves out
from kept_files import KEY, FileSink, drain

from leadtrace.journal.lead_events import KeptLeadEvents
from leadtrace.otlp.records import EventRecord
from leadtrace.otlp.redact import Redactor
from leadtrace.words import guard, payloads, runtime, sender


class Told:
    """A runtime whose lead events are kept in `folder`, and all that was told in it."""

    def __init__(self, folder: Path, *, strict: bool = True, keys: tuple[bytes, ...] = (KEY,)) -> None:
        self.folder = folder
        self.events: list[EventRecord] = []
        self.sink = FileSink(folder)
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
