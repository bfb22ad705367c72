"""Lists of ours out of a Jaeger whose storage has none: badger, Cassandra and the older form keep a list as JSON text.

What a reader needs as a list (`leadtrace.lead_ids`, `flow.summary.handed_over` …) would not be found in the text. Which
attributes are lists the catalogue says; any other text that looks like a list may be just that, and stays.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Final

from leadtrace import catalogue
from leadtrace.catalogue.common import COMMON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.otlp.records import SpanRecord, Value

__all__ = ["restore_lists", "with_lists"]

_ITEMS: Final[Mapping[str, tuple[type, ...]]] = {
    "string[]": (str,),
    "int[]": (int,),
    "double[]": (int, float),
    "boolean[]": (bool,),
}


def restore_lists(span: SpanRecord) -> SpanRecord:
    """The same span, the lists in it and in its events lists again."""
    span.attributes = with_lists(span.attributes)
    for event in span.events:
        event.attributes = with_lists(event.attributes)
    return span


def with_lists(attributes: Mapping[str, Value]) -> Mapping[str, Value]:
    """These attributes, declared lists that came as text read; the same mapping where there is none."""
    types = _list_types()
    found: dict[str, Value] = {}
    for key in attributes.keys() & types.keys():
        value = attributes[key]
        if isinstance(value, str) and value.startswith("["):
            try:
                listed = json.loads(value)
            except ValueError:
                continue  # cut off by somebody's limit
            if all(isinstance(one, _ITEMS[types[key]]) for one in listed):
                found[key] = listed
    return {**attributes, **found} if found else attributes


@cache
def _list_types() -> Mapping[str, str]:
    declared = (one for spec in catalogue.events().values() for one in spec.fields.values())
    return {one.attribute: one.type for one in (*COMMON.values(), *declared) if one.type in _ITEMS}
