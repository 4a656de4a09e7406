"""The office counts tokens for the gate: over its Unix socket, for holders of the admin token, a bounded piece of work at a time."""

import asyncio
import json
import threading

import pytest

from dashboard.problems import Problem
from dashboard.token_counts import AT_ONCE, LARGEST_BODY, MOST_WAITING, Counting
from gateway.budgets import token_counts
from gateway.budgets.token_counts import TokenCounts
from gateway.wire.deadlines import Deadlines
from pricing.tokens.counter import TokenCounter
from pricing.tokens.encodings import Encodings
from tests.dashboard.conftest import TOKEN

PATH = token_counts.PATH
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is the capital city of France today?"}]}
BOUND = 34  # 16 tokens, a tenth more, and 16 for what is not known of the template
PATIENCE = 30.0


def ask(office, *, token=TOKEN, body=None, model="gpt-4o", **options):
    content = json.dumps(BODY).encode() if body is None else body
    with office.client(token, timeout=PATIENCE) as client:
        return client.post(PATH, params={"model": model}, content=content, **options)


async def bound(office, body=None, *, model="gpt-4o", token=TOKEN, within=PATIENCE, path=None):
    loop = asyncio.get_running_loop()
    counts = TokenCounts(path or office.path, loop, Deadlines(loop), lambda: token)
    try:
        content = json.dumps(BODY).encode() if body is None else body
        return await counts.input_bound(content, model, within=within)
    finally:
        counts.close()


def test_the_most_that_an_input_can_be_is_told(office):
    answer = ask(office)
    assert (answer.status_code, answer.json()) == (200, {"bound": BOUND})


@pytest.mark.parametrize(
    ("model", "body"),
    [("claude-sonnet-4-5", BODY), ("", BODY), ("gpt-4o", {"model": "gpt-4o"}), ("gpt-4o", BODY | {"previous_response_id": "r"})],
)
def test_where_there_is_no_telling_the_bound_is_null(office, model, body):
    assert ask(office, model=model, body=json.dumps(body).encode()).json() == {"bound": None}


@pytest.mark.parametrize("token", [None, "wrong-" + "0123456789abcdef"])
def test_only_holders_of_the_admin_token_are_answered(office, token):
    assert ask(office, token=token).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b'{"messages": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b" " * (LARGEST_BODY + 1), 413),
    ],
    ids=["nothing", "text", "no utf-8", "deep", "large"],
)
def test_what_is_no_request_is_refused(office, body, status):
    assert ask(office, body=body).status_code == status


def test_another_method_or_parameter_is_refused(office):
    with office.client() as client:
        assert client.get(PATH).status_code == 405
        assert client.post(PATH, params={"modle": "x"}, content=b"{}").status_code == 400


async def test_the_gate_gets_the_bound(office):
    assert await bound(office) == BOUND
    assert await bound(office, model="openai/gpt-4o") == BOUND
    assert await bound(office, model="claude-sonnet-4-5") is None


async def test_one_connection_serves_the_gate_many_times(office):
    loop = asyncio.get_running_loop()
    counts = TokenCounts(office.path, loop, Deadlines(loop), lambda: TOKEN)
    body = json.dumps(BODY).encode()
    assert [await counts.input_bound(body, "gpt-4o", within=PATIENCE) for _ in range(5)] == [BOUND] * 5
    assert await asyncio.gather(*(counts.input_bound(body, "gpt-4o", within=PATIENCE) for _ in range(10))) == [BOUND] * 10
    counts.close()


@pytest.mark.parametrize(
    "model", ["gpt-4o\r\nx-evil: 1", "gpt-4o HTTP/1.1\r\n\r\nGET / HTTP/1.1", "g&model=x", "\ud800", "é" * 400]
)
async def test_a_hostile_name_is_a_name(office, model):
    assert await bound(office, model=model) in {None, BOUND}
    assert await bound(office) == BOUND


@pytest.mark.parametrize(
    "asked",
    [
        {"token": None},
        {"token": "wrong-" + "0123456789abcdef"},
        {"body": b""},
        {"body": b"not json"},
        {"body": b"x" * (token_counts.LARGEST_BODY + 1)},
        {"path": "/nowhere/office.sock"},
    ],
    ids=["no token", "wrong token", "no body", "no json", "too large", "no office"],
)
async def test_every_failure_is_no_bound(office, asked):
    assert await bound(office, **asked) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{{{",
        b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"bound":-1}',
        b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"bound":true}',
        b'HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{"bound":1.5}',
        b'HTTP/1.1 503 Busy\r\ncontent-length: 11\r\n\r\n{"bound":3}',
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncut",
    ],
)
async def test_an_answer_that_makes_no_sense_is_no_bound(tmp_path, answer):
    answered = asyncio.Event()

    async def answering(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()
        answered.set()

    path = str(tmp_path / "odd.sock")
    async with await asyncio.start_unix_server(answering, path):
        assert await bound(None, path=path) is None
        await asyncio.wait_for(answered.wait(), PATIENCE)


async def test_an_office_that_does_not_answer_is_waited_for_no_longer_than_asked(tmp_path):
    asked, left = asyncio.Event(), asyncio.Event()

    async def silent(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    path = str(tmp_path / "silent.sock")
    async with await asyncio.start_unix_server(silent, path):
        assert await bound(None, path=path, within=0.2) is None
        assert asked.is_set()
        await asyncio.wait_for(left.wait(), PATIENCE)  # the question is taken back: its connection is closed


async def test_too_many_at_once_are_turned_away_and_the_others_are_served():
    class Waiting(TokenCounter):
        """Counts when it may, and notes how many counts go on at once."""

        def __init__(self):
            super().__init__(Encodings())
            self.may, self.lock = threading.Event(), threading.Lock()
            self.running = self.most = 0

        def bound(self, _body, _model):
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
            self.may.wait(PATIENCE)
            with self.lock:
                self.running -= 1
            return 7

    counter = Waiting()
    counting = Counting(counter)
    waiting = [asyncio.create_task(counting.bound(b"{}", "gpt-4o")) for _ in range(AT_ONCE + MOST_WAITING)]
    await asyncio.sleep(0)  # each of them is inside now
    with pytest.raises(Problem) as turned_away:
        await counting.bound(b"{}", "gpt-4o")
    assert turned_away.value.status == 503
    counter.may.set()
    assert await asyncio.gather(*waiting) == [7] * len(waiting)
    assert counter.most <= AT_ONCE
    assert await counting.bound(b"{}", "gpt-4o") == 7


async def test_a_broken_tokenizer_is_said_to_be(tmp_path):
    counting = Counting(TokenCounter(Encodings(tmp_path)))
    with pytest.raises(Problem, match="is not the file that was shipped"):
        await counting.bound(json.dumps(BODY).encode(), "gpt-4o")
