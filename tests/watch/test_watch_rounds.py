"""The watch's rounds: what is told, once, in order, across restarts, failures and several watchers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from click.testing import CliRunner
from watch_world import NOON, RULES, World

from leadtrace.alerts.checklist import Check
from leadtrace.alerts.history import acknowledge, check, kept, silence
from leadtrace.alerts.rules import MINUTE
from leadtrace.cli import main
from leadtrace.otlp.decode import decode_logs


def test_a_silence_is_told_once_and_its_end_in_the_thread_of_its_beginning(world: World) -> None:
    world.watch()
    world.minutes(50, step=10)
    world.minutes(9)
    world.lead("search")
    assert world.told.take() == []
    world.minutes(3)
    assert world.told.take() == [("team", "fired", ("brand",), "")]
    world.minutes(30)
    assert world.told.take() == []
    world.lead("brand")
    world.minutes(2)
    assert world.told.take() == [("team", "resolved", ("brand",), "1.0001")]
    (one,) = kept(world.watches[0].database, world.now_ns)
    assert (one.alert.began_ns, one.alert.ended_ns) == (NOON, NOON + 92 * MINUTE)


def test_what_falls_silent_at_one_moment_is_one_message(world: World) -> None:
    world.watch()
    world.minutes(60, step=15)
    world.minutes(2)
    assert world.told.take() == [("team", "fired", ("brand", "search"), "")]
    world.lead("search")
    world.minutes(2)
    assert world.told.take() == [("team", "resolved", ("search",), "1.0001")]


def test_a_watch_that_begins_anew_tells_nothing_twice_and_knows_the_thread(world: World) -> None:
    world.watch()
    world.minutes(60, step=15)
    world.minutes(2)
    world.watches.pop().database.close()
    world.watch("here/2/2")
    world.lead("search")
    world.minutes(30, step=5)
    world.lead("brand")
    world.minutes(2)
    assert [(what, groups, thread) for _, what, groups, thread in world.told.take()] == [
        ("fired", ("brand", "search"), ""),
        ("resolved", ("search",), "1.0001"),
        ("resolved", ("brand",), "1.0001"),
    ]


def test_of_two_watchers_one_evaluates_and_each_message_is_sent_by_one(world: World) -> None:
    """Owners on another machine count as alive until their time is over."""
    first, second = world.watch("elsewhere/1/1"), world.watch("elsewhere/2/2")
    for _ in range(70):
        world.now_ns += MINUTE
        rounds = [one.evaluate(world.now_ns) for one in (first, second)]
        assert [one.evaluated for one in rounds] == [True, False]
        first.tell(world.now_ns)
        second.tell(world.now_ns)
    assert world.told.take() == [("team", "fired", ("brand", "search"), "")]


def test_a_watcher_whose_machine_died_is_followed_by_the_other_once_its_time_is_over(world: World) -> None:
    first, second = world.watch("elsewhere/1/1"), world.watch("elsewhere/2/2")
    world.minutes(50, first, step=10)
    world.minutes(1, second)
    world.minutes(15, second)
    assert world.told.take() == [("team", "fired", ("brand", "search"), "")]


def test_a_message_whose_sender_died_is_sent_by_another_watcher(world: World) -> None:
    """This machine's process 999999999 is known not to live; one of another machine has its minute."""
    import socket

    from leadtrace.alerts import outbox

    watch = world.watch()
    world.now_ns += 62 * MINUTE
    watch.evaluate(world.now_ns)
    dead = f"{socket.gethostname()}/999999999/1.00"
    assert outbox.claim(watch.database, ["team"], dead, world.now_ns, MINUTE) is not None
    assert outbox.claim(watch.database, ["team"], "elsewhere/1/1", world.now_ns, MINUTE) is not None
    assert watch.tell(world.now_ns) == 0
    assert watch.tell(world.now_ns + MINUTE + 1) == 1


