"""`leadtrace check` finds the misuses of the words that can be seen in code, and leaves sound code alone."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from leadtrace.cli.check import check
from leadtrace.cli.checking import check_paths

if TYPE_CHECKING:
    from pathlib import Path


def findings(folder: Path, **files: str) -> list[str]:
    """What is found in those files, as `file:line: message`."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return [str(one).removeprefix(f"{folder}/") for one in check_paths([folder])[0]]


SOUND = """
    import contextlib
    import leadtrace as lt
    import pytest
    import stamina
    from leadtrace import enhancement, step as told

    class ConsentVerified(lt.Event, name="lead.permission.verified"):
        certificate_id: str

    NAME = "lead.received"

    @lt.delivery(buyer="Acme")
    @stamina.retry(on=OSError)
    @lt.attempt("POST lead")
    def post(lead): ...

    @told
    def rows(leads):
        for lead in leads:
            yield lead

    @contextlib.contextmanager
    def session():
        with lt.step("session"):
            yield

    @pytest.fixture
    def flow():
        with lt.flow("test"):
            yield

    def items(leads):
        with open("leads.jsonl") as lines, told("read") as step:
            kept = [line for line in lines]
            step.emit("low.confidence.detected", confidence_score=0.1)
        yield from kept

    class Base:
        @lt.step
        def run(self): ...
        def quiet(self): ...

    class Loud(Base):
        @lt.step
        def run(self): ...

    class Wrapping(Base):
        def run(self):
            return super().run()
        def quiet(self): ...

    def tell(logger, lead):
        lt.emit(NAME, lead_id=lead.id, source="web", colour="red")
        lt.emit("lead.permission.verified", certificate_id="c")
        lt.emit(ConsentVerified(certificate_id="c"))
        lt.emit(lead.event)
        logger.emit("anything at all")
        for attempt in stamina.retry_context(on=OSError):
            with attempt, lt.attempt("POST"):
                ...

    @lt.on("delivery.*", "lead.permission.verified")
    def tell_operations(event): ...
"""


def test_sound_code_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, sound=SOUND) == []


def test_undeclared_and_misnamed_events_are_told_with_the_nearest(tmp_path: Path) -> None:
    assert findings(
        tmp_path,
        a="""
        import leadtrace as lt
        from leadtrace import emit as say, Event

        class Ready(Event, name="lead.export.ready"): ...
        class Kept(Event, name="lead.export.ready_made", exception="the warehouse's own name"): ...
        class Again(Event, name="lead.received"): ...
        class Twice(Event, name="lead.export.started"): ...
        class Twin(Event, name="lead.export.started"): ...
        class Leaf(Event, name="lead.export.started.checked"): ...

        def run(lead):
            lt.emit("lead.recieved")
            say("user.logged_in")
            lt.emit("warehouse.row.exported")
            lt.emit(f"lead.{lead.id}.received")
            lt.emit("lead." + lead.state)
            with lt.step("x") as step:
                with step.enhancement("y") as inner:
                    inner.emit("enhancement.sucess")
            here = lt.current()
            here.emit("lead.purchased", pric=3)
            lt.emit("lead.recieved")  # leadtrace: ignore

        @lt.on("delivery.acepted", "shipping.*", "flow.*")
        def tell(event): ...
        """,
    ) == [
        (
            "a.py:5: event name 'lead.export.ready': 'ready' tells a state; a name ends with what happened, in the past tense "
            "(`generated`, `switched`)"
        ),
        "a.py:7: event 'lead.received' is declared already, by leadtrace's own catalogue",
        (
            "a.py:8: event name 'lead.export.started': it is the namespace of 'lead.export.started.checked' already, and a name "
            "is not both"
        ),
        "a.py:9: event 'lead.export.started' is declared already, at " + f"{tmp_path}/a.py:8",
        (
            "a.py:9: event name 'lead.export.started': it is the namespace of 'lead.export.started.checked' already, and a name "
            "is not both"
        ),
        (
            "a.py:10: event name 'lead.export.started.checked': 'lead.export.started', its namespace, is an event already, and a "
            "name is not both"
        ),
        "a.py:13: event 'lead.recieved' is not declared; did you mean 'lead.received'?",
        (
            "a.py:14: event name 'user.logged_in': 'logged_in' tells a state; a name ends with what happened, in the past tense "
            "(`generated`, `switched`)"
        ),
        "a.py:15: event 'warehouse.row.exported' is not declared",
        "a.py:16: the event's name is put together at run time; what varies belongs in an attribute",
        "a.py:17: the event's name is put together at run time; what varies belongs in an attribute",
        "a.py:20: event 'enhancement.sucess' is not declared; did you mean 'enhancement.success'?",
        "a.py:22: event 'lead.purchased' has no field 'pric'; did you mean 'price'?",
        "a.py:25: event 'delivery.acepted' is not declared; did you mean 'delivery.accepted'?",
        "a.py:25: no declared event matches 'shipping.*'",
    ]


def test_an_event_declared_in_one_file_is_known_in_another(tmp_path: Path) -> None:
    assert (
        findings(
            tmp_path,
            acme__events="""
            import leadtrace as lt

            class AcmeEvent(lt.Event): ...
            class Exported(AcmeEvent, name="warehouse.row.exported"): ...
            """,
            acme__run="""
            import leadtrace as lt

            lt.emit("warehouse.row.exported")
            """,
        )
        == []
    )


