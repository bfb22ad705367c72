"""The handle where nothing listens: everything a handle can do, and none of it recorded."""

from __future__ import annotations

from typing import Any

from leadtrace.otlp.sink import NOWHERE, Receipt

__all__ = ["SILENT", "Silent"]


class Silent:
    """What `with` gives where no runtime, provider or handler is in place. Its words open and close without a trace."""

    __slots__ = ()

    id = ""
    name = ""
    lead_id = ""
    tenant = ""
    run_id = ""
    span_id = ""
    ended = False
    parent = None

    def _receipt(self, *_: Any, **__: Any) -> Receipt:
        return NOWHERE

    def _nothing(self, *_: Any, **__: Any) -> None:
        return None

    emit = move_to = error = _receipt
    note = note_for = identify = result = _nothing
    accepted = rejected = pending = unconfirmed = failed = _nothing

    def __bool__(self) -> bool:
        return False

    def carry(self) -> dict[str, str]:
        return {}

    def __getattr__(self, name: str) -> Any:
        from leadtrace.words import vocabulary

        if name in vocabulary.WORDS:
            return getattr(vocabulary, name)
        raise AttributeError(f"a handle has no {name!r}")

    def __repr__(self) -> str:
        return "<nothing listens>"


SILENT = Silent()
