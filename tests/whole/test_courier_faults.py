"""Five destinations on real sockets, the real store, and a courier that is killed five times: nothing is lost, exactly the poison is dead."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from random import Random

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from domain.deliveries import Owed
from storage.database import open_database
from storage.deliveries import DeliveryDesk, Listing
from storage.spans import SpanStore
from tests.destinations.sink import Reply, Sink
from tests.storage.samples import a_content, a_span

pytestmark = pytest.mark.slow

CALLS = int(os.environ.get("FAREGATE_TEST_FAULT_CALLS", "5000"))
KILLS = 5
ITEMS, PARALLEL = 100, 4
NAMES = ("well", "slow", "down", "busy", "poisoned")
TAKEN = Reply(200, content_type="application/x-protobuf")
PATIENCE = 240.0


class Platform:
    """What took spans, and how often: by span id, with all that must be the same when one comes twice."""

    def __init__(self, poison=frozenset(), *, slow=0.0, busy=False):
        self.taken = Counter()
        self.kept = {}
        self.changed = []
        self.requests = 0
        self._poison = poison
        self._slow = slow
        self._busy = busy
        self._lock = threading.Lock()

    def __call__(self, got):
        with self._lock:
            self.requests += 1
            refuse = self._busy and self.requests % 2 == 0
        if refuse:
            return Reply(429, headers={"retry-after": "0.2"})
        request = ExportTraceServiceRequest.FromString(got.body)
        spans = [span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans]
        if any(span.span_id.hex() in self._poison for span in spans):
            return Reply(400, body=b"a span is not valid")
        if self._slow:
            threading.Event().wait(self._slow)
        with self._lock:
            for span in spans:
                self._take(span)
        return TAKEN

    def _take(self, span):
        kept = (span.trace_id, span.start_time_unix_nano, span.end_time_unix_nano)
        self.taken[span.span_id.hex()] += 1
        if self.kept.setdefault(span.span_id, kept) != kept:
            self.changed.append(span.span_id.hex())


def begin(database, places):
    command = [sys.executable, "-m", "tests.whole.courier_process", database, *(f"{name}={url}" for name, url in places.items())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen in time"
        threading.Event().wait(0.05)


def had(platforms, count):
    return sum(platform.requests for platform in platforms.values()) >= count


def pending(desk):
    return sum(counts.pending for counts in desk.counts().values())


def test_nothing_is_lost_and_exactly_the_poison_dies_through_five_kills(tmp_path):
    random = Random(4)
    url = f"sqlite:///{tmp_path / 'store.db'}"
    database = open_database(url)
    database.upgrade()
    spans = [a_span(number) for number in range(CALLS)]
    store = SpanStore(database)
    for start in range(0, CALLS, 250):
        some = spans[start : start + 250]
        owed = {span.id: [Owed(name) for name in NAMES] for span in some}
        store.save([(span, a_content(text="word " * 100)) for span in some], {}, owed)
    poison = {span.span_id for span in random.sample(spans, 20)}
    platforms = {
        "well": Platform(),
        "slow": Platform(slow=0.5),
        "down": Platform(),
        "busy": Platform(busy=True),
        "poisoned": Platform(poison),
    }
    desk = DeliveryDesk(database)
    with contextlib.ExitStack() as stack:
        sinks = {name: stack.enter_context(Sink(platform)) for name, platform in platforms.items()}
        is_down = threading.Event()
        is_down.set()
        sinks["down"].answering = lambda got: Reply(reset=True) if is_down.is_set() else platforms["down"](got)
        places = {name: sink.url for name, sink in sinks.items()}
        process = begin(url, places)
        for kill in range(KILLS):
            before = sum(platform.requests for platform in platforms.values())
            wait_until(partial(had, platforms, before + 8), "some requests")
            threading.Event().wait(random.random() / 3)
            process.kill()
            process.wait()
            process.stdout.close()
            assert desk.discrepancies() == []
            if kill == KILLS - 2:
                is_down.clear()
            process = begin(url, places)
        stack.callback(process.kill)
        wait_until(lambda: pending(desk) == 0, "the end of all deliveries")
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()
    counts = desk.counts()
    everyone = {span.span_id for span in spans}
    for name, platform in platforms.items():
        expected = everyone - poison if name == "poisoned" else everyone
        assert set(platform.taken) == expected, f"{name}: something was lost, or poison was taken"
        twice = platform.taken.total() - len(platform.taken)
        assert twice <= KILLS * ITEMS * PARALLEL, name
        assert platform.changed == [], name
        assert (counts[name].accepted, counts[name].delivered, counts[name].pending) == (CALLS, len(expected), 0)
    dead = {record.call_id for record in desk.listed(Listing(destination="poisoned", state="dead", limit=100)).records}
    assert {span.span_id for span in spans if span.id in dead} == poison
    assert desk.discrepancies() == []
    database.close()
