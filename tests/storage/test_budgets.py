"""Budgets in the store: set, changed, removed, raised for a time; and warnings, each given once whoever gives it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from domain.budgets import Budget, LimitRaise, Scope, WindowRule
from storage.budget_file import load_budgets, save_budgets
from storage.budgets import BudgetStore, BudgetWarning, Raised, with_raises
from storage.database import Database

MONTH = WindowRule("month", "Europe/Paris", 31)


def a_budget(limit: int = 20 * 10**9, **values) -> Budget:
    return Budget(**{"id": "", "scope": Scope("key", "ci"), "limit": limit, "window": MONTH, **values})


def a_warning(counter: str = "b-1@usd:0+3600", threshold: int = 500_000, **values) -> BudgetWarning:
    base = BudgetWarning("b-1", "key:ci", None, counter, 0, threshold, 5, 10, "usd", 100.0)
    return replace(base, **values)


@pytest.fixture
def store_budgets(database: Database) -> BudgetStore:
    return BudgetStore(database)


def test_a_budget_comes_back_as_it_was_set(store_budgets: BudgetStore) -> None:
    asked = a_budget(mode="strict", warn_at=(0.25,), unpriced=5, clamp=True, per_call=7, status=402, unit="usd")
    kept = store_budgets.put(asked, 1.0)
    assert store_budgets.all() == [kept] == [replace(asked, id=kept.id)]
    assert "|" not in kept.id
    assert "@" not in kept.id


def test_setting_the_same_scope_window_and_unit_again_changes_the_budget(store_budgets: BudgetStore) -> None:
    first = store_budgets.put(a_budget(), 1.0)
    other = store_budgets.put(a_budget(unit="tokens"), 2.0)
    yearly = store_budgets.put(a_budget(window=WindowRule("quarter")), 3.0)
    assert store_budgets.put(a_budget(10, mode="soft"), 4.0).id == first.id
    assert [(one.id, one.limit) for one in store_budgets.all()] == [
        (first.id, 10),
        (other.id, other.limit),
        (yearly.id, yearly.limit),
    ]


def test_a_budget_that_is_removed_and_set_again_has_the_same_counters(store_budgets: BudgetStore) -> None:
    first = store_budgets.put(a_budget(), 1.0)
    store_budgets.raise_limit(Raised(first.id, 5, 0, None, "why", 1.0))
    assert store_budgets.remove(first.id)
    assert not store_budgets.remove(first.id)
    assert store_budgets.all() == []
    assert store_budgets.put(a_budget(), 2.0).id == first.id
    assert store_budgets.raises() == {}, "what was added to the old limit is not added to the new one"


def test_an_effective_limit_is_the_limit_and_what_holds_of_the_raises() -> None:
    raised = [Raised("b", 5, 100, 200, "", 0.0), Raised("b", 7, 150, None, "", 0.0), Raised("b", 11, 0, 120, "", 0.0)]
    budget = with_raises(a_budget(10), raised, 130.0)
    assert budget.raises == (LimitRaise(5, 100, 200), LimitRaise(7, 150))
    assert [budget.limit_at(start) for start in (99, 100, 149, 150, 199, 200)] == [10, 15, 15, 22, 22, 17]
    assert budget.limit == 10


def test_raises_are_kept_by_budget_and_can_be_taken_back(store_budgets: BudgetStore) -> None:
    one, other = Raised("b-1", 5, 100, None, "é", 1.0), Raised("file-2", 7, 100, 300, "", 2.0)
    store_budgets.raise_limit(one)
    store_budgets.raise_limit(other)
    assert store_budgets.raises() == {"b-1": [one], "file-2": [other]}
    assert store_budgets.take_back("b-1") == 1
    assert store_budgets.raises() == {"file-2": [other]}


def test_a_warning_is_given_once_for_a_window_and_threshold(store_budgets: BudgetStore) -> None:
    given = store_budgets.warn([a_warning(), a_warning(spent=6), a_warning(threshold=800_000)])
    assert [(one.threshold, one.spent) for one in given] == [(500_000, 5), (800_000, 5)]
    assert store_budgets.warn([a_warning(at=200.0)]) == []
    assert [one.seq for one in store_budgets.warn([a_warning("b-1@usd:3600+3600")])] > [given[-1].seq]
    assert [one.period for one in store_budgets.warn([a_warning(period=1)])] == [1]
    assert len(store_budgets.warnings("b-1")) == 4
    assert store_budgets.warnings("b-2") == []


def test_of_offices_that_warn_at_once_one_does(store_budgets: BudgetStore, database: Database) -> None:
    many = [a_warning(f"b-1@usd:{number}+1") for number in range(20)]
    with ThreadPoolExecutor(4) as offices:
        given = list(offices.map(lambda _: BudgetStore(database).warn(many), range(4)))
    assert sorted(one.counter for some in given for one in some) == sorted(one.counter for one in many)


def test_warnings_are_seen_in_their_order_from_any_place_on(store_budgets: BudgetStore) -> None:
    assert store_budgets.last_warning() == 0
    first, second = store_budgets.warn([a_warning(), a_warning(threshold=800_000)])
    assert store_budgets.warnings_after(0) == [first, second]
    assert store_budgets.warnings_after(first.seq) == [second]
    assert store_budgets.last_warning() == second.seq
    assert store_budgets.warnings() == [second, first]


def test_the_file_for_the_gate_has_budgets_as_they_are(tmp_path) -> None:
    path = tmp_path / "budgets.json"
    assert load_budgets(path) == []
    budgets = [replace(a_budget(unpriced=5), raises=(LimitRaise(1, 2, 3),)), a_budget(scope=Scope("tag", None, "team", "each"))]
    save_budgets(path, budgets)
    assert load_budgets(path) == budgets
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("[{}]")
    with pytest.raises(ValueError, match="cannot be read as budgets"):
        load_budgets(path)
