"""A run: one passage of a lead through one flow, and what its words in this process add up to."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.otlp.records import Value

__all__ = ["Counts", "Run", "Told", "amount", "micro"]

_BOTTLENECK_SHARE = 0.25
_BOTTLENECKS = 3


def amount(value: object) -> Decimal | None:
    """Money as it was written: exact from its shortest decimal form; None where it is no finite number."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def micro(value: Decimal) -> float:
    """A sum as it is recorded: rounded to micro-units, as a float whose shortest form is that sum."""
    return float(round(value, 6))


class Told:
    """The exceptions that `error.occurred` has told, each once; with the uid of the event that did."""

    __slots__ = ("_told",)
    _LIMIT = 64

    def __init__(self) -> None:
        self._told: dict[int, tuple[BaseException, str]] = {}

    def uid(self, problem: BaseException) -> str:
        """The uid of the event that told it; '' where none has. A group is told when all of its members are."""
        found = self._told.get(id(problem))
        if found is not None:
            return found[1]
        if isinstance(problem, BaseExceptionGroup):
            uids = [self.uid(one) for one in problem.exceptions]
            return uids[0] if all(uids) else ""
        return ""

    def add(self, problem: BaseException, uid: str) -> None:
        while len(self._told) >= self._LIMIT:
            self._told.pop(next(iter(self._told)), None)
        self._told[id(problem)] = (problem, uid)  # held, so that its id cannot become another exception's

    def clear(self) -> None:
        self._told.clear()


@dataclass(slots=True)
class Counts:
    """What a run's words add up to, each counted when it ends."""

    steps: int = 0
    enhanced: int = 0
    passed: int = 0
    refused: int = 0
    """Validations and rules that said no."""
    satisfied: int = 0
    cache_hits: int = 0
    deliveries: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By delivery id: its verdict so far, and the buyer. A pending one that is closed later counts once."""
    revenue: dict[str, Decimal] = field(default_factory=dict)
    cost: dict[str, Decimal] = field(default_factory=dict)
    """By currency."""
    own_time: Counter[str] = field(default_factory=Counter)
    """Nanoseconds that each name spent itself, without the words beneath."""

    def outcome(self) -> str:
        """What became of the lead, by its deliveries; the first rule that fits."""
        verdicts = [verdict for verdict, _ in self.deliveries.values()]
        if "accepted" in verdicts:
            return "delivered" if all(one == "accepted" for one in verdicts) else "partially_delivered"
        if "pending" in verdicts:
            return "deferred"
        if (verdicts and all(one == "rejected" for one in verdicts)) or (not verdicts and self.refused):
            return "rejected"
        return "undelivered"

    def buyers(self) -> list[str]:
        return [buyer for verdict, buyer in self.deliveries.values() if verdict == "accepted" and buyer]

    def bottlenecks(self, total_ns: int) -> list[str]:
        """The names that took at least a quarter of the flow's time themselves, the slowest first."""
        least = total_ns * _BOTTLENECK_SHARE
        return [name for name, spent in self.own_time.most_common(_BOTTLENECKS) if spent >= least > 0]


_VERDICTS = {
    "delivery.accepted": "accepted",
    "delivery.rejected": "rejected",
    "delivery.pending": "pending",
    "delivery.failed": "failed",
    "delivery.unconfirmed": "unconfirmed",
    "delivery.cancelled": "cancelled",
}


class Run:
    """One passage of a lead. Words of several threads and tasks may count into it at once."""

    __slots__ = ("counts", "handed_over", "id", "lock", "open_words", "parent_id", "started_ns", "told")

    def __init__(self, run_id: str, parent_id: str = "", started_ns: int = 0) -> None:
        self.id = run_id
        self.parent_id = parent_id
        self.started_ns = started_ns
        self.counts = Counts()
        self.told = Told()
        self.handed_over: list[str] = []
        self.open_words = 0
        self.lock = threading.Lock()

    def opened(self) -> None:
        with self.lock:
            self.open_words += 1

    def closed(self, name: str = "", own_ns: int = 0) -> None:
        """A word ended; `own_ns` is the time that it spent itself, where that is to be counted."""
        with self.lock:
            self.open_words -= 1
            if name:
                self.counts.own_time[name] += own_ns

    def count(self, event: str, attributes: Mapping[str, Value], currency: str, word: str = "") -> None:
        """Take the end of one word, or an event of the delivery and lead families that was emitted by hand."""
        counts = self.counts
        with self.lock:
            if word == "step" and not event.endswith("cancelled"):
                counts.steps += 1
            if event == "enhancement.success":
                counts.enhanced += 1
                counts.cache_hits += attributes.get("enhancement.cache_hit") is True
            elif event == "validation.passed":
                counts.passed += 1
            elif event == "rule.satisfied":
                counts.satisfied += 1
            elif event in ("validation.failed", "rule.rejected"):
                counts.refused += 1
            elif event in _VERDICTS:
                known = str(attributes.get("delivery.id", f"unnamed {len(counts.deliveries)}"))
                buyer = str(attributes.get("delivery.buyer", "") or counts.deliveries.get(known, ("", ""))[1])
                counts.deliveries[known] = (_VERDICTS[event], buyer)
            for names, sums in (
                (("delivery.revenue", "delivery.currency"), counts.revenue),
                (("enhancement.cost", "enhancement.currency"), counts.cost),
                (("lead.price", "lead.currency"), counts.cost),
            ):
                money = amount(attributes.get(names[0]))
                if money is not None:
                    unit = str(attributes.get(names[1], currency))
                    sums[unit] = sums.get(unit, Decimal(0)) + money
