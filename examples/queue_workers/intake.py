"""The first process: takes enquiries in, estimates what they are worth, and puts them on the queue.

python -m queue_workers.intake QUEUE_FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

import leadtrace as lt

from .queue import Queue


@lt.step("estimate savings", dollars_a_year=lt.result)
def estimate(product: str) -> int:
    """What the product would save, roughly."""
    return {"solar": 900, "heat pump": 650}[product]


@lt.flow("Home Energy", id="flow_home_energy", version=2, lead_id=lt.arg.lead_id, source="web form", ends="elsewhere")
def take_in(lead_id: str, product: str, queue: Queue) -> None:
    """The flow begins here and ends in the worker: this call only hands the lead over."""
    lt.move_to("received")
    savings = estimate(product)
    lt.move_to("queued")
    queue.put({"lead_id": lead_id, "product": product, "savings": savings, "leadtrace": lt.carry()})


def main(file: str) -> None:
    queue = Queue(Path(file))
    with lt.configure(service_name="intake") as telemetry:
        take_in("home_2001", "solar", queue)
        take_in("home_2002", "heat pump", queue)
        telemetry.flush(10)


if __name__ == "__main__":
    main(sys.argv[1])
