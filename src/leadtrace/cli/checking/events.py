"""Events that code emits, declares or waits for: whether they are declared, and named by the rule."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from leadtrace.catalogue import events as catalogued
from leadtrace.catalogue import keyword_like
from leadtrace.catalogue.naming import problem_beside, problem_with
from leadtrace.cli.checking.source import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leadtrace.cli.checking.source import Source

__all__ = ["Declared", "declared_in", "findings"]

_EMITS = frozenset(("leadtrace.emit", "leadtrace.words.events.emit"))
_WAITS = frozenset(("leadtrace.on",))
_TAKEN = frozenset(("attributes", "lead_id", "tenant"))


@dataclass(slots=True)
class Declared:
    """Users' own events: name → where it is declared, over all files that are checked."""

    names: dict[str, tuple[str, int]] = field(default_factory=dict)
    classes: set[str] = field(default_factory=set)
    """Their classes' names, for events that are derived from one another."""

    def knows(self, name: str) -> bool:
        return name in self.names or name in catalogued()


def declared_in(sources: Sequence[Source]) -> Declared:
    """The event classes in the files, and those derived from them."""
    found = Declared()
    known = -1
    while known != len(found.classes):
        known = len(found.classes)
        for source in sources:
            for node in _event_classes(source, found):
                found.classes.add(node.name)
                name = _keyword(node, "name")
                text = source.string(name) if name is not None else None
                if text:
                    found.names.setdefault(text, (source.path, node.lineno))
    return found


def findings(source: Source, declared: Declared) -> Iterator[Finding]:
    """What is wrong with the events that a file declares, emits and waits for."""
    for node in _event_classes(source, declared):
        yield from _declaration(source, node, declared)
    for call in ast.walk(source.tree):
        if not isinstance(call, ast.Call) or not call.args:
            continue
        function = source.name_of(call.func)
        owner, _, verb = function.rpartition(".")
        if function in _EMITS or (verb == "emit" and owner in source.handles):
            yield from _emission(source, call, declared)
        elif function in _WAITS:
            for argument in call.args:
                yield from _pattern(source, argument, declared)


def _event_classes(source: Source, declared: Declared) -> Iterator[ast.ClassDef]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            bases = {source.name_of(base) for base in node.bases}
            if "leadtrace.Event" in bases or {base.rpartition(".")[2] for base in bases} & declared.classes:
                yield node


def _declaration(source: Source, node: ast.ClassDef, declared: Declared) -> Iterator[Finding]:
    written = _keyword(node, "name")
    name = source.string(written) if written is not None else None
    if not name:
        return
    first = declared.names.get(name)
    if name in catalogued():
        yield Finding(source.path, node.lineno, f"event {name!r} is declared already, by leadtrace's own catalogue")
    elif first is not None and first != (source.path, node.lineno):
        yield Finding(source.path, node.lineno, f"event {name!r} is declared already, at {first[0]}:{first[1]}")
    others = [one for one in (*catalogued(), *declared.names) if one != name]
    problem = problem_beside(name, others) or ("" if _keyword(node, "exception") else problem_with(name))
    if problem:
        yield Finding(source.path, node.lineno, f"event name {name!r}: {problem}")


def _emission(source: Source, call: ast.Call, declared: Declared) -> Iterator[Finding]:
    argument = call.args[0]
    name = source.string(argument)
    if name is None:
        if _made_at_run_time(argument):
            message = "the event's name is put together at run time; what varies belongs in an attribute"
            yield Finding(source.path, call.lineno, message)
        return
    if not declared.knows(name):
        yield _undeclared(source, call.lineno, name, declared)
        return
    spec = catalogued().get(name)
    for keyword in call.keywords:
        if spec is not None and keyword.arg and keyword.arg not in _TAKEN:
            like = keyword_like(keyword.arg, spec.fields)
            if like:
                message = f"event {name!r} has no field {keyword.arg!r}; did you mean {like!r}?"
                yield Finding(source.path, keyword.value.lineno, message)


def _pattern(source: Source, argument: ast.expr, declared: Declared) -> Iterator[Finding]:
    pattern = source.string(argument)
    if pattern is None:
        return
    if "*" not in pattern and not declared.knows(pattern):
        yield _undeclared(source, argument.lineno, pattern, declared)
    elif "*" in pattern and not any(fnmatchcase(one, pattern) for one in (*catalogued(), *declared.names)):
        yield Finding(source.path, argument.lineno, f"no declared event matches {pattern!r}")


def _undeclared(source: Source, line: int, name: str, declared: Declared) -> Finding:
    """A name that is nearly a declared one is a slip; any other that breaks the rule is told why it does."""
    from difflib import get_close_matches

    names = [*catalogued(), *declared.names]
    slip = get_close_matches(name, names, n=1, cutoff=0.85)
    problem = "" if slip else problem_with(name)
    if problem:
        return Finding(source.path, line, f"event name {name!r}: {problem}")
    near = slip or get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return Finding(source.path, line, f"event {name!r} is not declared{hint}")


def _made_at_run_time(node: ast.expr) -> bool:
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(one, ast.FormattedValue) for one in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
        return any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in (node.left, node.right))
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("format", "join")
        and isinstance(node.func.value, ast.Constant)
    )


def _keyword(node: ast.ClassDef, name: str) -> ast.expr | None:
    return next((one.value for one in node.keywords if one.arg == name), None)
