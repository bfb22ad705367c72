"""What an event is: its name, kind and fields, declared once as a class, from which everything else is generated.

    class EnhancementSuccess(Event, name="enhancement.success", kind="success", source="000"):
        \"""An enhancement appended data.\"""
        cost: float | None = field(unit="{currency}", by="user", doc="What the call cost, in major units of the currency.")

A field's attribute is its event's namespace (the name without the last segment) and its own name, unless `attribute=` says
otherwise; its keyword is the Python name. Declaring registers: a name is declared once in a process, and an attribute
has one type and one meaning in the whole catalogue.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeAlias, dataclass_transform

from leadtrace.errors import CatalogueError

__all__ = ["Event", "EventSpec", "FieldSpec", "Kind", "declared", "field", "lookup"]

FieldType: TypeAlias = Literal["string", "int", "double", "boolean", "string[]", "int[]", "double[]", "boolean[]", "map"]
"""The semantic conventions' attribute types; `map` is a family of attributes with free keys under one prefix."""


class Kind(StrEnum):
    """What an event means for counting: analyses select by kind, never by a list of names."""

    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"
    REJECTION = "rejection"
    """A valid no: a buyer's rejection, a rule that was not met."""
    ATTEMPT_FAILURE = "attempt_failure"
    """One failed try; only the enclosing word says failure."""
    ERROR = "error"
    """Grouped by the error report, never counted as an outcome."""
    CANCELLED = "cancelled"
    TRANSITION = "transition"
    MILESTONE = "milestone"
    ALERT = "alert"


@dataclass(slots=True, frozen=True)
class FieldSpec:
    """One field of one event."""

    keyword: str
    attribute: str
    type: FieldType
    doc: str
    unit: str = ""
    """UCUM, as the semantic conventions write it (`ms`, `By`, `ns`, `{currency}`)."""
    requirement: Literal["required", "recommended", "opt_in"] = "recommended"
    by: Literal["word", "user", "reader"] = "user"
    """Who sets it. A reader's field is computed when a timeline is read and is never recorded."""
    personal: Literal["", "phone", "email", "name", "text"] = ""
    """Personal data: recorded as a keyed hash and safe facets unless the user allowed the field."""
    dimension: bool = False
    """Low cardinality: metrics may use it as a label."""
    values: tuple[str, ...] = ()
    """A closed list, where there is one."""
    aliases: tuple[str, ...] = ()
    """Other names under which foreign data brings it; accepted when read, never written."""


@dataclass(slots=True, frozen=True)
class EventSpec:
    """One declared event."""

    name: str
    kind: Kind
    doc: str
    fields: Mapping[str, FieldSpec]
    """By keyword."""
    attributes: Mapping[str, FieldSpec]
    """By attribute name; a `map` field stands under its prefix with `.*`."""
    source: str
    """Where it comes from: a seed (`000` … `003`), `leadtrace` for what the seeds imply, `user` for a user's own."""
    lead: bool
    """Whether it belongs to a lead and so carries `lead.id`."""
    exception: str
    """Why its name may break the naming rule; '' where it does not."""
    event_class: type[Event]

    @property
    def namespace(self) -> str:
        return self.name.rpartition(".")[0]

    def field_of(self, attribute: str) -> FieldSpec | None:
        """The field that an attribute belongs to, free keys of a map included."""
        found = self.attributes.get(attribute)
        prefix = attribute
        while found is None and "." in prefix:
            prefix = prefix.rpartition(".")[0]
            found = self.attributes.get(prefix + ".*")
        return found


@dataclass(slots=True)
class _Declared:
    """A field as written, before it knows its event."""

    attribute: str = ""
    doc: str = ""
    unit: str = ""
    requirement: Literal["required", "recommended", "opt_in"] = "recommended"
    by: Literal["word", "user", "reader"] = "user"
    personal: Literal["", "phone", "email", "name", "text"] = ""
    dimension: bool = False
    values: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


def field(
    attribute: str = "",
    *,
    doc: str = "",
    unit: str = "",
    requirement: Literal["required", "recommended", "opt_in"] = "recommended",
    by: Literal["word", "user", "reader"] = "user",
    personal: Literal["", "phone", "email", "name", "text"] = "",
    dimension: bool = False,
    values: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    default: Any = None,  # noqa: ARG001 - read by type checkers alone: it makes the keyword optional
) -> Any:
    """Declare a field of an event class; see `FieldSpec` for what each argument means.

    `attribute` is the full attribute name; where it is left out, or begins with a dot, the event's namespace stands before it.
    """
    return _Declared(attribute, doc, unit, requirement, by, personal, dimension, values, aliases)


_TYPES: dict[str, FieldType] = {
    "str": "string",
    "int": "int",
    "float": "double",
    "Decimal": "double",
    "bool": "boolean",
    "list[str]": "string[]",
    "list[int]": "int[]",
    "list[float]": "double[]",
    "list[bool]": "boolean[]",
    "datetime": "int",
    "UUID": "string",
    "Mapping[str, object]": "map",
    "dict[str, object]": "map",
}

