"""Deliveries as people see them, and what they can do about them."""

import pytest

from domain.deliveries import Attempt, Counts, Later, Owed
from storage.database import Database
from storage.deliveries import DeliveryDesk, DeliveryStore, Listing
from storage.deliveries.payloads import LARGEST
from storage.deliveries.totals import Totals
from tests.storage.owed import NOW, a_desk, a_store, an_event, claim, dead, delivered, ids, later, save
from tests.storage.samples import SECOND


@pytest.fixture
def store(database: Database) -> DeliveryStore:
    return a_store(database)


@pytest.fixture
def desk(database: Database) -> DeliveryDesk:
    return a_desk(database)


def test_a_call_shows_what_became_of_each_delivery(database: Database, store: DeliveryStore, desk: DeliveryDesk) -> None:
    span, other = save(database, 2, "a", "b", "c", "d")
    store.finish(delivered(claim(store, "a", most=1), note="1 attribute dropped", shortened="media"))
    store.finish(dead(claim(store, "b", most=1)))
    store.finish(later(claim(store, "c", most=1)))
    claim(store, "d", most=1)
    a, b, c, d = desk.of_call(span.id)
    assert (a.destination, a.state, a.call_id, a.event_id, a.lane, a.owed_at) == ("a", "delivered", span.id, None, "live", NOW)
    assert (a.attempts, a.status, a.tries, a.note, a.shortened) == (
        [Attempt(NOW, 202, None)],
        202,
        1,
        "1 attribute dropped",
        "media",
    )
    assert (b.state, b.kind, b.error, b.attempts) == ("dead", "rejected", "no such field", [Attempt(NOW, 400, "no such field")])
    assert (c.state, c.due_at, c.claimed, c.error, c.kind) == ("pending", NOW + 5 * SECOND, False, "busy", None)
    assert (d.state, d.due_at, d.claimed, d.attempts, d.status) == ("pending", None, True, [], None)
    many = desk.of_calls([span.id, other.id, "no such", "\0"])
    assert many[span.id] == [a, b, c, d]
    assert [one.call_id for one in many[other.id]] == [other.id] * 4
    assert (many["no such"], many["\0"], desk.of_calls([])) == ([], [], {})


def test_the_last_five_attempts_are_kept(database: Database, store: DeliveryStore, desk: DeliveryDesk) -> None:
    span = save(database, 1, "a")[0]
    for attempt in range(7):
        (claimed,) = claim(store, now=NOW + attempt)
        assert claimed.attempts == attempt
        store.finish([Later(claimed, NOW + attempt, NOW + attempt + 1, 500 + attempt, f"no {attempt}")])
    (record,) = desk.of_call(span.id)
    assert record.attempts == [Attempt(NOW + attempt, 500 + attempt, f"no {attempt}") for attempt in range(2, 7)]
    assert record.tries == 7


def test_errors_of_any_text_are_kept_and_cut(database: Database, store: DeliveryStore, desk: DeliveryDesk) -> None:
    spans = save(database, 2, "a")
    one, two = claim(store)
    store.finish([Later(one, NOW, NOW, None, "nul \0 half \ud800 naïve 🚉"), Later(two, NOW, NOW, None, "x" * 10**6)])
    assert desk.of_call(spans[0].id)[0].error == "nul � half ? naïve 🚉"
    assert len(desk.of_call(spans[1].id)[0].error or "") == 1000


def test_lists_are_the_newest_first_by_page(database: Database, store: DeliveryStore, desk: DeliveryDesk) -> None:
    spans = save(database, 5, "b", "a")
    store.owe_event(an_event("e"), [Owed("a")])
    wanted = [(span.id, None, name) for span in reversed(spans) for name in ("a", "b")] + [(None, "e", "a")]
    seen, cursor = [], None
    for _ in range(4):
        page = desk.listed(Listing(limit=3, cursor=cursor))
        seen += [(one.call_id, one.event_id, one.destination) for one in page.records]
        cursor = page.next_cursor
    assert seen == wanted
    assert cursor is None


def test_lists_are_by_destination_state_kind_and_time(database: Database, store: DeliveryStore, desk: DeliveryDesk) -> None:
    save(database, 8, "a", "b")
    claims = claim(store)
    store.finish([*delivered(claims[:2]), *dead(claims[2:3]), *dead(claims[3:4], kind="expired"), *later(claims[4:5])])
    desk.retry_dead("a", kinds=["rejected"])
    numbers = [claimed.number for claimed in claims]

    def listed(**values) -> list[int]:
        return [numbers.index(one.number) for one in desk.listed(Listing(**values)).records]

    assert listed(destination="a", state="pending") == [7, 6, 5, 4, 2]
    assert listed(destination="a", state="delivered") == [1, 0]
    assert listed(destination="a", state="dead") == listed(state="dead") == listed(kind="expired") == [3]
    assert listed(destination="a", state="dead", kind="rejected") == []
    assert listed(destination="a") == listed(destination="b") == [7, 6, 5, 4, 3, 2, 1, 0]
    assert listed(state="delivered", since=NOW, until=NOW + 1) == [1, 0]
    assert listed(since=NOW + 1) == listed(until=NOW) == listed(destination="c") == []


