"""What was not delivered, counted: records refused for want of room, lost at the end, or set aside."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leadtrace.journal.endpoints import Kind

__all__ = ["Losses", "Lost", "SetAside", "Statistics"]

_MOST_KEPT = 200
_MOST_KEPT_BYTES = 4 << 20


@dataclass(slots=True, frozen=True)
class Lost:
    """A range of records that were refused for one reason; times are Unix nanoseconds."""

    kind: str
    """`logs`, `traces`, or the kind of a record that was to be kept (`lead_event`)."""
    why: str
    count: int
    first_ns: int
    last_ns: int


@dataclass(slots=True, frozen=True)
class SetAside:
    """Records that a receiver will not have, with what it said. Their bytes are kept as far as there is room."""

    kind: Kind
    count: int
    why: str
    at_ns: int
    records: tuple[bytes, ...] = ()


@dataclass(slots=True, frozen=True)
class Statistics:
    """What a sink did since its process began, in records."""

    sent: int = 0
    """Acknowledged by the receiver."""
    queued: int = 0
    """Waiting, those on their way included."""
    in_memory: int = 0
    """Of those, how many no disk has: lost if the process dies now."""
    dropped: int = 0
    """Refused because the sink was full or closed, or still waiting when it closed."""
    set_aside: int = 0
    """Refused by the receiver for good."""
    retries: int = 0
    """Requests that were answered with 'later', or not at all."""
    last_error: str = ""
    malformed: int = 0
    """Lead events that came in malformed and went into quarantine."""


class Losses:
    """Gathers losses until they can be told. The caller holds the sink's lock."""

    def __init__(self) -> None:
        self.dropped = 0
        self.aside_count = 0
        self.aside: deque[SetAside] = deque(maxlen=_MOST_KEPT)
        self._aside_bytes = 0
        self._untold: dict[tuple[str, str], Lost] = {}

    def drop(self, kind: str, why: str, now_ns: int, count: int = 1) -> None:
        self.dropped += count
        before = self._untold.get((kind, why))
        if before is None:
            self._untold[kind, why] = Lost(kind, why, count, now_ns, now_ns)
        else:
            self._untold[kind, why] = Lost(kind, why, before.count + count, before.first_ns, now_ns)

    def put_aside(self, kind: Kind, records: list[bytes], count: int, why: str, now_ns: int) -> None:
        self.aside_count += count
        size = sum(map(len, records))
        kept = tuple(records) if self._aside_bytes + size <= _MOST_KEPT_BYTES else ()
        if len(self.aside) == _MOST_KEPT:
            self._aside_bytes -= sum(map(len, self.aside[0].records))
        self._aside_bytes += size if kept else 0
        self.aside.append(SetAside(kind, count, why, now_ns, kept))

    @property
    def untold(self) -> bool:
        return bool(self._untold)

    def take_untold(self) -> list[Lost]:
        if not self._untold:
            return []
        told = list(self._untold.values())
        self._untold.clear()
        return told
