"""The office's application on a real Unix socket, over a real SQLite store."""

import asyncio
import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import uvicorn

from dashboard.app import Parts, make_app
from dashboard.keyring import KeyRing
from dashboard.live import Live
from domain.exchange import Labels
from domain.ids import new_id
from domain.keys import ApiKey
from storage.database import open_database
from storage.keys import KeyStore
from storage.sessions import SessionStore
from storage.spans import SpanStore
from tests.dashboard.spans import content, span

TOKEN = "admin-" + "0123456789abcdef"


class Server(uvicorn.Server):
    """uvicorn in a thread: signals are the test's."""

    def capture_signals(self):
        return contextlib.nullcontext()


@dataclass
class Office:
    """What tests hold on to."""

    app: Any
    spans: SpanStore
    ring: KeyRing
    live: Live
    path: str
    keys_file: Path
    running: list = field(default_factory=list)
    clock: list = field(default_factory=lambda: [time.time()])
    loop: Any = None

    def client(self, token: str | None = TOKEN, **options):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=self.path), base_url="http://localhost:8080", headers=headers, **options
        )

    def on_loop(self, function, *arguments):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (function(*arguments), done.set()))
        assert done.wait(10)


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        tick.wait(0.005)


@pytest.fixture
def database(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'calls.db'}")
    database.upgrade()
    yield database
    database.close()


def past(now, seconds):
    """Return a made-up past: a call every ten minutes."""
    for number in range(int(seconds // 600)):
        at = int(now // 600 - number) * 600 * 10**9
        made = span(id=new_id(at, Random(at)), started_at=at, labels=Labels(env="demo", tags={"team": "t"}))
        yield made, content()


@pytest.fixture
def office(tmp_path, database):
    spans = SpanStore(database)
    own = [ApiKey(id="own", name="ci", digest="d" * 64, origin="file")]
    ring = KeyRing(KeyStore(database), own, tmp_path / "keys.json")
    running, clock = [], [time.time()]
    live = Live(spans, lambda: running)
    parts = Parts(spans, ring, SessionStore(database), live, lambda: {"version": "1"}, past, TOKEN)
    app = make_app(parts, now=lambda: clock[0])
    path = str(tmp_path / "o.sock")
    office = Office(app, spans, ring, live, path, tmp_path / "keys.json", running, clock)
    with serving(office):
        yield office


@contextlib.contextmanager
def serving(office):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(office.path)
    listener.listen(64)
    server = Server(uvicorn.Config(office.app, ws="none", lifespan="on", log_config=None, timeout_graceful_shutdown=1))

    async def main():
        office.loop = asyncio.get_running_loop()
        await server.serve([listener])

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    yield
    office.loop.call_soon_threadsafe(office.live.close)
    server.should_exit = True
    thread.join(10)
    listener.close()
    assert not thread.is_alive()
