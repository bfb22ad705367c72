"""`leadtrace.toml`: the same, written down."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import leadtrace as lt
from leadtrace.errors import DecorationError
from leadtrace.words import instrument_file
from leadtrace.words.instrument import instrumented
from leadtrace.words.instrument_file import LeadtraceInstrumentor, apply_file

Load = Callable[..., ModuleType]
LEAD = {"id": "lead_1"}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes leadtrace.toml into the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEADTRACE_CONFIG", raising=False)

    def write(text: str, name: str = "leadtrace.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_words_with_references_answers_and_fields_come_from_the_file(crm: Load, write: Any) -> None:
    crm("replies", "import leadtrace as lt\ndef read(reply):\n    return lt.accepted(revenue=reply['price'])\n")
    write(
        """
        [[instrument]]
        target = "crm.client:Client.append"
        word = "step"
        name = "append to CRM"
        lead_id = "arg.lead['id']"
        note = "arg.note"
        kind = "crm"
        length = { call = "builtins:len" }
        looks_like = { value = "arg.lead" }
        attributes = { "crm.answer" = "result", "crm.retries" = 3 }

        [[instrument]]
        target = "crm.client:Client.fetch"
        word = "delivery"
        buyer = "Acme"
        lead_id = "arg.lead.id"
        answer = "crm.replies:read"
        """
    )
    made = apply_file()
    module = crm()
    assert [(one.target, one.word, one.state, one.source) for one in made] == [
        ("crm.client:Client.append", "step", "in place", "leadtrace.toml"),
        ("crm.client:Client.fetch", "delivery", "in place", "leadtrace.toml"),
    ]
    client = module.Client()
    with lt.capture() as captured:
        client.append(LEAD, "hot")
        asyncio.run(client.fetch(LEAD))
    assert captured.names() == ["operation.started", "operation.completed", "delivery.started", "delivery.accepted"]
    completed = captured.one("operation.completed").attributes
    assert {key: value for key, value in completed.items() if key.startswith(("step.", "crm.", "lead.id"))} == {
        "lead.id": "lead_1",
        "step.note": "hot",
        "step.kind": "crm",
        "step.length": len("crm: lead_1 hot"),
        "step.looks_like": "arg.lead",
        "crm.answer": "crm: lead_1 hot",
        "crm.retries": 3,
    }
    accepted = captured.one("delivery.accepted").attributes
    assert (accepted["delivery.buyer"], accepted["delivery.revenue"], accepted["lead.id"]) == ("Acme", 12.5, "lead_1")


def test_every_word_can_be_written(crm: Load, write: Any) -> None:
    """Each on a function of its own, with the keywords that are its own."""
    write(
        """
        [[instrument]]
        target = "crm.many:run"
        word = "flow"
        name = "sell"
        version = 12
        lead_id = "arg.lead"
        [[instrument]]
        target = "crm.many:look_up"
        word = "enhancement"
        service = "TrueCaller ID"
        cost = 0.02
        data = ["carrier"]
        provides = ["carrier"]
        [[instrument]]
        target = "crm.many:check"
        word = "validation"
        passed = "result.ok"
        reason = "result.why"
        [[instrument]]
        target = "crm.many:allow"
        word = "rule"
        [[instrument]]
        target = "crm.many:other"
        word = "fallback"
        instead_of = "look_up"
        [[instrument]]
        target = "crm.many:post"
        word = "attempt"
        name = "POST lead"
        expected = ["builtins:TimeoutError", "crm.client:Down"]
        [[instrument]]
        target = "crm.many:go_on"
        word = "resume"
        carried = "arg.carried"
        """
    )
    apply_file()
    module = crm(
        "many",
        """
        from crm.client import Down
        class No:
            ok, why = False, "too young"
        def run(lead):
            look_up(lead)
            check(lead)
            allow(lead)
            other(lead)
            try:
                post(lead)
            except Down:
                pass
        def look_up(lead): return {"carrier": "Verizon", "name": "Ann"}
        def check(lead): return No
        def allow(lead): return True
        def other(lead): return None
        def post(lead): raise Down("away")
        def go_on(carried): return None
        """,
    )
    assert [one.why for one in instrumented()] == [""] * 7
    with lt.capture() as captured:
        module.run("lead_1")
        module.go_on(None)
    assert captured.names()[:12] == [
        "flow.started",
        "enhancement.started",
        "enhancement.success",
        "operation.started",
        "validation.failed",
        "operation.started",
        "rule.satisfied",
        "operation.started",
        "fallback.used",
        "operation.completed",
        "api.call.attempted",
        "api.call.succeeded",
    ]
    success = captured.one("enhancement.success").attributes
    assert (success["enhancement.cost"], success["enhancement.data_appended.carrier"]) == (0.02, "Verizon")
    assert "enhancement.data_appended.name" not in success
    assert captured.one("validation.failed").attributes["validation.reason"] == "too young"
    assert captured.one("api.call.succeeded").attributes["leadtrace.expected"] == "crm.client.Down"
    assert captured.one("flow.completed").attributes["flow.version"] == 12


def test_nothing_of_the_users_is_imported_before_the_target_is(crm: Load, write: Any) -> None:
    (Path("crm") / "replies.py").write_text("def read(reply): return None\n")
    write('[[instrument]]\ntarget = "crm.client:post"\nword = "delivery"\nanswer = "crm.replies:read"\n')
    apply_file()
    assert not any(name.startswith("crm") for name in sys.modules)
    crm()
    assert "crm.replies" in sys.modules


def test_a_file_applied_twice_is_in_place_once(crm: Load, write: Any) -> None:
    write('[[instrument]]\ntarget = "crm.client:post"\nword = "step"\n')
    first = apply_file()
    module = crm()
    assert apply_file() == first
    with lt.capture() as captured:
        module.post(LEAD)
    assert len(captured.events("operation.started")) == 1


def test_without_a_file_nothing_happens_and_one_that_was_named_is_missed(
    crm: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, write: Any
) -> None:
    with caplog.at_level(logging.WARNING, "leadtrace"):
        assert apply_file() == []
        assert apply_file(Path("leadtrace.toml")) == []  # the setting's default
        assert caplog.messages == []
        monkeypatch.setenv("LEADTRACE_CONFIG", "words.toml")
        assert apply_file() == []
        assert caplog.messages == [f"words.toml: there is no such file (in {tmp_path})"]
    write('[[instrument]]\ntarget = "crm.client:post"\nword = "step"\n', "words.toml")
    assert [one.source for one in apply_file()] == ["words.toml"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[instrument]\n", "leadtrace.toml: it is not TOML: "),
        (
            "[instrument]\ntarget='x:y'\n",
            "words are written as a list of tables: [[instrument]], with both brackets twice",
        ),
        ("[[word]]\ntarget='x:y'\n", "it has 'word', which nothing reads; words stand under [[instrument]]"),
        ("[[instrument]]\nword='step'\n", "an entry without a target: {'word': 'step'}"),
        (
            "[[instrument]]\ntarget='crm.client:post'\nword='stepp'\n",
            "crm.client:post: word is one of attempt, delivery, enhancement",
        ),
        ("[[instrument]]\ntarget='crm.client.post'\nword='step'\n", "a target is written 'package.module:function'"),
        (
            "[[instrument]]\ntarget='crm.client:post'\nword='step'\nlead_id='arg.led'\n",
            "the function's parameters are: lead, url",
        ),
        (
            "[[instrument]]\ntarget='crm.client:post'\nword='step'\nlead_id='arg.lead.id + 1'\n",
            "begins like a reference and is none",
        ),
        (
            "[[instrument]]\ntarget='crm.client:post'\nword='step'\nlead_id='arg.'\n",
            "begins like a reference and is none",
        ),
        (
            "[[instrument]]\ntarget='crm.client:post'\nword='delivery'\nanswer='read'\n",
            "answer names code as 'package.module:function'",
        ),
        (
            "[[instrument]]\ntarget='crm.client:post'\nword='delivery'\nanswer='crm.client:read'\n",
            "which is not there: ",
        ),
        (
            "[[instrument]]\ntarget='crm.client:post'\nword='step'\nexpected='crm.client:post'\n",
            "expected= takes exception classes",
        ),
        ("[[instrument]]\ntarget='crm.client:post'\nword='enhancement'\nservise='x'\n", "did you mean 'service'?"),
    ],
)
def test_what_is_wrong_in_a_file_is_warned_about_once_and_stops_nothing(
    crm: Load, write: Any, caplog: pytest.LogCaptureFixture, text: str, sentence: str
) -> None:
    write(
        text + "\n[[instrument]]\ntarget='crm.client:Client.append'\nword='step'\n" if text.startswith("[[i") else text
    )
    with caplog.at_level(logging.WARNING, "leadtrace"), lt.capture():
        apply_file()
        assert crm().post(LEAD)["status"] == 200
        apply_file()
    (message,) = caplog.messages
    assert message.startswith("leadtrace.toml: ")
    assert sentence in message
    if text.startswith("[[instrument]]"):  # the rest of the file stands
        assert "in place" in [one.state for one in instrumented()]


names = st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(lambda name: name.isidentifier())
items = st.one_of(
    names.map(lambda name: (False, name)), st.integers(-9, 9).map(lambda n: (True, n)), names.map(lambda n: (True, n))
)


@given(root=st.one_of(st.none(), names), path=st.lists(items, max_size=4))
def test_a_reference_written_as_text_is_the_reference_that_code_would_write(root: str | None, path: list[Any]) -> None:
    import keyword

    if any(keyword.iskeyword(str(one)) for one in (root, *(key for _, key in path))):
        return
    text = f"arg.{root}" if root else "result"
    wanted = lt.arg[root] if root else lt.result
    for item, key in path:
        text += f"[{key!r}]" if item else f".{key}"
        wanted = wanted[key] if item else getattr(wanted, key)
    assert repr(instrument_file._value("x", text)) == repr(wanted)


@given(st.one_of(st.text(), st.text().map("arg.".__add__), st.text().map("result[".__add__)))
def test_any_text_is_a_reference_or_itself_or_refused_with_a_sentence(text: str) -> None:
    found: Any = None
    try:
        found = instrument_file._value("note", text)
    except DecorationError as refused:
        found, sentence = text, str(refused)
        assert text.lstrip().startswith(("arg", "result")), sentence
    assert type(found).__name__ == "Reference" or found == text


@pytest.mark.parametrize(
    "text", ["result of it", "argue", "arguments.x", "results", "an arg.lead", "lead_1", "resultant.x"]
)
def test_text_that_only_reminds_of_a_reference_is_text(text: str) -> None:
    assert instrument_file._value("note", text) == text


def test_opentelemetrys_entry_point_applies_the_file_and_takes_it_back(crm: Load, write: Any) -> None:
    """As `opentelemetry-instrument` does: load the entry point, make one, call `instrument`."""
    write('[[instrument]]\ntarget = "crm.client:post"\nword = "step"\n')
    entry = EntryPoint(
        "leadtrace", "leadtrace.words.instrument_file:LeadtraceInstrumentor", "opentelemetry_instrumentor"
    )
    instrumentor = entry.load()()
    assert isinstance(instrumentor, LeadtraceInstrumentor)
    instrumentor.instrument(skip_dep_check=True)
    module = crm()
    assert hasattr(module.post, "__wrapped__")
    instrumentor.uninstrument()
    assert not hasattr(module.post, "__wrapped__")
