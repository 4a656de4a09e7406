"""What a call holds, in each mode; what is refused; and what becomes of holds."""

import asyncio
import json
from dataclasses import replace

import pytest

from domain.budgets import LimitRaise
from domain.errors import BudgetExceeded, BudgetInFlight, BudgetUnavailable, InvalidRequest
from domain.holds import read_hold
from domain.ledger import Standing
from gateway.budgets.amounts import MOST_HELD
from gateway.budgets.emergency import Emergency
from gateway.budgets.holding import LEASE_SECONDS
from gateway.budgets.refusals import REMAINING, WARNING
from tests.gateway.holding_parts import DEAR, KEY, NOON, OWN, Switched, budget, cost, house, spend


def run(coroutine):
    return asyncio.run(coroutine)


def standing(made, holding, place=0):
    counter = holding.claims()[place].counter
    return made.ledger.standings([counter], now=made.clock()).get(counter, Standing(0, 0))


def header(holding, name):
    return dict(holding.headers()).get(name.encode(), b"").decode()


# Who is concerned


def test_a_call_that_no_budget_could_match_is_of_no_concern():
    made = house(budget("key:other"), budget("project:other"))
    assert not made.holdings.concerns(KEY)
    assert house(budget("each customer")).holdings.concerns(KEY)
    assert not house().holdings.concerns(KEY)


def test_a_call_that_no_budget_matches_holds_nothing():
    made = house(budget("customer:acme"))
    holding = run(made.holdings.admit(made.asking(customer="other")))
    assert (holding.text, holding.headers(), holding.held) == (None, [], False)


def test_all_budgets_that_match_hold_or_none():
    made = house(budget("all", 10**6), budget("customer:acme", 10**6), budget("project:search", 100))
    asking = made.asking(customer="acme")
    with pytest.raises(BudgetExceeded) as caught:
        run(made.holdings.admit(asking))
    assert "Budget 'project:search'" in caught.value.message
    assert not made.ledger._holds


def test_each_customer_has_a_sum_of_its_own():
    made = house(budget("each customer", 500))
    run(made.holdings.admit(made.asking(customer="acme")))
    with pytest.raises(BudgetInFlight, match="'customer:acme'"):
        run(made.holdings.admit(made.asking(customer="acme")))
    assert run(made.holdings.admit(made.asking(customer="other"))).held


# How much is held


def test_strict_holds_the_most_that_the_call_can_cost():
    made = house(budget())
    asking = made.asking()
    holding = run(made.holdings.admit(asking))
    assert holding.amounts == [cost(asking)]
    assert standing(made, holding) == Standing(0, cost(asking))
    assert read_hold(holding.text).id == asking.id
    assert read_hold(holding.text).claims[0].amount == cost(asking)
    assert not holding.metered


def test_tokens_and_requests_are_held_beside_money():
    made = house(
        budget("all", 10**6, id="1"), budget("all", 10**6, id="2", unit="tokens"), budget("all", 10, id="3", unit="requests")
    )
    asking = made.asking()
    holding = run(made.holdings.admit(asking))
    assert holding.amounts == [cost(asking), len(asking.body) + 100, 1]
    assert [claim.unit for claim in read_hold(holding.text).claims] == ["usd", "tokens", "requests"]


def test_balanced_holds_a_slice_of_a_stream_and_is_metered():
    made = house(budget(limit=10**9, mode="balanced"))
    asking = made.asking(stream=True, max_tokens=50_000)
    holding = run(made.holdings.admit(asking))
    assert holding.amounts == [cost(asking, 1_000)]
    assert holding.metered


def test_balanced_holds_the_whole_bound_of_an_answer_that_does_not_stream():
    made = house(budget(limit=10**9, mode="balanced"))
    asking = made.asking(max_tokens=50_000)
    assert run(made.holdings.admit(asking)).amounts == [cost(asking, 50_000)]


def past_of(name):
    """Such calls of this key cost 2,000 nano-USD."""
    return lambda key, known_as: {("key-ci", name): 2_000}.get((key, known_as))