@pytest.mark.parametrize("cursor", ["", "x", "!!", "é", "kgHZAWE", "\0", "gqFhoWI", "k" * 9999])
def test_a_cursor_that_no_list_has_given_is_refused(desk: DeliveryDesk, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        desk.listed(Listing(cursor=cursor))


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_size(desk: DeliveryDesk, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        desk.listed(Listing(limit=limit))


def test_what_was_sent_of_a_dead_one_can_be_looked_at(database: Database, store: DeliveryStore, desk: DeliveryDesk) -> None:
    spans = save(database, 3, "a")
    one, two, three = claim(store)
    store.finish(dead([one], payload=b"\0\xff" * 10**6, content_type="application/x-protobuf"))
    store.finish([*dead([two]), *delivered([three])])
    assert desk.payload(spans[0].id, "a") == ("application/x-protobuf", (b"\0\xff" * 10**6)[:LARGEST])
    assert desk.payload(spans[1].id, "a") is desk.payload(spans[2].id, "a") is desk.payload(spans[0].id, "b") is None
    assert desk.payload("no such", "a\0") is None
    desk.retry_dead("a", ids=[spans[0].id])
    assert desk.payload(spans[0].id, "a") is None


def test_dead_ones_are_tried_again_as_if_they_were_owed_now(database: Database, store: DeliveryStore) -> None:
    spans = save(database, 5, "a")
    store.owe_event(an_event("e"), [Owed("a")])
    event, *claims = claim(store)
    store.finish([*dead(claims[:2]), *dead(claims[2:4], kind="expired"), *dead([event]), *delivered(claims[4:])])
    desk = DeliveryDesk(database, now=lambda: NOW + 99)
    assert desk.retry_dead("a", kinds=["expired", "gave_up\0"]) == 2
    assert desk.retry_dead("a", kinds=["expired"]) == 0
    assert desk.retry_dead("a", ids=[spans[0].id, "e", spans[4].id, "no such"]) == 2
    assert desk.retry_dead("a", kinds=[]) == desk.retry_dead("a", ids=[]) == desk.retry_dead("b") == 0
    assert store.counts()["a"] == Counts(accepted=6, delivered=1, pending=4, dead=1, oldest=NOW + 99)
    assert claim(store) == []
    again = claim(store, lane="replay")
    assert ids(again) == ["e", spans[0].id, spans[2].id, spans[3].id]
    assert {(one.owed_at, one.attempts, one.lane) for one in again} == {(NOW + 99, 0, "replay")}
    store.finish(delivered(again))
    assert [one.error for one in desk.of_call(spans[0].id)[0].attempts] == ["no such field", None]
    assert desk.discrepancies() == []


def test_changes_come_in_steps(database: Database, store: DeliveryStore, desk: DeliveryDesk) -> None:
    save(database, 5, "a")
    store.finish(dead(claim(store)))
    assert [desk.retry_dead("a", limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert [desk.discard("a", state="pending", limit=3) for _ in range(3)] == [3, 2, 0]
    assert [desk.discard("a", limit=4) for _ in range(3)] == [4, 1, 0]
    assert desk.totals() == {"a": Totals(accepted=5, dead=5, gone=5)}
    assert desk.discrepancies() == []


def test_what_waits_for_a_destination_that_is_no_more_can_be_seen_and_given_up(
    database: Database, store: DeliveryStore, desk: DeliveryDesk
) -> None:
    spans = save(database, 5, "gone", bodies=True)
    claims = claim(store, "gone", most=3)
    store.finish(later(claims[:1]))
    assert len(desk.listed(Listing(destination="gone", state="pending")).records) == 5
    assert desk.discard("gone", state="pending", ids=[spans[4].id, "no such"]) == 1
    assert desk.discard("gone", state="pending") == 4
    store.finish(delivered(claims[1:]))
    assert desk.counts()["gone"] == Counts(accepted=5, dead=5)
    assert {one.kind for one in desk.listed(Listing(state="dead")).records} == {"removed"}
    assert desk.discard("gone", kinds=["rejected"]) == 0
    assert desk.discard("gone", kinds=["removed"], ids=[spans[0].id]) == 1
    assert desk.counts()["gone"] == Counts(accepted=5, dead=5, gone=1)
    assert desk.discrepancies() == []


def test_replaying_owes_anew_what_was_delivered_and_tries_the_dead_again(
    database: Database, store: DeliveryStore, desk: DeliveryDesk
) -> None:
    spans = save(database, 5, "a", bodies=True)
    new = save(database, 1, bodies=True, first=9)[0]
    claims = claim(store, most=4)
    store.finish([*delivered(claims[:2]), *dead(claims[2:3], payload=b"x"), *later(claims[3:])])
    everything = [span.id for span in (*spans, new)]
    owed = Owed("x", content="redacted", otherwise="b")
    assert desk.known("a", everything) == {spans[number].id for number in (0, 1, 3, 4)}
    assert desk.replay("a", [*everything, "no such", 10**9], owed) == 4
    assert desk.replay("a", everything, owed) == 0
    assert desk.counts()["a"] == Counts(accepted=8, delivered=2, pending=6, oldest=NOW)
    assert desk.discrepancies() == []
    live = claim(store, now=NOW + 10 * SECOND)
    assert ids(live) == [spans[3].id, spans[4].id]
    assert [one.owed for one in live] == [Owed("a")] * 2
    again = claim(store, lane="replay", most_bytes=10**9)
    assert ids(again) == [spans[0].id, spans[1].id, spans[2].id, new.id]
    assert {(one.owed.destination, one.owed.content, one.owed.otherwise, one.attempts) for one in again} == {
        ("a", "redacted", "b", 0)
    }
    assert again[3].content is not None
    store.finish(delivered([*live, *again]))
    assert desk.counts()["a"] == Counts(accepted=8, delivered=8)


def test_replaying_only_what_is_missing_leaves_what_was_delivered(
    database: Database, store: DeliveryStore, desk: DeliveryDesk
) -> None:
    spans = save(database, 3, "a")
    claims = claim(store)
    store.finish([*delivered(claims[:1]), *dead(claims[1:2])])
    numbers = [claimed.number for claimed in claims]
    assert desk.replay("a", numbers, Owed("a"), only_missing=True) == 1
    assert desk.replay("new", numbers * 2, Owed("new"), only_missing=True) == 3
    assert desk.known("a", [span.id for span in spans]) == {span.id for span in spans}
    assert desk.discrepancies() == []


def test_replayed_bodies_count_for_the_bytes_that_are_claimed_at_once(
    database: Database, store: DeliveryStore, desk: DeliveryDesk
) -> None:
    spans = save(database, 3, bodies=True)
    desk.replay("a", [span.id for span in spans], Owed("a"))
    assert len(claim(store, lane="replay", most_bytes=1)) == 1
    assert len(claim(store, lane="replay", most_bytes=10**6)) == 2


def test_what_waits_in_a_lane_is_counted_up_to_a_bound(database: Database, store: DeliveryStore, desk: DeliveryDesk) -> None:
    spans = save(database, 9, "a")
    store.finish(later(claim(store, most=2)))
    claim(store, most=1)
    store.finish(delivered(claim(store, most=1)))
    desk.replay("a", [span.id for span in spans], Owed("a"))
    assert (desk.waiting("a", "live"), desk.waiting("a", "replay"), desk.waiting("b", "live")) == (8, 1, 0)
    assert desk.waiting("a", "live", most=4) == 4


def test_a_wrong_total_is_found(database: Database, desk: DeliveryDesk) -> None:
    save(database, 2, "a", "b")
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE delivery_totals SET accepted = 3, gone = 1 WHERE destination = 'a'")
        connection.exec_driver_sql("DELETE FROM delivery_totals WHERE destination = 'b'")
    assert desk.discrepancies() == [
        "a: accepted 3, but delivered 0 + pending 2 + dead 0",
        "a: dead 0, of them deleted 1, but there are 0",
        "b: accepted 0, but delivered 0 + pending 2 + dead 0",
    ]


def test_who_tries_what_waits_can_be_seen(database: Database) -> None:
    desk, store = a_desk(database), a_store(database)
    save(database, 3, "a")
    assert not desk.tried_since("a", 0)
    claims = claim(store, "a", most=1)
    assert desk.tried_since("a", NOW + 1)
    store.finish(later(claims))
    assert desk.tried_since("a", NOW - 1)
    assert not desk.tried_since("a", NOW)
    store.finish(delivered(claim(store, "a", now=NOW + 10 * SECOND)))
    assert not desk.tried_since("a", 0)
