"""An answer's headers: everything passes but what is about the connection."""

import asyncio

import pytest

from gateway.wire.answer import Answer
from gateway.wire.heads import answer_headers


async def passed(*headers: tuple[bytes, bytes], hops: bool = True) -> list[tuple[bytes, bytes]]:
    answer = Answer(None, asyncio.get_running_loop().create_future(), None)
    answer.headers, answer.hops = list(headers), hops
    return answer_headers(answer)


PLAIN = [
    (b"Content-Type", b"application/json"),
    (b"set-cookie", b"a=1"),
    (b"Set-Cookie", b"b=2"),
    (b"X-RateLimit-Remaining", b"9"),
    (b"retry-after", b"7"),
    (b"Transfer-Encoding", b"chunked"),
    (b"x-bytes", b"\xff"),
]


async def test_everything_passes_in_order_and_casing():
    assert await passed(*PLAIN, hops=False) == PLAIN


@pytest.mark.parametrize("name", [b"Connection", b"KEEP-ALIVE", b"proxy-connection", b"Upgrade"])
async def test_what_is_about_the_connection_ends_here(name):
    assert await passed(PLAIN[0], (name, b"x-rate"), *PLAIN[1:]) == PLAIN


@pytest.mark.parametrize(
    ("listed", "left"),
    [
        (b"x-hop", []),
        (b"close, X-Hop", []),
        (b"close", [(b"X-Hop", b"1")]),
        (b"keep-alive", [(b"X-Hop", b"1")]),
        (b"", [(b"X-Hop", b"1")]),
    ],
)
async def test_what_connection_lists_ends_here(listed, left):
    assert await passed((b"connection", listed), (b"X-Hop", b"1")) == left


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding"])
async def test_what_frames_the_answer_is_never_taken_off(name):
    """An upstream that lists its own framing would leave the caller with a body that has no end."""
    assert await passed((b"connection", name), (name, b"5")) == [(name, b"5")]
