"""A journal for these tests: a sink that keeps records in a file, and the drain that hands them on, at least once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from leadtrace.otlp.sink import Receipt, Signal

KEY = b"the key of these tests"
_numbers = count()


class FileSink:
    """Keeps each record in a file of its own; appended records in memory. `broken` makes it refuse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.records: list[bytes] = []
        self.broken = ""

    def append(self, signal: Signal, record: bytes, **_: object) -> Receipt:
        self.records.append(record)
        return Receipt("", saved=True)

    def keep(self, kind: str, content: bytes) -> Receipt:
        if self.broken:
            return Receipt("", saved=False, why=self.broken)
        draft = self.folder / f"{next(_numbers):06}.draft"
        draft.write_bytes(content)
        draft.rename(draft.with_suffix(".kept"))
        return Receipt("", saved=True)

    def flush(self, timeout_s: float) -> bool:
        return True

    def close(self, timeout_s: float) -> None: ...


def drain(folder: Path, kind: str, take: Callable[[list[bytes]], None]) -> int:
    """As the journal's: what was handed on once is not again, unless `take` raised."""
    waiting = sorted(folder.glob("*.kept"))
    if waiting:
        take(list(_contents(waiting)))
    for one in waiting:
        with suppress(FileNotFoundError):  # another one took it as well
            one.rename(one.with_suffix(".taken"))
    return len(waiting)


def _contents(files: list[Path]) -> Iterator[bytes]:
    for one in files:
        with suppress(FileNotFoundError):
            yield one.read_bytes()
