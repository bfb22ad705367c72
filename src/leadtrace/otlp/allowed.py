"""Which fields a user allows to be recorded as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from leadtrace.errors import SettingsError

__all__ = ["Allow", "Allowed"]

Allow: TypeAlias = "Iterable[str] | Mapping[str, Iterable[str]]"
"""Fields allowed in every event, or a mapping of an event's name (`*` for every event) to its fields.

A field is a full attribute name (`enhancement.data_appended.carrier`), a family of them
(`enhancement.data_appended.*`), or the last segment alone (`carrier`).
In a plain list, `EVENT:FIELD` is for that event.
"""


class Allowed:
    """Answers whether a field of an event is allowed."""

    __slots__ = ("_by_event", "keys")

    def __init__(self, allow: Allow = ()) -> None:
        self._by_event: dict[str, frozenset[str]] = {}
        gathered: dict[str, set[str]] = {}
        if isinstance(allow, str):
            allow = (allow,)
        if isinstance(allow, Mapping):
            for event, fields in allow.items():
                gathered.setdefault(event, set()).update((fields,) if isinstance(fields, str) else fields)
        else:
            for one in allow:
                if not isinstance(one, str):
                    raise SettingsError("allow= takes names of fields", got=repr(one))
                event, colon, field = one.rpartition(":")
                gathered.setdefault(event if colon else "*", set()).add(field)
        self._by_event = {event: frozenset(fields) for event, fields in gathered.items()}
        self.keys: frozenset[str] = frozenset().union(*self._by_event.values())
        """Every field named, of whatever event."""

    def __bool__(self) -> bool:
        return bool(self._by_event)

    def of(self, *events: str) -> frozenset[str]:
        """The fields named for every event, and for these."""
        return frozenset().union(*(self._by_event.get(one, frozenset()) for one in ("*", *events)))

    def permits(self, event_name: str | None, attribute: str) -> bool:
        """Whether that event may carry that attribute as it came; None: whether any event may (what spans carry)."""
        if not self._by_event:
            return False
        if event_name is None:
            return _named(attribute, self.keys)
        return _named(attribute, self._by_event.get("*", frozenset())) or _named(
            attribute, self._by_event.get(event_name, frozenset())
        )


def _named(attribute: str, fields: frozenset[str]) -> bool:
    if attribute in fields:
        return True
    prefix, _, last = attribute.rpartition(".")
    if last in fields:
        return True
    while prefix:
        if prefix + ".*" in fields:
            return True
        prefix = prefix.rpartition(".")[0]
    return False
