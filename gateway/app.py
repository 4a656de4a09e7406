"""The gate put together: the one place where its parts meet the settings."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from config.settings import Settings
from domain.ids import new_id
from gateway.asgi import AsgiEntry
from gateway.budgets.admission import Admission, Places
from gateway.budgets.token_counts import TokenCounts
from gateway.calm import calm_garbage_collection
from gateway.chores import Chore
from gateway.gate import Gate
from gateway.identity import Keys
from gateway.metrics import SharedCounters, samples
from gateway.office_door import OfficeDoor
from gateway.protocol import GateProtocol
from gateway.proxy import Proxy
from gateway.sending.routes import Routes
from gateway.sending.upstreams import Upstreams
from gateway.sim.memory import Memory
from gateway.sim.server import SimProtocol
from gateway.tee.recording import RecordingRules
from gateway.wire.deadlines import Deadlines
from gateway.wire.limits import Limits
from storage.folder import DataFolder
from storage.journal import JournalLimits, JournalWriter

if TYPE_CHECKING:
    from gateway.sending.mirroring import Mirroring
    from gateway.sending.quoting import Quotes

log = logging.getLogger("faregate.gate")

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
HOUSEKEEPING_SECONDS = 0.25
MEBIBYTE = 2**20


def serve(
    settings: Settings,
    *,
    sock: socket.socket | None = None,
    worker: int = 0,
    reload: Callable[[], Settings] | None = None,
    below_asgi: bool = True,
) -> None:
    """Run one gate worker until SIGTERM or SIGINT, and then let its calls finish.

    Args:
        settings: what the operator set.
        sock: a socket that listens already; None opens the one of the settings.
        worker: which worker this is, from 0.
        reload: gives the settings anew on SIGHUP; it raises ValueError when they are bad, and the old ones stay.
        below_asgi: serve the proxied API by the protocol class; the tests serve it through ASGI too.

    """
    stop = _Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Until uvicorn listens for them, and after: it raises them again when it is done.
        signal.signal(number, stop)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, sock, worker, reload, stop, below_asgi=below_asgi))


class _Stop:
    """Takes the wish to stop while nobody else does."""

    def __init__(self) -> None:
        self.wished = False
        self.server: uvicorn.Server | None = None

    def __call__(self, number: int, frame: object) -> None:
        del number, frame
        self.wished = True
        if self.server is not None:
            self.server.should_exit = True


async def _serve(  # noqa: PLR0913 - as `serve`
    settings: Settings,
    sock: socket.socket | None,
    worker: int,
    reload: Callable[[], Settings] | None,
    stop: _Stop,
    *,
    below_asgi: bool,
) -> None:
    parts = Parts(settings, asyncio.get_running_loop(), worker)
    calm_garbage_collection()
    server = _Server(_uvicorn_config(settings, parts, below_asgi=below_asgi), parts.gate, settings.server.drain)
    stop.server = server
    server.should_exit = stop.wished
    housekeeping = asyncio.create_task(parts.keep_house())
    if reload is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, parts.reload, reload)
        # The supervisor starts us with it blocked; one that came before now is taken now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        await server.serve(sockets=None if sock is None else [sock])
    finally:
        housekeeping.cancel()
        parts.gate.end_calls()
        await _end_calls()
        await parts.close()


async def _end_calls() -> None:
    """Cancel the calls that did not finish in time, so that each of them still closes its record."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Parts:
    """The parts of one gate worker."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop, worker: int) -> None:
        """Make them all; the journal is open from here on."""
        folder = DataFolder(settings.storage.data)
        folder.prepare()
        deadlines = Deadlines(loop)
        self._settings = settings
        self._folder = folder
        self._loop = loop
        self.journal = JournalWriter(folder.journal, loop, _journal_limits(settings), boot=new_id(0))
        self.upstreams = Upstreams(loop, deadlines, partial(SimProtocol, memory=Memory()))
        self.counts = TokenCounts(str(folder.office_socket), loop, deadlines, self._admin_token)
        self.admission = Admission(_places(settings, folder), tuple(settings.budget_values()), self.counts, new_id(0))
        self.proxy = Proxy(
            admission=self.admission,
            keys=self._keys(settings),
            routes=_routes(settings),
            upstreams=self.upstreams,
            journal=self.journal,
            limits=_limits(settings),
            rules=_recording_rules(settings),
            capture=settings.capture,
            loop=loop,
            random=Random(os.urandom(16)),  # noqa: S311 - ids are no secrets
        )
        self.quotes: Quotes | None = None
        self._mirroring: Mirroring | None = None
        self._take_routes(settings)
        self.door = OfficeDoor(str(folder.office_socket), loop, deadlines)
        self.gate = Gate(self.proxy, self.door, _limits(settings), deadlines, loop)
        self.counters = SharedCounters(folder.run, worker, lambda: samples(self.gate, self.journal))

    def _keys(self, settings: Settings) -> Keys:
        where = settings.server.pass_through
        allowed = where == "on" or (where == "loopback" and settings.server.host in LOOPBACK)
        return Keys(self._folder.keys, settings.managed_keys(), self._folder.pepper(), pass_through=allowed)

    def _take_routes(self, settings: Settings) -> None:
        """Use the routes of these settings; a gate without any loads nothing for them."""
        rules = settings.route_values()
        if not rules:
            self.proxy.choose_by(None, None)
            return
        from gateway.sending.choosing import Choosing  # noqa: PLC0415 - as it says
        from gateway.sending.mirroring import Mirroring  # noqa: PLC0415
        from routing.routes import RouteRules  # noqa: PLC0415

        if any(rule.strategy == "cheapest" for rule in rules):
            from gateway.sending.quoting import Quotes  # noqa: PLC0415

            self.quotes = self.quotes or Quotes(self._folder.path)
        mirroring = self._mirroring = self._mirroring or Mirroring(
            self.proxy.answer, self._loop, _recording_rules(settings).copy_bytes
        )
        choosing = Choosing(
            RouteRules(rules),
            self.proxy.routes,
            self.upstreams,
            random=Random(os.urandom(16)),  # noqa: S311 - chances are no secrets
            clock=monotonic,
            quotes=self.quotes,
            why_no_copy=mirroring.why_not,
        )
        self.proxy.choose_by(choosing, mirroring)

    def _refresh_quotes(self) -> None:
        if self.quotes is not None:
            self.quotes.refresh()

    def _admin_token(self) -> str | None:
        local = self._folder.local()
        return None if local is None else local.admin_token

    def reload(self, load: Callable[[], Settings]) -> None:
        """Take new settings whole, or keep the old ones and say why."""
        try:
            settings = load()
        except ValueError as error:
            log.error("The settings were not taken, the old ones stay: %s", error)  # noqa: TRY400 - no traceback for a typing error
            return
        self.proxy.take(keys=self._keys(settings), routes=_routes(settings), capture=settings.capture)
        self._take_routes(settings)
        self.admission.take(tuple(settings.budget_values()))
        self.upstreams.forget()
        self.gate.know(self.proxy.routes)
        log.info("The settings were read again.")

    async def keep_house(self) -> None:
        """Notice changed keys, write the counters, and close connections that nobody uses."""
        chores = (
            Chore("reading the keys", self._refresh_keys),
            Chore("reading budgets and prices", self.admission.refresh),
            Chore("reading prices for routes", self._refresh_quotes),
            Chore("writing the counters", self.counters.write),
        )
        while True:
            self.upstreams.close_idle()
            for chore in chores:
                chore.do()
            await asyncio.sleep(HOUSEKEEPING_SECONDS)

    def _refresh_keys(self) -> None:
        # Looked up each time: a reload puts others in their place.
        self.proxy.keys.refresh()

    async def close(self) -> None:
        """Write what waits and close the journal."""
        await self.admission.close()
        self.counts.close()
        self.upstreams.forget()
        self.journal.close()
        with contextlib.suppress(OSError):
            self.counters.write()


class _Server(uvicorn.Server):
    """uvicorn's server, which lets running calls finish and refuses new ones before it closes anything."""

    def __init__(self, config: uvicorn.Config, gate: Gate, drain: float) -> None:
        super().__init__(config)
        self._gate = gate
        self._drain = drain
        gate.open_connections = lambda: len(self.server_state.connections)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._gate.drain(self._drain)
        await super().shutdown(sockets)


