"""`lt.instrument`: words on code of others, before and after it is imported."""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.errors import DecorationError
from leadtrace.words.instrument import instrumented

Load = Callable[..., ModuleType]
LEAD = {"id": "lead_1"}


def test_a_method_gets_its_word_before_its_module_is_imported(crm: Load) -> None:
    one = lt.instrument("crm.client:Client.append", lt.step("append to CRM", lead_id=lt.arg.lead["id"]))
    assert (one.state, one.late, "crm.client" in sys.modules) == ("waiting", False, False)
    client = crm().Client()
    assert one.state == "in place"
    with lt.capture() as captured:
        assert client.append(LEAD, note="hot") == "crm: lead_1 hot"
    assert captured.tree() == "step 'append to CRM'\n  operation.started\n  operation.completed"
    started = captured.one("operation.started")
    assert started.lead_id == "lead_1"


def test_a_method_gets_its_word_after_its_module_was_imported_and_so_do_objects_made_before(crm: Load) -> None:
    client = crm().Client()
    one = lt.instrument("crm.client:Client.append", lt.step("append"))
    assert (one.state, one.late) == ("in place", True)
    with lt.capture() as captured:
        client.append(LEAD)
    assert captured.names() == ["operation.started", "operation.completed"]


@pytest.mark.parametrize("before", [True, False])
def test_every_kind_of_function_keeps_what_it_is(crm: Load, before: bool) -> None:
    def ask() -> None:
        for path in ("fetch", "pages", "regional", "normal", "Inner.deep", "append"):
            lt.instrument(f"crm.client:Client.{path}", lt.step(lead_id=lt.arg.lead["id"]))

    if before:
        ask()
        module = crm()
    else:
        module = crm()
        ask()
    client_class = module.Client
    client = client_class()

    async def fetch() -> Any:
        return await client.fetch(LEAD)

    with lt.capture() as captured:
        assert asyncio.run(fetch()) == {"price": 12.5, "taken": True}
        assert list(client.pages(LEAD)) == [1, 2, 3]
        assert (client_class.regional(LEAD), client.regional(LEAD)) == ("eu lead_1", "eu lead_1")
        assert (client_class.normal({"id": "L"}), client.normal({"id": "L"})) == ("l", "l")
        assert client_class.Inner().deep(LEAD) == "deep"
    assert [one.attributes["leadtrace.name"] for one in captured.events("operation.completed")] == [
        "fetch",
        "pages",
        "regional",
        "regional",
        "normal",
        "normal",
        "deep",
    ]
    assert inspect.iscoroutinefunction(client_class.fetch)
    assert isinstance(inspect.getattr_static(client_class, "regional"), classmethod)
    assert isinstance(inspect.getattr_static(client_class, "normal"), staticmethod)
    assert client_class.append.__doc__ == "Append a note."
    assert str(inspect.signature(client_class.append)) == "(self, lead, note: str = '') -> str"


def test_names_that_other_modules_bound_to_the_function_are_replaced(crm: Load) -> None:
    module = crm()
    user = crm("user", "from crm.client import post\nfrom crm.client import post as push\nbefore = [post]\n")
    one = lt.instrument("crm.client:post", lt.step("post"))
    assert sorted(one.replaced) == ["crm.client.send", "crm.user.post", "crm.user.push"]
    assert module.post is module.send is user.post is user.push
    with lt.capture() as captured:
        user.push(LEAD)
        user.before[0](LEAD)  # captured before: the word does not reach it, and `late` says so
    assert captured.names() == ["operation.started", "operation.completed"]
    assert one.late


def test_names_bound_later_get_the_word_by_themselves(crm: Load) -> None:
    lt.instrument("crm.client:post", lt.step("post"))
    user = crm("user", "from crm.client import post\nkept = [post]\n")
    with lt.capture() as captured:
        user.kept[0](LEAD)
    assert captured.names() == ["operation.started", "operation.completed"]


def test_a_method_of_a_base_class_gets_its_word_in_the_named_class_alone(crm: Load) -> None:
    module = crm()
    one = lt.instrument("crm.client:Client.ping", lt.step("ping"))
    with lt.capture() as captured:
        assert module.Base().ping("a") == "pong from a"
        assert captured.names() == []
        assert module.Client().ping("b") == "pong from b"
    assert captured.names() == ["operation.started", "operation.completed"]
    assert pickle.loads(pickle.dumps(module.Client.ping)) is module.Client.ping
    one.undo()
    assert "ping" not in vars(module.Client)


