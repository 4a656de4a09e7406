"""What delivering costs: CPU of the office for one delivered span, how fast a backlog drains, and how late spans are beside sick destinations.

python -m bench.delivery [CALLS] [delivery|drain|lag]
"""

import contextlib
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence

from bench import office
from destinations.otlp import OtlpConfig
from domain.deliveries import Owed
from domain.exchange import Exchange
from domain.spans import Content, Span
from gateway.calm import calm_garbage_collection
from pricing.book import PriceBook
from recorder.courier import Courier, configured
from recorder.interpret import call_of
from recorder.pricing import Pricer
from recorder.spans import record_of
from storage.database import Database, open_database
from storage.deliveries import DeliveryStore
from storage.spans import SpanStore

AT_ONCE = 100
WARM = 300
ROUNDS = 3
SICK = ("hangs", "refuses", "crawls")
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"


def records(count: int) -> Iterator[tuple[Span, Content]]:
    """Yield recorded chat calls, as the recorder makes them."""
    book = PriceBook.packaged()
    pricer = Pricer(lambda: book, {"openai": "api.openai.com/v1"})
    answer, asked = office.plain(), office.request(stream=False)
    for _ in range(count):
        opening = office.opening()
        exchange = Exchange(opening, office.closing(opening, answer, len(asked)), asked, answer.body)
        span, content = record_of(exchange, call_of(exchange), capture="full", price=pricer.of_call)
        assert content is not None
        yield span, content


def _serve(listener: socket.socket, kind: str) -> None:
    """Take every request on every connection, until killed. `hangs` never answers, `crawls` takes three seconds."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection, kind), daemon=True).start()


def _answer(connection: socket.socket, kind: str) -> None:
    with connection, connection.makefile("rb") as reading:
        while line := reading.readline():
            size = 0
            while line not in {b"\r\n", b""}:
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
                line = reading.readline()
            reading.read(size)
            if kind != "well":
                time.sleep(3600 if kind == "hangs" else 3)
            connection.sendall(_HEAD)


@contextlib.contextmanager
def platform(kind: str = "well") -> Iterator[str]:
    """Run a receiver in a process of its own, so that its CPU is not counted; give its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    if kind == "refuses":
        listener.close()
        yield url
        return
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(listener, kind), daemon=True)
    process.start()
    listener.close()
    try:
        yield url
    finally:
        process.kill()
        process.join()


@contextlib.contextmanager
def store() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as folder:
        database = open_database(f"sqlite:///{folder}/store.db")
        database.upgrade()
        try:
            yield database
        finally:
            database.close()


def save(database: Database, recorded: Sequence[tuple[Span, Content]], names: Sequence[str]) -> None:
    spans = SpanStore(database)
    owed = [Owed(name) for name in names]
    for start in range(0, len(recorded), AT_ONCE):
        some = [(span, spans.packed(content)) for span, content in recorded[start : start + AT_ONCE]]
        spans.save(some, {}, {span.id: owed for span, _ in some} if owed else {})


def courier_of(database: Database, urls: Mapping[str, str], **settings: object) -> tuple[Courier, DeliveryStore]:
    queue = DeliveryStore(database, office=uuid.uuid4().hex)
    configs = {name: OtlpConfig(url=url, allow_private=True, **settings) for name, url in urls.items()}
    servers = {"openai": ("api.openai.com", 443)}
    made = {name: configured(name, config, servers=servers) for name, config in configs.items()}
    return Courier(queue, made), queue


def wait_for_end(queue: DeliveryStore, name: str) -> None:
    while queue.counts()[name].pending:
        time.sleep(0.1)


def delivery_us(calls: int) -> tuple[float, float]:
    """Return CPU microseconds of one delivered span: what owing it adds to saving it, and what the courier takes.

    A courier begins with reading certificates and loading a client, which is no part of a span: what a few spans cost is taken off.
    """
    saving: dict[tuple[str, ...], list[float]] = {(): [], ("otel",): []}
    for _ in range(ROUNDS):
        for names, spent in saving.items():
            spent.append(_saved_us(calls, names))
    owing = max(min(saving["otel",]) - min(saving[()]), 0.0)
    return owing, (_delivered_us(WARM + calls) - _delivered_us(WARM)) / calls


def _saved_us(calls: int, names: Sequence[str]) -> float:
    with store() as database:
        recorded = list(records(calls))
        began = time.thread_time_ns()
        save(database, recorded, names)
        return (time.thread_time_ns() - began) / calls / 1e3


def _delivered_us(calls: int) -> float:
    with platform() as url, store() as database:
        save(database, list(records(calls)), ("otel",))
        courier, queue = courier_of(database, {"otel": url}, batch_items=AT_ONCE)
        began = time.process_time_ns()
        courier.start()
        wait_for_end(queue, "otel")
        spent = (time.process_time_ns() - began) / 1e3
        courier.stop()
    return spent


def drained_per_second(calls: int) -> float:
    """Return how many spans of a backlog are delivered in a second."""
    with platform() as url, store() as database:
        save(database, list(records(calls)), ("otel",))
        courier, queue = courier_of(database, {"otel": url})
        began = time.monotonic()
        courier.start()
        wait_for_end(queue, "otel")
        took = time.monotonic() - began
        courier.stop()
    return calls / took


def lag_seconds(seconds: float, *, sick: bool, rate: float = 100.0) -> list[float]:
    """Return how long each span waited at a well destination, at so many calls a second, beside three sick destinations or none."""
    with contextlib.ExitStack() as stack:
        kinds = ("well", *SICK) if sick else ("well",)
        urls = {kind: stack.enter_context(platform(kind)) for kind in kinds}
        database = stack.enter_context(store())
        recorded = list(records(int(seconds * rate)))
        courier, queue = courier_of(database, urls)
        delivered: list[float] = []
        finish = queue.finish

        def noted(outcomes: Sequence[object]) -> None:
            finish(outcomes)
            now = time.time_ns()
            delivered.extend((now - one.claim.owed_at) / 1e9 for one in outcomes if one.claim.owed.destination == "well")

        queue.finish = noted  # type: ignore[method-assign]
        courier.start()
        step = 0.12
        began = time.monotonic()
        place = 0
        while place < len(recorded):
            until = min(int((time.monotonic() - began) * rate) + 1, len(recorded))
            if until > place:
                save(database, recorded[place:until], kinds)
                courier.wake()
                place = until
            time.sleep(step)
        wait_for_end(queue, "well")
        courier.stop()
    return delivered


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    wanted = sys.argv[2:] or ["delivery", "drain", "lag"]
    calm_garbage_collection()
    if "delivery" in wanted:
        rounds = [delivery_us(calls) for _ in range(3)]
        owing, spent = min(rounds, key=sum)
        print(
            f"delivery: {owing + spent:.0f} us CPU for a span (owing {owing:.0f}, courier {spent:.0f}); rounds {json.dumps(rounds)}"
        )
    if "drain" in wanted:
        print(f"drain: {drained_per_second(calls):.0f} spans/s")
    if "lag" in wanted:
        for sick in (False, True):
            lags = sorted(lag_seconds(20, sick=sick))
            p99 = lags[int(len(lags) * 0.99)]
            print(f"lag{' beside three sick ones' if sick else ''}: p50 {statistics.median(lags):.2f} s, p99 {p99:.2f} s")


if __name__ == "__main__":
    main()