def test_a_channel_that_fails_is_told_in_the_others_and_gets_everything_in_order_when_it_is_back(
    make_world: Callable[..., World],
) -> None:
    world = make_world(RULES + '[channels.mail]\nkind = "apprise"\nurl = "json://127.0.0.1/x"\n')
    world.watch()
    world.told.failing["team"] = "Slack answers invalid_auth"
    world.minutes(60, step=15)
    world.minutes(30)
    told = world.told.take()
    assert ("mail", "fired", ("brand", "search"), "") in told
    assert ("mail", "fired", ("team",), "") in told
    assert not [one for one in told if one[0] == "team"]
    open_ = {one.alert.rule: one.alert for one in kept(world.watches[0].database, world.now_ns, lasting=True)}
    assert "Slack answers invalid_auth" in open_["leadtrace.channel"].why
    world.lead("brand", "search")
    world.minutes(2)
    world.told.failing.clear()
    world.minutes(10)
    told = world.told.take()
    assert [one[1:3] for one in told if one[0] == "team"] == [
        ("fired", ("brand", "search")),
        ("resolved", ("brand", "search")),
    ]
    assert ("mail", "resolved", ("team",)) in [one[:3] for one in told]


def test_a_message_that_is_too_old_is_set_aside_and_the_next_is_tried(make_world: Callable[..., World]) -> None:
    world = make_world(RULES + '[notify]\ngive_up = "30m"\n')
    watch = world.watch()
    world.told.failing["team"] = "no"
    world.minutes(110, step=2)
    assert watch.database.run("SELECT state, what FROM outbox ORDER BY number") == [("set aside", "fired")]


def test_a_source_that_fails_is_told_and_ends_nothing(world: World) -> None:
    world.watch()
    world.minutes(60, step=15)
    world.minutes(2)
    world.told.take()
    world.lead("brand", "search")
    world.unreadable = "cannot reach http://127.0.0.1:4318"
    world.minutes(10)
    assert world.told.take() == [("team", "fired", ("store.db",), "")]
    lasting = {one.alert.rule: one.alert for one in kept(world.watches[0].database, world.now_ns, lasting=True)}
    assert lasting["leadtrace.source"].why == "cannot reach http://127.0.0.1:4318"
    assert "silence" in lasting
    world.unreadable = ""
    world.lead("brand", "search")
    world.minutes(2)
    assert {one[1:3] for one in world.told.take()} == {("resolved", ("brand", "search")), ("resolved", ("store.db",))}


def test_alerts_of_the_watch_itself_are_printed_in_the_published_form_too(
    world: World, published: Callable[[str, Any], None]
) -> None:
    world.watch()
    world.unreadable = "cannot reach http://127.0.0.1:4318"
    world.told.failing["team"] = "Slack answers invalid_auth"
    world.minutes(10)
    where = ["--state", str(world.path), "--json"]
    listed = [json.loads(line) for line in _printed("list", "--all", *where).splitlines()]
    assert [(one["rule"], one["kind"]) for one in listed] == [
        ("leadtrace.channel", "watch"),
        ("leadtrace.source", "watch"),
    ]
    for one in listed:
        published("alerts-list", one)
        shown = json.loads(_printed("show", one["id"], *where))
        published("alerts-show", shown)
        published("alerts-checks", json.loads(_printed("checks", one["id"], *where)))
    assert [(one["state"], one["done_at"]) for one in shown["told"]] == [("waiting", None)]


def _printed(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["alerts", *arguments])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_what_lasts_is_told_again_until_somebody_has_it_in_hand(world: World) -> None:
    watch = world.watch()
    world.minutes(60, step=15)
    world.minutes(2)
    world.minutes(4 * 60, step=10)
    assert [one[1] for one in world.told.take()] == ["fired", "repeated"]
    for one in kept(watch.database, world.now_ns):
        acknowledge(watch.database, one.alert.id, "anna", "on it", world.now_ns)
    world.minutes(1)
    assert [one[1:] for one in world.told.take()] == [
        ("acknowledged", ("brand",), "1.0001"),
        ("acknowledged", ("search",), "1.0001"),
    ]
    assert "*Acknowledged* by anna: on it" in world.told.bodies[-1]
    world.minutes(9 * 60, step=30)
    assert world.told.take() == []


