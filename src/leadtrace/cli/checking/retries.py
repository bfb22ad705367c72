"""Words on the wrong side of a retry: `delivery` goes around all tries, `attempt` around each.

@lt.delivery(...)         one promise
@stamina.retry(...)       as many tries as it takes
@lt.attempt("POST lead")  one try
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from leadtrace.cli.checking.source import Finding, own_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.cli.checking.source import Function, Source

__all__ = ["findings"]

_DECORATORS = frozenset(
    (
        "stamina.retry",
        "tenacity.retry",
        "backoff.on_exception",
        "backoff.on_predicate",
        "retrying.retry",
        "retry.retry",
        "opnieuw.retry",
        "opnieuw.retry_async",
    )
)
_LOOPS = frozenset(("stamina.retry_context", "tenacity.Retrying", "tenacity.AsyncRetrying"))
_WHOLE = ("delivery", "enhancement")


def findings(source: Source) -> Iterator[Finding]:
    """Each word that is told once where it should be told for each try, or the other way round."""
    for function in source.functions():
        yield from _decorated(source, function)
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.For, ast.AsyncFor)) and (loop := _retry(source, node.iter, _LOOPS)):
            for item in _contexts(node):
                word = source.word_of(item)
                if word in _WHOLE:
                    yield Finding(source.path, item.lineno, _inside(word, loop))
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            attempts = [item for item in node.items if source.word_of(item.context_expr) == "attempt"]
            for inner in own_nodes(node) if attempts else ():
                if isinstance(inner, (ast.For, ast.AsyncFor)) and (loop := _retry(source, inner.iter, _LOOPS)):
                    yield Finding(source.path, node.lineno, _outside(loop))


def _decorated(source: Source, function: Function) -> Iterator[Finding]:
    """Decorators are written from the outside in."""
    retry = ""
    for place, decorator in enumerate(function.decorator_list):
        word = source.word_of(decorator)
        if retry and word in _WHOLE:
            yield Finding(source.path, decorator.lineno, _inside(word, retry))
        retry = retry or _retry(source, decorator, _DECORATORS)
        if word == "attempt":
            below = function.decorator_list[place + 1 :]
            inner = next((name for one in below if (name := _retry(source, one, _DECORATORS))), "")
            if inner:
                yield Finding(source.path, decorator.lineno, _outside(inner))


def _retry(source: Source, node: ast.expr, names: frozenset[str]) -> str:
    name = source.name_of(node.func if isinstance(node, ast.Call) else node)
    return name if name in names else ""


def _contexts(loop: ast.For | ast.AsyncFor) -> Iterator[ast.expr]:
    for node in own_nodes(loop):
        if isinstance(node, (ast.With, ast.AsyncWith)):
            yield from (item.context_expr for item in node.items)


def _inside(word: str, retry: str) -> str:
    return (
        f"{word} inside {retry}: every try is told as {_article(word)} {word} of its own; put {word} outside the retry"
    )


def _outside(retry: str) -> str:
    return f"attempt outside {retry}: all tries are told as one; put attempt inside the retry"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
