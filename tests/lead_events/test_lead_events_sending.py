"""Sending: each platform on its own, in the order in which lead events came, again after failures, never twice at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.errors import DecorationError, SettingsError
from leadtrace.journal import claims
from leadtrace.words.sender import what_was_raised, what_was_said


class Clock:
    """The time that the outbox and the senders go by."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000_000_000

    def time_ns(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time passes when the test says so, and waits are as long as they can be."""
    made = Clock()
    for module in ("leadtrace.journal.lead_events", "leadtrace.words.sending"):
        monkeypatch.setattr(f"{module}.time.time_ns", made.time_ns)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    return made


@pytest.fixture
def platform(told) -> Callable[..., list[Any]]:
    """Marks a sender that answers as scripted: what is an exception is raised; after the script it takes everything."""

    def mark(name: str = "meta", *script: object, **options: Any) -> list[Any]:
        got: list[Any] = []
        answers = iter(script)

        def send(payload: Any, event: lt.LeadEvent) -> object:
            got.append(event)
            answer = next(answers, None)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        send.__qualname__ = name
        lt.sender(name, **options)(send)
        return got

    return mark


def take_in(*ids: str, destination: object = "meta", payload: object = None, **more: Any) -> None:
    for one in ids:
        given = {"for": one} if payload is None else payload
        assert lt.lead_event(given, id=one, destination=destination, lead_id=f"lead of {one}", **more).saved


def test_what_waits_is_sent_in_the_order_in_which_it_came_with_what_was_given(told, platform):
    got = platform()
    take_in("e1", "e2", "e3", type="Lead", campaign_group="solar", account_id="a")
    result = lt.send_waiting()
    assert (result.sent, result.failed, result.quarantined, result.waiting) == (3, 0, 0, 0)
    assert [one.id for one in got] == ["e1", "e2", "e3"]
    first = got[0]
    assert (first.destination, first.type, first.campaign_group, first.account_id) == ("meta", "Lead", "solar", "a")
    assert (first.lead_id, first.attempt, first.resend) == ("lead of e1", 1, False)
    assert told.names("e1") == ["lead.event.received", "lead.event.saved", "lead.event.sent"]
    assert "resend" not in told.of("lead.event.sent")[0]
    assert lt.send_waiting().sent == 0


def test_the_payload_is_the_one_that_was_given(told):
    got = []
    lt.sender("meta")(got.append)
    take_in("e1", payload={"user": {"phone": "+1 415 555 0100"}, "n": [1, 2.5, None]})
    take_in("e2", payload={})
    lt.send_waiting()
    assert got == [{"user": {"phone": "+1 415 555 0100"}, "n": [1, 2.5, None]}, {}]


def test_a_coroutine_function_sends_too(told):
    got = []

    @lt.sender("meta")
    async def send(payload, event):
        await asyncio.sleep(0)
        got.append(event.id)

    take_in("e1", "e2")
    assert lt.send_waiting().sent == 2
    assert got == ["e1", "e2"]


def test_a_sender_that_raises_is_a_failed_try_and_the_next_one_comes_after_a_growing_wait(told, platform, clock):
    got = platform("meta", ConnectionRefusedError("refused"), ConnectionRefusedError("refused"), first_wait_s=2)
    take_in("e1")
    assert lt.send_waiting().failed == 1
    clock.pass_s(1.9)
    assert lt.send_waiting().waiting == 1
    clock.pass_s(0.2)
    assert lt.send_waiting().failed == 1
    clock.pass_s(3.9)
    assert len(got) == 2
    lt.send_waiting()
    assert len(got) == 2
    clock.pass_s(0.2)
    assert lt.send_waiting().sent == 1
    assert [one.attempt for one in got] == [1, 2, 3]
    assert told.names("e1")[2:] == ["lead.event.failed", "lead.event.failed", "lead.event.sent"]
    [failed, _] = [one.attributes for one in told.events if one.name == "lead.event.failed"]
    assert failed["leadtrace.kind"] == "attempt_failure"
    assert (failed["error.type"], failed["lead.event.reason"]) == ("ConnectionRefusedError", "refused")


def test_waits_grow_to_the_longest_and_no_further(told, platform, clock):
    platform("meta", *[ValueError("x")] * 12, first_wait_s=1, longest_wait_s=8)
    take_in("e1")
    waits = []
    for _ in range(6):
        lt.send_waiting()
        waits.append(round(told.lead_events.due_in_s("meta")))
        clock.pass_s(waits[-1] + 0.01)
    assert waits == [1, 2, 4, 8, 8, 8]


def test_one_that_fails_does_not_hold_up_those_behind_it(told, platform, clock):
    got = platform("meta", ValueError("this payload alone"))
    take_in("e1", "e2")
    result = lt.send_waiting()
    assert (result.sent, result.failed, result.waiting) == (1, 1, 1)
    assert [one.id for one in got] == ["e1", "e2"]


def test_one_platform_that_is_down_does_not_hold_up_the_other(told, platform):
    meta = platform("meta", *[ConnectionRefusedError("down")] * 9)
    google = platform("google")
    take_in("e1", "e2", destination=["meta", "google"])
    result = lt.send_waiting()
    assert result.sent == 2
    assert [one.id for one in google] == ["e1", "e2"]
    assert len(meta) == 2
    assert result.waiting == 2


def test_a_slow_platform_does_not_hold_up_the_other(told):
    others_done = threading.Event()
    in_time = []

    @lt.sender("slow")
    def slow(payload):
        in_time.append(others_done.wait(10))

    @lt.sender("quick")
    def quick(payload, event):
        if event.id == "e3":
            others_done.set()

    take_in("e1", "e2", "e3", destination=["slow", "quick"])
    assert lt.send_waiting().sent == 6
    assert in_time == [True, True, True]


def test_a_platform_that_does_not_work_is_left_alone_and_not_asked_for_each_that_waits(told, platform, clock):
    got = platform("meta", *[ConnectionRefusedError("down")] * 5, first_wait_s=0.001, longest_wait_s=0.001)
    take_in(*(f"e{number}" for number in range(50)))
    assert lt.send_waiting().failed == 3
    clock.pass_s(0.4)
    assert lt.send_waiting().failed == 0
    clock.pass_s(0.2)
    assert lt.send_waiting().failed == 1
    clock.pass_s(0.6)
    assert lt.send_waiting().failed == 0, "the second pause is longer"
    clock.pass_s(0.6)
    assert lt.send_waiting().failed == 1
    clock.pass_s(3)
    assert lt.send_waiting().sent == 50
    assert sorted({one.id for one in got}) == sorted(f"e{number}" for number in range(50))


class Slow(Exception):
    retry_after = 30


class Response:
    def __init__(self, status: int, **headers: str) -> None:
        self.status_code = status
        self.headers = {key.replace("_", "-"): value for key, value in headers.items()}

    def __repr__(self) -> str:
        return f"Response({self.status_code})"


class HTTPStatusError(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response


@pytest.mark.parametrize(
    "answer",
    [Slow("slow down"), Response(429, retry_after="30"), HTTPStatusError(Response(429, Retry_After="30"))],
    ids=["attribute", "returned", "raised"],
)
def test_a_platform_that_asks_to_be_left_alone_is(told, platform, clock, answer):
    got = platform("meta", answer)
    take_in("e1", "e2")
    assert lt.send_waiting().failed == 1
    clock.pass_s(29)
    assert lt.send_waiting().sent == 0
    clock.pass_s(2)
    assert lt.send_waiting().sent == 2
    assert len(got) == 3


@pytest.mark.parametrize(
    ("answer", "options", "status", "reason"),
    [
        (lt.Refused("unknown pixel"), {}, None, "unknown pixel"),
        (lt.rejected("unknown pixel", code=17), {}, None, "unknown pixel (17)"),
        (Response(422), {"refused": 422}, 422, "answered 422"),
        (HTTPStatusError(Response(400)), {"refused": [400, 404]}, 400, "status 400"),
        (KeyError("x"), {"refused": LookupError}, None, "'x'"),
    ],
)
def test_what_a_platform_refuses_for_good_goes_into_quarantine_with_its_reason(
    told, platform, answer, options, status, reason
):
    got = platform("meta", answer, **options)
    take_in("e1")
    result = lt.send_waiting()
    assert (result.sent, result.failed, result.quarantined, result.waiting) == (0, 0, 1, 0)
    [quarantined] = told.of("lead.event.quarantined")
    assert quarantined["reason"] == reason
    assert quarantined["location"].endswith("outbox.db")
    lt.send_waiting()
    assert len(got) == 1, "never again"


def test_after_the_most_tries_it_goes_into_quarantine(told, platform, clock):
    platform("meta", ValueError("no"), ValueError("no"), max_attempts=2)
    take_in("e1")
    assert lt.send_waiting().failed == 1
    clock.pass_s(10)
    assert lt.send_waiting().quarantined == 1
    assert told.of("lead.event.quarantined")[0]["reason"] == "failed 2 times: no"


@pytest.mark.parametrize(
    ("answer", "outcome", "may_be_sent"),
    [
        (None, "sent", False),
        ("ok", "sent", False),
        (Response(200), "sent", False),
        (lt.accepted(), "sent", False),
        (lt.pending("ref"), "sent", False),
        (False, "failed", False),
        (lt.failed("no"), "failed", False),
        (lt.unconfirmed("cut off"), "failed", True),
        (Response(400), "failed", False),
        (Response(401), "failed", False),
        (Response(503), "failed", False),
        (Response(500), "failed", True),
        (Response(504), "failed", True),
        (ConnectionRefusedError(), "failed", False),
        (TimeoutError(), "failed", True),
        (ConnectionResetError(), "failed", True),
        (ValueError("what the sender did after the request"), "failed", True),
        (HTTPStatusError(Response(429)), "failed", False),
        (HTTPStatusError(Response(502)), "failed", True),
    ],
    ids=repr,
)
def test_what_an_answer_means_and_whether_the_platform_may_have_it_all_the_same(told, answer, outcome, may_be_sent):
    lt.sender("meta")(lambda payload: None)
    from leadtrace.words.sender import senders

    judge = what_was_raised if isinstance(answer, Exception) else what_was_said
    said = judge(answer, senders["meta"], {})
    assert (said.outcome, said.may_be_sent) == (outcome, may_be_sent)


@pytest.mark.parametrize(("problem", "resend"), [(TimeoutError("read"), True), (ConnectionRefusedError("no"), False)])
def test_only_what_the_platform_may_have_is_a_resend(told, platform, clock, problem, resend):
    got = platform("meta", problem)
    take_in("e1")
    lt.send_waiting()
    clock.pass_s(10)
    lt.send_waiting()
    assert [one.resend for one in got] == [False, resend]
    assert told.of("lead.event.sent")[0].get("resend", False) is resend


def test_what_a_process_had_in_hand_when_it_died_comes_back_as_a_resend_with_the_same_id(process):
    dead = process()
    take_in("e1", "e2")

    @lt.sender("meta")
    def send(payload, event):
        seen.append((event.id, event.attempt, event.resend))
        if len(seen) == 1:
            raise KeyboardInterrupt  # stands for the kill: nothing after it happens

    seen: list[Any] = []
    dead.lead_events.bring_in()
    turn = dead.lead_events.turn("meta", None, ())
    seen.append((turn.claimed.event.id, turn.claimed.event.attempt, turn.claimed.event.resend))
    beside = process()
    assert lt.send_waiting().sent == 1, "what a living process has in hand is not sent by another"
    dead.die()
    assert lt.send_waiting().sent == 1
    assert seen == [("e1", 1, False), ("e2", 1, False), ("e1", 2, True)]
    [first, second] = beside.of("lead.event.sent")
    assert (first["id"], first.get("resend"), second["id"], second.get("resend")) == ("e2", None, "e1", True)


def test_what_was_sent_and_not_told_when_the_process_died_is_told_once_under_the_same_uid(process, platform):
    dead = process()
    platform()
    take_in("e1")
    dead.lead_events.bring_in()
    claimed = dead.lead_events.turn("meta", None, ()).claimed
    from leadtrace.words.sender import Said, senders
    from leadtrace.words.sending import _settled

    settled = _settled(claimed, Said("sent"), senders["meta"], "")
    [telling] = dead.lead_events.settle(settled, ()).tellings
    dead.die()
    after = process()
    assert lt.send_waiting().sent == 0
    [sent] = [one for one in after.events if one.name == "lead.event.sent"]
    assert (sent.uid, sent.lead_id, sent.time_ns) == (telling.uid, "lead of e1", telling.time_ns)
    lt.send_waiting()
    assert after.names() == ["lead.event.sent"]


def test_workers_beside_each_other_send_each_lead_event_once(process):
    sent: list[str] = []

    @lt.sender("meta")
    def send(payload, event):
        sent.append(event.id)

    process()
    ids = [f"e{number}" for number in range(60)]
    take_in(*ids)
    paths = [process().lead_events for _ in range(3)]  # three processes' worth
    from leadtrace.words.sender import senders
    from leadtrace.words.sending import SendResult, _Lane, _Work

    with ThreadPoolExecutor(6) as pool:
        works = [_Work(SendResult(), None, None) for _ in range(6)]
        list(
            pool.map(
                lambda at: (paths[at % 3].bring_in(), _Lane(paths[at % 3], senders["meta"], works[at]).run()), range(6)
            )
        )
    assert sorted(sent) == sorted(ids)


def test_the_same_lead_event_kept_twice_is_sent_once_and_another_payload_under_its_id_is_another(told, platform):
    got = platform()
    take_in("e1", "e1", payload={"value": 1})
    lt.send_waiting()
    take_in("e1", payload={"value": 1})
    assert lt.send_waiting().sent == 0, "also after it was sent"
    take_in("e1", payload={"value": 2})
    lt.send_waiting()
    assert [one.id for one in got] == ["e1", "e1"]


def test_what_is_handed_over_twice_is_taken_in_once(told, platform):
    got = platform()
    take_in("e1")
    lt.send_waiting()
    told.hand_over_again()
    assert lt.send_waiting().sent == 0
    assert len(got) == 1


def test_a_limit_and_a_time_end_a_call(told, platform):
    platform()
    take_in(*(f"e{number}" for number in range(5)))
    result = lt.send_waiting(limit=2)
    assert (result.sent, result.waiting) == (2, 3)
    assert lt.send_waiting(timeout_s=0).sent == 0
    assert lt.send_waiting(destination="meta").sent == 3


def test_an_interrupt_leaves_the_lead_event_for_another_time_and_passes(told, platform, clock):
    got = platform("meta", KeyboardInterrupt())
    take_in("e1")
    with pytest.raises(KeyboardInterrupt):
        lt.send_waiting()
    clock.pass_s(2)
    assert lt.send_waiting().sent == 1
    assert [one.resend for one in got] == [False, True]


def test_mistakes_in_calling_are_sentences(told, platform):
    with pytest.raises(SettingsError, match="'meta' has no sender here"):
        lt.send_waiting("meta")
    with pytest.raises(SettingsError, match="has nothing to call"):
        lt.sending()
    from leadtrace.words import runtime

    runtime.uninstall()
    with pytest.raises(SettingsError, match=r"needs lt\.configure"):
        lt.send_waiting()


async def test_on_an_event_loop_it_says_how_to_call_it(told, platform):
    platform()
    take_in("e1")
    with pytest.raises(SettingsError, match=r"asyncio.to_thread\(lt.send_waiting\)"):
        lt.send_waiting()
    assert (await asyncio.to_thread(lt.send_waiting)).sent == 1


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (lambda: lt.sender(""), "takes the platform's name"),
        (lambda: lt.sender("m", refused="400"), "exception classes and statuses"),
        (lambda: lt.sender("m", first_wait_s=0), "waits first_wait_s up to longest_wait_s"),
        (lambda: lt.sender("m", max_attempts=0), "tries at least once"),
        (lambda: lt.sender("m")(lambda: None), "is called with the payload and the event"),
        (lambda: lt.sender("m")(5), "marks a function"),
        (lambda: [lt.sender("m")(print), lt.sender("m")(len)], "has a sender already"),
    ],
)
def test_a_sender_that_cannot_be_fails_where_it_is_marked(mark, said):
    with pytest.raises(DecorationError, match=said):
        mark()


def test_what_is_said_of_a_failure_quotes_nothing_of_the_payload(told, platform):
    payload = {"first_name": "Jane", "last_name": "Roe", "email": "jane.roe@example.com", "phone": "+1 415 555 0100"}
    platform("meta", RuntimeError("bad user Jane ROE <jane.roe@example.com>, tel %2B1 415 555 0100"))
    take_in("e1", payload=payload)
    lt.send_waiting()
    [failed] = told.of("lead.event.failed")
    assert "bad user" in failed["reason"]
    assert "example.com" not in failed["reason"]
    assert not [one for one in ("Jane", "ROE", "jane.roe", "5550100", "555 0100") if one in failed["reason"]]
    with told.lead_events.outbox.transaction() as database:
        assert database.execute("SELECT reason FROM lead_events").fetchone() == (failed["reason"],)


def test_a_payload_whose_key_is_gone_goes_into_quarantine_and_those_behind_it_are_sent(process, platform):
    process(keys=(b"a key that is thrown away",))
    take_in("e1")
    told = process()
    got = platform()
    take_in("e2")
    assert lt.send_waiting().sent == 1
    assert [one.id for one in got] == ["e2"]
    [quarantined] = told.of("lead.event.quarantined")
    assert quarantined["id"] == "e1"
    assert quarantined["reason"].startswith(
        "its payload cannot be opened: sealed with a key that is not in the key file"
    )


def test_after_a_rotation_of_the_key_what_waits_is_sent(process, platform):
    process()
    take_in("e1")
    process(keys=(b"the new key, made today", b"the key of these tests"))
    got = platform()
    take_in("e2")
    lt.send_waiting()
    assert [one.id for one in got] == ["e1", "e2"]


def test_what_cannot_be_written_down_for_now_is_written_down_later_and_sent_once(told, platform, monkeypatch):
    got = platform()
    take_in("e1")
    real = claims.step

    def full(outbox, sealer, destination, settled, told, now_ns):
        if settled:
            raise OSError("no space left")
        return real(outbox, sealer, destination, settled, told, now_ns)

    with monkeypatch.context() as patched:
        patched.setattr(claims, "step", full)
        with pytest.raises(OSError, match="no space left"):
            lt.send_waiting()
    assert lt.send_waiting().waiting == 0
    assert [one.id for one in got] == ["e1"]
    assert told.names("e1")[-1] == "lead.event.sent"


def test_a_background_thread_sends_what_comes_and_ends_with_its_block(told):
    sent = threading.Event()

    @lt.sender("meta")
    def send(payload, event):
        if event.id == "e2":
            sent.set()

    take_in("e1")
    with lt.sending() as sending:
        take_in("e2")
        assert sent.wait(10)
    assert sending.result.sent == 2
    assert not [one for one in threading.enumerate() if one.name == "leadtrace-send-meta"]
    take_in("e3")
    assert sending.result.sent == 2


def test_a_record_that_is_none_of_ours_holds_nothing_up(told, platform):
    got = platform()
    told.sink.keep("lead_event", b"\x00\x00\x00\x05nonsense")
    told.sink.keep("lead_event", b"")
    take_in("e1")
    assert lt.send_waiting().sent == 1
    assert len(got) == 1
    with told.lead_events.outbox.transaction() as database:
        assert database.execute("SELECT count(*) FROM unreadable").fetchone() == (2,)


def test_text_that_cannot_be_encoded_holds_nothing_up(told, platform, clock):
    """Half a surrogate pair, as badly decoded input leaves it: in ids, in the payload, in what a platform says."""
    half = "a\ud800b"
    got = platform("meta", ValueError(half), lt.Refused(half, field=half))
    receipt = lt.lead_event({half: half}, id=half, destination="meta", lead_id=half, type=half, schema=lambda p: None)
    assert receipt.saved
    lt.lead_event({half: half}, destination="meta", lead_id="l", schema=lambda p: {"reason": half, "field": half})
    assert lt.send_waiting().failed == 1
    clock.pass_s(10)
    assert lt.send_waiting().quarantined == 1
    assert [one.id for one in got] == ["a?b", "a?b"]
