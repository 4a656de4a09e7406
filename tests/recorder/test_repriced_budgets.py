"""Budgets get the difference when recorded calls are priced again."""

from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import insert

from domain.budgets import Budget, Scope, WindowRule
from domain.exchange import Labels
from domain.windows import claim_on, window_of
from recorder.repriced_budgets import differences
from storage.adjustments import AdjustmentStore, Changed
from storage.database import open_database
from storage.spans import SpanStore
from storage.spending import SPENDING, Spending
from tests.storage.samples import BEGIN, a_span

DAY = WindowRule("day", "Europe/Paris")
ALL = Budget("all", Scope("all"), 10**9, DAY)
EACH = Budget("each", Scope("customer", share="each"), 10**9, WindowRule("rolling", seconds=3_600))
OTHER = Budget("other", Scope("key", "somebody"), 10**9, DAY)
TOKENS = Budget("tokens", Scope("all"), 10**9, DAY, unit="tokens")
BUDGETS = (ALL, EACH, OTHER, TOKENS)


def counter_of(budget, member=None):
    return claim_on(budget, member, window_of(budget.window, BEGIN / 1e9), 0, limit=None)


@pytest.mark.parametrize(
    ("before", "after", "nano"),
    [
        (1_000, 3_000, 2),
        (1_001, 1_999, 0),
        (1_000, 1_001, 1),
        (5_000, 0, -5),
        (0, 1, 1),
        (None, 5_000, None),
        (5_000, None, None),
    ],
)
def test_the_difference_is_that_of_costs_rounded_up_as_they_were_counted(before, after, nano):
    span = a_span(labels=Labels(customer="acme"))
    found = list(differences([Changed(replace(span, cost=before), replace(span, cost=after))], BUDGETS))
    wanted = [] if not nano else [(counter_of(ALL).counter, nano), (counter_of(EACH, "acme").counter, nano)]
    assert [(claim.counter, claim.amount) for claim in found] == wanted
    if nano:
        assert found[1].part == counter_of(EACH, "acme").part


def test_it_is_added_to_the_counters_that_are_there_and_to_no_others(tmp_path):
    with closing(open_database(f"sqlite:///{tmp_path}/calls.db")) as database:
        database.upgrade()
        own = counter_of(ALL)
        with database.writing() as connection:
            row = {"counter": own.counter, "part": own.part, "amount": 50, "rolling": 0, "forget_at": own.forget_at}
            connection.execute(insert(SPENDING).values(**row))
        span = a_span(cost=5_000, labels=Labels(customer="acme"))
        SpanStore(database).save([(span, None)])
        store = AdjustmentStore(database, lambda changed: differences(changed, BUDGETS))
        for cost, spent in ((9_000, 54), (9_000, 54), (2_000, 47)):
            store.adjust([replace(span, cost=cost, price_ref="new")], run="r", made_at=1)
            assert [(claim.counter, claim.amount) for claim in Spending(database).sums()] == [(own.counter, spent)]
