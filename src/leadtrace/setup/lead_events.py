"""Where the lead events of a process are kept: beside its journal, or in its memory where it has none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from leadtrace.errors import JournalError
from leadtrace.journal.lead_events import KeptLeadEvents
from leadtrace.otlp.keyfile import load_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadtrace.journal.disk import JournalSink
    from leadtrace.settings import Settings
    from leadtrace.setup.sinks import LocalSink

__all__ = ["end_lead_events", "lead_events_of"]

_log = logging.getLogger("leadtrace")


def lead_events_of(sink: LocalSink | None, settings: Settings, key: object) -> KeptLeadEvents:
    """What `lt.lead_event` keeps with; `key` is what `configure` was given. Nothing is opened before the first one.

    Lead events are kept in the journal's folder even where no telemetry goes through it, because nothing is sent, or
    because events live on spans alone.
    """

    def keys() -> Sequence[bytes]:
        return (key,) if isinstance(key, bytes) else load_keys(settings.key)

    from leadtrace.journal.kept import drain

    if settings.journal is None or (sink is not None and hasattr(sink, "take_kept") and settings.events != "span"):
        return KeptLeadEvents(sink, None, keys)  # the journal is off, or cannot be written
    if sink is not None and hasattr(sink, "folder"):
        return KeptLeadEvents(sink, sink.folder.path, keys, drain)
    return KeptLeadEvents(lambda: _own_journal(settings), settings.journal, keys, drain)


def _own_journal(settings: Settings) -> JournalSink | None:
    from leadtrace.journal.disk import JournalSink
    from leadtrace.journal.folder import Folder
    from leadtrace.otlp import encode

    assert settings.journal is not None
    try:
        return JournalSink(
            Folder(settings.journal),
            {},
            encode.resource({}, ""),
            fsync=settings.fsync,
            capacity_bytes=settings.journal_max,
            warn_age_s=settings.journal_age,
        )
    except JournalError as why:
        _log.warning("leadtrace: %s: lead events are NOT kept", why)
        return None


def end_lead_events(lead_events: KeptLeadEvents) -> None:
    """Let them go at the end; what was in memory alone and never sent is lost, and that is said."""
    lost = lead_events.close()
    if lost:
        _log.warning("leadtrace: %d lead events were in memory, were not sent before the end, and are lost", lost)
