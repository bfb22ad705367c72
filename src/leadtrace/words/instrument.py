"""`instrument`: a word on code that one cannot change, now or when it is imported.

    target "package.module:Class.method"
       │ module not imported yet: a hook waits for it
       ▼
    found ─► wrapped by the word ─► put back in its place ─► other modules' names for the same function replaced

Nothing here raises for what is not there: a library's new version must not stop the host. It is said once, in the log,
and stands in `instrumented()`.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import threading
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from leadtrace.errors import DecorationError
from leadtrace.words.guard import warn_once

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Instrumented", "instrument", "instrumented", "place"]

_TARGET = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*(?:\.[^\W\d]\w*)*)\Z")
_ABSENT = object()


@dataclass(slots=True, eq=False)
class Instrumented:
    """One target and what became of it."""

    target: str
    word: str
    """The word's name (`step`), where it is known already."""
    source: str = ""
    """The file that asked for it; '' where code did."""
    state: Literal["waiting", "in place", "failed", "undone"] = "waiting"
    """`waiting` until its module is imported; `failed`: see `why`."""
    why: str = ""
    late: bool = False
    """Whether its module was imported already. What was captured before (in a closure, a registry, a partial) is then
    called without the word; names of other modules are replaced."""
    replaced: tuple[str, ...] = ()
    """Names in other modules that stood for the same function and now stand for the one with the word."""
    _undo: list[tuple[Any, str, object, object]] = field(default_factory=list, repr=False)

    def undo(self) -> None:
        """Take the word away again. Where something else was put on top since, it stays as it is."""
        for owner, name, mine, before in reversed(self._undo):
            if _own(owner, name) is mine:
                if before is _ABSENT:
                    delattr(owner, name)
                else:
                    setattr(owner, name, before)
        self._undo.clear()
        self.state = "undone"


_lock = threading.RLock()
_all: list[Instrumented] = []


def instrumented() -> list[Instrumented]:
    """All targets in the order in which they were asked for, those that failed and those that wait included."""
    with _lock:
        return [one for one in _all if one.state != "undone"]


def instrument(target: str, word: Callable[[Any], Any]) -> Instrumented:
    """Put a word on `package.module:function` or `package.module:Class.method`, now or when the module is imported.

        lt.instrument("crm.client:Client.append", lt.step("append to CRM", lead_id=lt.arg.lead.id))

    Functions of every kind, methods, class and static methods. Several words on one target stack like decorators, the last
    one outermost; the same word twice is put there once. A target or a parameter that is not there is warned about, never
    raised; the answer says what became of it, and its `undo()` takes the word away.
    """
    if not isinstance(target, str) or not _TARGET.match(target):
        raise DecorationError(
            f"lt.instrument takes 'package.module:function' or 'package.module:Class.method', not {target!r}"
        )
    if not callable(word):
        raise DecorationError(f"lt.instrument({target!r}) takes a word, such as lt.step('name'), not {word!r}")
    kind = getattr(word, "kind", None)
    return place(target, kind.word if kind is not None else getattr(word, "__name__", ""), lambda: word)


def place(target: str, word: str, make: Callable[[], Callable[[Any], Any]], source: str = "") -> Instrumented:
    """`instrument` with a word that is made only when the target's module is there (`make`)."""
    from wrapt import register_post_import_hook

    one = Instrumented(target, word, source)
    with _lock:
        for earlier in [other for other in _all if (other.target, other.word) == (target, word)]:
            if earlier.state in ("waiting", "in place"):
                return earlier
            _all.remove(earlier)
        _all.append(one)
    match = _TARGET.match(target)
    if match is None:
        _failed(one, "a target is written 'package.module:function' or 'package.module:Class.method'")
        return one
    module, path = match[1], match[2].split(".")
    one.late = module in sys.modules
    if not one.late and (missing := _not_found(module)):
        warn_once(f"instrument:{target}", f"{_where(one)}: {missing}; the word is put there if it is ever imported")
        one.why = missing

    def imported(found: ModuleType) -> None:
        if one.state == "waiting":
            _put_in_place(one, found, path, make)

    try:
        register_post_import_hook(imported, module)
    except Exception as problem:  # noqa: BLE001 - import machinery is shared by the whole process
        _failed(one, f"its import cannot be watched: {problem!r}")
    return one


def _where(one: Instrumented) -> str:
    return f"{one.source or 'lt.instrument'}: {one.target}"


