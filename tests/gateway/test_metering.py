"""A stream that is metered: more is held before a slice is used up, and what is refused ends the answer in a way that the caller's SDK understands."""

import asyncio
import json
from dataclasses import replace

import pytest

from domain.errors import BudgetExceeded
from gateway.budgets.metering import StreamMeter
from tests.gateway.holding_parts import PATHS, Switched, budget, house


class Counting(Switched):
    """A ledger that counts how often more is asked for."""

    asked = 0

    async def top_up(self, *args, **values):
        self.asked += 1
        return await super().top_up(*args, **values)


class Answer:
    """The upstream's answer, as far as a meter touches it."""

    def __init__(self):
        self.done = []

    def pause(self):
        self.done.append("pause")

    def resume(self):
        self.done.append("resume")

    def stop(self):
        self.done.append("stop")


def chunk(text="word"):
    return b'data: {"id":"x","choices":[{"delta":{"content":"%b"}}]}\n\n' % text.encode()


async def metered(limit, *, max_tokens=100_000, dialect="openai", path=None, events=True, session=False):
    made = house(budget(limit=limit, mode="balanced"), ledger=Counting())
    holding = await made.holdings.admit(made.asking(stream=True, max_tokens=max_tokens))
    answer = Answer()
    meter = StreamMeter(
        made.holdings, holding, answer, dialect=dialect, path=path or PATHS.get(dialect, b"/"), events=events, session=session
    )
    return made, holding, answer, meter


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


def run(coroutine):
    return asyncio.run(coroutine)


def test_an_event_is_a_token_and_a_long_one_more():
    async def story():
        meter = (await metered(10**9))[3]
        meter.passed(chunk("a") * 10)
        few = meter.tokens
        meter.passed(chunk("a" * 301))
        return few, meter.tokens

    assert run(story()) == (10, 10 + 1 + 100)


@pytest.mark.parametrize("cut", [7, 20, 40, 56])
def test_an_event_that_a_read_cuts_through_is_counted_once(cut):
    async def story():
        meter = (await metered(10**9))[3]
        meter.passed(chunk() * 10)
        events = chunk() * 20
        meter.passed(events[: 10 * len(chunk()) + cut])
        meter.passed(events[10 * len(chunk()) + cut :])
        return meter.tokens

    assert 30 <= run(story()) <= 31


def test_an_event_in_small_pieces_is_no_more_tokens_than_it_is_long():
    async def story():
        meter = (await metered(10**9))[3]
        meter.passed(chunk() * 10)
        for place in range(len(chunk())):
            meter.passed(chunk()[place : place + 1])
        return meter.tokens

    assert 10 <= run(story()) <= 11


def test_more_is_held_before_the_slice_is_used_up():
    async def story():
        _, holding, answer, meter = await metered(10**9)
        before = holding.amounts[0]
        for _ in range(740):
            assert meter.passed(chunk()) == chunk()
        await turns()
        same = holding.amounts[0] == before
        for _ in range(20):
            meter.passed(chunk())
        await turns()
        return same, holding.amounts[0] - before, answer.done

    assert run(story()) == (True, 2 * 1_000, [])


def test_an_answer_that_is_faster_than_the_ledger_waits():
    async def story():
        _, holding, answer, meter = await metered(10**9)
        meter.passed(chunk() * 3_000)
        paused = list(answer.done)
        await turns()
        return paused, answer.done, holding.enough_for(3_000), meter.refused

    assert run(story()) == (["pause"], ["pause", "resume"], True, None)


def test_a_slice_that_is_refused_ends_the_answer_with_an_error():
    async def story():
        _, _, answer, meter = await metered(4_000)
        meter.passed(chunk() * 1_500)
        await turns()
        return answer.done, meter.refused, meter.passed(b""), meter.over, meter.passed(chunk())

    done, refused, end, over, after = run(story())
    assert done == ["pause", "stop"]
    assert isinstance(refused, BudgetExceeded)
    assert over
    assert after == b""
    error = json.loads(end.removeprefix(b"data: "))["error"]
    assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
    assert end.endswith(b"\n\n")


