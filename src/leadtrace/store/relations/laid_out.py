"""What every engine does before it runs a text: its parameters, and the tables that it builds on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from leadtrace.store.relations.interface import Parameters, Slice, Tables

__all__ = ["LaidOut", "used_parameters"]

_PARAMETER: Final = re.compile(r"\$([a-z_][a-z0-9_]*)")


def used_parameters(sql: str, parameters: Parameters | None) -> dict[str, str | int | float | None]:
    """Those parameters that the text names; raises KeyError where it names one that is not given."""
    given = parameters or {}
    return {name: given[name] for name in _PARAMETER.findall(sql)}


class LaidOut:
    """The tables that lie in an engine, and what of: reports that build on the same ones lay them out once."""

    def __init__(self) -> None:
        self._there: dict[object, str] = {}

    def lay_out(
        self, part: Slice, parameters: Parameters | None, tables: Tables, make: Callable[[str, str, Parameters], object]
    ) -> Iterator[tuple[str, str]]:
        """Each name, and the table that it stands for now; `make` makes one of a text and the parameters that this names."""
        before: object = part
        for name, text in tables.items():
            used = used_parameters(text, parameters)
            # What one before it says may be in it: where that is another, this is.
            before = (before, name, text, tuple(sorted(used.items())))
            if before not in self._there:
                table = f"laid_out_{len(self._there)}"
                make(table, text, used)
                self._there[before] = table
            yield name, self._there[before]