def test_what_calls_cost_before_is_known_by_where_they_went_and_as_what():
    """Else a route to a dear model would hold what the cheap one that was asked for costs."""
    made = house(budget(limit=10**9, mode="balanced"), past_cost=past_of("own/m"))
    asking = replace(made.asking(max_tokens=50_000), sent_as="m-large")
    holding = run(made.holdings.admit(asking))
    assert holding.amounts == [cost(asking, 50_000)]
    run(made.holdings.cover(holding, OWN, "m", sent=False))
    assert holding.this_try == (3_000,)
    run(made.holdings.cover(holding, DEAR, "m", sent=False))
    assert holding.this_try == (cost(asking, 50_000, rate=10),)


def test_balanced_holds_half_as_much_again_as_such_calls_cost_before():
    made = house(budget(limit=10**9, mode="balanced"), past_cost=past_of("own/m"))
    plain, streamed = made.asking(max_tokens=50_000), made.asking(max_tokens=50_000, stream=True)
    assert [run(made.holdings.admit(one)).amounts for one in (plain, streamed)] == [[3_000], [3_000]]
    small = made.asking(max_tokens=10)
    assert run(made.holdings.admit(small)).amounts == [cost(small, 10)]


@pytest.mark.parametrize("mode", ["soft", "strict"])
def test_a_call_that_asks_for_more_than_can_be_counted_holds_more_than_any_limit_and_no_more(mode):
    made = house(budget(limit=9 * 10**15, mode=mode))
    asking = made.asking(upstream=DEAR, max_tokens=2**52, n=128)
    if mode == "strict":
        with pytest.raises(BudgetExceeded):
            run(made.holdings.admit(asking))
    else:
        assert run(made.holdings.admit(asking)).amounts == [MOST_HELD]


def test_soft_never_blocks_and_tells():
    made = house(budget(limit=100, mode="soft"))
    first = run(made.holdings.admit(made.asking()))
    spend(made, first, 90)
    second = run(made.holdings.admit(made.asking()))
    assert header(first, WARNING).endswith(";passed=1")
    assert header(second, WARNING).startswith("key:ci;limit=0.0000001;spent=0.00000009;held=")
    assert read_hold(second.text).claims[0].amount


