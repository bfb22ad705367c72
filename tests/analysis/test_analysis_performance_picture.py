"""`performance` and `what-if` as people see them, as full text."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from drawn import records, sources_example

from leadtrace.analysis.performance_picture import bar
from leadtrace.cli.group import main
from leadtrace.store.embedded import EmbeddedStore


@pytest.fixture
def example(tmp_path: Path) -> str:
    """A store with the sources' 1.2-second flow."""
    path = str(tmp_path / "store.db")
    writer = EmbeddedStore.open(path, write=True)
    found = records(sources_example())
    writer.append(found.spans, found.events)
    writer.close()
    return path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["report", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_performance_draws_what_runs_wait_for_and_apart_from_it_what_would_help(example: str) -> None:
    shown = run("performance", "--from", example)
    assert shown[shown.index("\n\n") : shown.index("\n\nsteps")] == (
        """

Performance example  1 run: p50 1.20 s, p90 1.20 s, p95 1.20 s, p99 1.20 s, at most 1.20 s
  healthy 0 of 1, in crisis 0 of 1, by the absolute limits
  waits, 1.20 s per run, over 1 run read whole
    deliver to Premier  ████████████████████████████████████████   550 ms   45.8%  ← bottleneck
    Enhancement 1       █████████████████████▉                     300 ms   25.0%
    Enhancement 2       ██████████████▌                            200 ms   16.7%
    Source validation   ███████▎                                   100 ms    8.3%
    Routing             ███▋                                        50 ms    4.2%
  most improvable
    cache Enhancement 1                                            300 ms  25.0% faster
    cache Enhancement 2                                            200 ms  16.7% faster
    run Enhancement 1 and Enhancement 2 in parallel                200 ms  16.7% faster
  the slowest run, 1.20 s: leadtrace lead lead_A
    Source validation   █████                                                        100 ms
    Enhancement 1            ██████████████                                          300 ms
    Enhancement 2                          ██████████                                200 ms
    Routing                                          ██                               50 ms
    deliver to Premier                                 ███████████████████████████   550 ms"""
    )


def test_what_if_draws_before_and_after(example: str) -> None:
    shown = run("what-if", "--from", example, "--cache", "Enhancement 1", "--cache", "Enhancement 2")
    assert shown == (
        """what-if, all time: 1 runs, 1 runs in window

Performance example  41.7% faster over 1 run, 1 changed
  p50     ████████████████████████████████████████████████████████████████████ 1.20 s
          ███████████████████████████████████████▋ 700 ms
  p95     ████████████████████████████████████████████████████████████████████ 1.20 s
          ███████████████████████████████████████▋ 700 ms
  cache Enhancement 1 alone: 25.0%
  cache Enhancement 2 alone: 16.7%

money
flow                 runs  currency  cost  new cost  revenue  margin  new margin
Performance example     1  USD       0.07      0.00    45.00   44.93       45.00

· Worked out on all runs that ended in the window (1); 1 of these were completed.
· Assumed: a word that began after another under the same caller had ended waited for it; a caller's own time between its calls \
stays; outcomes and revenue stay as they were recorded, before returns.
· cache Enhancement 1: 1 call would be answered from the cache, in 0 ms (because none from a cache is recorded), and cost \
nothing, those that failed among them; 0 were already, 0 not.
· cache Enhancement 2: 1 call would be answered from the cache, in 0 ms (because none from a cache is recorded), and cost \
nothing, those that failed among them; 0 were already, 0 not.
· Only 1 run: too few to promise anything of others.
"""
    )


def test_a_mistyped_name_is_wrong_usage_and_names_the_nearest(example: str) -> None:
    done = CliRunner().invoke(main, ["report", "what-if", "--from", example, "--cache", "Enhancment 1"])
    assert done.exit_code == 2
    assert "did you mean Enhancement 1?" in done.stderr


@pytest.mark.parametrize(
    ("share", "drawn"), [(0, ""), (0.5, "█████"), (1, "██████████"), (0.25, "██▌"), (3, "██████████"), (-1, "")]
)
def test_a_bar_is_exact_to_an_eighth_of_a_column_and_never_longer_than_its_room(share: float, drawn: str) -> None:
    assert bar(share, 10) == drawn
