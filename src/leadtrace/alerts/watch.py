"""The evaluating loop: read the source, judge the rules, keep what changed, tell it.

    evaluate   read ─▶ one transaction { state, alerts, events, messages }        one watcher at a time, by a lease
    tell       claim a message ─▶ send ─▶ note                                    any watcher, each message by one
    hand over  leadtrace's own events ─▶ the store                                any watcher; a store takes each once

Each part does one round when it is called, with the moment that it is given: no clock, no thread and no sleep in here.
`run` calls them by the clock. What fails is kept and told: it never ends the loop.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from leadtrace.alerts import history, outbox
from leadtrace.alerts.channels import channels_of, notify_of, sides_of
from leadtrace.alerts.checklist import checklist_of, side_at_fault
from leadtrace.alerts.database import this_process
from leadtrace.alerts.evaluate import evaluate
from leadtrace.alerts.messages import Messages
from leadtrace.alerts.own_events import keep, send_waiting
from leadtrace.alerts.own_rules import judge_own
from leadtrace.alerts.sending import NotSentError, send
from leadtrace.errors import LeadtraceError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from leadtrace.alerts.channels import Channel
    from leadtrace.alerts.checklist import Check, Item
    from leadtrace.alerts.database import Database
    from leadtrace.alerts.health_changes import HealthChanges
    from leadtrace.alerts.model import Alert, Observations, State
    from leadtrace.alerts.own_events import EventSink
    from leadtrace.alerts.rules import Rules
    from leadtrace.analysis.health import HealthChange

__all__ = ["Observe", "Probe", "Round", "Watch", "run"]

_SECOND: Final = 1_000_000_000
_LEASE_ROUNDS: Final = 3
_SENDING_NS: Final = 60 * _SECOND
"""How long a message is its sender's: longer than any channel may take to answer."""
_MOST_MESSAGES: Final = 50
"""Of one round, so that evaluation is not kept waiting."""


class Observe(Protocol):
    """Reads the source for the rules as it is now. Raises `SourceError` where it cannot be read."""

    def __call__(self, rules: Rules, state: State, now_ns: int) -> Observations: ...


class Probe(Protocol):
    """Looks at one item of the checklist for an alert. Never raises: what it cannot see is `unknown`."""

    def __call__(self, item: Item, alert: Alert, rules: Rules, now_ns: int) -> Check: ...


@dataclass(frozen=True, slots=True)
class Round:
    """What one evaluation did."""

    evaluated: bool
    """False where another watcher does it."""
    unreadable: str = ""
    """Why the source could not be read."""
    changed: tuple[Alert, ...] = ()
    """Whose beginning or end is new."""
    lasting: int = 0


