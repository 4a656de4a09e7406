"""Upstreams over TLS: the certificate is checked, always, and the bytes are the same."""

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate, run_gate
from tests.harness.messages import chunked
from tests.harness.steps import AwaitClosed, Close, ReadBody, Send, answer
from tests.harness.tls import make_certificate
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made with openssl")
TABLE = '[upstreams.{name}]\nbase_url = "https://{host}:{port}/v1"\napi_key = "sk-x"\ndialect = "openai"\n'


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gate, ScriptedUpstream]]:
    folder = tmp_path_factory.mktemp("tls")
    good = make_certificate(folder, "good", "DNS:localhost")
    stranger = make_certificate(folder, "stranger", "DNS:localhost")
    trusted, unknown = ScriptedUpstream(good.server()), ScriptedUpstream(stranger.server())
    config = TABLE.format(name="openai", host="localhost", port=trusted.port)
    config += TABLE.format(name="misnamed", host="127.0.0.1", port=trusted.port)
    config += TABLE.format(name="stranger", host="localhost", port=unknown.port)
    gate = run_gate(config, data=folder, extra_environment={"SSL_CERT_FILE": str(good.file)})
    yield gate, trusted
    gate.stop()
    trusted.close()
    unknown.close()


def call(gate: Gate, upstream: str, body: bytes = b'{"model":"gpt-4o"}') -> Answer:
    with RawClient(gate.address) as client:
        client.send(request(target=f"/{upstream}/v1/chat/completions".encode(), body=body))
        return client.answer()


def test_a_trusted_upstream_is_called(providers: tuple[Gate, ScriptedUpstream]) -> None:
    gate, trusted = providers
    trusted.plan(answer(OK))
    for _ in range(3):
        assert call(gate, "openai").body.data == b"{}"
    assert len({received.link.number for received in trusted.received}) == 1


@pytest.mark.parametrize("upstream", ["misnamed", "stranger"])
def test_a_certificate_that_is_not_good_is_refused(upstream: str, providers: tuple[Gate, ScriptedUpstream]) -> None:
    gate, trusted = providers
    trusted.plan(answer(OK))
    got = call(gate, upstream)
    assert got.status == 502
    assert json.loads(got.body.data)["error"]["code"] == "upstream_unavailable"
    assert trusted.received == []


def test_large_bodies_and_streams_pass(providers: tuple[Gate, ScriptedUpstream]) -> None:
    gate, trusted = providers
    parts = [b"data: %d\n\n" % number for number in range(200)] + [b"x" * 300_000]
    trusted.plan(answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *chunked(parts)))
    body = b'{"model":"gpt-4o","x":"' + b"y" * 2_000_000 + b'"}'
    assert call(gate, "openai", body).body.data == b"".join(parts)
    assert trusted.received[0].body is not None
    assert trusted.received[0].body.data == body


def test_a_cut_is_a_cut_and_leaving_is_noticed(providers: tuple[Gate, ScriptedUpstream]) -> None:
    gate, trusted = providers
    trusted.plan((ReadBody(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), Close()))
    got = call(gate, "openai")
    assert (got.body.data, got.body.ending == "complete") == (b"half", False)
    trusted.plan((ReadBody(), AwaitClosed()))
    with RawClient(gate.address) as client:
        client.send(request(target=b"/openai/v1/chat/completions", body=b"{}"))
        trusted.wait_for(1)
    until(lambda: trusted.received[0].link.ended_at is not None, "the upstream was not closed")
