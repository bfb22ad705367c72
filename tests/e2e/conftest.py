"""Real servers for the end-to-end tests; `make e2e` builds them first (scripts/real-servers.sh).

What the servers write is kept under tests/e2e/.run/, a folder per test module, and printed when a test fails.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside the tests, which pytest's importlib mode leaves out

from typing import TYPE_CHECKING

from real_servers import Server, programs

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = Path(__file__).parent / ".run"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """Fails, rather than skips, where the programs are missing: an end-to-end run that ran nothing is no run."""
    for name in ("jaeger", "otelcol", "prometheus", "promtool", "alertmanager", "amtool"):
        if not (programs() / name).exists():
            pytest.fail(f"{programs() / name} is not there: run scripts/real-servers.sh (or `make e2e`)", pytrace=False)


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    """An empty folder for this module's servers."""
    here = RUN / Path(request.node.path).stem
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)
    return here


class Running:
    """The servers that a module started, for clean-up and for the report of a failed test."""

    def __init__(self) -> None:
        self.servers: list[Server] = []

    def start(self, server: Server) -> None:
        self.servers.append(server)
        server.start()

    def end(self) -> None:
        for server in reversed(self.servers):
            server.kill()


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    running = Running()
    request.node.stash[RUNNING] = running
    yield running
    running.end()


RUNNING = pytest.StashKey[Running]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    module = item.getparent(pytest.Module)
    if report.failed and module is not None and RUNNING in module.stash:
        for server in module.stash[RUNNING].servers:
            report.sections.append((f"log of {server.name} ({server.log})", server.tail()))
    return report
