"""Overrides that lost their base's word: the base's method is told, the subclass's own is silent."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leadtrace.cli.checking.source import Finding, own_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leadtrace.cli.checking.source import Function, Source

__all__ = ["Classes", "findings"]


@dataclass(slots=True)
class _Class:
    name: str
    """Module and name, as far as the path tells."""
    bases: list[str]
    source: Source
    words: dict[str, str] = field(default_factory=dict)
    """Method → the word that it is decorated with."""
    methods: dict[str, Function] = field(default_factory=dict)


class Classes:
    """All classes of the files that are checked."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._by_last: dict[str, list[_Class]] = {}
        self.of: dict[str, list[_Class]] = {}
        for source in sources:
            for node in ast.walk(source.tree):
                if isinstance(node, ast.ClassDef):
                    found = _read(source, node)
                    self._by_last.setdefault(node.name, []).append(found)
                    self.of.setdefault(source.path, []).append(found)

    def base(self, name: str, source: Source) -> _Class | None:
        """The class that a base's name stands for: of the same file, or the only one whose module and name end so."""
        found = self._by_last.get(name.rpartition(".")[2], [])
        if "." not in name:
            return next((one for one in found if one.source is source), None)
        fitting = [one for one in found if one.name == name or one.name.endswith(f".{name}")]
        return fitting[0] if len(fitting) == 1 else None

    def word_above(self, subclass: _Class, method: str) -> tuple[str, str]:
        """The word that a method has in the nearest base that defines it, and that base's name; '' where it has none."""
        seen = {id(subclass)}
        above = [(base, subclass.source) for base in subclass.bases]
        while above:
            name, source = above.pop(0)
            base = self.base(name, source)
            if base is None or id(base) in seen:
                continue
            seen.add(id(base))
            if method in base.methods:
                return base.words.get(method, ""), base.name.rpartition(".")[2]
            above += [(one, base.source) for one in base.bases]
        return "", ""


def findings(source: Source, classes: Classes) -> Iterator[Finding]:
    """Each method without a word that overrides one with a word, and does not call it."""
    for one in classes.of.get(source.path, ()):
        for name, method in one.methods.items():
            if name in one.words or _calls_base(method):
                continue
            word, base = classes.word_above(one, name)
            if word:
                message = f"{name!r} overrides {base}.{name}, which is a {word}, without a word: it will not be told"
                yield Finding(source.path, method.lineno, message)


def _read(source: Source, node: ast.ClassDef) -> _Class:
    bases = [name for base in node.bases if (name := source.name_of(_plain(base)))]
    found = _Class(f"{source.module}.{node.name}", bases, source)
    for inner in node.body:
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.methods[inner.name] = inner
            for decorator in inner.decorator_list:
                if word := source.word_of(decorator):
                    found.words[inner.name] = word
    return found


def _plain(base: ast.expr) -> ast.expr:
    """A generic base without its arguments."""
    return base.value if isinstance(base, ast.Subscript) else base


def _calls_base(method: Function) -> bool:
    """Whether it calls the method that it overrides, whose word then tells it."""
    for node in own_nodes(method):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method.name:
            owner = node.func.value
            if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super":
                return True
    return False
