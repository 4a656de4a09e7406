"""`[[budgets]]` and the limits of `[keys.NAME]`: what is taken, and what is said of what is wrong."""

from dataclasses import replace

import pytest

from config.budgets import BudgetSettings
from domain.budgets import Budget, KeyLimits, Scope, WindowRule
from tests.config.test_loading import OURS, load, problems

KEY = f'[keys.ci]\nsecret = "{OURS}"\n'


def budgets(tmp_path, text):
    return load(tmp_path, text).settings.budget_values()


def test_a_budget_of_the_file_is_taken_whole(tmp_path):
    text = """
[[budgets]]
scope = "key:ci"
limit_usd = "20.00"
window = "month"
timezone = "Europe/Paris"
anchor = 15
mode = "strict"
warn_at = [0.8, 0.5]
unpriced = "0.05"
when_ledger_is_down = "closed"
clamp = true
per_call_usd = 0.5
status = 402
"""
    (found,) = budgets(tmp_path, text)
    assert replace(found, id="") == Budget(
        id="",
        scope=Scope("key", "ci"),
        limit=20 * 10**9,
        window=WindowRule("month", "Europe/Paris", 15),
        unit="usd",
        mode="strict",
        warn_at=(0.5, 0.8),
        unpriced=50_000_000,
        when_ledger_is_down="closed",
        clamp=True,
        per_call=500_000_000,
        status=402,
        origin="file",
    )


def test_what_is_left_out_has_a_default(tmp_path):
    (found,) = budgets(tmp_path, '[[budgets]]\nscope = "all"\nlimit_usd = 5\n')
    assert replace(found, id="") == Budget("", Scope("all"), 5 * 10**9, WindowRule("month"), origin="file")


@pytest.mark.parametrize(
    ("line", "limit", "unit"),
    [
        ('limit_usd = "0.000000001"', 1, "usd"),
        ("limit_usd = 0.1", 10**8, "usd"),
        ("limit_tokens = 500", 500, "tokens"),
        ("limit_requests = 7", 7, "requests"),
    ],
)
def test_a_limit_is_of_money_tokens_or_requests(tmp_path, line, limit, unit):
    (found,) = budgets(tmp_path, f'[[budgets]]\nscope = "each customer"\n{line}\nwindow = "rolling:24h"\n')
    assert (found.limit, found.unit, found.window) == (limit, unit, WindowRule("rolling", seconds=86_400))
    assert found.scope == Scope("customer", share="each")


def test_what_is_spent_outlives_another_limit_and_mode_but_not_another_window(tmp_path):
    def id_of(**fields):
        lines = "".join(f'{name} = "{value}"\n' for name, value in ({"limit_usd": 5, "window": "month"} | fields).items())
        return budgets(tmp_path, f'[[budgets]]\nscope = "all"\n{lines}')[0].id

    first = id_of()
    assert id_of(limit_usd=9) == id_of(mode="strict") == id_of(window="Month") == first
    assert len({first, id_of(window="day"), id_of(timezone="Asia/Tokyo")}) == 3
    assert first.startswith("file-")
    assert "|" not in first
    assert "@" not in first


def test_budgets_that_look_alike_are_two(tmp_path):
    one = '[[budgets]]\nscope = "all"\nlimit_usd = 5\n'
    first, second = budgets(tmp_path, one + one.replace("5", "9"))
    assert second.id == f"{first.id}-2"


def test_a_key_may_have_a_budget_and_limits_of_its_own(tmp_path):
    text = KEY + 'budget = "20/month"\nrpm = 60\nparallel = 4\n'
    settings = load(tmp_path, text).settings
    (found,) = settings.budget_values()
    assert (found.scope, found.limit, found.window, found.unit, found.origin) == (
        Scope("key", "ci"),
        20 * 10**9,
        WindowRule("month"),
        "usd",
        "file",
    )
    (key,) = settings.managed_keys()
    assert key.limits == KeyLimits(60, None, 4)


def test_a_key_without_limits_has_none(tmp_path):
    (key,) = load(tmp_path, KEY).settings.managed_keys()
    assert key.limits is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('scope = "all"', "faregate.toml:1: budgets.0: set limit_usd, limit_tokens or limit_requests"),
        ('scope = "all"\nlimit_usd = 1\nlimit_tokens = 2', "limit_usd and limit_tokens are both set; keep one"),
        ("limit_usd = 1", "budgets.0.scope: it must be set"),
        ('scope = "kye:ci"\nlimit_usd = 1', "did you mean 'key'?"),
        ('scope = "key"\nlimit_usd = 1', "budgets.0.scope: write `key:NAME` for one, or `each key`"),
        ('scope = "all"\nlimit_ust = 1', "there is no setting budgets.0.limit_ust; did you mean budgets.0.limit_usd?"),
        ('scope = "all"\nlimit_usd = "much"', "budgets.0.limit_usd: write an amount of US dollars"),
        ('scope = "all"\nlimit_usd = -1', "budgets.0.limit_usd: an amount is from 0 to 9,000,000 US dollars"),
        ('scope = "all"\nlimit_usd = 10000000', "budgets.0.limit_usd: an amount is from 0 to 9,000,000 US dollars"),
        ('scope = "all"\nlimit_usd = 1\nwindow = "moth"', "did you mean 'month'?"),
        ('scope = "all"\nlimit_usd = 1\ntimezone = "Paris"', "budgets.0.timezone: there is no time zone 'Paris'"),
        ('scope = "all"\nlimit_usd = 1\nanchor = 32', "budgets.0.anchor"),
        ('scope = "all"\nlimit_usd = 1\nwindow = "week"\nanchor = 8', "the anchor of a week is a day from 1"),
        ('scope = "all"\nlimit_usd = 1\nmode = "hard"', "budgets.0.mode: 'strict', 'balanced' or 'soft'"),
        ('scope = "all"\nlimit_usd = 1\nwarn_at = [1.5]', "budgets.0.warn_at: write shares of the limit"),
        ('scope = "all"\nlimit_usd = 1\nunpriced = "maybe"', 'budgets.0.unpriced: write "deny", "allow", or an amount'),
        ('scope = "all"\nlimit_usd = 1\nstatus = 403', "budgets.0.status: 429 or 402"),
        ('scope = "project:x"\nlimit_usd = 1', "budgets.0.scope: there is no project 'x'; add [projects.x]"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(tmp_path, text, line):
    found = problems(tmp_path, f"[[budgets]]\n{text}\n")
    assert len(found) == 1, found
    assert line in found[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('budget = "20/moth"', "keys.ci.budget: a window is hour, day"),
        ("budget = 20", 'keys.ci.budget: write a budget such as "20/month"'),
        ("rpm = 0", "keys.ci.rpm"),
    ],
)
def test_a_keys_limits_are_checked(tmp_path, text, said):
    (found,) = problems(tmp_path, KEY + text)
    assert said in found


def test_the_default_mode_and_limits_are_those_of_a_budget():
    made, plain = (
        BudgetSettings(scope="all", limit_usd=1).value(),
        Budget("", Scope("all"), 10**9, WindowRule("month"), origin="file"),
    )
    assert made == plain
