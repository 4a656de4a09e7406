"""What saved calls have spent: added up with the call, once, whatever becomes of the ledger or of the call."""

import pytest

from domain.calls import Usage
from domain.holds import HeldClaim, Owed, Settlement
from domain.ledger import Claim
from storage.database import Database
from storage.spans import SpanStore
from storage.spending import KEEP, Spending, Unsettled
from tests.storage.samples import a_span

DAY = HeldClaim("day", 900, "usd", 10_000, 2_000_000_000)
ALL = HeldClaim("all", 900, "tokens")
ROLLING = HeldClaim("rolling", 900, "usd", None, 2_000_000_000, 3600, 77)


def settlement(hold: str, *amounts: int, claims=(DAY, ALL), at_hold: bool = False) -> Settlement:
    return Settlement(hold, tuple(Owed(claim, amount, at_hold) for claim, amount in zip(claims, amounts, strict=True)))


@pytest.fixture
def spending(database: Database) -> Spending:
    return Spending(database)


def save(store: SpanStore, hold: str, *amounts: int, span=None, **values) -> None:
    call = span or a_span()
    store.save([(call, None)], {call.id: settlement(hold, *amounts, **values)})


def sums(spending: Spending) -> dict[tuple[str, int], int]:
    return {(claim.counter, claim.part): claim.amount for claim in spending.sums()}


def settled(spending: Spending) -> dict[tuple[str, int], int]:
    return {(claim.counter, claim.part): claim.amount for claim in spending.settled_sums()}


def test_saved_calls_add_up_and_wait_to_be_settled(store_spans: SpanStore, spending: Spending) -> None:
    save(store_spans, "h1", 5, 70)
    save(store_spans, "h2", 6, 80)
    assert sums(spending) == {("day", 0): 11, ("all", 0): 150}
    assert settled(spending) == {("day", 0): 0, ("all", 0): 0}
    assert spending.unsettled() == [
        Unsettled("h1", (5, 70), (False, False), ("day", "all")),
        Unsettled("h2", (6, 80), (False, False), ("day", "all")),
    ]
    assert spending.unsettled(1) == spending.unsettled()[:1]
    spending.settled(["h1"])
    spending.settled([])
    assert settled(spending) == {("day", 0): 5, ("all", 0): 70}
    assert [one.hold for one in spending.unsettled()] == ["h2"]
    assert spending.sums(["day"]) == [Claim("day", 11, None, 2_000_000_000)]


def test_a_call_that_is_saved_twice_is_counted_once(store_spans: SpanStore, spending: Spending) -> None:
    span = a_span()
    save(store_spans, "h1", 5, 70, span=span)
    spending.settled(["h1"])
    save(store_spans, "h1", 5, 70, span=span)
    assert sums(spending) == {("day", 0): 5, ("all", 0): 70}
    assert spending.unsettled() == []


def test_many_calls_in_one_batch_add_up(store_spans: SpanStore, spending: Spending) -> None:
    calls = [a_span(number) for number in range(300)]
    owed = {call.id: settlement(call.id, 3, 7) for call in calls[::2]}
    store_spans.save([(call, None) for call in calls], owed)
    assert sums(spending) == {("day", 0): 450, ("all", 0): 1050}
    assert len(spending.unsettled(1000)) == 150


def test_parts_of_a_rolling_window_are_kept_apart(store_spans: SpanStore, spending: Spending) -> None:
    later = HeldClaim("rolling", 900, "usd", None, 2_000_000_060, 3600, 78)
    save(store_spans, "h1", 5, claims=(ROLLING,))
    save(store_spans, "h2", 6, claims=(later,))
    assert spending.sums() == [
        Claim("rolling", 5, None, 2_000_000_000, 3600, 77),
        Claim("rolling", 6, None, 2_000_000_060, 3600, 78),
    ]


def test_one_counter_claimed_twice_by_a_call_is_counted_twice(store_spans: SpanStore, spending: Spending) -> None:
    save(store_spans, "h1", 5, 6, claims=(DAY, DAY))
    assert sums(spending) == {("day", 0): 11}
    assert spending.unsettled() == [Unsettled("h1", (5, 6), (False, False), ("day", "day"))]


def test_what_turns_out_otherwise_before_it_is_settled_is_corrected(store_spans: SpanStore, spending: Spending) -> None:
    save(store_spans, "h1", 5, 70, at_hold=True)
    save(store_spans, "h2", 1, 1)
    spending.correct("h1", (25, 60))
    spending.correct("h1", (25, 60))
    assert sums(spending) == {("day", 0): 26, ("all", 0): 61}
    assert spending.unsettled()[0] == Unsettled("h1", (25, 60), (True, True), ("day", "all"))
    spending.settled(["h1"])
    spending.correct("h1", (99, 99))
    assert sums(spending) == {("day", 0): 26, ("all", 0): 61}


def test_deleting_calls_gives_no_money_back(store_spans: SpanStore, spending: Spending) -> None:
    save(store_spans, "h1", 5, 70)
    while store_spans.prune(content_before=2**62, spans_before=2**62):
        pass
    assert sums(spending) == {("day", 0): 5, ("all", 0): 70}


def test_a_response_that_is_read_again_costs_its_budgets_no_money(store_spans: SpanStore, spending: Spending) -> None:
    made = a_span(1, operation="responses", response_id="resp_1")
    again = a_span(2, operation="responses", response_id="resp_1", usage=Usage(input_tokens=1, flags=("retrieved",)))
    save(store_spans, "h1", 333, 70, span=made)
    save(store_spans, "h2", 333, 70, span=again)
    assert sums(spending) == {("day", 0): 333, ("all", 0): 140}


def test_sums_of_windows_long_over_are_forgotten(store_spans: SpanStore, spending: Spending) -> None:
    save(store_spans, "h1", 5, 70)
    assert spending.forget(now=2_000_000_000 + KEEP) == 0
    assert spending.forget(now=2_000_000_001 + KEEP) == 1
    assert sums(spending) == {("all", 0): 70}


def test_any_name_that_a_counter_can_have_is_stored(store_spans: SpanStore, spending: Spending) -> None:
    names = ["o'brien", "100%s", "naïve 🚉", "a?b", "x" * 300]
    claims = tuple(HeldClaim(name, 1, "usd") for name in names)
    save(store_spans, "h'1", 1, 2, 3, 4, 5, claims=claims)
    assert sums(spending) == {(name, 0): amount for amount, name in enumerate(names, 1)}
    spending.settled(["h'1"])
    assert spending.unsettled() == []
