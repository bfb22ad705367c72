"""Plain data as YAML that Prometheus reads and people do: texts quoted as in JSON, long expressions as blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["yaml_text"]


def yaml_text(value: Mapping[str, object], comment: str = "") -> str:
    """The document, its comment before it."""
    head = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*head, *_lines(value, "")]) + "\n"


def _lines(value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _item(f"{indent}{key}:", one, indent + "  ")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            if isinstance(one, (Mapping, list, tuple)) and one:
                first, *rest = _lines(one, indent + "  ")
                yield f"{indent}- {first.strip()}"
                yield from rest
            else:
                yield f"{indent}- {_scalar(one)}"


def _item(head: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, str) and "\n" in value:
        yield f"{head} |-"
        yield from (f"{indent}{line}".rstrip() for line in value.splitlines())
    elif isinstance(value, (Mapping, list, tuple)) and value:
        yield head
        yield from _lines(value, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
