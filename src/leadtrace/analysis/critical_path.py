"""Where a run's time went: self time of each word, and the critical path, which is what the run waited for.

flow      ├────────────────────────────┤
phone       ├──────┤                           on the path: it ended last before the delivery began …
identity    ├───┤                              not on it: phone was still running
delivery              ├───────────────┤        on it
path      ══════════════════════════════       flow, phone, flow, delivery, flow: together exactly the run's duration
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from leadtrace.analysis.passages import Piece

__all__ = ["Stretch", "critical_path", "self_time_ns"]


class Stretch(NamedTuple):
    """A part of the run's time in which it waited for this piece itself, not for anything beneath it."""

    piece: Piece
    began_ns: int
    ended_ns: int

    @property
    def ms(self) -> float:
        return (self.ended_ns - self.began_ns) / 1e6


def critical_path(root: Piece) -> list[Stretch]:
    """The path from the root's begin to its end, in order of time; the stretches follow each other without a gap.

    Walked from the end: at each moment the run waits for whichever beneath ended last until then, and before that began,
    for whichever ended, or was running, then. Of several that ran, the one that ended last. What outlives its caller holds
    nobody up after that one's end.
    """
    found: list[Stretch] = []
    pending = [(root, root.began_ns, root.ended_ns)]
    while pending:
        piece, low, at = pending.pop()
        for child in sorted(piece.below, key=lambda one: (-one.ended_ns, one.began_ns, one.name)):
            if child.began_ns >= at or child.ended_ns <= low:
                continue
            ended, began = min(child.ended_ns, at), max(child.began_ns, low)
            if ended <= began:
                continue
            if ended < at:
                found.append(Stretch(piece, ended, at))
            pending.append((child, began, ended))
            at = began
        if at > low:
            found.append(Stretch(piece, low, at))
    return sorted(found, key=lambda one: (one.began_ns, one.ended_ns))


def self_time_ns(piece: Piece) -> int:
    """The time in which the piece ran and nothing beneath it did."""
    covered, upto = 0, piece.began_ns
    for child in sorted(piece.below, key=lambda one: one.began_ns):
        began, ended = max(child.began_ns, upto), min(child.ended_ns, piece.ended_ns)
        if ended > began:
            covered += ended - began
            upto = ended
    return piece.length_ns - covered
