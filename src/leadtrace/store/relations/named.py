"""What a text of SQL names of the relations: which of them, and which columns of the attributes. Engines lay out no more.

Names are words of the text, wherever they stand: one too many costs a little, one too few is an unknown column. A query that
writes `*` (or asks which columns there are) names every column. `lead_runs` stands on `all_events`, `lead_stops` on both: each
names what it takes of them.
"""

from __future__ import annotations

import importlib.resources
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from leadtrace.store.relations.facts import FACTS
from leadtrace.store.relations.interface import END_OF_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadtrace.store.relations.interface import Slice

__all__ = ["Named", "bounded", "named", "read_view", "told_last"]

_FACTS: Final = frozenset(one.name for one in FACTS)
_WORD: Final = re.compile(r"[a-z_][a-z0-9_]*")
_EVERY_COLUMN: Final = re.compile(r"\bselect\s+(distinct\s+)?\*|[.,]\s*\*|^\s*pragma\b", re.IGNORECASE)
_EVENTS: Final = frozenset({"lead_events", "all_events"})
_SPANS: Final = frozenset({"lead_spans", "all_spans"})
_DERIVED: Final = frozenset({"lead_runs", "lead_shared", "lead_stops"})
_MARK: Final = "\x1f"
"""Between an event and what it is about: in no name."""


@dataclass(slots=True, frozen=True)
class Named:
    """What a text names, and what stands beneath that."""

    relations: frozenset[str]
    facts: frozenset[str]
    words: frozenset[str]
    """All words of the text, in lower case."""
    every_column: bool

    def among(self, columns: Sequence[str]) -> frozenset[str]:
        """Those of these columns that it names."""
        return frozenset(columns) if self.every_column else self.words & frozenset(columns)

    @property
    def events(self) -> bool:
        """Whether any relation of events is named."""
        return bool(self.relations & _EVENTS)

    @property
    def spans(self) -> bool:
        return bool(self.relations & _SPANS)


@cache
def read_view(name: str) -> str:
    """The text of one of `views/*.sql`."""
    text = (importlib.resources.files("leadtrace.store.relations") / "views" / f"{name}.sql").read_text()
    return text.replace("{mark}", _MARK)


def told_last(among_runs: str = "") -> str:
    """The text of what is told last of runs: of all of them, or of those that a condition leaves."""
    return read_view("told_last").replace("{among_runs}", among_runs)


def bounded(text: str, part: Slice) -> str:
    """A view's text with the ends of the window in it."""
    return text.replace("{since}", str(part.since_ns)).replace("{until}", str(part.until_ns or END_OF_TIME))


@lru_cache(maxsize=256)
def named(sql: str) -> Named:
    """What the text names."""
    words = set(_WORD.findall(sql.lower()))
    every = _EVERY_COLUMN.search(sql) is not None
    facts = set(_FACTS) if every else words & _FACTS
    relations = words & (_EVENTS | _SPANS | _DERIVED)
    if "lead_stops" in relations:
        relations |= {"lead_runs", "lead_events"}
        words |= _words_of("lead_stops")
        facts |= _words_of("told_last") & _FACTS
    if "lead_runs" in relations:
        facts |= _words_of("lead_runs") & _FACTS
        relations.add("all_events")
    return Named(frozenset(relations), frozenset(facts), frozenset(words), every)


def _words_of(view: str) -> set[str]:
    return set(_WORD.findall(read_view(view).lower()))
