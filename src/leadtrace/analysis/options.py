"""What may be asked of an analysis: typed options, declared once, for Python, the command line and HTTP alike.

    @dataclass(slots=True, frozen=True, kw_only=True)
    class FrequencyOptions(Options):
        over: Literal["none", "hour", "day"] = option("none", "How time is cut into pieces.")
        flow: str = option("", "Only events of runs of this flow.")

A type is str, int, float, bool, a Literal of strings, or tuple[str, ...] (may be given again). `from_text` marks an option
that holds a file's content: the command line takes the file's name.
"""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from leadtrace.analysis.misspelt import Names

__all__ = [
    "Choice",
    "Options",
    "checked",
    "choices",
    "named_options",
    "option",
    "options_from_texts",
    "options_to_texts",
]

O = TypeVar("O", bound="Options")  # noqa: E741 - it stands for options


def option(default: Any, doc: str, *, file: bool = False, names: Names | None = None) -> Any:
    """One option of an analysis: its default and a sentence. With `file` its text is a file's content; with `names` it is a
    name that may be misspelt: an answer without rows says so."""
    return dataclasses.field(default=default, metadata={"doc": doc, "file": file, "names": names})


@dataclass(slots=True, frozen=True, kw_only=True)
class Options:
    """What every analysis may be asked. Times are Unix nanoseconds, 0 where open."""

    since_ns: int = 0
    until_ns: int = 0
    tenant: str | None = None
    limit: int = 0
    """At most so many rows of each sort, 0: all."""
    now_ns: int = 0
    """The moment for which it is answered; whoever asks sets it."""


@dataclass(slots=True, frozen=True)
class Choice:
    """An option as a user meets it."""

    name: str
    doc: str
    default: Any
    type: type
    """str, int, float or bool: of one value."""
    values: tuple[str, ...] = ()
    """The values that there are, where they are a closed list."""
    several: bool = False
    file: bool = False


_SHARED = frozenset(one.name for one in dataclasses.fields(Options))


def choices(options: type[Options]) -> tuple[Choice, ...]:
    """The options that an analysis has beside those of all."""
    hints = get_type_hints(options)
    found = []
    for one in dataclasses.fields(options):
        if one.name in _SHARED:
            continue
        hint, several, values = hints[one.name], False, ()
        if get_origin(hint) in (types.UnionType,) or "Optional" in str(hint):
            hint = next(arg for arg in get_args(hint) if arg is not type(None))
        if get_origin(hint) is tuple:
            hint, several = get_args(hint)[0], True
        if get_origin(hint) is Literal:
            hint, values = str, get_args(hint)
        found.append(
            Choice(
                one.name,
                one.metadata["doc"],
                one.default,
                hint,
                values,
                several,
                one.metadata["file"],
            )
        )
    return tuple(found)


def named_options(options: Options) -> list[tuple[Names, str]]:
    """The names that were given, and of what."""
    given = [(one.metadata.get("names"), getattr(options, one.name)) for one in dataclasses.fields(options)]
    return [(names, value) for names, value in given if names is not None and value]


def checked(report: str, options: type[O], given: Mapping[str, Any]) -> O:
    """Options from keywords. Raises `SettingsError` for one that is not there or has a value that it cannot have."""
    known = {one.name: one for one in choices(options)}
    for name, value in given.items():
        if name in _SHARED:
            continue
        if name not in known:
            raise SettingsError(
                f"the report {report} has no option {name!r}",
                expected=", ".join(sorted(known | dict.fromkeys(_SHARED))),
            )
        one = known[name]
        for part in value if one.several else [value]:
            if one.values and part not in one.values:
                raise SettingsError(f"{name} of the report {report} cannot be {part!r}", expected=", ".join(one.values))
            wanted = (int, float) if one.type is float else one.type
            if part is not None and (not isinstance(part, wanted) or (isinstance(part, bool) and one.type is not bool)):
                raise SettingsError(f"{name} of the report {report} is {one.type.__name__}", got=repr(part))
    values: dict[str, Any] = {
        name: tuple(value) if name in known and known[name].several else value for name, value in given.items()
    }
    return options(**values)


def options_to_texts(options: Options) -> list[tuple[str, str]]:
    """Options as pairs of text, those that differ from their default only: how HTTP carries them."""
    pairs: list[tuple[str, str]] = []
    for one in dataclasses.fields(options):
        value = getattr(options, one.name)
        if value == one.default:
            continue
        values: Iterable[object] = value if isinstance(value, tuple) else (value,)
        pairs += [(one.name, str(int(part)) if isinstance(part, bool) else str(part)) for part in values]
    return pairs


def options_from_texts(report: str, options: type[O], pairs: Sequence[tuple[str, str]]) -> O:
    """The options that pairs of text say. Raises `SettingsError` as `checked` does."""
    kinds: dict[str, tuple[type, bool]] = {one.name: (one.type, one.several) for one in choices(options)}
    kinds |= {"since_ns": (int, False), "until_ns": (int, False), "limit": (int, False), "now_ns": (int, False)}
    kinds["tenant"] = (str, False)
    given: dict[str, Any] = {}
    for name, text in pairs:
        kind, several = kinds.get(name, (str, False))
        try:
            value: Any = bool(int(text)) if kind is bool else kind(text)
        except ValueError:
            raise SettingsError(f"{name} of the report {report} is {kind.__name__}", got=repr(text)) from None
        given[name] = (*given.get(name, ()), value) if several else value
    return checked(report, options, given)
