"""Trying targets: in turn, leaving out those that failed, and what a failure means to the caller."""

import asyncio
import socket
from contextlib import closing
from time import time_ns

import pytest

from domain.errors import BudgetExceeded, UpstreamTimeout, UpstreamUnavailable
from domain.exchange import Labels
from domain.ids import new_id
from domain.routes import Retries
from domain.upstreams import Timeouts, Upstream
from gateway.sending.breakers import FAILURES_TO_BREAK, Breakers, retry_after
from gateway.sending.outgoing import Credential
from gateway.sending.routes import Target
from gateway.sending.upstreams import LONGEST_WHY, MOST_DECISIONS, Outgoing
from gateway.tee.barrier import Barrier
from gateway.tee.recording import Recording, RecordingRules
from gateway.wire.answer import Answer
from tests.gateway.calling import Calling, FakeCaller
from tests.harness import steps
from tests.harness.chaos import NONE, ChaosProxy, Fault
from tests.harness.upstream import OK

ASKED = b"POST /v1/x HTTP/1.1\r\nHost: up.test\r\ncontent-length: 2\r\n\r\n"


def a_record(calling: Calling) -> Recording:
    barrier = Barrier(calling.writer, asyncio.get_running_loop(), 0.05)
    caller = FakeCaller(b"POST", b"/v1/x", [], b"")
    record = Recording(calling.writer, RecordingRules(), barrier, caller, new_id(time_ns()))
    record.known(("POST", "/v1/x", "up", "openai", "k-1", "ci", "search"), Labels(), None, None, "full", websocket=False)
    return record


def target(upstream: Upstream, name: str = "1") -> Target:
    return Target(upstream, Credential(name, "secret"))


async def send(calling: Calling, *targets: Target, method: bytes = b"POST"):
    """Send a request to the first target that answers; return its answer's status and the tries."""
    record = a_record(calling)

    def outgoing(_: Target) -> Outgoing:
        return Outgoing(method, ASKED.replace(b"POST", method), b"{}", coded=False, rest=None)

    async with asyncio.timeout(30):
        try:
            answer, _ = await calling.upstreams.send(targets, outgoing, record, lambda *_: None)
        except (UpstreamUnavailable, UpstreamTimeout) as error:
            return type(error), [attempt.upstream for attempt in record.attempts]
        await answer.whole(1000)
        answer.close()
    return answer.status, [attempt.upstream for attempt in record.attempts]


@pytest.fixture
def dead(calling) -> Upstream:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return calling.target(name="dead", port=taken.getsockname()[1])


# retry-after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([(b"retry-after", b"7")], 7.0),
        ([(b"Retry-After", b"0")], 0.0),
        ([(b"retry-after", b"1.5")], 1.5),
        ([(b"retry-after-ms", b"250")], 0.25),
        ([(b"RETRY-AFTER-MS", b"250"), (b"retry-after", b"1")], 0.25),
        ([(b"retry-after", b"Wed, 21 Oct 2026 07:28:00 GMT")], 1.0),
        ([(b"Retry-After", b"Wed, 21 Oct 2026 07:28:00 GMT"), (b"Date", b"Wed, 21 Oct 2026 07:27:40 GMT")], 20.0),
        ([(b"retry-after", b"Wed, 21 Oct 2026 07:28:00 GMT"), (b"date", b"Wed, 21 Oct 2026 07:29:00 GMT")], 0.0),
        ([(b"retry-after", b"Wed, 21 Oct 2026 07:28:00"), (b"date", b"Wed, 21 Oct 2026 07:27:00 GMT")], 1.0),
        ([(b"retry-after", b"soon"), (b"retry-after-ms", b"30")], 0.03),
        ([(b"retry-after", b"")], 1.0),
        ([], 1.0),
    ],
)
async def test_how_long_an_upstream_wants_to_be_left_alone(headers, seconds):
    answer = Answer(None, asyncio.get_running_loop().create_future(), None)
    answer.headers = [(b"x-other", b"9"), *headers]

    assert retry_after(answer) == seconds


