"""The data of the example: made from a seed, read line by line, with what is no lead kept aside."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from premium_insurance.leads import FILE, Lead, Unreadable, read_leads
from premium_insurance.make_leads import make_lines
from premium_insurance.run import lines_for


def test_the_committed_file_is_what_the_script_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == "".join(f"{line}\n" for line in make_lines(seed=7, leads=300))


@given(seed=st.integers(), fewer=st.integers(0, 30), more=st.integers(0, 30))
def test_fewer_leads_of_a_seed_are_the_first_of_more(seed: int, fewer: int, more: int) -> None:
    assert list(make_lines(seed, fewer)) == list(make_lines(seed, fewer + more))[:fewer]


def test_the_committed_data_has_every_fault_that_the_pipeline_must_meet() -> None:
    found = list(read_leads(FILE.read_text(encoding="utf-8").splitlines()))
    leads = [one for one in found if isinstance(one, Lead)]
    faults = Counter[str]()
    phones = Counter(lead.phone for lead in leads)
    for lead in leads:
        faults["missing"] += not (lead.last_name and lead.phone and lead.zip)
        faults["phone"] += bool(lead.phone) and sum(map(str.isdigit, lead.phone)) not in (10, 11)
        faults["email"] += lead.email.count("@") != 1
        faults["no id"] += lead.id is None
        faults["asked before"] += phones[lead.phone] > 1
        faults["old consent"] += (lead.received_at - lead.consent_at).days > 90
        faults["no licence"] += lead.state == "AK"
        faults["from two to three"] += lead.received_at.hour == 14
    assert len(leads) == 294
    assert min(faults[name] for name in faults) >= 3, faults
    assert {one.reason.split(":")[0] for one in found if isinstance(one, Unreadable)} >= {
        "not JSON",
        "no consent_id",
        "price is not a number",
    }


def test_people_are_fictional() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert set(re.findall(r"\(\d{3}\) (\d{3}-\d{2})\d{2}", text)) == {"555-01"}
    assert set(re.findall(r"@([\w.]+)", text)) == {"example.com"}


def test_a_lead_is_read_with_its_types() -> None:
    line = {
        "id": None,
        "source": "Partner API",
        "campaign": "compare-and-save",
        "campaign_group": "partners",
        "received_at": "2026-03-02T14:05:00+00:00",
        "first_name": "Ada",
        "last_name": "Abbott",
        "email": "ada@example.com",
        "phone": "(213) 555-0100",
        "zip": "90210",
        "state": "CA",
        "product": "auto",
        "price": "6.25",
        "sell_to": 2,
        "consent_id": "consent_1",
        "consent_at": "2026-03-02T14:00:00+00:00",
    }
    [lead] = read_leads([json.dumps(line)])
    assert lead == Lead(
        **line
        | {
            "received_at": datetime(2026, 3, 2, 14, 5, tzinfo=UTC),
            "consent_at": datetime(2026, 3, 2, 14, 0, tzinfo=UTC),
            "price": Decimal("6.25"),
        }  # type: ignore[arg-type]
    )


@given(st.lists(st.one_of(st.text(), st.from_type(dict).map(str), st.sampled_from(["[]", "3", "null", "{}"]))))
def test_what_is_no_lead_is_kept_aside_with_its_line(lines: list[str]) -> None:
    assert [one.line for one in read_leads(lines) if isinstance(one, Unreadable)] == list(range(1, len(lines) + 1))


def test_the_reason_does_not_repeat_contact_data() -> None:
    whole = next(make_lines(7, 1))
    broken = [whole[: len(whole) * part // 20] for part in range(1, 20)]
    broken.append(json.dumps(json.loads(whole) | {"price": "ada@example.com"}))
    for one in read_leads(broken):
        assert isinstance(one, Unreadable)
        assert "@" not in one.reason
        assert "555" not in one.reason


def test_leads_come_from_the_committed_file_where_it_has_enough_and_from_the_seed_otherwise() -> None:
    committed = FILE.read_text(encoding="utf-8").splitlines()
    assert lines_for(None, 20, seed=7) == committed[:20]
    assert lines_for(None, 310, seed=7)[:300] == committed
    assert lines_for(None, 20, seed=8) == list(make_lines(8, 20)) != committed[:20]
    assert lines_for(FILE, 20, seed=8) == committed[:20]