@dataclass(slots=True)
class Watch:
    """One watcher: rules, source, database and channels put together by whoever runs it."""

    rules: Rules
    source: str
    """What it is called in messages."""
    database: Database
    observe: Observe
    sink: EventSink
    probe: Probe | None = None
    every_ns: int = 60 * _SECOND
    owner: str = field(default_factory=this_process)
    deliver: Callable[..., str] = send
    health: HealthChanges | None = None
    """What says how the system's health has changed."""
    _messages: Messages | None = None

    @property
    def channels(self) -> Mapping[str, Channel]:
        return {one.name: one for one in channels_of(self.rules)}

    def use(self, rules: Rules) -> None:
        """Go on with these rules: a file that was changed."""
        self.rules, self._messages = rules, None

    def evaluate(self, now_ns: int) -> Round:
        """Judge everything once, and keep what comes of it."""
        if not self._mine(now_ns):
            return Round(evaluated=False)
        observations, unreadable = None, ""
        changes: Sequence[HealthChange] = ()
        try:
            changes = self.health(now_ns) if self.health is not None else ()
            observations = self.observe(self.rules, history.state(self.database, "rules"), now_ns)
        except LeadtraceError as problem:
            unreadable = str(problem)
        except Exception as problem:  # noqa: BLE001 - a watch that dies of a bug is silent when it matters
            unreadable = f"reading went wrong: {type(problem).__name__}: {problem}"
        with self.database.writing():
            if not self.database.hold("evaluate", self.owner, now_ns, now_ns + _LEASE_ROUNDS * self.every_ns):
                return Round(evaluated=False)
            found = evaluate(self.rules, observations, history.state(self.database, "rules"), now_ns)
            changed = history.settle(self.database, "rules", found, self.rules.groups)
            own = judge_own(
                self.database,
                history.state(self.database, "own"),
                self.source,
                unreadable,
                tuple(self.channels),
                self.every_ns,
                now_ns,
            )
            changed += history.settle(self.database, "own", own, {})
            for change in changes if not unreadable else ():
                keep(self.database, change.as_event(), change.at_ns)
            self._fill(now_ns)
            history.prune(self.database, now_ns)
        if self.health is not None and not unreadable:
            self.health.told(changes)
        return Round(True, unreadable, changed, len(found.state.open) + len(own.state.open))

    def look(self, now_ns: int) -> int:
        """Look at the checklist of alerts that nobody looked at yet; of how many."""
        if self.probe is None or not self._mine(now_ns):
            return 0
        checklist = checklist_of(self.rules)
        looked = 0
        for one in history.kept(self.database, now_ns, lasting=True):
            items = [item for item in checklist.of(one.alert) if item.probe]
            if not items or history.checks_of(self.database, one.alert.id):
                continue
            checks = [self.probe(item, one.alert, self.rules, now_ns) for item in items]
            history.check(self.database, one.alert, checks, now_ns)
            looked += 1
        if looked:
            with self.database.writing():
                self._fill(now_ns)
        return looked

    def tell(self, now_ns: int, *, clock: Callable[[], int] | None = None) -> int:
        """Send what is due; how many messages were taken. `clock` tells the moment of each where sending takes time."""
        taken = 0
        channels = self.channels
        failed: set[str] = set()
        for _ in range(_MOST_MESSAGES):
            at_ns = clock() if clock is not None else now_ns
            names = [one for one in channels if one not in failed]
            message = outbox.claim(self.database, names, self.owner, at_ns, _SENDING_NS)
            if message is None:
                break
            channel = channels[message.channel]
            try:
                rendered = self._rendering().render(message, channel, at_ns)
                thread = self.deliver(channel, message, rendered)
            except Exception as problem:  # noqa: BLE001 - whatever a library does, the message waits and is tried again
                failed.add(channel.name)
                after = int(str(problem.data.get("after_ns", 0))) if isinstance(problem, NotSentError) else 0
                why = problem.message if isinstance(problem, LeadtraceError) else f"{type(problem).__name__}: {problem}"
                give_up = notify_of(self.rules).give_up_ns
                at_ns = clock() if clock is not None else now_ns
                outbox.failed(self.database, message, at_ns, why, after_ns=after, give_up_ns=give_up)
            else:
                outbox.sent(self.database, message, clock() if clock is not None else now_ns, thread)
                taken += 1
        return taken

    def hand_over(self, now_ns: int) -> str:
        """Send leadtrace's own events to the store; '' where none waits any more, else why."""
        return send_waiting(self.database, self.sink, now_ns)

    def end(self) -> None:
        """Give back what is held, so that another watcher need not wait."""
        self.database.let_go(self.owner)

    def side(self, alert: Alert) -> str:
        """Whose fault it is, as far as the checklist says."""
        checklist = checklist_of(self.rules)
        return side_at_fault(checklist.of(alert), history.checks_of(self.database, alert.id), checklist.otherwise)

    def _mine(self, now_ns: int) -> bool:
        with self.database.writing():
            return self.database.hold("evaluate", self.owner, now_ns, now_ns + _LEASE_ROUNDS * self.every_ns)

    def _fill(self, now_ns: int) -> None:
        outbox.fill(self.database, self.channels.values(), checklist_of(self.rules), now_ns)

    def _rendering(self) -> Messages:
        if self._messages is None:
            self._messages = Messages(notify_of(self.rules), checklist_of(self.rules), sides_of(self.rules))
        return self._messages


def run(
    watch: Watch,
    stop: threading.Event,
    *,
    once: bool = False,
    before: Callable[[], None] | None = None,
    told: Callable[[Round], None] | None = None,
    poll_s: float = 1.0,
) -> Round:
    """Go on until `stop` is set: evaluate every so often, tell and hand over in between. Gives the last round.

    `before` is called before each evaluation, `told` after it. A problem with the database ends it (`SourceError`), and
    nothing else does. With `once`, one round of everything.
    """
    due = 0
    while True:
        now_ns = time.time_ns()
        found = Round(evaluated=False)
        if now_ns >= due:
            due = now_ns + watch.every_ns
            if before is not None:
                before()
            found = watch.evaluate(now_ns)
            watch.tell(time.time_ns(), clock=time.time_ns)
            watch.look(time.time_ns())
            if told is not None:
                told(found)
        watch.tell(time.time_ns(), clock=time.time_ns)
        watch.hand_over(time.time_ns())
        if once or stop.wait(min(poll_s, max(0.0, (due - time.time_ns()) / _SECOND))):
            return found
