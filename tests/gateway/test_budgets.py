"""The gate's snapshot of budgets, and the bounds of calls at real prices."""

from dataclasses import replace

import pytest

from domain.budgets import LimitRaise, Subject
from domain.exchange import Attempt
from domain.keys import ApiKey
from domain.upstreams import Upstream
from gateway.budgets.bounding import LONGEST_KNOWN, Bounding
from gateway.budgets.in_force import Budgets
from gateway.budgets.past_costs import Lookup
from gateway.budgets.second_look import requested
from pricing.book import PriceBook
from recorder.past_costs import CALLS, LEAST_CALLS, PastCosts
from storage.budget_file import load_budgets, save_budgets
from storage.past_costs import load_past_costs, save_past_costs
from tests.dashboard.spans import span
from tests.gateway.holding_parts import KEY, NOON, OWN, PRICES, budget

SUBJECT = Subject("ci", "search", "acme", {}, "m", "own")
OPENAI = Upstream("openai", "https", "api.openai.com", 443, "/v1")
SIM = Upstream("sim", "sim", "sim", 0, "")
FILE = replace(budget("all", id="file-1"), origin="file")
STORED = budget("key:ci", id="b-1")


def test_budgets_are_written_and_read_back(tmp_path):
    budgets = [replace(STORED, unpriced=5, raises=(LimitRaise(5, 1, 2),)), budget("each tag:team", window="rolling:24h")]
    save_budgets(tmp_path / "budgets.json", budgets)
    assert load_budgets(tmp_path / "budgets.json") == budgets
    assert load_budgets(tmp_path / "none.json") == []


def test_a_file_that_is_none_is_not_taken(tmp_path):
    (tmp_path / "budgets.json").write_text('[{"id": 1}]')
    with pytest.raises(ValueError, match="cannot be read as budgets"):
        load_budgets(tmp_path / "budgets.json")


def test_a_budget_holds_as_soon_as_its_file_is_read(tmp_path):
    path = tmp_path / "budgets.json"
    budgets = Budgets(path, [FILE])
    assert budgets.of_key(KEY) == (FILE,)
    assert not budgets.refresh()
    save_budgets(path, [STORED])
    assert budgets.refresh()
    assert budgets.of_key(KEY) == (FILE, STORED)
    save_budgets(path, [])
    budgets.refresh()
    assert budgets.of_key(KEY) == (FILE,)


def test_a_broken_file_leaves_the_last_budgets(tmp_path):
    path = tmp_path / "budgets.json"
    save_budgets(path, [STORED])
    budgets = Budgets(path, [FILE])
    path.write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        budgets.refresh()
    assert budgets.of_key(KEY) == (FILE, STORED)


def test_the_settings_budgets_are_theirs_but_for_what_was_added_to_their_limits(tmp_path):
    path = tmp_path / "budgets.json"
    raises = (LimitRaise(500, 0),)
    save_budgets(path, [replace(FILE, limit=1, raises=raises)])
    (found,) = Budgets(path, [FILE]).of_key(KEY)
    assert (found.limit, found.raises) == (FILE.limit, raises)


def test_a_key_that_changed_is_looked_at_anew(tmp_path):
    budgets = Budgets(tmp_path / "none", [budget("project:search")])
    assert budgets.of_key(KEY)
    assert not budgets.of_key(replace(KEY, project="other"))


def test_windows_go_on_with_the_time(tmp_path):
    budgets = Budgets(tmp_path / "none", [budget("all", window="hour")])
    starts = [budgets.applied(budgets.all, SUBJECT, NOON + later)[0].window.start - NOON for later in (0, 3_599, 3_600, 0)]
    assert starts == [0, 0, 3_600, 0]


def test_every_gate_claims_in_the_same_order(tmp_path):
    several = [budget("all", id=name) for name in ("c", "a", "b")]
    budgets = Budgets(tmp_path / "none", several)
    assert [one.budget.id for one in budgets.applied(budgets.all, SUBJECT, NOON)] == ["a", "b", "c"]


def bound(body, model, upstream=OPENAI):
    wanted = requested(
        method=b"POST", path=b"/v1/chat/completions", body=body, whole=True, length=None, upstream=upstream.name, model=model
    )
    return Bounding(PriceBook.packaged()).bound(wanted, upstream, model, KEY, NOON)


def test_a_call_is_bound_at_the_prices_of_the_list():
    body = b'{"service_tier":"default","max_tokens":100,"messages":"%b"}' % (b"x" * 943)
    assert len(body) == 1_000
    # gpt-4o-mini: $0.15 and $0.60 for a million: 1,000 x 150 + 100 x 600 nano-USD
    assert bound(body, "gpt-4o-mini").nano == 150_000 + 60_000
    # Where the tier is open, priority counts: $0.25 and $1.00 for a million.
    assert bound(body.replace(b"default", b"auto   "), "gpt-4o-mini").nano > bound(body, "gpt-4o-mini").nano


