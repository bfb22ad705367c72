"""Reports of errors and money through JSON, the command line and a server: the same typed answer each way."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from leadtrace.analysis.exchange import report_from_json
from leadtrace.analysis.registry import analysis
from leadtrace.cli import main
from leadtrace.reading import Reader

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/output-report.schema.json").read_text())
REPORTS = ("business", "roi", "errors", "patterns", "reliability", "ads")


@pytest.mark.parametrize("name", REPORTS)
def test_json_reads_back_into_the_same_report(reader: Reader, name: str) -> None:
    found = reader.report(name, now_ns=1_900_000_000_000_000_000)
    told = json.loads(json.dumps(found.as_json()))
    jsonschema.validate(told, SCHEMA)
    assert report_from_json(analysis(name), told) == found


@pytest.mark.parametrize("name", REPORTS)
def test_the_command_line_has_a_table_for_people(traffic_path: str, name: str) -> None:
    done = CliRunner().invoke(main, ["report", name, "--from", traffic_path, "--limit", "3"])
    assert done.exit_code == (1 if name == "ads" else 0)  # the traffic has no lead events
    assert done.stdout.startswith(f"{name}, all time: ")
    assert all(len(line) <= 100 for line in done.stdout.splitlines() if not line.startswith("·"))


def test_a_file_of_declared_values_is_read_by_the_command_line(traffic_path: str, tmp_path: Path) -> None:
    file = tmp_path / "values.csv"
    file.write_text("enhancement,amount,currency\ncredit score,765,USD\n")
    asked = [
        "report",
        "roi",
        "--from",
        traffic_path,
        "--declared",
        str(file),
        "--enhancement",
        "credit score",
        "--json",
    ]
    done = CliRunner().invoke(main, asked)
    (row,) = [one for one in json.loads(done.stdout)["rows"] if one["section"] == "return" and one["currency"] == "USD"]
    assert row["declared_value"] == "765.00"
    assert float(row["declared_return_on_cost"]) == pytest.approx(765 / float(row["cost"]), abs=0.005)
    file.write_text("enhancement,amount\ncredit score,much\n")
    done = CliRunner().invoke(main, asked)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "declared values, line 2: amount is a number" in done.stderr