_events: dict[str, EventSpec] = {}
_attributes: dict[str, tuple[FieldType, str, str]] = {}  # attribute -> type, unit, the event that declared it first


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class Event:
    """One event: a declared name with its fields.

    Subclass it to declare an event of your own; make an instance to `emit` it typed; handlers are called with one.
    """

    spec: ClassVar[EventSpec]
    _own: ClassVar[dict[str, _Declared | None]] = {}
    _types: ClassVar[dict[str, FieldType]] = {}

    def __init_subclass__(
        cls,
        *,
        name: str = "",
        kind: str = "milestone",
        source: str = "user",
        lead: bool = True,
        exception: str = "",
        **rest: Any,
    ) -> None:
        super().__init_subclass__(**rest)
        own: dict[str, _Declared | None] = {}
        types: dict[str, FieldType] = {}
        for base in reversed(cls.__mro__):
            for keyword, annotation in vars(base).get("__annotations__", {}).items():
                if keyword.startswith("_") or "ClassVar" in str(annotation):
                    continue
                default = vars(base).get(keyword)
                own[keyword] = default if isinstance(default, _Declared) else None
                types[keyword] = _type_of(annotation, f"{cls.__name__}.{keyword}")
        cls._own, cls._types = own, types
        if not name:
            return  # a shared set of fields, not an event
        cls.spec = _declare(cls, name, kind, source, lead, exception, own, types)

    def __init__(self, **fields: object) -> None:
        unknown = [key for key in fields if key not in self.spec.fields]
        if unknown:
            known = ", ".join(self.spec.fields) or "none"
            raise CatalogueError(f"{self.spec.name} has no field {unknown[0]!r}; its fields are: {known}")
        missing = [k for k, f in self.spec.fields.items() if f.requirement == "required" and k not in fields]
        if missing:
            raise CatalogueError(f"{self.spec.name} needs {', '.join(missing)}")
        for key in self.spec.fields:
            object.__setattr__(self, key, fields.get(key))

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def attributes(self) -> dict[str, object]:
        """Its fields under their full attribute names; absent ones left out."""
        found: dict[str, object] = {}
        for keyword, spec in self.spec.fields.items():
            value = getattr(self, keyword, None)
            if value is None:
                continue
            if spec.type == "map" and isinstance(value, Mapping):
                prefix = spec.attribute.removesuffix("*")
                found.update({f"{prefix}{key}": one for key, one in value.items()})
            else:
                found[spec.attribute] = value
        return found

    def __repr__(self) -> str:
        return f"<{self.name} {self.attributes}>"


def _type_of(annotation: object, where: str) -> FieldType:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "") or str(annotation)
    if not isinstance(annotation, str) and "[" in str(annotation):
        text = str(annotation)
    text = text.replace("typing.", "").replace("collections.abc.", "").replace("datetime.", "").replace("decimal.", "")
    text = text.replace("uuid.", "").removeprefix("Optional[").removesuffix(" | None").strip()
    found = _TYPES.get(text)
    if found is None:
        raise CatalogueError(f"{where} has type {text}; an event's field is one of: {', '.join(_TYPES)}")
    return found


def _declare(
    cls: type[Event],
    name: str,
    kind: str,
    source: str,
    lead: bool,
    exception: str,
    own: dict[str, _Declared | None],
    types: dict[str, FieldType],
) -> EventSpec:
    if name in _events:
        first = _events[name].event_class
        if (first.__module__, first.__qualname__) != (cls.__module__, cls.__qualname__):
            where = f"{first.__module__}.{first.__qualname__}"
            raise CatalogueError(f"event {name!r} is declared already, by {where}")
    if source == "user" and not exception:
        from leadtrace.catalogue.naming import problem_with

        if problem := problem_with(name):
            raise CatalogueError(f"event name {name!r}: {problem}")
    try:
        meaning = Kind(kind)
    except ValueError:
        raise CatalogueError(f"event {name!r} has kind {kind!r}; a kind is one of: {', '.join(Kind)}") from None
    namespace = name.rpartition(".")[0]
    fields: dict[str, FieldSpec] = {}
    for keyword, written in own.items():
        said = written or _Declared()
        attribute = said.attribute or f".{keyword.removesuffix('_')}"
        if attribute.startswith("."):
            attribute = namespace + attribute
        if types[keyword] == "map" and not attribute.endswith(".*"):
            attribute += ".*"
        spec = FieldSpec(
            sys.intern(keyword),
            sys.intern(attribute),
            types[keyword],
            said.doc,
            said.unit,
            "required" if written is None and source == "user" and keyword not in vars(cls) else said.requirement,
            said.by,
            said.personal,
            said.dimension,
            said.values,
            said.aliases,
        )
        before = _attributes.setdefault(attribute, (spec.type, spec.unit, name))
        if before[:2] != (spec.type, spec.unit):
            raise CatalogueError(
                f"{name} declares {attribute} as {spec.type} [{spec.unit}], but {before[2]} has it as {before[0]} [{before[1]}]; "
                "an attribute has one type and one meaning"
            )
        fields[keyword] = spec
    found = EventSpec(
        sys.intern(name),
        meaning,
        (cls.__doc__ or "").strip(),
        MappingProxyType(fields),
        MappingProxyType({one.attribute: one for one in fields.values()}),
        source,
        lead,
        exception,
        cls,
    )
    _events[name] = found
    return found


def lookup(name: str) -> EventSpec | None:
    """The declaration of that event among those loaded so far; `leadtrace.catalogue.get` loads the whole catalogue first."""
    return _events.get(name)


def declared() -> Iterator[EventSpec]:
    """All events declared so far, in the order of their declaration."""
    return iter(tuple(_events.values()))
