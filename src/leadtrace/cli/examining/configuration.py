"""The settings: where each has its value from, what cannot be, and what looks like a setting and is none."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from leadtrace.cli.examining.finding import bad, ok, warn
from leadtrace.errors import SettingsError
from leadtrace.settings import TABLE, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leadtrace.cli.examining.finding import Finding

__all__ = ["examine_settings", "settings_told"]

_HIDDEN = frozenset({"token"})


def settings_told(settings: Settings, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each setting with its variable, its value and where that is from; of a token only whether there is one."""
    told: list[dict[str, Any]] = []
    for one in TABLE:
        value = getattr(settings, one.name)
        shown: Any = str(value) if value is not None else "off"
        if one.name in _HIDDEN:
            shown = "set" if value else ""
        told.append(
            {
                "name": one.name,
                "variable": one.variable,
                "value": shown,
                "source": "variable" if environ.get(one.variable, "").strip() else "default",
            }
        )
    return told


def examine_settings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the variables can be read as settings, and which there are."""
    try:
        Settings.from_env(environ)
    except SettingsError as problem:
        yield bad("settings", str(problem), "set it to a value that it can have, or unset it")
        return
    known = [one.variable for one in TABLE]
    given = [one for one in known if environ.get(one, "").strip()]
    yield ok("settings", f"from variables: {', '.join(given) or 'none'}; the others have their defaults")
    for name in sorted(environ):
        if name.startswith("LEADTRACE_") and name not in known and environ[name].strip():
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "the settings are in docs/settings.md"
            yield warn("settings", f"{name} is set, and nothing reads it", hint)
