"""The second process: takes leads from the queue and offers them to the installer, until the queue is empty.

python -m queue_workers.worker QUEUE_FILE
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import leadtrace as lt

from .queue import Queue


class LineBusyError(Exception):
    """The installer's line is busy."""


@lt.attempt("call the installer", max_attempts=2)
def call(product: str, number: int) -> float:
    """One call; for heat pumps, the line is busy at first. The installer says what it pays."""
    if product == "heat pump" and number == 1:
        raise LineBusyError("the line is busy")
    return 55.0


@lt.delivery(buyer="Sunny Side Installers", answer=lambda pays: lt.accepted(revenue=pays))
def offer(product: str) -> float:
    """Call, and once more if the line is busy."""
    try:
        return call(product, 1)
    except LineBusyError:
        time.sleep(0.02)
        return call(product, 2)


def main(file: str) -> None:
    queue = Queue(Path(file))
    with lt.configure(service_name="worker") as telemetry:
        while message := queue.take():
            # What was open over there is open here: the lead, its run, its state. The flow ends with this block.
            with lt.resume(message["leadtrace"], ends_flow=True):
                offer(message["product"])
                lt.move_to("placed", final=True)
        telemetry.flush(10)


if __name__ == "__main__":
    main(sys.argv[1])
