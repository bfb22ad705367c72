"""Both type checkers accept what is right and refuse what is wrong on the public surface."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from leadtrace.words import beneath, vocabulary

ROOT = Path(__file__).parents[2]
TYPING = ROOT / "tests" / "typing"
BAD = TYPING / "bad.py"
WRONG = {number for number, line in enumerate(BAD.read_text().splitlines(), 1) if line.endswith("# bad")}


def by_mypy() -> dict[str, set[int]]:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--config-file",
        str(ROOT / "pyproject.toml"),
    ]
    done = subprocess.run([*command, str(TYPING)], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.stderr == "", done.stderr
    found: dict[str, set[int]] = {}
    for name, line in re.findall(r"^tests/typing/(\w+\.py):(\d+): error", done.stdout, re.M):
        found.setdefault(name, set()).add(int(line))
    return found


def by_pyright() -> dict[str, set[int]]:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*command, str(TYPING)], cwd=ROOT, capture_output=True, text=True, timeout=240)
    found: dict[str, set[int]] = {}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        if one["severity"] == "error":
            found.setdefault(Path(one["file"]).name, set()).add(one["range"]["start"]["line"] + 1)
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", [by_mypy, by_pyright], ids=["mypy", "pyright"])
def test_a_checker_accepts_what_is_right_and_refuses_each_wrong_line(checker: object) -> None:
    found = checker()  # type: ignore[operator]
    assert found.get("good.py", set()) == set()
    assert found.get("bad.py", set()) == WRONG


def test_a_handles_words_have_the_signatures_of_the_words() -> None:
    """They are written out for type checkers; nothing but this keeps them the same."""
    tree = ast.parse(Path(beneath.__file__).read_text())
    written = {one.name: one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}
    for word in vocabulary.WORDS:
        arguments = written[word].args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        own = [
            one.name
            for one in inspect.signature(getattr(vocabulary, word)).parameters.values()
            if one.kind is not one.VAR_KEYWORD
        ]
        assert names == ["self", *own], word
