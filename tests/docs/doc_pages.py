"""The docs as data: pages, their fenced blocks, their links and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["DOCS", "PAGES", "ROOT", "Block", "Page", "page"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^(?P<fence>```+)(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """One fenced block: its info string, its text, the line that its text begins on, and what follows it."""

    info: str
    text: str
    line: int
    output: str | None = None
    """Of a block of code: the text of the block `text output` right behind it."""

    @property
    def language(self) -> str:
        return self.info.partition(" ")[0]

    @property
    def no_run(self) -> str | None:
        """Why it is not run; '' where no reason is given, None where it is run."""
        rest = self.info.partition(" ")[2].strip()
        return rest.removeprefix("no-run").strip(" :") if rest.startswith("no-run") else None


@dataclass(frozen=True)
class Page:
    """One page of Markdown."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        found: list[Block] = []
        matches = list(_FENCE.finditer(self.text))
        for number, one in enumerate(matches):
            behind = matches[number + 1] if number + 1 < len(matches) else None
            output = None
            if behind is not None and behind["info"].strip() == "text output":
                output = behind["text"]
            line = self.text.count("\n", 0, one.start("text")) + 1
            found.append(Block(one["info"].strip(), one["text"], line, output))
        return found

    @cached_property
    def prose(self) -> str:
        """The page without its blocks; lines stay where they are."""
        return _FENCE.sub(lambda one: "\n" * one[0].count("\n"), self.text)

    @property
    def inline(self) -> list[str]:
        """What stands between backticks in the prose."""
        return _INLINE.findall(self.prose)

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @cached_property
    def anchors(self) -> set[str]:
        """What a link may point to on this page, by the rule that forges and editors share."""
        found: set[str] = set()
        for heading in _HEADING.findall(self.prose):
            plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
            slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
            number = 0
            while (slug if not number else f"{slug}-{number}") in found:
                number += 1
            found.add(slug if not number else f"{slug}-{number}")
        return found


def page(name: str) -> Page:
    """The page of that path, from the project's root."""
    return Page(ROOT / name)


PAGES = [
    page(str(one.relative_to(ROOT)))
    for one in (
        ROOT / "README.md",
        *sorted(DOCS.rglob("*.md")),
        *sorted(ROOT.glob("*/README.md")),
    )
]
