"""The segment that a process writes: appended to by any thread, one system call a record, and sealed at its end."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from typing import TYPE_CHECKING

from leadtrace.journal.frames import Type, pack
from leadtrace.journal.segment import Head, Segment, append_whole, create, pack_signal, sync_data, sync_folder

if TYPE_CHECKING:
    from leadtrace.journal.folder import Folder
    from leadtrace.otlp.sink import Signal

__all__ = ["Writing"]

_LONGEST_WAIT_S = 5.0


class Writing:
    """All but `write` and the descriptor is touched under the sink's lock only."""

    def __init__(self, segment: Segment, descriptor: int, head: Head) -> None:
        """Use `begin`."""
        self.segment = segment
        self.descriptor = descriptor
        self.head = head
        self.signals: list[Signal] = []  # keeps them alive: `_numbers` knows them by their address
        self._numbers: dict[int, int] = {}
        self.users = 0
        """Threads that are amid a write: the descriptor stays open for them."""
        self.bytes = os.fstat(descriptor).st_size
        self.records = 0
        self.kept: set[str] = set()

    @classmethod
    def begin(cls, folder: Folder, head: Head, *, durable: bool) -> Writing:
        """A new segment, locked; `durable`: its name outlives the machine. Raises OSError."""
        segment, descriptor = create(folder.segments_path, head)
        if durable:
            sync_folder(folder.segments_path)
        return cls(segment, descriptor, head)

    def write(self, content: bytes) -> None:
        """Append whole frames. Raises OSError where there is no room: what was torn then is passed over by readers."""
        if os.write(self.descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, "no space left")

    def frame(self, type_: Type, body: bytes) -> bytes:
        return pack(type_, body, self.segment.salt)

    def number_of(self, signal: Signal) -> int:
        """A signal's number here; its definition is written before the first record that uses it."""
        number = self._numbers.get(id(signal))
        if number is None:
            number = len(self.signals)
            definition = self.frame(Type.SIGNAL, pack_signal(number, signal)) * 2
            self.write(definition)
            self.bytes += len(definition)
            self._numbers[id(signal)] = number
            self.signals.append(signal)
        return number

    def sync(self) -> None:
        sync_data(self.descriptor)

    def until_quiet(self) -> None:
        """Wait for those who are amid a write; each is one system call away from its end."""
        until = time.monotonic() + _LONGEST_WAIT_S
        while self.users and time.monotonic() < until:
            time.sleep(0.0005)

    def seal(self, folder: Folder, said: dict[str, object], *, durable: bool) -> None:
        """Say that nothing follows, and let go of the lock; where that cannot be said, whoever looks next recovers it."""
        frame = self.frame(
            Type.SEAL, json.dumps({**said, "last_ns": time.time_ns(), "kept": sorted(self.kept)}).encode()
        )
        try:
            folder.with_reserve(lambda: append_whole(self.descriptor, frame))
            if durable:
                self.sync()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the lock. Without a seal it is as if the process had died."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)
