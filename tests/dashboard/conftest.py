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
from dashboard.budget_book import BudgetBook
from dashboard.budget_json import Budgets
from dashboard.destination_desk import DestinationDesk
from dashboard.keyring import KeyRing
from dashboard.live import Live
from dashboard.price_desk import PriceDesk
from dashboard.price_shelf import PriceShelf
from dashboard.projects import project_names
from domain.budgets import Budget, Scope, WindowRule
from domain.exchange import Labels
from domain.ids import new_id
from domain.keys import ApiKey
from pricing.override_documents import override_of
from recorder.courier import Courier, configured
from recorder.price_audit import Auditor
from recorder.price_refresh import PriceRefresh
from recorder.pricing import Pricer
from recorder.replaying import Replays
from recorder.repricing import Repricer
from storage.adjustments import AdjustmentStore
from storage.budgets import BudgetStore
from storage.database import open_database
from storage.deliveries import DeliveryStore
from storage.keys import KeyStore
from storage.ledger.memory import MemoryLedger
from storage.prices import PriceStore
from storage.sessions import SessionStore
from storage.spans import SpanStore
from storage.usage import UsageStore
from tests.dashboard.spans import content, span

OWN_BUDGET = Budget("own", Scope("project", "default"), 10**10, WindowRule("month", "Europe/Paris"), origin="file")
TOKEN = "admin-" + "0123456789abcdef"


class Server(uvicorn.Server):
    """uvicorn in a thread: signals are the test's, and it ends at once, without the pauses that let real callers finish."""

    def __init__(self, config):
        super().__init__(config)
        self.ended = asyncio.Event()

    def capture_signals(self):
        return contextlib.nullcontext()

    async def main_loop(self):
        await self.ended.wait()

    async def shutdown(self, sockets=None):  # noqa: ARG002 - as uvicorn has it
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.wait_for(self._wait_tasks_to_complete(), 5)
        await self.lifespan.shutdown()


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
    budgets: Any = None
    ledger: Any = None
    desk: Any = None
    url: str = ""

    def client(self, token: str | None = TOKEN, **options):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=self.path), base_url="http://localhost:8080", headers=headers, **options
        )

    def on_loop(self, function, *arguments):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (function(*arguments), done.set()))
        assert done.wait(30)


def until(condition, seconds=30):
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


OWN_PRICE = override_of(
    {"match": {"model": "in-file-*"}, "per_million_usd": {"input": "1", "output": "2"}}, price_id="file-1", origin="file"
)
UPSTREAMS = {"openai": "api.openai.com/v1", "anthropic": "api.anthropic.com", "vllm": "127.0.0.1:8000/v1"}


def price_desk(database, data):
    """Return what the office works on prices with, over a real store; there is nowhere to refresh prices from."""
    shelf = PriceShelf(PriceStore(database), [OWN_PRICE], data)
    pricer = Pricer(lambda: shelf.book, UPSTREAMS)
    refresh = PriceRefresh(
        "", data=data, snapshots=shelf.snapshots, book=lambda: shelf.book, used=lambda: (), publish=shelf.publish
    )
    adjustments = AdjustmentStore(database)
    repricer, auditor = Repricer(adjustments, pricer.of_span), Auditor(adjustments, pricer.of_span)
    return PriceDesk(shelf, adjustments, repricer, auditor, UPSTREAMS, refresh.refresh)


@pytest.fixture
def configs():
    """Return the destinations of the settings. Tests that need some have a fixture of this name of their own."""
    return {}


@pytest.fixture
def desk(tmp_path, database, configs):
    """Return what the office works on destinations with: a real store, and a real courier where there are destinations."""
    spans, store = SpanStore(database), DeliveryStore(database, office="this one")

    def owe(one, body, owed):
        spans.save([(one, body)], deliveries={one.id: [owed]})

    courier = Courier(store, {name: configured(name, config) for name, config in configs.items()}, owe=owe)
    replays = Replays(tmp_path / "replays.json", spans, store, woken=courier.wake, paced=courier.replay_rate)
    courier.start()
    yield DestinationDesk(configs, store, spans, courier, replays, lines=dict.fromkeys(configs, "faregate.toml:12"))
    courier.stop()


@pytest.fixture
def office(tmp_path, database, desk):
    spans = SpanStore(database)
    own = [ApiKey(id="own", name="ci", digest="d" * 64, origin="file")]
    ring = KeyRing(KeyStore(database), own, tmp_path / "keys.json")
    running, clock = [], [time.time()]
    book = BudgetBook(
        BudgetStore(database), [OWN_BUDGET], tmp_path / "budgets.json", lines={"own": "faregate.toml:7"}, now=lambda: clock[0]
    )
    live = Live(spans, lambda: running, book.store)
    usage, ledger = UsageStore(database), MemoryLedger()
    budgets = Budgets(
        book, usage, ledger.standings, lambda: ["ci", "web"], lambda: project_names(ring, ["default"]), lambda: clock[0]
    )
    more = {"usage": usage, "budgets": budgets, "prices": price_desk(database, tmp_path), "destinations": desk}
    parts = Parts(spans, ring, SessionStore(database), live, lambda: {"version": "1"}, past, TOKEN, **more)
    app = make_app(parts, now=lambda: clock[0])
    path = str(tmp_path / "o.sock")
    office = Office(app, spans, ring, live, path, tmp_path / "keys.json", running, clock, budgets=budgets, ledger=ledger)
    office.desk = desk
    with serving(office):
        yield office


@contextlib.contextmanager
def serving(office):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(office.path)
    listener.listen(64)
    public = socket.create_server(("127.0.0.1", 0))
    office.url = f"http://127.0.0.1:{public.getsockname()[1]}"
    server = Server(uvicorn.Config(office.app, ws="none", lifespan="on", log_config=None, timeout_graceful_shutdown=1))

    async def main():
        office.loop = asyncio.get_running_loop()
        await server.serve([listener, public])

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    yield
    office.loop.call_soon_threadsafe(office.live.close)
    office.loop.call_soon_threadsafe(server.ended.set)
    thread.join(10)
    listener.close()
    public.close()
    assert not thread.is_alive()
