"""The naming rule of events: a dotted hierarchy in lower case whose last segment says what happened, in the past tense.

Seed names that break the rule are declared with their reason (`exception=` on the event); nothing else may break it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["accept_verbs", "exceptions", "past_tense", "problem_beside", "problem_with"]

_WORDS = """
abandoned aborted absorbed accelerated accepted accessed accrued achieved acknowledged acquired acted activated
adapted added adjusted admitted adopted advanced advised affected agreed aimed alerted aligned allocated allowed
altered amended analysed analyzed annotated announced answered anticipated appealed appeared appended applied
appointed appraised approached approved archived arrived asked assembled asserted assessed assigned assisted assumed
assured attached attempted attended attributed auctioned audited augmented authenticated authored authorised
authorized automated averted awaited awarded backed backfilled balanced banned batched became began begun billed
blacklisted blocked booked bought bounced bound bridged broadcast broke broken browsed buffered built bumped cached
calculated calibrated called canceled cancelled capped captured cast categorised categorized caught caused ceased
certified challenged changed charged charted chased checked chose chosen cited claimed clarified classified cleaned
cleared clicked cloned closed coalesced collected combined commenced commented committed communicated compacted
compared compensated compiled completed composed compressed computed concluded confirmed conflicted connected
consented considered consolidated constrained constructed consulted consumed contacted contained contested continued
contracted contributed controlled converged converted conveyed cooled coordinated copied corrected correlated
counted covered crashed crawled created credited crossed cut damaged deactivated debited debounced decided declared
declined decoded decompressed decreased decrypted deduced deduplicated defaulted deferred defined degraded delayed
delegated deleted delivered demanded demoted denied deployed deposited deprecated derived described deserialised
deserialized designed destroyed detached detected determined developed deviated diagnosed dialed dialled died
differed digested directed disabled discarded disconnected discontinued discounted discovered discussed dismissed
dispatched displayed disposed disputed disqualified distributed diverged diverted divided documented doubled
downgraded downloaded drafted drained drawn drew dropped duplicated edited elapsed elected elevated emailed embedded
emerged emitted emptied enabled encoded encountered encrypted ended endorsed enforced engaged enhanced enlisted
enqueued enriched enrolled ensured entered enumerated equipped erased erred errored escalated established estimated
evaluated evicted examined exceeded exchanged excluded executed exempted exhausted exited expanded expected expired
explained explored exported exposed expressed extended extracted faced failed faulted favored favoured featured
fetched filed filled filtered finalised finalized financed finished fired fit fitted fixed flagged flushed focused
followed forbade forbidden forced forecast forgot forgotten formatted formed forwarded fought found founded framed
freed froze frozen fulfilled funded gained gathered gave generated given got governed graded granted greeted grew
grouped grown guaranteed guessed guided halted handled happened harvested hashed headed healed heard held helped hid
hidden hired hooked identified ignored illustrated imported imposed improved included increased incremented incurred
indexed indicated inferred inflated influenced informed ingested inherited inhibited initialised initialized
initiated injected inserted inspected installed instantiated instructed integrated intended intercepted interpreted
interrupted introduced invalidated invented inverted invested investigated invited invoiced invoked isolated issued
joined judged jumped justified kept killed knew known labeled labelled lagged landed lapsed lasted launched leaked
learned learnt leased left lent levied licensed liked limited linked liquidated listed listened loaded localised
localized located locked logged looked lost lowered made mailed maintained managed mandated mapped marked marketed
masked matched matured maximised maximized measured mediated melted mended mentioned merged met migrated minimised
minimized mirrored missed mitigated mixed moderated modified monitored mounted moved multiplied muted named narrowed
navigated negotiated nominated normalised normalized noted noticed notified numbered obeyed objected observed
obtained occurred offered offloaded omitted onboarded opened operated opposed optimised optimized ordered organised
organized originated overflowed overridden overrode overtaken overturned overwritten owed owned paced packaged
packed paged paid paired parked parsed participated partitioned passed patched paused peaked penalised penalized
perceived performed permitted persisted persuaded phoned picked piloted pinged pinned placed planned played pledged
plugged polled pooled popped populated posted postponed powered practised precomputed predicted preferred preloaded
prepared prescribed presented preserved pressed prevented priced primed printed prioritised prioritized probed
proceeded processed procured produced profiled programmed progressed projected promised promoted prompted propagated
proposed prorated protected proved proven provided provisioned pruned published pulled punished purchased purged
pursued pushed put qualified quantified quarantined queried questioned queued quoted raised ramped ran ranked rated
ratified reached reacted reactivated read realised realized reallocated reaped reassigned rebalanced rebooted
rebuilt recalculated recalled received recharged reclaimed recognised recognized recommended recomputed reconciled
reconnected reconstructed recorded recovered recruited recycled redacted redeemed redelivered redirected reduced
referenced referred refined reflected refreshed refunded refused regained regenerated registered regressed regulated
reimbursed reindexed reinstated reinvested rejected rejoined related relaxed released relied reloaded relocated
remained remembered reminded removed renamed rendered renewed rented reopened reordered reorganised repaid repaired
repeated replaced replayed replenished replicated replied reported repositioned represented reproduced requested
requeued required rescheduled rescored rescued researched resent reserved reset reshaped resided resigned resized
resolved responded restarted restocked restored restricted restructured resubmitted resulted resumed retained
retired retracted retried retrieved returned reused revealed reversed reverted reviewed revised revoked rewarded
rewritten rolled rotated routed ruled run sampled sanitised sanitized satisfied saved scaled scanned scattered
scheduled scored scraped screened scrubbed sealed searched secured seen segmented selected sent separated sequenced
serialised serialized served set settled shaped shared shed shifted shipped shortened shortlisted showed shown
shrank shrunk shut signaled signalled signed silenced simplified simulated skipped slept slowed snoozed sold solved
sorted sought sourced spawned specified spent spiked split spoke spoken spread squashed stabilised stabilized
stacked staged stalled standardised standardized started stated stayed steered stepped stolen stopped stored
streamed strengthened stripped struck structured stuck studied subdivided submitted subscribed substituted succeeded
suggested suited summarised summarized superseded supervised supplied supported suppressed surfaced surpassed
surrendered surveyed survived suspected suspended sustained swapped swept switched synced synchronised synchronized
synthesised synthesized tagged taken talked tapped targeted taught taxed tendered terminated tested texted threw
throttled thrown tightened timed told tolerated took topped totaled totalled touched toured traced tracked traded
trained transacted transcribed transferred transformed transitioned translated transmitted transported trapped
travelled treated triaged trialled triggered trimmed tripled tripped truncated trusted tuned turned typed unassigned
unblocked unconfirmed understood underwent underwritten undone unified uninstalled united unloaded unlocked unmasked
unpaused unpinned unpublished unregistered unsubscribed unwound updated upgraded uploaded upserted upsold used
utilised utilized vacated validated valued vanished varied verified viewed violated visited voided volunteered voted
waited waived walked wanted warmed warned was watched weakened weighed weighted welcomed went whitelisted widened
withdrawn withdrew withheld won worked worsened wrapped written wrote yielded zeroed
"""
_VERBS = frozenset(_WORDS.split())
"""Past tenses and participles that an event's name may end with; `accept_verbs` adds to them."""

