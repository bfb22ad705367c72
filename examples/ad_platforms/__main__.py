"""`python -m ad_platforms`: platforms, intake and a kill -9 amid the sending; then the books of both sides, compared.

    python -m ad_platforms --events 200

Needs `leadtrace[lead-events]`. The journal is a temporary folder; telemetry goes where the standard OTEL_* variables say.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path

from .make_events import Posted, make_events
from .platforms import Platform, running

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Service:
    """The intake service as a process of its own."""

    def __init__(self, platforms: dict[str, Platform], journal: Path) -> None:
        self.settings = os.environ | {
            "META_ADS_URL": platforms["Meta Ads"].url,
            "GOOGLE_ADS_URL": platforms["Google Ads"].url,
            "LEADTRACE_JOURNAL": str(journal),
            "LEADTRACE_KEY": str(journal.with_name("key")),
        }
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", f"{__package__}.intake"]
        self.process = subprocess.Popen(command, env=self.settings, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def kill(self) -> None:
        """kill -9: nothing of it gets to say good-bye."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()

    def post(self, event: Posted) -> bool:
        """Whether the intake has it."""
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            f"{self.url}/lead-events", event.body, {"x-event-id": event.id, "content-type": "application/json"}
        )
        try:
            with OPENER.open(request, timeout=5) as answer:
                return bool(json.load(answer)["saved"])
        except (OSError, HTTPException):
            return False


def main() -> int:
    parser = argparse.ArgumentParser(description="Lead events for two platforms, with a kill -9 amid the sending.")
    parser.add_argument("--events", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=7, help="decides what goes wrong (default 7)")
    asked = parser.parse_args()
    events = make_events(asked.seed, asked.events)
    with tempfile.TemporaryDirectory() as folder, running(asked.seed) as platforms:
        service = Service(platforms, Path(folder, "journal"))
        for number, event in enumerate(events):
            if number == len(events) // 2:
                service.kill()
                print(f"killed after {number} events, with {_waiting(service)} not yet sent")
                service.start()
            while not service.post(event):
                time.sleep(0.01)
        while _waiting(service):
            time.sleep(0.1)
        service.end()
        return _compared(events, platforms, service)


def _command(service: Service, *arguments: str) -> str:
    command = [sys.executable, "-m", "leadtrace", *arguments]
    return subprocess.run(command, env=service.settings, stdout=subprocess.PIPE, text=True, check=False).stdout  # noqa: S603 - our own


def _waiting(service: Service) -> int:
    return sum(one["waiting"] for one in json.loads(_command(service, "lead-events", "--json"))["platforms"])


def _compared(events: list[Posted], platforms: dict[str, Platform], service: Service) -> int:
    """The platforms' books beside ours; the exit code says whether they agree."""
    aside = json.loads(_command(service, "quarantine", "list", "--json"))
    lost = 0
    for name, platform in platforms.items():
        for_it = {one.id for one in events if name in one.platforms and not one.malformed}
        taken = platform.taken()
        refused = {one["id"] for one in aside if one["destination"] == name and not one["malformed"]}
        resent = sum(one.resend for one in platform.arrivals)
        missing = for_it - taken.keys() - refused
        lost += len(missing)
        print(
            f"{name}: {len(taken)} of {len(for_it)} taken, {len(refused)} refused, {resent} resends, {len(missing)} lost"
        )
    malformed = {one["id"] for one in aside if one["malformed"]}
    print(f"in quarantine: {len(malformed)} of {sum(one.malformed for one in events)} malformed lead events")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
