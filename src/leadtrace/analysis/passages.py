"""A timeline's runs as work in time: which word ran when, under which, and what it cost.

Everything that reckons with durations (critical path, what-if, comparing) stands on this form, so that the odd cases are
judged in one place: a clock that is off, work that outlives what called it, work taken up later in another process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from leadtrace.query.money import amount, currency_of
from leadtrace.query.vocabulary import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leadtrace.otlp.records import Value
    from leadtrace.query.model import Attempt, Entry, Outline, Run, Timeline

__all__ = ["Passage", "Piece", "oddities", "passages_of", "pieces_of"]


@dataclass(slots=True, eq=False)
class Piece:
    """One span of a lead with the time that it took, on the clock of the process that began the run."""

    name: str
    word: str = ""
    service: str = ""
    began_ns: int = 0
    ended_ns: int = 0
    """Of one that has not ended: the end of what is known beneath it."""
    below: list[Piece] = field(default_factory=list)
    """By when they began. One that began after its caller had ended lies under the nearest that was still running."""
    owner: Piece | None = None
    """Of tries and spans of other software: the word that they ran under and whose time theirs is."""
    outcome: str = ""
    run_id: str = ""
    status: str = "unset"
    finished: bool = True
    cost: Decimal = Decimal()
    """Its own, without what lies beneath."""
    currency: str = ""
    cache_hit: bool = False
    attributes: Mapping[str, Value] = field(default_factory=dict)
    """What its span and its end event say."""
    shifted_ns: int = 0
    """By how much its recorded time was moved, because its process's clock is off against its caller's."""
    later: bool = False
    """It goes on elsewhere, on its own: nobody waits for its end where it was called."""
    attempt: Attempt | None = None

    @property
    def length_ns(self) -> int:
        return max(self.ended_ns - self.began_ns, 0)

    @property
    def duration_ms(self) -> float:
        return self.length_ns / 1e6

    @property
    def home(self) -> Piece:
        """The word whose time this is: itself, but for tries and spans of other software."""
        return self.owner or self

    def walk(self) -> Iterator[Piece]:
        """Itself and all beneath it, each before what lies beneath it."""
        pending = [self]
        while pending:
            piece = pending.pop()
            yield piece
            pending.extend(reversed(piece.below))

    def __repr__(self) -> str:
        return f"<Piece {self.name} {self.duration_ms:g} ms>"


@dataclass(slots=True)
class Passage:
    """One run that has ended, as work in time."""

    lead_id: str
    run: Run
    root: Piece
    """The flow's own span; where the run went on elsewhere, one that stands for the whole run."""
    unfinished: int = 0
    """How many words of it have no end: their time counts as their caller's."""
    shifted: int = 0
    """How many spans were moved because of a clock that is off."""

    @property
    def duration_ms(self) -> float:
        return self.root.duration_ms


def pieces_of(timeline: Timeline | Outline) -> list[Piece]:
    """All spans of the lead as pieces, nested; those that lie under none are given."""
    roots: list[Piece] = []
    path: list[Piece] = []
    depths: list[int] = []
    ended: set[int] = set()
    for entry in timeline.entries:
        while depths and depths[-1] >= entry.depth:
            depths.pop()
            path.pop()
        if entry.type == "event":
            above = path[-1] if path else None
            if above is not None and entry.role == "end" and entry.name == above.outcome and id(above) not in ended:
                ended.add(id(above))
                above.attributes = {**above.attributes, **entry.attributes}
            continue
        piece = _piece(entry, path)
        for home in reversed(path):
            if _runs_at(home, piece):
                home.below.append(piece)
                break
        else:
            roots.append(piece)
        path.append(piece)
        depths.append(entry.depth)
    everything = [one for root in roots for one in root.walk()]
    for piece in everything:
        _price(piece)
    for piece in reversed(everything):
        if len(piece.below) > 1:
            piece.below.sort(key=_in_time)
        if not piece.finished:
            piece.ended_ns = max((one.ended_ns for one in piece.below), default=piece.began_ns)
    return roots


