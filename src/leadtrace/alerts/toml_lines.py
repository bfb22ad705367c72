"""Which line of a TOML file each key stands on: what `tomllib` leaves out and a message needs.

TOML is written statement by statement: a header, or a key with its value, each beginning on a line of its own. So each
statement is parsed by itself with `tomllib`, line upon line until it is whole, and its keys have its first line.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Path", "line_of", "lines", "syntax_line"]

Path: TypeAlias = "tuple[str | int, ...]"
"""Keys, and the places of tables in their arrays from 0."""

_AT: Final = re.compile(r"\(at line (\d+), column \d+\)")


def lines(text: str) -> dict[Path, int]:
    """The line, from 1, of every table and key of a text that is TOML."""
    found: dict[Path, int] = {(): 1}
    tables: Path = ()
    arrays: dict[Path, int] = {}
    for line, statement in _statements(text):
        parsed = tomllib.loads(statement)
        head = statement.lstrip()
        if not head.startswith("["):
            for path in _keys(parsed):
                found.setdefault(tables + path, line)
            continue
        tables = _header(parsed, arrays)
        if head.startswith("[["):
            arrays[tables] = arrays.get(tables, -1) + 1
            tables = (*tables, arrays[tables])
        for length in range(1, len(tables) + 1):
            found.setdefault(tables[:length], line)
    return found


def line_of(found: Mapping[Path, int], path: Path) -> int:
    """The line of that path, or of the nearest thing around it that has one."""
    while path not in found and path:
        path = path[:-1]
    return found.get(path, 1)


def syntax_line(problem: tomllib.TOMLDecodeError, text: str) -> tuple[int, str]:
    """The line of what is no TOML, and what is wrong with it."""
    message = str(problem)
    if at := _AT.search(message):
        return int(at[1]), message[: at.start()].strip()
    return text.count("\n") + 1, message.replace("(at end of document)", "at the end of the file")


def _statements(text: str) -> Iterator[tuple[int, str]]:
    begun, collected = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        if not collected and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begun = begun if collected else number
        collected += f"{line}\n"
        try:
            tomllib.loads(collected)
        except tomllib.TOMLDecodeError:
            continue
        yield begun, collected
        collected = ""


def _header(parsed: Mapping[str, Any], arrays: Mapping[Path, int]) -> Path:
    """The path that a header opens, with the current place in every array of tables on its way."""
    path: Path = ()
    inner: Any = parsed
    while inner:
        if isinstance(inner, list):
            inner = inner[0]
            continue
        key = next(iter(inner))
        path, inner = (*path, key), inner[key]
        if inner and inner != [{}] and path in arrays:
            path = (*path, arrays[path])
    return path


def _keys(value: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _keys(one, (*path, key))
