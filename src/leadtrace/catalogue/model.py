"""What an event is: its name, kind and fields, declared once as a class, from which the rest is generated.

    class EnhancementSuccess(Event, name="enhancement.success", kind="success", source="000"):
        \"""An enhancement appended data.\"""
        cost: float | None = field(default=None, unit="{currency}", doc="What the call cost, in major units.")

A field's attribute is its event's namespace (its name without the last segment) and the field's name, unless it is
given; its keyword is the Python name. Declaring registers: a name is declared once in a process, and an attribute has
one type and one meaning in the whole catalogue.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, TypeAlias, dataclass_transform

from leadtrace.errors import CatalogueError

__all__ = ["Event", "EventSpec", "FieldSpec", "Kind", "declared", "field", "lookup", "undeclared"]

FieldType: TypeAlias = Literal[
    "string", "int", "double", "boolean", "string[]", "int[]", "double[]", "boolean[]", "map"
]
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
    measurement: bool = False
    """A number that handlers get among the measurements, not among the metadata."""


@dataclass(slots=True, frozen=True, eq=False)
class EventSpec:
    """One declared event; one object per name, compared by identity."""

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
    needs_lead: bool = False
    """Whether it means nothing without a lead, so that emitting it outside one is a mistake."""
    required: tuple[str, ...] = ()
    """The attributes that it cannot do without."""

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
    measurement: bool | None = None


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
    measurement: bool | None = None,
    default: Any = None,  # noqa: ARG001 - read by type checkers alone: it makes the keyword optional
) -> Any:
    """Declare a field of an event class; see `FieldSpec` for what each argument means.

    `attribute` is the full attribute name; left out, or with a leading dot, it stands under the event's namespace.
    `measurement` left out: a number with a unit is one.
    """
    return _Declared(attribute, doc, unit, requirement, by, personal, dimension, values, aliases, measurement)


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
    "Sequence[str]": "string[]",
    "datetime": "int",
    "UUID": "string",
    "Mapping[str, object]": "map",
    "dict[str, object]": "map",
}

_ABSENT = object()
_RESERVED = frozenset({"attributes", "event_name", "lead_id", "span_id", "spec", "time_ns", "trace_id", "uid"})

_events: dict[str, EventSpec] = {}
_attributes: dict[str, tuple[FieldType, str, str]] = {}  # attribute -> type, unit, the event that declared it first


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class Event:
    """One event: a declared name with its fields.

    Subclass it to declare an event of your own; make an instance to `emit` it typed; handlers are called with one.
    """

    spec: ClassVar[EventSpec]
    _own: ClassVar[dict[str, _Declared]] = {}
    _types: ClassVar[dict[str, FieldType]] = {}
    _rest: Mapping[str, object] = MappingProxyType({})
    _told: tuple[int, str, str] = (0, "", "")

    def __init_subclass__(
        cls,
        *,
        name: str = "",
        kind: str = "milestone",
        source: str = "user",
        lead: bool | Literal["if_open"] = True,
        exception: str = "",
        **rest: Any,
    ) -> None:
        """Declare the event that this class is; without `name`, the class is a set of fields for others to inherit.

        `lead`: True, it belongs to a lead, and emitting it outside one is a mistake; "if_open", it belongs to the lead
        that is open, if any; False, it never belongs to one.
        """
        super().__init_subclass__(**rest)
        own: dict[str, _Declared] = {}
        types: dict[str, FieldType] = {}
        for base in reversed(cls.__mro__):
            for keyword, annotation in vars(base).get("__annotations__", {}).items():
                if keyword.startswith("_") or "ClassVar" in str(annotation):
                    continue
                if keyword in _RESERVED:
                    raise CatalogueError(
                        f"{cls.__name__}: {keyword!r} is what every event has; name the field otherwise"
                    )
                written = vars(base).get(keyword, _ABSENT)
                if isinstance(written, _Declared):
                    own[keyword] = written
                else:
                    own[keyword] = _Declared(requirement="required" if written is _ABSENT else "recommended")
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
            setattr(self, key, fields.get(key))

    @property
    def event_name(self) -> str:
        """The event's name; not `name`, which is a field of many events."""
        return self.spec.name

    @property
    def attributes(self) -> dict[str, object]:
        """Its fields under their full attribute names; absent ones left out."""
        found: dict[str, object] = dict(self._rest)
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

    @property
    def lead_id(self) -> str:
        """Of a recorded event: the lead that it belongs to; '' where it belongs to none."""
        return str(self._rest.get("lead.id", ""))

    @property
    def uid(self) -> str:
        """Of a recorded event: its identity, `log.record.uid`."""
        return str(self._rest.get("log.record.uid", ""))

    @property
    def time_ns(self) -> int:
        """Of a recorded event: when it happened, in Unix nanoseconds; 0 where it was not recorded yet."""
        return self._told[0]

    @property
    def trace_id(self) -> str:
        """Of a recorded event: its trace, 32 hex digits; '' where it has none."""
        return self._told[1]

    @property
    def span_id(self) -> str:
        """Of a recorded event: the span that it is on, 16 hex digits; '' where it is on none."""
        return self._told[2]

    @classmethod
    def read(cls, attributes: Mapping[str, object], *, time_ns: int = 0, trace_id: str = "", span_id: str = "") -> Self:
        """The event as recorded: its fields from their attributes; all else stays in `attributes` as it came."""
        event = object.__new__(cls)
        event._told = (time_ns, trace_id, span_id)
        rest = dict(attributes)
        for keyword, spec in cls.spec.fields.items():
            if spec.type == "map":
                prefix = spec.attribute.removesuffix("*")
                found: object = {
                    k.removeprefix(prefix): rest.pop(k) for k in list(rest) if k.startswith(prefix)
                } or None
            else:
                found = rest.pop(spec.attribute, None)
            setattr(event, keyword, found)
        event._rest = rest
        return event

    def __repr__(self) -> str:
        return f"<{self.event_name} {self.attributes}>"


