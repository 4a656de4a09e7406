"""Heads for tests: what a caller sends, and what goes upstream as text."""

from domain.upstreams import Upstream
from gateway.sending.outgoing import Credential, outgoing_head
from gateway.wire.heads import RequestHead, head_of

HOST = (b"Host", b"gate.test")


def an_upstream(**known) -> Upstream:
    fields = {"name": "openai", "scheme": "https", "host": "api.test", "port": 443, "base_path": "/v1"}
    return Upstream(**(fields | known))


def a_head(*headers: tuple[bytes, bytes], target: bytes = b"/v1/chat/completions", http11: bool = True) -> RequestHead:
    head, _ = head_of(target, [HOST, *headers], http11=http11)
    return head


def sent(
    headers,
    *,
    credential: Credential,
    upstream: Upstream | None = None,
    target: bytes = b"/v1/chat/completions",
    method: bytes = b"POST",
    path: bytes | None = None,
    uncompressed: bool = False,
    upgrade: bool = False,
) -> bytes:
    """Return the head that goes upstream for a request with these headers, the length as the caller sent it."""
    head, length = head_of(target, list(headers), http11=True)
    before, after = outgoing_head(
        head,
        method,
        target if path is None else path,
        upstream or an_upstream(),
        credential,
        uncompressed=uncompressed,
        upgrade=upgrade,
    )
    return before + (length or b"") + after if after else before


def lines(head: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers of a head."""
    assert head.endswith(b"\r\n\r\n")
    return [tuple(line.split(b": ", 1)) for line in head[:-4].split(b"\r\n")[1:]]
