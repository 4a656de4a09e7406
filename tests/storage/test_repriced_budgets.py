"""Budgets follow when recorded calls are priced again: what a counter says is spent is the sum of its calls, whatever it said of them before."""

import asyncio

import pytest

from domain.calls import Usage
from domain.exchange import Attempt, Closing, Exchange, Labels, Opening
from domain.holds import hold_text
from domain.ledger import Claim
from domain.prices import nano_usd
from pricing.book import PriceBook
from pricing.override_documents import override_of
from recorder.owing import settlement_of
from recorder.pricing import Pricer
from recorder.repricing import Repricer
from recorder.settling import LEASE, Settling
from storage.adjustments import AdjustmentStore
from storage.database import Database
from storage.ledger.memory import MemoryLedger
from storage.queries import CallQuery
from storage.spans import SpanStore
from storage.spending import Spending
from tests.storage.samples import BEGIN, SECOND, a_span

EVER = (0, 2**62)
NOW = BEGIN / SECOND
USED = Usage(input_tokens=1_000, output_tokens=500, raw={})
HELD = 900_000
COUNTERS = ("day", "all")


class Shop:
    """A store of calls under two budgets, a ledger that is settled with it, and prices that can be changed."""

    def __init__(self, database: Database) -> None:
        self.spans, self.spending, self.ledger = SpanStore(database), Spending(database), MemoryLedger()
        self.ledger.rebuild([], {}, now=NOW, lease=LEASE)
        self.settling = Settling(self.ledger, self.spending, now=lambda: NOW)
        self.book = PriceBook.packaged()
        pricer = Pricer(lambda: self.book, {"openai": "api.openai.com/v1"})
        self.repricer = Repricer(AdjustmentStore(database), pricer.of_span, now=lambda: 1.0)
        self.runs = 0

    def price(self, dollars: str | None) -> None:
        """Give the model a price for a million tokens, or take it back."""
        given = {} if dollars is None else {"match": {"model": "mine*"}, "per_million_usd": {"input": dollars, "output": dollars}}
        self.book = PriceBook.packaged().with_overrides(
            [override_of(given, price_id=f"p{dollars}", origin="file")] if given else []
        )

    def call(self, number: int, *, topped_up: int = 0, attempts: tuple[Attempt, ...] = (), closed: bool = True, **values) -> None:
        """Make a call that held on both budgets, and save it."""
        claims = [Claim(name, HELD, None) for name in COUNTERS]
        span = a_span(number, model="mine", served_model="mine-1", usage=USED, attempts=attempts, **values)
        asyncio.run(self.ledger.hold(span.id, claims, now=NOW, lease=LEASE))
        if topped_up:
            asyncio.run(self.ledger.top_up(span.id, [topped_up] * 2, now=NOW, lease=LEASE))
        text = hold_text(span.id, claims, ["usd", "usd"])
        opening = Opening(span.id, 1, "POST", "/v1/x", "openai", "openai", "k", "ci", "default", Labels(), hold=text)
        closing_ = Closing(2, "complete", 200, (), (), attempts, 0, 0, sent_us=5) if closed else None
        owed = settlement_of(Exchange(opening, closing_, b"", b""), span)
        self.spans.save([(span, None)], {span.id: owed})

    def settle(self) -> None:
        self.settling.wake()
        self.settling.step()

    def reprice(self) -> int:
        self.runs += 1
        return self.repricer.step(*EVER, run=f"r{self.runs}", seconds=10**5).changed

    def spent(self) -> set[int]:
        """Return what the counters of the store say; they say the same."""
        return {claim.amount for claim in self.spending.sums()}

    def in_ledger(self) -> set[int]:
        return {standing.spent for standing in self.ledger.standings(COUNTERS, now=NOW).values()}

    def sum_of_spans(self) -> int:
        return sum(nano_usd(span.cost) for span in self.spans.calls(CallQuery()).spans if span.cost is not None)


@pytest.fixture
def shop(database: Database) -> Shop:
    return Shop(database)


