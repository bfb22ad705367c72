"""Tables as they stand in a pipe, 100 columns wide."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from leadtrace.analysis.model import Rate, Row
from leadtrace.analysis.options import Options
from leadtrace.analysis.registry import Analysis
from leadtrace.cli.cells import cells
from leadtrace.cli.tables import lines_of, print_table


def test_a_table_that_fits_has_a_line_for_each_row() -> None:
    rows = [["Phone Intelligence", "12"], ["Address Match", "7"]]
    assert list(lines_of(["enhancement", "billed calls"], rows, [False, True])) == [
        "enhancement         billed calls",
        "Phone Intelligence            12",
        "Address Match                  7",
    ]


def test_where_there_is_too_little_room_headings_and_cells_are_folded_and_no_figure_is_cut() -> None:
    heads = ["enhancement", "service", "suggestion", "cache hits of attempts", "first seen", "calls"]
    suggestion = "Check the service's status; if it is up, raise the time-out"
    row = ["Identity Verification", "ID Verify Pro", suggestion, "20.8% of 159", "2026-11-26 00:09:13", "1,234,567"]
    lines = list(lines_of(heads, [row], [False, False, False, True, True, True]))
    assert lines == [
        "                                                         cache hits of",
        "enhancement        service        suggestion                  attempts         first seen      calls",
        "Identity           ID Verify Pro  Check the               20.8% of 159         2026-11-26  1,234,567",
        "Verification                      service's status;                              00:09:13",
        "                                  if it is up,",
        "                                  raise the",
        "                                  time-out",
    ]
    assert max(map(len, lines)) <= 100


def test_where_columns_are_many_words_are_broken_at_a_mark_within_and_nothing_is_cut() -> None:
    heads = ["lead", *(f"count {n}" for n in range(10))]
    lines = list(lines_of(heads, [["lead_N4Uvby2rr6uZ69ML", *["123,456"] * 10]], [False, *[True] * 10]))
    assert [line.split()[0] for line in lines[-3:]] == ["lead_", "N4Uvby2rr6", "uZ69ML"]
    words = list(lines_of([""] * 9, [["slow_response"] * 9]))
    assert [line.split() for line in words[1:]] == [["slow_"] * 9, ["response"] * 9]
    assert max(map(len, lines)) <= 100


def test_a_figure_is_never_broken_the_table_is_wider_then() -> None:
    lines = list(lines_of(["one", "other"], [["1" * 80, "2" * 40]], [True, True]))
    assert lines[1] == "1" * 80 + "  " + "2" * 40


@dataclass(slots=True, frozen=True)
class Told(Row):
    section: ClassVar[str] = "told"
    name: str
    at_ns: int
    took_ms: float
    amount: Decimal
    net_roi_percent: Decimal | None
    weight: float
    found: Rate
    ids: tuple[int, ...]
    note: str
    advice: tuple[str, ...]


ASKED: Analysis[Any, Any] = Analysis(
    "told", lambda _, __: None, Options, (Told,), beneath=("note", "advice"), shares=("weight",)
)


def told_of(capsys: pytest.CaptureFixture[str], *rows: Told) -> list[str]:
    print_table(rows, ASKED)
    return capsys.readouterr().out.splitlines()


def test_values_stand_as_a_person_reads_them_and_sentences_beneath_their_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    at = 1_700_000_000 * 10**9
    found = told_of(
        capsys,
        Told(
            "one", at, 1_204.0, Decimal("5.016990"), Decimal("1392.5"), 0.5, Rate(3, 60, "runs"), (1, 2), "", ("a", "b")
        ),
        Told("two", 0, 12.5, Decimal("1250.10"), None, 0.125, Rate(3, 4, "runs"), (), "too few to tell", ()),
    )
    assert found == [
        "name                   at    took    amount   net roi  weight       found  ids",
        "one   2023-11-14 22:13:20  1.20 s      5.02  1,392.5%   50.0%  5.0% of 60  1, 2",
        "    advice: a",
        "    advice: b",
        "two                         12 ms  1,250.10             12.5%      3 of 4",
        "    too few to tell",
    ]


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        (["1971.94", "0.00"], ["1,971.94", "0.00"]),
        (["5.01699", "3.4068"], ["5.02", "3.41"]),
        (["0.405741", "-0.0388"], ["0.406", "-0.039"]),
        (["12.00", "0.0021"], ["12.00", "0.0021"]),
        (["0.50", "0.25"], ["0.50", "0.25"]),
        (["0.000123456", "0"], ["0.000123", "0.000000"]),
    ],
)
def test_amounts_have_the_places_that_their_column_needs(amounts: list[str], shown: list[str]) -> None:
    assert cells("cost", [Decimal(one) for one in amounts]) == shown


@dataclass(slots=True, frozen=True)
class Counts(Row):
    name: str
    a_number_of_many_words: int
    another_number_of_many: int
    failed_for_good_at_last: int
    cancelled_by_somebody: int
    share_of_everything: Rate


def test_columns_of_nothing_are_named_in_one_line_where_rows_would_be_folded_otherwise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        Counts(f"something with a long name, {n}" * 2, 1_000_000_000_000, n, 0, 0, Rate(500, 1_000, "all"))
        for n in (1, 2)
    ]
    print_table(rows, Analysis("counts", lambda _, __: None, Options, (Counts,)))
    found = capsys.readouterr().out.splitlines()
    assert found[-1] == "0 in every row: failed for good at last, cancelled by somebody"
    print_table(
        [dataclasses.replace(one, name="short") for one in rows], Analysis("counts", ASKED.run, Options, (Counts,))
    )
    assert "cancelled" in capsys.readouterr().out
