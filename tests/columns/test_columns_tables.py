"""What queries build on beside the relations: tables that are laid out once, and the functions that every engine has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))

from traffic import generate

from leadtrace.store.columns.taking import keys_of
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.relations.interface import MOST_IN_ORDER, Slice

TABLES = {
    "told": "SELECT name, lead_id, time_ns FROM lead_events WHERE name >= $from",
    "counted": "SELECT name, count(*) AS number FROM told GROUP BY name",
}
COUNTED = "SELECT name, number FROM counted ORDER BY name"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    made = EmbeddedStore.open(tmp_path_factory.mktemp("tables") / "store.db", write=True)
    generate(seed=5, leads=20).write(made)
    Upkeep(made).copy()
    yield made
    made.close()


@pytest.mark.parametrize("rows", [False, True])
def test_a_table_is_of_the_window_and_the_parameters_that_are_asked_with(store: EmbeddedStore, rows: bool) -> None:
    with store.relations(Slice(), rows) as relations:
        ((first, last),) = relations.query("SELECT min(time_ns), max(time_ns) FROM lead_events")
        middle = (first + last) // 2
        asked = [relations, relations.within(first, middle), relations.within(middle), relations]
        every, before, after, again = (dict(one.query(COUNTED, {"from": ""}, TABLES)) for one in asked)
        late = [dict(one.query(COUNTED, {"from": "flow."}, TABLES)) for one in asked]
    assert again == every
    assert every == {name: before.get(name, 0) + after.get(name, 0) for name in every}
    assert before != after
    for all_names, some in zip((every, before, after, again), late, strict=True):
        assert some == {name: number for name, number in all_names.items() if name >= "flow."} != all_names


def test_both_engines_say_the_same_over_tables_and_by_rank(store: EmbeddedStore) -> None:
    ranks = ", ".join(f"nearest_rank(time_ns, {percent})" for percent in (0, 1, 5, 50, 95, 99, 100))
    questions = [
        (COUNTED, TABLES),
        (
            f"SELECT name, {ranks}, nearest_rank(CASE WHEN name = '' THEN 1 END, 50) FROM told GROUP BY name ORDER BY name",
            TABLES,
        ),
        ("SELECT word, nearest_rank(duration_ms, 95) FROM lead_events GROUP BY word ORDER BY word", {}),
    ]
    answers = []
    for rows in (False, True):
        with store.relations(Slice(), rows) as relations:
            answers.append([relations.query(sql, {"from": ""}, tables) for sql, tables in questions])
    assert answers[0] == answers[1]
    assert len(answers[0][1]) > 10


def test_a_rank_is_the_smallest_value_that_so_many_percent_do_not_exceed(store: EmbeddedStore) -> None:
    values = [7, 1, 5, 3, 9, 2, 8, 4, 6, 10] * 2  # 20: at 95 % the nineteenth
    told = " UNION ALL ".join(f"SELECT {one} AS one" for one in values)
    for rows in (False, True):
        with store.relations(Slice(), rows) as relations:
            sql = f"SELECT nearest_rank(one, 50), nearest_rank(one, 95), nearest_rank(one, 96) FROM ({told}) told"
            assert relations.query(sql) == [(5, 10, 10)]


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


@settings(max_examples=200)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_a_key_is_equal_where_tenant_and_id_are_and_the_files_have_the_same_as_sql(
    store: EmbeddedStore, pairs: list[tuple[str, str]]
) -> None:
    pairs += [(tenant + of[:1], of[1:]) for tenant, of in pairs]  # the same letters, cut elsewhere
    given = {f"{name}_{at}": pair[place] for at, pair in enumerate(pairs) for place, name in enumerate(("t", "i"))}
    sql = " UNION ALL ".join(f"SELECT {at} AS place, key_of($t_{at}, $i_{at}) AS made" for at in range(len(pairs)))
    for rows in (False, True):
        with store.relations(Slice(), rows) as relations:
            made = [one for _, one in relations.query(f"SELECT place, made FROM ({sql}) keys ORDER BY place", given)]
        assert [one is None for one in made] == [not of for _, of in pairs]
        assert len(set(made) - {None}) == len({pair for pair in pairs if pair[1]})
        if not rows:
            assert made == keys_of(*zip(*pairs, strict=True)).to_pylist()


def test_numbers_come_in_the_order_of_time_then_of_sequence_then_their_own(store: EmbeddedStore) -> None:
    """At the ends of what times, sequences and numbers may be, and where they are equal."""
    last = 2**63 - 1
    told = [
        (MOST_IN_ORDER, 5, 0),
        (3, 5, 2**48 - 1),
        (2, 5, 7),
        (1, 5, 7),
        (1, 5, 7),
        (0, last, 2**48 - 1),
        (9, last, 0),
        (8, 0, 9),
    ]
    rows_of = " UNION ALL ".join(f"SELECT {n} AS number, {t} AS time_ns, {s} AS place" for n, t, s in told)
    for rows in (False, True):
        with store.relations(Slice(), rows) as relations:
            sql = f"SELECT in_order(number, time_ns, place) FROM ({rows_of}) told"
            assert relations.query(sql) == [(f"8 {MOST_IN_ORDER} 1 1 2 3 9 0",)]
