"""What became of lead events, the payloads that advertising platforms are told: by platform, account, campaign group, campaign
and advertisement."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from leadtrace.analysis.model import Rate, Report, Row, Sample, Window, limited
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis
from leadtrace.store.relations.interface import END_OF_TIME

if TYPE_CHECKING:
    from leadtrace.store.relations.interface import Relations

__all__ = ["ADS", "AdsOptions", "LeadEvents", "Malformed", "ads"]

_DAY: Final = 86_400 * 10**9
_PIECES: Final = {"none": 0, "hour": 3_600 * 10**9, "day": _DAY}
_LEVELS: Final = ("platform", "account", "campaign_group", "campaign", "ad")

# One row per lead event, by its id and platform: one id may go to several. What is told of it at one of its stations holds for
# all of them. It belongs to the moment at which it was first told; what became of it later counts there.
_EACH: Final = """
WITH touched AS (
  SELECT DISTINCT tenant, CASE WHEN lead_event_id <> '' THEN lead_event_id ELSE 'record ' || CAST(arrival AS VARCHAR) END AS id
  FROM lead_events
  WHERE name IN ('lead.event.received', 'lead.event.saved', 'lead.event.sent', 'lead.event.failed', 'lead.event.quarantined')
),
told AS (
  SELECT e.tenant AS tenant,
    CASE WHEN e.lead_event_id <> '' THEN e.lead_event_id ELSE 'record ' || CAST(e.arrival AS VARCHAR) END AS id,
    e.name AS name, e.time_ns AS time_ns, e.lead_event_platform AS own_platform, e.lead_event_account AS account,
    e.lead_event_campaign_group AS campaign_group, e.lead_event_campaign AS campaign, e.lead_event_ad AS ad,
    coalesce(e.lead_event_resend, 0) AS resend, e.lead_event_reason AS reason, e.lead_event_field AS field
  FROM all_events e
  WHERE e.name IN ('lead.event.received', 'lead.event.saved', 'lead.event.sent', 'lead.event.failed', 'lead.event.quarantined')
),
placed AS (
  SELECT t.tenant AS tenant, t.id AS id, t.name AS name, t.time_ns AS time_ns, t.account AS account,
    t.campaign_group AS campaign_group, t.campaign AS campaign, t.ad AS ad, t.resend AS resend, t.reason AS reason,
    t.field AS field, CASE WHEN t.own_platform <> '' THEN t.own_platform
    ELSE max(t.own_platform) OVER (PARTITION BY t.tenant, t.id) END AS platform
  FROM told t
  WHERE (t.tenant, t.id) IN (SELECT tenant, id FROM touched)
),
each_one AS (
  SELECT t.tenant AS tenant, t.id AS id, t.platform AS platform, min(t.time_ns) AS first_ns, max(t.account) AS account,
    max(t.campaign_group) AS campaign_group, max(t.campaign) AS campaign, max(t.ad) AS ad,
    max(CASE WHEN t.name = 'lead.event.received' THEN 1 ELSE 0 END) AS received,
    max(CASE WHEN t.name = 'lead.event.saved' THEN 1 ELSE 0 END) AS saved,
    max(CASE WHEN t.name = 'lead.event.sent' THEN 1 ELSE 0 END) AS sent,
    max(CASE WHEN t.name = 'lead.event.quarantined' THEN 1 ELSE 0 END) AS quarantined,
    sum(CASE WHEN t.name = 'lead.event.failed' THEN 1 ELSE 0 END) AS failed,
    sum(CASE WHEN t.name = 'lead.event.sent' AND t.resend = 1 THEN 1 ELSE 0 END) AS resent,
    max(CASE WHEN t.name = 'lead.event.quarantined' THEN t.reason ELSE '' END) AS reason,
    max(CASE WHEN t.name = 'lead.event.quarantined' THEN t.field ELSE '' END) AS field
  FROM placed t
  GROUP BY t.tenant, t.id, t.platform
  HAVING min(t.time_ns) >= $since AND min(t.time_ns) < $until
)"""
_COUNTS: Final = """
SELECT {piece}, {levels}, count(*), sum(received), sum(saved),
  sum(CASE WHEN sent = 1 AND quarantined = 0 THEN 1 ELSE 0 END), sum(quarantined), sum(failed),
  sum(CASE WHEN failed > 0 THEN 1 ELSE 0 END), sum(resent),
  sum(CASE WHEN sent = 0 AND quarantined = 0 AND saved = 1 THEN 1 ELSE 0 END),
  sum(CASE WHEN sent = 0 AND quarantined = 0 AND saved = 0 THEN 1 ELSE 0 END),
  sum(CASE WHEN sent = 1 AND saved = 0 THEN 1 ELSE 0 END), sum(CASE WHEN sent = 1 AND quarantined = 1 THEN 1 ELSE 0 END)
