"""Each rule as recording and alerting rules of Prometheus, with a sentence for all that PromQL cannot say of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

from leadtrace.alerts.prometheus.series import FAILED, bucket, counted, leads, matching, promql_span, quoted
from leadtrace.alerts.rules import (
    DAY,
    Absence,
    Budget,
    EnhancementDegraded,
    ErrorSpike,
    Expiry,
    Slowdown,
    TooFew,
)
from leadtrace.analysis.series import END_EVENTS

if TYPE_CHECKING:
    from leadtrace.alerts.rules import Credential, Group, Rule, Rules

__all__ = ["Exported", "export_rules"]

_WEEKS: Final = 4
"""So many weeks back the expected count is looked up at most: each is a range of its own in the expression."""
_LEARNT: Final = 100


@dataclass(slots=True)
class Exported:
    """A document for Prometheus, and what is not in it."""

    groups: list[dict[str, Any]] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {"groups": self.groups}


def export_rules(rules: Rules) -> Exported:
    """All rules of a file."""
    found = Exported()
    interval = promql_span(rules.evaluate_every_ns)
    declared = [
        {"record": "leadtrace:declared_group", "expr": "vector(1)", "labels": {"group": one.name, "kind": one.kind}}
        for one in rules.groups.values()
    ]
    if declared:
        found.groups.append({"name": "leadtrace declared groups", "interval": interval, "rules": declared})
    for rule in rules.rules.values():
        said = _Saying(rules, rule, found.unsaid).said()
        if said:
            found.groups.append({"name": f"leadtrace {rule.name}", "interval": interval, "rules": said})
    found.groups.append({"name": "leadtrace itself", "interval": interval, "rules": _itself(rules)})
    calendars = [one.calendar for one in rules.groups.values()]
    if any(one.hours is not None or one.country or one.closed_days or one.pauses for one in calendars):
        found.unsaid.append(
            "opening hours: windows are of clock time, not of opening time; while a group is closed nothing of it fires, "
            "by the metric leadtrace_group_open of `leadtrace serve --rules` or `leadtrace watch --metrics-port`"
        )
    if any(one.value_per_lead is not None or one.spend_per_hour is not None for one in rules.groups.values()):
        found.unsaid.append(
            "value_per_lead and spend_per_hour: rules of the kind budget alone work out the money at risk"
        )
    if rules.delay_ns:
        found.unsaid.append(
            f"delay: what is late by up to {promql_span(rules.delay_ns)} counts when it is counted, every window ends now"
        )
    return found


@dataclass(slots=True)
class _Saying:
    rules: Rules
    rule: Rule
    unsaid: list[str]

    def said(self) -> list[dict[str, Any]]:
        match self.rule:
            case Absence():
                return self._absence(self.rule)
            case TooFew():
                return self._too_few(self.rule, "")
            case Budget():
                return self._budget(self.rule)
            case ErrorSpike() | EnhancementDegraded():
                return self._errors(self.rule) + self._slow(self.rule)
            case Slowdown():
                return self._slow(self.rule)
            case Expiry():
                return self._expiry(self.rule)
        self._not(f"PromQL has no figures of the kind {self.rule.kind}; it fires where `leadtrace watch` says so")
        firing = f"max by (group) (leadtrace_alert_firing{{rule={quoted(self.rule.name)}}}) == 1"
        return [self._alert(firing, "{{ $labels.group }}: see `leadtrace alerts list`", timed=False)]

    # Leads.

    def _absence(self, rule: Absence) -> list[dict[str, Any]]:
        groups = self._counted()
        window = promql_span(rule.window_ns)
        recorded = [
            # `increase` does not see a series' first sample: a series that was not there a window ago counts as it is.
            self._record(
                "leads",
                one,
                f"sum(increase({leads(one)}[{window}])) > 0\n"
                f"or sum({leads(one)} unless {leads(one)} offset {window}) > 0",
            )
            for one in groups
        ]
        expression = (
            f"leadtrace:declared_group{{group=~{matching(one.name for one in groups)}}}\n"
            f"unless on (group) {self._of('leads')}\n{_UNLESS_CLOSED}"
        )
        self._not(
            "its window begins anew when the group opens: leadtrace counts opening time alone", self._have_hours()
        )
        self._not(f"min_sample {rule.min_sample} is not looked at", rule.min_sample > 0)
        return [*recorded, self._alert(expression, f"{{{{ $labels.group }}}}: no leads for {window}")] if groups else []

    def _too_few(self, rule: TooFew | Budget, more: str) -> list[dict[str, Any]]:
        groups = self._counted()
        window, weeks = promql_span(rule.window_ns), max(1, min(_WEEKS, rule.history_ns // (7 * DAY)))
        recorded = []
        for one in groups:
            series = leads(one)
            past = " + ".join(f"sum(increase({series}[{window}] offset {week}w))" for week in range(1, weeks + 1))
            recorded.append(self._record("observed", one, f"sum(increase({series}[{window}])) or vector(0)"))
            recorded.append(self._record("expected", one, f"({past}) / {weeks}"))
        z = NormalDist().inv_cdf(1 - rule.probability)
        least = max(1, rule.min_sample)
        expression = (
            f"{self._of('observed')}\n"
            f"< on (group) ({self._of('expected')} - {z:.3f} * sqrt({self._of('expected')}))\n"
            f"and on (group) {self._of('expected')} >= {least}\n{more}{_UNLESS_CLOSED}"
        )
        self._not(
            f"what is expected is the mean of the same window of the last {weeks} weeks, all of which must be there, and how much "
            "it varies is taken as by chance alone (a normal distribution); leadtrace learns both by hour of the week, without "
            f"closed time and incidents, from {promql_span(rule.history_ns)} of history, {rule.min_weeks} weeks at least"
        )
        told = "{{ $labels.group }}: {{ $value }} leads in " + window
        return [*recorded, self._alert(expression, told)] if groups else []

    def _budget(self, rule: Budget) -> list[dict[str, Any]]:
        recorded = []
        for one in self._groups():
            if one.value_per_lead is not None and one.spend_per_hour is None:
                missing = f"{self._of('expected', one)} - {self._of('observed', one)}"
                at_risk = f"({missing}) * {one.value_per_lead}"
            else:
                hours = rule.window_ns / (3600 * 1e9)
                share = f"1 - {self._of('observed', one)} / {self._of('expected', one)}"
                at_risk = f"clamp_min({share}, 0) * {one.spend_per_hour} * {hours:g}"
            told = self._record("at_risk", one, at_risk)
            told["labels"]["currency"] = one.currency
            recorded.append(told)
        several = self._too_few(rule, f"and on (group) {self._of('at_risk')} > {rule.above}\n")
        return [*several[:-1], *recorded, several[-1]] if several else []

    # Work.

    def _errors(self, rule: ErrorSpike | EnhancementDegraded) -> list[dict[str, Any]]:
        groups = self._counted()
        window, past = promql_span(rule.window_ns), promql_span(rule.history_ns)
        recorded = []
        for one in groups:
            ends, bad = counted(one, END_EVENTS[one.kind]), counted(one, END_EVENTS[one.kind], FAILED)
            recorded += [
                self._record("ends", one, f"sum(increase({ends}[{window}]))"),
                self._record("failed", one, f"sum(increase({bad}[{window}])) or vector(0)"),
                self._record("ends_before", one, f"sum(increase({ends}[{past}] offset {window}))"),
                self._record("failed_before", one, f"sum(increase({bad}[{past}] offset {window})) or vector(0)"),
            ]
        share = f"({self._of('failed')} / on (group) {self._of('ends')})"
        usual = f"(({self._of('failed_before')} + 0.5) / on (group) ({self._of('ends_before')} + 1))"
        z = NormalDist().inv_cdf(1 - rule.probability)
        spread = f"sqrt({usual} * (1 - {usual}) / on (group) {self._of('ends')})"
        spike = (
            f"(({share} >= on (group) {rule.factor:g} * {usual}) "
            f"and on (group) {share} > on (group) {usual} + {z:.3f} * {spread})\n"
            f"and on (group) {self._of('ends_before')} >= {_LEARNT}"
        )
        either = f"({spike})" + (f"\nor ({share} > {rule.above:g})" if rule.above is not None else "")
        expression = f"({either})\nand on (group) {self._of('ends')} >= {max(1, rule.min_sample)}\n{_UNLESS_CLOSED}"
        self._not(
            "how much failures come together from day to day is not in it: chance is taken as a normal distribution"
        )
        told = "{{ $labels.group }}: {{ $value | humanizePercentage }} failed in " + window
        return [*recorded, self._alert(expression, told)] if groups else []

    def _slow(self, rule: Slowdown | EnhancementDegraded | ErrorSpike) -> list[dict[str, Any]]:
        if isinstance(rule, ErrorSpike):
            return []
        groups = [one for one in self._groups() if bucket(one)]
        lost = [one.name for one in self._groups() if not bucket(one)]
        self._not(f"spans do not name the group {', '.join(lost)}: how long its work took is not counted", bool(lost))
        window, past = promql_span(rule.window_ns), promql_span(rule.history_ns)
        recorded = []
        for one in groups:
            spans = bucket(one)
            recorded += [
                self._record(
                    "took_ms", one, f"histogram_quantile({rule.quantile:g}, sum by (le) (increase({spans}[{window}])))"
                ),
                self._record(
                    "took_ms_before",
                    one,
                    f"histogram_quantile({rule.quantile:g}, sum by (le) (increase({spans}[{past}] offset {window})))",
                ),
                self._record("took", one, f'sum(increase({spans.removesuffix("}")}, le="+Inf"}}[{window}]))'),
            ]
        factor = rule.slower if isinstance(rule, EnhancementDegraded) else rule.factor
        above = rule.above_ms if isinstance(rule, Slowdown) else None
        either = f"({self._of('took_ms')} >= on (group) {factor:g} * {self._of('took_ms_before')})"
        if above is not None:
            either += f"\nor ({self._of('took_ms')} > {above:g})"
        expression = f"({either})\nand on (group) {self._of('took')} >= {max(1, rule.min_sample)}\n{_UNLESS_CLOSED}"
        if groups:
            self._not("quantiles are only as fine as the Collector's buckets")
            self._not(
                f"whether chance explains it (probability {rule.probability:g}) is not worked out of durations, nor is it looked "
                "at whether the time before had enough of them"
            )
        told = "{{ $labels.group }}: " + f"p{rule.quantile * 100:g}" + " is {{ $value }} ms"
        found = self._alert(expression, told)
        found["labels"]["judged_by"] = "duration"  # beside the alert of the same name about failures
        return [*recorded, found] if groups else []

    # Dates.

    def _expiry(self, rule: Expiry) -> list[dict[str, Any]]:
        several = self._credentials()
        recorded = [
            {
                "record": f"leadtrace:expires:{_slug(self.rule.name)}",
                "expr": f"vector({one.expires_ns / 1e9:.0f})",
                "labels": {"group": one.name},
            }
            for one in several
        ]
        self._not("periodic errors are found by `leadtrace watch` alone", rule.periodic_errors)
        expression = f"leadtrace:expires:{_slug(self.rule.name)} - time() <= {rule.before_ns / 1e9:.0f}"
        told = "{{ $labels.group }} ends in {{ $value | humanizeDuration }}"
        return [*recorded, self._alert(expression, told)] if several else []

    # Parts.

    def _groups(self) -> list[Group]:
        return [self.rules.groups[one] for one in self.rule.groups]

    def _counted(self) -> list[Group]:
        """The groups whose events the Collector counts."""
        lost = [one.name for one in self._groups() if not leads(one)]
        self._not(f"the Collector does not count by the attribute of {', '.join(lost)}", bool(lost))
        found = [one for one in self._groups() if leads(one)]
        self._not("it counts events, where leadtrace counts each lead once a day", bool(found))
        return found

    def _credentials(self) -> list[Credential]:
        """Those that the rule watches."""
        if not isinstance(self.rule, Expiry):
            return []
        known = self.rules.credentials.values()
        return [one for one in known if not self.rule.credentials or one.name in self.rule.credentials]

    def _have_hours(self) -> bool:
        return any(one.calendar.hours is not None for one in self._groups())

    def _record(self, what: str, group: Group, expression: str) -> dict[str, Any]:
        name = f"leadtrace:{what}:{_slug(self.rule.name)}"
        return {"record": name, "expr": expression, "labels": {"group": group.name}}

    def _of(self, what: str, group: Group | None = None) -> str:
        name = f"leadtrace:{what}:{_slug(self.rule.name)}"
        return f"{name}{{group={quoted(group.name)}}}" if group is not None else name

    def _alert(self, expression: str, told: str, *, timed: bool = True) -> dict[str, Any]:
        rule = self.rule
        found: dict[str, Any] = {"alert": rule.name, "expr": expression}
        if timed and rule.for_ns:
            found["for"] = promql_span(rule.for_ns)
        if timed and rule.keep_firing_ns:
            found["keep_firing_for"] = promql_span(rule.keep_firing_ns)
        ours = {"severity": rule.severity, "rule": rule.name, "kind": rule.kind}
        labels = {_slug(key): _literal(one) for key, one in rule.labels.items()}
        lost = sorted(labels.keys() & {*ours, "alertname", "group"})
        self._not(f"its label {', '.join(lost)} has a meaning of its own there", bool(lost))
        found["labels"] = {**labels, **{key: _literal(one) for key, one in ours.items()}}
        found["annotations"] = {"summary": told}
        if rule.runbook:
            found["annotations"]["runbook_url"] = _literal(rule.runbook)
        owners = [f"{one.name}: {', '.join(one.owners)}" for one in self._groups() if one.owners]
        owners += [", ".join(rule.owners)] if rule.owners else []
        owners += [f"{one.name}: {', '.join(one.owners)}" for one in self._credentials() if one.owners]
        if owners:
            found["annotations"]["owners"] = _literal("; ".join(owners))
        return found

    def _not(self, sentence: str, where: bool = True) -> None:
        told = f"{self.rule.name}: {sentence}"
        if where and told not in self.unsaid:
            self.unsaid.append(told)


_UNLESS_CLOSED: Final = "unless on (group) leadtrace_group_open == 0"


def _itself(rules: Rules) -> list[dict[str, Any]]:
    """What watches the watchers."""
    late = 3 * rules.evaluate_every_ns / 1e9

    def alert(name: str, expression: str, told: str, wait: str = "2m") -> dict[str, Any]:
        return {
            "alert": name,
            "expr": expression,
            "for": wait,
            "labels": {"severity": "high", "rule": name, "kind": "watch"},
            "annotations": {"summary": told},
        }

    return [
        alert("leadtrace.down", "up == 0", "{{ $labels.instance }} cannot be scraped: nothing is known of its leads"),
        alert(
            "leadtrace.watch",
            f"time() - leadtrace_watch_evaluated_timestamp_seconds > {late:g}",
            "the watch does not judge its rules",
        ),
        alert(
            "leadtrace.channel",
            "leadtrace_watch_channel_failures >= 3",
            "the channel {{ $labels.channel }} takes no messages",
            "0s",
        ),
        alert(
            "leadtrace.refused",
            "sum by (reason) (increase(leadtrace_requests_refused_total[5m])) > 0",
            "records are refused: {{ $labels.reason }}",
            "0s",
        ),
    ]


def _literal(text: str) -> str:
    """A text in which Prometheus finds no template of its own."""
    return text.replace("{{", '{{ "{{" }}')


def _slug(name: str) -> str:
    """The name as Prometheus takes it in a metric or a label."""
    found = "".join(one if one.isascii() and (one.isalnum() or one == "_") else "_" for one in name)
    return f"_{found}" if found[:1].isdigit() else found
