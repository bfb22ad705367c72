"""The settings: one table of name, variable, type, default and a sentence, read into a frozen dataclass.

`docs/settings.md` is compared with this table by a test. Nothing here makes or opens a file: a setting that names one
is looked at by whoever uses it.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TABLE", "Setting", "Settings", "folder"]


@dataclass(slots=True, frozen=True)
class Setting:
    """One row of the table."""

    name: str
    """The argument's name, and the field's of `Settings`."""
    variable: str
    type: Literal["text", "choice", "switch", "file", "folder or off", "currency", "size", "duration", "urls"]
    default: str
    """As it would be written into the variable; `{state}`, `{data}` and `{config}` stand for the user's folders."""
    doc: str
    choices: tuple[str, ...] = ()


TABLE: tuple[Setting, ...] = (
    Setting(
        "journal",
        "LEADTRACE_JOURNAL",
        "folder or off",
        "{state}/leadtrace/journal",
        "The folder of the journal on disk, or `off` to keep records in memory until they are sent.",
    ),
    Setting(
        "fsync",
        "LEADTRACE_FSYNC",
        "choice",
        "interval",
        "When what the journal wrote outlives the machine: after each record, every 100 ms, or when the system likes.",
        ("always", "interval", "off"),
    ),
    Setting(
        "journal_max",
        "LEADTRACE_JOURNAL_MAX",
        "size",
        "1GiB",
        "How much the journal may hold, all processes of a folder together. As it fills, spans of other libraries are "
        "refused first, then leadtrace's own, events last.",
    ),
    Setting(
        "journal_age",
        "LEADTRACE_JOURNAL_AGE",
        "duration",
        "1h",
        "How long records may wait in the journal before a warning says so; nothing is removed for its age.",
    ),
    Setting(
        "also_to",
        "LEADTRACE_ALSO_TO",
        "urls",
        "",
        "Further receivers, by commas: base addresses as `OTEL_EXPORTER_OTLP_ENDPOINT` has one. Each has everything; the "
        "journal lets go of what all have acknowledged, those behind `optional:` aside. Needs the journal.",
    ),
    Setting(
        "events",
        "LEADTRACE_EVENTS",
        "choice",
        "both",
        "Where an event is recorded: as a log record and on its span, as a log record alone, or on the span alone.",
        ("both", "logs", "span"),
    ),
    Setting(
        "store",
        "LEADTRACE_STORE",
        "file",
        "{data}/leadtrace/store.db",
        "The embedded store that `leadtrace serve` writes.",
    ),
    Setting(
        "from_",
        "LEADTRACE_FROM",
        "text",
        "",
        "The source that reading commands ask where `--from` is left out: a path or a URL; empty, the embedded store.",
    ),
    Setting(
        "key",
        "LEADTRACE_KEY",
        "file",
        "{config}/leadtrace/key",
        "The file with the key of the hashes that stand for personal data; services that should hash alike share it. "
        "Made at first use, readable by its owner only.",
    ),
    Setting(
        "tenant", "LEADTRACE_TENANT", "text", "", "The tenant of what is recorded, where a word does not say otherwise."
    ),
    Setting("currency", "LEADTRACE_CURRENCY", "currency", "USD", "The currency of amounts that name none (ISO 4217)."),
    Setting(
        "token", "LEADTRACE_TOKEN", "text", "", "The token that senders to, and readers of, `leadtrace serve` present."
    ),
    Setting(
        "strict",
        "LEADTRACE_STRICT",
        "switch",
        "0",
        "Whether mistakes in telling raise; otherwise they are recorded, marked and counted.",
    ),
    Setting(
        "health",
        "LEADTRACE_HEALTH",
        "text",
        "",
        "Limits of `health`, also for `performance` and `review`, that differ from the defaults: "
        "`crisis_errors=0.03, healthy_ms=1500`.",
    ),
    Setting(
        "config",
        "LEADTRACE_CONFIG",
        "file",
        "leadtrace.toml",
        "The file with words for code that one cannot change, and with the rules of alerts.",
    ),
)

_ON = frozenset({"1", "true", "yes", "on"})
_OFF = frozenset({"0", "false", "no", "off", ""})


