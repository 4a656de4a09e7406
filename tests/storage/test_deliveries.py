"""The store of deliveries as the courier uses it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from domain.deliveries import Counts, Delivered, DeliveryQueue, Later, Owed
from domain.errors import StoreUnavailable
from domain.spans import Span
from storage.adjustments import AdjustmentStore
from storage.database import Database
from storage.deliveries import DeliveryStore
from storage.spans import SpanStore
from tests.storage.owed import (
    NOW,
    a_desk,
    a_store,
    an_event,
    claim,
    dead,
    delivered,
    ids,
    later,
    save,
)
from tests.storage.samples import SECOND, a_content, a_span

DEEP: list = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.fixture
def store(database: Database) -> DeliveryStore:
    return a_store(database)


def test_it_is_the_queue_that_the_courier_asks_for(store: DeliveryStore) -> None:
    queue: DeliveryQueue = store
    assert queue.counts() == {}


def test_what_is_saved_is_owed_in_the_order_in_which_it_was_saved(database: Database, store: DeliveryStore) -> None:
    spans = save(database, 5, "a", "b", bodies=True)
    claims = claim(store)
    assert [claimed.span for claimed in claims] == spans
    assert [claimed.number for claimed in claims] == sorted(claimed.number for claimed in claims)
    first = claims[0]
    assert (first.lane, first.owed, first.owed_at, first.attempts) == ("live", Owed("a"), NOW, 0)
    assert (first.content, first.event, first.batch, first.unreadable) == (a_content(), None, None, None)
    assert claim(store) == []
    assert ids(claim(store, "b")) == [span.id for span in spans]
    assert claim(store, "c") == []


def test_a_call_that_is_known_owes_nothing_anew(database: Database, store: DeliveryStore) -> None:
    span, spans = a_span(), SpanStore(database)
    spans.save([(span, None)], {}, {span.id: [Owed("a"), Owed("a", content="none")]})
    spans.save([(span, None)], {}, {span.id: [Owed("a"), Owed("b")]})
    store.finish(delivered(claim(store)))
    spans.save([(span, None)], {}, {span.id: [Owed("a")]})
    assert store.counts() == {"a": Counts(accepted=1, delivered=1)}
    assert claim(store) == []


def test_calls_without_anybody_to_hear_of_them_owe_nothing(database: Database, store: DeliveryStore) -> None:
    save(database, 3)
    assert store.counts() == {}


def test_terms_of_rules_come_back_as_they_were(database: Database, store: DeliveryStore) -> None:
    terms = [
        Owed("a", content="none", redact=("email", "card"), extra={"team": "naïve 🚉", "n": 2**70, "b": [1, {"x": None}]}),
        Owed("o'brien?%s", otherwise="a"),
        Owed("b", redact=()),
        Owed("c", extra={"half": "\ud800", "nul": "\0"}),
    ]
    save(database, 2, owed=terms)
    assert [claim(store, one.destination)[0].owed for one in terms] == terms


def test_attributes_that_no_encoder_can_write_are_left_out_and_the_call_is_saved(
    database: Database, store: DeliveryStore
) -> None:
    save(database, 1, owed=[Owed("a", content="none", extra={"deep": DEEP})])
    assert claim(store)[0].owed == Owed("a", content="none")


def test_no_more_is_claimed_than_was_asked_for(database: Database, store: DeliveryStore) -> None:
    spans = save(database, 5, "a", bodies=True)
    size = spans[0].request_bytes + spans[0].response_bytes
    assert len(claim(store, most=2)) == 2
    assert len(claim(store, most_bytes=size * 2)) == 2
    assert len(claim(store, most_bytes=1)) == 1


def test_without_contents_none_is_loaded_or_counted(database: Database, store: DeliveryStore) -> None:
    save(database, 3, "a", bodies=True)
    assert [claimed.content for claimed in claim(store, most_bytes=1, contents=False)] == [None] * 3


def test_what_was_taken_is_delivered_and_what_was_not_comes_again_when_it_is_due(
    database: Database, store: DeliveryStore
) -> None:
    save(database, 4, "a")
    one, two, three, four = claim(store)
    store.finish([*delivered([one]), *later([two]), *later([three], counts=False), *dead([four])])
    assert store.counts()["a"] == Counts(accepted=4, delivered=1, pending=2, dead=1, oldest=NOW)
    assert claim(store, now=NOW + 5 * SECOND - 1) == []
    assert store.next_due("a", "live", now=NOW) == NOW + 5 * SECOND
    again = claim(store, now=NOW + 5 * SECOND)
    assert [(claimed.number, claimed.attempts) for claimed in again] == [(two.number, 1), (three.number, 0)]
    store.finish(delivered(again))
    assert store.counts()["a"] == Counts(accepted=4, delivered=3, dead=1)
    assert store.next_due("a", "live", now=NOW) is None


def test_the_order_is_that_of_numbers_whatever_is_tried_again(database: Database, store: DeliveryStore) -> None:
    save(database, 6, "a")
    claims = claim(store)
    store.finish([Later(claims[4], NOW, NOW + 1, 503, ""), Later(claims[1], NOW, NOW + 2, 503, "")])
    store.put_back([claims[5], claims[0]])
    numbers = [claimed.number for claimed in claims]
    again = claim(store, now=NOW + 2, most=3)
    assert [claimed.number for claimed in again] == [numbers[0], numbers[1], numbers[4]]
    assert [claimed.number for claimed in claim(store, now=NOW + 2)] == [numbers[5]]


def test_what_is_put_back_was_not_tried(database: Database, store: DeliveryStore) -> None:
    spans = save(database, 2, "a")
    store.put_back(claim(store))
    assert [claimed.attempts for claimed in claim(store)] == [0, 0]
    assert a_desk(database).of_call(spans[0].id)[0].attempts == []


def test_finishing_twice_changes_nothing(database: Database, store: DeliveryStore) -> None:
    save(database, 2, "a")
    claims = claim(store)
    store.finish(delivered(claims))
    store.finish(dead(claims))
    store.put_back(claims)
    assert store.counts()["a"] == Counts(accepted=2, delivered=2)
    assert store.discrepancies() == []


def test_of_two_outcomes_for_one_claim_the_last_holds(database: Database, store: DeliveryStore) -> None:
    save(database, 1, "a")
    claims = claim(store)
    store.finish([*later(claims), *delivered(claims)])
    assert store.counts()["a"] == Counts(accepted=1, delivered=1)


def test_what_a_destination_did_not_keep_without_saying_which_is_counted(database: Database, store: DeliveryStore) -> None:
    save(database, 3, "a")
    claims = claim(store)
    store.finish([Delivered(claims[0], NOW, 200, refused=2), *delivered(claims[1:])])
    assert store.counts()["a"].refused == 2


def test_outcomes_for_several_destinations_are_one_step(database: Database, store: DeliveryStore) -> None:
    save(database, 2, "a", "b")
    store.finish([*delivered(claim(store, "a")), *dead(claim(store, "b"))])
    assert store.counts() == {"a": Counts(accepted=2, delivered=2), "b": Counts(accepted=2, dead=2)}


def test_events_go_ahead_of_calls_and_are_told_once(database: Database, store: DeliveryStore) -> None:
    save(database, 1, "a")
    first, second = an_event("1", data={"left": "naïve \0 🚉"}), an_event("2")
    assert store.owe_event(first, [Owed("a"), Owed("b")])
    assert store.owe_event(second, [Owed("a")])
    assert not store.owe_event(first, [Owed("a"), Owed("c")])
    claims = claim(store)
    assert [claimed.event for claimed in claims] == [first, second, None]
    assert claims[0].number < claims[1].number < 0 < claims[2].number
    assert [claimed.span is None for claimed in claims] == [True, True, False]
    store.finish(delivered(claims))
    assert store.counts() == {
        "a": Counts(accepted=3, delivered=3),
        "b": Counts(accepted=1, pending=1, oldest=NOW),
    }


def test_an_event_that_nobody_wants_is_remembered_too(store: DeliveryStore) -> None:
    assert store.owe_event(an_event(), [])
    assert not store.owe_event(an_event(), [Owed("a")])
    assert store.counts() == {}


def test_data_of_an_event_that_cannot_be_stored_is_left_out(store: DeliveryStore) -> None:
    store.owe_event(an_event(data={"deep": DEEP}), [Owed("a")])
    assert claim(store)[0].event == an_event()


def test_what_cannot_be_read_is_claimed_and_says_why(database: Database, store: DeliveryStore) -> None:
    """One damaged row must not hold up the others."""
    spans = save(database, 5, "a", bodies=True, owed=None)
    store.owe_event(an_event(), [Owed("a")])
    with database.writing() as connection:
        for statement in (
            f"UPDATE calls SET detail = :bad WHERE id = '{spans[0].id}'",
            f"UPDATE contents SET data = :bad WHERE seq = (SELECT seq FROM calls WHERE id = '{spans[1].id}')",
            f"DELETE FROM calls WHERE id = '{spans[2].id}'",
            f"UPDATE deliveries SET options = :bad WHERE number = (SELECT seq FROM calls WHERE id = '{spans[3].id}')",
            "UPDATE events SET document = :bad",
        ):
            connection.execute(text(statement), {"bad": b"?"} if ":bad" in statement else {})
    claims = claim(store)
    assert [(claimed.span, claimed.content, claimed.event) for claimed in claims[:-1]] == [(None, None, None)] * 5
    assert [claimed.unreadable for claimed in claims] == [
        "it cannot be read: ValueError",
        "it cannot be read: ValueError",
        "it cannot be read: ValueError",
        "it is deleted",
        "its terms cannot be read: ValueError",
        None,
    ]
    assert claims[-1].span == spans[4]


def test_a_call_is_delivered_at_what_it_costs_by_now(database: Database, store: DeliveryStore) -> None:
    span = save(database, 1, "a")[0]
    AdjustmentStore(database).adjust([replace(span, cost=7, cost_status="exact")], run="r", made_at=NOW)
    claimed = claim(store)[0].span
    assert isinstance(claimed, Span)
    assert claimed.cost == 7


@contextmanager
def without(database: Database, table: str) -> Iterator[None]:
    """Let a table be away for a while, so that a step fails in its middle."""
    for old, new in ((table, "elsewhere"), ("elsewhere", table)):
        with database.writing() as connection:
            connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
        if new == "elsewhere":
            yield


def test_a_step_that_fails_after_it_claimed_loses_nothing(database: Database, store: DeliveryStore) -> None:
    spans = save(database, 3, "a", bodies=True)
    with without(database, "contents"):
        with pytest.raises(StoreUnavailable):
            claim(store, most=1)
        with pytest.raises(StoreUnavailable):
            store.claim_one("a", spans[2].id, now=NOW)
    assert ids(claim(store)) == [spans[1].id]
    store.beat(now=NOW)
    assert ids(claim(store)) == [spans[0].id, spans[2].id]
    store.beat(now=NOW + SECOND)
    assert claim(store) == []


def test_a_step_that_cannot_claim_claims_nothing(database: Database, store: DeliveryStore) -> None:
    span = save(database, 1, "a")[0]
    assert store.next_due("a", "live", now=NOW) == NOW
    with without(database, "deliveries"):
        with pytest.raises(StoreUnavailable):
            claim(store)
        with pytest.raises(StoreUnavailable):
            store.claim_one("a", span.id, now=NOW)
    assert ids(claim(store)) == [span.id]


def test_terms_of_any_number_are_read(database: Database, store: DeliveryStore) -> None:
    """What is remembered of terms is bounded, and forgetting it changes nothing."""
    spans = [a_span(number) for number in range(600)]
    SpanStore(database).save(
        [(span, None) for span in spans], {}, {span.id: [Owed("a", extra={"n": n})] for n, span in enumerate(spans)}
    )
    assert [claimed.owed.extra["n"] for claimed in claim(store)] == list(range(600))


# Clocks that jump


def test_what_was_put_off_by_a_clock_that_was_ahead_is_due_after_the_longest_time_that_anything_is_put_off(
    database: Database,
) -> None:
    store = a_store(database, longest=60 * SECOND)
    save(database, 3, "a")
    store.finish(later(claim(store), after=10**6 * SECOND))
    assert store.next_due("a", "live", now=NOW) == NOW + 60 * SECOND
    assert claim(store) == []
    assert store.next_due("a", "live", now=NOW + 59 * SECOND) == NOW + 60 * SECOND
    assert claim(store, now=NOW + 60 * SECOND - 1) == []
    assert len(claim(store, now=NOW + 60 * SECOND)) == 3


# Batches


def test_a_batch_comes_back_whole_under_its_id(database: Database, store: DeliveryStore) -> None:
    save(database, 6, "a")
    first = claim(store, most=3, keep_batches=True, batch="b1")
    assert [claimed.batch for claimed in first] == ["b1"] * 3
    second = claim(store, most=2, keep_batches=True, batch="b2")
    store.finish([*later(first, after=9 * SECOND), *later(second, after=SECOND)])
    again = claim(store, now=NOW + 20 * SECOND, most=5, most_bytes=1, keep_batches=True, batch="b3")
    assert [(claimed.batch, claimed.number) for claimed in again] == [("b1", claimed.number) for claimed in first]
    rest = claim(store, now=NOW + 20 * SECOND, most=10, keep_batches=True, batch="b3")
    assert [claimed.batch for claimed in rest] == ["b2", "b2"]
    assert [claimed.batch for claimed in claim(store, now=NOW + 20 * SECOND, keep_batches=True, batch="b3")] == ["b3"]


def test_a_batch_of_a_dead_office_comes_back_whole(database: Database, store: DeliveryStore) -> None:
    save(database, 4, "a")
    first = claim(store, most=3, keep_batches=True, batch="b1")
    store.finish(later(first))
    claim(store, now=NOW + 5 * SECOND, keep_batches=True, batch="b2")
    with database.writing() as connection:
        connection.execute(text("UPDATE deliveries SET state = 0, claimed_by = NULL WHERE state = 2"))
    assert [claimed.batch for claimed in claim(store, keep_batches=True, batch="b3")] == ["b1"] * 3


def test_what_is_put_back_stays_in_the_batch_that_its_claim_says(database: Database, store: DeliveryStore) -> None:
    save(database, 4, "a")
    claims = claim(store, keep_batches=True, batch="b1")
    claims[2].batch = claims[3].batch = None
    store.put_back(claims)
    assert [claimed.batch for claimed in claim(store, keep_batches=True, batch="b2")] == ["b1"] * 2
    assert [claimed.batch for claimed in claim(store, keep_batches=True, batch="b2")] == ["b2"] * 2


def test_a_batch_is_passed_by_while_a_part_of_it_is_being_tried(database: Database, store: DeliveryStore) -> None:
    save(database, 4, "a")
    claims = claim(store, most=3, keep_batches=True, batch="b1")
    store.put_back(claims[:2])
    assert [claimed.batch for claimed in claim(store, keep_batches=True, batch="b2")] == ["b2"]
    assert claim(store, keep_batches=True, batch="b3") == []
    store.put_back(claims[2:])
    assert len(claim(store, keep_batches=True, batch="b3")) == 3


# One alone


def test_one_can_be_claimed_whether_it_is_due_or_not_but_only_by_one(database: Database, store: DeliveryStore) -> None:
    spans = save(database, 3, "a", bodies=True)
    store.finish(later(claim(store, most=1), after=100 * SECOND))
    store.owe_event(an_event("e"), [Owed("a")])
    one = store.claim_one("a", spans[0].id, now=NOW)
    assert one is not None
    assert (one.span, one.content, one.attempts, one.lane) == (spans[0], a_content(), 1, "live")
    event = store.claim_one("a", "e", now=NOW)
    assert event is not None
    assert event.event == an_event("e")
    for nothing in (spans[0].id, "e", "no such id", "\0"):
        assert store.claim_one("a", nothing, now=NOW) is None
    assert store.claim_one("b", spans[1].id, now=NOW) is None
    store.finish(delivered([one, event]))
    assert store.claim_one("a", spans[0].id, now=NOW) is None
    assert len(claim(store)) == 2


# Elsewhere


def test_what_waits_for_a_destination_that_stays_down_goes_to_the_other_one(database: Database, store: DeliveryStore) -> None:
    with_other = save(database, 4, owed=[Owed("a", content="none", otherwise="b"), Owed("c")])
    save(database, 2, "a")
    has = save(database, 1, owed=[Owed("a", otherwise="b"), Owed("b")])
    claimed = claim(store, most=1)
    assert store.divert("a", to=["c", "x"], now=NOW, most=100) == 0
    assert store.divert("a", to=["b", "x"], now=NOW, most=2) == 2
    assert store.divert("a", to=["b"], now=NOW, most=100) == 2
    assert store.divert("a", to=["b"], now=NOW, most=100) == 0
    assert store.counts()["a"] == Counts(accepted=3, pending=3, oldest=NOW)
    assert store.counts()["b"] == Counts(accepted=4, pending=4, oldest=NOW)
    moved = claim(store, "b")
    assert ids(moved) == [*[span.id for span in with_other[1:]], has[0].id]
    assert moved[0].owed == Owed("b", content="none")
    store.finish(later(claimed))
    assert store.divert("a", to=["b"], now=NOW, most=100) == 1
    assert store.discrepancies() == []
