"""What became of lead events: received, saved, sent, malformed; failed tries and resends apart."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from small import DAY, HOUR, START, Story, ask

from leadtrace.analysis.ads import LeadEvents, Malformed

GOOGLE = {
    "lead.event.destination": "google",
    "lead.event.account_id": "a1",
    "lead.event.campaign_group": "g",
    "lead.event.ad_id": "x",
}


def told(story: Story, what: str, number: int, at: int = 0, **more: Any) -> None:
    story.tell(f"lead.event.{what}", lead=f"l{number}", at=at, **{"lead.event.id": f"e{number}", **GOOGLE, **more})


def test_each_lead_event_counts_once_by_what_became_of_it() -> None:
    story = Story()
    for number in range(40):
        told(story, "received", number)
        if number < 36:
            told(story, "saved", number, 1)
        if number < 30:
            told(story, "sent", number, 2, **{"lead.event.resend": False})
    told(story, "sent", 0, 9, **{"lead.event.resend": True})
    for at in (3, 4, 5):
        told(story, "failed", 30, at)
    told(story, "failed", 1, 1)
    told(story, "quarantined", 31, 3, **{"lead.event.reason": "no such type", "lead.event.field": "type"})
    found = ask("ads", story.events, both=True)
    (row,) = found.of(LeadEvents)
    assert (row.platform, row.account, row.campaign_group, row.campaign, row.ad) == ("google", "a1", "g", "", "x")
    assert (row.lead_events, row.received, row.saved) == (40, 40, 36)
    assert (row.sent.numerator, row.sent.denominator, row.malformed.numerator) == (30, 39, 1)
    assert (row.waiting, row.not_saved) == (5, 4)
    assert (row.failed_tries, row.with_failed_tries, row.resends) == (4, 2, 1)
    assert [(one.field, one.reason, one.lead_events) for one in found.of(Malformed)] == [("type", "no such type", 1)]
    assert found.notes == (
        "4 lead events were received and nothing more is told of them: look for them",
        "5 lead events are saved and wait to be sent",
    )


def test_one_id_on_two_platforms_is_two_lead_events() -> None:
    story = Story()
    for platform in ("google", "meta"):
        told(story, "received", 1, **{"lead.event.destination": platform})
        told(story, "saved", 1, 1, **{"lead.event.destination": platform})
    told(story, "sent", 1, 2, **{"lead.event.destination": "meta"})
    rows = {row.platform: row for row in ask("ads", story.events, by="platform").of(LeadEvents)}
    assert {name: (row.lead_events, row.sent.numerator, row.waiting) for name, row in rows.items()} == {
        "google": (1, 0, 1),
        "meta": (1, 1, 0),
    }


def test_what_one_station_leaves_out_another_tells() -> None:
    story = Story()
    story.tell("lead.event.received", **{"lead.event.id": "e"})
    told(story, "saved", 0, 1, **{"lead.event.id": "e"})
    story.tell("lead.event.sent", at=2, **{"lead.event.id": "e"})
    (row,) = ask("ads", story.events).of(LeadEvents)
    assert (row.platform, row.ad, row.lead_events, row.sent.numerator) == ("google", "x", 1, 1)


def test_it_belongs_to_when_it_was_first_told() -> None:
    story = Story()
    told(story, "received", 1)
    told(story, "sent", 1, 2 * DAY)
    told(story, "received", 2, HOUR)
    monday = ask("ads", story.events, since_ns=START, until_ns=START + DAY)
    assert (monday.sample["lead_events"], monday.sample["sent"]) == (2, 1)
    assert ask("ads", story.events, since_ns=START + DAY).rows == ()
    pieces = ask("ads", story.events, over="hour").of(LeadEvents)
    assert [(row.piece_ns, row.sent.numerator) for row in pieces] == [(START, 1), (START + HOUR, 0)]
    assert "1 lead events were sent and never told as saved before" in monday.notes


def test_a_record_without_an_id_is_one_by_itself() -> None:
    story = Story()
    for _ in range(3):
        story.tell("lead.event.quarantined", **{"lead.event.reason": "no JSON", "lead.event.destination": "meta"})
    found = ask("ads", story.events, limit=1)
    assert (found.of(LeadEvents)[0].lead_events, found.of(Malformed)[0].lead_events) == (3, 3)


def test_the_levels_down_to_the_advertisement_are_those_counted_one_by_one() -> None:
    """Generated stations in any order, some tried and sent again; the same gone through one lead event at a time."""
    chance, story = random.Random(11), Story()
    each: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    ad_of: dict[tuple[str, str], tuple[str, ...]] = {}
    for number in range(150):
        platform = chance.choice(("google", "meta"))
        about = (platform, chance.choice("ab"), chance.choice("gh"), chance.choice("cd"), chance.choice("xy"))
        told_of = (platform, f"e{number}")
        ad_of[told_of] = about
        keys = ("destination", "account_id", "campaign_group", "campaign_id", "ad_id")
        fields = {f"lead.event.{key}": value for key, value in zip(keys, about, strict=True)}
        stations = ["received"] * (chance.random() < 0.95) + ["saved"] * (chance.random() < 0.9)
        stations += ["failed"] * chance.choice((0, 0, 0, 1, 3))
        stations += [chance.choice(("sent", "sent", "sent", "quarantined", "nothing"))]
        again = stations[-1] == "sent" and chance.random() < 0.1
        for at, what in enumerate([*stations, *["sent"] * again]):
            if what != "nothing":
                more = {"lead.event.resend": at >= len(stations)} if what == "sent" else {}
                told(story, what, number, at, **fields, **more)
                each[told_of]["resent" if more.get("lead.event.resend") else what] += 1
    wanted: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for told_of, stations_of in each.items():
        row = wanted[ad_of[told_of]]
        sent, malformed = "sent" in stations_of, "quarantined" in stations_of
        row["all"] += 1
        row["received"] += "received" in stations_of
        row["saved"] += "saved" in stations_of
        row["sent"] += sent
        row["malformed"] += malformed
        row["waiting"] += "saved" in stations_of and not sent and not malformed
        row["failed"] += stations_of["failed"]
        row["with_failed"] += stations_of["failed"] > 0
        row["resends"] += stations_of["resent"]
    random.Random(3).shuffle(story.events)
    found = {
        (row.platform, row.account, row.campaign_group, row.campaign, row.ad): Counter(
            {
                "all": row.lead_events,
                "received": row.received,
                "saved": row.saved,
                "sent": row.sent.numerator,
                "malformed": row.malformed.numerator,
                "waiting": row.waiting,
                "failed": row.failed_tries,
                "with_failed": row.with_failed_tries,
                "resends": row.resends,
            }
        )
        for row in ask("ads", story.events).of(LeadEvents)
    }
    assert found == wanted
    by_platform = {row.platform: row.lead_events for row in ask("ads", story.events, by="platform").of(LeadEvents)}
    assert by_platform == Counter(platform for platform, _ in each)


@settings(max_examples=12)
@given(
    stations=st.lists(
        st.tuples(
            st.integers(0, 5),
            st.sampled_from(["received", "saved", "sent", "failed", "quarantined"]),
            st.integers(0, 99),
        ),
        max_size=20,
    ),
    order=st.randoms(use_true_random=False),
)
def test_order_duplicates_and_clocks_change_nothing(stations: list[tuple[int, str, int]], order: random.Random) -> None:
    story = Story()
    each: dict[int, Counter[str]] = defaultdict(Counter)
    for number, what, at in stations:
        told(story, what, number, at)
        each[number][what] += 1
    mixed = [*story.events, *story.events]
    order.shuffle(mixed)
    rows = ask("ads", mixed).of(LeadEvents)
    assert sum(row.lead_events for row in rows) == len(each)
    assert sum(row.sent.numerator for row in rows) == sum(
        "sent" in one and "quarantined" not in one for one in each.values()
    )
    assert sum(row.failed_tries for row in rows) == sum(one["failed"] for one in each.values())
    assert sum(row.waiting for row in rows) == sum(
        "saved" in one and not {"sent", "quarantined"} & set(one) for one in each.values()
    )
