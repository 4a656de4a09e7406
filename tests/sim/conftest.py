"""A simulation on a TCP port, for the official SDKs and for raw bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.sim.memory import Memory
from gateway.sim.server import SimProtocol

SEED = 7


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def sim(clock: Clock) -> AsyncIterator[str]:
    """Serve a simulation, and return its address without a path."""
    memory = Memory(most=20)
    server = await asyncio.get_running_loop().create_server(
        lambda: SimProtocol(seed=SEED, clock=clock, memory=memory), "127.0.0.1", 0
    )
    host, port = server.sockets[0].getsockname()[:2]
    yield f"http://{host}:{port}"
    server.close()
    await server.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop its turns until `condition` holds; fail after thirty seconds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for is inside asyncio's transport and sets no event
            await asyncio.sleep(0)
