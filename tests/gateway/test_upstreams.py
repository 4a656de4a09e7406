"""Trying targets: in turn, leaving out those that failed, and what a failure means to the caller."""

import asyncio
import socket
from time import time_ns

import pytest

from domain.errors import UpstreamTimeout, UpstreamUnavailable
from domain.exchange import Labels
from domain.ids import new_id
from domain.upstreams import Timeouts, Upstream
from gateway.sending.breakers import FAILURES_TO_BREAK, Breakers, retry_after
from gateway.sending.outgoing import Credential
from gateway.sending.routes import Target
from gateway.sending.upstreams import Outgoing
from gateway.tee.barrier import Barrier
from gateway.tee.recording import Recording, RecordingRules
from gateway.wire.engine import Answer
from tests.gateway.calling import Calling, FakeCaller
from tests.harness import steps
from tests.harness.upstream import OK, ScriptedUpstream

ASKED = b"POST /v1/x HTTP/1.1\r\nHost: up.test\r\ncontent-length: 2\r\n\r\n"


def a_record(calling: Calling) -> Recording:
    barrier = Barrier(calling.writer, asyncio.get_running_loop(), 0.05)
    caller = FakeCaller(b"POST", b"/v1/x", [], b"")
    record = Recording(calling.writer, RecordingRules(), barrier, caller, new_id(time_ns()))
    record.known(("POST", "/v1/x", "up", "openai", "k-1", "ci", "search"), Labels(), None, None, "full", websocket=False)
    return record


@pytest.fixture
async def calling(tmp_path, upstream):
    running = Calling(tmp_path, upstream)
    upstream.plan(steps.answer(OK))
    yield running
    running.close()


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


async def test_a_broken_target_gets_one_call_to_prove_itself_and_is_first_again_when_that_is_answered(calling):
    """Half-open: while one call is on its way there, the others go past it."""
    now = [100.0]
    calling.upstreams.breakers = Breakers(lambda: now[0])
    other = ScriptedUpstream()
    other.plan(steps.answer(OK))
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
    other.close()


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


async def test_new_settings_open_new_connections(calling):
    await send(calling, target(calling.target()))
    calling.upstreams.forget()
    other = ScriptedUpstream()
    other.plan(steps.answer(OK))
    status, _ = await send(calling, target(calling.target(port=other.port)))
    other.close()

    assert (status, len(other.received)) == (200, 1)
