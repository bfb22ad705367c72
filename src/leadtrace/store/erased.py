"""What an erasure removed from a store: counts, ranges and ids of traces, and nothing of the person."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leadtrace.otlp.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Erased"]


@dataclass(slots=True)
class Erased:
    """What was removed, from which store, and what could not be made sure of."""

    receipt: str = ""
    """16 hex digits, also kept in the store beside the counts."""
    erased_ns: int = 0
    store: str = ""
    leads: int = 0
    """Rows of the list of leads: one per id and tenant."""
    spans: int = 0
    events: int = 0
    set_aside: int = 0
    changed: int = 0
    """Records that stay for others, without this lead's id."""
    ranges: dict[str, Ranges] = field(default_factory=dict)
    """By boot, the numbers of the events that were removed."""
    traces: list[str] = field(default_factory=list)
    """Traces that held records of the lead, for those who keep copies elsewhere."""
    searched_bytes: int = 0
    """Of the store's files, afterwards, for the ids."""
    rewritten: bool = False
    """Whether the whole file was written anew."""
    left: list[str] = field(default_factory=list)
    """What could not be made sure of, in sentences; empty where all is gone."""

    def counts(self) -> dict[str, int]:
        """What was removed, by sort."""
        names = ("leads", "spans", "events", "set_aside", "changed")
        return {name: getattr(self, name) for name in names}

    def as_json(self) -> dict[str, Any]:
        """For the wire and for receipts; `from_json` reads it back."""
        return {
            "receipt": self.receipt,
            "erased_ns": self.erased_ns,
            "store": self.store,
            **self.counts(),
            "ranges": {boot: one.as_json() for boot, one in self.ranges.items()},
            "traces": self.traces,
            "searched_bytes": self.searched_bytes,
            "rewritten": self.rewritten,
            "left": self.left,
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Erased:
        """What `as_json` gave; raises KeyError, TypeError or ValueError for anything else."""
        ranges = {str(boot): Ranges.of(*runs) for boot, runs in plain["ranges"].items()}
        return cls(**{**plain, "ranges": ranges})
