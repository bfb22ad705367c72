"""Whether an event's attributes are what its declaration says: a table per event, prepared once, for every emission."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leadtrace.catalogue.common import COMMON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.catalogue.model import EventSpec, FieldSpec

__all__ = ["problems_of"]

_SCALARS: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "int": frozenset({int}),
    "double": frozenset({float, int}),
    "boolean": frozenset({bool}),
}
_LISTS = frozenset({list, tuple})
_NEITHER: frozenset[type] = frozenset()


class _Check(NamedTuple):
    whole: frozenset[type]
    """Types that the value may have; lists have `list` and `tuple` here and their items' types in `items`."""
    items: frozenset[type]
    values: frozenset[str]
    field: FieldSpec


def _check_of(field: FieldSpec) -> _Check | None:
    if field.type == "map":
        return None
    if field.type.endswith("[]"):
        return _Check(_LISTS, _SCALARS[field.type[:-2]], frozenset(), field)
    return _Check(_SCALARS[field.type], _NEITHER, frozenset(field.values), field)


_COMMON = {name: check for name, field in COMMON.items() if (check := _check_of(field))}
_prepared: dict[EventSpec, dict[str, _Check]] = {}


def _prepare(spec: EventSpec) -> dict[str, _Check]:
    table = dict(_COMMON)
    table.update({name: check for name, field in spec.attributes.items() if (check := _check_of(field))})
    _prepared[spec] = table
    return table


def problems_of(spec: EventSpec, attributes: Mapping[str, object]) -> list[str]:
    """A sentence for each attribute of the wrong type or outside its closed list, and for each that is missing."""
    table = _prepared.get(spec) or _prepare(spec)
    found: list[str] = []
    for name, value in attributes.items():
        check = table.get(name)
        if check is None:
            continue
        kind = type(value)
        if kind not in check.whole:
            if not any(kind is not bool and issubclass(kind, one) for one in check.whole):
                found.append(_wrong_type(spec, check.field, value))
        elif check.items:
            wrong = [one for one in value if type(one) not in check.items]  # type: ignore[attr-defined]
            if wrong:
                found.append(_wrong_type(spec, check.field, value))
        elif check.values and value not in check.values:
            found.append(
                f"{spec.name}: {name} is {value!r}; it is one of: {', '.join(check.field.values)}",
            )
    found.extend(f"{spec.name} needs {name}" for name in spec.required if name not in attributes)
    return found


def _wrong_type(spec: EventSpec, field: FieldSpec, value: object) -> str:
    kind = type(value).__name__
    if isinstance(value, (list, tuple)):
        kind += f" of {', '.join(sorted({type(one).__name__ for one in value})) or 'nothing'}"
    return f"{spec.name}: {field.attribute} is declared as {field.type}, and {kind} came"