# In turn


async def test_one_target_is_simply_used(calling):
    only = [target(calling.target())]

    assert calling.upstreams.in_turn(only) == only


async def test_targets_take_turns_and_all_stay_there(calling):
    targets = [target(calling.target(), str(number)) for number in range(3)]

    orders = [calling.upstreams.in_turn(list(targets)) for _ in range(6)]

    assert {order[0].credential.name for order in orders} == {"0", "1", "2"}
    for order in orders:
        assert sorted(each.credential.name for each in order) == ["0", "1", "2"]
        start = int(order[0].credential.name)
        assert [int(each.credential.name) for each in order] == [(start + step) % 3 for step in range(3)]


async def test_a_target_that_fails_again_and_again_goes_to_the_end(calling, dead):
    broken, good = target(dead), target(calling.target())
    for _ in range(FAILURES_TO_BREAK):
        assert await send(calling, broken, good) == (200, ["dead", "up"])

    for _ in range(4):
        assert calling.upstreams.in_turn([broken, good]) == [good, broken]


async def test_fewer_failures_leave_a_target_its_turn(calling, dead):
    broken, good = target(dead), target(calling.target())
    for _ in range(FAILURES_TO_BREAK - 1):
        await send(calling, broken, good)

    assert {tuple(calling.upstreams.in_turn([broken, good])) == (broken, good) for _ in range(2)} == {True, False}


