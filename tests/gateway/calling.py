"""A proxy on a real journal and real sockets, called by a caller that is no connection."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

from domain.exchange import Exchange
from domain.keys import ApiKey, digest
from domain.upstreams import Upstream
from gateway.identity import Keys
from gateway.proxy import Proxy
from gateway.sending.routes import Routes
from gateway.sending.upstreams import Upstreams
from gateway.sim.server import SimProtocol
from gateway.tee.recording import RecordingRules
from gateway.wire.answer import Header
from gateway.wire.caller import Body
from gateway.wire.deadlines import Deadlines
from gateway.wire.heads import head_of
from gateway.wire.limits import Limits
from storage.journal import JournalWriter
from tests.gateway.heads import HOST
from tests.harness.upstream import ScriptedUpstream
from tests.storage.journal.calls import SMALL, read_all

SECRET = "fg-" + "k" * 43
KEY = ApiKey(id="k-1", name="ci", digest=digest(SECRET), project="search")
THEIRS = "sk-" + "live" + "u" * 20
JSON = (b"Content-Type", b"application/json")
OURS = (b"Authorization", b"Bearer " + SECRET.encode())


def _flows(flow: bool) -> None:
    """Take no notice: the body is there already."""
    del flow


class FakeCaller:
    """Sends one request, whole at once, and keeps the answer."""

    def __init__(self, method: bytes, target: bytes, headers: Sequence[Header], body: bytes, *, upgrade: bool = False) -> None:
        self.method = method
        sized = [*headers, (b"Content-Length", b"%d" % len(body))] if body else headers
        self.head, self.length = head_of(target, [HOST, *sized], http11=True)
        self.body = Body(_flows, asyncio.get_running_loop())
        if body:
            self.body.feed(body)
        self.body.end([])
        self.gone = self.started = False
        self.upgrade = upgrade
        self.ready = True
        self.on_ready = self.on_data = None
        self.status = 0
        self.headers: list[Header] = []
        self.trailers: list[Header] = []
        self.framing = ""
        self.answer = b""
        self.ending = ""

    def inform(self, status: int, reason: bytes, headers: Sequence[Header]) -> None:
        """Pass it by."""

    def proceed(self) -> None:
        """Nobody waits for it."""

    def start(self, status: int, reason: bytes, headers: Sequence[Header], framing: str) -> None:
        del reason
        self.started, self.status, self.headers, self.framing = True, status, list(headers), framing

    def data(self, piece: bytes) -> None:
        self.answer += piece

    def flush(self) -> None:
        """All is taken at once."""

    def end(self, trailers: Sequence[Header]) -> None:
        self.ending, self.trailers = "ended", list(trailers)

    def cut(self, *, reset: bool) -> None:
        self.ending = "reset" if reset else "cut"


class Calling:
    """A proxy, its upstream, and what it wrote down."""

    def __init__(self, root: Path, upstream: ScriptedUpstream) -> None:
        loop = asyncio.get_running_loop()
        self.root = root / "journal"
        self.upstream = upstream
        self.writer = JournalWriter(self.root, loop, SMALL, boot="test")
        self.upstreams = Upstreams(loop, Deadlines(loop), SimProtocol)
        self._closed = False

    def proxy(self, *, key: ApiKey = KEY, capture="full", limits: Limits | None = None, **known) -> Proxy:
        return Proxy(
            keys=Keys(self.root.parent / "keys.json", [key], b"pepper", pass_through=True),
            routes=Routes({"up": self.target(**known)}, "up"),
            upstreams=self.upstreams,
            journal=self.writer,
            limits=limits or Limits(),
            rules=RecordingRules(barrier_seconds=10),
            capture=capture,
            loop=asyncio.get_running_loop(),
            random=Random(1),
        )

    def target(self, **known) -> Upstream:
        fields = {"name": "up", "scheme": "http", "host": "127.0.0.1", "port": self.upstream.port, "base_path": "/v1"}
        return Upstream(**(fields | {"credentials": (THEIRS,)} | known))

    async def call(
        self,
        proxy: Proxy,
        body: bytes = b"",
        *headers: Header,
        target: bytes = b"/v1/chat/completions",
        method: bytes = b"POST",
        upgrade: bool = False,
    ) -> FakeCaller:
        caller = FakeCaller(method, target, headers, body, upgrade=upgrade)
        async with asyncio.timeout(30):
            await proxy.answer(caller)
        return caller

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.upstreams.forget()
            self.writer.close()

    def records(self) -> list[Exchange]:
        self.close()
        return read_all(self.root)
