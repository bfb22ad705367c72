"""Draws the terminal's timeline of a lead as an SVG: the same lines, in the same colours, as `leadtrace lead` prints.

    scripts/timeline-picture.py LEAD_ID --from STORE --out docs/pictures/timeline.svg

The picture names fonts that are on the reader's machine and fetches none.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

import leadtrace
from leadtrace.cli.colour import styled
from leadtrace.query.story import lines

WIDTH = 100
ASPECT = 0.602
"""Width to height of a character in the fonts below."""

# Dark ground, and colours that can be told apart on it; the order is that of the terminal's eight, then the bright eight.
THEME = TerminalTheme(
    (24, 27, 33),
    (214, 218, 226),
    [
        (24, 27, 33),
        (240, 113, 120),
        (126, 200, 120),
        (229, 192, 94),
        (97, 160, 240),
        (205, 140, 220),
        (92, 194, 202),
        (214, 218, 226),
    ],
)

FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def picture(source: str | None, lead_id: str, width: int = WIDTH) -> str:
    """The SVG of that lead's timeline."""
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="standard", highlight=False
    )
    with leadtrace.open(source) as reader:
        for line in lines(reader.timeline(lead_id), width):
            console.print(styled(line), soft_wrap=True)
    drawn = console.export_svg(
        title=f"leadtrace lead {lead_id}",
        theme=THEME,
        code_format=FORMAT,
        font_aspect_ratio=ASPECT,
        unique_id="timeline",
    )
    return "\n".join(line.rstrip() for line in drawn.splitlines() if line.strip()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a lead's timeline as an SVG.")
    parser.add_argument("lead_id")
    parser.add_argument("--from", dest="source", help="where to read (default: as `leadtrace lead`)")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--width", type=int, default=WIDTH, help=f"columns (default {WIDTH})")
    asked = parser.parse_args()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(picture(asked.source, asked.lead_id, asked.width), encoding="utf-8")


if __name__ == "__main__":
    main()
