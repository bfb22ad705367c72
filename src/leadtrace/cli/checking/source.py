"""One file of a user's code: its syntax tree, and what its names stand for."""

from __future__ import annotations

import ast
import os
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["WORDS", "Finding", "Function", "Source", "own_nodes", "python_files"]

Function: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"

WORDS = frozenset(
    ("flow", "step", "enhancement", "delivery", "attempt", "validation", "rule", "fallback", "resume"),
)
"""The words that wrap."""

_SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages", "build", "dist"))
_SILENCE = "leadtrace: ignore"


class Finding(NamedTuple):
    """One thing to look at."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def python_files(paths: Sequence[Path]) -> list[Path]:
    """The files among the paths, and all `.py` files in the folders; without hidden folders and virtual environments."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(
                one
                for one in folders
                if one not in _SKIPPED
                and not one.startswith(".")
                and not os.path.exists(os.path.join(folder, one, "pyvenv.cfg"))
            )
            found += [Path(folder, name) for name in sorted(names) if name.endswith(".py")]
    return list(dict.fromkeys(found))


@dataclass(slots=True)
class Source:
    """A parsed file."""

    path: str
    tree: ast.Module
    lines: list[str]
    module: str
    """Its dotted name as far as the path tells: `src/acme/flows.py` is `src.acme.flows`."""
    imported: dict[str, str] = field(default_factory=dict)
    """What a name was imported as: `lt` → `leadtrace`, `step` → `leadtrace.step`."""
    constants: dict[str, str] = field(default_factory=dict)
    """Names that are bound once, at the top, to a string."""
    handles: set[str] = field(default_factory=set)
    """Names that hold a word's handle: `with lt.step("…") as NAME`, `NAME = lt.current()`."""

    @classmethod
    def read(cls, path: Path) -> Source | Finding:
        """The file parsed, or the finding that says why it cannot be."""
        try:
            with tokenize.open(path) as opened:
                text = opened.read()
            tree = ast.parse(text, filename=str(path))
        except SyntaxError as error:
            return Finding(str(path), error.lineno or 1, f"cannot be parsed: {error.msg}")
        except (OSError, ValueError, RecursionError) as error:
            return Finding(str(path), 1, f"cannot be read: {error}")
        parts = path.resolve().with_suffix("").parts[1:]
        module = ".".join(parts[:-1] if parts and parts[-1] == "__init__" else parts)
        source = cls(str(path), tree, text.splitlines(), module)
        source._read_imports()
        source._read_constants()
        source._read_handles()
        return source

    def silenced(self, line: int) -> bool:
        """Whether the line says that it is meant so."""
        return 0 < line <= len(self.lines) and _SILENCE in self.lines[line - 1]

    def name_of(self, node: ast.expr) -> str:
        """The dotted name that an expression stands for, through the imports (`leadtrace.step`); '' where it is none."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            above = self.name_of(node.value)
            return f"{above}.{node.attr}" if above else ""
        return ""

    def word_of(self, node: ast.expr) -> str:
        """The word that an expression is, called or bare, of leadtrace or of a handle; '' where it is none."""
        called = node.func if isinstance(node, ast.Call) else node
        owner, _, word = self.name_of(called).rpartition(".")
        if word not in WORDS:
            return ""
        return word if owner.partition(".")[0] == "leadtrace" or owner in self.handles else ""

    def functions(self) -> Iterator[Function]:
        """Every function and method of the file."""
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node

    def string(self, node: ast.expr) -> str | None:
        """The string that an expression is, literally or through a constant of the file; None where it is none."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        return self.constants.get(node.id) if isinstance(node, ast.Name) else None

    def _read_imports(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for one in node.names:
                    name = one.name if one.asname else one.name.partition(".")[0]
                    self.imported[one.asname or name] = name
            elif isinstance(node, ast.ImportFrom):
                package = node.module or ""
                if node.level:
                    # In a package's __init__, the first dot is the package itself.
                    inside = self.path.endswith("__init__.py")
                    above = self.module.split(".")
                    keep = len(above) - node.level + inside
                    package = ".".join([*above[: max(keep, 0)], *([package] if package else [])])
                for one in node.names:
                    self.imported[one.asname or one.name] = f"{package}.{one.name}"

    def _read_constants(self) -> None:
        bound: dict[str, int] = {}
        for node in self.tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
            if isinstance(node, ast.AnnAssign):
                target = node.target
            if isinstance(target, ast.Name) and isinstance(node, (ast.Assign, ast.AnnAssign)):
                bound[target.id] = bound.get(target.id, 0) + 1
                if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                    self.constants[target.id] = node.value.value
        self.constants = {name: text for name, text in self.constants.items() if bound[name] == 1}

    def _read_handles(self) -> None:
        # A handle's own words give handles too, which are met only after it: hence until nothing is added.
        known = -1
        while known != len(self.handles):
            known = len(self.handles)
            for node in ast.walk(self.tree):
                if isinstance(node, (ast.With, ast.AsyncWith)):
                    for item in node.items:
                        if isinstance(item.optional_vars, ast.Name) and self.word_of(item.context_expr):
                            self.handles.add(item.optional_vars.id)
                elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                    current = self.name_of(node.value.func) == "leadtrace.current"
                    if current or self.word_of(node.value):
                        self.handles.update(one.id for one in node.targets if isinstance(one, ast.Name))


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one, without those of functions, lambdas and classes inside it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield from own_nodes(child)
