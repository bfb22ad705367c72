"""Who took a function before its word came, and so calls it without: found by asking the garbage collector.

Only for a person who asks (`leadtrace doctor --app`): it looks through every object of the process.
"""

from __future__ import annotations

import functools
import gc
from types import CellType, FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leadtrace.words.instrument import Instrumented

__all__ = ["holders"]

_CONTAINERS = (list, set, frozenset, tuple, dict)


def holders(one: Instrumented) -> list[str]:
    """What still holds the function that stood at the target before its word: `a partial`, `a list`, `a closure of f` …

    Only what holds it directly. Names of modules and classes are not told: those were replaced, or are the target itself.
    """
    found: list[str] = []
    for _, _, _, before in one._undo[:1]:
        function = getattr(before, "__func__", before)
        if not isinstance(function, FunctionType):
            continue
        ours = {id(entry) for entry in one._undo}
        for holder in gc.get_referrers(function):
            if id(holder) in ours or holder is locals():
                continue
            if isinstance(holder, functools.partial):
                found.append("a partial")
            elif isinstance(holder, CellType):
                found += [f"a closure of {name}" for name in _functions_with(holder)]
            elif isinstance(holder, _CONTAINERS) and not _is_namespace(holder):
                found.append(f"a {type(holder).__name__}")
    return sorted(found)


def _functions_with(cell: CellType) -> list[str]:
    """The functions of others in whose closure that cell is; the word's own wrapper has one too."""
    return [
        function.__qualname__
        for closure in gc.get_referrers(cell)
        if isinstance(closure, tuple)
        for function in gc.get_referrers(closure)
        if isinstance(function, FunctionType)
        and function.__closure__ is closure
        and not function.__code__.co_filename.startswith(_OURS)
    ]


_OURS = __file__.rpartition("words")[0]


def _is_namespace(holder: object) -> bool:
    """Whether a dict is the names of a module, of a class or of an object, or of a function's wrapper."""
    return isinstance(holder, dict) and (
        "__name__" in holder or "__module__" in holder or "__wrapped__" in holder or "__qualname__" in holder
    )
