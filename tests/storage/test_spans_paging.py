"""Going through lists while calls are being saved, and listening to what is saved."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import text

from domain.exchange import Labels
from storage.database import Database, open_database
from storage.queries import Place, cursor_of, page, place_of
from storage.spans import CallQuery, SpanStore
from tests.storage.samples import BEGIN, SECOND, a_span

LISTS = [
    CallQuery(),
    CallQuery(newest_first=False),
    CallQuery(key="ci"),
    CallQuery(model="gpt-4o-mini-2024-07-18"),
    CallQuery(tags={"team": "search"}),
    CallQuery(session="s1", newest_first=False),
    CallQuery(outcome="error"),
]


def many(count: int, first: int = 0):
    """Return calls of which several begin in the same moment, so that time alone does not order them."""
    labels = Labels(session="s1", tags={"team": "search"})
    return [a_span(started_at=BEGIN + (first + number) // 4 * SECOND, labels=labels, outcome="error") for number in range(count)]


def pages(store: SpanStore, query: CallQuery):
    while True:
        found = store.calls(query)
        yield found.spans
        if found.next_cursor is None:
            return
        query = CallQuery(
            **{name: getattr(query, name) for name in query.__slots__ if name != "cursor"}, cursor=found.next_cursor
        )


@pytest.mark.parametrize("query", LISTS)
def test_pages_show_each_call_once_in_order(store_spans: SpanStore, query: CallQuery) -> None:
    calls = many(30)
    store_spans.save([(span, None) for span in calls])
    small = CallQuery(**{name: getattr(query, name) for name in query.__slots__ if name != "limit"}, limit=7)
    seen = [span for found in pages(store_spans, small) for span in found]
    assert len(seen) == 30
    assert {span.id for span in seen} == {span.id for span in calls}
    times = [span.started_at for span in seen]
    assert times == sorted(times, reverse=query.newest_first)


def test_calls_saved_meanwhile_neither_hide_nor_repeat_others(store_spans: SpanStore) -> None:
    calls = many(200, first=100)
    store_spans.save([(span, None) for span in calls])
    stop = threading.Event()

    def keep_saving() -> int:
        rounds = 0
        while not stop.is_set() or rounds < 3:
            store_spans.save([(span, None) for span in many(5) + many(5, first=400) + many(5, first=200)])
            rounds += 1
        return rounds

    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(keep_saving)
        try:
            seen = [span.id for found in pages(store_spans, CallQuery(limit=9)) for span in found]
        finally:
            stop.set()
        assert saving.result() >= 3
    assert len(seen) == len(set(seen))
    assert {span.id for span in calls} <= set(seen)


def test_a_page_that_ends_the_list_says_so(store_spans: SpanStore) -> None:
    store_spans.save([(span, None) for span in many(6)])
    assert store_spans.calls(CallQuery(limit=6)).next_cursor is None
    assert store_spans.calls(CallQuery(limit=5)).next_cursor is not None


CURSOR = cursor_of(Place(BEGIN, 7), newest_first=True)


def test_a_cursor_can_stand_in_a_url_and_leads_back() -> None:
    assert CURSOR.replace("-", "").replace("_", "").isalnum()
    assert place_of(CURSOR, newest_first=True) == Place(BEGIN, 7)


@pytest.mark.parametrize(
    "cursor", ["", "A", "nonsense", "🚉", CURSOR[:-1], CURSOR + "A", CURSOR + "=", " " + CURSOR, CURSOR.swapcase()]
)
def test_a_cursor_that_no_list_gave_is_refused(store_spans: SpanStore, cursor: str) -> None:
    with pytest.raises(ValueError, match="not one that a list has given"):
        store_spans.calls(CallQuery(cursor=cursor))


@pytest.mark.parametrize("at", range(len(CURSOR)))
def test_a_cursor_with_one_letter_changed_is_refused(at: int) -> None:
    changed = CURSOR[:at] + ("A" if CURSOR[at] != "A" else "B") + CURSOR[at + 1 :]
    with pytest.raises(ValueError, match="not one that a list has given"):
        place_of(changed, newest_first=True)


def test_a_cursor_of_the_other_order_is_refused() -> None:
    with pytest.raises(ValueError, match="other order"):
        place_of(CURSOR, newest_first=False)


def test_what_was_saved_is_told_in_order_and_in_parts(store_spans: SpanStore) -> None:
    assert store_spans.last_place() == 0
    assert store_spans.recorded_after(0) == ([], 0)
    late, early = a_span(5), a_span(1)
    store_spans.save([(late, None)])
    between = store_spans.last_place()
    store_spans.save([(early, None)])
    assert store_spans.recorded_after(0) == ([late, early], store_spans.last_place())
    assert store_spans.recorded_after(0, limit=1) == ([late], between)
    assert store_spans.recorded_after(between) == ([early], store_spans.last_place())


def test_places_are_never_used_again(store_spans: SpanStore) -> None:
    store_spans.save([(span, None) for span in many(3)])
    place = store_spans.last_place()
    while store_spans.prune(content_before=2**62, spans_before=2**62):
        pass
    newer = a_span(9)
    store_spans.save([(newer, None)])
    assert store_spans.recorded_after(place)[0] == [newer]


def test_a_listener_hears_of_each_call_once_however_many_offices_save(database_url: str) -> None:
    batches = [many(3) for _ in range(60)]
    with closing(open_database(database_url)) as one, closing(open_database(database_url)) as other:
        listener = SpanStore(one)
        offices = [SpanStore(one), SpanStore(other)]
        with ThreadPoolExecutor(4) as pool:
            saving = [pool.submit(offices[n % 2].save, [(span, None) for span in batch]) for n, batch in enumerate(batches)]
            heard, place = [], 0
            while True:
                done = all(task.done() for task in saving)
                spans, place = listener.recorded_after(place, limit=10)
                heard += [span.id for span in spans]
                if done and not spans:
                    break
        assert [task.result() for task in saving] == [3] * 60
    assert len(heard) == len(set(heard))
    assert set(heard) == {span.id for batch in batches for span in batch}


PLANS = [
    (CallQuery(), "ix_calls_time"),
    (CallQuery(since=BEGIN, until=BEGIN + 50 * SECOND), "ix_calls_time"),
    (CallQuery(key="k77"), "ix_calls_key"),
    (CallQuery(key="key 77"), "ix_calls_key_name"),
    (CallQuery(model="m77"), "ix_calls_model"),
    (CallQuery(model="m77-0613"), "ix_calls_served_model"),
    (CallQuery(session="s77", project="default"), "ix_calls_session"),
    (CallQuery(customer="c7"), "ix_calls_customer"),
    (CallQuery(user="u77"), "ix_calls_end_user"),
    (CallQuery(section="x77"), "ix_calls_section"),
    (CallQuery(tags={"t": "77"}), "pk_call_tags"),
    (CallQuery(outcome="error"), "ix_calls_outcome"),
    (CallQuery(project="p7"), "ix_calls_project"),
    (CallQuery(upstream="up7", operation="chat", status=200), "ix_calls_time"),
]


def test_every_list_goes_by_an_index(store_spans: SpanStore, database: Database) -> None:
    store_spans.save([(varied(number), None) for number in range(10_000)])
    if not database.is_sqlite:
        with database.writing() as connection:
            connection.execute(text("ANALYZE"))
    for query, index in PLANS:
        plan = explained(database, query)
        assert index in plan, (query, plan)
        assert "Seq Scan" not in plan, (query, plan)
        assert "SCAN calls USING INDEX ix_calls_time" in plan or "SCAN calls" not in plan, (query, plan)
        # Where either of two columns may match, two short lists are merged; PostgreSQL chooses by its statistics.
        merged = query.key is not None or query.model is not None
        assert merged or "TEMP B-TREE" not in plan, (query, plan)
        assert len(store_spans.calls(query).spans) > 0


def varied(number: int):
    n = number % 100
    labels = Labels(session=f"s{n}", customer=f"c{n}", user=f"u{n}", section=f"x{n}", tags={"t": str(n)})
    outcome = "error" if n == 7 else "ok"
    which = {
        "key": f"k{n}",
        "key_name": f"key {n}",
        "model": f"m{n}",
        "served_model": f"m{n}-0613",
        "project": f"p{n}",
        "upstream": f"up{n}",
    }
    return a_span(number, labels=labels, outcome=outcome, **{**which, "project": "default" if n > 50 else f"p{n}"})


def explained(database: Database, query: CallQuery) -> str:
    statement = page(query)
    with database.reading() as connection:
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        how = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        rows = connection.exec_driver_sql(f"{how} {compiled}").all()
    # SQLite keeps the table of tags in the order of its key, and says so in its own words.
    return "\n".join(str(row[-1]) for row in rows).replace("call_tags USING PRIMARY KEY", "call_tags pk_call_tags")
