"""A worker: sends what waits, for cron or a loop of its own; beside the intake, or instead of its background threads.

python -m ad_platforms.worker --every 1
"""

from __future__ import annotations

import argparse
import sys
import time

import leadtrace as lt

from . import senders  # noqa: F401 - marks the senders


def main() -> int:
    parser = argparse.ArgumentParser(description="Send the lead events that wait.")
    parser.add_argument("--every", type=float, help="go on, with so many seconds between; without it once")
    asked = parser.parse_args()
    with lt.configure(service_name="lead-event-worker"):
        while True:
            done = lt.send_waiting()
            if asked.every is None:
                print(f"{done.sent} sent, {done.failed} failed, {done.quarantined} in quarantine, {done.waiting} wait")
                return 0
            time.sleep(asked.every)


if __name__ == "__main__":
    sys.exit(main())