_PHRASES = {
    "handed_over",
    "timed_out",
    "opted_in",
    "opted_out",
    "signed_up",
    "rolled_back",
    "backed_off",
    "shut_down",
    "called_back",
}
"""Verbs of two words. Not among them: what tells a state rather than an action, as `logged_in` does."""

_STATE_WORDS = """
active available busy dead down empty full idle in inactive invalid is live off offline ok on online out pending ready
running up valid waiting was
"""
_STATES = frozenset(_STATE_WORDS.split())
_SEGMENT = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*\Z")
_IDENTIFIER = re.compile(r"\d{4,}|(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}")
_accepted: set[str] = set()


def past_tense(last_segment: str) -> bool:
    """Whether that segment ends with a verb in the past tense (`accepted`, `half_opened`, `handed_over`)."""
    words = last_segment.split("_")
    phrase = "_".join(words[-2:])
    return phrase in _PHRASES or words[-1] in _VERBS or words[-1] in _accepted


def accept_verbs(*verbs: str) -> None:
    """Accept more verbs, written in the past tense, in the names of one's own events."""
    _accepted.update(verbs)


def problem_with(name: str) -> str:
    """What is wrong with that name for an event, as a sentence's end; '' when nothing is."""
    if not name:
        return "it is empty"
    segments = name.split(".")
    for segment in segments:
        if _IDENTIFIER.search(segment):
            return f"segment {segment!r} holds an identifier; that is an attribute's value, never part of a name"
        if not _SEGMENT.match(segment):
            return f"segment {segment!r} is not snake_case: lower-case letters, digits and single underscores"
    if len(segments) < 2:
        return "it is one segment; a name is a namespace and an action at least (`lead.received`)"
    last = segments[-1]
    if past_tense(last):
        return ""
    if _STATES.intersection(last.split("_")):
        return f"{last!r} tells a state; a name ends with what happened, in the past tense (`generated`, `switched`)"
    return f"{last!r} does not end with a verb in the past tense that leadtrace knows; accept_verbs() adds one"


def problem_beside(name: str, others: Collection[str]) -> str:
    """What is wrong with that name beside those: no name is both a leaf and a namespace; '' when nothing is."""
    for other in others:
        if other.startswith(name + "."):
            return f"it is the namespace of {other!r} already, and a name is not both"
        if name.startswith(other + "."):
            return f"{other!r}, its namespace, is an event already, and a name is not both"
    return ""


def exceptions() -> Mapping[str, str]:
    """The declared names that break the rule, each with its reason."""
    from leadtrace.catalogue import events

    return {name: spec.exception for name, spec in events().items() if spec.exception}
