"""Where something concentrates: the values that it has far more often than work in general. Pure.

The same question of a whole window, where all work is counted, and of the few records around one lead, where both sides are
samples: there the usual share is as unsure as the other, so an exact test of both decides, and the share must be twice the usual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leadtrace.analysis.chance import at_least, fisher
from leadtrace.analysis.model import LEAST

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Concentration", "concentrations"]

_LEAST: Final = 5
_RARE: Final = 0.001
_LIFT: Final = 1.5
_SAMPLED_LIFT: Final = 2.0


@dataclass(slots=True, frozen=True)
class Concentration:
    """One value that the group has far more often than work in general."""

    dimension: str
    value: str
    affected: int
    of: int
    """Affected leads (or errors without one) for which the dimension is known."""
    share: float
    usual: float
    """The value's share of all work that began."""
    lift: float
    """How many times as often: share ÷ usual."""
    chance: float
    """How probable so many are by chance, times the number of values looked at: below 0.001."""


def concentrations(
    dimension: str, affected: Mapping[str, int], usual: Mapping[str, int], looks: int = 1, *, sampled: bool = False
) -> list[Concentration]:
    """The values of one dimension at which it concentrates; '' is a value that is not known.

    `looks` is how many groups are looked at beside each other. `sampled`: both sides are few records of many.
    """
    mine = {value: count for value, count in affected.items() if value}
    work = {value: count for value, count in usual.items() if value}
    of, of_all = sum(mine.values()), sum(work.values())
    if of_all < (_LEAST if sampled else LEAST):
        return []
    looked_at = max(1, len(work)) * looks
    found = []
    for value, count in mine.items():
        often = work.get(value, 0)
        share, base = count / of, often / of_all
        if count < _LEAST or share < (_SAMPLED_LIFT if sampled else _LIFT) * base:
            continue
        # A value that never began anything: as rare as one that would have shown up once more.
        least = base or 1 / (of_all + 1)
        chance = (fisher(count, of, often, of_all) if sampled else at_least(count, of, least)) * looked_at
        if chance < _RARE:
            found.append(Concentration(dimension, value, count, of, share, base, share / least, chance))
    return found
