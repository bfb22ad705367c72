"""`python -m outbound`: two weeks of a small delivery engine in a second or two, told with leadtrace."""

from __future__ import annotations

import argparse
from datetime import timedelta

import leadtrace as lt

from .records import Records
from .world import make_engine


def main() -> None:
    parser = argparse.ArgumentParser(prog="outbound", description="Run a small engine for cold outreach.")
    parser.add_argument("--people", type=int, default=120, help="how many are written to (default 120)")
    parser.add_argument("--days", type=int, default=14, help="how many days of its calendar (default 14)")
    parser.add_argument("--seed", type=int, default=7, help="decides what people answer (default 7)")
    parser.add_argument("--records", default=":memory:", help="the engine's database (default: in memory)")
    asked = parser.parse_args()
    with lt.configure(service_name="outbound") as telemetry:
        records = Records(asked.records)
        engine = make_engine(asked.people, asked.seed, records=records)
        engine.run(engine.now + timedelta(days=asked.days))
        records.close()
        telemetry.flush(20)
    print(engine.ledger.as_text(), end="")


if __name__ == "__main__":
    main()
