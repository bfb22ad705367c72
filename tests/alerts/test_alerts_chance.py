"""How probable counts are, and that healthy groups alarm as rarely as a rule states: by exact sums and by many seeds."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest

from leadtrace.alerts.calendar import always
from leadtrace.alerts.evaluate import verdicts
from leadtrace.alerts.expected import QUARTER, Expected, learn
from leadtrace.alerts.learning import spread_of
from leadtrace.alerts.model import Observations, Point, Series, State
from leadtrace.alerts.rules import DAY, HOUR, Group, Rules, TooFew
from leadtrace.analysis.chance import at_least, at_most

WEEK = 7 * DAY


@pytest.mark.parametrize(("count", "mean"), [(0, 7.0), (3, 7.0), (40, 50.0), (900, 1000.0), (0, 0.0)])
def test_a_poisson_count_is_as_probable_as_its_terms_say(count: int, mean: float) -> None:
    """By exact fractions of the series."""
    terms = sum(Fraction(mean).limit_denominator() ** k / math.factorial(k) for k in range(count + 1))
    logarithm = math.log(terms.numerator) - math.log(terms.denominator) - mean
    assert at_most(count, mean, mean) == pytest.approx(math.exp(logarithm), rel=1e-9)


def test_a_count_that_varies_more_is_as_probable_as_a_negative_binomial_says() -> None:
    """Size 5, mean 10: P(X = k) = C(k + 4, k) (1/3)^5 (2/3)^k, summed in fractions."""
    third = Fraction(1, 3)
    exact = sum(math.comb(k + 4, k) * third**5 * (2 * third) ** k for k in range(4))
    assert at_most(3, 10.0, 30.0) == pytest.approx(float(exact), rel=1e-9)
    assert at_most(1_000, 10.0, 30.0) == pytest.approx(1.0)
    assert at_most(-1, 10.0, 30.0) == 0


@pytest.mark.parametrize(("bad", "count"), [(1, 20), (5, 20), (15, 20), (20, 20)])
def test_failures_are_as_probable_as_a_binomial_says_and_more_so_where_they_come_together(bad: int, count: int) -> None:
    share = Fraction(1, 10)
    exact = sum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(bad, count + 1))
    assert at_least(bad, count, 0.1, 0.0) == pytest.approx(float(exact), rel=1e-4)
    if bad > 2:
        assert at_least(bad, count, 0.1, 0.2) > float(exact)
    assert (
        at_least(0, count, 0.1, 0.0),
        at_least(1, count, 0.0, 0.0),
        at_least(count, count, 1.0, 0.0),
    ) == (
        1.0,
        0.0,
        1.0,
    )


def _rate(slot: int) -> float:
    """Leads per hour by hour of the week: busy by day, quiet by night, half on Sundays."""
    day, hour = divmod(slot, 24)
    return (12.0 if 8 <= hour < 20 else 3.0) * (0.5 if day == 6 else 1.0)


def _quarters(chance: random.Random, weeks: int, spread: float) -> dict[int, int]:
    """Leads by quarter of an hour over so many weeks from a Monday on; each hour is better or worse as a whole."""
    found = {}
    for start in range(4 * DAY, 4 * DAY + weeks * WEEK, HOUR):
        slot = (start - 4 * DAY) // HOUR % 168
        mean = _rate(slot) / 4 * (chance.gammavariate(1 / spread, spread) if spread else 1.0)
        for at in range(start, start + HOUR, QUARTER):
            count = _poisson(chance, mean)
            if count:
                found[at] = count
    return found


def _poisson(chance: random.Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count


def _first(weeks: int) -> int:
    return 4 * DAY + weeks * WEEK


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_what_was_learnt_is_what_was_there(spread: float) -> None:
    """Forty weeks give each hour's rate to a few hundredths, and how much hours vary beyond chance."""
    learnt = learn(_quarters(random.Random(3), 40, spread), always(), 4 * DAY, _first(40))
    off = [learnt.rates[slot] / _rate(slot) - 1 for slot in range(168)]
    assert abs(sum(off) / 168) < 0.03
    assert set(learnt.times) == {40}
    assert learnt.spread == pytest.approx(spread, abs=0.04)


