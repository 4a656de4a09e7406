"""What the journal costs: CPU for one exchange, in segment files and in SQLite (WAL, synchronous=FULL, a separate checkpointer).

python -m bench.journal [FOLDER]

Both write the same bytes: an `opened` and a `closed` record for each exchange, encoded alike, in groups of a given number of exchanges with
one commit each. CPU is the whole process's, user and system; commit times are wall clock. FOLDER should be on the disk that is meant.
"""

import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from domain.exchange import Attempt, Closing, Labels, Opening
from domain.ids import new_id
from storage.journal import JournalLimits, JournalWriter
from storage.journal.frames import closed_payload, opened_payload
from storage.journal.segments import Segment

HEADERS = tuple((f"x-header-{number}", "a value of usual length") for number in range(8))
CHECKPOINT_EVERY = 0.5
ROUNDS = 3
Exchanges = list[tuple[Opening, Closing, bytes, bytes]]
Commit = Callable[[Exchanges], None]


def exchanges(count: int, body: int) -> Exchanges:
    made = []
    for _ in range(count):
        at = time.time_ns()
        opening = Opening(
            new_id(at), at, "POST", "/v1/chat/completions", "openai", "openai", "k", "ci", "default", Labels(), "gpt-4o"
        )
        closing = Closing(at, "complete", 200, HEADERS, HEADERS, (Attempt("openai", "1", at, 200),), body // 2, body // 2)
        made.append((opening, closing, os.urandom(body // 2), os.urandom(body // 2)))
    return made


class InSegments:
    def __init__(self, folder: Path, *, preallocated: bool) -> None:
        self._folder = folder
        self._preallocated = preallocated
        self._number = 0
        self._begin()

    def _begin(self) -> None:
        self._number += 1
        self._segment = Segment(self._folder, self._number, 16 * 2**20 if self._preallocated else 0)

    def commit(self, group: Exchanges) -> None:
        payloads = []
        for opening, closing, request, response in group:
            payloads.append(opened_payload(opening, 1))
            payloads.append(closed_payload(opening, closing, 1, 0, request=[request], response=[response]))
        if self._segment.written > 16 * 2**20:
            self._segment.retire()
            self._begin()
        self._segment.append(payloads)
        self._segment.sync()

    def close(self) -> None:
        self._segment.retire()


class InSQLite:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal.db"
        self._database = self._connection()
        self._database.execute("pragma wal_autocheckpoint=0")
        self._database.execute(
            "create table record (seq integer primary key, call blob, kind integer, meta blob, request blob, response blob)"
        )
        self._encoder = msgspec.msgpack.Encoder()
        self._stopping = threading.Event()
        self._checkpointer = threading.Thread(target=self._checkpoint)
        self._checkpointer.start()

    def _connection(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, isolation_level=None, timeout=5)
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=full")
        return database

    def _checkpoint(self) -> None:
        database = self._connection()
        while not self._stopping.wait(CHECKPOINT_EVERY):
            database.execute("pragma wal_checkpoint(passive)")
        database.close()

    def commit(self, group: Exchanges) -> None:
        rows = []
        for opening, closing, request, response in group:
            call = bytes.fromhex(opening.id)
            rows.append((call, 2, self._encoder.encode(opening), None, None))
            rows.append((call, 4, self._encoder.encode((opening, closing)), request, response))
        self._database.execute("begin immediate")
        self._database.executemany("insert into record (call, kind, meta, request, response) values (?,?,?,?,?)", rows)
        self._database.execute("commit")

    def close(self) -> None:
        self._stopping.set()
        self._checkpointer.join()
        self._database.close()


def measured(commit: Commit, made: Exchanges, batch: int) -> tuple[float, list[float]]:
    """Return CPU microseconds for one exchange, and how long each commit took in milliseconds."""
    took = []
    cpu = time.process_time()
    for start in range(0, len(made), batch):
        began = time.perf_counter()
        commit(made[start : start + batch])
        took.append((time.perf_counter() - began) * 1e3)
    return (time.process_time() - cpu) / len(made) * 1e6, took


def compare(root: Path) -> None:
    makers = {
        "segments, preallocated": lambda folder: InSegments(folder, preallocated=True),
        "segments, appended": lambda folder: InSegments(folder, preallocated=False),
        "SQLite": InSQLite,
    }
    print(f"{'bodies':>7} {'batch':>6}  {'':24}{'CPU us':>8}{'p50 ms':>9}{'p99 ms':>9}")
    for body in (2048, 16384):
        for batch in (1, 10, 100):
            made = exchanges({1: 200, 10: 1000, 100: 2000}[batch], body)
            results: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in makers}
            for _ in range(ROUNDS):  # in turn, so that a noisy moment hits all
                for name, make in makers.items():
                    with tempfile.TemporaryDirectory(dir=root) as folder:
                        store = make(Path(folder))
                        results[name].append(measured(store.commit, made, batch))
                        store.close()
            for name, rounds in results.items():
                cpu = min(result[0] for result in rounds)
                took = sorted(value for result in rounds for value in result[1])
                p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
                print(f"{body:>7} {batch:>6}  {name:24}{cpu:8.1f}{statistics.median(took):9.2f}{p99:9.2f}")


FEEDER = """
import os, sys, time
rate, count = int(sys.argv[1]), int(sys.argv[2])
began = time.perf_counter()
for number in range(count):
    ahead = began + number / rate - time.perf_counter()
    if ahead > 0:
        time.sleep(ahead)
    os.write(1, b".")
"""


class Gate:
    """Writes one call for each byte that comes, as a gate does for each request."""

    def __init__(self, writer: JournalWriter, made: Exchanges) -> None:
        self.on_loop = 0
        self.waits: list[float] = []
        self.done = asyncio.Event()
        self._writer = writer
        self._left = iter(made)
        self._count = len(made)

    def came(self, file: int) -> None:
        for _ in os.read(file, 65536):
            opening, closing, request, response = next(self._left)
            started = time.thread_time_ns()
            ticket = self._writer.opened(opening)
            self._writer.closed(opening, closing, [request], [response])
            self.on_loop += time.thread_time_ns() - started
            self._count -= 1
            if self._count % 10 == 0:
                self._wait(ticket)
        if not self._count:
            self.done.set()

    def _wait(self, ticket: int) -> None:
        began = time.perf_counter()
        waiter = asyncio.get_running_loop().create_future()
        waiter.add_done_callback(lambda _: self.waits.append(time.perf_counter() - began))
        self._writer.when_synced(ticket, waiter)


async def paced(root: Path, rate: int, gap: float) -> None:
    """Print what a writer costs at a steady rate of calls, on the loop's thread and in all."""
    made = exchanges(min(rate * 2, 6000), 2048)
    with tempfile.TemporaryDirectory(dir=root) as folder:
        limits = JournalLimits(busy_gap=gap, ballast_bytes=0)
        writer = JournalWriter(Path(folder), asyncio.get_running_loop(), limits, boot="bench")
        feeder = subprocess.Popen([sys.executable, "-c", FEEDER, str(rate), str(len(made))], stdout=subprocess.PIPE)  # noqa: ASYNC220 - before the clock starts
        assert feeder.stdout is not None
        gate = Gate(writer, made)
        cpu = time.process_time()
        asyncio.get_running_loop().add_reader(feeder.stdout.fileno(), gate.came, feeder.stdout.fileno())
        await gate.done.wait()
        asyncio.get_running_loop().remove_reader(feeder.stdout.fileno())
        writer.close()
        cpu = time.process_time() - cpu
        feeder.communicate()
        print(
            f"{rate:>6}/s, gap {gap * 1e3:.1f} ms: loop {gate.on_loop / len(made) / 1e3:5.2f} us, all {cpu / len(made) * 1e6:6.1f} us a call, "
            f"{len(made) / writer.counters.commits:5.1f} calls a commit, barrier p50 {statistics.median(gate.waits) * 1e3:.2f} ms"
        )


def main() -> None:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.gettempdir())
    compare(root)
    print()
    for rate in (100, 1000, 5000, 10000):
        for gap in (0.0, 0.0005, 0.001, 0.002):
            uvloop.run(paced(root, rate, gap))


if __name__ == "__main__":
    main()
