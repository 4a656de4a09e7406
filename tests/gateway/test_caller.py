"""A request's body: held up to a bound, then streamed, whole and in order, however it comes."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import BodyTooLarge
from gateway.wire.caller import HIGH_WATER, Body, CallerGone


class Flow:
    """What a body asked of its caller."""

    def __init__(self) -> None:
        self.asked: list[bool] = []
        self.body = Body(self.asked.append, asyncio.get_running_loop())


class Sink:
    """Takes what is streamed."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.failure: Exception | None = None

    def failed(self, error: Exception) -> None:
        self.failure = error


async def test_a_body_that_is_there_already_is_returned_at_once():
    body = Flow().body
    body.feed(b"ab")
    body.feed(b"c")
    body.end([])

    assert body.held() == b"abc"
    assert await body.hold(100, 100) == b"abc"
    assert (body.complete, body.size) == (True, 3)


async def test_an_empty_body():
    body = Flow().body
    body.end([])

    assert await body.hold(100, 100) == b""


async def test_holding_waits_until_the_body_is_whole():
    body = Flow().body
    holding = asyncio.create_task(body.hold(100, None))
    for piece in (b"a", b"b"):
        await asyncio.sleep(0)
        body.feed(piece)
        assert not holding.done()
    body.end([])

    assert await holding == b"ab"


async def test_holding_ends_when_more_came_than_may_be_held():
    body = Flow().body
    holding = asyncio.create_task(body.hold(3, None))
    await asyncio.sleep(0)
    body.feed(b"abcd")

    assert await holding == b"abcd"
    assert not body.complete


@pytest.mark.parametrize("early", [True, False])
async def test_a_body_over_its_limit_is_refused(early):
    body = Flow().body
    if early:
        body.feed(b"x" * 11)
    holding = asyncio.create_task(body.hold(100, 10))
    await asyncio.sleep(0)
    if not early:
        body.feed(b"x" * 6)
        body.feed(b"x" * 5)

    with pytest.raises(BodyTooLarge):
        await holding


async def test_a_body_of_exactly_its_limit_is_taken():
    body = Flow().body
    body.feed(b"x" * 10)
    body.end([])

    assert await body.hold(100, 10) == b"x" * 10


async def test_a_caller_that_leaves_ends_the_wait():
    body = Flow().body
    holding = asyncio.create_task(body.hold(100, None))
    await asyncio.sleep(0)
    body.fail(CallerGone())

    with pytest.raises(CallerGone):
        await holding


async def test_a_caller_that_nobody_reads_is_asked_to_wait():
    flow = Flow()
    flow.body.feed(b"x" * HIGH_WATER)
    assert False not in flow.asked
    flow.body.feed(b"x")
    assert flow.asked[-1] is False

    holding = asyncio.create_task(flow.body.hold(2 * HIGH_WATER, None))
    await asyncio.sleep(0)
    assert flow.asked[-1] is True
    flow.body.end([])
    assert len(await holding) == HIGH_WATER + 1


async def test_a_failure_while_streaming_is_told():
    body, sink = Flow().body, Sink()
    body.stream_to(sink.pieces.append, sink.failed)
    body.feed(b"a")
    body.fail(CallerGone())

    assert sink.pieces == [b"a"]
    assert isinstance(sink.failure, CallerGone)


async def test_trailers_are_kept_for_whoever_sends_the_end_on():
    body, sink = Flow().body, Sink()
    body.stream_to(lambda piece: sink.pieces.append(piece or b"".join(value for _, value in body.trailers)), sink.failed)
    body.feed(b"a")
    body.end([(b"x-sum", b"7")])

    assert sink.pieces == [b"a", b"7"]


async def test_asking_for_a_pause_after_the_end_is_nothing():
    flow = Flow()
    flow.body.end([])
    flow.asked.clear()
    flow.body.pause()

    assert flow.asked == []


@given(
    before=st.lists(st.binary(min_size=1, max_size=9), max_size=4),
    between=st.lists(st.binary(min_size=1, max_size=9), max_size=4),
    after=st.lists(st.binary(min_size=1, max_size=9), max_size=4),
    most=st.integers(0, 20),
    ended=st.sampled_from(["before", "between", "after"]),
)
def test_what_is_held_and_what_is_streamed_are_together_the_whole(before, between, after, most, ended):
    async def run() -> tuple[bytes, list[bytes]]:
        body, sink = Flow().body, Sink()
        for piece in before:
            body.feed(piece)
        if ended == "before":
            body.end([])
        elif sum(map(len, before)) <= most:
            body.feed(b"x" * (most + 1))
        first = await body.hold(most, None)
        for piece in between if ended != "before" else ():
            body.feed(piece)
        if ended == "between":
            body.end([])
        body.stream_to(sink.pieces.append, sink.failed)
        for piece in after if ended == "after" else ():
            body.feed(piece)
        if ended == "after":
            body.end([])
        return first, sink.pieces

    first, streamed = asyncio.run(run())

    filler = [b"x" * (most + 1)] if ended != "before" and sum(map(len, before)) <= most else []
    whole = [*before, *filler, *(between if ended != "before" else ()), *(after if ended == "after" else ())]
    assert first == b"".join([*before, *filler])
    assert first + b"".join(streamed) == b"".join(whole)
    assert streamed[-1] == b""
    assert b"" not in streamed[:-1]
