"""What `leadtrace check` looks for in a user's code: misuses of the words, and events that are undeclared or misnamed.

Code is read, never imported or run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace.cli.checking import events, generators, overrides, retries
from leadtrace.cli.checking.source import Finding, Source, python_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Finding", "check_paths", "python_files"]


def check_paths(paths: Sequence[Path]) -> tuple[list[Finding], int]:
    """The findings in those files, and in the Python files of those folders, by place; and how many files were read."""
    found: list[Finding] = []
    sources: list[Source] = []
    files = python_files(paths)
    for path in files:
        source = Source.read(path)
        if isinstance(source, Finding):
            found.append(source)
        else:
            sources.append(source)
    declared = events.declared_in(sources)
    classes = overrides.Classes(sources)
    for source in sources:
        told = [
            *events.findings(source, declared),
            *generators.findings(source),
            *retries.findings(source),
            *overrides.findings(source, classes),
        ]
        found += [one for one in told if not source.silenced(one.line)]
    return sorted(set(found)), len(files)
