"""An application that is killed at random: each round a process of its own, which tells every receipt that said `saved`.

    python fault_application.py JOURNAL ENDPOINT RECEIPTS ROUNDS SEED [LONGEST_MS]

The rounds are forked from one interpreter, so that a round costs milliseconds; nothing of leadtrace runs before the fork.
A child writes `uid lead name` into RECEIPTS, with one write, after `append` has said that the record is saved; a process
that dies in between has promised nothing about it to anybody.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import opentelemetry.sdk.trace  # noqa: F401 - what `configure()` imports, so that a round costs no import
import urllib3  # noqa: F401

import leadtrace as lt
import leadtrace.journal.over_http
import leadtrace.setup
from leadtrace import catalogue
from leadtrace.journal.disk import JournalSink
from leadtrace.otlp import clock
from leadtrace.otlp.peek import peek_log

catalogue.load()
REAL_NS = time.time_ns


def telling(receipts: int) -> None:
    """Have every saved log record written down."""
    append = JournalSink.append

    def told(self, signal_, record, *, uid="", opens=0, closes=0):
        answer = append(self, signal_, record, uid=uid, opens=opens, closes=closes)
        if answer.saved and uid:
            seen = peek_log(record)
            os.write(receipts, f"{uid} {seen.attributes.get('lead.id', '-')} {seen.name}\n".encode())
        return answer

    JournalSink.append = told


@lt.enhancement("Phone Intelligence", service="TrueCaller ID", cost=0.02)
def check(lead: str) -> dict:
    return {"phone_type": "mobile"}


@lt.delivery(buyer="Acme", answer=lambda _: lt.accepted(revenue=12.5))
def deliver(lead: str) -> str:
    return post(lead)


@lt.attempt("POST lead")
def post(lead: str) -> str:
    return "taken"


@lt.flow("Flow", lead_id=lt.arg.lead)
def process(lead: str) -> None:
    lt.move_to("received")
    check(lead)
    with lt.step("route") as step:
        step.emit("low.confidence.detected", confidence_score=0.4, threshold=0.7)
    deliver(lead)
    lt.move_to("delivered", final=True)


def work(journal: str, endpoint: str, receipts: int, number: int, leads: int, ready: int = -1) -> None:
    telling(receipts)
    if os.environ.get("FAULT_CLOCK"):
        clock._CHECK_EVERY_NS = 0
    setup = lt.configure(
        endpoint=endpoint, journal=journal, service_name="faulty", journal_max=os.environ.get("FAULT_MAX")
    )
    jumps = {leads // 3: 3_600, leads * 2 // 3: -7_200} if os.environ.get("FAULT_CLOCK") else {}
    for count in range(leads):
        if count in jumps:
            jump(jumps[count])
        if ready >= 0 and count == (number % 8 > 1):  # some are killed before their first lead
            os.write(ready, b"x")
        process(f"lead_{number:04d}_{count:06d}")
    setup.shutdown(float(os.environ.get("FAULT_SHUTDOWN_S", "5")))


def jump(seconds: int) -> None:
    """What a step of the machine's clock is to this process; it looks at the clock at once."""
    clock._CHECK_EVERY_NS = 0
    time.time_ns = lambda: REAL_NS() + seconds * 10**9


def rounds(journal: str, endpoint: str, receipts: str, count: int, seed: int, longest_ms: float) -> None:
    chance = random.Random(seed)
    sink = os.open(receipts, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(count):
        ready, started = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ready)
            if number % 8 == 0:  # some are killed while they set themselves up
                os.write(started, b"x")
            work(journal, endpoint, sink, number, 1_000_000, started)
            os._exit(1)
        os.close(started)
        os.read(ready, 1)
        os.close(ready)
        time.sleep(chance.uniform(0, longest_ms) / 1000)  # the fault itself: a random moment
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    where, to, told, how_many, start = sys.argv[1:6]
    if how_many == "once":
        work(where, to, os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), int(start), int(sys.argv[6]))
    else:
        rounds(where, to, told, int(how_many), int(start), float(sys.argv[6]) if len(sys.argv) > 6 else 60.0)
