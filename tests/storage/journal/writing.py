"""A process that writes calls until it is killed. On standard output, one line for each thing that is safe: `begun ID`, `ended ID`.

python -m tests.storage.journal.writing ROOT SEGMENT_BYTES CALLS_AT_ONCE [MOST_CALLS]
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from storage.journal import JournalLimits, JournalWriter
from tests.storage.journal.calls import a_closing, an_opening


def pieces_of(call_id: str, count: int) -> list[bytes]:
    """The answer of a call: it says whose it is, and which piece is which."""
    return [f"{call_id}:{number};".encode() * 8 for number in range(count)]


def request_of(call_id: str) -> bytes:
    return f"request of {call_id}".encode()


def say(what: str, call_id: str) -> None:
    os.write(1, f"{what} {call_id}\n".encode())


async def synced(writer: JournalWriter, ticket: int) -> None:
    waiter = asyncio.get_running_loop().create_future()
    writer.when_synced(ticket, waiter)
    await waiter


async def one_call(writer: JournalWriter, number: int) -> None:
    opening = an_opening(number)
    pieces = pieces_of(opening.id, 3 + number % 40)
    request = request_of(opening.id)
    await synced(writer, writer.opened(opening))
    say("begun", opening.id)
    writer.progress(opening.id, pieces[:2], [request])
    await asyncio.sleep(0)
    writer.progress(opening.id, pieces[2:3])
    closing = a_closing(opening, request, b"".join(pieces))
    await synced(writer, writer.closed(opening, closing, [], pieces[3:]))
    say("ended", opening.id)


async def main(root: Path, segment_bytes: int, at_once: int, most: int) -> None:
    limits = JournalLimits(segment_bytes=segment_bytes, ballast_bytes=0)
    writer = JournalWriter(root, asyncio.get_running_loop(), limits, boot=f"boot-{time.time_ns()}")
    numbers = iter(range(most))

    async def calls() -> None:
        for number in numbers:
            await one_call(writer, number)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(calls())
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 10**9))
