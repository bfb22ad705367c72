"""What a receiver will not have, kept on the disk with what it said: one JSON line a record, by destination and kind."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from leadtrace.journal.folder import write_whole
from leadtrace.otlp.peek import uid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from leadtrace.journal.folder import Folder
    from leadtrace.journal.segment import Segment
    from leadtrace.otlp.sink import Signal

__all__ = ["Aside", "put_aside", "rewrite_aside", "set_aside"]


@dataclass(slots=True, frozen=True)
class Aside:
    """One record that was refused for good, whole."""

    lane: str
    at_ns: int
    why: str
    boot: str
    segment: str
    scope: bytes
    resource: bytes
    record: bytes
    of: int = 0
    """Where a receiver rejected some of a batch and nobody knows which: how many the batch had; 0: this very record."""
    rejected: int = 0

    @property
    def kind(self) -> Literal["logs", "traces"]:
        return cast('Literal["logs", "traces"]', self.lane.rpartition(".")[2])

    @property
    def uid(self) -> str:
        """Of a log record of ours; '' of others."""
        return uid_of(self.record) if self.kind == "logs" else ""


def put_aside(
    folder: Folder,
    lane: str,
    segment: Segment,
    resource: bytes,
    records: list[tuple[Signal, bytes]],
    why: str,
    rejected: int,
) -> None:
    """Write down records before the cursor moves past them. Raises OSError where they cannot be written."""
    uncertain = rejected < len(records)
    lines = []
    for signal, record in records:
        line: dict[str, object] = {
            "at_ns": time.time_ns(),
            "why": why,
            "boot": segment.boot,
            "segment": segment.stem,
            "scope": base64.b64encode(signal.scope).decode(),
            "resource": base64.b64encode(resource).decode(),
            "record": base64.b64encode(record).decode(),
        }
        if uncertain:
            line.update(of=len(records), rejected=rejected)
        lines.append(json.dumps(line).encode() + b"\n")
    content = b"".join(lines)
    with folder.alone("aside"):
        descriptor = os.open(_path(folder, lane), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if os.write(descriptor, content) != len(content):
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, "no space left to set records aside")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _path(folder: Folder, lane: str) -> Path:
    return folder.path / "aside" / f"{lane}.jsonl"


def set_aside(folder: Folder) -> Iterator[Aside]:
    """All that lies there, by lane and in the order in which it was put; a line that is damaged is passed over."""
    for path in sorted((folder.path / "aside").glob("*.jsonl")):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            for line in file:
                found = _read(path.stem, line)
                if found is not None:
                    yield found


def rewrite_aside(
    folder: Folder, stays: Callable[[Aside], bool], edited: Callable[[Aside], bytes] | None = None
) -> int:
    """Keep only those for which `stays` says so, with the record that `edited` gives for them; gives how many went."""
    gone = 0
    for path in sorted((folder.path / "aside").glob("*.jsonl")):
        with folder.alone("aside"):
            lines = path.read_bytes().splitlines(keepends=True)
            left = [line for line in lines if (one := _read(path.stem, line)) is None or stays(one)]
            gone += len(lines) - len(left)
            if edited is not None:
                left = [_edited(line, _read(path.stem, line), edited) for line in left]
            if left != lines:
                write_whole(path, b"".join(left))
    return gone


def _edited(line: bytes, one: Aside | None, edited: Callable[[Aside], bytes]) -> bytes:
    if one is None or (record := edited(one)) == one.record:
        return line
    return json.dumps({**json.loads(line), "record": base64.b64encode(record).decode()}).encode() + b"\n"


def _read(lane: str, line: bytes) -> Aside | None:
    try:
        said = json.loads(line)
        return Aside(
            lane,
            int(said["at_ns"]),
            str(said["why"]),
            str(said["boot"]),
            str(said["segment"]),
            base64.b64decode(said["scope"]),
            base64.b64decode(said["resource"]),
            base64.b64decode(said["record"]),
            int(said.get("of", 0)),
            int(said.get("rejected", 0)),
        )
    except (ValueError, KeyError, TypeError):
        return None
