"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Finding", "Level", "bad", "ok", "warn"]

Level: TypeAlias = Literal["ok", "warn", "bad"]


@dataclass(slots=True, frozen=True)
class Finding:
    """What was looked at, how it is, in a sentence, and what to do where it is not well."""

    check: str
    """One word: `settings`, `key`, `journal`, `clock` …"""
    level: Level
    says: str
    do: str = ""

    def as_json(self) -> dict[str, str]:
        return {"check": self.check, "level": self.level, "says": self.says, "do": self.do}


def ok(check: str, says: str) -> Finding:
    """As it should be."""
    return Finding(check, "ok", says)


def warn(check: str, says: str, do: str = "") -> Finding:
    """Worth knowing; nothing is lost by it."""
    return Finding(check, "warn", says, do)


def bad(check: str, says: str, do: str) -> Finding:
    """Something is lost, read by others, or does not work."""
    return Finding(check, "bad", says, do)
