"""`with` around `yield`: a word that stays open while the generator is suspended, and so reaches into its consumer."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from leadtrace.cli.checking.source import Finding, own_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.cli.checking.source import Function, Source

__all__ = ["findings"]

_DRIVEN = ("contextmanager", "asynccontextmanager", "fixture")
"""Decorators whose generators are entered and left like a block: nothing else runs in between in their context."""


def findings(source: Source) -> Iterator[Finding]:
    """Each `with` of a word, in a generator, that holds a `yield`."""
    for function in source.functions():
        if any(_bare_name(one) in _DRIVEN for one in function.decorator_list):
            continue
        for node in own_nodes(function):
            if isinstance(node, (ast.With, ast.AsyncWith)) and _yields(node):
                for item in node.items:
                    if word := source.word_of(item.context_expr):
                        yield Finding(source.path, node.lineno, _message(word, function))


def _yields(node: ast.With | ast.AsyncWith) -> bool:
    return any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in own_nodes(node))


def _message(word: str, function: Function) -> str:
    return (
        f"`with {word}` around a `yield` in generator {function.name!r}: the consumer runs inside it, and generators that "
        f"take turns mix; decorate the generator with {word} instead"
    )


def _bare_name(node: ast.expr) -> str:
    called = node.func if isinstance(node, ast.Call) else node
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
