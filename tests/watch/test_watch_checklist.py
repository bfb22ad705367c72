"""The checklist: what probes see in a store and behind an address, whose side it is, and how users change it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from watch_world import NOON

from leadtrace.alerts.checklist import CHECKLIST, Check, Checklist, Item, checklist_of, plan_of, side_at_fault
from leadtrace.alerts.model import Alert
from leadtrace.alerts.probes import Probes, ask
from leadtrace.alerts.rules import HOUR, MINUTE, Rules
from leadtrace.alerts.rules_file import RulesError, loads
from leadtrace.errors import SourceError
from leadtrace.otlp.records import EventRecord
from leadtrace.store.embedded import EmbeddedStore

PAGE = (Path(__file__).parents[2] / "docs" / "watch.md").read_text("utf-8")
NOW = NOON + 90 * MINUTE
RULES = '[groups.brand]\nkind = "campaign_group"\n[rules.silence]\nkind = "absence"\ngroups = "*"\n'
ALERT = Alert("a1", "silence", "brand", "absence", "high", NOON, NOON + HOUR)
ITEMS = {one.name: one for one in CHECKLIST}


class Shelf:
    """A store that a test fills."""

    def __init__(self, path: Path) -> None:
        self.store = EmbeddedStore.open(path, write=True)
        self.number = 0

    def add(self, name: str, *, minutes: int = 0, group: str = "brand", **more: Any) -> None:
        self.number += 1
        attributes = {
            "log.record.uid": f"{self.number:028x}",
            "lead.event.campaign_group": group,
            "lead.event.id": f"e{self.number}",
        }
        attributes |= {key.replace("__", "."): one for key, one in more.items()}
        self.store.append((), [EventRecord(name, NOON + minutes * MINUTE, attributes=attributes)])

    def look(self, item: Item, rules: Rules | None = None) -> tuple[str, str, str]:
        found = Probes(self.store, backlog=lambda folder: len(folder))(item, ALERT, rules or loads(RULES), NOW)
        assert (found.item, found.at_ns, found.by) == (item.name, NOW, "")
        return found.result, found.side, found.answer


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    found = Shelf(tmp_path / "store.db")
    yield found
    found.store.close()


@pytest.mark.parametrize("name", [one.name for one in CHECKLIST if one.probe])
def test_nothing_seen_is_unknown_and_never_passed(shelf: Shelf, name: str) -> None:
    result, side, answer = shelf.look(ITEMS[name])
    assert (result, side) == ("unknown", "")
    assert answer


def test_the_intake_is_up_where_leads_of_others_came_in(shelf: Shelf) -> None:
    shelf.add("lead.event.received", minutes=10)
    assert shelf.look(ITEMS["intake"])[0] == "unknown"
    shelf.add("lead.event.received", minutes=20, group="search")
    assert shelf.look(ITEMS["intake"]) == ("passed", "", "1 leads of others came in since the alert began")


def test_what_came_in_and_was_not_saved_is_our_fault(shelf: Shelf) -> None:
    for _ in range(3):
        shelf.add("lead.event.received", minutes=-5)
    shelf.add("lead.event.saved", minutes=-5)
    shelf.add("lead.event.quarantined", minutes=-5)
    assert shelf.look(ITEMS["saving"]) == ("failed", "ours", "1 of 3 lead events were saved, 1 were not")
    shelf.add("lead.event.saved", minutes=-4)
    assert shelf.look(ITEMS["saving"])[0] == "passed"


def test_what_was_saved_and_waits_for_longer_than_five_minutes_is_a_backlog(shelf: Shelf) -> None:
    shelf.add("lead.event.saved", minutes=-5, lead__event__id="x")
    shelf.add("lead.event.saved", minutes=88, lead__event__id="y")
    assert shelf.look(ITEMS["sender"]) == (
        "failed",
        "ours",
        "1 of 2 saved lead events wait for longer than five minutes",
    )
    shelf.add("lead.event.sent", minutes=1, lead__event__id="x")
    assert shelf.look(ITEMS["sender"])[0] == "passed"


def test_what_one_platform_took_still_waits_for_the_other(shelf: Shelf) -> None:
    for platform in ("Meta Ads", "Google Ads"):
        shelf.add("lead.event.saved", lead__event__id="x", lead__event__destination=platform)
    shelf.add("lead.event.sent", lead__event__id="x", lead__event__destination="Meta Ads")
    assert shelf.look(ITEMS["sender"])[2] == "1 of 2 saved lead events wait for longer than five minutes"


def test_too_many_malformed_are_the_clients_fault(shelf: Shelf) -> None:
    for _ in range(9):
        shelf.add("lead.event.received", minutes=-5)
    assert shelf.look(ITEMS["malformed"])[0] == "passed"
    shelf.add("lead.event.quarantined", minutes=-5)
    assert shelf.look(ITEMS["malformed"]) == (
        "failed",
        "client",
        "1 of 9 lead events are malformed (11.1 %, at most 5 %)",
    )


def test_a_platform_that_refuses_credentials_has_failed_however_rarely(shelf: Shelf) -> None:
    for _ in range(9):
        shelf.add("lead.event.sent", minutes=-5)
    assert shelf.look(ITEMS["platform"])[0] == "passed"
    shelf.add(
        "lead.event.failed", minutes=-4, http__response__status_code=401, lead__event__reason="token <expired>\n\x1b[2J"
    )
    result, side, answer = shelf.look(ITEMS["platform"])
    assert (result, side) == ("failed", "platform")
    assert "1 of 10 sends failed" in answer
    assert "1 were refused for their credentials" in answer
    assert "\x1b" not in answer


def test_a_credential_that_has_ended_is_told_without_a_single_send(shelf: Shelf) -> None:
    rules = loads(RULES + "[credentials.meta-token]\nexpires = 2025-11-20\n")
    assert shelf.look(ITEMS["platform"], rules) == ("failed", "platform", "the credential meta-token has ended")


def test_a_journal_has_a_backlog_above_what_is_declared(shelf: Shelf) -> None:
    """The test's journals have as many records as their names have letters."""
    few = Item("journal", "?", probe="journal", folder="/var/x", most=6)
    assert shelf.look(few) == ("passed", "", "6 records wait in /var/x (at most 6)")
    many = Item("journal", "?", probe="journal", folder="/var/longer", most=6)
    assert shelf.look(many) == ("failed", "ours", "11 records wait in /var/longer (at most 6)")


