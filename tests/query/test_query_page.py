"""A timeline as one HTML file: the story as it is printed, nothing fetched, nothing that telemetry could make act."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

from leadtrace.query.page import page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_story_on_the_page_is_the_one_that_is_printed(full_story) -> None:
    found = full_story.timeline()
    shown = page(found)
    story = unescape(re.sub(r"<[^>]+>", "", shown.partition("<pre>")[2].partition("</pre>")[0]))
    assert [line.rstrip() for line in story.splitlines()] == found.text(120).splitlines()
    assert shown.count("<details") == len(found.entries)
    assert "<td>enhancement.data_appended.carrier</td><td>Verizon</td>" in shown


def test_what_was_recorded_stays_text(tape) -> None:
    """Names, values, keys and ids with markup in them: no element and no attribute of theirs is on the page."""
    evil = "</pre><script>alert(1)</script><img src=x onerror='alert(1)'>\"'&\x1b[2J"
    process = tape.process(evil)
    with process.word("flow", evil, lead__id=evil, leadtrace__run_id="run_1") as flow:
        flow.emit(evil, evil, **{"a" + evil: evil, "lead__list": [evil]})
        flow.end_as("flow.failed", "failure", error__type=evil, error__message=evil)
    shown = page(tape.timeline(evil))
    parser = _Tags()
    parser.feed(shown)
    assert parser.tags == {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "pre", "span"),
        *("details", "summary", "table", "tr", "td"),
    }
    assert parser.attributes == {"lang", "charset", "http-equiv", "content", "name", "class", "style"}
    assert "\x1b" not in shown
    assert "default-src &#x27;none&#x27;" in shown
