"""Messages: what was recorded is harmless in every channel, users' templates go first, people are called by their ids."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from watch_world import NOON, Slack

from leadtrace.alerts.channels import Channel, Notify, Side
from leadtrace.alerts.checklist import PLAN, Checklist
from leadtrace.alerts.messages import Messages, Rendered
from leadtrace.alerts.model import Alert
from leadtrace.alerts.outbox import Message
from leadtrace.alerts.rules import MINUTE
from leadtrace.alerts.sending import NotSentError, lacking, send
from leadtrace.errors import SettingsError

EVIL = (
    "<!channel> <@U1|x> <https://evil.example|pay>\n\x1b[31m@everyone & <script>alert(1)</script> [a](http://e) **b**"
)
ALERT = Alert(
    id="3f2a00000000beef",
    rule="silence",
    group="brand",
    kind="absence",
    severity="high",
    began_ns=NOON,
    fired_ns=NOON + 60 * MINUTE,
    owners=("@anna", "growth", "bo@example.com"),
    runbook="https://wiki.example/silence",
    observed=0.0,
    expected=12.0,
    unit="leads",
    why="no leads for 1 h of opening time",
    money_at_risk=Decimal("480.00"),
    currency="EUR",
)
SLACK = Channel(
    "team", "slack", token="xoxb-1", to="C1", people=MappingProxyType({"anna": "U0ANNA0001", "growth": "S0GROWTH01"})
)
MAIL = Channel("mail", "apprise", url="json://127.0.0.1/", format="html")
TEXT = Channel("text", "apprise", url="json://127.0.0.1/", format="text")
MARKDOWN = Channel("markdown", "apprise", url="json://127.0.0.1/", format="markdown")


def rendered(alert: Alert, channel: Channel, what: Any = "fired", folder: str = "", **more: Any) -> Rendered:
    message = Message(1, channel.name, what, (alert,), more=more)
    sides = {"client": Side("client", ("@carla",), MappingProxyType({"brand": ("@anna",)}))}
    return Messages(Notify(folder), Checklist(), sides).render(message, channel, NOON + 61 * MINUTE)


def test_a_beginning_in_slack_as_whole_text() -> None:
    assert rendered(ALERT, SLACK) == Rendered(
        "Firing (high): silence of brand",
        """\
