"""What there is, is in the docs: commands, options, settings, public names, events, pages, commands of make."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module

import click
import pytest
from doc_pages import DOCS, PAGES, ROOT, Page, page

import leadtrace
from leadtrace.catalogue.document import own_events
from leadtrace.cli.group import COMMANDS, main
from leadtrace.settings import TABLE, Setting

CLI = page("docs/cli.md")


def command(name: str) -> click.Command:
    module, _, attribute = COMMANDS[name][0].partition(":")
    found: click.Command = getattr(import_module(module), attribute)
    return found


def section(name: str) -> str:
    """What the page says under `## leadtrace NAME`, blocks included."""
    found = re.search(rf"^## leadtrace {name}$(.*?)(?=^## |\Z)", CLI.text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section '## leadtrace {name}'"
    return found[1]


def options(one: click.Command) -> list[str]:
    """Those of the command, and of the commands beneath it."""
    beneath = one.commands.values() if isinstance(one, click.Group) else ()
    return [*_own_options(one), *(name for each in beneath for name in options(each))]


def _own_options(one: click.Command) -> list[str]:
    return [name for param in one.params if isinstance(param, click.Option) for name in param.opts if len(name) > 2]


READING = {"--from", "--tenant", "--json"}
"""Told once for all reading commands, under `Where to read`."""


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_and_option_is_on_the_page_of_commands(name: str) -> None:
    assert f"(#leadtrace-{name})" in CLI.text
    text = section(name)
    shared = READING if READING.issubset(options(command(name))) else set()
    missing = [one for one in options(command(name)) if one not in shared and not re.search(rf"`{one}\b|{one} ", text)]
    assert missing == []


def test_the_page_of_commands_has_no_command_that_is_not_there() -> None:
    assert set(re.findall(r"^## leadtrace (\w+)$", CLI.text, re.MULTILINE)) - set(COMMANDS) == set()


def test_what_all_reading_commands_share_is_told() -> None:
    found = re.search(r"^## Where to read$(.*?)^## ", CLI.text, re.MULTILINE | re.DOTALL)
    assert found
    assert [one for one in READING if f"`{one}" not in found[1]] == []


def test_every_exit_code_is_told() -> None:
    from leadtrace.cli import group

    codes = [group.ANSWERED, group.NOTHING_FOUND, group.WRONG_USAGE, group.UNREADABLE]
    assert re.findall(r"^\| (\d) \|", CLI.text, re.MULTILINE) == [str(one) for one in codes]


@pytest.mark.parametrize("setting", TABLE, ids=lambda one: one.variable)
def test_every_setting_is_on_the_page_of_settings(setting: Setting) -> None:
    assert f"| `{setting.variable}` | `{setting.name}` |" in page("docs/settings.md").text


def test_every_variable_that_the_code_reads_is_told() -> None:
    """Variables of ours that are no settings, such as one for tests, would be found here too."""
    read = {
        name
        for file in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"\bLEADTRACE_[A-Z_]+[A-Z]\b", file.read_text())
    }
    assert read - {one.variable for one in TABLE} == set()


def test_every_public_name_is_in_the_index_of_the_words() -> None:
    index = page("docs/words.md").text.partition("## Every public name")[2]
    told = set(re.findall(r"`(\w+)`", index))
    assert set(leadtrace.__all__) - told == set()
    assert {one for one in told if not hasattr(leadtrace, one)} == set()


def test_every_event_has_its_place_on_the_page_of_events() -> None:
    text = page("docs/events.md").text
    assert [name for name in own_events() if f"\n### {name}\n" not in text] == []


def test_every_page_is_on_the_first_one() -> None:
    linked = {one.partition("#")[0] for one in page("docs/index.md").links}
    assert [one.name for one in DOCS.glob("*.md") if one.name not in linked and one.name != "index.md"] == []


@pytest.mark.parametrize("on", PAGES, ids=lambda one: one.name)
def test_every_link_within_the_project_leads_somewhere(on: Page) -> None:
    lost = []
    for link in on.links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (on.path.parent / path).resolve() if path else on.path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in Page(target).anchors):
            lost.append(link)
    assert lost == []


def command_lines(on: Page) -> Iterator[tuple[int, str]]:
    """Lines of blocks of the shell that a reader would type, with their place; continued lines as one."""
    for block in on.blocks:
        if block.language not in ("", "console", "sh", "shell", "bash"):
            continue
        text = re.sub(r"\\\n\s*", " ", block.text)
        for number, line in enumerate(text.splitlines()):
            typed = line.strip().removeprefix("$ ")
            if not (block.language == "console" and "$ " in block.text and not line.startswith("$ ")):
                yield block.line + number, typed


def ours(typed: str) -> list[str] | None:
    """The arguments where the line calls `leadtrace`, up to what the shell does with its output."""
    try:
        words = shlex.split(typed, comments=True)
    except ValueError:
        return None
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if not words or words[0] != "leadtrace":
        return None
    return words[1 : next((at for at, one in enumerate(words) if re.match(r"[|>&]|2>", one)), len(words))]


class AnyPath(click.Path):
    """Paths of the docs are the reader's, not those of the machine that runs this test."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        return value


@pytest.mark.parametrize("on", PAGES, ids=lambda one: one.name)
def test_every_command_line_is_one_that_leadtrace_understands(on: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click.Path, "convert", AnyPath.convert)
    wrong = []
    for line, typed in command_lines(on):
        arguments = ours(typed)
        if arguments is None or typed.startswith(("leadtrace serve:", "leadtrace:")):
            continue
        try:
            above = main.make_context("leadtrace", list(arguments), resilient_parsing=False)
            name, found, rest = main.resolve_command(above, [*above._protected_args, *above.args])
            assert found is not None
            found.make_context(name, rest, parent=above)
        except click.exceptions.Exit:
            continue  # --version, --help
        except click.ClickException as problem:
            wrong.append(f"{on.name}:{line}: {typed}: {problem.format_message()}")
    assert wrong == []


@pytest.mark.parametrize("on", PAGES, ids=lambda one: one.name)
def test_commands_and_options_named_in_a_sentence_exist(on: Page) -> None:
    wrong = []
    for code in on.inline:
        name, _, rest = code.removeprefix("leadtrace ").partition(" ")
        if not code.startswith("leadtrace ") or not re.fullmatch("[a-z]+", name):
            continue
        if name not in COMMANDS:
            wrong.append(code)
        else:
            known = {*options(command(name)), "--help"}
            wrong += [code for one in re.findall(r"--[a-z-]+", rest) if one not in known]
    assert wrong == []


@pytest.mark.parametrize("on", PAGES, ids=lambda one: one.name)
def test_every_make_command_has_its_target(on: Page) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = [name for _, typed in command_lines(on) for name in re.findall(r"^make ([a-z0-9]+)", typed)]
    asked += [name for code in on.inline for name in re.findall(r"^make ([a-z0-9]+)$", code)]
    assert [one for one in asked if one not in targets] == []