def _uvicorn_config(settings: Settings, parts: Parts, *, below_asgi: bool) -> uvicorn.Config:
    protocol: Any = partial(GateProtocol, parts.gate) if below_asgi else "httptools"
    return uvicorn.Config(
        _asgi_app(parts),
        host=settings.server.host,
        port=settings.server.port,
        http=cast("Any", protocol),
        ws="none",
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_keep_alive=int(settings.server.keep_alive),
        timeout_graceful_shutdown=1,
    )


def _asgi_app(parts: Parts) -> Starlette:
    async def healthz(request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        del request
        reasons = [
            reason
            for reason, holds in (
                ("the gate is stopping", parts.gate.draining),
                ("the journal is full and record.on_full is reject", parts.journal.full),
            )
            if holds
        ]
        office = "here" if await parts.door.is_open() else "away"
        return JSONResponse({"ready": not reasons, "reasons": reasons, "office": office}, status_code=503 if reasons else 200)

    async def metrics(request: Request) -> Response:
        del request
        return PlainTextResponse(parts.counters.text(), media_type="text/plain; version=0.0.4")

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Mount("/", app=AsgiEntry(parts.gate)),
        ]
    )


def _routes(settings: Settings) -> Routes:
    return Routes(settings.upstream_values(), settings.server.default_upstream)


def _places(settings: Settings, folder: DataFolder) -> Places:
    return Places(
        data=folder.path,
        budgets=folder.budgets,
        past_costs=folder.past_costs,
        ledger=folder.ledger,
        redis_url=settings.storage.redis_url,
        shared=settings.storage.redis_url is not None or settings.server.workers > 1,
    )


def _limits(settings: Settings) -> Limits:
    server = settings.server
    return Limits(
        header_bytes=server.header_bytes,
        header_count=server.header_count,
        header_seconds=server.header_timeout,
        body_idle_seconds=server.body_idle,
        keep_alive_seconds=server.keep_alive,
        body_bytes=int(server.max_body_mb * MEBIBYTE),
        copy_bytes=int(settings.record.copy_mb * MEBIBYTE),
        connections=server.max_connections,
    )


def _recording_rules(settings: Settings) -> RecordingRules:
    record = settings.record
    return RecordingRules(
        barrier=record.barrier,
        barrier_seconds=record.barrier_ms / 1000,
        copy_bytes=int(record.copy_mb * MEBIBYTE),
        progress_bytes=int(record.progress_kb * 1024),
    )


def _journal_limits(settings: Settings) -> JournalLimits:
    record = settings.record
    return JournalLimits(disk_bytes=int(record.journal_gb * 2**30), reject_when_full=record.on_full == "reject")
