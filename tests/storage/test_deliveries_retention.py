"""Deleting what is old leaves what is owed to somebody who does not have it yet; erasing does not."""

from collections import Counter

import pytest
from sqlalchemy import event, text

from domain.deliveries import Counts, Owed
from storage.database import Database
from storage.deliveries import DeliveryStore
from storage.deliveries.totals import Totals
from storage.retention import Pruned
from storage.spans import CallQuery, SpanStore
from tests.storage.owed import NOW, a_store, an_event, claim, dead, delivered, ids, later, save

ALL = {"content_before": 2**62, "spans_before": 2**62}
TABLES = ("calls", "contents", "deliveries", "dead_payloads", "events")


@pytest.fixture
def store(database: Database) -> DeliveryStore:
    return a_store(database)


def rows(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() or 0 for table in TABLES}


def prune(spans: SpanStore, **values) -> list[Pruned]:
    """Prune until nothing is left to do."""
    steps = []
    while step := spans.prune(**{**ALL, "most": 3, **values}):
        steps.append(step)
        assert len(steps) < 100
    return steps


def test_what_is_pending_for_somebody_stays_with_its_content(
    database: Database, store_spans: SpanStore, store: DeliveryStore
) -> None:
    spans = save(database, 8, "a", "b", bodies=True)
    save(database, 2, bodies=True, first=20)
    store.finish(delivered(claim(store, "a")))
    claims = claim(store, "b")
    store.finish([*delivered(claims[:2]), *dead(claims[2:4], payload=b"x"), *later(claims[4:6])])
    steps = prune(store_spans)
    assert sum(step.contents for step in steps) == sum(step.spans for step in steps) == 6
    assert rows(database) == {"calls": 4, "contents": 4, "deliveries": 8, "dead_payloads": 0, "events": 0}
    assert [span.id for span in store_spans.calls(CallQuery(newest_first=False)).spans] == [span.id for span in spans[4:]]
    assert store.totals() == {
        "a": Totals(accepted=8, delivered=8),
        "b": Totals(accepted=8, delivered=2, dead=2, gone=2),
    }
    assert store.discrepancies() == []
    later_on = claim(store, "b", now=NOW + 10**10)
    assert [claimed.content is not None for claimed in later_on] == [True] * 2
    store.finish(delivered([*later_on, *claims[6:]]))
    prune(store_spans)
    assert set(rows(database).values()) == {0}
    assert store.counts()["b"] == Counts(accepted=8, delivered=6, dead=2, gone=2)
    assert store.discrepancies() == []


def test_a_step_looks_at_no_more_than_it_may_delete(database: Database, store_spans: SpanStore) -> None:
    """However much is pending: what had to stay is not looked at again in every step."""
    save(database, 50, "a", bodies=True)
    save(database, 5, bodies=True, first=100)
    looked_at: Counter[str] = Counter()

    @event.listens_for(database.engine, "before_cursor_execute")
    def _count(_connection, _cursor, statement, _parameters, _context, _many) -> None:
        for table in ("contents", "calls"):
            looked_at[table] += f"SELECT {table}.started_at" in statement

    steps = prune(store_spans, most=10)
    assert sum(step.spans for step in steps) == 5
    assert looked_at["contents"] <= 2 * 6 + 2
    assert looked_at["calls"] <= 2 * 6 + 2
    assert max(step.kept for step in steps) == 10


def test_payloads_go_as_bodies_do_and_the_dead_stay(database: Database, store_spans: SpanStore, store: DeliveryStore) -> None:
    spans = save(database, 5, "a")
    store.finish(dead(claim(store), payload=b"x"))
    assert prune(store_spans, content_before=NOW, spans_before=0) == []
    assert sum(step.others for step in prune(store_spans, content_before=NOW + 1, spans_before=0)) == 5
    assert store.payload(spans[0].id, "a") is None
    assert store.of_call(spans[0].id)[0].state == "dead"
    assert store.retry_dead("a") == 5


def test_events_go_as_calls_do_when_nobody_waits_for_them(
    database: Database, store_spans: SpanStore, store: DeliveryStore
) -> None:
    for number in range(8):
        store.owe_event(an_event(str(number)), [Owed("a")] if number else [])
    assert prune(store_spans, spans_before=NOW) == []
    store.finish(delivered(claim(store, most=5)))
    assert sum(step.others for step in prune(store_spans)) == 6
    assert rows(database)["events"] == rows(database)["deliveries"] == 2
    assert ids(claim(store)) == ["6", "7"]
    assert store.counts()["a"] == Counts(accepted=7, delivered=5, pending=2, oldest=NOW)
    assert store.discrepancies() == []


def test_erasing_takes_what_is_owed_with_it(database: Database, store_spans: SpanStore, store: DeliveryStore) -> None:
    spans = save(database, 6, "a", "b", bodies=True)
    claims = claim(store)
    store.finish([*delivered(claims[:1]), *dead(claims[1:2], payload=b"x"), *later(claims[2:3])])
    erased = {span.id for span in spans[:5]}
    assert store_spans.erase(lambda span: span.id in erased).spans == 5
    assert rows(database) == {"calls": 1, "contents": 1, "deliveries": 2, "dead_payloads": 0, "events": 0}
    store.finish([*delivered(claims[3:4]), *dead(claims[4:5], payload=b"x")])
    store.put_back(claims[5:])
    assert store.totals() == {
        "a": Totals(accepted=6, delivered=1, dead=4, gone=4),
        "b": Totals(accepted=6, dead=5, gone=5),
    }
    assert rows(database)["dead_payloads"] == 0
    assert store.discrepancies() == []
    assert store.replay("a", [span.id for span in spans[:5]], Owed("a")) == 0
    assert ids(claim(store)) == [spans[5].id]
