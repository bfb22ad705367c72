"""The event catalogue: what may be emitted, declared once; a module per family, loaded together at first use."""

from __future__ import annotations

import threading
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from leadtrace.catalogue.checking import problems_of
from leadtrace.catalogue.model import EventSpec, declared, lookup
from leadtrace.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.catalogue.model import FieldSpec

__all__ = ["SCHEMA_URL", "VERSION", "events", "get", "keyword_like", "load", "nearest", "problems"]

VERSION = __version__
"""The catalogue's version: the package's, because the two are released as one."""

SCHEMA_URL = f"https://leadtrace.dev/schemas/{VERSION}"
"""What leadtrace's scope carries as its schema URL: an identifier whose last segment is the version, so that a
reader can tell older from newer. Nothing fetches it; the schema itself ships with the package
(`leadtrace catalogue --schema`)."""

_FAMILIES = (
    "flow",
    "operation",
    "enhancement",
    "delivery",
    "attempt",
    "judgement",
    "trouble",
    "lead",
    "lead_events",
    "alerting",
    "signals",
    "circuit",
    "system",
    "ai",
    "people",
    "outbound",
    "own",
)
_lock = threading.RLock()
_loaded = False


def load() -> None:
    """Declare all families; any thread may call it, and every other function here does."""
    global _loaded
    if _loaded:
        return
    with _lock:
        if not _loaded:
            for family in _FAMILIES:
                import_module(f"leadtrace.catalogue.{family}")
            _loaded = True


def get(name: str) -> EventSpec | None:
    """The declaration of that event, of the catalogue's own or a user's; None where it is not declared."""
    if not _loaded:
        load()
    return lookup(name)


def events() -> Mapping[str, EventSpec]:
    """All declared events by name: the catalogue's own in its order, then users' own."""
    load()
    return MappingProxyType({spec.name: spec for spec in declared()})


def problems(event: EventSpec | str, attributes: Mapping[str, object]) -> list[str]:
    """What is wrong with such an event, a sentence each: an undeclared name, a wrong type, a missing field.

    Attributes that the event does not declare are no problem: users may add their own.
    """
    spec = get(event) if isinstance(event, str) else event
    if spec is None:
        like = nearest(event) if isinstance(event, str) else ""
        return [f"event {event!r} is not declared" + (f"; the nearest that is: {like!r}" if like else "")]
    return problems_of(spec, attributes)


def nearest(name: str) -> str:
    """The declared name most like this one, '' where none is near."""
    from difflib import get_close_matches

    found = get_close_matches(name.lower().replace("-", "_"), list(events()), n=1, cutoff=0.6)
    return found[0] if found else ""


def keyword_like(keyword: str, fields: Mapping[str, FieldSpec]) -> str:
    """The declared keyword that this one looks like a slip for; '' where it is one itself, or where none is near."""
    from difflib import get_close_matches

    if keyword in fields:
        return ""
    found = get_close_matches(keyword, list(fields), n=1, cutoff=0.84)
    return found[0] if found else ""