:red_circle: *Firing* [high] *silence* of *brand*
no leads for 1 h of opening time. Since 2025-11-25 12:00 UTC: 1 h 1 min.
Observed 0 leads, expected 12 leads.
At risk: 480.00 EUR.
Runbook: https://wiki.example/silence
`leadtrace alerts ack 3f2a00000000beef`
<@U0ANNA0001> <!subteam^S0GROWTH01> bo@example.com
*Look at*
• intake: Is the intake up, and does it take anything at all?
• saving: Is every lead event that came in saved?
• sender: Does the sender keep up, without a backlog?
• malformed: Are lead events well-formed?
• platform: Does the platform's API take what is sent, and are the credentials good?
• bot-filter: Does the filter against bots let real people through?
• ad-settings: Are the ads running, with budget left and the settings of the lead form unchanged?""",
        "slack",
    )


def test_an_end_as_plain_text() -> None:
    ended = replace(ALERT, ended_ns=NOON + 90 * MINUTE, resolved_ns=NOON + 91 * MINUTE, ended_by="recovered")
    assert rendered(ended, TEXT, "resolved").body == (
        "silence of brand [high]\nFrom 2025-11-25 12:00 UTC to 2025-11-25 13:30 UTC: 1 h 30 min.\nAt risk: 480.00 EUR."
    )


def test_what_was_recorded_is_harmless_in_slack() -> None:
    body = rendered(replace(ALERT, group=EVIL, why=EVIL), SLACK).body
    assert "<!channel>" not in body
    assert "<https:" not in body
    assert body.count("<@") == 1  # anna, who was declared
    assert "\x1b" not in body
    assert "&lt;!channel&gt; &lt;@U1|x&gt;" in body
    assert "\\n\\u001b" in body


def test_what_was_recorded_is_harmless_in_html() -> None:
    body = rendered(replace(ALERT, group=EVIL, why=EVIL), MAIL).body
    assert "<script" not in body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body
    assert "\x1b" not in body


@pytest.mark.parametrize("channel", [TEXT, MARKDOWN], ids=["text", "markdown"])
def test_what_was_recorded_calls_nobody_in_chat_services(channel: Channel) -> None:
    """Services behind apprise act on angle brackets and `@` in plain text, too."""
    found = rendered(replace(ALERT, group=EVIL, why=EVIL), channel)
    for text in (found.subject, found.body):
        assert not {"<", ">", "\x1b"} & set(text)
        assert "@everyone" not in text
    assert len(found.subject.splitlines()) == 1


def test_a_crisis_carries_the_plan() -> None:
    body = rendered(replace(ALERT, severity="critical"), SLACK).body
    assert [f"{at}. {step}" for at, step in enumerate(PLAN, 1)] == [
        line for line in body.splitlines() if line[:2] in ("1.", "2.", "3.", "4.")
    ]
    assert PLAN[0] not in rendered(ALERT, SLACK).body


def test_owners_of_the_side_at_fault_are_called_where_the_checks_are_told() -> None:
    checks = [{"item": "ad-settings", "result": "failed", "answer": "budget spent", "side": "client", "by": "bo"}]
    body = rendered(ALERT, SLACK, "checked", checks=checks, side="client").body
    assert ":x: ad-settings: budget spent (side: client)" in body
    assert "*The fault is on the side: client.* <@U0ANNA0001>" in body


def test_a_template_of_the_users_goes_first_and_cannot_forget_to_escape(tmp_path: Path) -> None:
    (tmp_path / "slack.txt").write_text("{{ what | upper }} {{ alerts[0].group | upper }} {{ owners[0] }}")
    found = rendered(replace(ALERT, group="<!here>"), SLACK, folder=str(tmp_path))
    assert found.body == "FIRED &lt;!HERE&gt; <@U0ANNA0001>"
    assert rendered(ALERT, MAIL, folder=str(tmp_path)).body.startswith("<h3>Firing")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ alert.group }}", "is undefined"),
        ("{% if %}", "slack.txt:1 is wrong"),
        ("{{ ''.__class__.__mro__ }}", "is unsafe"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ],
)
def test_a_wrong_template_is_told_with_its_place(tmp_path: Path, template: str, why: str) -> None:
    (tmp_path / "slack.txt").write_text(template)
    with pytest.raises(SettingsError, match=why):
        rendered(ALERT, SLACK, folder=str(tmp_path))


def test_slack_gets_thread_token_and_blocks_and_names_its_message(slack: Slack) -> None:
    channel = replace(SLACK, base_url=slack.url)
    first = Message(1, "team", "fired", (ALERT,))
    assert send(channel, first, rendered(ALERT, channel)) == "1.000100"
    second = Message(2, "team", "resolved", (ALERT,), thread="1.000100")
    send(channel, second, rendered(ALERT, channel, "resolved"))
    told, ended = slack.messages
    assert (told["path"], told["token"], told["channel"]) == ("/api/chat.postMessage", "xoxb-1", "C1")
    assert "thread_ts" not in told
    assert ended["thread_ts"] == "1.000100"
    blocks = told["blocks"] if isinstance(told["blocks"], list) else json.loads(told["blocks"])
    assert blocks[0]["text"]["type"] == "mrkdwn"
    assert blocks[0]["text"]["text"].startswith(":red_circle: *Firing* [high] *silence* of *brand*")


def test_a_long_message_is_sent_in_sections_that_slack_takes(slack: Slack) -> None:
    channel = replace(SLACK, base_url=slack.url)
    body = "\n".join(f"line {n} " + "x" * 190 for n in range(60)) + "\n" + "y" * 7000
    send(channel, Message(1, "team", "fired", (ALERT,)), Rendered("s", body, "slack"))
    (told,) = slack.messages
    blocks = told["blocks"] if isinstance(told["blocks"], list) else json.loads(told["blocks"])
    texts = [one["text"]["text"] for one in blocks]
    assert all(len(one) <= 3000 for one in texts)
    assert "".join(texts).replace("\n", "") == body.replace("\n", "")


@pytest.mark.parametrize(
    ("answer", "why", "after_s"),
    [
        ({"ok": False, "error": "channel_not_found"}, "Slack answers channel_not_found", 0),
        ({"ok": False, "error": "ratelimited"}, "Slack answers ratelimited", 30),
    ],
)
def test_what_slack_does_not_take_is_told_with_its_reason(
    slack: Slack, answer: dict[str, Any], why: str, after_s: int
) -> None:
    slack.answer = answer
    channel = replace(SLACK, base_url=slack.url)
    with pytest.raises(NotSentError) as problem:
        send(channel, Message(1, "team", "fired", (ALERT,)), Rendered("s", "b", "slack"))
    assert problem.value.message == why
    assert problem.value.data["after_ns"] == after_s * 1_000_000_000


def test_a_slack_that_does_not_answer_is_told(slack: Slack) -> None:
    slack.close()
    channel = replace(SLACK, base_url=slack.url)
    with pytest.raises(NotSentError, match="Slack cannot be reached"):
        send(channel, Message(1, "team", "fired", (ALERT,)), Rendered("s", "b", "slack"))


class Hook:
    """Takes whatever is posted to it, and answers as it is told to."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(hook.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_address[1]}/secret-path"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_json_webhook_gets_title_text_and_sort(hook: Hook) -> None:
    channel = replace(TEXT, url=hook.url)
    assert send(channel, Message(1, "text", "fired", (ALERT,)), rendered(ALERT, channel)) == ""
    (body,) = hook.bodies
    assert body["title"] == "Firing (high): silence of brand"
    assert "no leads for 1 h of opening time" in body["message"]
    assert body["type"] == "failure"


def test_what_a_webhook_refuses_is_told_without_its_address(hook: Hook) -> None:
    hook.status = 500
    channel = replace(TEXT, url=hook.url)
    with pytest.raises(NotSentError) as problem:
        send(channel, Message(1, "text", "fired", (ALERT,)), rendered(ALERT, channel))
    assert "500" in str(problem.value)
    assert "secret" not in str(problem.value)


def test_a_secret_comes_from_a_variable_or_a_file_and_its_absence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    assert "NO_SUCH_TOKEN, which is not set" in lacking(replace(SLACK, token="env:NO_SUCH_TOKEN"))
    monkeypatch.setenv("NO_SUCH_TOKEN", "xoxb-2")
    assert lacking(replace(SLACK, token="env:NO_SUCH_TOKEN")) == ""
    file = tmp_path / "url"
    assert "cannot be read" in lacking(replace(MAIL, url=f"file:{file}"))
    file.write_text("nonsense://x\n")
    assert "apprise knows no such URL" in lacking(replace(MAIL, url=f"file:{file}"))
    file.write_text("json://127.0.0.1/x\n")
    assert lacking(replace(MAIL, url=f"file:{file}")) == ""