def test_with_around_yield_in_a_generator_is_found(tmp_path: Path) -> None:
    message = (
        "around a `yield` in generator 'rows': the consumer runs inside it, and generators that take turns mix; decorate the "
        "generator with"
    )
    assert findings(
        tmp_path,
        a="""
        import leadtrace as lt

        def rows(leads):
            with lt.step("rows"):
                for lead in leads:
                    yield lead

        class Feed:
            async def rows(self):
                async with lt.timeout(2), lt.enhancement("rows") as word:
                    yield word

        def fine(leads):
            with lt.step("rows"):
                def inner():
                    yield 1
                return list(inner())
        """,
    ) == [f"a.py:5: `with step` {message} step instead", f"a.py:11: `with enhancement` {message} enhancement instead"]


def test_words_on_the_wrong_side_of_a_retry_are_found(tmp_path: Path) -> None:
    assert findings(
        tmp_path,
        a="""
        import backoff
        import leadtrace as lt
        import stamina
        from tenacity import Retrying, retry

        @lt.attempt
        @stamina.retry(on=OSError)
        @lt.delivery(buyer="Acme")
        def swapped(lead): ...

        @retry
        @lt.enhancement("Phone")
        def phone(lead): ...

        @lt.attempt("GET")
        @lt.step
        @backoff.on_exception(backoff.expo, OSError)
        def get(lead): ...

        def looped(lead):
            for attempt in stamina.retry_context(on=OSError):
                with attempt, lt.delivery(buyer="Acme"):
                    ...
            with lt.attempt("POST"):
                for attempt in Retrying():
                    ...
        """,
    ) == [
        "a.py:7: attempt outside stamina.retry: all tries are told as one; put attempt inside the retry",
        "a.py:9: delivery inside stamina.retry: every try is told as a delivery of its own; put delivery outside the retry",
        (
            "a.py:13: enhancement inside tenacity.retry: every try is told as an enhancement of its own; put enhancement outside "
            "the retry"
        ),
        "a.py:16: attempt outside backoff.on_exception: all tries are told as one; put attempt inside the retry",
        (
            "a.py:23: delivery inside stamina.retry_context: every try is told as a delivery of its own; put delivery outside the "
            "retry"
        ),
        "a.py:25: attempt outside tenacity.Retrying: all tries are told as one; put attempt inside the retry",
    ]


def test_an_override_that_lost_its_bases_word_is_found_across_files_and_generations(tmp_path: Path) -> None:
    assert findings(
        tmp_path,
        acme__base="""
        import abc
        import leadtrace as lt

        class Buyer(abc.ABC):
            @lt.delivery(buyer="?")
            @abc.abstractmethod
            def send(self, lead): ...

        class Retrying(Buyer): ...
        """,
        acme__buyers="""
        from .base import Buyer, Retrying
        from acme import base

        class Acme(Retrying):
            def send(self, lead): ...

        class Premier(base.Buyer):
            async def send(self, lead): ...

        class Silent(Acme):
            def send(self, lead): ...
        """,
    ) == [
        "acme/buyers.py:6: 'send' overrides Buyer.send, which is a delivery, without a word: it will not be told",
        "acme/buyers.py:9: 'send' overrides Buyer.send, which is a delivery, without a word: it will not be told",
    ]


def test_a_file_that_cannot_be_parsed_is_one_finding_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "c.py").write_bytes(b"\xff\xfe")
    assert findings(tmp_path, a="def broken(:\n", b="import leadtrace as lt\nlt.emit('no.such.thing_sent')\n") == [
        "a.py:1: cannot be parsed: invalid syntax",
        "b.py:2: event 'no.such.thing_sent' is not declared",
        f"c.py:1: cannot be parsed: invalid or missing encoding declaration for '{tmp_path}/c.py'",
    ]


def test_virtual_environments_and_hidden_folders_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    wrong = "import leadtrace as lt\nlt.emit('x.y')\n"
    assert findings(tmp_path, venv__a=wrong, **{".git__a": wrong}, __pycache____a=wrong) == []


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(check, list(arguments))
    return done.exit_code, done.output


def test_the_command_prints_a_line_for_each_finding_and_exits_with_1(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import leadtrace as lt\nlt.emit('no.such.thing_sent')\n")
    assert run(str(tmp_path)) == (1, f"{tmp_path}/a.py:2: event 'no.such.thing_sent' is not declared\n")


def test_the_command_says_so_when_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    assert run(str(tmp_path)) == (0, "1 file checked, nothing found\n")


def test_the_command_checks_names(tmp_path: Path) -> None:
    assert run("--name", "lead.permission.verified") == (0, "")
    assert run("--name", "ai.response_ready")[0] == 1


@pytest.mark.parametrize("arguments", [[], ["no/such/path.py"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments)[0] == 2


WORDS = [
    "with lt.step('x') as s:",
    "yield 1",
    "@lt.attempt",
    "@stamina.retry",
    "def f():",
    "class A(lt.Event, name='a'):",
]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([*WORDS, "pass", "s.emit('a.b')", "lt.emit(*x)"]))))
def test_any_code_is_read_without_an_error(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.py"
    path.write_text(
        "import stamina\nimport leadtrace as lt\n" + "".join("    " * depth + text + "\n" for depth, text in lines)
    )
    check_paths([path])
