"""What leadtrace raises: one base that renders message, data and cause, and a class per way to go wrong.

Each error's text says what was expected and what came. Nothing here is raised into a host for the sake of telemetry;
these are for mistakes where they are written (decorators, settings, strict mode) and for the reading side.
"""

from __future__ import annotations

__all__ = [
    "CatalogueError",
    "DecorationError",
    "JournalError",
    "LeadtraceError",
    "NotFoundError",
    "OtlpError",
    "SealError",
    "SettingsError",
    "SourceError",
    "StoreDamagedError",
    "StoreLockedError",
    "StrictError",
]


class LeadtraceError(Exception):
    """The base of all errors that leadtrace raises.

    `data` holds what a program needs to act on it; `str()` is one line for a person: message, then data.
    """

    def __init__(self, message: str, /, **data: object) -> None:
        super().__init__(message)
        self.message = message
        self.data = data

    def __str__(self) -> str:
        if not self.data:
            return self.message
        return f"{self.message} ({', '.join(f'{key}: {value}' for key, value in self.data.items())})"


class SettingsError(LeadtraceError):
    """A setting (argument, variable or file) has a value that it cannot have."""


class CatalogueError(LeadtraceError):
    """An event is declared wrongly: its name breaks the naming rule, or an attribute has two types or meanings."""


class DecorationError(LeadtraceError, TypeError):
    """A decorator cannot work on this function: it names a parameter that is not there, or the thing is not callable."""


class StrictError(LeadtraceError):
    """A mistake in telling (undeclared event, wrong field type, event without a lead), raised under LEADTRACE_STRICT=1 only."""


class OtlpError(LeadtraceError, ValueError):
    """Bytes are not the OTLP message that they were said to be."""


class JournalError(LeadtraceError):
    """The journal's folder cannot be used, or something in it not be changed; what is in it is untouched."""


class NotFoundError(LeadtraceError, LookupError):
    """The source answered, and holds no such lead, trace or event. `nearest` in `data` has the closest match, if any."""


class SealError(LeadtraceError):
    """Sealed content cannot be opened: its key is not at hand, or its bytes were changed."""


class SourceError(LeadtraceError):
    """A source cannot be reached or read: says which, why, and what to do."""


class StoreLockedError(SourceError):
    """Another process is writing this store."""


class StoreDamagedError(SourceError):
    """The store's file is not whole, or not a store of ours: says what is safe and what to do."""
