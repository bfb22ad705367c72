"""Which leads are looked at one by one, where an answer needs whole timelines: a few of very many, drawn evenly.

The same records always give the same draw, in whatever order they arrived, so that an answer stays the same when it is
asked again.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from leadtrace.analysis.passages import passages_of
from leadtrace.query.timeline import build, outline
from leadtrace.store.interface import LeadFilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from leadtrace.analysis.passages import Passage
    from leadtrace.query.model import Timeline
    from leadtrace.store.interface import Found, LeadRow
    from leadtrace.store.relations.interface import Relations

__all__ = ["COMPLETED", "Drawn", "SampledRuns", "draw_leads", "leads_in", "runs_drawn", "stories_of"]

# The end of an id, not its begin: the ids of many makers begin alike, or with the time.
_RUNS: Final = """
SELECT tenant, lead_id, run_id
FROM lead_runs
WHERE lead_id <> '' AND end_ns IS NOT NULL AND ($flow = '' OR flow_name = $flow) AND ($version = '' OR flow_version = $version)
  AND ($since = 0 OR end_ns >= $since) AND ($until = 0 OR end_ns < $until)
ORDER BY substr(run_id, -6), run_id
LIMIT $size"""

_HOW_MANY: Final = """
SELECT coalesce(sum(CASE WHEN lead_id <> '' AND end_ns IS NOT NULL THEN 1 ELSE 0 END), 0),
  coalesce(sum(CASE WHEN lead_id = '' THEN 1 ELSE 0 END), 0)
FROM lead_runs
WHERE ($flow = '' OR flow_name = $flow) AND ($version = '' OR flow_version = $version)
  AND ($since = 0 OR end_ns >= $since) AND ($until = 0 OR end_ns < $until)"""


COMPLETED: Final = ("flow.completed", "")
"""The events that end a run which came to its end by itself; '' where the last of what it handed over ended it."""


@dataclass(slots=True)
class SampledRuns:
    """Runs that ended in the window, as many as were asked for, each worked out as it is come to."""

    relations: Relations
    drawn: list[tuple[str, str, str]]
    """Tenant, lead and run of each."""
    of: int
    """How many there were to draw from."""
    without_lead: int
    """Runs that name no lead: they have no timeline."""
    unknown: int = 0
    """Runs drawn that their lead's timeline does not hold as ended."""
    incomplete: dict[str, None] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Passage]:
        self.unknown = 0
        wanted: dict[tuple[str, str], set[str]] = {}
        for tenant, lead_id, run_id in self.drawn:
            wanted.setdefault((lead_id, tenant), set()).add(run_id)
        for (lead_id, tenant), runs in wanted.items():
            found = self.relations.source.lead(lead_id, tenant or None)
            lead = outline(found, lead_id, tenant or None)
            self.incomplete.update(dict.fromkeys(lead.incomplete))
            passages = [one for one in passages_of(lead) if one.run.run_id in runs]
            self.unknown += len(runs) - len(passages)
            yield from passages

    @property
    def text(self) -> str:
        """How many of how many, for the notes."""
        if len(self.drawn) == self.of:
            return f"all runs that ended in the window ({self.of})"
        return f"{len(self.drawn)} of the {self.of} runs that ended in the window, drawn evenly"


def runs_drawn(relations: Relations, size: int, flow: str = "", version: str = "") -> SampledRuns:
    """As many of the window's runs of that flow ('': any) as `size`, all of them where it is 0."""
    part = relations.part
    given: dict[str, str | int | float | None] = {
        "flow": flow,
        "version": version,
        "since": part.since_ns,
        "until": part.until_ns,
        "size": size or 10**12,
    }
    ((of, without),) = relations.query(_HOW_MANY, given)
    rows = relations.query(_RUNS, given)
    return SampledRuns(relations, [(str(a), str(b), str(c)) for a, b, c in rows], int(of), int(without))


@dataclass(slots=True, frozen=True)
class Drawn:
    """Leads drawn, and from how many."""

    leads: tuple[LeadRow, ...]
    of: int


def draw_leads(rows: Iterable[LeadRow], size: int) -> Drawn:
    """As many of those leads as `size`, all of them where it is 0; memory is that of the sample."""
    kept: list[tuple[int, str, str, LeadRow]] = []
    of = 0
    for row in rows:
        of += 1
        place = -int.from_bytes(hashlib.blake2b(f"{row.tenant}\0{row.lead_id}".encode(), digest_size=8).digest(), "big")
        if not size or len(kept) < size:
            heapq.heappush(kept, (place, row.lead_id, row.tenant, row))
        elif place > kept[0][0]:
            heapq.heapreplace(kept, (place, row.lead_id, row.tenant, row))
    return Drawn(tuple(one[3] for one in sorted(kept, key=lambda one: (-one[0], one[1:3]))), of)


def stories_of(
    relations: Relations, drawn: Drawn, now_ns: int, incomplete: dict[str, None]
) -> Iterator[tuple[Timeline, Found]]:
    """The timeline and the records of each lead drawn; what may be missing goes into `incomplete`."""
    for row in drawn.leads:
        found = relations.source.lead(row.lead_id, row.tenant or None)
        timeline = build(found, row.lead_id, row.tenant or None, now_ns)
        incomplete.update(dict.fromkeys(timeline.incomplete))
        yield timeline, found


def leads_in(relations: Relations) -> tuple[Iterator[LeadRow], dict[str, None]]:
    """The leads with a record in the window, and why some may be missing, filled as they are read."""
    part = relations.part
    missing: dict[str, None] = {}
    which = LeadFilter(part.since_ns, part.until_ns, part.tenant, note=lambda told: missing.setdefault(told))
    return relations.source.leads(which), missing
