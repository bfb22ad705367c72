"""Runs leads through the pipeline, many at a time, and tells what became of them.

    python -m premium_insurance --leads 200
    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python -m premium_insurance --leads 200 --seed 7

Telemetry goes where the standard OTEL_* variables say.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import stamina.instrumentation

import leadtrace as lt

from .afterwards import collect_decisions, collect_returns
from .leads import FILE, Lead, read_leads
from .make_leads import make_lines
from .partners import Partners, connected
from .pipeline import Outcome, process
from .services import Company, running
from .summary import Summary, summarise

__all__ = ["main", "run"]


async def run(
    lines: Iterable[str], companies: dict[str, Company], *, speed: float = 10, at_once: int = 16, progress: bool = False
) -> Summary:
    """All leads of these lines through the pipeline, then what buyers decide and return later."""
    leads, unreadable = [], []
    for found in read_leads(lines):
        if isinstance(found, Lead):
            leads.append(found)
        else:
            unreadable.append(found)
            lt.emit("record.quarantined", source=FILE.name, line=found.line, reason=found.reason)
    async with connected({name: company.url for name, company in companies.items()}, speed) as partners:
        outcomes = await _all(leads, partners, at_once, progress)
        decided = await collect_decisions(outcomes, partners)
        returned = await collect_returns(outcomes, partners)
        return summarise(unreadable, outcomes, decided + returned, companies, partners)


async def _all(leads: list[Lead], partners: Partners, at_once: int, progress: bool) -> list[Outcome]:
    turn = asyncio.Semaphore(at_once)
    done: list[Outcome] = []

    async def one(lead: Lead) -> None:
        async with turn:
            done.append(await process(lead, partners))
        if progress and (len(done) % 25 == 0 or len(done) == len(leads)):
            print(f"  {len(done)} of {len(leads)} leads", flush=True)

    async with asyncio.TaskGroup() as group:
        for lead in leads:
            group.create_task(one(lead))
    return done


def lines_for(file: Path | None, leads: int, seed: int) -> list[str]:
    """The lines of that file; without one, those of the committed data, made anew where it has too few."""
    if file is None and seed == 7:
        file = FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file else []
    if file in (None, FILE) and len(lines) < leads:
        lines = list(make_lines(seed, leads))
    return lines[:leads]


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="premium_insurance", description="Run leads through an insurance lead pipeline."
    )
    parser.add_argument("--leads", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=7, help="decides what goes wrong, and with whom (default 7)")
    parser.add_argument("--file", type=Path, help="leads, one JSON object a line (default: made from the seed)")
    parser.add_argument("--speed", type=float, default=10, help="how much faster than in life (default 10)")
    parser.add_argument("--at-once", type=int, default=16, help="how many leads at the same time (default 16)")
    parser.add_argument("--summary", type=Path, help="write what happened there, as JSON")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    asked = parser.parse_args(arguments)
    try:
        lines = lines_for(asked.file, asked.leads, asked.seed)
    except OSError as error:
        print(f"premium_insurance: {asked.file} cannot be read: {error.strerror}", file=sys.stderr)
        return 2
    # Its own log lines about retries would say what the timelines say better.
    stamina.instrumentation.set_on_retry_hooks([])
    began = time.monotonic()
    with lt.configure(service_name="premium-insurance") as telemetry, running(asked.seed, asked.speed) as companies:
        summary = asyncio.run(run(lines, companies, speed=asked.speed, at_once=asked.at_once, progress=not asked.quiet))
        delivered = telemetry.flush(10)
    if asked.summary:
        asked.summary.write_text(json.dumps(summary.as_json(), indent=2) + "\n", encoding="utf-8")
    if not asked.quiet:
        print(summary.as_text(), end="")
        if not asked.summary:
            print(*(f"  {lead}  {why}" for why, lead in summary.worth_a_look.items()), sep="\n")
        print(f"{time.monotonic() - began:.1f} s" + ("" if delivered else "; not all telemetry could be handed over"))
    return 0
