"""Names that somebody asks for and nobody recorded: what to say instead of nothing."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from leadtrace.query.printable import cut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.store.relations.interface import Relations

__all__ = ["FLOWS", "Names", "meant", "never_recorded"]

_LISTED: Final = 12
_LONGEST: Final = 80
"""Of a name in a sentence: a longer one is cut, because nobody bounds what is recorded."""


@dataclass(slots=True, frozen=True)
class Names:
    """Of what an option gives the name: a word for it, and SQL of the names that are recorded, a column of text."""

    what: str
    recorded: str


FLOWS: Final = Names("flow", "SELECT DISTINCT flow_name FROM lead_runs WHERE flow_name <> ''")


def never_recorded(relations: Relations, names: Names, asked: str) -> str:
    """The sentence for a name that is recorded at no time, with the one that was meant; '' for one that is."""
    there = {str(one) for (one,) in relations.query(names.recorded)}
    if asked in there:
        return ""
    # What lies outside of what was fetched nobody has seen.
    where = "" if relations.source.holds.logs else " in the traces that were fetched"
    instead = meant(asked, there)
    return f"no {names.what} is named {cut(asked, _LONGEST)!r}{where}" + (f"; {instead}" if instead else "")


def meant(name: str, there: Iterable[str]) -> str:
    """What to say to somebody who gave a name that is not there: the nearest, else some of those that are; '' for none."""
    known = sorted(there)
    # To write it small is the commonest slip; of long names the beginning is compared.
    folded = {one.casefold()[:_LONGEST]: one for one in reversed(known)}
    if near := get_close_matches(name.casefold()[:_LONGEST], list(folded), n=1):
        return f"did you mean {cut(folded[near[0]], _LONGEST)}?"
    listed = ", ".join(cut(one, _LONGEST) for one in known[:_LISTED])
    more = f" and {len(known) - _LISTED:,} more" if len(known) > _LISTED else ""
    return f"there are {listed}{more}" if known else ""
