"""A question put to a source: where its analysis runs, and what is said of every answer from there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from leadtrace.analysis.exchange import report_from_json
from leadtrace.analysis.misspelt import never_recorded
from leadtrace.analysis.options import named_options, options_to_texts
from leadtrace.errors import SettingsError
from leadtrace.store.relations.interface import Answering, ColumnsReplacedError, Relational, Slice

if TYPE_CHECKING:
    from leadtrace.analysis.model import Report
    from leadtrace.analysis.options import Options
    from leadtrace.analysis.registry import Analysis
    from leadtrace.store.interface import Source
    from leadtrace.store.relations.interface import Relations

__all__ = ["answer"]


def answer(source: Source, asked: Analysis[Any, Any], options: Options) -> Report[Any]:
    """The report over that source. Raises `SettingsError` where the source cannot hold what the analysis needs."""
    if isinstance(source, Answering):
        return report_from_json(asked, source.report(asked.name, options_to_texts(options)))
    if not isinstance(source, Relational):
        raise SettingsError(f"{source.url} answers no reports", expected="an embedded store, or a running serve")
    if not source.holds.logs and not asked.traces_suffice:
        raise SettingsError(f"the report {asked.name} needs events, and {source.url} keeps traces only")
    try:
        return _answer(source, asked, options)
    except ColumnsReplacedError:  # made anew while they were read: the next state has the new ones
        return _answer(source, asked, options)


def _answer(source: Relational, asked: Analysis[Any, Any], options: Options) -> Report[Any]:
    with source.relations(Slice(options.since_ns, options.until_ns, options.tenant), asked.few) as relations:
        found: Report[Any] = asked.run(relations, options)
        misspelt = () if found.of(asked.rows[0]) else _misspelt(relations, options)
        return replace(
            found,
            notes=(*misspelt, *found.notes, *relations.notes),
            incomplete=tuple(dict.fromkeys((*found.incomplete, *relations.incomplete))),
        )


def _misspelt(relations: Relations, options: Options) -> tuple[str, ...]:
    """For an answer without what was asked for: the names asked for that are recorded at no time."""
    notes = (never_recorded(relations, names, asked) for names, asked in named_options(options))
    return tuple(note for note in notes if note)
