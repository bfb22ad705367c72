"""The switches of the writing side in this process: where records go, and how they are redacted.

`leadtrace.configure()` and `leadtrace.capture()` put a runtime in place; the words read it at every call. With none in
place, no tracer provider set and no handler attached, a word only calls through.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from leadtrace.otlp.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadtrace.otlp.lead_event import LeadEvents
    from leadtrace.otlp.redact import Redactor
    from leadtrace.otlp.sink import Sink

__all__ = ["Runtime", "active", "current", "install", "uninstall"]


@dataclass(slots=True)
class Runtime:
    """What the writing side runs with. Made once by the composition root; replaced as a whole, never changed in place."""

    sink: Sink | None = None
    """Where log events go; None: nowhere, and events live on spans alone."""
    redactor: Redactor | None = None
    """What keeps personal data out of records; None only where nothing is recorded."""
    events: Literal["both", "logs", "span"] = "both"
    strict: bool = False
    """Mistakes in telling raise `StrictError` instead of being marked and counted."""
    tenant: str = ""
    currency: str = "USD"
    expected: tuple[type[BaseException], ...] = ()
    """Exceptions that are answers wherever they are raised."""
    allow: frozenset[str] = frozenset()
    """Keys that leadtrace may pick up by itself (returned data, inputs, exception contents)."""
    clock: Clock = field(default_factory=Clock)
    states: dict[tuple[str, str], str] = field(default_factory=dict)
    """The last state of each lead (by tenant and id) that this process moved, the oldest forgotten: what `from` says where
    no open word knows it, as when a lead comes back weeks later. See `moved`."""
    lead_events: LeadEvents | None = None
    """Where lead events are kept and where senders get them; None: nowhere."""
    on_event: Callable[[object], None] | None = None
    """Called with each event after it is handed to the sink; the way by which `capture()` sees them."""

    def moved(self, tenant: str, lead: str, state: str) -> None:
        """Remember a lead's state; 10,000 leads at most."""
        self.states.pop((tenant, lead), None)
        if len(self.states) >= _REMEMBERED:
            self.states.pop(next(iter(self.states)), None)
        self.states[tenant, lead] = state


_REMEMBERED = 10_000
_current: Runtime | None = None


def current() -> Runtime | None:
    """The runtime in place, None where `configure()` has not run."""
    return _current


_bare: Runtime | None = None


def active() -> Runtime:
    """The runtime in place, or where a host has only set a tracer provider, one without a sink: it redacts all the same."""
    global _bare
    if _current is not None:
        return _current
    if _bare is None:
        _bare = Runtime(redactor=_default_redactor())
    return _bare


def _default_redactor() -> Redactor:
    """With the key of the settings; where that cannot be had, with one that lasts as long as the process."""
    import logging
    import secrets

    from leadtrace.errors import SettingsError
    from leadtrace.otlp.keyfile import load_key
    from leadtrace.otlp.redact import Redactor
    from leadtrace.settings import Settings

    try:
        settings = Settings.from_env()
        return Redactor(load_key(settings.key), tenant=settings.tenant)
    except SettingsError as problem:
        log = logging.getLogger("leadtrace")
        log.warning("hashes of personal data last as long as this process: %s", problem)
        return Redactor(secrets.token_bytes(32))


def install(runtime: Runtime) -> Runtime | None:
    """Put a runtime in place for all threads; gives back the one that it takes the place of."""
    global _current
    before, _current = _current, runtime
    return before


def uninstall(before: Runtime | None = None) -> None:
    """Take the runtime away, or put the earlier one back."""
    global _current
    _current = before
