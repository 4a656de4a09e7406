"""A process that writes and reads: short calls beside one stream that never ends, so that the reader has to carry it over.

On standard output: `begun ID`, `ended ID`, `saved ID` (before the reader may delete it), `streamed BYTES` of the long stream, `carried N`.

python -m tests.storage.power_loss.reading ROOT CALLS
"""

import asyncio
import sys
from pathlib import Path

from storage.journal import JournalLimits, JournalReader, JournalWriter
from tests.storage.journal.calls import an_opening
from tests.storage.journal.writing import one_call, say

LONG = "0192f3a0000070008000000000000001"
PIECE = b"the stream goes on; " * 20


def streamed(count: int) -> bytes:
    """The long stream's first `count` pieces."""
    return b"".join(b"%06d %s" % (number, PIECE) for number in range(count))


def save(reader: JournalReader) -> None:
    while exchanges := reader.read(16):
        for exchange in exchanges:
            say("saved", exchange.opening.id)
        reader.saved()


async def main(root: Path, calls: int) -> None:
    limits = JournalLimits(segment_bytes=20_000, ballast_bytes=0)
    writer = JournalWriter(root, asyncio.get_running_loop(), limits, boot="boot")
    reader = JournalReader(root, garbage_bytes=30_000)
    writer.opened(an_opening(id=LONG))
    for number in range(calls):
        writer.progress(LONG, [streamed(number + 1)[len(streamed(number)) :]])
        await one_call(writer, number)
        say("streamed", str(number + 1))
        if number % 3 == 2:
            save(reader)
    reader.close()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
