"""`leadtrace.toml`: words on code that one cannot change, written down instead of coded.

    [[instrument]]
    target = "crm.client:Client.append"
    word = "step"
    name = "append to CRM"
    lead_id = "arg.lead.id"

Keywords are those of the word in Python. A string that reads as a reference (`arg.lead.id`, `result[0].name`) is one. The
file is a wish, not a program: what is wrong in it is warned about and left out, and never stops the host. The rules of
alerts may stand in the same file, under `[alerts]`: those the reading side reads.
"""

from __future__ import annotations

import ast
import os
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadtrace.errors import DecorationError
from leadtrace.words.guard import warn_once
from leadtrace.words.references import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leadtrace.words.instrument import Instrumented

__all__ = ["DEFAULT", "LeadtraceInstrumentor", "apply_file"]

DEFAULT = "leadtrace.toml"

_REFERENCE = re.compile(r"\s*(arg\s*[.\[]|result\s*([.\[]|\Z))")
_CALLED = frozenset({"answer", "outcome"})
"""Keywords that take nothing but a callable: a plain string there is `package.module:function`."""
_NAMELESS = frozenset({"delivery", "resume"})


def apply_file(path: str | os.PathLike[str] | None = None) -> list[Instrumented]:
    """Put the words of that file in place: by default of `LEADTRACE_CONFIG`, else of the working folder's leadtrace.toml.

    Without a default file nothing happens; one that was named and is not there is warned about. A file applied twice is in
    place once. Never raises.
    """
    named = path if path is not None else os.environ.get("LEADTRACE_CONFIG", "").strip() or None
    where = Path(os.path.expanduser(named if named is not None else DEFAULT))
    try:
        text = where.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named is not None and str(named) != DEFAULT:
            _warn(where, f"there is no such file (in {Path.cwd()})")
        return []
    except (OSError, UnicodeDecodeError) as problem:
        _warn(where, f"it cannot be read: {problem}")
        return []
    import tomllib

    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        _warn(where, f"it is not TOML: {problem}")
        return []
    for key in content:
        if key not in ("instrument", "alerts"):
            _warn(where, f"it has {key!r}, which nothing reads; words stand under [[instrument]]")
    entries = content.get("instrument", [])
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        _warn(where, "words are written as a list of tables: [[instrument]], with both brackets twice")
        return []
    return [made for entry in entries if (made := _apply(entry, where)) is not None]


def _warn(where: Path, message: str) -> None:
    warn_once(f"config:{where}:{message}", f"{where}: {message}")


def _apply(entry: Mapping[str, Any], where: Path) -> Instrumented | None:
    from leadtrace.words.instrument import place
    from leadtrace.words.vocabulary import WORDS

    target, word = entry.get("target"), entry.get("word")
    if not isinstance(target, str):
        _warn(where, f"an entry without a target: {dict(entry)}")
        return None
    if word not in WORDS:
        _warn(where, f"{target}: word is one of {', '.join(sorted(WORDS))}, not {word!r}")
        return None
    given = {key: value for key, value in entry.items() if key not in ("target", "word")}
    return place(target, str(word), lambda: _word(str(word), given), str(where))


def _word(word: str, given: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The word as code would make it; called when the target's module is there, so that nothing is imported before."""
    from leadtrace.words import vocabulary

    keywords = {key: _value(key, value) for key, value in given.items()}
    make = getattr(vocabulary, word)
    # A delivery and a resume have no name of their own.
    if word in _NAMELESS:
        return make(**keywords)  # type: ignore[no-any-return]
    return make(keywords.pop("name", ""), **keywords)  # type: ignore[no-any-return]


def _value(key: str, value: Any) -> Any:
    """One keyword's value: text, numbers and lists as they are; references and names of code as what they name."""
    if key == "name":
        return value
    if key == "expected":
        listed = value if isinstance(value, list) else [value]
        return tuple(_named(one, key) for one in listed)
    if key == "attributes" and isinstance(value, dict):
        return {name: _value("", one) for name, one in value.items()}
    if isinstance(value, str):
        if _REFERENCE.match(value):
            return _reference(value, key)
        return _named(value, key) if key in _CALLED else value
    if isinstance(value, dict):
        if set(value) == {"call"}:
            return _named(value["call"], key)
        if set(value) == {"value"}:
            return value["value"]
    return value


def _named(text: object, key: str) -> Any:
    """What `package.module:name` names."""
    module, colon, path = str(text).partition(":")
    if not isinstance(text, str) or not colon:
        raise DecorationError(f"{key} names code as 'package.module:function', not {text!r}")
    try:
        found: Any = import_module(module)
        for segment in path.split("."):
            found = getattr(found, segment)
    except (ImportError, AttributeError) as problem:
        raise DecorationError(f"{key} names {text!r}, which is not there: {problem}") from problem
    return found


def _reference(text: str, key: str) -> Any:
    """`arg.lead.id`, `arg["lead"].tags[0]`, `result.price` as a reference."""

    def read(node: ast.expr) -> Any:
        match node:
            case ast.Name(id="result"):
                return Reference("result")
            case ast.Attribute(value=ast.Name(id="arg"), attr=name):
                return Reference("arg", name)
            case ast.Subscript(value=ast.Name(id="arg"), slice=ast.Constant(value=str() as name)):
                return Reference("arg", name)
            case ast.Attribute(value=inner, attr=name) if not name.startswith("__"):
                return getattr(read(inner), name)
            case ast.Subscript(value=inner, slice=ast.Constant(value=(str() | int()) as item)):
                return read(inner)[item]
            case ast.Subscript(
                value=inner, slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as item))
            ):
                return read(inner)[-item]
        raise DecorationError(
            f"{key or 'a value'} is {text!r}, which begins like a reference and is none; a reference goes by attribute and "
            'item alone (arg.lead.id, result[0].name); text that looks like one is written { value = "…" }'
        )

    try:
        return read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return read(ast.Constant(value=None))


class LeadtraceInstrumentor:
    """For `opentelemetry-instrument`: puts the words of leadtrace.toml in place when a host starts."""

    def __init__(self) -> None:
        self._placed: list[Instrumented] = []

    def instrument(self, **_: object) -> None:
        """Apply the file; options are those of other instrumentors and mean nothing here."""
        self._placed = apply_file()

    def uninstrument(self, **_: object) -> None:
        """Take the words away again."""
        for one in reversed(self._placed):
            one.undo()
        self._placed = []
