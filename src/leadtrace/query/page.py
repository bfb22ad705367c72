"""A timeline as one HTML file that needs nothing else: the story, and each entry's attributes to unfold.

Everything recorded is escaped by one function, and the page forbids scripts and requests: telemetry cannot act in it.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from leadtrace.query.printable import moment, plain
from leadtrace.query.story import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.query.model import Entry, Timeline

__all__ = ["page"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --faint: #6e7781; --good: #1a7f37; --bad: #cf222e; --no: #9a6700;
  --blue: #0550ae; --money: #8250df }
@media (prefers-color-scheme: dark) { :root { --faint: #8b949e; --good: #3fb950; --bad: #f85149; --no: #d29922;
  --blue: #79c0ff; --money: #bc8cff } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; max-width: 80rem }
pre, code, td { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13px }
pre { line-height: 1.45; overflow-x: auto }
.head, .title { font-weight: 600 } .time, .tree, .faint { color: var(--faint) } .good { color: var(--good) }
.bad { color: var(--bad) } .no, .open, .note { color: var(--no) } .state, .event, .took { color: var(--blue) }
.money { color: var(--money) } .hint { font-style: italic }
details { margin: .2rem 0 } summary { cursor: pointer } table { border-collapse: collapse; margin: .3rem 0 .6rem 1.5rem }
td { padding: .1rem .8rem .1rem 0; vertical-align: top; overflow-wrap: anywhere }
td:first-child { color: var(--faint); white-space: nowrap }
"""
_WIDTH = 120


def page(timeline: Timeline) -> str:
    """The whole file's text."""
    return "".join(_parts(timeline))


def _parts(timeline: Timeline) -> Iterator[str]:
    title = _safe(f"Lead {timeline.lead_id}")
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<pre>"
    )
    for line in lines(timeline, _WIDTH):
        for piece, style in line:
            shown = escape(piece)
            yield f'<span class="{style}">{shown}</span>' if style and piece.strip() else shown
        yield "\n"
    yield "</pre>\n<h2>Every span and event</h2>\n"
    for entry in timeline.entries:
        yield from _entry(entry)
    yield "</main>\n</body>\n</html>\n"


def _entry(entry: Entry) -> Iterator[str]:
    style = {"error": "bad", "unfinished": "open"}.get(entry.status, "")
    indent = min(entry.depth, 20) * 1.2
    yield (
        f'<details style="margin-left:{indent:.1f}rem"><summary><span class="time">{escape(moment(entry.time_ns))}</span> '
        f'<span class="{style}">{_safe(entry.name or "log")}</span> <span class="faint">{escape(entry.type)} {_safe(entry.kind)}'
        "</span></summary>\n<table>\n"
    )
    told = entry.as_json()
    attributes = told.pop("attributes")
    rows = [*told.items(), *(attributes.items() if isinstance(attributes, dict) else ())]
    for key, value in rows:
        if value not in (None, "", [], {}):
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"<tr><td>{_safe(key)}</td><td>{_safe(shown)}</td></tr>\n"
    yield "</table></details>\n"


def _safe(text: str) -> str:
    return escape(plain(text))
