"""Texts with variants: `{Hi|Hello} {{first_name}}` becomes one of them, always the same for the same person."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["MalformedError", "Warned", "render"]

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class MalformedError(ValueError):
    """The text's braces do not fit together."""


@dataclass(frozen=True)
class Warned:
    """A fault that could be mended: why, and the part that has it."""

    reason: str
    token: str


def render(text: str, values: Mapping[str, str], seed: str) -> tuple[str, list[Warned]]:
    """The text with one variant of each group, chosen by the seed, and its variables filled in.

    Raises `MalformedError` for braces that do not fit together.
    """
    warned: list[Warned] = []
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        value = values.get(found[1])
        if value is None:
            warned.append(Warned("unknown variable", found[0]))
        held.append(value or "")
        return f"\0{len(held) - 1}\0"  # a value's own braces are no variants

    rest = _VARIABLE.sub(hold, text)
    picker = _Picker(seed)
    chosen, end = _group(rest, 0, 0, picker, warned)
    if end != len(rest):
        raise MalformedError("closing brace without an opening one")
    return re.sub(r"\0(\d+)\0", lambda found: held[int(found[1])], chosen[0]), warned


class _Picker:
    """Numbers from a seed, the same on every machine."""

    def __init__(self, seed: str) -> None:
        self._seed, self._taken = seed, 0

    def pick(self, most: int) -> int:
        self._taken += 1
        digest = hashlib.sha256(f"{self._seed}/{self._taken}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % most


def _group(text: str, at: int, depth: int, picker: _Picker, warned: list[Warned]) -> tuple[list[str], int]:
    """The variants from there to the group's end (of the whole text at depth 0), and where that is."""
    variants = [""]
    while at < len(text):
        one = text[at]
        if one == "{":
            inner, end = _group(text, at + 1, depth + 1, picker, warned)
            if end >= len(text):
                raise MalformedError("opening brace without a closing one")
            token = text[at : end + 1]
            if len(inner) == 1:
                warned.append(Warned("only one variant", token))
            if "" in inner:
                warned.append(Warned("empty variant", token))
            variants[-1] += inner[picker.pick(len(inner))]
            at = end + 1
        elif one == "}":
            return variants, at
        elif one == "|" and depth:
            variants.append("")
            at += 1
        else:
            variants[-1] += one
            at += 1
    return variants, at
