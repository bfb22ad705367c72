"""Observations for the watch: what was learnt is kept from one evaluation to the next, so that each asks for little."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from leadtrace.alerts.calendar import Span
from leadtrace.alerts.gathering import observe
from leadtrace.alerts.learning import History, Learnt, learn, refresh
from leadtrace.alerts.rules import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from leadtrace.alerts.asking import Asking
    from leadtrace.alerts.model import Alert, Observations, State
    from leadtrace.alerts.rules import Rules

__all__ = ["Observing", "incidents"]

_SILENCES: Final = ("absence", "too_few", "budget")


class Observing:
    """Observes one source. `known` gives the alerts of the past, whose time does not count as normal."""

    def __init__(self, asking: Asking, known: Callable[[], Iterable[Alert]] = tuple) -> None:
        self._asking = asking
        self._known = known
        self._rules: Rules | None = None
        self._history = History()
        self._learnt = Learnt()
        self._hour = -1

    def __call__(self, rules: Rules, state: State, now_ns: int) -> Observations:
        if rules is not self._rules:
            self._rules, self._history, self._hour = rules, History(), -1
        if now_ns // HOUR != self._hour:
            self._history = refresh(self._asking, rules, self._history, now_ns)
            self._learnt = learn(self._history, rules, now_ns, incidents(self._known(), now_ns))
            self._hour = now_ns // HOUR
        return observe(self._asking, rules, self._learnt, state, now_ns)


def incidents(alerts: Iterable[Alert], now_ns: int) -> dict[str, Sequence[Span]]:
    """When each group was silent, by the alerts that said so."""
    found: dict[str, list[Span]] = defaultdict(list)
    for one in alerts:
        if one.kind in _SILENCES:
            found[one.group].append(Span(one.began_ns, one.ended_ns or now_ns))
    return dict(found)
