"""What `leadtrace doctor` looks at: each check is a sentence, ok, warn or bad, with what to do."""

from __future__ import annotations

from leadtrace.cli.examining.finding import Finding, Level

__all__ = ["Finding", "Level"]
