"""Tables as they stand in a pipe, 100 columns wide."""

from __future__ import annotations

from leadtrace.cli.tables import lines_of


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


def test_only_a_word_that_is_too_long_for_its_column_is_cut() -> None:
    lines = list(lines_of([f"column {n}" for n in range(8)], [["x" * 30] * 8]))
    assert {line.count("…") for line in lines[-1:]} == {8}
    assert max(map(len, lines)) <= 100
