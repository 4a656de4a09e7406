"""Deleting what is old."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sqlalchemy import text

from domain.exchange import Labels
from storage.database import Database, open_database
from storage.retention import Pruned
from storage.spans import CallQuery, SpanStore
from tests.storage.samples import BEGIN, SECOND, a_content, a_span

LABELS = Labels(tags={"team": "search", "x" * 500: "y"})


def rows(database: Database, table: str) -> int:
    with database.reading() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()


def test_contents_go_first_then_calls_a_few_at_a_time(store_spans: SpanStore, database: Database) -> None:
    calls = [a_span(second, labels=LABELS) for second in range(10)]
    store_spans.save([(span, a_content()) for span in calls])
    until = {"content_before": BEGIN + 5 * SECOND, "spans_before": BEGIN + 3 * SECOND, "most": 2}
    steps = []
    while step := store_spans.prune(**until):
        steps.append(step)
    assert steps == [Pruned(contents=2), Pruned(contents=2), Pruned(contents=1), Pruned(spans=2), Pruned(spans=1)]
    assert store_spans.calls(CallQuery(newest_first=False)).spans == calls[3:]
    assert [store_spans.content(span.id) is not None for span in calls] == [False] * 5 + [True] * 5
    assert rows(database, "call_tags") == 2 * 7
    assert store_spans.calls(CallQuery(tags={"team": "search"}, newest_first=False)).spans == calls[3:]
    assert store_spans.prune(**until) == Pruned()


def test_the_oldest_go_first_in_whatever_order_they_were_saved(store_spans: SpanStore) -> None:
    calls = [a_span(second) for second in (3, 1, 2, 0)]
    store_spans.save([(span, a_content()) for span in calls])
    store_spans.prune(content_before=BEGIN + 2 * SECOND, spans_before=0, most=1)
    assert [store_spans.content(span.id) is None for span in calls] == [False, False, False, True]


def test_one_call_from_the_future_does_not_keep_the_others(store_spans: SpanStore) -> None:
    future, past = a_span(started_at=BEGIN * 2), a_span(0)
    store_spans.save([(future, a_content()), (past, a_content())])
    assert store_spans.prune(content_before=BEGIN + SECOND, spans_before=0) == Pruned(contents=1)
    assert store_spans.content(future.id) == a_content()


def test_calls_take_their_content_with_them(store_spans: SpanStore, database: Database) -> None:
    store_spans.save([(a_span(0), a_content()), (a_span(1), None)])
    assert store_spans.prune(content_before=0, spans_before=BEGIN + 9 * SECOND) == Pruned(contents=1, spans=2)
    assert rows(database, "contents") == 0


def test_the_place_is_given_back_to_the_disk(tmp_path: Path, database_file: Path) -> None:
    path = tmp_path / "large.db"
    path.write_bytes(database_file.read_bytes())
    with closing(open_database(f"sqlite:///{path}")) as database:
        store = SpanStore(database)
        empty = pages(database)
        bulky = replace(a_content(), response=bytes(range(256)) * 4)
        store.save([(a_span(second), replace(bulky, marks=second.to_bytes(4) * 5000)) for second in range(400)])
        full = pages(database)
        while store.prune(content_before=2**62, spans_before=2**62):
            assert unused(database) == 0
        assert pages(database) - empty < (full - empty) / 4


def pages(database: Database) -> int:
    with database.reading() as connection:
        return connection.exec_driver_sql("PRAGMA page_count").scalar()


def unused(database: Database) -> int:
    with database.reading() as connection:
        return connection.exec_driver_sql("PRAGMA freelist_count").scalar()