def undeclared(name: str) -> type[Event]:
    """A class for events of a name that nobody declared: it has no fields, and all they bring stays in `attributes`.

    Nothing is registered: the name may still be declared later.
    """

    class UndeclaredEvent(Event):
        """An event that nobody declared."""

    empty: Mapping[str, FieldSpec] = MappingProxyType({})
    UndeclaredEvent.spec = EventSpec(name, Kind.MILESTONE, "", empty, empty, "undeclared", True, "", UndeclaredEvent)
    return UndeclaredEvent


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
    lead: bool | Literal["if_open"],
    exception: str,
    own: dict[str, _Declared],
    types: dict[str, FieldType],
) -> EventSpec:
    if source == "user":
        _check_own(name, exception)
    if name in _events:
        first = _events[name].event_class
        # A module that is loaded again declares its own events again; that is no second declaration.
        if (first.__module__, first.__qualname__) != (cls.__module__, cls.__qualname__):
            where = f"{first.__module__}.{first.__qualname__}"
            raise CatalogueError(f"event {name!r} is declared already, by {where}")
    try:
        meaning = Kind(kind)
    except ValueError:
        raise CatalogueError(f"event {name!r} has kind {kind!r}; a kind is one of: {', '.join(Kind)}") from None
    namespace = name.rpartition(".")[0]
    fields: dict[str, FieldSpec] = {}
    for keyword, said in own.items():
        attribute = said.attribute or f".{keyword.removesuffix('_')}"
        if attribute.startswith("."):
            attribute = namespace + attribute
        if types[keyword] == "map" and not attribute.endswith(".*"):
            attribute += ".*"
        number = types[keyword] in ("int", "double")
        spec = FieldSpec(
            sys.intern(keyword),
            sys.intern(attribute),
            types[keyword],
            said.doc,
            said.unit,
            said.requirement,
            said.by,
            said.personal,
            said.dimension,
            said.values,
            said.aliases,
            number and bool(said.unit) if said.measurement is None else said.measurement,
        )
        before = _attributes.get(attribute)
        if before is not None and before[2] != name and before[:2] != (spec.type, spec.unit):
            raise CatalogueError(
                f"{name} declares {attribute} as {spec.type} [{spec.unit}], but {before[2]} has it as "
                f"{before[0]} [{before[1]}]; an attribute has one type and one meaning"
            )
        fields[keyword] = spec
    # What the event says itself comes first, what it shares with others after.
    fields = dict(sorted(fields.items(), key=lambda item: not item[1].attribute.startswith(f"{namespace}.")))
    found = EventSpec(
        sys.intern(name),
        meaning,
        _sentence(cls),
        MappingProxyType(fields),
        MappingProxyType({one.attribute: one for one in fields.values()}),
        source,
        bool(lead),
        exception,
        cls,
        lead is True,
        tuple(one.attribute for one in fields.values() if one.requirement == "required"),
    )
    for one in fields.values():
        _attributes.setdefault(one.attribute, (one.type, one.unit, name))
    _events[name] = found
    return found


def _sentence(cls: type[Event]) -> str:
    """The class's own docstring as running text; a docstring that was inherited describes something else."""
    return " ".join((vars(cls).get("__doc__") or "").split())


def _check_own(name: str, exception: str) -> None:
    """A user's own event keeps to the naming rule, and stands beside the catalogue's own events, not in their way."""
    from leadtrace.catalogue import load
    from leadtrace.catalogue.naming import problem_beside, problem_with

    load()
    problem = problem_beside(name, _events) or ("" if exception else problem_with(name))
    if problem:
        raise CatalogueError(f"event name {name!r}: {problem}")


def lookup(name: str) -> EventSpec | None:
    """The declaration of that event among those loaded so far; `leadtrace.catalogue.get` loads the catalogue first."""
    return _events.get(name)


def declared() -> Iterator[EventSpec]:
    """All events declared so far, in the order of their declaration."""
    return iter(tuple(_events.values()))
