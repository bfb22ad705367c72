"""Changes of health, judged once an hour has passed: what a watch tells as `system.health.changed`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from leadtrace.alerts.rules import DAY, HOUR, MINUTE
from leadtrace.analysis.answer import answer
from leadtrace.analysis.health import HEALTH, HealthChange, HealthOptions, thresholds
from leadtrace.analysis.options import checked
from leadtrace.store.interface import EventFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadtrace.store.interface import Source

__all__ = ["HealthChanges"]

_SETTLE: Final = 5 * MINUTE
"""So long after its end an hour is judged: what it holds has arrived by then."""
_BACK: Final = 2 * DAY
_EVENT: Final = "system.health.changed"


@dataclass(slots=True)
class HealthChanges:
    """Asks one source, for one tenant, each hour once. Raises `SourceError` where it cannot be read.

    What was told is known from the source itself, so that another watcher goes on where this one ended.
    """

    source: Source
    tenant: str | None = None
    settings: str = ""
    """Thresholds as `LEADTRACE_HEALTH` has them."""
    _judged_ns: int = 0
    _asked_ns: int = 0
    _told_ns: int = field(default=-1)

    def __call__(self, now_ns: int) -> Sequence[HealthChange]:
        """The changes that nobody has told yet, in order; empty until the next hour has passed."""
        until = (now_ns - _SETTLE) // HOUR * HOUR
        if until <= self._judged_ns:
            return ()
        if self._told_ns < 0:
            self._told_ns = self._last_told(until)
        asked = {"since_ns": until - _BACK, "until_ns": until, "tenant": self.tenant, "now_ns": now_ns}
        options = checked(HEALTH.name, HealthOptions, asked | thresholds(self.settings))
        found = answer(self.source, HEALTH, options).of(HealthChange)
        self._asked_ns = until
        return [one for one in found if one.at_ns > self._told_ns]

    def told(self, changes: Sequence[HealthChange]) -> None:
        """They are kept where nothing is lost; until this is called they are given again."""
        self._judged_ns = self._asked_ns
        if changes:
            self._told_ns = changes[-1].at_ns

    def _last_told(self, until_ns: int) -> int:
        which = EventFilter((_EVENT,), tenant=self.tenant, since_ns=until_ns - _BACK)
        return max(
            (one.time_ns for one in self.source.events(which) if not one.attributes.get("system.health.subject")),
            default=0,
        )
