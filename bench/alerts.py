"""How soon each kind of rule tells a known incident over a quarter of made-up traffic, and how often it tells none.

    python bench/alerts.py [--seed 1] [--days 91] [--every 5]

Eight weeks of history, then a quarter, in a real embedded store: two campaign groups (one open always, one in office hours with
holidays), an enhancement, a buyer, samples of a queue, changes of health, credentials, a periodic error. Incidents are
planted at random times and known. The rules are replayed as `leadtrace alerts test` does, and beside each kind stands a naive
fixed threshold over the same observations: no opening hours, no hour of the week, no minimum sample, no chance, no hold time.
An alarm is false where it overlaps no incident that its rule could see, the half hour after one included.
"""

from __future__ import annotations

import argparse
import datetime
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "alerts"))

from alerts_story import Story, berlin

from leadtrace.alerts.asking import Asking
from leadtrace.alerts.durations import added, how_many, quantile
from leadtrace.alerts.gathering import observe
from leadtrace.alerts.learning import History, Learnt, refresh
from leadtrace.alerts.model import Observations, State
from leadtrace.alerts.replay import play
from leadtrace.alerts.rules import DAY, HOUR, MINUTE, Rules
from leadtrace.alerts.rules_file import loads
from leadtrace.alerts.spoken import span_text
from leadtrace.otlp.records import EventRecord, Resource
from leadtrace.store.embedded import EmbeddedStore

RULES = """
timezone = "Europe/Berlin"
country = "DE"
currency = "EUR"

[groups.brand]
kind = "campaign_group"
values = "Brand Search"
value_per_lead = 40
country = ""

[groups.office]
kind = "campaign_group"
values = "Office"
value_per_lead = 40
[groups.office.hours]
mon-fri = "09:00-18:00"

[groups.acme]
kind = "buyer"
values = "Acme"
country = ""

[groups.phone]
kind = "enhancement"
values = "TeleCheck"
country = ""

[credentials.google]
expires = {expires}

[rules.absence]
kind = "absence"
groups = ["brand", "office"]
window = "1h"

[rules.too_few]
kind = "too_few"
groups = ["brand", "office"]
window = "2h"

[rules.budget]
kind = "budget"
groups = ["brand", "office"]
window = "4h"
above = 800

[rules.error_spike]
kind = "error_spike"
groups = "acme"
window = "1h"
min_sample = 10

[rules.enhancement_degraded]
kind = "enhancement_degraded"
groups = "phone"
window = "1h"
min_sample = 10

[rules.slowdown]
kind = "slowdown"
groups = "brand"
window = "1h"
min_sample = 10
factor = 1.6

[rules.capacity]
kind = "capacity"
above = 0.9

[rules.health_state]
kind = "health_state"
keep_firing = "0s"

[rules.expiry]
kind = "expiry"
before = "7d"

[rules.custom]
kind = "custom"
report = "frequency"
column = "events"
where = {{ name = "lead.declined" }}
at_most = 16
window = "4h"
"""


@dataclass(frozen=True)
class Planted:
    """One incident: what it is, where, and when."""

    what: str
    group: str
    start_ns: int
    end_ns: int


@dataclass
class Alarm:
    group: str
    fired_ns: int
    ended_ns: int


SEES = {
    "absence": ("silent",),
    "too_few": ("silent", "thin"),
    "budget": ("silent", "thin"),
    "error_spike": ("failing",),
    "enhancement_degraded": ("failing", "slow"),
    "slowdown": ("slow",),
    "capacity": ("full",),
    "health_state": ("crisis",),
    "expiry": ("date", "error"),
    "custom": ("declined",),
}
"""Which incidents each kind could see."""


