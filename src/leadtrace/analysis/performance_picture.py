"""`performance` and `what-if` to look at: bars of what runs wait for, and of what they took and would have.

waits, 1.20 s per run
  deliver to Premier  ██████████████████▎       550 ms   45.8 %  ← bottleneck
  Enhancement 1       ██████████                300 ms   25.0 %
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leadtrace.analysis.performance import FlowTime, Improvable, PathPart, Slowest
from leadtrace.analysis.what_if import Duration, Effect
from leadtrace.query.printable import cut, duration, plain, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leadtrace.analysis.model import Rate, Report
    from leadtrace.query.story import Line

__all__ = ["bar", "draw_performance", "draw_what_if"]

_EIGHTHS = " ▏▎▍▌▋▊▉"
_MOST = 8
_NAME = 34


def bar(share: float, width: int) -> str:
    """A bar of that share of the width, to an eighth of a column."""
    eighths = round(max(0.0, min(share, 1.0)) * width * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def draw_performance(report: Report[Any], width: int) -> Iterator[Line]:
    """Each flow version: how long its runs took, what they waited for, what would have helped."""
    flows = report.of(FlowTime)
    parts, changes = report.of(PathPart), report.of(Improvable)
    for at, key in enumerate(dict.fromkeys((one.flow, one.version) for one in (*flows, *parts))):
        if at:
            yield []
        flow = next((one for one in flows if (one.flow, one.version) == key), None)
        yield [(_name(*key), "head"), *(_times(flow) if flow else [])]
        if flow:
            yield from _bands(flow)
        mine = [one for one in parts if (one.flow, one.version) == key]
        if mine:
            yield from _waits(mine, width)
        better = [one for one in changes if (one.flow, one.version) == key]
        if better:
            yield [("  most improvable", "faint")]
            for change in better[:_MOST]:
                yield [
                    (f"    {cut(plain(change.change), width - 30):<{min(width - 30, 60)}}", "title"),
                    (f"{duration(change.saved_ms):>9}", "took"),
                    (f"  {change.faster:.1%} faster", "good"),
                ]

        slow = next((one for one in report.of(Slowest) if (one.flow, one.version) == key), None)
        if slow:
            yield from _one_run(slow, width)


def _one_run(run: Slowest, width: int) -> Iterator[Line]:
    """One run's critical path: what it waited for, each where in its time."""
    yield [(f"  the slowest run, {duration(run.duration_ms)}: leadtrace lead {plain(run.lead_id)}", "faint")]
    shown = [one for one in run.waited if one.ms >= run.duration_ms / 200]
    column = min(max((width_of(plain(one.name)) for one in shown), default=0), _NAME)
    room = max(width - column - 24, 10)
    for one in shown:
        name = cut(plain(one.name), column)
        before = round(one.after_ms / run.duration_ms * room)
        length = max(round((one.after_ms + one.ms) / run.duration_ms * room) - before, 1)
        yield [
            (f"    {name}{' ' * (column - width_of(name))}  ", "title"),
            (" " * before, ""),
            ("█" * length, "event"),
            (" " * max(room - before - length, 0), ""),
            (f"{duration(one.ms):>9}", "took"),
        ]


def _name(flow: str, version: str) -> str:
    return plain(f"{flow or 'runs without a name'}{f' v{version}' if version else ''}")


def _times(flow: FlowTime) -> Line:
    told = (
        f"  {flow.runs:,} {'run' if flow.runs == 1 else 'runs'}: p50 {duration(flow.p50_ms)}, p90 {duration(flow.p90_ms)}, "
        f"p95 {duration(flow.p95_ms)}, p99 {duration(flow.p99_ms)}, at most {duration(flow.max_ms)}"
    )
    return [(told, "took")]


def _bands(flow: FlowTime) -> Iterator[Line]:
    if flow.fast and flow.normal and flow.slow and flow.baseline_p50_ms and flow.baseline_p95_ms:
        told = (
            f"  fast {_share(flow.fast)}, normal {_share(flow.normal)}, slow {_share(flow.slow)}; the baseline's p50 and p95: "
            f"{duration(flow.baseline_p50_ms)}, {duration(flow.baseline_p95_ms)} of {flow.baseline_runs:,} runs"
        )
        yield [(told, "faint")]
    yield [(f"  healthy {_share(flow.healthy)}, in crisis {_share(flow.crisis)}, by the absolute limits", "faint")]


def _share(rate: Rate) -> str:
    return f"{rate.value:.1%}" if rate.value is not None else f"{rate.numerator} of {rate.denominator}"


def _waits(parts: Sequence[PathPart], width: int) -> Iterator[Line]:
    total = sum(one.path_ms for one in parts)
    runs = parts[0].on_path.denominator
    yield [(f"  waits, {duration(total)} per run, over {runs:,} {'run' if runs == 1 else 'runs'} read whole", "faint")]
    shown = [one for one in parts if one.path_ms][:_MOST]
    column = min(max(width_of(plain(_part(one))) for one in shown), _NAME) if shown else 0
    room = max(width - column - 42, 10)
    most = max((one.path_ms for one in shown), default=1.0)
    for one in shown:
        name = cut(plain(_part(one)), column)
        yield [
            (f"    {name}{' ' * (column - width_of(name))}  ", "title"),
            (f"{bar(one.path_ms / most, room):<{room}}", "bad" if one.bottleneck else "event"),
            (f"{duration(one.path_ms):>9}  {one.path_ms / total:>6.1%}", "took"),
            ("  ← bottleneck" if one.bottleneck else "", "bad"),
        ]
    rest = [one for one in parts if one.path_ms][_MOST:]
    if rest:
        yield [(f"    {len(rest)} more, {duration(sum(one.path_ms for one in rest))} together", "faint")]


def _part(part: PathPart) -> str:
    return f"{part.name}, itself" if part.word in ("flow", "run") else part.name


def draw_what_if(report: Report[Any], width: int) -> Iterator[Line]:
    """Each flow version: what its runs took, and below it what they would have."""
    effects = report.of(Effect)
    for at, one in enumerate(report.of(Duration)):
        if at:
            yield []
        faster = f"{abs(one.faster):.1%} {'faster' if one.faster >= 0 else 'slower'}"
        yield [
            (_name(one.flow, one.version), "head"),
            (f"  {faster}", "good" if one.faster > 0 else "no"),
            (
                f" over {one.runs:,} {'run' if one.runs == 1 else 'runs'}, {one.runs_changed.numerator:,} changed",
                "faint",
            ),
        ]
        if one.saved_low_ms is not None and one.saved_high_ms is not None and one.runs_changed.numerator:
            yield [
                (f"  a run saves {one.saved_low_ms:,.0f} to {one.saved_high_ms:,.0f} ms on average, at 95 %", "faint")
            ]
        most = max(one.p95_ms, one.new_p95_ms) or 1.0
        room = max(width - 32, 10)
        for name, old, new in (("p50", one.p50_ms, one.new_p50_ms), ("p95", one.p95_ms, one.new_p95_ms)):
            yield [(f"  {name:<8}", "faint"), (bar(old / most, room), "faint"), (f" {duration(old)}", "took")]
            yield [("          ", "faint"), (bar(new / most, room), "good"), (f" {duration(new)}", "took")]
        for effect in effects:
            if (effect.flow, effect.version) == (one.flow, one.version):
                yield [(f"  {cut(plain(effect.change), width - 30)} alone: {effect.faster:.1%}", "faint")]
