import asyncio

import pytest

from domain.budgets import KeyLimits
from domain.errors import RateLimited
from domain.keys import ApiKey
from gateway.budgets.pace import Minute, Pace
from tests.gateway.holding_parts import KEY, NOON, Switched, house, limited

OTHER = ApiKey("key-other", "other", "y")


def run(coroutine):
    return asyncio.run(coroutine)


class Calls:
    """Calls of one key, at times that the test says."""

    def __init__(self, *, shared=None, **limits):
        self.pace = Pace(shared)
        self.key = limited(KEY, KeyLimits(**limits))
        self.number = 0

    def call(self, now, tokens=10, key=None):
        self.number += 1
        return run(self.pace.admit(key or self.key, f"call-{id(self)}-{self.number}", tokens, NOON + now))


def refused(calls, now, tokens=10):
    with pytest.raises(RateLimited) as caught:
        calls.call(now, tokens)
    return caught.value


def test_what_came_falls_out_after_a_minute():
    minute = Minute()
    minute.add(3, 1_000.9)
    minute.add(4, 1_030.0)
    assert [minute.sum(now) for now in (1_030.0, 1_059.9, 1_060.0, 1_089.9, 1_090.0, 9_999.0)] == [7, 7, 4, 4, 0, 0]


def test_a_clock_that_goes_back_forgets_nothing():
    minute = Minute()
    minute.add(3, 1_000.0)
    assert minute.sum(900.0) == 3
    minute.add(1, 950.0)
    assert minute.sum(1_001.0) == 4


def test_the_wait_is_until_enough_falls_out():
    minute = Minute()
    minute.add(5, 1_000.0)
    minute.add(5, 1_010.0)
    assert minute.seconds_until(1, 20, 1_011.5) == 0
    assert minute.seconds_until(1, 10, 1_011.5) == pytest.approx(1_060 - 1_011.5)
    assert minute.seconds_until(6, 10, 1_011.5) == pytest.approx(1_070 - 1_011.5)
    assert minute.seconds_until(99, 10, 1_011.5) == 60


def test_a_key_without_limits_is_not_counted():
    pace = Pace()
    assert not pace.limits(KEY)
    assert run(pace.admit(KEY, "c", 10, NOON)) is None
    pace.end(None, 0)


def test_requests_in_a_minute():
    calls = Calls(rpm=2)
    calls.call(0)
    calls.call(10)
    error = refused(calls, 20)
    assert (error.status, error.code, error.retry) == (429, "rate_limit_exceeded", True)
    assert error.retry_after == pytest.approx(40)
    assert dict(error.headers) == {
        "retry-after-ms": "40000",
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "40000ms",
    }
    assert error.message == "The key 'ci' may use 2 requests a minute: 2 are used. Try again in 40 s."
    assert calls.call(60)


def test_a_refused_call_counts_as_nothing():
    calls = Calls(rpm=1, parallel=9)
    calls.call(0)
    [refused(calls, 1) for _ in range(5)]
    assert calls.call(60)


def test_tokens_in_a_minute():
    calls = Calls(tpm=100)
    calls.call(0, 60)
    error = refused(calls, 1, 50)
    assert dict(error.headers)["x-ratelimit-remaining-tokens"] == "40"
    assert "and this call counts as 50" in error.message
    assert calls.call(1, 40)


def test_what_an_answer_was_longer_than_counted_counts_too():
    calls = Calls(tpm=100)
    calls.pace.end(calls.call(0, 10), 95)
    assert dict(refused(calls, 1, 10).headers)["x-ratelimit-remaining-tokens"] == "5"


def test_calls_at_once():
    calls = Calls(parallel=2)
    first = calls.call(0)
    calls.call(0)
    error = refused(calls, 1)
    assert "may have 2 calls running at once" in error.message
    calls.pace.end(first, 0)
    assert calls.call(1)


def test_keys_do_not_share_their_minutes():
    calls = Calls(rpm=1)
    calls.call(0)
    assert calls.call(0, key=limited(OTHER, KeyLimits(rpm=1)))


@pytest.mark.parametrize("limits", [{"rpm": 3}, {"tpm": 30}])
def test_several_gates_share_a_minute(limits):
    ledger = Switched()
    one, other = Calls(shared=ledger, **limits), Calls(shared=ledger, **limits)
    for calls in (one, other, one):
        calls.call(0)
    error = refused(other, 30)
    assert 0 < error.retry_after <= 60
    assert other.call(61)


def test_several_gates_share_the_places_of_running_calls():
    async def story():
        ledger = Switched()
        key = limited(KEY, KeyLimits(parallel=1))
        one, other = Pace(ledger), Pace(ledger)
        permit = await one.admit(key, "a", 1, NOON)
        with pytest.raises(RateLimited):
            await other.admit(key, "b", 1, NOON + 1)
        # Held as long as the call runs, whatever that takes.
        await one.renew(NOON + 50)
        ledger.expire(now=NOON + 100)
        with pytest.raises(RateLimited):
            await other.admit(key, "c", 1, NOON + 100)
        await one.give_back(permit, NOON + 101)
        assert await other.admit(key, "d", 1, NOON + 101)

    run(story())


def test_a_call_that_may_not_come_gives_its_place_back():
    ledger = Switched()
    calls = Calls(shared=ledger, rpm=1, parallel=5)
    calls.call(0)
    refused(calls, 1)
    assert sum(standing.held for name, standing in ledger.standings([f"pace|{KEY.id}@calls"], now=NOON + 1).items()) == 1


def test_while_the_ledger_is_away_each_gate_counts_for_itself():
    ledger = Switched()
    calls = Calls(shared=ledger, rpm=1)
    ledger.away = True
    calls.call(0)
    refused(calls, 1)


def test_a_call_that_a_budget_refuses_leaves_its_place():
    async def story():
        made = house()
        key = limited(KEY, KeyLimits(parallel=1))
        holding = await made.holdings.admit(made.asking(key=key))
        with pytest.raises(RateLimited):
            await made.holdings.admit(made.asking(key=key))
        made.holdings.end(holding, sent=True)
        assert await made.holdings.admit(made.asking(key=key))

    run(story())
