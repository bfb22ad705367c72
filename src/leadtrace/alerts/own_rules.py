"""The watch's own alerts: a source that cannot be read, a channel that takes nothing. Judged like every other rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leadtrace.alerts.machine import Moment, end, step
from leadtrace.alerts.model import Evaluated, Key, Verdict
from leadtrace.alerts.outbox import CHANNEL_RULE
from leadtrace.alerts.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.alerts.database import Database
    from leadtrace.alerts.model import Standing, State, Transition

__all__ = ["SOURCE_RULE", "judge_own"]

SOURCE_RULE: Final = "leadtrace.source"
_FAILURES: Final = 3
"""So many messages in a row that a channel did not take."""


def judge_own(
    database: Database,
    state: State,
    source: str,
    unreadable: str,
    channels: tuple[str, ...],
    every_ns: int,
    now_ns: int,
) -> Evaluated:
    """How the source and the channels stand, and what changed; `unreadable` says why the source was not read, '' if it was.

    A source is told once it could not be read for two evaluations after the first; a channel once it failed three times
    in a row. Of a channel that was not tried since nothing is concluded.
    """
    if now_ns <= state.at_ns:
        return Evaluated(state, ())
    moment = Moment(now_ns, now_ns, state.at_ns)
    verdicts: dict[Key, tuple[Rule, Verdict]] = {}
    rule = Rule(name=SOURCE_RULE, kind="watch", severity="high", for_ns=2 * every_ns, keep_firing_ns=0)
    verdicts[Key(SOURCE_RULE, source)] = (
        rule,
        Verdict(bool(unreadable), unreadable or "it is read", text="unreadable" if unreadable else "", over_ns=now_ns),
    )
    fares = {str(name): row for name, *row in database.run("SELECT name, failures, failing_ns, why FROM channels")}
    for name in channels:
        rule = Rule(name=CHANNEL_RULE, kind="watch", severity="high", keep_firing_ns=0)
        failures, failing_ns, why = fares.get(name, (0, 0, ""))
        failing = failures >= _FAILURES
        verdicts[Key(CHANNEL_RULE, name)] = (
            rule,
            Verdict(
                failing if failing or not failures else None,
                f"{failures} messages in a row were not taken: {why}" if failures else "it takes messages",
                observed=float(failures),
                expected=0.0,
                unit="failures",
                since_ns=failing_ns,
                over_ns=now_ns,
            ),
        )
    return _stepped(state, verdicts, moment)


def _stepped(state: State, verdicts: Mapping[Key, tuple[Rule, Verdict]], moment: Moment) -> Evaluated:
    standings: dict[Key, Standing] = {}
    changes: list[Transition] = []
    for key, standing in state.standings.items():
        if key not in verdicts:
            changes.extend(end(standing, "withdrawn", moment))
    for key, (rule, verdict) in verdicts.items():
        after, told = step(key, state.standings.get(key), verdict, rule, (), moment)
        changes.extend(told)
        if after is not None:
            standings[key] = after
    return Evaluated(state.replaced(moment.now_ns, standings), tuple(changes))