FROM each_one
GROUP BY {groups}
ORDER BY 1, {levels}"""
_MALFORMED: Final = """
SELECT platform, field, reason, count(*), min(first_ns), max(first_ns)
FROM each_one WHERE quarantined = 1
GROUP BY platform, field, reason
ORDER BY count(*) DESC, platform, field, reason"""


@dataclass(slots=True, frozen=True, kw_only=True)
class AdsOptions(Options):
    by: Literal["platform", "account", "campaign_group", "campaign", "ad"] = option(
        "ad", "Down to which level the figures are told apart."
    )
    over: Literal["none", "hour", "day"] = option("none", "Cut time into pieces of an hour or a day (UTC).")


@dataclass(slots=True, frozen=True)
class LeadEvents(Row):
    """Lead events that were first told in the window (or piece of time), and what became of them until now."""

    section: ClassVar[str] = "lead_events"
    piece_ns: int | None
    platform: str
    account: str
    campaign_group: str
    campaign: str
    ad: str
    lead_events: int
    received: int
    saved: int
    sent: Rate
    """Of those that are not malformed, the platform took."""
    malformed: Rate
    """Quarantined and never sent; of all."""
    waiting: int
    """Saved, and neither sent nor malformed by now."""
    not_saved: int
    """Received, and nothing more is told of it: it may be lost."""
    failed_tries: int
    """Tries that the platform did not take; one lead event may have several."""
    with_failed_tries: int
    """Lead events that had such a try, whatever became of them."""
    resends: int
    """Sent although they had been sent before."""


@dataclass(slots=True, frozen=True)
class Malformed(Row):
    """Lead events set aside for one reason."""

    section: ClassVar[str] = "malformed"
    platform: str
    field: str
    reason: str
    lead_events: int
    first_ns: int
    last_ns: int


def ads(relations: Relations, options: AdsOptions) -> Report[Row]:
    """Count lead events by what became of them."""
    levels = _LEVELS[: _LEVELS.index(options.by) + 1]
    length = _PIECES[options.over]
    shown = ", ".join(levels)
    given = {"since": options.since_ns, "until": options.until_ns or END_OF_TIME}
    piece = f"first_ns - first_ns % {length}" if length else "0"
    groups = ", ".join(str(place) for place in range(1, len(levels) + 2))
    found = relations.query(_EACH + _COUNTS.format(piece=piece, levels=shown, groups=groups), given)
    total: Counter[str] = Counter()
    counted: list[LeadEvents] = []
    for at, *rest in found:
        counted.append(_row(at if length else None, dict(zip(levels, rest, strict=False)), rest[len(levels) :], total))
    malformed = [Malformed(*row) for row in relations.query(_EACH + _MALFORMED, given)]
    rows, notes = limited((counted, malformed), options.limit)
    if total["lost"]:
        notes.append(f"{total['lost']:,} lead events were received and nothing more is told of them: look for them")
    if total["unsaved"]:
        notes.append(f"{total['unsaved']:,} lead events were sent and never told as saved before")
    if total["both"]:
        notes.append(f"{total['both']:,} lead events were sent and are malformed as well: they count as malformed")
    if total["waiting"]:
        notes.append(f"{total['waiting']:,} lead events are saved and wait to be sent")
    counts = {name: total[name] for name in ("lead_events", "sent", "malformed")}
    return Report(ADS.name, Window(options.since_ns, options.until_ns), Sample(counts), tuple(rows), tuple(notes))


def _row(at: int | None, named: dict[str, str], counts: list[Any], total: Counter[str]) -> LeadEvents:
    number, received, saved, sent, malformed, failed, with_failed, resent, waiting, lost, unsaved, both = counts
    total.update(
        {
            "lead_events": number,
            "sent": sent,
            "malformed": malformed,
            "waiting": waiting,
            "lost": lost,
            "unsaved": unsaved,
            "both": both,
        }
    )
    return LeadEvents(
        at,
        named["platform"],
        named.get("account", ""),
        named.get("campaign_group", ""),
        named.get("campaign", ""),
        named.get("ad", ""),
        number,
        received,
        saved,
        Rate(sent, number - malformed, "lead events that are not malformed"),
        Rate(malformed, number, "lead events"),
        waiting,
        lost,
        failed,
        with_failed,
        resent,
    )


ADS: Final = Analysis("ads", ads, AdsOptions, (LeadEvents, Malformed), hidden=("with_failed_tries",))