def passages_of(timeline: Timeline | Outline) -> list[Passage]:
    """The lead's runs that have ended and whose flow is known, each as work in time; the first first."""
    roots = pieces_of(timeline)
    tops: dict[str, list[Piece]] = {}
    for root in roots:
        pending = [(root, frozenset[str]())]
        while pending:
            piece, above = pending.pop()
            if piece.run_id and piece.run_id not in above:
                tops.setdefault(piece.run_id, []).append(piece)
                above |= {piece.run_id}
            pending.extend((one, above) for one in piece.below)
    found = []
    for run in timeline.runs:
        pieces = sorted(tops.get(run.run_id, ()), key=_in_time)
        flow = next((one for one in pieces if one.word == "flow"), None)
        if flow is None or not run.ended_ns or not flow.finished:
            continue
        root = flow
        held = [one for one in pieces if one is flow or one.began_ns < run.ended_ns]
        if run.ended_ns > flow.ended_ns and any(one.ended_ns > flow.ended_ns for one in held):
            ended = max(min(one.ended_ns, run.ended_ns) for one in held)
            root = Piece(run.name, "run", flow.service, flow.began_ns, ended, held, run_id=run.run_id)
        everything = list(root.walk())
        found.append(
            Passage(
                timeline.lead_id,
                run,
                root,
                unfinished=sum(not one.finished for one in everything),
                shifted=sum(one.shifted_ns != 0 for one in everything),
            )
        )
    return found


def oddities(unfinished: int, shifted: int, of: str) -> list[str]:
    """What to say where so many of these runs, or leads (`of`), have words without an end, or a clock that is off."""
    notes = []
    if unfinished:
        notes.append(f"{unfinished} of these {of} have words without an end; their time counts as their caller's.")
    if shifted:
        notes.append(
            f"In {shifted} of these {of} a clock is off; calls into other services were put in the middle of their caller."
        )
    return notes


def _in_time(piece: Piece) -> tuple[int, int, str]:
    return piece.began_ns, piece.ended_ns, piece.name


def _runs_at(above: Piece, piece: Piece) -> bool:
    """Whether `above` was still running when the piece began; one whose end is not known was.

    What goes on elsewhere lies only under what it did not outlive.
    """
    if not above.finished:
        return True
    if piece.later:
        return piece.finished and piece.ended_ns <= above.ended_ns
    return piece.began_ns <= above.ended_ns


_LATER_KINDS = ("consumer",)


def _piece(entry: Entry, path: list[Piece]) -> Piece:
    parent = path[-1] if path else None
    length = round((entry.duration_ms or 0) * 1e6)
    piece = Piece(
        entry.name,
        entry.word,
        entry.service,
        entry.time_ns,
        entry.time_ns + max(length, 0),
        outcome=entry.outcome,
        run_id=entry.run_id,
        status=entry.status,
        finished=entry.duration_ms is not None,
        attributes=entry.attributes,
        later=entry.word == "resume" or entry.kind in _LATER_KINDS,
        attempt=entry.attempt,
    )
    if parent is not None and (not entry.word or entry.word == "attempt"):
        piece.owner = next((one for one in reversed(path) if one.word and one.word != "attempt"), None)
    if parent is not None:
        piece.shifted_ns = _shift(piece, parent, path)
        piece.began_ns += piece.shifted_ns
        piece.ended_ns += piece.shifted_ns
    return piece


def _shift(piece: Piece, parent: Piece, path: list[Piece]) -> int:
    """How far a span is to be moved so that a call lies within its caller.

    One process has one clock: what another span of its service was moved by, on the way down to it, moves it too. A call into
    another service that does not lie within its caller is put in its middle, as if the way there and back took equally long.
    """
    for one in reversed(path):
        if one.service == piece.service:
            return one.shifted_ns
    if piece.later or not parent.finished or not piece.finished or piece.length_ns > parent.length_ns:
        return 0
    if parent.began_ns <= piece.began_ns and piece.ended_ns <= parent.ended_ns:
        return 0
    return parent.began_ns + (parent.length_ns - piece.length_ns) // 2 - piece.began_ns


def _price(piece: Piece) -> None:
    if piece.word != "enhancement":
        return
    piece.cache_hit = piece.attributes.get("enhancement.cache_hit") is True
    if isinstance(piece.attributes.get("leadtrace.lead_ids"), list) and not text(piece.attributes, "lead.id"):
        return  # the span of a call on many leads holds the whole call's cost; a lead's share is on its own end event
    if (cost := amount(piece.attributes.get("enhancement.cost"))) is not None:
        piece.cost, piece.currency = cost, currency_of(piece.attributes, "enhancement.cost")
