"""`send_waiting` and `sending`: the senders are called with what waits, each platform on its own.

    bring in ─► claim the oldest that is due ─► the user's sender ─► what came of it, written down ─► told ─► the next

A claim and what came of the one before are one step on the disk. What was claimed by a process that died comes back with
the same id and `resend`; while a process lives, nobody else sends what it has in hand.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
import random
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leadtrace.errors import SettingsError, StrictError
from leadtrace.otlp.lead_event import Problem, Settled, Telling
from leadtrace.words import runtime
from leadtrace.words.events import recorded_event
from leadtrace.words.guard import trouble
from leadtrace.words.payloads import check_payload, checks_for
from leadtrace.words.sender import Said, Sender, senders, what_was_raised, what_was_said

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from leadtrace.otlp.lead_event import Claimed, LeadEvents

__all__ = ["SendResult", "Sending", "send_waiting", "sending"]

_log = logging.getLogger("leadtrace")
_LOOK_AGAIN_S = 0.5
"""How often a background thread looks for what other processes kept."""
_AFTER_TROUBLE_S = 1.0


@dataclass(slots=True)
class SendResult:
    """What a call of `send_waiting` did, in lead events and platforms."""

    sent: int = 0
    failed: int = 0
    """Failed tries; each comes again."""
    quarantined: int = 0
    """Refused for good, or malformed after a release."""
    waiting: int = 0
    """Left for another time."""


def send_waiting(
    destination: str | Iterable[str] | None = None, limit: int | None = None, timeout_s: float | None = None
) -> SendResult:
    """Call the senders with all that is due now, the oldest first, and return; for workers and cron jobs.

    destination: the platform, or several; left out, all that have a sender in this process. Each platform has a thread of
    its own, so that a slow one does not hold up another; a single one is sent to from the calling thread.
    limit: at most so many calls of senders. timeout_s: begin no further one after so many seconds.

    What fails now is tried again by a later call, once its wait is over. Raises `SettingsError` where a platform has no
    sender, before `lt.configure()`, and on a running event loop: call it by `asyncio.to_thread(lt.send_waiting)` there.
    """
    path = _path("lt.send_waiting()")
    named = _named(destination, "lt.send_waiting")
    if _on_event_loop():
        raise SettingsError(
            "lt.send_waiting() waits for platforms, which would hold up the running event loop: "
            "await asyncio.to_thread(lt.send_waiting)"
        )
    until = time.monotonic() + timeout_s if timeout_s is not None else None
    work = _Work(SendResult(), limit, until)
    if named:
        _bring_in(path)
    lanes = [_Lane(path, senders[one], work) for one in named]
    if len(lanes) == 1:
        lanes[0].run()
    elif lanes:
        _together(lanes, work)
    work.result.waiting = path.waiting(named)
    return work.result


class Sending:
    """Threads that send what waits, one for each platform, until the block ends."""

    def __init__(self, destinations: Sequence[str]) -> None:
        self.destinations = tuple(destinations)
        self._work = _Work(SendResult(), None, None)
        self._threads: list[threading.Thread] = []

    @property
    def result(self) -> SendResult:
        """What was done so far; `waiting` is not counted here."""
        return self._work.result

    def __enter__(self) -> Sending:
        for one in self.destinations:
            thread = threading.Thread(target=self._run, args=(one,), name=f"leadtrace-send-{one}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Begin nothing more; false where a sender takes longer than that: what it sends comes again, as a resend."""
        self._work.stop.set()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, destination: str) -> None:
        said = ""
        while not self._work.stop.is_set():
            wait_s = _AFTER_TROUBLE_S
            running = runtime.current()
            path = running.lead_events if running is not None else None
            version = path.version if path is not None else 0
            try:
                if path is not None:
                    _bring_in(path)
                    _Lane(path, senders[destination], self._work).run()
                    due_s = path.due_in_s(destination)
                    wait_s = min(_LOOK_AGAIN_S if due_s is None else due_s, _LOOK_AGAIN_S)
                said = ""
            except Exception as problem:  # noqa: BLE001 - whatever it is, the sending goes on
                if said != str(problem):
                    said = str(problem)
                    _log.warning("leadtrace: lead events for %s are not sent now: %s", destination, said)
            if path is not None:
                self._wait(path, version, wait_s)
            else:
                self._work.stop.wait(wait_s)

    def _wait(self, path: LeadEvents, version: int, wait_s: float) -> None:
        """Until more is kept, something is due, or the end: looked at in short steps, so that `stop` is quick."""
        until = time.monotonic() + max(wait_s, 0.01)
        while not self._work.stop.is_set() and path.version == version:
            left = until - time.monotonic()
            if left <= 0:
                return
            path.wait(version, min(left, 0.1))


