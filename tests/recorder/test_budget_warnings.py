"""Warnings of budgets: which shares of which limit, and once each."""

from contextlib import closing

import pytest

from domain.budgets import Budget, LimitRaise, Scope, Window, WindowRule
from domain.errors import StoreUnavailable
from domain.ledger import Standing
from domain.windows import counter_name, window_of
from recorder.budget_warnings import Warner, parts_of
from storage.budgets import BudgetStore
from storage.database import open_database

HOUR = Window(7200, 10_800)


def a_budget(limit=1000, **values):
    return Budget(**{"id": "b-1", "scope": Scope("key", "ci"), "limit": limit, "window": WindowRule("hour"), **values})


@pytest.fixture
def store(tmp_path):
    with closing(open_database(f"sqlite:///{tmp_path}/store.db")) as database:
        database.upgrade()
        yield BudgetStore(database)


class Desk:
    """A warner with budgets and a clock that can be changed."""

    def __init__(self, store, *budgets):
        self.budgets = {budget.id: budget for budget in budgets}
        self.now = 8000.0
        self.warner = Warner(lambda: self.budgets, store, lambda: self.now)

    def look(self, budget, spent, member=None, window=HOUR):
        found = self.warner.look({counter_name(budget, member, window): Standing(spent, 0)})
        return [(one.threshold, one.spent, one.allowed) for one in found]


def test_each_share_is_told_when_it_is_reached_and_not_again(store):
    budget = a_budget()
    desk = Desk(store, budget)
    assert desk.look(budget, 499) == []
    assert desk.look(budget, 500) == [(500_000, 500, 1000)]
    assert desk.look(budget, 700) == []
    assert desk.look(budget, 960) == [(800_000, 960, 1000), (950_000, 960, 1000)]
    assert desk.look(budget, 1000) == [(1_000_000, 1000, 1000)]
    assert desk.look(budget, 5000) == []


def test_a_restarted_office_and_another_one_tell_nothing_again(store):
    budget = a_budget()
    assert len(Desk(store, budget).look(budget, 900)) == 2
    assert Desk(store, budget).look(budget, 960) == [(950_000, 960, 1000)]


def test_a_new_window_and_each_member_have_warnings_of_their_own(store):
    budget = a_budget(scope=Scope("customer", share="each"), warn_at=())
    desk = Desk(store, budget)
    assert desk.look(budget, 1000, "acme") == [(1_000_000, 1000, 1000)]
    assert desk.look(budget, 1000, "b@b|c") == [(1_000_000, 1000, 1000)]
    assert desk.look(budget, 1000, "acme", Window(10_800, 14_400)) == [(1_000_000, 1000, 1000)]
    assert [one.member for one in store.warnings()] == ["acme", "b@b|c", "acme"]


def test_shares_are_of_the_limit_with_what_was_added_to_it_in_that_window(store):
    budget = a_budget(warn_at=(0.5,), raises=(LimitRaise(1000, 7200, 10_800),))
    desk = Desk(store, budget)
    assert desk.look(budget, 900) == []
    assert desk.look(budget, 1000) == [(500_000, 1000, 2000)]
    assert desk.look(budget, 900, window=Window(10_800, 14_400)) == [(500_000, 900, 1000)]


def test_a_rolling_window_warns_again_only_after_its_length(store):
    budget = a_budget(window=WindowRule("rolling", seconds=3600), warn_at=())
    desk = Desk(store, budget)
    window = window_of(budget.window, desk.now)
    assert desk.look(budget, 1000, window=window) == [(1_000_000, 1000, 1000)]
    desk.now += 60
    assert desk.look(budget, 1000, window=window_of(budget.window, desk.now)) == []
    desk.now += 3600
    assert desk.look(budget, 1000, window=window_of(budget.window, desk.now)) == [(1_000_000, 1000, 1000)]


def test_counters_of_budgets_that_are_gone_and_empty_ones_are_passed_by(store):
    budget = a_budget(limit=0, warn_at=())
    desk = Desk(store)
    assert desk.look(budget, 5) == []
    desk.budgets[budget.id] = budget
    assert desk.look(budget, 0) == []
    assert desk.look(budget, 1) == [(1_000_000, 1, 0)]
    assert desk.warner.look({}) == []


class Away:
    """A store that is away until it is back."""

    def __init__(self, store):
        self.store = store
        self.is_away = True

    def unwarned(self, warnings):
        if self.is_away:
            raise StoreUnavailable("away")
        return self.store.unwarned(warnings)

    def warn(self, warnings):
        return self.store.warn(warnings)


def test_what_is_crossed_while_the_store_is_away_is_told_when_it_is_back(store):
    budget, away = a_budget(warn_at=()), Away(store)
    warner = Warner(lambda: {budget.id: budget}, away, lambda: 8000.0)
    counter = counter_name(budget, None, HOUR)
    warner.told({counter: Standing(1000, 0)})
    away.is_away = False
    warner.told({})
    assert [one.counter for one in store.warnings()] == [counter]


@pytest.mark.parametrize(
    ("budget", "member", "window"),
    [
        (a_budget(), None, HOUR),
        (a_budget(), "a|b@c:1+2", HOUR),
        (a_budget(window=WindowRule("total")), "x", Window(0, None)),
        (a_budget(window=WindowRule("rolling", seconds=60)), None, Window(600, 601)),
    ],
)
def test_the_name_of_a_counter_says_whose_it_is(budget, member, window):
    start = HOUR.start if window is HOUR else 0
    assert parts_of(counter_name(budget, member, window)) == ("b-1", member, start)
