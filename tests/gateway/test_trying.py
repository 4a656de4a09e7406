"""Further tries: the next target at once, then again after a pause; and breakers, which leave out what fails and let one call find out."""

import asyncio
from random import Random

import pytest

from domain.routes import Retries
from domain.upstreams import Upstream
from gateway.sending.breakers import FAILURES_TO_BREAK, Breakers, asked_pause
from gateway.sending.outgoing import Credential
from gateway.sending.routes import Target
from gateway.sending.tries import Tries, moves_on
from gateway.wire.answer import Answer

MANY = 2_000


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def target(name: str, credential: str = "1") -> Target:
    return Target(Upstream(name, "http", "127.0.0.1", 9, "/v1"), Credential(credential, "secret"))


def answer(status: int, **headers: str) -> Answer:
    found = Answer(None, None, None)
    found.status = status
    found.headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return found


A, B, C = target("a"), target("b"), target("c")


def tries(
    *targets: Target, retries: Retries | None = None, breakers: Breakers | None = None, clock: Clock | None = None, seed: int = 1
):
    clock = clock or Clock()
    return Tries(targets, retries, breakers or Breakers(clock), Random(seed), clock)


# One after the other


def test_every_target_is_tried_once_at_once_and_then_nothing():
    found = tries(A, B, C)
    assert [found.after(A, answer(503)), found.after(B, None), found.after(C, answer(429))] == [B, C, None]
    assert found.pause == 0


def test_what_is_left_out_is_tried_after_the_others():
    clock = Clock()
    breakers = Breakers(clock)
    for _ in range(FAILURES_TO_BREAK):
        breakers.failed(B)
    found = tries(A, B, C, breakers=breakers, clock=clock)
    assert [found.after(A, None), found.after(C, None), found.after(B, None)] == [C, B, None]


def test_further_tries_come_after_all_targets_and_only_so_many():
    found = tries(A, B, retries=Retries(times=3))
    order = [found.after(A, answer(503)), found.after(B, answer(503))]
    assert found.pause > 0
    order += [found.after(order[-1], answer(503)), found.after(A, answer(503)), found.after(B, answer(503))]
    assert order[0] is B
    assert order[-1] is None
    assert len([one for one in order if one is not None]) == 1 + 3


def test_only_what_may_be_tried_again_is():
    found = tries(A, B, retries=Retries(statuses=frozenset({503}), times=5))
    assert found.after(A, answer(401)) is B
    assert found.after(B, answer(503)) is B
    assert found.after(B, answer(401)) is None


def test_what_gave_no_answer_is_tried_again():
    assert tries(A, retries=Retries(times=1)).after(A, None) is A


@pytest.mark.parametrize(
    ("status", "retries", "moves"),
    [
        (200, None, False),
        (400, None, False),
        (404, None, False),
        (422, None, False),
        (401, None, True),
        (503, None, True),
        (408, None, False),
        (408, Retries(statuses=frozenset({408})), True),
        (503, Retries(statuses=frozenset({408})), True),
    ],
)
def test_which_answers_are_not_passed_on_while_there_is_another_try(status, retries, moves):
    assert moves_on(status, retries) is moves


# Pauses


def test_pauses_are_random_parts_of_a_doubling_time_with_an_upper_bound():
    retries = Retries(times=6, backoff=0.5, longest=3.0)
    most = [0.0] * 6
    least = [9.0] * 6
    for seed in range(MANY):
        found = tries(A, retries=retries, seed=seed)
        for number in range(6):
            assert found.after(A, answer(503)) is A
            most[number], least[number] = max(most[number], found.pause), min(least[number], found.pause)
    assert most == pytest.approx([0.5, 1, 2, 3, 3, 3], rel=0.02)
    assert max(least) < 0.05


