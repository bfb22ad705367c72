"""Questions of reports asked of pandas by hand, over the same Parquet files: each reads only the columns and rows that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from leadtrace.store.columns.files import folder_of

Filter = tuple[str, str, object]


def read(path: Path, columns: list[str], since: int, until: int, *filters: Filter, of: str = "events") -> pd.DataFrame:
    """The rows of that time, of all files beside the store."""
    time = "time_ns" if of == "events" else "start_ns"
    wanted = [(time, ">=", since), (time, "<", until), *filters]
    parts = (
        pd.read_parquet(one, columns=columns, filters=wanted) for one in sorted(folder_of(path).glob(f"{of}-*.parquet"))
    )
    return pd.concat(parts, ignore_index=True)


def frequency(path: Path, since: int, until: int) -> pd.DataFrame:
    frame = read(path, ["name", "kind", "lead_id"], since, until)
    return frame.groupby(["name", "kind"])["lead_id"].agg(["size", "nunique"])


def errors(path: Path, since: int, until: int) -> pd.DataFrame:
    frame = read(path, ["error_fingerprint", "lead_id", "time_ns"], since, until, ("kind", "==", "error"))
    groups = frame.groupby("error_fingerprint")
    return groups.agg(
        errors=("lead_id", "size"), leads=("lead_id", "nunique"), first=("time_ns", "min"), last=("time_ns", "max")
    )


def roi(path: Path, since: int, until: int) -> pd.DataFrame:
    columns = ["enhancement_name", "name", "currency", "cost_micro", "cost_avoided_micro", "cache_hit"]
    ends = ("name", "in", ["enhancement.success", "enhancement.failed", "enhancement.cancelled"])
    frame = read(path, columns, since, until, ends)
    groups = frame.groupby(["enhancement_name", "name", "currency"])
    return groups.agg(
        calls=("name", "size"),
        cost=("cost_micro", "sum"),
        avoided=("cost_avoided_micro", "sum"),
        hits=("cache_hit", "sum"),
    )


def business(path: Path, since: int, until: int) -> pd.DataFrame:
    columns = ["name", "buyer", "currency", "revenue_micro", "return_micro", "price_micro", "cost_micro"]
    names = ["delivery.accepted", "delivery.rejected", "delivery.failed", "lead.returned", "lead.purchased"]
    names += ["enhancement.success", "enhancement.failed"]
    frame = read(path, columns, since, until, ("name", "in", names))
    money = ["revenue_micro", "return_micro", "price_micro", "cost_micro"]
    return frame.groupby(["currency", "buyer", "name"])[money].sum()


def reliability(path: Path, since: int, until: int) -> pd.DataFrame:
    columns = ["enhancement_service", "buyer", "kind", "duration_ms"]
    words = (("word", "in", ["enhancement", "delivery"]), ("kind", "!=", "start"))
    frame = read(path, columns, since, until, *words)
    frame["partner"] = frame["enhancement_service"].where(frame["enhancement_service"] != "", frame["buyer"])
    frame["failed"] = frame["kind"] == "failure"
    groups = frame.groupby("partner")
    figures = groups.agg(calls=("failed", "size"), failed=("failed", "sum"))
    quantiles = groups["duration_ms"].quantile([0.5, 0.95, 0.99], interpolation="lower").unstack()
    return figures.join(quantiles)


def performance(path: Path, since: int, until: int) -> pd.DataFrame:
    frame = read(path, ["word", "word_name", "length_ns"], since, until, of="spans")
    groups = frame.groupby(["word", "word_name"])["length_ns"]
    return groups.quantile([0.5, 0.95], interpolation="lower").unstack().join(groups.size().rename("calls"))


def what_if(path: Path, since: int, until: int) -> pd.DataFrame:
    """All answers of one enhancement from a cache: where words run in turn, a run takes as much less as they took."""
    columns = ["run_id", "flow_name", "flow_version", "length_ns"]
    runs = read(path, columns, since, until, ("word", "==", "flow"), of="spans")
    cached = (("word_name", "==", "phone validation"), ("cache_hit", "==", 0))
    calls = read(path, ["run_id", "length_ns"], since, until, *cached, of="spans")
    saved = calls.groupby("run_id")["length_ns"].sum()
    runs["new_ns"] = runs["length_ns"] - runs["run_id"].map(saved).fillna(0)
    groups = runs.groupby(["flow_name", "flow_version"])[["length_ns", "new_ns"]]
    return groups.quantile([0.5, 0.95], interpolation="lower")


BY_PANDAS: dict[str, Callable[[Path, int, int], pd.DataFrame]] = {
    "frequency": frequency,
    "performance": performance,
    "what-if": what_if,
    "errors": errors,
    "roi": roi,
    "business": business,
    "reliability": reliability,
}
TOO_LARGE: Iterable[str] = ("frequency",)
"""What reads a text of every event: twenty million of them do not fit into the memory of the machine of the bench."""