def test_incidents_teach_nothing() -> None:
    """A day of silence, left out, changes no rate; taken in, it lowers that day's by its share of the weeks."""
    from leadtrace.alerts.calendar import Span

    quarters = _quarters(random.Random(5), 8, 0.0)
    silent = Span(_first(5), _first(5) + DAY)
    cut = {at: count for at, count in quarters.items() if not silent.start_ns <= at < silent.end_ns}
    without, whole = learn(cut, always(), 4 * DAY, _first(8), [silent]), learn(cut, always(), 4 * DAY, _first(8))
    assert (without.times[9], whole.times[9]) == (7, 8)
    assert whole.rates[9] == pytest.approx(without.rates[9] * 7 / 8)


@pytest.mark.parametrize(("weeks", "spread"), [(3, 0.0), (8, 0.0), (3, 0.15), (8, 0.15)])
def test_a_healthy_group_has_too_few_as_rarely_as_the_rule_states(spread: float, weeks: int) -> None:
    """Fifteen seeds; each learns some weeks and is then looked at in every hour of the next: 2,520 windows that share
    nothing. At 1 % a look, chance owes at most 25 alarms; three standard errors more would be a rule that lies."""
    alarms = looks = 0
    calendar = always()
    group = Group("g", "flow", calendar)
    rule = TooFew(name="few", kind="too_few", groups=("g",), probability=0.01)
    rules = Rules({"g": group}, {"few": rule})
    for seed in range(15):
        chance = random.Random(seed)
        quarters = _quarters(chance, weeks + 1, spread)
        start = _first(weeks)
        learnt = learn({at: one for at, one in quarters.items() if at < start}, calendar, 4 * DAY, start)
        points = tuple(Point(at, at, count) for at, count in sorted(quarters.items()) if at >= start)
        seen = Observations(start + WEEK, {("leads", "g"): Series(points)}, {"g": learnt})
        for now in range(start + HOUR, start + WEEK + 1, HOUR):
            (said,) = verdicts(rules, seen, State(), now)
            assert said.verdict.holds is not None
            looks += 1
            alarms += said.verdict.holds
    allowed = looks * 0.01
    assert alarms <= allowed + 3 * math.sqrt(allowed)
    assert alarms > 0  # it is no rule that never alarms; by night three an hour are too few to miss


def test_a_real_loss_is_seen() -> None:
    """A fifth of twelve an hour over two hours, after eight weeks: seen in nine cases of ten at one in ten thousand."""
    group = Group("g", "flow", always())
    rule = TooFew(name="few", kind="too_few", groups=("g",), window_ns=2 * HOUR)
    found = 0
    for seed in range(100):
        chance = random.Random(seed)
        rates = tuple(_rate(slot) for slot in range(168))
        noon = _first(8) + 12 * HOUR
        points = tuple(Point(noon + one, noon + one) for one in range(_poisson(chance, 24 * 0.2)))
        seen = Observations(noon + 2 * HOUR, {("leads", "g"): Series(points)}, {"g": Expected(rates, (8,) * 168)})
        (said,) = verdicts(Rules({"g": group}, {"few": rule}), seen, State(), noon + 2 * HOUR)
        found += bool(said.verdict.holds)
    assert found >= 88


def test_how_much_days_differ_is_found_again() -> None:
    """Days whose share of failures is drawn from a beta distribution of a known correlation."""
    chance = random.Random(9)
    for correlation in (0.0, 0.02):
        days = []
        for _ in range(400):
            share = chance.betavariate(0.1 * (1 / correlation - 1), 0.9 * (1 / correlation - 1)) if correlation else 0.1
            days.append((200, sum(chance.random() < share for _ in range(200))))
        assert spread_of(days) == pytest.approx(correlation, abs=0.006)
    assert (spread_of([]), spread_of([(10, 0), (10, 0)]), spread_of([(10, 10)])) == (0.0, 0.0, 0.0)
