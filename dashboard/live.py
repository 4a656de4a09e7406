"""What happens now, as server-sent events: calls as they come in (`opened`) and as they are recorded (`call`), warnings of budgets (`budget`).

One task reads the store while anybody listens, whoever recorded the calls, this office or another. Each listener has a queue of its own,
bounded: one that does not keep up is told so and cut off, and delays nobody.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dashboard.budget_json import warning_json
from dashboard.problems import Problem, refuse_unknown
from dashboard.queries import once_each, where_of
from domain.errors import StoreUnavailable
from domain.exchange import Opening
from domain.spans import Span, as_json, rfc3339
from routing.where import Where
from storage.budgets import BudgetStore
from storage.spans import SpanStore

log = logging.getLogger(__name__)

LONGEST_QUEUE = 1_000
MOST_LISTENERS = 100
PING_SECONDS = 15.0
LOOK_SECONDS = 0.5
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Listener:
    """One stream: what waits to be sent on it. Text only, so that nothing is made twice."""

    def __init__(self, where: Where | None) -> None:
        """Listen for what meets `where`."""
        self.where = where
        self.ready = asyncio.Event()
        self.cut = False
        self.closed = False
        self._waiting: deque[str] = deque()

    def offer(self, event: str) -> None:
        """Queue an event; a full queue ends the stream."""
        if self.cut or self.closed:
            return
        if len(self._waiting) >= LONGEST_QUEUE:
            self.cut = True
            self._waiting.clear()
            self._waiting.append(sse("cut_off", {"reason": f"more than {LONGEST_QUEUE} events were waiting; connect again"}))
        else:
            self._waiting.append(event)
        self.ready.set()

    def close(self) -> None:
        """End the stream after what waits."""
        self.closed = True
        self.ready.set()

    def take(self) -> str:
        """Return what waits, all of it."""
        self.ready.clear()
        events = "".join(self._waiting)
        self._waiting.clear()
        return events


class Live:
    """Tells listeners. `run` is the task that looks; everything here belongs to the event loop, but for `wake_from_thread`."""

    def __init__(self, spans: SpanStore, running: Callable[[], Iterable[Opening]], warnings: BudgetStore | None = None) -> None:
        """Look into `spans` for finished calls, into `warnings`, and ask `running` for calls that are under way. All wait, so they run in threads."""
        self._spans = spans
        self._running = running
        self._warnings = warnings
        self._warned: int | None = None
        self._listeners: set[Listener] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: dict[str, Opening] = {}
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def wake_from_thread(self) -> None:
        """Look now: something was recorded."""
        if self._loop is not None and self._listeners:
            self._loop.call_soon_threadsafe(self._wake.set)

    def join(self, where: Where | None) -> Listener:
        """Add a listener; without a condition (which needs a finished call), it first hears of the calls that are under way.

        Raises:
            Problem: there are too many.

        """
        if len(self._listeners) >= MOST_LISTENERS or self._closed:
            raise Problem(503, f"{MOST_LISTENERS} streams are open already." if not self._closed else "The office is stopping.")
        listener = Listener(where)
        listener.offer(": hello\n\n")
        for opening in self._opened.values() if where is None else ():
            listener.offer(sse("opened", opening_json(opening)))
        self._listeners.add(listener)
        self._wake.set()
        return listener

    def leave(self, listener: Listener) -> None:
        """Remove a listener."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for listener in self._listeners:
            listener.close()
        self._wake.set()

    async def run(self) -> None:
        """Look and tell, for as long as anybody listens; else sleep."""
        self._loop = asyncio.get_running_loop()
        place: int | None = None
        while not self._closed:
            if not self._listeners:
                place = self._warned = None
                self._opened = {}
                await self._wake.wait()
            self._wake.clear()
            try:
                place = await self._look(place)
            except (StoreUnavailable, OSError) as error:
                log.debug("nothing live now: %s", type(error).__name__)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self, place: int | None) -> int:
        """Tell of what is new since `place` (None: from now on), and return the place to go on from."""
        self._tell_opened(await run_in_threadpool(lambda: list(self._running())))
        if self._warnings is not None:
            await self._tell_warnings(self._warnings)
        if place is None:
            return await run_in_threadpool(self._spans.last_place)
        spans, next_place = await run_in_threadpool(self._spans.recorded_after, place)
        self._tell_recorded(spans)
        return next_place

    def _tell_opened(self, running: Iterable[Opening]) -> None:
        now = {opening.id: opening for opening in running}
        for id_, opening in now.items():
            if id_ not in self._opened:
                event = sse("opened", opening_json(opening))
                for listener in self._listeners:
                    if listener.where is None:
                        listener.offer(event)
        self._opened = now

    async def _tell_warnings(self, warnings: BudgetStore) -> None:
        if self._warned is None:
            self._warned = await run_in_threadpool(warnings.last_warning)
            return
        for warning in await run_in_threadpool(warnings.warnings_after, self._warned):
            self._warned = warning.seq
            event = sse("budget", warning_json(warning))
            for listener in self._listeners:
                if listener.where is None:
                    listener.offer(event)

    def _tell_recorded(self, spans: Iterable[Span]) -> None:
        for span in spans:
            self._opened.pop(span.id, None)
            event = sse("call", as_json(span), id_=span.id)
            for listener in self._listeners:
                if listener.where is None or listener.where.matches(span):
                    listener.offer(event)


def sse(event: str, value: Any, *, id_: str | None = None) -> str:
    """Return one event; JSON has no line end in it, so nothing in `value` can end the event early."""
    head = f"event: {event}\n" if id_ is None else f"id: {id_}\nevent: {event}\n"
    return f"{head}data: {json.dumps(value)}\n\n"


def opening_json(opening: Opening) -> dict[str, Any]:
    """Return what is known of a call under way."""
    return {
        "id": opening.id,
        "started_at": rfc3339(opening.at),
        "key": opening.key_name,
        "project": opening.project,
        "method": opening.method,
        "path": opening.path,
        "upstream": opening.upstream,
        "model": opening.model,
        "stream": opening.stream,
        "session": opening.labels.session,
        "section": opening.labels.section,
    }


class EventStream:
    """The answer to one listener: its queue, until it leaves, does not keep up, or the office stops."""

    def __init__(self, live: Live, where: Where | None) -> None:
        """Stream what meets `where`."""
        self._live = live
        self._where = where

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        listener = self._live.join(self._where)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
            async with asyncio.TaskGroup() as tasks:
                leaving = tasks.create_task(_close_when_gone(receive, listener))
                await _send_all(send, listener)
                leaving.cancel()
        finally:
            self._live.leave(listener)


async def stream(request: Request) -> EventStream:
    """`GET /api/v1/stream`."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("where",), "parameter")
    return EventStream(request.app.state.live, where_of(given))


async def _close_when_gone(receive: Receive, listener: Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.close()


async def _send_all(send: Send, listener: Listener) -> None:
    while True:
        events = listener.take()
        if events:
            await send({"type": "http.response.body", "body": events.encode(), "more_body": True})
            continue
        if listener.cut or listener.closed:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        try:
            async with asyncio.timeout(PING_SECONDS):
                await listener.ready.wait()
        except TimeoutError:
            listener.offer(": ping\n\n")


ROUTES = [Route("/api/v1/stream", stream)]