def test_a_model_that_nobody_knows_has_no_price():
    found = bound(b'{"max_tokens":5}', "unheard-of")
    assert (found.nano, found.unpriced) == (None, True)


def test_the_dearest_of_the_models_that_may_answer_counts():
    one, several = bound(b'{"max_tokens":500}', "gpt-4o-mini"), bound(b'{"max_tokens":500,"models":["gpt-4o"]}', "gpt-4o-mini")
    assert several.nano > 10 * one.nano
    assert bound(b'{"max_tokens":500,"models":["unheard-of"]}', "gpt-4o-mini").nano is None


def test_what_is_simulated_costs_nothing_and_has_tokens():
    found = bound(b'{"max_tokens":5}', "chat", SIM)
    assert (found.nano, found.tokens) == (0, 16 + 5)


def test_other_prices_hold_as_soon_as_they_are_taken():
    bounding = Bounding(PriceBook.packaged())
    wanted = requested(
        method=b"POST", path=b"/v1/chat/completions", body=b'{"max_tokens":5}', whole=True, length=None, upstream="own", model="m"
    )
    assert bounding.bound(wanted, OWN, "m", KEY, NOON).unpriced
    bounding.take(PriceBook.packaged().with_overrides(PRICES))
    assert bounding.bound(wanted, OWN, "m", KEY, NOON).nano == 16 + 2 * 5


def test_prices_of_a_model_that_nobody_has_are_not_remembered():
    bounding = Bounding(PriceBook.packaged())
    wanted = requested(
        method=b"POST", path=b"/v1/chat/completions", body=b"{}", whole=True, length=None, upstream="own", model="m"
    )
    for length in (LONGEST_KNOWN, LONGEST_KNOWN + 1):
        assert bounding.bound(wanted, OWN, "m" * length, KEY, NOON).unpriced
    assert [len(name[1]) for name in bounding._known] == [LONGEST_KNOWN]


def spent(nano, **fields):
    return replace(span(), cost=nano * 1_000, cost_status="exact", **{"key": "key-ci", "upstream": "own", "model": "m"} | fields)


def test_what_calls_cost_is_known_when_there_are_enough():
    costs = PastCosts()
    costs.note([spent(10)] * (LEAST_CALLS - 1))
    assert costs.known() == {}
    costs.note([spent(10)])
    assert costs.changed
    assert costs.known() == {("key-ci", "own/m"): 10}
    assert not costs.changed


def test_one_of_a_hundred_calls_may_cost_more_and_only_the_last_count():
    costs = PastCosts()
    costs.note([spent(9)] * CALLS)
    costs.note([spent(amount) for amount in range(1, CALLS + 1)])
    # Of 200 calls the 198th.
    assert costs.known() == {("key-ci", "own/m"): 198}


def test_calls_of_one_model_are_told_apart_by_where_they_went_and_as_what():
    costs = PastCosts()
    renamed = (Attempt("own", "1", 0, 503), Attempt("own", "1", 0, 200, model="m-large"))
    costs.note([spent(1), spent(10, upstream="dear"), spent(100, attempts=renamed)] * LEAST_CALLS)
    assert costs.known() == {("key-ci", "own/m"): 1, ("key-ci", "dear/m"): 10, ("key-ci", "own/m-large"): 100}


def test_calls_that_cost_nothing_or_nobody_knows_what_say_nothing():
    costs = PastCosts()
    costs.note([spent(0), replace(spent(1), cost=None), spent(1, model=None)] * CALLS)
    assert (costs.known(), costs.changed) == ({}, False)


def test_the_gate_knows_what_the_office_wrote(tmp_path):
    path = tmp_path / "past-costs.json"
    lookup = Lookup(path)
    assert (lookup.refresh(), lookup.refresh(), lookup("key-ci", "own/m")) == (True, False, None)  # there is none yet
    save_past_costs(path, {("key-ci", "own/m"): 198})
    assert load_past_costs(path) == {("key-ci", "own/m"): 198}
    assert (lookup.refresh(), lookup.refresh(), lookup("key-ci", "own/m"), lookup("key-ci", None)) == (True, False, 198, None)
    path.write_text("[1]")
    with pytest.raises(ValueError, match="cannot be read as costs"):
        lookup.refresh()
    assert lookup("key-ci", "own/m") == 198


def test_a_pass_through_key_falls_under_budgets_of_everybody(tmp_path):
    brought = ApiKey("pt-1", "pass-through-1", "x", "pass_through")
    budgets = Budgets(tmp_path / "none", [FILE, budget("each key"), budget("key:ci")])
    assert len(budgets.of_key(brought)) == 2
