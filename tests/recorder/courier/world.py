"""A courier with its destinations and its queue, in a time of their own."""

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from random import Random

from domain.destinations import Limits, Payload, Receipt
from recorder.courier import Configured, Courier
from recorder.courier.clock import Clock
from recorder.courier.configured import Made
from tests.recorder.courier.memory_queue import MemoryQueue
from tests.recorder.courier.virtual import Inline, VirtualLoop
from tests.storage.samples import BEGIN, SECOND, a_span

DAY = 86_400.0


@dataclass
class Request:
    at: float
    calls: tuple[str, ...]
    name: str
    body: bytes


class Fake:
    """A destination at the edge: it keeps what it was sent, and answers as the test says."""

    def __init__(self, answer=None, **limits):
        self.limits = Limits(**limits)
        self.transform = None
        self.answer = answer or (lambda _: Receipt(200))
        self.requests: list[Request] = []
        self.taken: list[str] = []
        self.running = self.most_running = 0

    def encode(self, parcels, batch):
        calls = tuple(parcel.span.id for parcel in parcels)
        texts = [None if parcel.content is None else [parcel.content.input, parcel.content.output] for parcel in parcels]
        body = json.dumps([calls, texts]).encode()
        return Payload(body, "application/json", calls, name=batch)

    async def send(self, payload):
        request = Request(asyncio.get_running_loop().time(), payload.calls, payload.name, payload.body)
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            receipt = self.answer(request)
            if isinstance(receipt, Awaitable):
                receipt = await receipt
        finally:
            self.running -= 1
        self.taken += [call for call in payload.calls if call not in receipt.rejected and call not in receipt.again]
        return receipt

    def times(self):
        return [request.at for request in self.requests]


class FakeOfEvents(Fake):
    def encode_event(self, event):
        return Payload(json.dumps(event.message).encode(), "application/json", (event.id,))


class World:
    def __init__(self, destinations, *, seed=1, events=None, owe=None, queue=None, make_worker=Inline, **configured):
        self.loop = VirtualLoop()
        self.shift = 0
        self.events = []
        clock = Clock(self.wall, self.loop.time)
        self.queue = queue or MemoryQueue(self.wall)
        self.fakes = destinations
        self.courier = Courier(
            self.queue,
            {
                name: replace(
                    Configured(name, lambda fake=fake: Made(fake, transform=fake.transform), fake.limits),
                    **configured.get(name, {}),
                )
                for name, fake in destinations.items()
            },
            events=events or self.events.append,
            owe=owe,
            clock=clock,
            random=Random(seed),
            make_worker=make_worker,
        )
        self._task = None

    def wall(self):
        return BEGIN + int(self.loop.time() * SECOND) + self.shift

    def owe(self, name, count, *, content=None, **owed):
        spans = [a_span(started_at=self.wall()) for _ in range(count)]
        for span in spans:
            self.queue.owe(name, span, content, **owed)
        self.courier._wake({name: count})
        return [span.id for span in spans]

    def run(self, seconds):
        """Let so many seconds pass."""
        if self._task is None:
            self._task = self.loop.create_task(self.courier.deliver())
        self.loop.run_until_complete(asyncio.sleep(seconds))
        if self._task.done():
            self._task.result()
        if hasattr(self.queue, "check"):
            self.queue.check()

    def ask(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def status(self, name="d"):
        return self.courier.status()[name]

    def stop(self):
        self.courier.stop()
        if self._task is not None:
            self.loop.run_until_complete(self._task)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
