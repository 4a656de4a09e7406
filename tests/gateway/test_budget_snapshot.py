"""The gate's budgets: those of the settings as they are, with what the office added to their limits, and those of the store."""

from dataclasses import replace

from domain.budgets import Budget, LimitRaise, Scope, WindowRule
from gateway.budgets.in_force import Budgets
from storage.budget_file import save_budgets


def a_budget(id_, limit, **values):
    return Budget(**{"id": id_, "scope": Scope("all"), "limit": limit, "window": WindowRule("day"), **values})


def test_the_file_adds_to_the_settings_and_never_overrules_them(tmp_path):
    path = tmp_path / "budgets.json"
    own = a_budget("file-1", 10, origin="file")
    raised = (LimitRaise(5, 0, None),)
    stale = replace(own, limit=99, raises=raised)
    save_budgets(path, [stale, a_budget("b-1", 7), a_budget("file-gone", 1, origin="file")])
    budgets = Budgets(path, [own])
    assert [(one.id, one.limit, one.limit_at(0)) for one in budgets.all] == [("file-1", 10, 15), ("b-1", 7, 7)]


def test_without_a_file_there_are_those_of_the_settings(tmp_path):
    own = a_budget("file-1", 10, origin="file")
    assert Budgets(tmp_path / "budgets.json", [own]).all == (own,)
