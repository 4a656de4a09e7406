"""A head that came before: it is taken without parsing only where parsing would have said the same."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.again import LastHead, last_head
from gateway.wire.heads import head_of

HEADERS = [(b"Host", b"gate.test"), (b"Authorization", b"Bearer k"), (b"Content-Type", b"application/json")]
TARGET = b"/v1/chat/completions"


def request(body: bytes, *, length: bytes | None = None, more: bytes = b"", version: bytes = b"1.1") -> bytes:
    lines = b"".join(b"%b: %b\r\n" % header for header in HEADERS)
    length = b"%d" % len(body) if length is None else length
    return b"POST %b HTTP/%b\r\n%bContent-Length: %b\r\n%b\r\n%b" % (TARGET, version, lines, length, more, body)


class Parsed:
    """What the parser says of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = self.body = b""
        self.messages = 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


def remembered(first: bytes = b'{"a":1}', *, more: bytes = b"", version: bytes = b"1.1") -> LastHead | None:
    data = request(first, more=more, version=version)
    parsed = Parsed(data)
    head, _ = head_of(parsed.url, parsed.headers, http11=version == b"1.1")
    return last_head(data, b"POST", head)


@pytest.mark.parametrize("body", [b"{}", b"x" * 9, b"x" * 10, b"\r\n\r\n" * 30, b"x" * 100_000])
def test_the_same_head_with_another_length_is_known(body):
    assert remembered().again(request(body)) == (b"%d" % len(body), body)


@pytest.mark.parametrize(
    "data",
    [
        request(b"{}").replace(b"Bearer k", b"Bearer l"),
        request(b"{}").replace(b"Host", b"host"),
        request(b"{}").replace(b"/v1/chat", b"/v1/char"),
        request(b"{}", more=b"X-One-More: 1\r\n"),
        request(b"{}", length=b"02"),
        request(b"{}", length=b"+2"),
        request(b"{}", length=b" 2"),
        request(b"{}", length=b"2 "),
        request(b"{}", length=b"\xb2"),
        request(b"", length=b""),
        request(b"{}", length=b"1"),
        request(b"{}", length=b"3"),
        request(b"{}", length=b"99999999999999999999"),
        request(b"{}") + request(b"{}"),
        request(b"{}")[:-1],
        request(b"{}")[:40],
        b"",
    ],
)
def test_anything_else_goes_to_the_parser(data):
    assert remembered().again(data) is None


@pytest.mark.parametrize("more", [b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"])
def test_heads_that_ask_for_more_than_a_body_are_not_remembered(more):
    data = request(b"{}", more=more)
    head, _ = head_of(TARGET, [*HEADERS, tuple(more[:-2].split(b": "))], http11=True)
    assert last_head(data, b"POST", head) is None


def test_http10_and_heads_behind_something_else_are_not_remembered():
    head, _ = head_of(TARGET, HEADERS, http11=True)
    assert remembered(version=b"1.0") is None
    assert last_head(b"\r\n" + request(b"{}"), b"POST", head) is None
    assert last_head(request(b"{}") + b"G", b"POST", head) is None


@given(st.data())
def test_what_is_known_again_is_what_the_parser_would_have_said(data):
    body = data.draw(st.binary(min_size=1, max_size=40))
    second = bytearray(request(body))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(second) - 1))
        second[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    found = remembered().again(bytes(second))
    if found is not None:
        parsed = Parsed(bytes(second))
        assert (parsed.messages, parsed.url, parsed.body) == (1, TARGET, found[1])
        assert parsed.headers == [*HEADERS, (b"Content-Length", found[0])]
