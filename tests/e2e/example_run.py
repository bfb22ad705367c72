"""Runs the example pipeline as a user would, in a process of its own, towards a Collector."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from real_servers import ROOT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "premium-insurance"


@dataclass
class ExampleRun:
    """One run: its process, the leads that it was given, and the books that it kept without any telemetry."""

    process: subprocess.Popen[bytes]
    leads: list[dict[str, Any]]
    folder: Path

    def finish(self, within: float = 180) -> dict[str, Any]:
        """Wait for its end; what it says happened."""
        code = self.process.wait(within)
        log = (self.folder / "example.log").read_text()
        assert code == 0, log
        assert "not all telemetry could be handed over" not in log, log
        summary: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return summary


def start_example(
    folder: Path, endpoint: str, *, leads: int, protocol: str, speed: float = 10, token: str = ""
) -> ExampleRun:
    """The first so many of the committed leads, sent to the OTLP endpoint given, with a token where it asks for one."""
    env = clean_environment() | {
        "PYTHONPATH": str(ROOT / "src"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "LEADTRACE_JOURNAL": "off",
        "LEADTRACE_KEY": str(folder / "key"),
    }
    if token:
        env["OTEL_EXPORTER_OTLP_HEADERS"] = f"authorization=Bearer {token}"
    argv = [sys.executable, "-m", "examples.premium_insurance", "--leads", str(leads)]
    argv += ["--speed", str(speed), "--summary", str(folder / "summary.json")]
    with (folder / "example.log").open("wb") as log:
        process = subprocess.Popen(argv, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    lines = (ROOT / "examples" / "premium_insurance" / "leads.jsonl").read_text().splitlines()[:leads]
    return ExampleRun(process, [lead for line in lines if (lead := _lead(line))], folder)


def _lead(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def contact_data(leads: list[dict[str, Any]]) -> set[str]:
    """What must be found nowhere: each lead's addresses, numbers in the forms that software writes, and full name."""
    found: set[str] = set()
    for lead in leads:
        email, phone = str(lead.get("email") or ""), str(lead.get("phone") or "")
        if "@" in email:
            found |= {email, email.replace("@", "%40")}
        digits = re.sub(r"\D", "", phone)
        if len(digits) >= 10:
            local = digits[-10:]
            found |= {phone, digits, local, f"({local[:3]}) {local[3:6]}-{local[6:]}"}
            found |= {sep.join((local[:3], local[3:6], local[6:])) for sep in "-. "}
        if lead.get("first_name") and lead.get("last_name"):
            found.add(f"{lead['first_name']} {lead['last_name']}")
    return found
