"""leadtrace: the flight recorder of a lead pipeline.

    import leadtrace as lt

The words (`flow`, `step`, `enhancement`, `delivery`, `attempt` …) wrap what your pipeline does; `configure()` says where it
goes; `open()` reads it back. Everything is loaded at first use, so that importing this costs a pipeline next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from leadtrace.version import __version__

if TYPE_CHECKING:
    from leadtrace.catalogue import events as events
    from leadtrace.catalogue.model import Event as Event
    from leadtrace.catalogue.model import Kind as Kind
    from leadtrace.catalogue.model import field as field
    from leadtrace.errors import LeadtraceError as LeadtraceError
    from leadtrace.errors import StrictError as StrictError
    from leadtrace.otlp.lead_event import LeadEvent as LeadEvent
    from leadtrace.otlp.sink import Receipt as Receipt
    from leadtrace.reading import open as open
    from leadtrace.setup import configure as configure
    from leadtrace.setup.capacity import sample_capacity as sample_capacity
    from leadtrace.testing import capture as capture
    from leadtrace.words.answers import Answer as Answer
    from leadtrace.words.answers import accepted as accepted
    from leadtrace.words.answers import failed as failed
    from leadtrace.words.answers import pending as pending
    from leadtrace.words.answers import rejected as rejected
    from leadtrace.words.answers import unconfirmed as unconfirmed
    from leadtrace.words.context import bind as bind
    from leadtrace.words.crossing import carry as carry
    from leadtrace.words.events import emit as emit
    from leadtrace.words.events import error as error
    from leadtrace.words.events import move_to as move_to
    from leadtrace.words.handle import Handle as Handle
    from leadtrace.words.handlers import attach as attach
    from leadtrace.words.handlers import attach_many as attach_many
    from leadtrace.words.handlers import detach as detach
    from leadtrace.words.handlers import drain_handlers as drain_handlers
    from leadtrace.words.handlers import list_handlers as list_handlers
    from leadtrace.words.handlers import on as on
    from leadtrace.words.hooks import hooks as hooks
    from leadtrace.words.instrument import instrument as instrument
    from leadtrace.words.lead_event import lead_event as lead_event
    from leadtrace.words.payloads import payload_schema as payload_schema
    from leadtrace.words.references import arg as arg
    from leadtrace.words.references import result as result
    from leadtrace.words.sender import Refused as Refused
    from leadtrace.words.sender import sender as sender
    from leadtrace.words.sending import send_waiting as send_waiting
    from leadtrace.words.sending import sending as sending
    from leadtrace.words.timeouts import timeout as timeout
    from leadtrace.words.vocabulary import attempt as attempt
    from leadtrace.words.vocabulary import current as current
    from leadtrace.words.vocabulary import delivery as delivery
    from leadtrace.words.vocabulary import enhancement as enhancement
    from leadtrace.words.vocabulary import fallback as fallback
    from leadtrace.words.vocabulary import flow as flow
    from leadtrace.words.vocabulary import identify as identify
    from leadtrace.words.vocabulary import note as note
    from leadtrace.words.vocabulary import resume as resume
    from leadtrace.words.vocabulary import rule as rule
    from leadtrace.words.vocabulary import step as step
    from leadtrace.words.vocabulary import validation as validation

_HOMES = {
    "leadtrace.catalogue": ("events",),
    "leadtrace.catalogue.model": ("Event", "Kind", "field"),
    "leadtrace.errors": ("LeadtraceError", "StrictError"),
    "leadtrace.otlp.lead_event": ("LeadEvent",),
    "leadtrace.otlp.sink": ("Receipt",),
    "leadtrace.reading": ("open",),
    "leadtrace.setup": ("configure",),
    "leadtrace.setup.capacity": ("sample_capacity",),
    "leadtrace.testing": ("capture",),
    "leadtrace.words.answers": ("Answer", "accepted", "failed", "pending", "rejected", "unconfirmed"),
    "leadtrace.words.context": ("bind",),
    "leadtrace.words.crossing": ("carry",),
    "leadtrace.words.events": ("emit", "error", "move_to"),
    "leadtrace.words.handle": ("Handle",),
    "leadtrace.words.handlers": ("attach", "attach_many", "detach", "drain_handlers", "list_handlers", "on"),
    "leadtrace.words.hooks": ("hooks",),
    "leadtrace.words.instrument": ("instrument",),
    "leadtrace.words.lead_event": ("lead_event",),
    "leadtrace.words.payloads": ("payload_schema",),
    "leadtrace.words.references": ("arg", "result"),
    "leadtrace.words.sender": ("Refused", "sender"),
    "leadtrace.words.sending": ("send_waiting", "sending"),
    "leadtrace.words.timeouts": ("timeout",),
    "leadtrace.words.vocabulary": (
        "attempt",
        "current",
        "delivery",
        "enhancement",
        "fallback",
        "flow",
        "identify",
        "note",
        "resume",
        "rule",
        "step",
        "validation",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]


if not TYPE_CHECKING:  # a type checker knows the names above, and is to say so where one is not there

    def __getattr__(name: str) -> Any:
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module 'leadtrace' has no attribute {name!r}")
        found = getattr(import_module(home), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
