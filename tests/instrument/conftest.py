"""A library that nobody here may change, written anew for each test, and gone afterwards."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from leadtrace.words import guard
from leadtrace.words.instrument import instrumented

CRM = '''
"""A client of a CRM, as a vendor ships it."""

import asyncio


class Down(Exception):
    pass


class Base:
    def ping(self, host: str) -> str:
        return f"pong from {host}"


class Client(Base):
    region = "eu"

    def __init__(self, name: str = "crm") -> None:
        self.name = name

    def append(self, lead, note: str = "") -> str:
        """Append a note."""
        return f"{self.name}: {lead['id']} {note}"

    async def fetch(self, lead) -> dict:
        await asyncio.sleep(0)
        return {"price": 12.5, "taken": lead["id"] != "bad"}

    def pages(self, lead):
        yield from (1, 2, 3)

    @classmethod
    def regional(cls, lead) -> str:
        return f"{cls.region} {lead['id']}"

    @staticmethod
    def normal(lead) -> str:
        return lead["id"].lower()

    @property
    def shown(self) -> str:
        return self.name

    class Inner:
        def deep(self, lead) -> str:
            return "deep"


def post(lead, url: str = "/leads") -> dict:
    if lead["id"] == "down":
        raise Down("no answer")
    return {"status": 200, "id": lead["id"]}


send = post
client = Client("shared")
'''


@pytest.fixture
def crm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Imports a module of the library `crm`; `crm.client` is there, others are written with `source`."""
    folder = tmp_path / "crm"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "client.py").write_text(CRM)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(guard, "_said", set())

    def load(name: str = "client", source: str = "") -> ModuleType:
        if source:
            (folder / f"{name}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return importlib.import_module(f"crm.{name}")

    yield load
    for one in reversed(instrumented()):
        one.undo()
    for name in [name for name in sys.modules if name == "crm" or name.startswith("crm.")]:
        del sys.modules[name]
