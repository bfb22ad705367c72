"""The command line: `leadtrace COMMAND`. Each command is imported when it is called, so that `--help` is quick."""

from __future__ import annotations

import sys

try:
    import click as _click  # noqa: F401 - asked for here, so that its absence is told in a sentence
except ImportError:
    sys.stderr.write("leadtrace: the command line is not installed; pip install 'leadtrace[serve]'\n")
    raise SystemExit(2) from None

from leadtrace.cli.group import main

__all__ = ["main"]
