"""Calls to write down: only what matters is spelled out."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from domain.exchange import Attempt, Closing, Exchange, Labels, Opening
from domain.ids import new_id
from storage.journal import JournalLimits, JournalReader, JournalWriter

MEBIBYTE = 2**20
SMALL = JournalLimits(ballast_bytes=0, segment_bytes=64 * 1024)


def an_opening(number: int = 0, **known) -> Opening:
    at = 1_700_000_000_000_000_000 + number * 1_000_000
    opening = Opening(
        id=new_id(at),
        at=at,
        method="POST",
        path="/v1/chat/completions",
        upstream="openai",
        dialect="openai",
        key="key-1",
        key_name="ci",
        project="default",
        labels=Labels(session="s-1", tags={"team": "search", "größe": "ü"}),
        model="gpt-4o",
        stream=True,
    )
    return replace(opening, **known)


def a_closing(opening: Opening, request: bytes = b"", response: bytes = b"", **known) -> Closing:
    closing = Closing(
        at=opening.at + 1_000_000,
        ending="complete",
        status=200,
        request_headers=(("Host", "api"), ("Authorization", "***")),
        response_headers=(("content-type", "text/event-stream"), ("Set-Cookie", "\xe9")),
        attempts=(Attempt("openai", "1", opening.at, 200, 41_000),),
        request_bytes=len(request),
        response_bytes=len(response),
        marks=b"\x01\x02\x03\x04" * 8,
    )
    return replace(closing, **known)


@contextlib.asynccontextmanager
async def a_writer(root: Path, limits: JournalLimits = SMALL) -> AsyncIterator[JournalWriter]:
    writer = JournalWriter(root, asyncio.get_running_loop(), limits, boot="test")
    try:
        yield writer
    finally:
        writer.close()


@contextlib.contextmanager
def a_reader(root: Path, **settings) -> Iterator[JournalReader]:
    reader = JournalReader(root, **settings)
    try:
        yield reader
    finally:
        reader.close()


async def synced(writer: JournalWriter, ticket: int) -> None:
    """Wait until the record is on disk."""
    waiter = asyncio.get_running_loop().create_future()
    writer.when_synced(ticket, waiter)
    await asyncio.wait_for(waiter, 60)


async def call(writer: JournalWriter, request: bytes = b"asked", response: bytes = b"answered", number: int = 0) -> Exchange:
    """Write down a whole call, safely; return what should be read of it."""
    opening = an_opening(number)
    closing = a_closing(opening, request, response)
    writer.opened(opening)
    await synced(writer, writer.closed(opening, closing, [request], [response]))
    return Exchange(opening, closing, request, response)


def everything(reader: JournalReader, most: int = 256) -> list[Exchange]:
    """Read and put behind us all there is now."""
    found: list[Exchange] = []
    while exchanges := reader.read(most):
        found += exchanges
        reader.saved()
    reader.saved()
    return found


def read_all(root: Path) -> list[Exchange]:
    with a_reader(root) as reader:
        return everything(reader)


def until(holds: Callable[[], bool], seconds: float = 180) -> None:
    """Wait for something another thread or process does."""
    end = time.monotonic() + seconds
    pause = 0.001
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


async def eventually(holds: Callable[[], bool], seconds: float = 180) -> None:
    """Wait on the loop for something that happens elsewhere."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - a thread or a disk gives no event
            await asyncio.sleep(0.005)


def segments(root: Path, folder: str = "gate-0") -> list[Path]:
    return sorted((root / folder).glob("*.segment"))


def ids(exchanges: Sequence[Exchange]) -> list[str]:
    return [exchange.opening.id for exchange in exchanges]
