"""A destination that is down for a day, with everything owed to it in the real store: memory stays flat, and it is drained in order."""

import asyncio
import os
import resource
import sys
from random import Random

import pytest

from domain.deliveries import Owed
from domain.destinations import Limits, Payload, Receipt, Unavailable
from recorder.courier import Configured, Courier
from recorder.courier.clock import Clock
from recorder.courier.configured import Made
from storage.database import open_database
from storage.deliveries import DeliveryStore
from storage.spans import SpanStore
from tests.recorder.courier.virtual import Inline, VirtualLoop
from tests.storage.samples import BEGIN, SECOND, a_content, a_span

pytestmark = pytest.mark.slow

CALLS = int(os.environ.get("FAREGATE_TEST_BACKLOG_CALLS", "20000"))
HOURS = 24
GROWTH_MIB = 64


class Drain:
    """Refuses for a day, and then takes everything, in order, remembering nothing but the last one."""

    def __init__(self, loop):
        self.limits = Limits(items=200, parallel=4)
        self.taken = self.requests = self.out_of_order = 0
        self._loop = loop
        self._last = 0

    def encode(self, parcels, batch):  # noqa: ARG002 - the port's
        return Payload(b"x", "text/plain", tuple(parcel.span.id for parcel in parcels), name=f"{parcels[0].span.started_at}")

    async def send(self, payload):
        self.requests += 1
        if self._loop.time() < HOURS * 3600:
            raise Unavailable("refused")
        self.out_of_order += int(payload.name) < self._last
        self._last = int(payload.name)
        self.taken += len(payload.calls)
        return Receipt(200)


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_day_of_everything_waits_in_the_store_and_is_drained_in_order(tmp_path):
    loop = VirtualLoop()

    def wall():
        return BEGIN + int(loop.time() * SECOND)

    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    database.upgrade()
    spans = SpanStore(database, now=wall)
    queue = DeliveryStore(database, office="virtual", now=wall)
    drain = Drain(loop)
    courier = Courier(
        queue,
        {"d": Configured("d", lambda: Made(drain), drain.limits)},
        clock=Clock(wall, loop.time),
        random=Random(1),
        make_worker=Inline,
    )
    running = loop.create_task(courier.deliver())

    async def until(moment):
        await asyncio.sleep(moment - loop.time())

    made = 0
    before = 0.0
    for hour in range(HOURS):
        while made < CALLS * (hour + 1) // HOURS:
            some = [a_span(number, started_at=BEGIN + number) for number in range(made, min(made + 500, CALLS))]
            spans.save([(span, a_content()) for span in some], {}, {span.id: [Owed("d")] for span in some})
            made += len(some)
        courier.wake()
        loop.run_until_complete(until((hour + 1) * 3600 - 60))
        before = before or peak_mib()
    status = courier.status()["d"]
    assert (status.state, status.pending, status.dead) == ("open", CALLS, 0)
    assert drain.requests <= HOURS * 3600 / 29 + 20
    held = peak_mib()
    loop.run_until_complete(until(HOURS * 3600 + 60))
    while drain.taken != CALLS:
        loop.run_until_complete(until(loop.time() + 60))
        assert loop.time() < 3 * HOURS * 3600
    loop.run_until_complete(until(loop.time() + 10))
    counts = queue.counts()["d"]
    assert (counts.accepted, counts.delivered, counts.pending, counts.dead) == (CALLS, CALLS, 0, 0)
    assert drain.out_of_order == 0
    figures = (
        f"{CALLS} calls: {before:.0f} MiB after the first hour, {held:.0f} after the outage, {peak_mib():.0f} after draining"
    )
    assert peak_mib() - before < GROWTH_MIB, figures
    sys.stdout.write(figures)
    courier.stop()
    loop.run_until_complete(running)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert queue.discrepancies() == []
    database.close()
