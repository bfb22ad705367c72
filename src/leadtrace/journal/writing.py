"""The segment that a process writes: appended to by any thread, one system call a record, and sealed at its end."""

from __future__ import annotations

import errno
import json
import os
import time
from typing import TYPE_CHECKING, ClassVar

from leadtrace.journal.frames import Type, pack
from leadtrace.journal.segment import (
    NO_SIGNAL,
    Head,
    Segment,
    append_whole,
    create,
    pack_signal,
    sync_data,
    sync_folder,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from leadtrace.journal.folder import Folder
    from leadtrace.journal.locks import Locked
    from leadtrace.otlp.sink import Signal

__all__ = ["Writing"]

_LONGEST_WAIT_S = 5.0


class Writing:
    """All but `write` and the descriptor is touched under the sink's lock only."""

    volatile: ClassVar[bool] = False
    """Whether it lies in memory alone."""

    def __init__(self, segment: Segment, file: Locked, head: Head) -> None:
        """Use `begin`."""
        self.segment = segment
        self._file = file
        self._start(head, os.fstat(file.descriptor).st_size)

    def _start(self, head: Head, size: int) -> None:
        self.head = head
        self.signals: list[Signal] = []
        self._numbers: dict[tuple[str, bool, bytes], int] = {}
        self.users = 0
        """Threads that are amid a write: the descriptor stays open for them."""
        self.carried = 0
        """Bytes of its beginning that only repeat what is open: not a reason to go on in another one."""
        self._unnamed: Path | None = None
        """Its folder, until that has been synced too."""
        self.bytes = size
        self.records = 0
        self.kept: set[str] = set()

    @classmethod
    def begin(cls, folder: Folder, head: Head, *, durable: bool) -> Writing:
        """A new segment, locked; `durable`: its name outlives the machine from the first sync on. Raises OSError."""
        segment, file = create(folder.segments_path, head)
        made = cls(segment, file, head)
        made._unnamed = folder.segments_path if durable else None
        return made

    def write(self, content: bytes) -> None:
        """Append whole frames. Raises OSError where there is no room: what was torn then is passed over by readers."""
        if os.write(self._file.descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, "no space left")

    def frame(self, type_: Type, body: bytes) -> bytes:
        return pack(type_, body, self.segment.salt)

    def number_of(self, signal: Signal) -> int:
        """A signal's number here; its definition is written before the first record that uses it.

        Equal ones have one number. Of more scopes than there are numbers the last ones have none: their records lack it.
        """
        key = (signal.kind, signal.foreign, signal.scope)
        number = self._numbers.get(key)
        if number is None:
            number = len(self.signals)
            if number >= NO_SIGNAL:
                return NO_SIGNAL
            self._numbers[key] = number  # before it is written: a finalizer that appends amid this needs another one
            self.signals.append(signal)
            definition = self.frame(Type.SIGNAL, pack_signal(number, signal)) * 2
            try:
                self.write(definition)
            except OSError:
                del self._numbers[key]
                raise
            self.bytes += len(definition)
        return number

    def sync(self) -> None:
        """Raises OSError: what was written before is not sure to be on the disk then, whatever a later call says."""
        sync_data(self._file.descriptor)
        if self._unnamed is not None:
            sync_folder(self._unnamed)
            self._unnamed = None

    def until_quiet(self) -> None:
        """Wait for those who are amid a write; each is one system call away from its end."""
        until = time.monotonic() + _LONGEST_WAIT_S
        while self.users and time.monotonic() < until:
            time.sleep(0.0005)

    def seal(self, folder: Folder, said: dict[str, object], sync: Callable[[Writing], object] | None) -> None:
        """Say that nothing follows, and let go of the lock. Raises OSError where that cannot be said now.

        `sync` makes it outlive the machine, where that is wanted, and does not raise: a seal that a machine loses is written
        again by recovery.
        """
        frame = self.frame(
            Type.SEAL, json.dumps({**said, "last_ns": time.time_ns(), "kept": sorted(self.kept)}).encode()
        )
        self._write_seal(folder, frame)
        if sync is not None:
            sync(self)
        self.close()

    def _write_seal(self, folder: Folder, frame: bytes) -> None:
        folder.with_reserve(lambda: append_whole(self._file.descriptor, frame))

    def close(self) -> None:
        """Let go of the lock. Without a seal it is as if the process had died."""
        self._file.close()