def test_an_object_of_a_module_can_be_the_owner(crm: Load) -> None:
    module = crm()
    lt.instrument("crm.client:client.append", lt.step("append"))
    with lt.capture() as captured:
        assert module.client.append(LEAD) == "shared: lead_1 "
        module.Client().append(LEAD)
    assert captured.names() == ["operation.started", "operation.completed"]


def test_functions_and_methods_can_be_pickled_still(crm: Load) -> None:
    for target in ("post", "Client.append", "Client.regional", "Client.normal", "Client.fetch"):
        lt.instrument(f"crm.client:{target}", lt.step())
    module = crm()
    client = module.Client("mine")
    for function in (module.post, module.Client.append, module.Client.normal):
        assert pickle.loads(pickle.dumps(function)) is function
    assert pickle.loads(pickle.dumps(module.Client.regional))(LEAD) == "eu lead_1"
    assert pickle.loads(pickle.dumps(client.append))(LEAD) == "mine: lead_1 "


def test_words_stack_like_decorators(crm: Load) -> None:
    lt.instrument("crm.client:post", lt.attempt("POST lead"))
    lt.instrument("crm.client:post", lt.delivery("Acme", answer=lambda result: lt.accepted(revenue=3)))
    module = crm()
    with lt.capture() as captured, lt.flow("sell", lead_id="lead_1"):
        module.post(LEAD)
    assert captured.tree() == (
        "flow 'sell'\n"
        "  flow.started\n"
        "  delivery 'deliver to Acme'\n"
        "    delivery.started\n"
        "    attempt 'POST lead'\n"
        "      api.call.attempted\n"
        "      api.call.succeeded\n"
        "    delivery.accepted\n"
        "  flow.completed"
    )


def test_the_same_word_on_the_same_target_is_there_once(crm: Load) -> None:
    first = lt.instrument("crm.client:post", lt.step("post"))
    module = crm()
    assert lt.instrument("crm.client:post", lt.step("post")) is first
    with lt.capture() as captured:
        module.post(LEAD)
    assert len(captured.events("operation.started")) == 1


def test_a_word_used_bare_and_one_that_has_lost_its_module_for_good(crm: Load) -> None:
    one = lt.instrument("crm.client:post", lt.step)
    assert one.word == "step"
    with lt.capture() as captured:
        crm().post(LEAD)
    assert captured.one("operation.started").attributes["leadtrace.name"] == "post"


def test_the_hosts_exception_stays_its_own(crm: Load) -> None:
    lt.instrument("crm.client:post", lt.step("post"))
    module = crm()
    with lt.capture() as captured, pytest.raises(module.Down, match="no answer"):
        module.post({"id": "down"})
    assert captured.names() == ["operation.started", "error.occurred", "operation.failed"]
    assert captured.one("operation.failed").attributes["error.type"] == "crm.client.Down"


def test_undo_puts_back_what_was_there_under_every_name(crm: Load) -> None:
    module = crm()
    user = crm("user", "from crm.client import post\n")
    before = module.post
    first = lt.instrument("crm.client:post", lt.step("post"))
    second = lt.instrument("crm.client:post", lt.attempt("post"))
    first.undo()  # another word is on top of it: it stays
    assert module.post is not before
    second.undo()
    third = lt.instrument("crm.client:Client.regional", lt.step())
    third.undo()
    assert isinstance(inspect.getattr_static(module.Client, "regional"), classmethod)
    assert instrumented() == []
    fresh = lt.instrument("crm.client:Client.append", lt.step())
    fresh.undo()
    assert module.Client.append.__qualname__ == "Client.append"
    assert not hasattr(module.Client.append, "__wrapped__")
    assert user.post is module.post


def test_a_target_that_was_undone_while_it_waited_is_left_alone(crm: Load) -> None:
    one = lt.instrument("crm.client:post", lt.step("post"))
    one.undo()
    assert not hasattr(crm().post, "__wrapped__")