def test_a_silence_holds_messages_back_and_what_still_fires_is_told_after_it(world: World) -> None:
    watch = world.watch()
    silence(watch.database, "brand", world.now_ns, world.now_ns + 120 * MINUTE, "bo", "a sale")
    world.minutes(110, step=2)
    assert world.told.take() == [("team", "fired", ("search",), "")]
    assert [one.silenced for one in kept(watch.database, world.now_ns) if one.alert.group == "brand"] == [True]
    world.minutes(12)
    assert world.told.take() == [("team", "fired", ("brand",), "")]


def test_what_was_silenced_for_all_its_time_has_no_end_to_tell(world: World) -> None:
    watch = world.watch()
    silence(watch.database, "silence", world.now_ns, world.now_ns + 600 * MINUTE, "", "")
    world.minutes(70, step=10)
    world.lead("brand", "search")
    world.minutes(2)
    assert world.told.take() == []


def test_a_channel_that_is_new_in_the_file_learns_of_what_lasts(world: World, make_world: Callable[..., World]) -> None:
    watch = world.watch()
    world.minutes(70, step=10)
    world.told.take()
    more = make_world(RULES + '[channels.mail]\nkind = "apprise"\nurl = "json://127.0.0.1/x"\n')
    watch.use(more.rules)
    world.minutes(1)
    assert world.told.take() == [("mail", "fired", ("brand", "search"), "")]


def test_checks_decide_whose_side_it_is_and_call_its_owners(world: World) -> None:
    watch = world.watch()
    world.lead("search")
    world.minutes(30)
    world.lead("search")
    world.minutes(32)
    (one,) = kept(watch.database, world.now_ns)
    check(
        watch.database,
        one.alert,
        [Check("intake", "passed", "12 leads of others"), Check("saving", "passed"), Check("sender", "passed")],
        world.now_ns,
    )
    world.minutes(1)
    assert world.told.take()[-1] == ("team", "checked", ("brand",), "1.0001")
    assert world.told.bodies[-1].splitlines()[:4] == [
        ":white_check_mark: intake: 12 leads of others",
        ":white_check_mark: saving",
        ":white_check_mark: sender",
        "*The fault is on the side: client.* @carla",
    ]
    assert watch.side(one.alert) == "client"


def test_events_wait_for_a_store_and_are_the_same_ones_when_they_are_sent_again(world: World) -> None:
    world.watch()
    world.taken.why = "refused"
    world.minutes(60, step=15)
    world.minutes(2)
    world.lead("brand", "search")
    world.minutes(2)
    world.taken.why = ""
    world.minutes(2)
    (body,) = world.taken.bodies
    events = decode_logs(body)
    assert [(one.name, one.attributes["alert.group"]) for one in events] == [
        ("alert.fired", "brand"),
        ("alert.fired", "search"),
        ("alert.resolved", "brand"),
        ("alert.resolved", "search"),
    ]
    uids = [one.uid for one in events]
    assert [int(one[16:], 16) for one in uids] == [1, 2, 3, 4]
    assert {one[:16] for one in uids} == {world.watches[0].database.boot()}
    ended = events[2].attributes
    assert ended["leadtrace.kind"] == "alert"
    assert ended["alert.group_attributes"] == [
        "flow.journey.campaign_group",
        "lead.campaign_group",
        "lead.event.campaign_group",
    ]
    assert (ended["alert.began_at"], ended["alert.ended_at"]) == (NOON, NOON + 62 * MINUTE)


def test_what_is_kept_belongs_to_its_owner_alone(world: World) -> None:
    world.watch()
    assert world.path.stat().st_mode & 0o777 == 0o600