@pytest.mark.parametrize(("spent", "passed"), [(400, ""), (500, "0.5"), (799, "0.5"), (800, "0.8"), (950, "0.95")])
def test_a_threshold_that_is_passed_is_in_a_header(spent, passed):
    made = house(budget(limit=1_000 + 10**6, warn_at=(0.5, 0.8, 0.95)))
    first = run(made.holdings.admit(made.asking()))
    spend(made, first, spent * (1_000 + 10**6) // 1_000)
    if spent == 950:
        assert header(run(made.holdings.admit(made.asking())), WARNING).endswith("passed=0.95")
    else:
        found = header(run(made.holdings.admit(made.asking())), WARNING)
        assert found.rpartition("=")[2] == passed


def test_what_remains_is_the_least_of_all_budgets_of_money():
    made = house(budget("all", 5 * 10**9), budget("key:ci", 2 * 10**9), budget("all", 10**6, id="t", unit="tokens"))
    asking = made.asking()
    holding = run(made.holdings.admit(asking))
    assert header(holding, REMAINING) == f"1.{10**9 - cost(asking):09d}"


def test_a_limit_that_was_raised_for_a_time_holds_in_those_windows():
    raised = budget(limit=100, raises=(LimitRaise(10_000, int(NOON) - 40 * 86_400),))
    assert run((made := house(raised)).holdings.admit(made.asking())).held


# What is refused


def test_a_refusal_says_what_is_spent_and_held_and_when_it_ends():
    made = house(budget(limit=10**9))
    spent = run(made.holdings.admit(made.asking()))
    spend(made, spent, 980_000_000)
    held = made.asking("x", max_tokens=5_000_000)
    run(made.holdings.admit(held))
    asking = made.asking("x", max_tokens=15_000_000)
    with pytest.raises(BudgetExceeded) as caught:
        run(made.holdings.admit(asking))
    error = caught.value
    assert error.message == (
        f"Budget 'key:ci' would be exceeded: limit $1.00, spent $0.98, held $0.{cost(held, 5_000_000):09d}".rstrip("0")
        + f", this request up to $0.{cost(asking, 15_000_000):09d}".rstrip("0")
        + ". Resets 2026-12-01T00:00Z. Lower max_tokens or raise the budget."
    )
    assert (error.status, error.type, error.code, error.retry, error.retry_after) == (
        429,
        "insufficient_quota",
        "insufficient_quota",
        False,
        None,
    )
    shown = dict(error.headers)["x-faregate-budget"]
    assert shown.startswith("key:ci;limit=1.00;spent=0.98;held=0.01")
    assert shown.endswith(";resets=2026-12-01T00:00:00Z")


@pytest.mark.parametrize(
    ("window", "end"),
    [("total", "It never resets."), ("rolling:24h", "falls out of it bit by bit"), ("day", "Resets 2026-11-22T00:00Z.")],
)
def test_a_refusal_says_when_its_window_ends(window, end):
    made = house(budget(limit=10, window=window))
    with pytest.raises(BudgetExceeded, match="would be exceeded") as caught:
        run(made.holdings.admit(made.asking()))
    assert end in caught.value.message


def test_what_would_fit_once_running_calls_are_settled_may_be_tried_again():
    made = house(budget(limit=500))
    run(made.holdings.admit(made.asking()))
    with pytest.raises(BudgetInFlight) as caught:
        run(made.holdings.admit(made.asking()))
    error = caught.value
    assert (error.code, error.status, error.retry) == ("budget_in_flight", 429, True)
    assert int(dict(error.headers)["retry-after-ms"]) <= 2_000
    assert "Calls that are running hold the rest" in error.message


def test_a_budget_may_refuse_with_402():
    made = house(budget(limit=10, status=402))
    with pytest.raises(BudgetExceeded) as caught:
        run(made.holdings.admit(made.asking()))
    assert (caught.value.status, caught.value.code) == (402, "insufficient_quota")


def test_a_refused_call_changes_nothing():
    made = house(budget(limit=500))
    first = run(made.holdings.admit(made.asking()))
    before = standing(made, first)
    with pytest.raises(BudgetInFlight):
        run(made.holdings.admit(made.asking()))
    assert standing(made, first) == before
    assert made.holdings.open == 1


def test_one_call_may_not_cost_more_than_one_call_may():
    made = house(budget(limit=10**9, per_call=300))
    assert run(made.holdings.admit(made.asking("x", max_tokens=10))).held
    with pytest.raises(BudgetExceeded, match=r"allows \$0.0000003 for one call"):
        run(made.holdings.admit(made.asking(max_tokens=1_000)))


def test_what_cannot_be_read_in_one_way_is_refused():
    made = house(budget())
    with pytest.raises(InvalidRequest, match="whole number"):
        run(made.holdings.admit(made.asking(max_tokens=True)))


# What has no price, and what costs nothing


@pytest.mark.parametrize("mode", ["strict", "balanced"])
def test_a_model_without_a_price_is_denied_under_a_hard_budget(mode):
    made = house(budget(mode=mode))
    with pytest.raises(BudgetExceeded, match="cannot hold what model 'unheard-of' may cost: the model has no known price"):
        run(made.holdings.admit(made.asking(model="unheard-of")))


def test_a_model_without_a_price_holds_what_the_budget_says():
    made = house(budget(unpriced=300))
    holding = run(made.holdings.admit(made.asking(model="unheard-of")))
    assert holding.amounts == [300]
    with pytest.raises(BudgetInFlight):
        [run(made.holdings.admit(made.asking(model="unheard-of"))) for _ in range(5)]


def test_a_model_without_a_price_may_be_allowed_or_only_counted():
    for one in (budget(unpriced="allow"), budget(mode="soft"), budget(unit="requests", limit=5)):
        made = house(one)
        assert run(made.holdings.admit(made.asking(model="unheard-of"))).held


def test_what_nothing_bounds_is_denied_where_overspending_must_be_impossible():
    searching = {"tools": [{"type": "web_search"}], "max_tokens": 100}
    strict, balanced, flat = house(budget()), house(budget(limit=10**9, mode="balanced")), house(budget(unpriced=400))
    with pytest.raises(BudgetExceeded, match="'web_search' has fees that nothing bounds"):
        run(strict.holdings.admit(strict.asking(**searching)))
    assert run(balanced.holdings.admit(balanced.asking(max_tokens=100, tools=searching["tools"]))).held
    assert run(flat.holdings.admit(flat.asking(**searching))).amounts == [400]


@pytest.mark.parametrize("mode", ["strict", "balanced"])
def test_work_that_is_only_started_is_denied(mode):
    made = house(budget(mode=mode))
    with pytest.raises(BudgetExceeded, match="whose cost is known only later"):
        run(made.holdings.admit(made.asking(path=b"/v1/fine_tuning/jobs")))


def test_a_batch_is_charged_when_it_is_fetched_unless_overspending_must_be_impossible():
    balanced, strict = house(budget(mode="balanced")), house(budget())
    assert run(balanced.holdings.admit(balanced.asking(path=b"/v1/batches"))).amounts == [0]
    with pytest.raises(BudgetExceeded):
        run(strict.holdings.admit(strict.asking(path=b"/v1/batches")))


def test_a_free_model_is_admitted_even_when_the_budget_is_spent():
    made = house(budget(limit=300))
    spend(made, run(made.holdings.admit(made.asking(max_tokens=10))), 900)
    holding = run(made.holdings.admit(made.asking(model="free")))
    assert (holding.amounts, holding.held) == ([0], True)


def test_a_free_model_that_falls_back_to_a_paid_one_passes_no_spent_budget():
    made = house(budget(limit=300))
    spend(made, run(made.holdings.admit(made.asking(max_tokens=10))), 900)
    holding = run(made.holdings.admit(made.asking(model="free")))
    with pytest.raises(BudgetExceeded, match="spent"):
        run(made.holdings.cover(holding, DEAR, "m", sent=True))


# Further tries


def test_a_further_try_is_held_at_the_price_of_who_is_really_called():
    made = house(budget(limit=10**6))
    asking = made.asking()
    holding = run(made.holdings.admit(asking))
    run(made.holdings.cover(holding, DEAR, "m", sent=True))
    assert holding.amounts == [cost(asking) + cost(asking, rate=10)]
    assert standing(made, holding).held == cost(asking) * 11


def test_a_try_that_was_never_sent_is_only_held_once():
    made = house(budget(limit=10**6))
    asking = made.asking()
    holding = run(made.holdings.admit(asking))
    run(made.holdings.cover(holding, DEAR, "m", sent=False))
    assert holding.amounts == [cost(asking, rate=10)]
    run(made.holdings.cover(holding, DEAR, "m", sent=False))
    assert holding.amounts == [cost(asking, rate=10)]


def test_a_further_try_that_does_not_fit_is_refused():
    made = house(budget(limit=1_000))
    holding = run(made.holdings.admit(made.asking()))
    with pytest.raises(BudgetExceeded, match="would be exceeded"):
        run(made.holdings.cover(holding, DEAR, "m", sent=True))
    assert standing(made, holding).held == holding.amounts[0]


def test_a_request_counts_once_however_often_it_is_tried():
    made = house(budget("all", 10**6, id="1"), budget("all", 10, id="2", unit="requests"))
    holding = run(made.holdings.admit(made.asking()))
    run(made.holdings.cover(holding, DEAR, "m", sent=True))
    assert holding.amounts[1] == 1


# Streams


def test_a_stream_is_topped_up_to_what_it_can_cost_and_no_further():
    made = house(budget(limit=10**6, mode="balanced"))
    asking = made.asking(stream=True, max_tokens=2_500)
    holding = run(made.holdings.admit(asking))
    assert holding.enough_for(1_000)
    assert not holding.enough_for(1_001)
    run(made.holdings.more(holding))
    assert holding.enough_for(2_000)
    run(made.holdings.more(holding))
    assert holding.amounts == [cost(asking, 2_500)]
    run(made.holdings.more(holding))
    assert holding.amounts == [cost(asking, 2_500)]
    assert not holding.metered
    assert standing(made, holding).held == cost(asking, 2_500)


def test_a_slice_that_does_not_fit_is_refused():
    made = house(budget(limit=3_000, mode="balanced"))
    holding = run(made.holdings.admit(made.asking(stream=True, max_tokens=2_500)))
    with pytest.raises((BudgetExceeded, BudgetInFlight)):
        run(made.holdings.more(holding))


# Clamping


def test_a_budget_that_clamps_lowers_the_output_to_what_is_left():
    made = house(budget(limit=1_000, clamp=True))
    asking = made.asking(max_tokens=5_000)
    holding = run(made.holdings.admit(asking))
    most = (1_000 - len(asking.body)) // 2
    assert (holding.clamp.shown, holding.clamp.most, holding.changes) == ("max_tokens", most, ("max_tokens",))
    assert holding.amounts == [cost(asking, most)]
    assert header(holding, "x-faregate-budget-clamped") == f"max_tokens={most}"


def test_an_answer_too_short_to_be_one_is_refused_instead():
    input_cost = len(house().asking(max_tokens=5_000).body)
    made = house(budget(limit=input_cost + 2 * 15, clamp=True))
    with pytest.raises(BudgetExceeded):
        run(made.holdings.admit(made.asking(max_tokens=5_000)))


def test_what_one_call_may_cost_clamps_too():
    made = house(budget(limit=10**9, per_call=1_000, clamp=True))
    holding = run(made.holdings.admit(made.asking(max_tokens=5_000)))
    assert holding.clamp is not None
    assert holding.bound.nano <= 1_000


def test_several_budgets_clamp_to_the_least():
    made = house(budget("all", 2_000, id="1", clamp=True), budget("key:ci", 1_000, id="2", clamp=True))
    holding = run(made.holdings.admit(made.asking(max_tokens=5_000)))
    assert holding.bound.nano <= 1_000


# Counting tokens


def test_tokens_are_only_counted_where_bytes_do_not_fit():
    asked = []

    async def count(body, model):
        asked.append((json.loads(body)["messages"], model))
        return 200

    made = house(budget(limit=1_000), count=count)
    assert run(made.holdings.admit(made.asking(max_tokens=10))).held
    assert asked == []
    holding = run(made.holdings.admit(made.asking("x" * 2_000, max_tokens=100)))
    assert asked == [(["x" * 2_000], "m")]
    assert holding.amounts == [200 + 200]


@pytest.mark.parametrize("tokens", [None, 5_000])
def test_a_count_that_does_not_help_refuses(tokens):
    async def count(_body, _model):
        return tokens

    made = house(budget(limit=1_000), count=count)
    with pytest.raises(BudgetExceeded):
        run(made.holdings.admit(made.asking("x" * 2_000)))


# Ends, leases, and a ledger that is away


def test_a_call_that_was_never_sent_gives_its_hold_back():
    async def story():
        made = house(budget())
        holding = await made.holdings.admit(made.asking())
        made.holdings.end(holding, sent=False)
        await made.holdings.settled()
        return standing(made, holding), made.holdings.open

    assert run(story()) == (Standing(0, 0), 0)


def test_a_caller_that_leaves_while_the_ledger_is_asked_leaves_nothing_held():
    class Slow(Switched):
        """A ledger that holds, and answers later."""

        async def hold(self, hold, claims, *, now, lease):
            answer = await super().hold(hold, claims, now=now, lease=lease)
            await asyncio.sleep(3_600)
            return answer

    async def story():
        made = house(budget(), ledger=Slow())
        asking = asyncio.ensure_future(made.holdings.admit(made.asking()))
        await asyncio.sleep(0)
        held = len(made.ledger._holds)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await made.holdings.settled()
        return held, len(made.ledger._holds), made.holdings.open

    assert run(story()) == (1, 0, 0)


def test_a_call_that_was_sent_is_the_offices_to_settle():
    async def story():
        made = house(budget())
        holding = await made.holdings.admit(made.asking())
        made.holdings.end(holding, sent=True)
        await made.holdings.settled()
        return standing(made, holding).held == holding.amounts[0], made.holdings.open

    assert run(story()) == (True, 0)


def test_open_holds_are_renewed():
    made = house(budget(limit=10**6))
    holding, ended = run(made.holdings.admit(made.asking())), run(made.holdings.admit(made.asking()))
    made.holdings.end(ended, sent=True)
    made.clock.now += LEASE_SECONDS - 1
    run(made.holdings.renew())
    made.clock.now += 2
    assert made.ledger.expire(now=made.clock()) == [ended.name]
    assert standing(made, holding).held == holding.amounts[0]


def test_a_ledger_that_was_lost_hears_of_running_calls_again():
    made = house(budget(limit=10**6))
    asking = made.asking()
    holding = run(made.holdings.admit(asking))
    run(made.holdings.cover(holding, DEAR, "m", sent=True))
    made.ledger.lose()
    made.ledger.rebuild([], {}, now=made.clock(), lease=LEASE_SECONDS)
    run(made.holdings.renew())
    assert standing(made, holding).held == cost(asking) * 11


@pytest.mark.parametrize("what", ["closed", "slice"])
def test_while_the_ledger_is_away_nothing_is_spent_that_is_not_set_aside(what):
    made = house(budget(when_ledger_is_down=what))
    made.ledger.away = True
    with pytest.raises(BudgetUnavailable) as caught:
        run(made.holdings.admit(made.asking()))
    assert (caught.value.status, caught.value.code, caught.value.retry) == (503, "budget_unavailable", True)


def test_a_budget_may_let_calls_pass_while_the_ledger_is_away_and_they_are_recorded():
    made = house(budget(when_ledger_is_down="open"))
    made.ledger.away = True
    holding = run(made.holdings.admit(made.asking()))
    assert read_hold(holding.text).claims[0].amount == holding.amounts[0]
    made.ledger.away = False
    run(made.holdings.renew())
    assert standing(made, holding).held == holding.amounts[0]


def test_one_budget_that_is_closed_is_enough():
    made = house(budget("all", 10**6, when_ledger_is_down="open"), budget("key:ci", 10**6, when_ledger_is_down="closed"))
    made.ledger.away = True
    with pytest.raises(BudgetUnavailable, match="'key:ci'"):
        run(made.holdings.admit(made.asking()))


def test_a_soft_budget_lets_calls_pass_while_the_ledger_is_away():
    made = house(budget(mode="soft", when_ledger_is_down="closed"))
    made.ledger.away = True
    assert run(made.holdings.admit(made.asking())).text


def test_a_free_call_passes_while_the_ledger_is_away():
    made = house(budget(when_ledger_is_down="closed"))
    made.ledger.away = True
    assert run(made.holdings.admit(made.asking(model="free"))).held


def test_a_slice_that_was_leased_before_is_spent_and_no_more():
    made = house(budget(limit=10_000, when_ledger_is_down="slice"), emergency=Emergency("gate-1"))
    first = run(made.holdings.admit(made.asking()))
    run(made.holdings.renew())
    leased = standing(made, first).held - first.amounts[0]
    # Four such calls would be more than a tenth of what is left: a tenth it is.
    assert leased == (10_000 - first.amounts[0]) // 10
    made.ledger.away = True
    passed = [run(made.holdings.admit(made.asking("x"))) for _ in range(leased // cost(made.asking("x")))]
    with pytest.raises(BudgetUnavailable):
        run(made.holdings.admit(made.asking("x")))
    assert passed
    made.ledger.away = False
    run(made.holdings.renew())
    # The calls are held by themselves, and the slice is given back.
    assert standing(made, first).held == first.amounts[0] + sum(one.amounts[0] for one in passed)


def test_a_gate_that_stops_gives_its_slices_back():
    emergency = Emergency("gate-1")
    made = house(budget(limit=10_000), emergency=emergency)
    first = run(made.holdings.admit(made.asking()))
    run(made.holdings.renew())
    assert standing(made, first).held > first.amounts[0]
    run(emergency.give_back(made.ledger, made.clock()))
    assert standing(made, first).held == first.amounts[0]


def test_what_could_not_be_given_back_at_once_is_given_back_when_the_ledger_is_there_again():
    async def story():
        made = house(budget(limit=1_000))
        asking = made.asking()
        holding = await made.holdings.admit(asking)
        made.ledger.away = True
        made.holdings.end(holding, sent=False)
        await asyncio.sleep(0)
        made.ledger.away = False
        await made.holdings.settled()
        return (await made.holdings.admit(made.asking())).standings[0], cost(asking)

    standing, once = asyncio.run(story())
    assert (standing.spent, standing.held) == (0, once)
