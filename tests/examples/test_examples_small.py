"""The synchronous example and the one with a queue, run as processes against a real server; their timelines as trees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import leadtrace
from leadtrace.demo import environment, serving

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(folder: Path, *commands: list[str]) -> list[str]:
    """Run these modules of the examples one after another, sending to a store in that folder; what each printed."""
    settings = environment(folder)
    said = []
    with serving(folder / "store.db", settings) as url:
        settings |= {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "PYTHONPATH": str(Path(leadtrace.__file__).parents[1])}
        for command in commands:
            ran = subprocess.run(
                [sys.executable, "-m", *command],
                cwd=EXAMPLES,
                env=settings,
                capture_output=True,
                text=True,
                timeout=50,
                check=False,
            )
            assert (ran.returncode, ran.stderr) == (0, "")
            said.append(ran.stdout)
    return said


def tree(folder: Path, lead_id: str) -> str:
    """The lead's timeline as an indented list: spans with their service and status, events by name."""
    with leadtrace.open(str(folder / "store.db")) as reader:
        lines = []
        for entry in reader.timeline(lead_id).as_json()["entries"]:
            place = "  " * entry["depth"]
            if entry["type"] == "span":
                failed = f" [{entry['status']}]" if entry["status"] != "unset" else ""
                lines.append(f"{place}{entry['name']} ({entry['service']}){failed}")
            elif entry["name"] == "lead.state.changed":
                lines.append(f"{place}- moved to {entry['attributes']['lead.state.to']}")
            elif entry["name"] != "exception":
                lines.append(f"{place}- {entry['name']}")
        return "\n".join(lines)


def test_a_synchronous_service_of_threads_and_methods_keeps_each_lead_to_itself(tmp_path: Path) -> None:
    said = run(tmp_path, ["sync_service"])
    assert said == [
        "loan_1001: taken\nloan_1002: taken\nloan_1003: not taken\nloan_1004: taken\nloan_1005: not taken\n"
    ]
    assert tree(tmp_path, "loan_1002") == BUSY_TWICE
    assert tree(tmp_path, "loan_1005") == NOT_FOR_THIS_DESK
    with leadtrace.open(str(tmp_path / "store.db")) as reader:
        outcomes = {row.lead_id: (row.state, row.outcome) for row in reader.leads()}
        [failed] = reader.events("enhancement.failed")
    assert outcomes == {
        "loan_1001": ("placed", "delivered"),
        "loan_1002": ("placed", "delivered"),
        "loan_1003": ("refused", "rejected"),
        "loan_1004": ("placed", "delivered"),
        "loan_1005": ("declined", "rejected"),
    }
    assert failed.lead_id == "loan_1004"
    assert failed.attributes["enhancement.failure.subcategory"] == "no_match"


def test_two_processes_with_a_queue_between_them_tell_one_story(tmp_path: Path) -> None:
    queue = str(tmp_path / "queue.db")
    run(tmp_path, ["queue_workers.intake", queue], ["queue_workers.worker", queue])
    assert tree(tmp_path, "home_2002") == ONE_STORY
    with leadtrace.open(str(tmp_path / "store.db")) as reader:
        told = reader.timeline("home_2002").as_json()
        traces = {entry["trace_id"] for entry in told["entries"] if entry["type"] == "span"}
    assert len(told["runs"]) == 1
    assert len(traces) == 2  # the worker's sampler decides for itself
    assert told["marks"] == []
    assert (told["state"], [(one["currency"], one["revenue"]) for one in told["money"]]) == (
        "placed",
        [("USD", "55")],
    )


BUSY_TWICE = """\
Loan Desk (loan-desk)
  - flow.started
  - moved to received
  loan size (loan-desk)
    - operation.started
    - rule.satisfied
  Credit Band (loan-desk)
    - enhancement.started
    - enhancement.success
  deliver to First Lenders (loan-desk)
    - delivery.started
    POST enquiry (loan-desk) [error]
      - api.call.attempted
      - error.occurred
      - api.call.failed
    - system.retry.attempted
    POST enquiry (loan-desk) [error]
      - api.call.attempted
      - error.occurred
      - api.call.failed
    - system.retry.attempted
    POST enquiry (loan-desk)
      - api.call.attempted
      - api.call.succeeded
    - error.recovered
    - delivery.accepted
  - moved to placed
  - flow.completed"""

NOT_FOR_THIS_DESK = """\
Loan Desk (loan-desk)
  - flow.started
  - moved to received
  loan size (loan-desk)
    - operation.started
    - rule.rejected
  - moved to declined
  - flow.completed"""

ONE_STORY = """\
Home Energy (intake)
  - flow.started
  - moved to received
  estimate savings (intake)
    - operation.started
    - operation.completed
  - moved to queued
  - flow.handed_over
  resume Home Energy (worker)
    - operation.started
    deliver to Sunny Side Installers (worker)
      - delivery.started
      call the installer (worker) [error]
        - api.call.attempted
        - error.occurred
        - api.call.failed
      - system.retry.attempted
      call the installer (worker)
        - api.call.attempted
        - api.call.succeeded
      - error.recovered
      - delivery.accepted
    - moved to placed
    - flow.completed
    - operation.completed"""
