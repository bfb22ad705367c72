"""Where the lead events of a process are kept: beside its journal, or in its memory where it has none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from leadtrace.journal.lead_events import KeptLeadEvents
from leadtrace.otlp.keyfile import load_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadtrace.otlp.sink import Sink
    from leadtrace.settings import Settings

__all__ = ["end_lead_events", "lead_events_of"]


def lead_events_of(sink: Sink | None, settings: Settings, key: object) -> KeptLeadEvents:
    """What `lt.lead_event` keeps with; `key` is what `configure` was given. Nothing is opened before the first one."""

    def keys() -> Sequence[bytes]:
        return (key,) if isinstance(key, bytes) else load_keys(settings.key)

    return KeptLeadEvents(sink, None, keys)


def end_lead_events(lead_events: KeptLeadEvents) -> None:
    """Let them go at the end; what was in memory alone and never sent is lost, and that is said."""
    lost = lead_events.close()
    if lost:
        logging.getLogger("leadtrace").warning(
            "leadtrace: %d lead events were in memory, were not sent before the end, and are lost", lost
        )
