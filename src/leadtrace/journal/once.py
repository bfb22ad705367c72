"""Warnings that are said once, until what they tell of is over."""

from __future__ import annotations

import logging

__all__ = ["Once"]

_log = logging.getLogger("leadtrace")


class Once:
    """Any thread may warn."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, what: str, sentence: str) -> None:
        if what not in self._said:
            self._said.add(what)
            _log.warning("leadtrace: %s", sentence)

    def over(self, what: str) -> None:
        """Say it again, should it come again."""
        self._said.discard(what)
