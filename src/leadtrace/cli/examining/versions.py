"""Versions of what leadtrace stands on."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import TYPE_CHECKING, Final

from leadtrace.cli.examining.finding import bad, ok, warn
from leadtrace.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.cli.examining.finding import Finding

__all__ = ["examine_versions"]

_LEAST_OPENTELEMETRY: Final = (1, 39)
_LEAST_SQLITE: Final = (3, 51, 3)


def examine_versions() -> Iterator[Finding]:
    """Python, OpenTelemetry (API and SDK alike), SQLite."""
    yield ok("versions", f"leadtrace {__version__} on Python {sys.version.split()[0]}")
    yield from _opentelemetry()
    yield from _sqlite()


def _opentelemetry() -> Iterator[Finding]:
    api, sdk = _version("opentelemetry-api"), _version("opentelemetry-sdk")
    if not sdk:
        yield warn(
            "versions",
            f"OpenTelemetry's API {api} without its SDK: events are recorded, spans only where the host has one",
            "pip install 'leadtrace[export]'",
        )
    elif api != sdk:
        yield bad("versions", f"OpenTelemetry's API is {api}, its SDK {sdk}", "install both in one version")
    elif _numbers(api) < _LEAST_OPENTELEMETRY:
        yield bad("versions", f"OpenTelemetry {api} is too old", "pip install -U opentelemetry-sdk")
    else:
        yield ok("versions", f"OpenTelemetry {api}")


def _sqlite() -> Iterator[Finding]:
    try:
        import apsw
    except ImportError:
        yield ok("versions", "the reading side is not installed here: no store can be read or written")
        return
    version = apsw.sqlite_lib_version()
    if _numbers(version) < _LEAST_SQLITE:
        yield bad(
            "versions",
            f"SQLite {version} can damage a store that is read while it is written; 3.51.3 or newer is needed",
            "pip install -U apsw",
        )
    else:
        yield ok("versions", f"SQLite {version}")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in version.split("."):
        digits = "".join(one for one in part if one.isdecimal())
        if not digits:
            break
        found.append(int(digits))
    return tuple(found)