def test_what_is_held_is_used_up_before_a_refusal_ends_the_answer():
    """The next slice is asked for, and refused, while a quarter of the last one is still there: that much was paid for."""

    async def story():
        made, holding, answer, meter = await metered(4_000)
        asked = []
        while (piece := meter.passed(chunk())) == chunk():
            await turns()
            asked.append(made.ledger.asked)
        return asked, holding.enough_for(1_000), holding.enough_for(1_001), answer.done, piece

    asked, enough, too_much, done, piece = run(story())
    assert len(asked) == 1_001
    assert (asked[749], asked[750], asked[999], asked[1_000]) == (0, 1, 1, 2)
    assert (enough, too_much) == (True, False)
    assert done == ["pause", "stop"]
    assert b"insufficient_quota" in piece


def test_room_that_was_made_after_a_refusal_is_taken_when_the_slice_is_used_up():
    async def story():
        made, holding, answer, meter = await metered(6_000)
        others = [replace(claim, amount=3_000) for claim in holding.claims()]
        await made.ledger.hold("other", others, now=made.clock(), lease=60)
        for number in range(1_200):
            if number == 900:
                await made.ledger.release("other", now=made.clock())
            meter.passed(chunk())
            await turns()
        return meter.refused, answer.done, holding.enough_for(1_200), made.ledger.asked

    assert run(story()) == (None, ["pause", "resume"], True, 2)


def test_an_event_that_has_begun_ends_before_the_error():
    async def story():
        _, _, answer, meter = await metered(4_000)
        meter.passed(chunk() * 1_500 + b'data: {"beg')
        await turns()
        first, over = meter.passed(b"in"), meter.over
        return answer.done, first, over, meter.passed(b'":1}\n\ndata: {"not":"this"}\n\n')

    done, first, over, last = run(story())
    assert done == ["pause", "resume"]
    assert (first, over) == (b"in", False)
    assert last.startswith(b'":1}\n\ndata: {"error":')


@pytest.mark.parametrize(
    ("dialect", "path", "starts"),
    [
        ("openai", b"/v1/chat/completions", b'data: {"error": {"message": "Budget'),
        ("openai", b"/v1/responses", b'event: error\ndata: {"type": "error", "code": "insufficient_quota"'),
        ("anthropic", b"/v1/messages", b'event: error\ndata: {"type": "error", "error": {"type": "rate_limit_error"'),
        ("gemini", b"/v1beta/models/g:streamGenerateContent", b'data: {"error": {"code": 429, "message": "Budget'),
    ],
)
def test_the_error_is_of_the_streams_dialect(dialect, path, starts):
    async def story():
        meter = (await metered(4_000, dialect=dialect, path=path))[3]
        meter.passed(chunk() * 1_500)
        await turns()
        return meter.passed(b"")

    assert run(story()).startswith(starts)


def test_an_answer_that_is_no_events_is_only_cut():
    async def story():
        _, _, answer, meter = await metered(4_000, events=False)
        meter.passed(b"\x00" * 6_000)
        await turns()
        return answer.done, meter.passed(b"more"), meter.over

    assert run(story()) == (["pause", "stop"], b"", True)


def test_a_session_is_counted_by_its_bytes():
    async def story():
        meter = (await metered(10**9, session=True))[3]
        meter.passed(b"x" * 1_000)
        return meter.tokens

    assert run(story()) == 10


def test_what_holds_all_that_it_can_cost_asks_for_no_more():
    async def story():
        made, holding, answer, meter = await metered(10**9, max_tokens=500)
        before = made.ledger.held([holding.name])
        meter.passed(chunk() * 5_000)
        await turns()
        return made.ledger.held([holding.name]) == before, answer.done

    assert run(story()) == (True, [])


def test_an_answer_that_ended_asks_for_no_more():
    async def story():
        made, holding, answer, meter = await metered(10**9)
        before = holding.amounts[0]
        meter.passed(chunk() * 900)
        meter.close()
        await turns()
        return holding.amounts[0] == before, answer.done, made.holdings.open

    assert run(story()) == (True, [], 1)
