"""What the official SDKs for Python do with our refusals: a spent budget is asked once, a full one again, and a cut stream is an error.

The answers are those of the gate, byte for byte, from a server that counts who asks.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import anthropic
import openai
import pytest

from domain.budgets import KeyLimits
from domain.errors import GatewayError
from domain.exchange import Dialect
from gateway.wire.error_answers import REASONS, error_body, error_headers, stream_error
from tests.gateway.holding_parts import KEY, budget, house, limited

ASKED = [{"role": "user", "content": "hi"}]
CHUNK = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'
STARTED = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"x","type":"message","role":"assistant","model":"m","content":[],'
    b'"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
)
CREATED = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"word","sequence_number":1,"logprobs":[]}\n\n'


@contextmanager
def server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Give everybody who asks the same answer; yield the address, and the heads of those who asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked.append(_request(connection))
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        # Wakes the thread that waits for the next one.
        listening.shutdown(socket.SHUT_RDWR)


def _request(connection: socket.socket) -> bytes:
    """Return a request's head; its body is read too, so that closing does not reset the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(65_536)
    return head


def whole(error: GatewayError, dialect: Dialect = "openai") -> bytes:
    body = error_body(error, dialect)
    lines = b"".join(b"%b: %b\r\n" % header for header in error_headers(error, body))
    return b"HTTP/1.1 %d %b\r\n%bconnection: close\r\n\r\n%b" % (error.status, REASONS[error.status], lines, body)


def stream(*events: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + b"".join(events)


def refusal(status: int = 429, *, held: bool = False) -> GatewayError:
    """The error of a real refusal."""

    async def story() -> GatewayError:
        made = house(budget(limit=500 if held else 50, status=status))
        if held:
            await made.holdings.admit(made.asking())
        with pytest.raises(GatewayError) as caught:
            await made.holdings.admit(made.asking())
        return caught.value

    return asyncio.run(story())


def too_often() -> GatewayError:
    async def story() -> GatewayError:
        made = house()
        key = limited(KEY, KeyLimits(parallel=1))
        await made.holdings.admit(made.asking(key=key))
        with pytest.raises(GatewayError) as caught:
            await made.holdings.admit(made.asking(key=key))
        return caught.value

    return asyncio.run(story())


@pytest.mark.parametrize(("status", "kind"), [(429, openai.RateLimitError), (402, openai.APIStatusError)])
def test_openai_asks_once_when_a_budget_is_spent(status, kind):
    with server(whole(refusal(status))) as (url, asked), openai.OpenAI(base_url=f"{url}/v1", api_key="k") as client:
        with pytest.raises(kind) as caught:
            client.chat.completions.create(model="m", messages=ASKED)
        assert len(asked) == 1
    assert (caught.value.status_code, caught.value.code, caught.value.type) == (
        status,
        "insufficient_quota",
        "insufficient_quota",
    )
    assert "Budget 'key:ci' would be exceeded" in caught.value.message
    assert caught.value.response.headers["x-faregate-budget"].startswith("key:ci;limit=0.00000005;spent=0.00;held=0.00;resets=")


@pytest.mark.parametrize("status", [429, 402])
def test_anthropic_asks_once_when_a_budget_is_spent(status):
    with server(whole(refusal(status), "anthropic")) as (url, asked), anthropic.Anthropic(base_url=url, api_key="k") as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(model="m", max_tokens=5, messages=ASKED)
        assert len(asked) == 1
    assert caught.value.status_code == status
    assert "Budget 'key:ci' would be exceeded" in str(caught.value)


@pytest.mark.parametrize("error", [lambda: refusal(held=True), too_often])
def test_openai_asks_again_when_there_may_soon_be_room(error):
    with server(whole(error())) as (url, asked), openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=1) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="m", messages=ASKED)
        assert len(asked) == 2
    assert int(caught.value.response.headers["retry-after-ms"]) <= 2_000


def test_anthropic_asks_again_when_there_may_soon_be_room():
    answer = whole(refusal(held=True), "anthropic")
    with server(answer) as (url, asked), anthropic.Anthropic(base_url=url, api_key="k", max_retries=1) as client:
        with pytest.raises(anthropic.RateLimitError):
            client.messages.create(model="m", max_tokens=5, messages=ASKED)
        assert len(asked) == 2


def test_openai_raises_when_a_stream_is_cut_by_a_budget():
    answer = stream(CHUNK, CHUNK, stream_error(refusal(), "openai", b"/v1/chat/completions"))
    with server(answer) as (url, asked), openai.OpenAI(base_url=f"{url}/v1", api_key="k") as client:
        words = []
        with pytest.raises(openai.APIError) as caught:  # noqa: PT012 - it raises in the middle of the loop
            for event in client.chat.completions.create(model="m", messages=ASKED, stream=True):
                words.append(event.choices[0].delta.content)  # noqa: PERF401 - what came before the error counts
        assert (words, len(asked)) == (["word", "word"], 1)
    assert caught.value.code == "insufficient_quota"


def test_openai_raises_when_a_response_is_cut_by_a_budget():
    answer = stream(CREATED, stream_error(refusal(), "openai", b"/v1/responses"))
    with (
        server(answer) as (url, _),
        openai.OpenAI(base_url=f"{url}/v1", api_key="k") as client,
        pytest.raises(openai.APIError) as caught,
    ):
        list(client.responses.create(model="m", input="hi", stream=True))
    assert caught.value.code == "insufficient_quota"


def test_anthropic_raises_when_a_stream_is_cut_by_a_budget():
    answer = stream(STARTED, stream_error(refusal(), "anthropic", b"/v1/messages"))
    with server(answer) as (url, asked), anthropic.Anthropic(base_url=url, api_key="k") as client:
        with pytest.raises(anthropic.APIError, match="Budget"):
            list(client.messages.create(model="m", max_tokens=5, messages=ASKED, stream=True))
        assert len(asked) == 1