@pytest.mark.parametrize(
    ("target", "word", "sentence"),
    [
        ("crm.client:Client.apend", lt.step(), "Client has no 'apend'; did you mean append?"),
        ("crm.client:Cleint.append", lt.step(), "crm.client has no 'Cleint'; did you mean Client or client?"),
        ("crm.client:Client.shown", lt.step(), "lt.step decorates functions and methods, not"),
        ("crm.client:Client", lt.step(), "lt.step decorates functions and methods, not Client (type)"),
        (
            "crm.client:post",
            lt.step(lead_id=lt.arg.led["id"]),
            "names a parameter that is not there; the function's parameters are: lead, url",
        ),
        ("crm.client:post", lambda function: 1 / 0, "ZeroDivisionError('division by zero')"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_what_is_not_there_is_warned_about_and_the_library_works_as_ever(
    crm: Load, caplog: pytest.LogCaptureFixture, before: bool, target: str, word: Any, sentence: str
) -> None:
    """Also under strict: a vendor's new version must not stop the host, not even at import."""
    with caplog.at_level(logging.WARNING, "leadtrace"), lt.capture():
        if not before:
            crm()
        one = lt.instrument(target, word)
        assert crm().post(LEAD) == {"status": 200, "id": "lead_1"}
    assert one.state == "failed"
    assert sentence in one.why
    assert caplog.messages == [f"lt.instrument: {target}: {one.why}"]
    assert one in instrumented()


def test_a_module_that_cannot_be_found_is_warned_about_and_waited_for(
    crm: Load, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "leadtrace"):
        one = lt.instrument("crmm.client:post", lt.step())
        crm()  # `crm` is imported: what is beneath it can be looked for without importing anything
        two = lt.instrument("crm.clients:post", lt.step())
        unknown = lt.instrument("crm.client.deep:post", lt.step())
    assert caplog.messages == [
        "lt.instrument: crmm.client:post: there is no module 'crmm'; the word is put there if it is ever imported",
        "lt.instrument: crm.clients:post: there is no module 'crm.clients'; the word is put there if it is ever imported",
        "lt.instrument: crm.client.deep:post: there is no module 'crm.client.deep'; the word is put there if it is ever imported",
    ]
    assert [one.state, two.state, unknown.state] == ["waiting"] * 3
    module = crm("clients", "def post(lead):\n    return lead\n")
    assert two.state == "in place"
    assert hasattr(module.post, "__wrapped__")


def test_a_builtin_type_that_takes_no_attributes_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "leadtrace"):
        one = lt.instrument("builtins:str.upper", lt.step())
    assert one.state == "failed"
    assert "immutable type" in one.why
    assert str.upper("a") == "A"


def test_a_module_in_the_middle_of_its_import_says_when_to_ask(crm: Load, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "leadtrace"):
        crm(
            "early",
            """
            import leadtrace as lt
            lt.instrument("crm.early:late", lt.step())
            def late(): return 1
            """,
        )
    (message,) = caplog.messages
    assert message.endswith("(crm.early is still being imported: ask before its import begins, or after it)")


@pytest.mark.parametrize("target", ["", "crm.client", "crm.client.post", "crm.client:", ":post", "crm client:post", 7])
def test_a_target_that_is_no_target_is_refused_where_it_is_written(target: Any) -> None:
    with pytest.raises(
        DecorationError, match=r"takes 'package\.module:function' or 'package\.module:Class\.method', not"
    ):
        lt.instrument(target, lt.step())


def test_what_is_no_word_is_refused_where_it_is_written() -> None:
    with pytest.raises(DecorationError, match=r"takes a word, such as lt\.step"):
        lt.instrument("crm.client:post", "step")


def test_lazy_modules_are_not_loaded_by_looking_for_names(crm: Load, tmp_path: Path) -> None:
    crm()
    (tmp_path / "crm" / "lazy.py").write_text("raise AssertionError('loaded')\n")
    import importlib.util

    spec = importlib.util.find_spec("crm.lazy")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["crm.lazy"] = module
    spec.loader.exec_module(module)
    assert lt.instrument("crm.client:post", lt.step()).state == "in place"


def test_what_only_looks_like_a_module_is_passed_over(crm: Load) -> None:
    """cffi's libraries are in sys.modules, call themselves modules and have no __dict__."""

    class Bare:
        __slots__ = ()
        __class__ = type(sys)

    sys.modules["crm.library"] = Bare()  # type: ignore[assignment]
    try:
        crm()
        assert lt.instrument("crm.client:post", lt.step()).state == "in place"
    finally:
        del sys.modules["crm.library"]


def test_wrapt_is_loaded_only_when_something_is_instrumented() -> None:
    program = (
        "import sys, leadtrace as lt\n"
        "lt.step; lt.on; lt.instrument\n"
        "print('wrapt' in sys.modules)\n"
        "lt.instrument('json:dumps', lt.step())\n"
        "print('wrapt' in sys.modules)\n"
    )
    src = str(Path(lt.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": src},
        timeout=30,
        check=False,
    )
    assert done.stdout.split() == ["False", "True"], done.stderr
