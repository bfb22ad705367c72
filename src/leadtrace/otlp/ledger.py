"""What a process's journal accounts for, and what a store holds of that process: two books that can be compared.

A process (a *boot*: each has its own id, a forked child too) numbers its events 1, 2, 3 … in `log.record.uid`. So for
every number somebody must be able to say what became of it:

    1 ───────────────────────────────────────────────── last
    │ acknowledged  │ set aside │ refused │ erased │ waiting │

A number that nobody accounts for is a loss. Writing side and reading side meet here, and nowhere else.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leadtrace.otlp.ranges import EMPTY, Ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Held", "Ledger", "boot_of", "recovered_boot", "sequence_of"]


@dataclass(slots=True, frozen=True)
class Ledger:
    """One process by its journal. All ranges are of the numbers in its events' uids."""

    boot: str
    """16 hex digits: the first part of its uids."""
    service: str = ""
    pid: int = 0
    host: str = ""
    started_ns: int = 0
    """When the process opened its journal; Unix nanoseconds, 0 where it is not known."""
    ended_ns: int = 0
    """When its last record was made, 0 where it is not known."""
    alive: bool = False
    """Whether the process still writes: what it has numbered and not yet written is then no loss."""
    last_sequence: int = 0
    """The highest number that is known to have been given."""
    acknowledged: Ranges = EMPTY
    """Taken by every required destination."""
    waiting: Ranges = EMPTY
    """In the journal, for one or more required destinations."""
    set_aside: Ranges = EMPTY
    """Refused for good by a destination, and kept with the reason."""
    refused: Ranges = EMPTY
    """Numbered and never written: the journal was full, or gone. The receipt said `saved=False`."""
    erased: Ranges = EMPTY
    """Removed with a person's data."""
    unread: bool = False
    """Whether its journal has segments that only a later leadtrace can read: what is missing may be there, and is no loss."""

    @property
    def accounted(self) -> Ranges:
        """Every number of which something is known."""
        return self.acknowledged | self.waiting | self.set_aside | self.refused | self.erased

    @property
    def missing(self) -> Ranges:
        """Numbers that were given and of which nothing is known."""
        return self.accounted.outside(1, self.last_sequence)

    @property
    def contradictions(self) -> Ranges:
        """Numbers said to be in two states that exclude each other: a mistake in the books.

        What was set aside for one destination may have been acknowledged by the others, so that pair is none.
        """
        whole = (self.acknowledged | self.set_aside, self.waiting, self.refused, self.erased)
        found = EMPTY
        seen = EMPTY
        for one in whole:
            found |= seen & one
            seen |= one
        return found

    def as_json(self) -> dict[str, Any]:
        """For `--json`; `from_json` reads it back."""
        return {
            "boot": self.boot,
            "service": self.service,
            "pid": self.pid,
            "host": self.host,
            "started_ns": self.started_ns,
            "ended_ns": self.ended_ns,
            "alive": self.alive,
            "last_sequence": self.last_sequence,
            "acknowledged": self.acknowledged.as_json(),
            "waiting": self.waiting.as_json(),
            "set_aside": self.set_aside.as_json(),
            "refused": self.refused.as_json(),
            "erased": self.erased.as_json(),
            "unread": self.unread,
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Ledger:
        """What `as_json` gave; raises KeyError, TypeError or ValueError for anything else."""
        plain = dict(plain)
        sets = {name: Ranges.of(*plain.pop(name)) for name in _SETS}
        return cls(**{**plain, **sets})


_SETS = ("acknowledged", "waiting", "set_aside", "refused", "erased")


@dataclass(slots=True, frozen=True)
class Held:
    """One process by what a store holds of it."""

    boot: str
    held: Ranges = EMPTY
    """The numbers of the events that are there, set-aside ones included."""
    erased: Ranges = EMPTY
    """Removed with a person's data, or turned away because they are that person's."""
    service: str = ""
    pid: int = 0
    host: str = ""
    times: Mapping[int, int] = field(default_factory=dict)
    """When the first and the last event of each run were made (Unix nanoseconds, by number): between which times a hole lies."""

    def as_json(self) -> dict[str, Any]:
        """For the wire; `from_json` reads it back."""
        return {
            "boot": self.boot,
            "held": self.held.as_json(),
            "erased": self.erased.as_json(),
            "service": self.service,
            "pid": self.pid,
            "host": self.host,
            "times": [[number, at] for number, at in self.times.items()],
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Held:
        """What `as_json` gave; raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            str(plain["boot"]),
            Ranges.of(*plain["held"]),
            Ranges.of(*plain["erased"]),
            str(plain["service"]),
            int(plain["pid"]),
            str(plain["host"]),
            {int(number): int(at) for number, at in plain["times"]},
        )


def boot_of(number: int) -> str:
    """A boot id as text, from the signed 64-bit integer that a store's column holds."""
    return f"{number & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def recovered_boot(boot: str) -> str:
    """The boot id in the uids of what recovery wrote for that process after its death: numbers with holes by nature."""
    return hashlib.blake2b(f"recovered {boot}".encode(), digest_size=8).hexdigest()


def sequence_of(uid: str) -> tuple[str, int] | None:
    """Boot and number of a uid of leadtrace's own form, None of another's."""
    return (uid[:16], int(uid[16:], 16)) if _ours(uid) else None


_ours = re.compile("[0-9a-f]{28}").fullmatch
