"""`leadtrace demo`: the example pipeline and a server of its own, from nothing to the first timelines.

Three processes, as in life: `leadtrace serve` with a fresh store, the example with its companies, and this one, which
reads the store when both have ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadtrace.errors import LeadtraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Demo", "DemoError", "environment", "example_folder", "run", "serving"]

ENDING_S = 15
"""How long the server may take to commit what it accepted and end."""

_LEADTRACE = "import sys; from leadtrace.cli import main; sys.exit(main())"
# The package lies in a folder that is put on the path here alone: in a wheel it is inside this one, and the variable
# PYTHONPATH would be inherited by what the example starts, and lost under `python -P`.
_EXAMPLE = "import sys; sys.path.insert(0, sys.argv.pop(1)); from premium_insurance.run import main; sys.exit(main())"


class DemoError(LeadtraceError):
    """The demo cannot run, or one of its processes ended early: says which, and what it said last."""


@dataclass(slots=True, frozen=True)
class Demo:
    """What a run left behind."""

    store: Path
    journal: Path
    summary: Mapping[str, Any]
    """What the example and its companies know to have happened (`premium_insurance.summary.Summary` as JSON)."""

    @property
    def worth_a_look(self) -> dict[str, str]:
        """A sentence on what a lead went through, and its id."""
        return dict(self.summary["worth_a_look"])


def run(
    folder: Path | None = None,
    *,
    leads: int = 200,
    seed: int = 7,
    speed: float = 10,
    say: Callable[[str], None] = lambda _: None,
) -> Demo:
    """Run the example against a server of its own; the store stays in `folder` (a new temporary one if None).

    `say` gets each line of progress.
    """
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="leadtrace-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "store.db"
    if store.exists():
        raise DemoError("the folder holds a store already; name one that does not", store=store)
    settings = environment(folder)
    with serving(store, settings) as url:
        say(f"leadtrace serve is running at {url}, store {store}")
        summary = folder / "summary.json"
        _run_example(summary, settings | {"OTEL_EXPORTER_OTLP_ENDPOINT": url}, leads, seed, speed, say)
    return Demo(store, folder / "journal", json.loads(summary.read_text(encoding="utf-8")))


def example_folder() -> Path:
    """The folder that holds the package `premium_insurance`: this one in a wheel, `examples` in a checkout."""
    here = Path(__file__).parent
    for folder in (here, here.parents[2] / "examples"):
        if (folder / "premium_insurance" / "run.py").is_file():
            return folder
    raise DemoError("the example pipeline is not installed; get leadtrace from a wheel, or run in a checkout")


def environment(folder: Path) -> dict[str, str]:
    """Our variables without any setting of telemetry: a demo sends to its own server, and all it keeps is in its folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LEADTRACE_"))}
    return kept | {
        "LEADTRACE_JOURNAL": str(folder / "journal"),
        "LEADTRACE_KEY": str(folder / "key"),
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def serving(store: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """`leadtrace serve` on free ports; gives its HTTP address, and ends it in good order."""
    ports = ["--grpc-port", "0", "--http-port", "0"]
    log = store.with_name("serve.log")
    with log.open("w", encoding="utf-8") as errors:
        server = subprocess.Popen(  # noqa: S603 - our own program, with arguments made here
            [sys.executable, "-c", _LEADTRACE, "serve", *ports, "--store", str(store)],
            env=dict(settings),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert server.stdout is not None
    try:
        ready = server.stdout.readline()
        url = next((word for word in ready.split() if word.startswith("http://")), "")
        if not url:
            server.wait(ENDING_S)
            raise DemoError("leadtrace serve did not start", said=_last_line(log.read_text(encoding="utf-8")))
        yield url
    finally:
        server.terminate()
        server.stdout.close()
        try:
            server.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _run_example(
    summary: Path, settings: Mapping[str, str], leads: int, seed: int, speed: float, say: Callable[[str], None]
) -> None:
    log = summary.with_name("example.log")
    asked = ["--leads", str(leads), "--seed", str(seed), "--speed", str(speed), "--summary", str(summary)]
    with log.open("w", encoding="utf-8") as errors:
        example = subprocess.Popen(  # noqa: S603 - as above
            [sys.executable, "-c", _EXAMPLE, str(example_folder()), *asked],
            env=dict(settings),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert example.stdout is not None
    with example.stdout:
        try:
            for line in example.stdout:
                say(line.rstrip("\n"))
        except BaseException:
            example.terminate()
            raise
        finally:
            code = example.wait()
    if code != 0:
        raise DemoError("the example pipeline failed", code=code, said=_last_line(log.read_text(encoding="utf-8")))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["nothing"])[-1]
