"""The engine: takes what is due, decides whether and by whom it is sent, sends it, and reads what comes back.

Its clock is a calendar that jumps from one thing that is due to the next. Telemetry has the real time; what the engine
plans (`defer_until`, `return_at`) is on its own calendar.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

import leadtrace as lt

from .ledger import Ledger
from .policy import decide, next_morning
from .provider import Inbound, Provider, ThrottledError
from .records import Enrollment, Execution, Records
from .senders import Adapter
from .spintax import MalformedError, render

__all__ = ["Engine", "Signal"]

_REST = timedelta(hours=20)
_ROUND = timedelta(minutes=30)
"""How often providers are asked what came in."""


@dataclass(frozen=True)
class Signal:
    """What the host learns about a sender from outside, such as a receiver's postmaster page."""

    at: datetime
    adapter: str
    health_state: str
    health_score: float
    source: str


class Engine:
    """One tenant's sequences, senders and providers."""

    def __init__(
        self, tenant: str, adapters: Iterable[Adapter], providers: Iterable[Provider], records: Records, start: datetime
    ) -> None:
        self.tenant = tenant
        self.adapters = {one.id: one for one in adapters}
        self.providers = {one.name: one for one in providers}
        self.records = records
        self.ledger = Ledger()
        self.now = start
        self._queue: list[tuple[datetime, int, Execution]] = []
        self._order = count()
        self._of_message: dict[str, Execution] = {}
        self._signals: list[Signal] = []

    # --- what is planned ---------------------------------------------------------------------------------------------

    def enroll(self, enrollment: Enrollment, at: datetime) -> None:
        """Plan a person's first message."""
        self._plan(Execution(f"{enrollment.id}_1", enrollment, 0, at), at)

    def expect(self, signals: Iterable[Signal]) -> None:
        """Signals from outside that come in on the way."""
        self._signals = sorted([*self._signals, *signals], key=lambda one: one.at)

    def _plan(self, execution: Execution, at: datetime) -> None:
        execution.due = at
        heapq.heappush(self._queue, (at, next(self._order), execution))

    def run(self, until: datetime) -> None:
        """Work off what is due up to then, in the order of time."""
        while self.now < until:
            ends = min(self.now + _ROUND, until)
            for signal in [one for one in self._signals if one.at <= ends]:
                self._signals.remove(signal)
                self._hear(signal)
            while self._queue and self._queue[0][0] <= ends:
                at, _, execution = heapq.heappop(self._queue)
                self.now = max(self.now, at)
                if execution.enrollment.state == "active":
                    self._dispatch(execution)
            self.now = ends
            self._wake()
            for provider in self.providers.values():
                for inbound in provider.due(self.now):
                    self._ingest(inbound, self._of_message[inbound.provider_message])

    # --- sending -----------------------------------------------------------------------------------------------------

    @lt.flow(
        "Outbound step",
        id="flow_outbound",
        version=1,
        lead_id=lt.arg.execution.enrollment.lead_id,
        tenant=lt.arg.self.tenant,
    )
    def _dispatch(self, execution: Execution) -> None:
        """One step of one person, as far as it gets today."""
        enrollment = execution.enrollment
        adapter = self._sender_for(execution)
        if adapter is None:
            return
        verdict = decide(adapter, enrollment.sequence.version, enrollment.sequence.max_share_pct, self.now)
        if verdict is not None:
            lt.emit(
                verdict.event,
                adapter_id=adapter.id,
                step_execution_id=execution.id,
                tenant=self.tenant,
                count=1,
                **verdict.told,
            )
            self.ledger.deferred[adapter.id, verdict.event] += 1
            self._plan(execution, verdict.until)
            return
        text = self._text(execution)
        try:
            provider_message = self._post(adapter, enrollment, text)
        except ThrottledError as refused:
            adapter.resting_until = self.now + refused.wait
            self._change(adapter, "resting", "throttled", adapter.provider)
            self._plan(execution, adapter.resting_until)
            return
        out_message = self.records.sent(provider_message, execution, adapter, self.now, text)
        adapter.note_sent(self.now, enrollment.sequence.version)
        self._of_message[provider_message] = execution
        lt.emit(
            "dispatch.sent",
            enrollment_id=enrollment.id,
            step_execution_id=execution.id,
            sequence_key=enrollment.sequence.key,
            step_key=execution.step.key,
            channel=adapter.channel,
            adapter_provider=adapter.provider,
            provider_message_id=provider_message,
            out_message_id=out_message,
            count=1,
        )
        self.ledger.sent[adapter.id] += 1
        if execution.number == 0:
            lt.move_to("contacted")
        self._next(execution)

    @lt.attempt("hand to provider", tenant=lt.arg.self.tenant)
    def _post(self, adapter: Adapter, enrollment: Enrollment, text: str) -> str:
        return self.providers[adapter.provider].send(adapter.id, enrollment.lead_id, text, self.now)

    def _next(self, execution: Execution) -> None:
        enrollment, number = execution.enrollment, execution.number + 1
        if number == len(enrollment.sequence.steps):
            enrollment.state = "finished"
            return
        wait = timedelta(days=enrollment.sequence.steps[number].after_days)
        self._plan(Execution(f"{enrollment.id}_{number + 1}", enrollment, number, self.now), self.now + wait)

    @lt.step("render", tenant=lt.arg.self.tenant)
    def _text(self, execution: Execution) -> str:
        """The text for this person; what is malformed goes out as it was written."""
        enrollment, text = execution.enrollment, execution.step.text
        window = f"{self.now:%Y-%m-%d}"
        try:
            made, warned = render(text, {"first_name": enrollment.first_name}, execution.id)
        except MalformedError as fault:
            lt.emit(
                "template.spintax_error",
                reason=str(fault),
                text=text,
                step_execution_id=execution.id,
                attempt_window=window,
                count=1,
            )
            self.ledger.spintax["error"] += 1
            return text
        for one in warned:
            lt.emit(
                "template.spintax_warning",
                reason=one.reason,
                token=one.token,
                step_execution_id=execution.id,
                attempt_window=window,
                count=1,
            )
            self.ledger.spintax["warning"] += 1
        return made

    # --- who sends ---------------------------------------------------------------------------------------------------

    def _sender_for(self, execution: Execution) -> Adapter | None:
        """The sender that the person is pinned to; another, where that one is gone and it may be another."""
        enrollment = execution.enrollment
        before = enrollment.adapter
        if before is not None and not before.gone:
            return before
        if before is not None and enrollment.sequence.keeps_sender:
            enrollment.state = "paused"
            lt.emit("enrollment.paused_pin_unavailable", enrollment_id=enrollment.id, adapter_id=before.id, count=1)
            self.ledger.paused[before.id] += 1
            lt.move_to("paused", reason="its sender is gone")
            return None
        chosen = enrollment.sequence.pool.choose(self.now.date())
        if chosen is None:
            pool = enrollment.sequence.pool
            lt.emit(
                "dispatch.pool_exhausted",
                pool_id=pool.id,
                sequence_version_id=enrollment.sequence.version,
                evicted_adapter_ids=[one.id for one in pool.evicted],
                tenant=self.tenant,
                count=1,
            )
            self.ledger.exhausted[pool.id] += 1
            self._plan(execution, next_morning(self.now))
            return None
        enrollment.adapter = chosen
        if before is None:
            lt.emit(
                "dispatch.adapter_pinned",
                enrollment_id=enrollment.id,
                sequence_version_id=enrollment.sequence.version,
                adapter_id=chosen.id,
                count=1,
            )
            self.ledger.pinned[chosen.id] += 1
        else:
            lt.emit(
                "enrollment.sender_reassigned",
                enrollment_id=enrollment.id,
                old_adapter_id=before.id,
                new_adapter_id=chosen.id,
                reason="sender suspended",
                count=1,
            )
            self.ledger.reassigned[before.id, chosen.id] += 1
        return chosen

    def _change(self, adapter: Adapter, to: str, reason: str, source: str) -> None:
        """A sender's health goes over to another state, once."""
        if adapter.health == to:
            return
        lt.emit(
            "health.state_changed",
            adapter_id=adapter.id,
            from_=adapter.health,
            to=to,
            reason=reason,
            source=source,
            tenant=self.tenant,
            count=1,
        )
        self.ledger.health.append((adapter.id, adapter.health, to))
        adapter.health = to
        if to == "resting" and (adapter.resting_until is None or adapter.resting_until <= self.now):
            adapter.resting_until = self.now + _REST

    def _wake(self) -> None:
        """Whoever has rested long enough may go on, with a clean record."""
        for adapter in self.adapters.values():
            if adapter.health == "resting" and adapter.resting_until is not None and adapter.resting_until <= self.now:
                adapter.resting_until = None
                adapter.outcomes.clear()
                self._change(adapter, "healthy", "rested", "engine")

    def _hear(self, signal: Signal) -> None:
        """A signal from outside is told as it came, and followed unless it would wake the dead."""
        adapter = self.adapters[signal.adapter]
        lt.emit(
            "health.external_signal",
            adapter_id=adapter.id,
            health_state=signal.health_state,
            health_score=signal.health_score,
            source=signal.source,
            tenant=self.tenant,
            count=1,
        )
        self.ledger.signals[adapter.id] += 1
        if not adapter.gone:
            self._change(adapter, signal.health_state, f"score {signal.health_score:g}", signal.source)

    # --- what comes back ---------------------------------------------------------------------------------------------

    @lt.flow(
        "Outbound reply",
        id="flow_inbound",
        version=1,
        lead_id=lt.arg.execution.enrollment.lead_id,
        tenant=lt.arg.self.tenant,
    )
    def _ingest(self, inbound: Inbound, execution: Execution) -> None:
        """Store it, once; then do what it asks for."""
        if not self.records.inbound(inbound.provider_event, inbound.provider_message, inbound.intent, inbound.at):
            return
        enrollment = execution.enrollment
        lt.emit(
            "ingest.inbound_message",
            provider=inbound.provider,
            provider_message_id=inbound.provider_message,
            provider_event_id=inbound.provider_event,
            step_execution_id=execution.id,
            intent=inbound.intent,
            count=1,
        )
        self.ledger.inbound[inbound.intent] += 1
        if inbound.intent == "bounce":
            self._bounced(enrollment)
        elif inbound.intent == "out_of_office" and inbound.return_at is not None:
            self._away(enrollment, inbound.return_at)
        elif enrollment.state in ("active", "finished", "paused"):
            enrollment.state = "replied" if inbound.intent == "interested" else "unsubscribed"
            lt.move_to(enrollment.state, final=True)

    def _bounced(self, enrollment: Enrollment) -> None:
        adapter = enrollment.adapter
        if enrollment.state in ("active", "finished"):
            enrollment.state = "bounced"
            lt.move_to("bounced", final=True)
        if adapter is not None:
            self._change(adapter, adapter.note_bounce(), "bounces", "engine")

    def _away(self, enrollment: Enrollment, return_at: datetime) -> None:
        """Whoever is away hears from us the morning after the day of return."""
        waiting = [one for _, _, one in self._queue if one.enrollment is enrollment]
        if enrollment.state != "active" or not waiting:
            return
        resume = next_morning(return_at)
        for execution in waiting:
            self._queue = [one for one in self._queue if one[2] is not execution]
            heapq.heapify(self._queue)
            self._plan(execution, max(execution.due, resume))
        lt.emit(
            "ingest.ooo_rescheduled",
            enrollment_id=enrollment.id,
            return_at=return_at,
            scheduled_for=max(one.due for one in waiting),
            count=1,
        )
        self.ledger.rescheduled += 1
