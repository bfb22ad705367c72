"""Whatever happens in whatever order: each alert's beginning is told once, its end once and after it, in its thread."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from watch_world import RULES, World

from leadtrace.alerts.history import kept
from leadtrace.alerts.rules import MINUTE
from leadtrace.alerts.rules_file import loads

STEPS = st.lists(
    st.sampled_from(["wait", "long", "lead", "other", "restart", "fail", "work", "blind", "see", "second"]),
    min_size=5,
    max_size=14,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_each_beginning_and_end_is_told_once_in_its_order(tmp_path_factory, steps: list[str]) -> None:
    folder: Path = tmp_path_factory.mktemp("world")
    world = World(folder / "a.alerts.db", loads(RULES))
    world.lead("brand", "search")
    watch = world.watch("here/1/1")
    number = 1
    for step in steps:
        match step:
            case "wait":
                world.now_ns += 7 * MINUTE
            case "long":
                world.now_ns += 64 * MINUTE
            case "lead":
                world.lead("brand", "search")
            case "other":
                world.lead("search")
            case "restart" | "second":
                if step == "restart":
                    watch.database.close()
                    world.watches.remove(watch)
                number += 1
                watch = world.watch(f"here/{number}/{number}")
            case "fail":
                world.told.failing["team"] = "no"
            case "work":
                world.told.failing.clear()
            case "blind":
                world.unreadable = "no"
            case "see":
                world.unreadable = ""
        world.now_ns += 1_000_000_000
        world.round(watch)
    world.told.failing.clear()
    world.unreadable = ""
    for _ in range(6):
        world.now_ns += 6 * MINUTE
        world.round(watch)

    told: dict[str, list[str]] = defaultdict(list)
    threads: dict[str, set[str]] = defaultdict(set)
    rows = watch.database.run(
        "SELECT what, state, json_extract(body, '$.alerts'), beginning, number FROM outbox ORDER BY number"
    )
    for what, state, alerts, beginning, number in rows:
        assert state == "sent"
        for one in json.loads(alerts):
            told[one["id"]].append(what)
            threads[one["id"]].add(str(beginning or number))
    for one in kept(watch.database, world.now_ns):
        wanted = ["fired", "resolved"] if one.alert.resolved_ns else ["fired"]
        if one.alert.rule == "leadtrace.channel":
            continue  # of the only channel: nobody could be told
        assert [what for what in told[one.alert.id] if what != "repeated"] == wanted
        assert len(threads[one.alert.id]) == 1
    for one in world.watches:
        one.database.close()