def plan(chance: random.Random, since: int, days: int) -> list[Planted]:
    """Incidents at random times, none within a day of another on the same thing."""
    found: list[Planted] = []

    def plant(what: str, group: str, many: int, hours: tuple[float, float], *, office: bool = False) -> None:
        for _ in range(max(1, many * days // 91)):
            while True:
                start = since + chance.randrange(days * 24) * HOUR
                length = round(chance.uniform(*hours) * 4) * (HOUR // 4)
                local = datetime.datetime.fromtimestamp(start // 1_000_000_000, datetime.UTC)
                if office and not (local.weekday() < 5 and 8 <= local.hour < 12):
                    continue
                near = (
                    one
                    for one in found
                    if one.group == group and start - DAY < one.end_ns and one.start_ns < start + length + DAY
                )
                if not any(near) and start + length < since + days * DAY:
                    break
            found.append(Planted(what, group, start, start + length))

    plant("silent", "brand", 8, (1.5, 6))
    plant("silent", "office", 5, (2, 4), office=True)
    plant("thin", "brand", 8, (4, 8))
    plant("failing", "work", 8, (1.5, 4))
    plant("slow", "work", 8, (1.5, 4))
    plant("full", "crm:queue_depth", 6, (0.5, 3))
    plant("crisis", "crm", 4, (0.5, 5))
    plant("declined", "", 5, (4, 8))
    return found


def events_of(
    planted: list[Planted], seed: int, begin: int, since: int, days: int, rules: Rules
) -> Iterator[EventRecord]:
    """All records, in no order."""
    chance = random.Random(seed)
    whole = (since - begin) // DAY + days
    for group, values, rate, spread in (("brand", "Brand Search", 14.0, 0.05), ("office", "Office", 9.0, 0.05)):
        calendar = rules.groups[group].calendar if group == "office" else None
        story = Story(seed, begin, whole, rate, values, spread=spread, calendar=calendar)
        for one in planted:
            if one.what == "silent" and one.group == group:
                story.silent.append((one.start_ns, one.end_ns))
            if one.what == "thin" and one.group == group:
                story.thin.append((one.start_ns, one.end_ns, 0.25))
            if one.what == "failing":
                story.failing.append((one.start_ns, one.end_ns, 0.4))
            if one.what == "slow":
                story.slow.append((one.start_ns, one.end_ns, 3.0))
        yield from story.events()
    crm = Resource({"service.name": "crm"})
    for at in range(begin, since + days * DAY, 5 * MINUTE):
        full = any(one.what == "full" and one.start_ns <= at < one.end_ns for one in planted)
        used = chance.gauss(96, 1.5) if full else 50 + 15 * ((at // HOUR) % 24 in range(8, 18)) + chance.gauss(0, 6)
        if not full and chance.random() < 0.002:
            used = 97  # a burst that is gone with the next sample
        told = {"system.capacity.queue_depth": max(0, round(used)), "system.capacity.queue_depth_max": 100}
        yield EventRecord("system.capacity.sampled", at + MINUTE, attributes=told, resource=crm)
    for one in planted:
        if one.what == "crisis":
            yield EventRecord(
                "system.health.changed", one.start_ns, attributes={"system.health.to": "crisis"}, resource=crm
            )
            yield EventRecord(
                "system.health.changed", one.end_ns, attributes={"system.health.to": "healthy"}, resource=crm
            )
    number = 0
    for at in range(since - DAY, since + days * DAY, HOUR):
        many = any(one.what == "declined" and one.start_ns <= at < one.end_ns for one in planted)
        for _ in range(12 if many else chance.choice((0, 1, 1, 2))):
            number += 1
            yield EventRecord(
                "lead.declined", at + chance.randrange(HOUR), attributes={"lead.id": f"declined-{number}"}, resource=crm
            )
    for at in range(begin + DAY, since + days * DAY, 14 * DAY):
        for more in range(20):
            yield EventRecord(
                "error.occurred", at + more * MINUTE, attributes={"error.fingerprint": "token-expired"}, resource=crm
            )


Naive = Callable[[Observations, str, int], bool]


def naive_rules() -> dict[str, tuple[str, tuple[str, ...], Naive]]:
    """A fixed threshold of each kind, as one would write it by looking at the mean; with what it says, and of whom."""

    def count(seen: Observations, group: str, now: int, window: int) -> int:
        return seen.series["leads", group].within(now - window, now).count

    def share(seen: Observations, group: str, now: int) -> float:
        sums = seen.series["outcomes", group].within(now - HOUR, now)
        return sums.bad / sums.count if sums.count else 0.0

    def p95(seen: Observations, group: str, now: int) -> float:
        bins = added(one.bins for one in seen.series["durations", group].between(now - HOUR, now))
        return quantile(bins, 0.95) if how_many(bins) else 0.0

    def mean_of(group: str) -> float:
        return 13.0 if group == "brand" else 9.0

    def full(seen: Observations, group: str, now: int) -> bool:
        point = seen.series["capacity", group].last_before(now)
        return point is not None and point.value > 0.9

    return {
        "absence": (
            "no lead for 1 h, closed or not",
            ("brand", "office"),
            lambda s, g, n: count(s, g, n, HOUR) == 0,
        ),
        "too_few": (
            "fewer than a third of the mean in 2 h",
            ("brand", "office"),
            lambda s, g, n: count(s, g, n, 2 * HOUR) < mean_of(g) * 2 / 3,
        ),
        "budget": (
            "mean less observed in 4 h, times 40 EUR, above 800 EUR",
            ("brand", "office"),
            lambda s, g, n: (mean_of(g) * 4 - count(s, g, n, 4 * HOUR)) * 40 > 800,
        ),
        "error_spike": ("more than 10 % of the last hour failed", ("acme",), lambda s, g, n: share(s, g, n) > 0.1),
        "enhancement_degraded": (
            "more than 10 % failed, or p95 above 500 ms",
            ("phone",),
            lambda s, g, n: share(s, g, n) > 0.1 or p95(s, g, n) > 500,
        ),
        "slowdown": ("p95 of the last hour above 600 ms", ("brand",), lambda s, g, n: p95(s, g, n) > 600),
        "capacity": ("the last sample above 90 %", ("crm:queue_depth",), full),
    }


def alarms_of(naive: Naive, groups: tuple[str, ...], seen: Observations, moments: range) -> list[Alarm]:
    """Each time that the threshold is crossed is an alarm."""
    found = []
    for group in groups:
        open_: Alarm | None = None
        for now in moments:
            holds = naive(seen, group, now)
            if holds and open_ is None:
                open_ = Alarm(group, now, 0)
                found.append(open_)
            elif not holds and open_ is not None:
                open_.ended_ns, open_ = now, None
    return found


def judge(alarms: list[Alarm], incidents: list[Planted], until: int) -> tuple[int, list[int], int]:
    """How many incidents were told while they lasted, how long after they began, and how many alarms tell none."""
    delays, used = [], set()
    for one in incidents:
        overlapping = [
            number
            for number, alarm in enumerate(alarms)
            if _same(alarm.group, one)
            and alarm.fired_ns < one.end_ns + HOUR // 2
            and (alarm.ended_ns or until) > one.start_ns
        ]
        used.update(overlapping)
        told = [alarms[number].fired_ns for number in overlapping if alarms[number].fired_ns < one.end_ns]
        if told:
            delays.append(max(0, min(told) - one.start_ns))
    return len(delays), delays, len(alarms) - len(used)


def _same(group: str, incident: Planted) -> bool:
    return incident.group in (group, "work", "") or incident.what in ("date", "error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=91)
    parser.add_argument("--every", type=int, default=5, help="minutes between two looks")
    asked = parser.parse_args()
    since = berlin("2026-03-01T01:00")
    begin, until = since - 56 * DAY, since + asked.days * DAY
    expires = datetime.datetime.fromtimestamp(since // 10**9, datetime.UTC) + datetime.timedelta(days=asked.days // 2)
    rules = loads(RULES.format(expires=expires.date()))
    planted = plan(random.Random(asked.seed), since, asked.days)
    ends = rules.credentials["google"].expires_ns
    planted.append(Planted("date", "google", ends - 7 * DAY, until))
    planted += [
        Planted("error", "error:token-expired", at - 7 * DAY, at + DAY)
        for at in range(begin + DAY + 4 * 14 * DAY, until, 14 * DAY)
        if at - 7 * DAY >= since
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        started = time.monotonic()
        events = sorted(events_of(planted, asked.seed, begin, since, asked.days, rules), key=lambda one: one.time_ns)
        store = EmbeddedStore.open(path, write=True)
        for first in range(0, len(events), 5_000):
            store.append([], events[first : first + 5_000])
        store.close()
        print(f"{len(events):,} events written in {time.monotonic() - started:.0f} s", file=sys.stderr)
        started = time.monotonic()
        store = EmbeddedStore.open(path)
        asking = Asking(store)
        history = refresh(asking, rules, History(), until, since)
        seen = observe(asking, rules, Learnt(), State(), until, since)
        print(f"gathered in {time.monotonic() - started:.0f} s", file=sys.stderr)
        started = time.monotonic()
        played = play(rules, history, seen, since, until, asked.every * MINUTE)
        took = time.monotonic() - started
        print(f"{played.evaluations:,} evaluations in {took:.0f} s", file=sys.stderr)
        store.close()
    moments = range(since, until, asked.every * MINUTE)
    naive = naive_rules()
    print("| kind | incidents | told | delay p50 / worst | false | naive | told | delay p50 / worst | false |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, what in SEES.items():
        groups = rules.rules[kind].groups
        incidents = [
            one
            for one in planted
            if one.what in what and (one.group in ("work", "") or not groups or one.group in groups)
        ]
        alarms = [
            Alarm(one.alert.group, one.alert.fired_ns, one.alert.resolved_ns)
            for one in played.incidents
            if one.alert.rule == kind
        ]
        cells = [kind, str(len(incidents)), *_cells(judge(alarms, incidents, until))]
        if kind in naive:
            text, of, rule = naive[kind]
            cells += [text, *_cells(judge(alarms_of(rule, of, seen, moments), incidents, until))]
        else:
            cells += ["none: there is nothing to compare", "", "", ""]
        print(f"| {' | '.join(cells)} |")


def _cells(judged: tuple[int, list[int], int]) -> list[str]:
    told, delays, false = judged
    return [str(told), f"{span_text(int(median(delays)))} / {span_text(max(delays))}" if delays else "", str(false)]


if __name__ == "__main__":
    main()