def _failed(one: Instrumented, why: str) -> None:
    one.state, one.why = "failed", why
    warn_once(f"instrument:{one.target}", f"{_where(one)}: {why}")


def _not_found(module: str) -> str:
    """A sentence's end where that module cannot be found; looked for only as far as nothing is imported by looking."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        try:
            if name not in sys.modules and importlib.util.find_spec(name) is None:
                return f"there is no module {name!r}"
        except ModuleNotFoundError:  # what stands above it is a module, not a package
            return f"there is no module {name!r}"
        except (ImportError, ValueError, AttributeError) as problem:
            return f"module {name!r} cannot be looked for ({problem})"
        if name not in sys.modules:
            return ""  # its submodules can be looked for only by importing it
    return ""


def _put_in_place(
    one: Instrumented, module: ModuleType, path: list[str], make: Callable[[], Callable[[Any], Any]]
) -> None:
    """Wrap and put back. Called by the import machinery: an exception here would fail the host's import."""
    try:
        owner, name, before, inherited = _find(module, path)
        wrapped = make()(before)
        _identify(wrapped, owner, name, inherited)
        setattr(owner, name, wrapped)
    except Exception as problem:  # noqa: BLE001 - see above
        why = str(problem) if isinstance(problem, (DecorationError, _MissingTargetError)) else repr(problem)
        if one.late and getattr(module.__spec__, "_initializing", False):
            why += f" ({module.__name__} is still being imported: ask before its import begins, or after it)"
        _failed(one, why)
        return
    one._undo.append((owner, name, wrapped, _ABSENT if inherited else before))
    if isinstance(owner, ModuleType):
        one.replaced = tuple(_replace_elsewhere(one, before, wrapped))
    one.state, one.why = "in place", ""


class _MissingTargetError(LookupError):
    """The target is not there."""

    def __str__(self) -> str:
        return str(self.args[0])


def _find(module: ModuleType, path: list[str]) -> tuple[Any, str, Any, bool]:
    """The owner of the last name, that name, what stands there (a descriptor as such), and whether it is inherited."""
    owner: Any = module
    for segment in path[:-1]:
        if not hasattr(owner, segment):
            raise _missing(owner, segment)
        owner = getattr(owner, segment)
    name = path[-1]
    own = _own(owner, name)
    if own is not _ABSENT:
        return owner, name, own, False
    if isinstance(owner, type):
        found = inspect.getattr_static(owner, name, _ABSENT)
        if found is not _ABSENT:
            return owner, name, found, True
    elif hasattr(owner, name):
        return owner, name, getattr(owner, name), not isinstance(owner, ModuleType)
    raise _missing(owner, name)


def _own(owner: Any, name: str) -> object:
    try:
        return vars(owner).get(name, _ABSENT)
    except TypeError:  # an object without a __dict__
        return _ABSENT


def _missing(owner: Any, name: str) -> _MissingTargetError:
    from difflib import get_close_matches

    shown = getattr(owner, "__name__", None) or repr(owner)
    near = get_close_matches(name, dir(owner), n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return _MissingTargetError(f"{shown} has no {name!r}{hint}")


def _identify(wrapped: Any, owner: Any, name: str, inherited: bool) -> None:
    """A method that stood in a base class stands in this one now: pickle looks it up where its name says."""
    if inherited and isinstance(owner, type):
        function = getattr(wrapped, "__func__", wrapped)
        function.__qualname__ = f"{owner.__qualname__}.{name}"
        function.__module__ = owner.__module__


def _replace_elsewhere(one: Instrumented, before: Any, wrapped: Any) -> list[str]:
    """Replace what `from module import function` bound in modules that were imported earlier."""
    found: list[str] = []
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType):
            continue
        # Asked of object itself: a lazy module would load itself for its own __dict__.
        try:
            names: dict[str, Any] = object.__getattribute__(module, "__dict__")
        except AttributeError:  # a C library that only looks like a module, as cffi's are
            continue
        for name in [name for name, value in list(names.items()) if value is before]:
            try:
                setattr(module, name, wrapped)
            except Exception as problem:  # noqa: BLE001 - a module of the host's may refuse
                warn_once(
                    f"instrument:{one.target}:{name}", f"{_where(one)}: {module.__name__}.{name} stays: {problem!r}"
                )
                continue
            one._undo.append((module, name, wrapped, before))
            found.append(f"{module.__name__}.{name}")
    return found