def test_a_store_that_cannot_be_read_leaves_the_item_unknown(shelf: Shelf) -> None:
    shelf.store.close()
    result, _, answer = shelf.look(ITEMS["saving"])
    assert result == "unknown"
    assert answer.startswith("the store cannot be read")


def test_a_journal_that_is_not_there_is_unknown(shelf: Shelf) -> None:
    def missing(folder: str) -> int:
        raise SourceError(f"there is no journal {folder}")

    item = Item("journal", "?", probe="journal", folder="/x")
    assert Probes(shelf.store, backlog=missing)(item, ALERT, loads(RULES), NOW).result == "unknown"


@pytest.fixture
def site() -> Iterator[Callable[..., str]]:
    answers: dict[str, tuple[int, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path]
            self.send_response(status)
            if status == 302:
                self.send_header("location", "http://127.0.0.1:9/")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def page(path: str, status: int = 200, body: bytes = b"") -> str:
        answers[path] = (status, body)
        return f"http://127.0.0.1:{server.server_address[1]}{path}"

    yield page
    server.shutdown()
    server.server_close()


def test_an_address_answers_as_it_should(site: Callable[..., str]) -> None:
    assert ask(site("/up")) == (True, "it answers 200")
    assert ask(site("/down", 503)) == (False, "it answers 503, expected 200 to 399")
    assert ask(site("/made", 201), status=200) == (False, "it answers 201, expected 200")
    assert ask(site("/moved", 302)) == (True, "it answers 302")
    assert ask(site("/form", body=b"<form>"), contains="<form") == (True, "it answers 200")
    assert ask(site("/blank", body=b"x" * 200_000 + b"<form"), contains="<form") == (
        False,
        "it answers 200, without '<form'",
    )
    good, why = ask("http://127.0.0.1:9/")
    assert not good
    assert why.startswith("it does not answer: ")


def test_what_failed_decides_the_side_ours_first_and_else_the_other_side_once_ours_is_well() -> None:
    items = Checklist().of(ALERT)
    ours = [Check(one, "passed") for one in ("intake", "saving", "sender")]
    assert side_at_fault(items, [], "client") == ""
    assert side_at_fault(items, ours[:2], "client") == ""
    assert side_at_fault(items, ours, "client") == "client"
    assert side_at_fault(items, [*ours, Check("platform", "failed", side="platform")], "client") == "platform"
    failed = [Check("ad-settings", "failed", side="client"), Check("saving", "failed", side="ours")]
    assert side_at_fault(items, failed, "client") == "ours"
    assert side_at_fault(items, [*failed, *ours], "client") == "client"


def test_an_alert_without_leads_has_no_items_of_leads() -> None:
    from dataclasses import replace

    assert Checklist().of(replace(ALERT, kind="capacity")) == ()
    assert len(Checklist().of(ALERT)) == len(CHECKLIST)


def test_a_crisis_has_a_plan_of_four_steps_and_others_have_none() -> None:
    from dataclasses import replace

    assert plan_of(ALERT) == ()
    assert len(plan_of(replace(ALERT, severity="critical"))) == 4
    assert len(plan_of(replace(ALERT, kind="health_state", text="crisis"))) == 4
    assert plan_of(replace(ALERT, kind="health_state", text="degraded")) == ()


def test_users_add_change_and_drop_items() -> None:
    rules = loads(
        RULES
        + """
        [checklist]
        otherwise = "agency"
        [checklist.intake]
        url = "https://intake.example/healthz"
        [checklist.ad-settings]
        use = false
        [checklist.landing]
        question = "Is it up?"
        side = "client"
        probe = "http"
        url = "https://shop.example/"
        groups = "brand"
        """
    )
    found = checklist_of(rules)
    names = [one.name for one in found.items]
    assert names == ["intake", "saving", "sender", "malformed", "platform", "bot-filter", "landing"]
    assert (found.otherwise, found.items[0].probe, found.items[0].url) == (
        "agency",
        "intake",
        "https://intake.example/healthz",
    )
    assert checklist_of(loads(RULES + "[checklist]\ndefaults = false\n")).items == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[checklist.x]\nprobe = 'http'\nquestion = 'q'", "rules:6: checklist.x.url: a probe of this kind has url ="),
        ("[checklist.x]\nside = 'us'", "rules:6: checklist.x.question: an item of the checklist has question ="),
        ("[checklist.intake]\nprobe = 'htp'", "rules:7: checklist.intake.probe: 'htp' is not one of"),
        ("[checklist.intake]\nurll = 'x'", "rules:7: checklist.intake.urll: there is no such key; did you mean url?"),
        (
            "[channels.x]\nkind = 'slak'",
            "rules:7: channels.x.kind: 'slak' is not one of slack, apprise; did you mean slack?",
        ),
        ("[channels.x]\nkind = 'slack'\nto = 'C1'", "rules:6: channels.x.token: a channel of kind slack has token ="),
        ("[channels.x]\nkind = 'apprise'\nurl = 'example.com'", "rules:8: channels.x.url: an apprise URL begins with"),
        (
            "[channels.x]\nkind = 'apprise'\nurl = 'json://x'\nby = 'grup'",
            "rules:9: channels.x.by: 'grup' is not one of rule, group, severity, kind",
        ),
        ("[notify]\ntemplates = '/no/such/folder'", "rules:7: notify.templates: there is no folder"),
        ("[sides.client]\nowner = 'x'", "rules:7: sides.client.owner: there is no such key; did you mean owners?"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(text: str, problem: str) -> None:
    with pytest.raises(RulesError) as wrong:
        loads(RULES + text)
    told = [str(one) for one in wrong.value.problems]
    assert [one for one in told if one.startswith(problem)], told


def test_the_page_shows_rules_that_are_right_every_item_and_every_key() -> None:
    blocks = [part.partition("```")[0] for part in PAGE.split("```toml\n")[1:]]
    assert [len(loads(one).rules) for one in blocks] == [1, 1]
    for item in CHECKLIST:
        assert f"| `{item.name}` | {item.side} |" in PAGE
    from dataclasses import fields

    assert [one.name for one in fields(Item) if f"`{one.name}`" not in PAGE and one.name != "name"] == []
