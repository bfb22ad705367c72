"""What a process's journal could not take: counted by reason, and by number, so that a refusal is no hole."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from leadtrace.journal.losses import Losses
from leadtrace.otlp.ledger import sequence_of
from leadtrace.otlp.peek import uid_of
from leadtrace.otlp.ranges import EMPTY, Ranges

if TYPE_CHECKING:
    from leadtrace.journal.losses import Lost

__all__ = ["Refusals"]

_GATHER_AT = 10_000

_Taken = tuple[int, Ranges, list[int]]


class Refusals:
    """The caller holds the sink's lock."""

    def __init__(self) -> None:
        self.losses = Losses()
        self.count = 0
        """Not in the journal's books yet."""
        self.last_sequence = 0
        self._ranges = EMPTY
        self._numbers: list[int] = []
        self._ended: list[int] = []

    @property
    def untold(self) -> bool:
        return bool(self.count or self.losses.untold)

    def add(self, kind: str, why: str, uid: str, record: bytes) -> None:
        """One record of that kind; the number of an event is in its uid."""
        self.losses.drop(kind, why, time.time_ns())
        self.count += 1
        numbered = sequence_of(uid or (uid_of(record) if kind == "logs" else ""))
        if numbered is not None:
            self._numbers.append(numbered[1])
            self.last_sequence = max(self.last_sequence, numbered[1])
            if len(self._numbers) >= _GATHER_AT:
                self._gather()

    def ended(self, key: int) -> None:
        """The end of a word or span found no room: it ended all the same, and recovery must not say otherwise."""
        if len(self._ended) < _GATHER_AT:
            self._ended.append(key)

    def _gather(self) -> None:
        self._ranges |= Ranges.of_numbers(sorted(self._numbers))
        self._numbers.clear()

    def take(self) -> tuple[list[Lost], bytes, _Taken]:
        """What is to be told, what is to be written into the books (b'' for nothing), and that again for `give_back`."""
        self._gather()
        taken = (self.count, self._ranges, self._ended)
        said = {"count": self.count, "ranges": self._ranges.as_json(), "ended": self._ended}
        body = json.dumps(said).encode() if self.count else b""
        self.count, self._ranges, self._ended = 0, EMPTY, []
        return self.losses.take_untold(), body, taken

    def give_back(self, taken: _Taken) -> None:
        """The books could not be written."""
        self.count += taken[0]
        self._ranges |= taken[1]
        self._ended = [*taken[2], *self._ended]