def sending(destination: str | Iterable[str] | None = None) -> Sending:
    """Send what waits in the background while the block runs: `with lt.configure(), lt.sending(): serve()`.

    One thread for each platform: the one named, or all that have a sender in this process by now. What other processes
    keep in the same journal is sent too; any number of processes may do so beside each other. A process that forks
    begins again in its children.
    """
    _path("lt.sending()")
    named = _named(destination, "lt.sending")
    if not named:
        raise SettingsError('lt.sending() has nothing to call: mark functions with @lt.sender("PLATFORM") before')
    return Sending(named)


@dataclass(slots=True)
class _Work:
    """What the lanes of one call share."""

    result: SendResult
    limit: int | None
    until: float | None
    stop: threading.Event
    lock: threading.Lock

    def __init__(self, result: SendResult, limit: int | None, until: float | None) -> None:
        self.result, self.limit, self.until = result, limit, until
        self.stop, self.lock = threading.Event(), threading.Lock()

    def may_begin(self) -> bool:
        """Whether another try may begin; it counts against the limit with this."""
        if self.stop.is_set() or (self.until is not None and time.monotonic() >= self.until):
            return False
        with self.lock:
            if self.limit is not None:
                if self.limit <= 0:
                    return False
                self.limit -= 1
        return True

    def give_back(self) -> None:
        """The try that was allowed found nothing to send."""
        with self.lock:
            if self.limit is not None:
                self.limit += 1

    def count(self, outcome: str) -> None:
        with self.lock:
            setattr(self.result, outcome, getattr(self.result, outcome) + 1)


class _Lane:
    """One platform's sender, called until nothing is due."""

    def __init__(self, path: LeadEvents, by: Sender, work: _Work) -> None:
        self._path = path
        self._by = by
        self._work = work
        self._loop: Any = None

    def run(self) -> None:
        settled: Settled | None = None
        told: list[str] = []
        try:
            while self._work.may_begin():
                turn = self._path.turn(self._by.destination, settled, told)
                settled = None
                told = _tell(turn.tellings)
                if turn.claimed is None:
                    self._work.give_back()
                    break
                settled = self._one(turn.claimed)
        finally:
            if self._loop is not None:
                self._loop.close()
            _wind_up(self._path, settled, told)

    def _one(self, claimed: Claimed) -> Settled:
        """One try, and what came of it; what interrupts it is written down, too, and goes on."""
        payload = claimed.content.payload
        if claimed.check_again and (wrong := _check_again(claimed)) is not None:
            said = Said("refused", wrong.reason, wrong.field)
        else:
            try:
                answer = self._by.call(payload, claimed.event)
                if inspect.isawaitable(answer):
                    answer = self._wait_for(answer)
                said = what_was_said(answer, self._by, payload)
            except Exception as problem:  # noqa: BLE001 - a sender fails in its own way; that is a failed try
                said = what_was_raised(problem, self._by, payload)
            except BaseException as problem:
                said = Said("failed", "interrupted", error_type=type(problem).__name__, may_be_sent=True)
                _wind_up(self._path, _settled(claimed, said, self._by, self._path.location), [])
                raise
        settled = _settled(claimed, said, self._by, self._path.location)
        self._work.count(settled.outcome)
        return settled

    def _wait_for(self, answer: Any) -> object:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.Runner()
        if inspect.iscoroutine(answer):
            return self._loop.run(answer)

        async def wait() -> object:
            return await answer

        return self._loop.run(wait())