def unknown(**values):
    return {"cost": None, "cost_status": "unknown", "price_ref": None} | values


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "still waiting"])
def test_calls_whose_price_nobody_knew_move_from_what_they_held_to_what_they_cost(shop: Shop, settled: bool) -> None:
    shop.call(0, **unknown(), topped_up=50_000)
    shop.call(1, **unknown())
    if settled:
        shop.settle()
        assert shop.spent() == {2 * HELD + 50_000} == shop.in_ledger()
    shop.price("2")
    assert shop.reprice() == 2
    shop.settle()
    shop.settling.reconcile()
    assert shop.sum_of_spans() == 2 * 3_000_000
    assert shop.spent() == {6_000_000} == shop.in_ledger()
    shop.settling.reconcile()
    assert (shop.settling.progress.drift_low, shop.settling.progress.drift_high) == (0, 0)


def test_an_estimate_and_an_exact_cost_follow_too_up_and_down(shop: Shop) -> None:
    shop.call(0, cost=5_000, cost_status="estimated")
    shop.call(1, cost=7_001, cost_status="exact")
    shop.settle()
    assert shop.spent() == {5 + 8}
    for dollars, each in (("2", 3_000_000), ("0.5", 750_000), ("0", 0)):
        shop.price(dollars)
        shop.reprice()
        shop.settle()
        shop.settling.reconcile()
        assert shop.sum_of_spans() == 2 * each
        assert shop.spent() == {2 * each} == shop.in_ledger()


def test_a_price_that_was_taken_back_and_set_again_counts_once(shop: Shop) -> None:
    """While it is unknown the call goes on counting what it did: unknown is not free."""
    shop.call(0, **unknown())
    shop.settle()
    seen = []
    for dollars in ("2", None, "4", None, None, "1"):
        shop.price(dollars)
        shop.reprice()
        seen.append(shop.spent())
    assert seen == [{3_000_000}, {3_000_000}, {6_000_000}, {6_000_000}, {6_000_000}, {1_500_000}]
    assert shop.sum_of_spans() == 1_500_000


def test_doing_it_again_moves_nothing_more(shop: Shop) -> None:
    shop.call(0, **unknown())
    shop.settle()
    shop.price("2")
    assert (shop.reprice(), shop.reprice()) == (1, 0)
    assert shop.spent() == {3_000_000}


def test_tries_that_were_never_answered_stay_charged_beside_the_new_price(shop: Shop) -> None:
    silent = Attempt("openai", "1", BEGIN, None, None, sent=True, held=(70_000, 70_000))
    answered = Attempt("openai", "1", BEGIN, 200, 5)
    shop.call(0, cost=5_000, attempts=(silent, answered))
    shop.settle()
    assert shop.spent() == {70_005}
    shop.price("2")
    shop.reprice()
    assert shop.spent() == {3_070_000}


def test_a_call_that_was_cut_short_with_its_gate_keeps_its_hold(shop: Shop) -> None:
    """What it used is not known, whatever a token costs."""
    shop.call(0, cost=5_000, cost_status="estimated", closed=False)
    shop.settle()
    shop.price("2")
    assert shop.reprice() == 1
    assert shop.spent() == {HELD}


def test_a_budget_that_came_after_the_call_is_left_alone(shop: Shop) -> None:
    """Its counter is there, in the same window, but the call was never counted on it."""
    shop.spans.save([(a_span(0, model="mine", served_model="mine-1", usage=USED, **unknown()), None)])
    shop.call(1, cost=5_000, cost_status="reported")
    shop.settle()
    shop.price("2")
    assert shop.reprice() == 1
    assert shop.spent() == {5}


def test_what_a_call_has_spent_is_forgotten_with_the_call_and_its_counters_keep_it(shop: Shop, database: Database) -> None:
    shop.call(0, cost=5_000)
    shop.settle()
    while shop.spans.prune(content_before=2**62, spans_before=2**62):
        pass
    assert shop.spent() == {5}
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM call_spending").scalar() == 0


def test_a_sum_that_was_forgotten_is_not_made_again(shop: Shop, database: Database) -> None:
    shop.call(0, **unknown())
    shop.settle()
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM spending")
    shop.price("2")
    assert shop.reprice() == 1
    assert shop.spent() == set()


def test_what_a_hold_was_found_to_be_after_a_new_price_does_not_take_its_place(shop: Shop) -> None:
    """The office may have asked what a call holds before it was priced again, and write that down after."""
    shop.call(0, **unknown())
    (waiting,) = shop.spending.unsettled()
    shop.price("2")
    shop.reprice()
    shop.spending.correct(waiting.hold, (HELD + 7, HELD + 7))
    assert shop.spent() == {3_000_000}
