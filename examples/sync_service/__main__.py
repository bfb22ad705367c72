"""`python -m sync_service`: a handful of enquiries through the desk, four at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import leadtrace as lt

from .companies import answering
from .desk import Desk, Enquiry

ENQUIRIES = [
    Enquiry("loan_1001", "90210", 20_000),  # taken at once
    Enquiry("loan_1002", "90211", 80_000),  # the buyer is busy twice
    Enquiry("loan_1003", "90213", 5_000),  # the buyer does not want it
    Enquiry("loan_1004", "05401", 9_000),  # the bureau does not know the address
    Enquiry("loan_1005", "90210", 500_000),  # not a loan for this desk
]


def main() -> None:
    with lt.configure(service_name="loan-desk") as telemetry, answering() as companies:
        desk = Desk(companies, buyer="First Lenders")
        with ThreadPoolExecutor(max_workers=4) as pool:
            for enquiry, taken in zip(ENQUIRIES, pool.map(desk.handle, ENQUIRIES), strict=True):
                print(f"{enquiry.id}: {'taken' if taken else 'not taken'}")
        telemetry.flush(10)


if __name__ == "__main__":
    main()