def _settled(claimed: Claimed, said: Said, by: Sender, location: str) -> Settled:
    """What to write down of a try, and the event that tells it."""
    event = claimed.event
    now = runtime.active().clock.now()
    gave_up = said.outcome == "failed" and by.max_attempts is not None and event.attempt >= by.max_attempts
    if said.outcome == "sent":
        telling = Telling.of(
            "lead.event.sent", now, event, claimed.lead_id, claimed.fields, resend=True if event.resend else None
        )
        return Settled(claimed.number, "sent", telling)
    common = {"error_type": said.error_type, "http_response_status_code": said.status or None}
    if said.outcome == "refused" or gave_up:
        reason = f"failed {event.attempt} times: {said.reason}" if gave_up else said.reason
        telling = Telling.of(
            "lead.event.quarantined",
            now,
            event,
            claimed.lead_id,
            claimed.fields,
            reason=reason,
            field=said.field,
            location=location,
        )
        return Settled(claimed.number, "quarantined", telling, reason, said.field, said.status)
    telling = Telling.of("lead.event.failed", now, event, claimed.lead_id, claimed.fields, reason=said.reason, **common)
    wait_s = min(by.first_wait_s * 2.0 ** min(event.attempt - 1, 60), by.longest_wait_s)
    wait_s *= random.uniform(0.5, 1.0)  # noqa: S311 - so that those that failed together do not come back together
    wall = time.time_ns()
    return Settled(
        claimed.number,
        "failed",
        telling,
        said.reason,
        said.field,
        said.status,
        due_ns=wall + int(max(wait_s, said.after_s or 0.0) * 1e9),
        pause_until_ns=wall + int(said.after_s * 1e9) if said.after_s else 0,
        platform_failed=said.platform_failed,
        may_be_sent=said.may_be_sent,
    )


def _check_again(claimed: Claimed) -> Problem | None:
    for check in checks_for(claimed.event.type, claimed.event.destination):
        if (wrong := check_payload(claimed.content.payload, check)) is not None:
            return wrong
    return None


def _tell(tellings: Sequence[Telling]) -> list[str]:
    """Tell these events under the uids that they were given; gives the uids, told or not."""
    for one in tellings:
        try:
            recorded_event(
                None,
                one.name,
                one.fields,
                None,
                one.lead_id or None,
                one.tenant,
                uid=one.uid,
                time_ns=one.time_ns,
            )
        except StrictError as wrong:
            if one.lead_id:
                raise
            _log.warning("%s", wrong)  # it came in without a lead, where that was no mistake
        except Exception as problem:  # noqa: BLE001 - what was sent is sent, told or not
            trouble("lead events", problem)
    return [one.uid for one in tellings]


def _bring_in(path: LeadEvents) -> None:
    _wind_up(path, None, _tell(path.bring_in()))


def _wind_up(path: LeadEvents, settled: Settled | None, told: list[str]) -> None:
    """Write down and tell what is left, until nothing is."""
    while settled is not None or told:
        tellings = path.settle(settled, told).tellings
        settled, told = None, _tell(tellings)


def _path(what: str) -> LeadEvents:
    running = runtime.current()
    if running is None or running.lead_events is None:
        raise SettingsError(f"{what} needs lt.configure() before it: it says where lead events are kept")
    return running.lead_events


def _named(destination: str | Iterable[str] | None, what: str) -> list[str]:
    if destination is None:
        return list(senders)
    named = [destination] if isinstance(destination, str) else list(destination)
    for one in named:
        if one not in senders:
            there = ", ".join(senders) or "none"
            raise SettingsError(f"{what}: {one!r} has no sender here; @lt.sender({one!r}) marks it", senders=there)
    return list(dict.fromkeys(named))


def _on_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def _together(lanes: Sequence[_Lane], work: _Work) -> None:
    """Each lane on a thread of its own; what interrupts the waiting stops them all. The first failure is raised."""
    failures: list[BaseException] = []

    def run(lane: _Lane) -> None:
        try:
            lane.run()
        except BaseException as problem:  # noqa: BLE001 - raised below, on the calling thread
            failures.append(problem)

    context = contextvars.copy_context()
    threads = [threading.Thread(target=context.copy().run, args=(run, one), daemon=True) for one in lanes]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        work.stop.set()
        raise
    if failures:
        raise failures[0]