async def test_one_success_forgives_the_failures_before_it(calling):
    flaky, good = target(calling.target(), "1"), target(calling.target(), "2")
    failure = steps.answer(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
    rounds = [failure, steps.answer(OK)] * (FAILURES_TO_BREAK - 1)
    calling.upstream.plan(*rounds, steps.answer(OK), *rounds, steps.answer(OK))
    for _ in range(FAILURES_TO_BREAK - 1):
        await send(calling, flaky, good)
    await send(calling, flaky)
    for _ in range(FAILURES_TO_BREAK - 1):
        await send(calling, flaky, good)

    assert {calling.upstreams.in_turn([flaky, good])[0].credential.name for _ in range(2)} == {"1", "2"}


async def test_when_all_are_out_each_is_still_tried(calling, dead):
    first, second = target(dead, "1"), target(dead, "2")
    for _ in range(FAILURES_TO_BREAK + 1):
        outcome, tries = await send(calling, *calling.upstreams.in_turn([first, second]))

    assert (outcome, tries) == (UpstreamUnavailable, ["dead", "dead"])


async def test_nobody_to_ask_is_an_error_of_its_own(calling):
    assert await send(calling) == (UpstreamUnavailable, [])


async def test_a_broken_target_gets_one_call_to_prove_itself_and_is_first_again_when_that_is_answered(calling, other):
    """Half-open: while one call is on its way there, the others go past it."""
    now = [100.0]
    calling.upstreams.breakers = Breakers(lambda: now[0])
    flaky, good = target(calling.target(name="flaky")), target(calling.target(name="good", port=other.port))
    calling.upstream.plan(steps.answer(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"))
    for _ in range(FAILURES_TO_BREAK):
        assert await send(calling, flaky, good) == (200, ["flaky", "good"])
    assert await send(calling, flaky, good) == (200, ["good"])

    now[0] += 5.1
    calling.upstream.plan((steps.ReadBody(), steps.Await("well"), steps.Send(OK)))
    probe = asyncio.create_task(send(calling, flaky, good))
    await asyncio.to_thread(calling.upstream.wait_for, 1)
    assert await send(calling, flaky, good) == (200, ["good"])
    calling.upstream.signal("well")
    assert await probe == (200, ["flaky"])

    calling.upstream.plan(steps.answer(OK))
    assert await send(calling, flaky, good) == (200, ["flaky"])


async def test_a_breaker_opens_with_the_network_and_closes_with_it(calling, other):
    """Five connections are reset, the probe of a link that is half open is swallowed, and the next one comes through."""
    now = [100.0]
    calling.upstreams.breakers = Breakers(lambda: now[0])
    with closing(ChaosProxy(calling.upstream.address)) as chaos:
        here = target(calling.target(name="here", port=chaos.port, timeouts=Timeouts(first_byte=0.2)))
        there = target(calling.target(name="there", port=other.port))
        chaos.fault = Fault(refuse=True)
        for _ in range(FAILURES_TO_BREAK):
            assert await send(calling, here, there) == (200, ["here", "there"])
        chaos.fault = Fault(swallow=True)
        assert await send(calling, here, there) == (200, ["there"])
        now[0] += 5.1
        assert await send(calling, here, there) == (200, ["here", "there"]), "half-open: one call finds out"
        chaos.fault = NONE
        now[0] += 5.1
        assert await send(calling, here, there) == (200, ["there"]), "twice as long now"
        calling.upstreams.forget()
        healed = target(calling.target(name="here", port=chaos.port))
        now[0] += 5.0
        for _ in range(2):
            assert await send(calling, healed, there) == (200, ["here"])
    assert calling.upstreams.breakers.ill == {}


# What a failure means


async def test_an_upstream_that_nobody_is_behind(calling, dead):
    assert (await send(calling, target(dead)))[0] is UpstreamUnavailable


async def test_an_upstream_that_is_silent(calling):
    slow = calling.target(timeouts=Timeouts(first_byte=0.1))
    calling.upstream.plan((steps.ReadBody(), steps.AwaitClosed()))

    assert (await send(calling, target(slow)))[0] is UpstreamTimeout


@pytest.mark.parametrize("script", [(steps.Close(),), (steps.Reset(),), (steps.Send(b"gopher\r\n\r\n"), steps.AwaitClosed())])
async def test_an_upstream_that_breaks_off_or_sends_no_http(calling, script):
    calling.upstream.plan((steps.ReadBody(), *script))

    assert (await send(calling, target(calling.target())))[0] is UpstreamUnavailable


async def test_no_secret_is_in_an_error(calling, dead):
    record = a_record(calling)
    with pytest.raises(UpstreamUnavailable) as caught:
        await calling.upstreams.send(
            [target(dead)], lambda _: Outgoing(b"GET", ASKED, b"", coded=False, rest=None), record, lambda *_: None
        )

    assert "secret" not in str(caught.value)
    assert "dead" in str(caught.value)


# Connections


async def test_connections_are_kept_for_the_next_call(calling):
    for _ in range(3):
        await send(calling, target(calling.target()))

    assert len(calling.upstream.links) == 1


async def test_new_settings_open_new_connections(calling, other):
    await send(calling, target(calling.target()))
    calling.upstreams.forget()
    status, _ = await send(calling, target(calling.target(port=other.port)))

    assert (status, len(other.received)) == (200, 1)


# Tries that a budget has no room for

BUSY = b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\nnot today"


class Paying:
    """Sends a call whose tries must be paid for; `poor` are the upstreams for which there is no room."""

    def __init__(self, calling: Calling, *poor: str) -> None:
        self.calling = calling
        self.poor = poor
        self.record = a_record(calling)
        self.asked: list[str] = []

    async def cover(self, target: Target) -> None:
        self.asked.append(target.upstream.name)
        if target.upstream.name in self.poor:
            raise BudgetExceeded("There is no room." + " No room at all." * 100)

    async def send(self, *targets: Target, retries: Retries | None = None) -> tuple[int, bytes]:
        """Return the answer's status and body."""

        def outgoing(_: Target) -> Outgoing:
            return Outgoing(b"POST", ASKED, b"{}", coded=False, rest=None)

        async with asyncio.timeout(30):
            answer, _ = await self.calling.upstreams.send(
                targets, outgoing, self.record, lambda *_: None, cover=self.cover, retries=retries
            )
            await answer.whole(1000)
        status, body = answer.status, answer.beginning
        answer.close()
        return status, body

    @property
    def tried(self) -> list[str]:
        return [one.upstream for one in self.record.attempts]

    @property
    def told(self) -> list[str]:
        assert {(one.rule, one.matched, one.kind) for one in self.record.opening.decisions} <= {("budget", False, "route")}
        return [one.why for one in self.record.opening.decisions]


async def test_where_no_further_try_is_paid_for_the_answer_that_is_there_passes_as_it_is(calling):
    calling.upstream.plan(steps.answer(BUSY))
    paying = Paying(calling, "dear", "dearer")
    targets = [target(calling.target(name=name)) for name in ("up", "dear", "dearer")]

    assert await paying.send(*targets) == (503, b"not today")
    assert (paying.tried, paying.asked) == (["up"], ["dear", "dearer"])
    assert [why.partition(" No room")[0] for why in paying.told] == [
        "dear (credential 1) is not tried: There is no room.",
        "dearer (credential 1) is not tried: There is no room.",
    ]
    assert max(map(len, paying.told)) == LONGEST_WHY


async def test_a_try_that_is_not_paid_for_leaves_the_call_to_the_next_target(calling):
    calling.upstream.plan(steps.answer(BUSY), steps.answer(OK))
    paying = Paying(calling, "dear")
    targets = [target(calling.target(name=name)) for name in ("up", "dear", "cheap")]

    assert await paying.send(*targets) == (200, b"{}")
    assert (paying.tried, paying.asked) == (["up", "cheap"], ["dear", "cheap"])


async def test_where_nothing_answered_and_nothing_more_is_paid_for_the_failure_is_told(calling, dead):
    paying = Paying(calling, "dear")
    with pytest.raises(UpstreamUnavailable, match="'dead' cannot be reached"):
        await paying.send(target(dead), target(calling.target(name="dear")))
    assert len(paying.told) == 1


async def test_tries_after_a_pause_that_are_not_paid_for_come_to_an_end_at_once(calling):
    """The pause would be an hour."""
    calling.upstream.plan(steps.answer(BUSY))
    paying = Paying(calling, "up", "other")
    retries = Retries(times=3, backoff=3_600.0, longest=3_600.0)
    targets = [target(calling.target(name=name)) for name in ("up", "other")]

    assert await paying.send(*targets, retries=retries) == (503, b"not today")
    assert (paying.tried, paying.asked) == (["up"], ["other", "up"])


async def test_the_target_that_is_paid_for_already_is_tried_where_those_before_it_are_not(calling, dead):
    """It is left out for its failures, and so the last one."""
    held_for = target(dead)
    for _ in range(FAILURES_TO_BREAK):
        await send(calling, held_for)
    paying = Paying(calling, "dear", "dearer")
    with pytest.raises(UpstreamUnavailable, match="'dead' cannot be reached"):
        await paying.send(held_for, target(calling.target(name="dear")), target(calling.target(name="dearer")))
    assert (paying.tried, paying.asked) == (["dead"], ["dear", "dearer"])

    paying = Paying(calling, "dear")
    assert await paying.send(held_for, target(calling.target(name="dear")), target(calling.target())) == (200, b"{}")
    assert (paying.tried, paying.asked) == (["up"], ["dear", "up"])


async def test_a_caller_that_leaves_while_a_try_is_paid_for_leaves_no_connection_behind(calling):
    """The answer of the try before is there still."""
    calling.upstream.plan(steps.answer(BUSY))
    paying, asked = Paying(calling), asyncio.Event()

    async def waits(_: Target) -> None:
        asked.set()
        await asyncio.Event().wait()

    paying.cover = waits
    leaving = asyncio.create_task(paying.send(target(calling.target()), target(calling.target(name="other"))))
    async with asyncio.timeout(30):
        await asked.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    assert calling.upstreams.running(calling.target()) == 0


async def test_what_is_told_of_tries_that_are_not_made_is_bounded(calling):
    calling.upstream.plan(steps.answer(BUSY))
    paying = Paying(calling, "dear")
    dear = [target(calling.target(name="dear"), str(number)) for number in range(MOST_DECISIONS + 9)]

    assert (await paying.send(target(calling.target()), *dear))[0] == 503
    assert len(paying.told) == MOST_DECISIONS
