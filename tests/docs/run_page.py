"""Runs the Python samples of one page, in a process of its own: `python run_page.py PAGE`.

A page has one namespace, as a reader has who types it from the top. Around each block stands a `capture()`, so that words
outside one of the page's own record something too, strictly. What a block prints is compared with the block `text output`
behind it, times, durations and hashes aside; … stands for anything on a line. Addresses of the standard ports stand for
those of the server that the tests have started.
"""

from __future__ import annotations
import __future__

import ast
import asyncio
import contextlib
import difflib
import inspect
import io
import linecache
import os
import re
import sys
import traceback
from types import ModuleType
from typing import TYPE_CHECKING, Any

from doc_pages import page

import leadtrace as lt

if TYPE_CHECKING:
    from doc_pages import Block, Page

_STANDARD = re.compile(r"(?:127\.0\.0\.1|localhost|collector):4318")

_READERS_OWN = {"docs/configure.md": {"run_the_pipeline": lambda: None}}
"""Names in a page's samples that stand for the reader's own code."""


def main(name: str) -> int:
    """Run the page; what is wrong goes to standard error, and the exit code says whether anything is."""
    module = ModuleType("page")
    module.__dict__.update({"lt": lt}, **_READERS_OWN.get(name, {}))
    sys.modules["page"] = module  # so that what it defines can be pickled and looked up
    on = page(name)
    return sum(_run(one, on, module.__dict__) for one in on.blocks if one.language == "python")


def _run(block: Block, on: Page, names: dict[str, Any]) -> int:
    if block.no_run is not None:
        return 0
    address = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"].partition("://")[2]
    # The lines before the block keep the numbers of a traceback those of the page.
    source = "\n" * (block.line - 1) + _STANDARD.sub(address, block.text)
    flags = __future__.annotations.compiler_flag | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    linecache.cache[on.name] = (len(source), None, source.splitlines(keepends=True), on.name)
    printed = io.StringIO()
    code = compile(source, on.name, "exec", flags, dont_inherit=True)
    try:
        with lt.capture(), contextlib.redirect_stdout(printed):
            running = eval(code, names)
            if inspect.iscoroutine(running):
                asyncio.run(running)
    except Exception:
        sys.stderr.write(f"{on.name}:{block.line}: the sample raises\n{traceback.format_exc()}\n")
        return 1
    if block.output is None or _fits(printed.getvalue(), block.output):
        return 0
    shown = difflib.unified_diff(
        block.output.splitlines(), printed.getvalue().splitlines(), "the page says", "printed was", lineterm=""
    )
    sys.stderr.write(f"{on.name}:{block.line}: the output differs\n" + "\n".join(shown) + "\n")
    return 1


def _fits(printed: str, expected: str) -> bool:
    pattern = ".*?".join(re.escape(part) for part in _settled(expected).split("…"))
    return re.fullmatch(pattern, _settled(printed)) is not None


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+|\d\d:\d\d:\d\d\.\d{6}")
_DURATION = re.compile(r"(?<![\w.])\d+(?:\.\d+)? (?:ms|s|min|h)\b")
_MEASURED = re.compile(r"(_ms=)[\d.]+")
_HASH = re.compile(r"#[0-9a-f]{16}\b")


def _settled(text: str) -> str:
    """Without what differs from run to run; columns are as wide as what is in them, so spaces vary with it."""
    for pattern, settled in ((_MOMENT, "TIME"), (_DURATION, "SPAN"), (_MEASURED, r"\1SPAN"), (_HASH, "#HASH")):
        text = pattern.sub(settled, text)
    return "\n".join(re.sub(" +", " ", line).rstrip() for line in text.rstrip().splitlines())


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1]), 1))
