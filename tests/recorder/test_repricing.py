"""Recorded calls are priced again by the book of today, for the time when they were made."""

from contextlib import closing
from dataclasses import replace

import pytest

from domain.calls import Usage
from pricing.book import PriceBook
from pricing.override_documents import override_of
from recorder.price_audit import Auditor
from recorder.pricing import Pricer
from recorder.repricing import START, Repricer
from storage.adjustments import AdjustmentStore
from storage.database import open_database
from storage.queries import CallQuery
from storage.spans import SpanStore
from tests.storage.samples import BEGIN, SECOND, a_span

EVER = (0, 2**62)
USED = Usage(input_tokens=1_000_000, output_tokens=1_000_000, raw={})
OWN = {"match": {"model": "mine*"}, "per_million_usd": {"input": "1", "output": "2"}}
MICRO = 10**6


class Shop:
    """A store of calls, and prices that can be changed."""

    def __init__(self, database):
        self.spans, self.adjustments = SpanStore(database), AdjustmentStore(database)
        self.book = PriceBook.packaged()
        self.told = []
        self.ticks = iter(range(10**6))
        pricer = Pricer(lambda: self.book, {"openai": "api.openai.com/v1"})
        self.repricer = Repricer(
            self.adjustments, pricer.of_span, told=self.told.extend, now=lambda: 1.0, clock=lambda: next(self.ticks)
        )
        self.auditor = Auditor(self.adjustments, pricer.of_span, clock=lambda: next(self.ticks))

    def own(self, document, price_id="own"):
        self.book = self.book.with_overrides([*self.book.overrides, override_of(document, price_id=price_id, origin="file")])

    def save(self, *spans):
        self.spans.save([(span, None) for span in spans])

    def costs(self):
        return [(span.cost, span.cost_status) for span in self.spans.calls(CallQuery(newest_first=False)).spans]


@pytest.fixture
def shop(tmp_path):
    with closing(open_database(f"sqlite:///{tmp_path}/calls.db")) as database:
        database.upgrade()
        yield Shop(database)


def mine(number=0, **changes):
    values = {"usage": USED, "cost": None, "cost_status": "unknown", "price_ref": None, "model": "mine", "served_model": "mine-1"}
    return a_span(number, **{**values, **changes})


def test_calls_without_a_price_get_one_once_there_is_one(shop):
    shop.save(mine(0), mine(1), mine(2, model="other", served_model="other"))
    shop.own(OWN)
    step = shop.repricer.step(*EVER, run="r", seconds=10**5)
    (moved,) = step.moved.values()
    assert (step.scanned, step.changed, step.place) == (3, 2, None)
    assert (moved.model, moved.calls, moved.old, moved.new, moved.became_known) == ("mine-1", 2, 0, 6 * 10**12, 2)
    assert shop.costs() == [(3 * 10**12, "exact"), (3 * 10**12, "exact"), (None, "unknown")]
    assert [change.after.cost for change in shop.told] == [3 * 10**12] * 2


def test_doing_it_again_writes_nothing_more(shop):
    shop.save(mine())
    shop.own(OWN)
    assert shop.repricer.step(*EVER, run="r1", seconds=10**5).changed == 1
    assert shop.repricer.step(*EVER, run="r2", seconds=10**5).changed == 0
    assert len(shop.adjustments.adjustments(call_id=shop.spans.calls(CallQuery()).spans[0].id)) == 1


def test_without_a_run_it_is_only_said(shop):
    shop.save(mine())
    shop.own(OWN)
    assert shop.repricer.step(*EVER, run=None, seconds=10**5).changed == 1
    assert shop.costs() == [(None, "unknown")]
    assert shop.told == []


def test_each_call_is_priced_for_its_own_time(shop):
    shop.save(mine(0), mine(10))
    shop.own(OWN | {"from": "2025-10-09T08:53:25Z"})  # five seconds after the first
    shop.repricer.step(*EVER, run="r", seconds=10**5)
    assert shop.costs() == [(None, "unknown"), (3 * 10**12, "exact")]


def test_a_price_that_was_corrected_moves_what_was_exact(shop):
    shop.save(mine(cost=5, cost_status="exact", price_ref="old"))
    shop.own(OWN)
    shop.repricer.step(*EVER, run="r", seconds=10**5)
    (one,) = shop.adjustments.adjustments(run="r")
    assert (one.old_cost, one.old_ref, one.new_cost) == (5, "old", 3 * 10**12)
    assert "override:own" in one.new_ref


def test_a_price_that_was_taken_back_makes_its_calls_unknown_again(shop):
    shop.save(mine(cost=5, cost_status="exact"))
    step = shop.repricer.step(*EVER, run="r", seconds=10**5)
    (moved,) = step.moved.values()
    assert moved.became_unknown == 1
    assert shop.costs() == [(None, "unknown")]


def test_what_has_no_price_of_ours_is_left_alone(shop):
    kept = (
        mine(0, cost=7, cost_status="reported"),
        mine(1, cost=0, cost_status="free", upstream="sim"),
        mine(2, cost_status="none"),
        mine(3, usage=None),
    )
    shop.save(*kept)
    shop.own(OWN)
    assert shop.repricer.step(*EVER, run="r", seconds=10**5).changed == 0
    assert shop.costs() == [(span.cost, span.cost_status) for span in kept]


def test_an_estimate_stays_an_estimate(shop):
    shop.save(mine(usage=replace(USED, source="estimated")))
    shop.own(OWN)
    shop.repricer.step(*EVER, run="r", seconds=10**5)
    assert shop.costs() == [(3 * 10**12, "estimated")]


def test_it_goes_on_where_a_step_ended_and_sees_each_call_once(shop):
    shop.save(*(mine(number // 7) for number in range(1_200)))
    shop.own(OWN)
    place, scanned, steps = START, 0, 0
    while place is not None:
        step = shop.repricer.step(*EVER, place, run="r", seconds=1)  # the clock ticks once for each look
        place, scanned, steps = step.place, scanned + step.scanned, steps + 1
    assert (scanned, steps) == (1_200, 3)
    assert len(shop.adjustments.adjustments(run="r", most=2_000)) == 1_200


def test_only_calls_of_the_time_are_looked_at(shop):
    shop.save(*(mine(number) for number in range(5)))
    shop.own(OWN)
    assert shop.repricer.step(BEGIN + SECOND, BEGIN + 3 * SECOND, run="r", seconds=10**5).changed == 2


def test_reported_costs_are_compared_with_ours_and_the_furthest_calls_are_named(shop):
    reported = [3_000_000_000_000 + number * MICRO for number in range(8)]
    shop.save(*(mine(number, cost=cost, cost_status="reported") for number, cost in enumerate(reported)))
    shop.save(mine(9, cost=5, cost_status="reported", served_model="other"), mine(10, cost=5, cost_status="exact"))
    shop.own(OWN)
    audit = shop.auditor.step(*EVER, seconds=10**5)
    compared = audit.models["openai", "mine-1"]
    assert (audit.scanned, compared.calls, compared.reported, compared.ours) == (9, 8, sum(reported), 8 * 3 * 10**12)
    assert sorted(apart for apart, *_ in compared.furthest) == [number * MICRO for number in range(3, 8)]
    assert audit.models["openai", "other"].unknown == 1
    assert compared.drift is not None
    assert abs(compared.drift) < 0.01
