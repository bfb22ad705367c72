"""`leadtrace demo` as a user runs it: in a checkout, from a wheel, and where it cannot run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from leadtrace import demo

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "import sys; from leadtrace.cli import main; sys.exit(main())"]


def leadtrace(*arguments: str, path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with the package from that folder."""
    environment = dict(os.environ) | {"PYTHONPATH": str(path)} | variables
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def from_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a wheel holds it, unpacked: the checkout's examples are out of its sight."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "unpacked")
    return folder / "unpacked"


def test_from_a_wheel_it_runs_the_example_and_prints_timelines_and_how_to_go_on(
    from_wheel: Path, tmp_path: Path
) -> None:
    # Settings of the user's own must not lead the demo's telemetry elsewhere.
    elsewhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}
    ran = leadtrace("demo", "--leads", "100", "--folder", str(tmp_path / "demo"), path=from_wheel, **elsewhere)
    assert ran.returncode == 0, ran.stderr
    store = tmp_path / "demo" / "store.db"
    assert "leadtrace serve is running at http://127.0.0.1:" in ran.stdout
    assert "97 of 97 leads" in ran.stdout
    assert "All went well:\n\nLead lead_" in ran.stdout
    assert "Taken by a buyer at the third try:\n\nLead lead_" in ran.stdout
    assert "Sold although its identity could not be verified in time:\n\nLead lead_" in ran.stdout
    assert "Premium Insurance Flow" in ran.stdout
    assert "\nbusiness, all time: 97 leads, " in ran.stdout
    # What it says to type next works as it stands: the variables, then any of the commands.
    said = re.search(r"^  export LEADTRACE_FROM=(\S+) LEADTRACE_JOURNAL=(\S+)$", ran.stdout, re.MULTILINE)
    assert said
    there = {"LEADTRACE_FROM": said[1], "LEADTRACE_JOURNAL": said[2]}
    commands = {
        what: command.split()
        for command, what in re.findall(r"^  (?:\S.*)?leadtrace (\S.*?) +# (.*)$", ran.stdout, re.MULTILINE)
    }
    looked = leadtrace(*commands["sold and given back"], path=from_wheel, **there)
    assert looked.returncode == 0, looked.stderr
    assert "Premium Insurance Flow" in looked.stdout
    left = leadtrace(
        *commands["nothing waits any more: all that was recorded is in the store"], path=from_wheel, **there
    )
    assert left.returncode == 0, left.stdout
    cost = leadtrace(*commands["what each enhancement costs, and what it returns"], path=from_wheel, **there)
    assert "Phone Intelligence" in cost.stdout
    odd = leadtrace(*commands["whether anything recorded cannot be true"], path=from_wheel, **there)
    assert odd.returncode == 0, odd.stdout
    listed = leadtrace("leads", "--json", "--from", str(store), path=from_wheel)
    assert len({json.loads(line)["lead_id"] for line in listed.stdout.splitlines()}) == 97


def test_a_folder_that_holds_a_store_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    ran = leadtrace("demo", "--folder", str(tmp_path), path=CHECKOUT / "src")
    assert ran.returncode == 1
    assert ran.stderr == (
        f"leadtrace: the folder holds a store already; name one that does not (store: {tmp_path / 'store.db'})\n"
    )


def test_an_example_that_fails_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken" / "premium_insurance"
    broken.mkdir(parents=True)
    (broken / "run.py").write_text("raise SystemExit('the companies are on strike')\n")
    monkeypatch.setattr(demo, "example_folder", lambda: broken.parent)
    with pytest.raises(demo.DemoError) as failed:
        demo.run(tmp_path / "demo", leads=1)
    assert str(failed.value) == "the example pipeline failed (code: 1, said: the companies are on strike)"


def test_a_server_that_does_not_start_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_LEADTRACE", "raise SystemExit('no ports left')")
    with pytest.raises(demo.DemoError) as failed:
        demo.run(tmp_path / "demo", leads=1)
    assert str(failed.value) == "leadtrace serve did not start (said: no ports left)"


def test_in_a_checkout_the_example_is_the_one_in_examples() -> None:
    assert demo.example_folder() == CHECKOUT / "examples"