@pytest.mark.parametrize(
    ("headers", "pause"),
    [({"retry_after": "2"}, 2.0), ({"retry_after_ms": "2500"}, 2.5), ({"retry_after": "8"}, 8.0), ({"retry_after": "0"}, None)],
)
def test_an_upstream_that_says_when_is_not_asked_before(headers, pause):
    found = tries(A, retries=Retries(times=1, backoff=0.001))
    assert found.after(A, answer(429, **headers)) is A
    assert found.pause == pytest.approx(pause) if pause else found.pause < 0.01


def test_an_upstream_that_asks_for_too_long_is_not_tried_again():
    assert tries(A, retries=Retries(times=3, longest=8.0)).after(A, answer(429, retry_after="9")) is None


def test_of_several_the_one_that_is_ready_first_is_tried():
    found = tries(A, B, retries=Retries(times=1, backoff=0.001))
    assert found.after(A, answer(429, retry_after="5")) is B
    assert found.after(B, answer(429, retry_after="1")) is B


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e999", "soon", ""])
def test_nonsense_is_no_pause(value):
    assert asked_pause(answer(429, retry_after=value)) is None


async def test_waiting_takes_no_time_where_there_is_no_pause():
    found = tries(A, B)
    found.after(A, None)
    async with asyncio.timeout(30):
        await found.wait()


# Breakers


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broken(clock) -> Breakers:
    """A breaker that has just opened for A."""
    breakers = Breakers(clock)
    for _ in range(FAILURES_TO_BREAK):
        assert not breakers.is_out(A)
        breakers.failed(A)
    return breakers


def test_a_breaker_opens_after_failures_and_for_its_target_alone(broken):
    assert broken.is_out(A)
    assert not broken.is_out(B)
    assert not broken.is_out(target("a", "2"))


def test_a_breaker_that_is_half_open_lets_one_call_find_out(broken, clock):
    clock.now += 5.1
    assert not broken.is_out(A)
    broken.begins(A)
    assert broken.is_out(A)
    assert "another call tries" in broken.why(A)


def test_a_good_answer_closes_it(broken, clock):
    clock.now += 5.1
    broken.begins(A)
    broken.answered(A, answer(200))
    assert not broken.is_out(A)
    broken.failed(A)
    assert not broken.is_out(A), "what was before is forgiven"


def test_an_answer_that_finds_fault_with_the_call_alone_closes_it_too(broken, clock):
    clock.now += 5.1
    broken.begins(A)
    broken.answered(A, answer(400))
    assert not broken.is_out(A)


def test_a_failed_probe_opens_it_for_twice_as_long(broken, clock):
    clock.now += 5.1
    broken.begins(A)
    broken.failed(A)
    clock.now += 5.1
    assert broken.is_out(A)
    clock.now += 5
    assert not broken.is_out(A)


def test_a_probe_whose_caller_leaves_lets_another_call_find_out(broken, clock):
    clock.now += 5.1
    broken.begins(A)
    broken.ends(A)
    assert not broken.is_out(A)


def test_it_is_never_open_for_longer_than_a_minute(broken, clock):
    for _ in range(50):
        broken.failed(A)
    clock.now += 60.1
    assert not broken.is_out(A)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_credential_is_left_out_and_proves_itself_first(status, clock):
    breakers = Breakers(clock)
    breakers.answered(A, answer(status))
    assert breakers.is_out(A)
    clock.now += 60.1
    breakers.begins(A)
    assert breakers.is_out(A)


def test_who_asks_to_be_left_alone_is_left_alone_for_so_long_and_needs_no_proof(clock):
    breakers = Breakers(clock)
    breakers.answered(A, answer(429, retry_after="7"))
    clock.now += 6.9
    assert breakers.is_out(A)
    clock.now += 0.2
    breakers.begins(A)
    assert not breakers.is_out(A)


def test_a_call_that_nothing_is_wrong_with_leaves_nothing_behind(clock):
    breakers = Breakers(clock)
    for status in (200, 404, 422):
        breakers.answered(A, answer(status))
    assert breakers.ill == {}
