"""The weekly and the monthly review: its figures beside pandas' own, its pages safe to open, its advice only where it holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas
import pytest
from click.testing import CliRunner
from hours import Book
from small import Story
from traffic import DAY, HOUR, MONDAY, Traffic, generate

import leadtrace
from leadtrace.analysis.exchange import report_from_json
from leadtrace.analysis.health import HealthOptions
from leadtrace.analysis.health_figures import read_hours
from leadtrace.analysis.health_state import LIMITS
from leadtrace.analysis.model import Report
from leadtrace.analysis.registry import analysis
from leadtrace.analysis.review import REVIEW, ReviewOptions, period_of
from leadtrace.analysis.review_advice import advice_of
from leadtrace.analysis.review_figures import Period, Reviewed
from leadtrace.analysis.review_markdown import review_markdown
from leadtrace.analysis.review_page import review_page
from leadtrace.analysis.review_rows import (
    MONTHLY,
    PARTS,
    WEEKLY,
    ReviewAdvice,
    ReviewBars,
    ReviewFigure,
    ReviewHours,
    ReviewLinks,
    ReviewSeries,
    ReviewTable,
)
from leadtrace.cli import main
from leadtrace.errors import SettingsError
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.relations.interface import Slice

pytestmark = pytest.mark.slow

SECOND_WEEK = "2026-10-07"


@pytest.fixture(scope="module")
def fortnight() -> Traffic:
    return generate(seed=5, leads=240, days=14)


@pytest.fixture(scope="module")
def path(fortnight: Traffic, tmp_path_factory: pytest.TempPathFactory) -> str:
    found = tmp_path_factory.mktemp("review") / "store.db"
    store = EmbeddedStore.open(found, write=True)
    fortnight.write(store)
    Upkeep(store).copy()
    store.close()
    return str(found)


@pytest.fixture(scope="module")
def weekly(path: str) -> Report:
    with leadtrace.open(path) as reader:
        return reader.report("review", date=SECOND_WEEK)


@pytest.fixture(scope="module")
def monthly(path: str) -> Report:
    with leadtrace.open(path) as reader:
        return reader.report("review", period="month", date=SECOND_WEEK)


def figure(found: Report, part: str, name: str, currency: str = "") -> ReviewFigure:
    [one] = [
        one for one in found.of(ReviewFigure) if (one.part, one.name) == (part, name) and one.currency in ("", currency)
    ]
    return one


def test_the_sections_are_those_that_the_sources_name(weekly: Report, monthly: Report) -> None:
    assert tuple(dict.fromkeys(one.part for one in weekly.rows)) == WEEKLY
    assert WEEKLY[1:] == ("Error trends", "Performance patterns", "Enhancement ROI", "Capacity planning")
    assert tuple(dict.fromkeys(one.part for one in monthly.rows)) == MONTHLY
    assert MONTHLY[1:] == ("System optimization", "Cost analysis", "Service reliability", "Architecture review")


def test_each_figure_of_a_week_and_the_one_before_is_pandas_own(weekly: Report, fortnight: Traffic) -> None:
    frame = fortnight.frame()
    frame["week"] = (frame["time_ns"] - MONDAY) // (7 * DAY)
    before, now = (frame[frame["week"] == number] for number in (0, 1))
    assert (weekly.window.since_ns, weekly.window.until_ns) == (MONDAY + 7 * DAY, MONDAY + 14 * DAY)

    def both(part: str, name: str) -> tuple[float | None, int, float | None, int]:
        one = figure(weekly, part, name)
        return one.value, one.sample, one.before, one.before_sample

    def per_week(count: Callable[[pandas.DataFrame], float]) -> list[float]:
        return [count(week) for week in (now, before)]

    begun = per_week(lambda week: (week["name"] == "flow.started").sum())
    assert both("At a glance", "flows begun") == (begun[0], begun[0], begun[1], begun[1])
    good = per_week(lambda week: (week["name"] == "enhancement.success").sum())
    all_of = per_week(lambda week: week["name"].isin(["enhancement.success", "enhancement.failed"]).sum())
    assert both("At a glance", "enhancements that succeeded") == (
        good[0] / all_of[0],
        all_of[0],
        good[1] / all_of[1],
        all_of[1],
    )
    took = per_week(lambda week: week["flow.summary.total_duration_ms"].mean())
    ended = per_week(lambda week: (week["name"] == "flow.completed").sum())
    mean = both("At a glance", "mean duration of a flow")
    assert (mean[0], mean[2]) == (pytest.approx(took[0], abs=1e-3), pytest.approx(took[1], abs=1e-3))
    assert (mean[1], mean[3]) == (ended[0], ended[1])
    errors = per_week(lambda week: (week["name"] == "error.occurred").sum())
    assert both("Error trends", "errors that occurred") == (errors[0], errors[0], errors[1], errors[1])
    tries = per_week(lambda week: week["name"].isin(["api.call.failed", "api.call.succeeded"]).sum())
    failed = per_week(lambda week: (week["name"] == "api.call.failed").sum())
    assert both("Error trends", "tries of calls that failed")[:2] == (failed[0] / tries[0], tries[0])
    hits = per_week(lambda week: (week["enhancement.cache_hit"] == True).sum())  # noqa: E712 - a column
    assert both("Enhancement ROI", "enhancements answered by a cache")[:2] == (hits[0] / all_of[0], all_of[0])
    sold = per_week(lambda week: week.loc[week["delivery.currency"] == "USD", "delivery.revenue"].sum())
    revenue = figure(weekly, "At a glance", "revenue", "USD")
    assert (float(revenue.amount or 0), float(revenue.before_amount or 0)) == (
        pytest.approx(sold[0]),
        pytest.approx(sold[1]),
    )
    assert revenue.change == pytest.approx(sold[0] / sold[1] - 1)
    cost = per_week(lambda week: round(week["enhancement.cost"].sum(), 6))
    spent = figure(weekly, "Enhancement ROI", "cost of enhancements", "USD")
    assert (float(spent.amount or 0), float(spent.before_amount or 0)) == (
        pytest.approx(cost[0]),
        pytest.approx(cost[1]),
    )


def test_lines_have_each_day_of_both_weeks(weekly: Report, fortnight: Traffic) -> None:
    frame = fortnight.frame()
    begun = frame[frame["name"] == "flow.started"].groupby((frame["time_ns"] - MONDAY) // DAY).size()
    [line] = [one for one in weekly.of(ReviewSeries) if (one.part, one.name) == ("At a glance", "flows begun a day")]
    assert line.values == tuple(float(begun[day]) for day in range(7, 14))
    assert line.before == tuple(float(begun[day]) for day in range(7))
    assert line.at_ns[0] == MONDAY + 7 * DAY


def test_a_month_s_pictures_and_tables_hold_what_was_called(monthly: Report, fortnight: Traffic) -> None:
    october = fortnight.frame().query(f"time_ns >= {MONDAY + 3 * DAY}")
    [links] = monthly.of(ReviewLinks)
    asked = october[october["name"].isin(["enhancement.success", "enhancement.failed"])]
    flows = fortnight.frame().dropna(subset=["flow.name"]).drop_duplicates("leadtrace.run_id")
    named = asked["leadtrace.run_id"].map(flows.set_index("leadtrace.run_id")["flow.name"])
    wanted = asked.groupby([named, asked["enhancement.service"]]).size().to_dict()
    told = {(a, b): n for a, b, n in zip(links.sources, links.targets, links.calls, strict=True)}
    assert {key: told[key] for key in wanted} == wanted
    tables = {one.name for one in monthly.of(ReviewTable)}
    assert {
        "money by source",
        "money by flow",
        "money by buyer",
        "services and buyers",
        "dependencies",
        "what ran",
    } <= tables


def test_the_hours_of_the_period_have_their_state(weekly: Report) -> None:
    [board] = weekly.of(ReviewHours)
    assert len(board.at_ns) == len(board.states) > 60
    assert all(weekly.window.since_ns <= one < weekly.window.until_ns for one in board.at_ns)


def test_json_reads_back_into_the_same_review(weekly: Report, monthly: Report) -> None:
    for one in (weekly, monthly):
        assert report_from_json(REVIEW, one.as_json()) == one


# --- periods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "date", "now", "begins", "days", "before"),
    [
        ("week", "2026-10-07", "2026-12-01", "2026-10-05", 7, 7),
        ("week", "2026-10-05", "2026-12-01", "2026-10-05", 7, 7),
        ("week", "2026-10-11", "2026-12-01", "2026-10-05", 7, 7),
        ("week", "", "2026-10-14", "2026-10-05", 7, 7),
        ("month", "2026-10-31", "2026-12-01", "2026-10-01", 31, 30),
        ("month", "", "2027-01-01", "2026-12-01", 31, 30),
        ("month", "2028-02-29", "2028-06-01", "2028-02-01", 29, 31),
        ("week", "2026-10-07", "2026-10-08", "2026-10-05", 3, 3),  # not over: both end on the Thursday
    ],
)
def test_a_period_is_the_week_or_month_of_the_day(
    period: str, date: str, now: str, begins: str, days: int, before: int
) -> None:
    moment = int(pandas.Timestamp(now, tz="UTC").value)
    found = period_of(ReviewOptions(period=period, date=date, now_ns=moment))  # type: ignore[arg-type]
    assert found.since_ns == pandas.Timestamp(begins, tz="UTC").value
    assert (found.days, found.days_before) == (days, before)
    assert found.whole == (days > 3)


def test_what_is_no_day_or_still_to_come_is_refused() -> None:
    with pytest.raises(SettingsError, match="the date of a review is a day"):
        period_of(ReviewOptions(date="october", now_ns=MONDAY))
    with pytest.raises(SettingsError, match="has not begun"):
        period_of(ReviewOptions(date="2027-01-01", now_ns=MONDAY))


# --- advice ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    def write(fill: Callable[[Book], object]) -> Path:
        book = Book()
        fill(book)
        store = EmbeddedStore.open(tmp_path / "store.db", write=True)
        book.write(store)
        store.close()
        return tmp_path / "store.db"

    return write


@pytest.fixture
def reviewed(stored: Callable[..., Path]) -> Callable[..., Report]:
    def review(fill: Callable[[Book], object], now_ns: int = MONDAY + 60 * DAY) -> Report:
        with leadtrace.open(str(stored(fill))) as reader:
            return reader.report("review", date=SECOND_WEEK, now_ns=now_ns)

    return review


@pytest.fixture
def advice(stored: Callable[..., Path]) -> Callable[..., list[ReviewAdvice]]:
    """The advice of all sections alone, without the reports that the rest of a review asks."""

    def advise(fill: Callable[[Book], object]) -> list[ReviewAdvice]:
        since, until = MONDAY + 7 * DAY, MONDAY + 14 * DAY
        store = EmbeddedStore.open(stored(fill))
        with store.relations(Slice(since, until)) as relations:
            hours = read_hours(relations.within(MONDAY, until))
            health = analysis("health").run(relations, HealthOptions(since_ns=since, until_ns=until))
            found = Reviewed(
                Period(since, until, MONDAY, since, True), hours, health, LIMITS, relations, lambda *_, **__: health
            )
            told = [one for part in PARTS for one in advice_of(part, found)]
        store.close()
        return told

    return advise


def weeks(now: dict[str, object], **usual: object) -> Callable[[Book], None]:
    """Four hours in the week before, four in the reviewed one."""

    def fill(book: Book) -> None:
        for hour in range(24, 28):
            book.hour(hour, 60, **({"hits": 20} | usual))  # type: ignore[arg-type]
        for hour in range(24, 28):
            book.hour(7 * 24 + hour, 60, **({"hits": 20} | usual | now))  # type: ignore[arg-type]

    return fill


def test_a_run_that_goes_on_into_the_next_hour_is_one_run_of_the_week(tmp_path: Path) -> None:
    """A hundred runs of an hour each: sold, or failed for good, after half of it."""
    story = Story()
    for number in range(100):
        at, run, sold = 7 * DAY + number * HOUR // 6, f"r{number}", number % 10 > 0
        own = {"lead": f"l{number}", "run": run}
        story.tell("flow.started", **own, at=at, **{"flow.name": "F", "leadtrace.kind": "start"})
        name, kind = ("delivery.accepted", "success") if sold else ("delivery.failed", "failure")
        story.tell(name, **own, at=at + HOUR // 2, **{"delivery.buyer": "A", "leadtrace.kind": kind})
        end = {"flow.name": "F", "leadtrace.kind": "milestone", "flow.summary.total_duration_ms": 3.6e6}
        story.tell("flow.completed", **own, at=at + HOUR, **end)
    store = EmbeddedStore.open(tmp_path / "store.db", write=True)
    store.append([], story.events)
    store.close()
    with leadtrace.open(str(tmp_path / "store.db")) as reader:
        found = reader.report("review", date=SECOND_WEEK, now_ns=MONDAY + 60 * DAY)
    shares = [figure(found, "At a glance", name) for name in ("runs sold", "runs with a failure")]
    assert [(one.value, one.sample) for one in shares] == [(0.9, 100), (0.1, 100)]


def test_an_uneventful_week_gets_no_advice(advice: Callable[..., list[ReviewAdvice]]) -> None:
    assert advice(weeks({})) == []


@pytest.mark.parametrize(
    ("now", "title", "because"),
    [
        (
            {"took_ms": 1_200.0},
            "Flows run slowly",
            "flows take 1.20 s on average (240 flows), 800 ms the period before (240)",
        ),
        (
            {"hits": 4},
            "Few cache hits",
            "TeleCheck: 6.7% of 240 came from the cache, 33.3% of 240 the period before",
        ),
        ({"failing": 2}, "Many errors", "3.33% of 240 runs had a failure, 0.00% of 240 the period before"),
        ({"failing": 6}, "Many errors", "10.0% of 240 runs had a failure, more than 5%"),
        ({"bad": 6, "timeouts": 6}, "Enhancement times out", "TeleCheck: 24 of 240 calls timed out"),
        ({"failing": 20}, "Crisis", "4 of 4 hours were in the state crisis"),
    ],
)
def test_advice_appears_where_its_condition_holds(
    advice: Callable[..., list[ReviewAdvice]], now: dict[str, object], title: str, because: str
) -> None:
    found = [one for one in advice(weeks(now)) if one.title == title]
    assert {one.because for one in found} == {because}
    assert all(one.actions and one.causes for one in found)


def test_a_period_that_is_not_over_says_so(reviewed: Callable[..., Report]) -> None:
    found = reviewed(weeks({}), now_ns=MONDAY + 9 * DAY)
    assert found.window.until_ns == MONDAY + 9 * DAY
    assert "the week is not over: both periods end 2.0 days after they began" in found.notes
    [line] = [one for one in found.of(ReviewSeries) if one.name == "flows begun a day" and one.part == "At a glance"]
    assert (line.values, line.before) == ((0.0, 240.0), (0.0, 240.0))


def test_nothing_before_is_said_and_compared_with_nothing(reviewed: Callable[..., Report]) -> None:
    found = reviewed(lambda book: [book.hour(7 * 24 + hour, 40, hits=10) for hour in range(3)])
    assert "nothing was recorded in the period before: there is nothing to compare with" in found.notes
    assert figure(found, "At a glance", "flows begun").change is None
    assert review_page(found)
    assert review_markdown(found)


# --- pages -------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, key, value) for key, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def safe(page: Page) -> None:
    assert not set(page.tags) & {"script", "img", "iframe", "object", "embed", "link", "form", "base", "foreignobject"}
    for _, key, value in page.attributes:
        assert not key.startswith("on")
        assert key != "style"
        assert key not in ("src", "xlink:href")
        if key == "href":
            assert str(value).startswith("#")


def test_the_page_needs_and_does_nothing_else(weekly: Report, monthly: Report) -> None:
    for one in (weekly, monthly):
        text = review_page(one)
        page = Page(text)
        safe(page)
        [policy] = [
            value
            for tag, key, value in page.attributes
            if tag == "meta" and key == "content" and "default-src" in str(value)
        ]
        assert re.fullmatch(
            r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; base-uri 'none'; form-action 'none'",
            str(policy),
        )
        assert page.tags.count("svg") >= 5
        for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            ElementTree.fromstring(svg)
        for part in dict.fromkeys(row.part for row in one.rows):
            assert f"<h2>{part}</h2>" in text


HOSTILE = "</td></svg><script>alert(1)</script>\u202e|`x`<img src=x onerror=alert(2)>"


def test_what_was_recorded_cannot_act_in_the_page_or_in_markdown(tmp_path: Path) -> None:
    book = Book()
    for hour in range(24, 28):
        book.hour(7 * 24 + hour, 20, bad=8, timeouts=8, failing=5, own=4, flow=HOSTILE)
    events = [
        replace(
            one,
            attributes={
                key: HOSTILE
                if key in ("enhancement.service", "enhancement.name", "delivery.buyer", "leadtrace.name")
                else value
                for key, value in one.attributes.items()
            },
        )
        for one in book.events
    ]
    store = EmbeddedStore.open(tmp_path / "store.db", write=True)
    store.append([], events)
    store.close()
    with leadtrace.open(str(tmp_path / "store.db")) as reader:
        for period in ("week", "month"):
            found = reader.report("review", period=period, date=SECOND_WEEK, now_ns=MONDAY + 60 * DAY)
            text = review_page(found, HOSTILE)
            safe(Page(text))
            assert "\u202e" not in text
            assert "alert(1)" in text  # it is shown, and does nothing
            markdown = review_markdown(found, HOSTILE)
            assert "\u202e" not in markdown
            for line in markdown.splitlines():
                if (
                    "alert" in line
                    and not line.startswith(("`", "</td", "script"))
                    and line.startswith(("|", "#", ">"))
                ):
                    assert "<script" not in line.replace("\\<", "")
            assert not re.search(r"^```(?!text$|$)", markdown, re.MULTILINE)


def test_markdown_has_the_same_sections_and_figures(weekly: Report) -> None:
    text = review_markdown(weekly)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(WEEKLY)
    begun = figure(weekly, "At a glance", "flows begun")
    assert f"| flows begun | {begun.sample:,} | {begun.before_sample:,} |" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
    bars = next(one for one in weekly.of(ReviewBars) if one.name == "errors by sort")
    assert bars.labels[0] in text


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["review", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_writes_what_is_asked_for(path: str, tmp_path: Path, weekly: Report) -> None:
    html, markdown = tmp_path / "week.html", tmp_path / "week.md"
    code, out, err = run("--from", path, "--date", SECOND_WEEK, "--html", str(html), "--markdown", str(markdown))
    assert (code, out, err) == (0, "", "")
    assert html.read_text() == review_page(weekly)
    assert markdown.read_text() == review_markdown(weekly)


def test_a_period_in_which_nothing_ran_is_exit_code_1(path: str) -> None:
    code, out, _ = run("--from", path, "--month", "--date", "2020-02-01")
    assert code == 1
    assert out.startswith("# February 2020: leadtrace review\n")
    assert "Nothing ran in this period" in out
    code, _, err = run("--from", path, "--date", "soon")
    assert (code, err.count("\n")) == (2, 1)