@dataclass(slots=True, frozen=True)
class Settings:
    """Every setting with its value; `Settings.from_env()` reads the variables, arguments by name go before them."""

    journal: Path | None = None
    """None: off."""
    fsync: Literal["always", "interval", "off"] = "interval"
    journal_max: int = 1 << 30
    """Bytes."""
    journal_age: float = 3600.0
    """Seconds."""
    also_to: tuple[str, ...] = ()
    events: Literal["both", "logs", "span"] = "both"
    store: Path = field(default_factory=lambda: folder("data") / "leadtrace" / "store.db")
    from_: str = ""
    key: Path = field(default_factory=lambda: folder("config") / "leadtrace" / "key")
    tenant: str = ""
    currency: str = "USD"
    token: str = field(default="", repr=False)
    strict: bool = False
    health: str = ""
    config: Path = Path("leadtrace.toml")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, /, **overrides: object) -> Settings:
        """Read all settings: an override that is not None, else the variable, else the default.

        A variable that is set to nothing counts as not set. Raises `SettingsError` for a value that cannot be.
        """
        environ = os.environ if environ is None else environ
        unknown = [name for name in overrides if name not in _NAMES]
        if unknown:
            raise SettingsError(f"there is no setting {unknown[0]!r}; the settings are: {', '.join(sorted(_NAMES))}")
        values: dict[str, Any] = {}
        for setting in TABLE:
            given = overrides.get(setting.name)
            where = f"the argument {setting.name}="
            if given is None and (text := environ.get(setting.variable, "").strip()):
                given, where = text, setting.variable
            if given is None:
                given, where = _default(setting), f"the default of {setting.name}"
            values[setting.name] = _read(setting, given, where)
        return cls(**values)


_NAMES = frozenset(setting.name for setting in TABLE)


def folder(which: Literal["state", "data", "config"]) -> Path:
    """The user's folder for that: by the XDG variables, else as the system has it; without a home, the system's own.

    Linux: `~/.local/state`, `~/.local/share`, `~/.config`. macOS: `~/Library/Application Support` for all three.
    """
    given = os.environ.get(f"XDG_{which.upper()}_HOME", "")
    if os.path.isabs(given):  # the XDG rules: a relative one is ignored
        return Path(given)
    home = os.path.expanduser("~")
    if not os.path.isabs(home) or home == "/nonexistent":
        return Path("/etc" if which == "config" else "/var/lib")  # a daemon's user
    if sys.platform == "darwin":
        return Path(home, "Library", "Application Support")
    return Path(home, {"state": ".local/state", "data": ".local/share", "config": ".config"}[which])


def _default(setting: Setting) -> str:
    text = setting.default
    if text.startswith("{"):
        which, _, rest = text[1:].partition("}/")
        return str(folder(cast('Literal["state", "data", "config"]', which)) / rest)
    return text


def _read(setting: Setting, given: object, where: str) -> object:
    match setting.type:
        case "switch":
            return _switch(given, where)
        case "file" | "folder or off":
            may_be_off = setting.type == "folder or off"
            if may_be_off and (given is False or (isinstance(given, str) and given.lower() == "off")):
                return None
            if isinstance(given, (str, os.PathLike)) and str(given):
                return Path(os.path.expanduser(os.fspath(cast(str, given))))
            raise SettingsError(f"{where} is a path{' or off' if may_be_off else ''}", got=repr(given))
        case "size":
            return _measure(given, where, _SIZES, "a size such as 512MiB or 2GiB", 1 << 20)
        case "duration":
            return float(_measure(given, where, _SPANS, "a time such as 30min, 1h or 2d", 1))
        case "urls":
            several = given.split(",") if isinstance(given, str) else given
            if not isinstance(several, (list, tuple)) or not all(isinstance(one, str) for one in several):
                raise SettingsError(f"{where} is addresses by commas, or a list of them", got=repr(given))
            return tuple(one.strip() for one in several if one.strip())
    if not isinstance(given, str):
        raise SettingsError(f"{where} is text", got=repr(given))
    text = given.strip()
    if setting.type == "choice":
        if text.lower() not in setting.choices:
            raise SettingsError(f"{where} is one of {', '.join(setting.choices)}", got=repr(given))
        return text.lower()
    if setting.type == "currency":
        if not (len(text) == 3 and text.isascii() and text.isalpha()):
            raise SettingsError(f"{where} is a currency's three letters, such as USD", got=repr(given))
        return text.upper()
    return text


_SIZES = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "mb": 10**6, "gb": 10**9}
_SPANS = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}
_MEASURE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


def _measure(given: object, where: str, units: Mapping[str, int], form: str, least: int) -> int:
    """A number with a unit, in the smallest one."""
    found = _MEASURE.fullmatch(str(given).strip().lower())
    if isinstance(given, bool) or found is None or found[2] not in units:
        raise SettingsError(f"{where} is {form}", got=repr(given))
    number = int(float(found[1]) * units[found[2]])
    if number < least:
        raise SettingsError(f"{where} is {form}, at least {least}", got=repr(given))
    return number


def _switch(given: object, where: str) -> bool:
    text = str(int(given)) if isinstance(given, bool) else str(given).strip().lower()
    if text in _ON:
        return True
    if text in _OFF:
        return False
    raise SettingsError(f"{where} is 1 or 0", got=repr(given))
