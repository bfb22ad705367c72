"""The two books of every process laid over each other: what its journal accounts for, and what a store holds.

    numbers     1 ──────────────────────────────────────────────── last
    journal     acknowledged ········ set aside · waiting · refused · erased
    store       held ····· held ····            · held?            · erased
                        ▲
                        hole: acknowledged, and not there

Pure: data in, data out.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from leadtrace.otlp.ledger import Held, Ledger, recovered_boot
from leadtrace.otlp.ranges import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.otlp.ranges import Ranges

__all__ = ["Hole", "Reconciled", "Why", "reconcile"]

Why: TypeAlias = Literal["acknowledged", "unaccounted", "unwritten", "unread", "unknown"]
"""Why a number that is in no store is a hole.

acknowledged: every required receiver said that it has the event, and this store does not.
unaccounted: the event was numbered, and neither the journal nor the store knows of it.
unwritten: as that, of a process that runs still: it may be about to write it.
unread: as that, of a process whose journal has segments that only a later leadtrace can read: it may wait there.
unknown: the store misses it, and no journal that was looked at is of that process.
"""


@dataclass(slots=True, frozen=True)
class Hole:
    """Numbers of one process in a row, of which the events are not where they should be."""

    boot: str
    first: int
    last: int
    why: Why
    service: str = ""
    pid: int = 0
    host: str = ""
    after_ns: int = 0
    """When the nearest event before it that the store holds was made; else when the process began; 0 where neither is known."""
    before_ns: int = 0
    """When the nearest event after it was made, 0 where there is none."""

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    @property
    def lost(self) -> bool:
        """Whether it is a loss for certain."""
        return self.why in ("acknowledged", "unaccounted")

    def as_json(self) -> dict[str, Any]:
        return {
            "boot": self.boot,
            "from": self.first,
            "to": self.last,
            "count": self.count,
            "why": self.why,
            "lost": self.lost,
            "service": self.service,
            "pid": self.pid,
            "host": self.host,
            "after_ns": self.after_ns,
            "before_ns": self.before_ns,
        }


@dataclass(slots=True)
class Reconciled:
    """What became of every numbered event of the processes that were looked at."""

    holes: list[Hole] = field(default_factory=list)
    """In the order of processes and numbers."""
    processes: int = 0
    numbered: int = 0
    held: int = 0
    waiting: int = 0
    """In the journal and not yet in the store; so are the next three, each number told once."""
    set_aside: int = 0
    refused: int = 0
    erased: int = 0

    @property
    def lost(self) -> int:
        """How many events are lost for certain."""
        return sum(one.count for one in self.holes if one.lost)

    def as_json(self) -> dict[str, Any]:
        names = ("processes", "numbered", "held", "waiting", "set_aside", "refused", "erased", "lost")
        return {**{name: getattr(self, name) for name in names}, "holes": [one.as_json() for one in self.holes]}


def reconcile(ledgers: Iterable[Ledger], store: Iterable[Held]) -> Reconciled:
    """Lay both books over each other and name each hole.

    Both may come in any order, one entry per process and book. A number is in order where the store holds it, or either
    book says that it was erased, or the journal says that it waits, was set aside, or was refused (its receipt said so).
    What recovery wrote for a dead process has no numbers of its own, and is not looked at.
    """
    found = Reconciled()
    written = {one.boot: one for one in ledgers}
    held = {one.boot: one for one in store}
    known = written.keys() | held.keys()
    for boot in sorted(known - {recovered_boot(one) for one in known}):
        _process(written.get(boot), held.get(boot) or Held(boot), found)
    return found


def _process(ledger: Ledger | None, held: Held, found: Reconciled) -> None:
    known = held.held | held.erased
    last = max(ledger.last_sequence if ledger else 0, known.runs[-1][1] if known else 0)
    if ledger and ledger.accounted:
        last = max(last, ledger.accounted.runs[-1][1])
    found.processes += 1
    found.numbered += last
    found.held += held.held.count
    left = held.held.outside(1, last)
    erased = left & (held.erased | (ledger.erased if ledger else EMPTY))
    found.erased += erased.count
    left -= erased
    if ledger is None:
        _tell(left, "unknown", ledger, held, found)
        return
    for name in ("set_aside", "waiting", "refused"):
        numbers: Ranges = left & getattr(ledger, name)
        setattr(found, name, getattr(found, name) + numbers.count)
        left -= numbers
    acknowledged = left & ledger.acknowledged
    holes = Reconciled()
    _tell(acknowledged, "acknowledged", ledger, held, holes)
    why: Why = "unread" if ledger.unread else "unwritten" if ledger.alive else "unaccounted"
    _tell(left - acknowledged, why, ledger, held, holes)
    found.holes += sorted(holes.holes, key=lambda one: one.first)


def _tell(numbers: Ranges, why: Why, ledger: Ledger | None, held: Held, found: Reconciled) -> None:
    if not numbers:
        return
    known = sorted(held.times)
    for first, last in numbers.runs:
        at = bisect_left(known, first)
        found.holes.append(
            Hole(
                held.boot,
                first,
                last,
                why,
                (ledger.service if ledger else "") or held.service,
                (ledger.pid if ledger else 0) or held.pid,
                (ledger.host if ledger else "") or held.host,
                held.times[known[at - 1]] if at else ledger.started_ns if ledger else 0,
                held.times[known[at]] if at < len(known) else 0,
            )
        )
