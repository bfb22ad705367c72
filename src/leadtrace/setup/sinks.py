"""Which sink a process gets: the journal on disk with a lane for each receiver, or memory where there is no disk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from leadtrace.errors import JournalError, SettingsError
from leadtrace.journal.endpoints import Endpoint, Kind, endpoints
from leadtrace.journal.memory import MemorySink
from leadtrace.journal.transport import OtlpTransport
from leadtrace.otlp import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.journal.disk import JournalSink
    from leadtrace.journal.endpoints import Target
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.lanes import Lane
    from leadtrace.settings import Settings

__all__ = [
    "DEFAULT",
    "Destinations",
    "LocalSink",
    "destination_names",
    "destinations",
    "make_sink",
    "name_of",
    "sending_lanes",
    "transports",
]

LocalSink: TypeAlias = "MemorySink | JournalSink"
Destinations: TypeAlias = "dict[str, dict[Kind, Endpoint]]"

DEFAULT = "default"
"""The name of the destination that the standard variables describe, whatever its address: it may change."""
_OPTIONAL = "optional:"


def destinations(settings: Settings, target: Target) -> Destinations:
    """The further receivers by name, with the protocol, headers and time-outs of the first. Raises SettingsError."""
    from dataclasses import replace

    found: Destinations = {}
    for one in settings.also_to:
        url = one.removeprefix(_OPTIONAL)
        name = name_of(url)
        if name in found:
            raise SettingsError("LEADTRACE_ALSO_TO names a receiver twice", got=url)
        found[name] = endpoints(replace(target, endpoint=url))
    if found and settings.journal is None:
        raise SettingsError("several receivers need the journal: LEADTRACE_ALSO_TO with LEADTRACE_JOURNAL=off")
    return found


def name_of(url: str) -> str:
    """A receiver's name, which names files too: its address without who signs in there, never a name that is ours."""
    where = url.partition("//")[2] or url
    host, slash, path = where.partition("/")
    found = re.sub(r"[^A-Za-z0-9.-]+", "-", host.rpartition("@")[2] + slash + path).strip("-.")
    return f"receiver-{found}" if found in (DEFAULT, "kept") else found or "receiver"


def destination_names(settings: Settings) -> set[str]:
    """The receivers that these settings send to, by name."""
    return {DEFAULT, *(name_of(one.removeprefix(_OPTIONAL)) for one in settings.also_to)}


def make_sink(
    settings: Settings,
    wanted: Mapping[Kind, Endpoint],
    further: Destinations,
    attributes: Mapping[str, object],
    schema_url: str,
) -> tuple[LocalSink, list[str]]:
    """The sink, and what is not as one might expect, in sentences."""
    resource = encode.resource(attributes, schema_url)
    notes: list[str] = []
    if settings.journal is not None and settings.events != "span":
        from leadtrace.journal.disk import JournalSink
        from leadtrace.journal.folder import Folder

        optional = {name_of(one.removeprefix(_OPTIONAL)) for one in settings.also_to if one.startswith(_OPTIONAL)}
        transports = {DEFAULT: OtlpTransport(wanted), **{name: OtlpTransport(one) for name, one in further.items()}}
        try:
            made = JournalSink(
                Folder(settings.journal),
                transports,
                resource,
                service=str(attributes.get("service.name", "")),
                fsync=settings.fsync,
                optional=frozenset(optional),
                capacity_bytes=settings.journal_max,
                warn_age_s=settings.journal_age,
            )
        except JournalError as why:
            notes.append(
                f"{why}: records wait in memory, and what is not sent when the process dies is LOST; "
                "LEADTRACE_JOURNAL names another folder, or off"
            )
        else:
            return made, notes
    return MemorySink(OtlpTransport(wanted), resource), notes


def transports(settings: Settings, url: str | None) -> dict[str, OtlpTransport]:
    """A transport for each receiver that the settings and the standard variables name; `url` in place of the first."""
    from leadtrace.journal.endpoints import Target
    from leadtrace.setup.composition import with_token

    target = with_token(Target(endpoint=url), settings.token)
    wanted = endpoints(target)
    if not wanted:
        raise SettingsError("there is no receiver: OTEL_SDK_DISABLED, or no exporter is otlp")
    further = destinations(settings, target)
    return {DEFAULT: OtlpTransport(wanted), **{name: OtlpTransport(one) for name, one in further.items()}}


def sending_lanes(folder: Folder, settings: Settings, url: str | None) -> list[Lane]:
    """Lanes for a process that only sends: it takes segments of any service."""
    from leadtrace.journal.lanes import Lane

    found = transports(settings, url)
    return [Lane(folder, name, kind, one) for name, one in found.items() for kind in sorted(one.kinds)]
