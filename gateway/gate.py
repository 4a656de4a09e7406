"""The gate as its ways in see it: what it takes, whether it is stopping, and what it has counted."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Container

from domain.errors import GatewayError
from gateway.office_door import OfficeDoor
from gateway.proxy import Proxy
from gateway.sending.routes import Routes
from gateway.wire.caller import Caller
from gateway.wire.deadlines import Deadlines
from gateway.wire.error_answers import REASONS, error_body, error_headers
from gateway.wire.limits import Limits
from gateway.wire.steps import Steps
from gateway.wire.wire_caller import WireCaller

log = logging.getLogger("faregate.gate")


class Gate:
    """Takes calls from both ways in."""

    def __init__(
        self, proxy: Proxy, door: OfficeDoor, limits: Limits, deadlines: Deadlines, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Serve calls by `proxy`; everything that is not proxied goes through `door`."""
        self._proxy = proxy
        self._door = door
        self._loop = loop
        self._callers: set[WireCaller] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.limits = limits
        self.deadlines = deadlines
        self.running = 0
        self.refused: Counter[str] = Counter()
        self.ended: Counter[tuple[str, int | None]] = Counter()
        self.open_connections: Callable[[], int] = lambda: 0
        self.upstream_names: Container[bytes] = frozenset()
        self.know(proxy.routes)

    def know(self, routes: Routes) -> None:
        """Know which paths are proxied: those of the upstreams in `routes`."""
        self.upstream_names = frozenset(name.encode() for name in routes.upstreams)

    @property
    def draining(self) -> bool:
        """Whether no new calls are taken."""
        return self._proxy.draining

    def begin(self, caller: WireCaller) -> None:
        """Begin to serve a call on a connection of our own; `caller.steps` can be cancelled."""
        steps = caller.steps = Steps(self.answer(caller), self._loop)
        self._callers.add(caller)
        steps.begin()

    def end_calls(self) -> None:
        """Break off the calls that still run; each of them closes its record."""
        for caller in tuple(self._callers):
            if caller.steps is not None:
                caller.steps.cancel()

    async def answer(self, caller: Caller) -> None:
        """Serve one proxied call; an error that nobody foresaw is logged and answered as 500, without detail."""
        self.running += 1
        self._idle.clear()
        try:
            ending, status = await self._proxy.answer(caller)
            self.ended[ending, status] += 1
        except asyncio.CancelledError:
            self.ended["client_gone", None] += 1
            raise
        except Exception:
            log.exception("a call failed for a reason that nobody foresaw")
            self.ended["failed", 500] += 1
            _answer_bug(caller)
        finally:
            self._callers.discard(caller)
            self.running -= 1
            if not self.running:
                self._idle.set()

    async def pass_to_office(self, caller: Caller) -> None:
        """Serve one request that is not proxied: the office answers it."""
        await self._door.answer(caller)

    def count_refused(self, error: GatewayError) -> None:
        """Count a request that was refused before it was a call."""
        self.refused[error.code] += 1

    def connections_over(self, connections: int) -> bool:
        """Return whether there are more connections than allowed."""
        return connections > self.limits.connections

    async def drain(self, seconds: float) -> None:
        """Take no new calls, and wait for the running ones, at most `seconds`."""
        self._proxy.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%d calls were still running when the time to drain was over", self.running)


def _answer_bug(caller: Caller) -> None:
    error = GatewayError("The gateway failed. Its log says why.")
    body = error_body(error)
    try:
        if caller.started:
            caller.cut(reset=True)
        elif not caller.gone:
            caller.start(500, REASONS[500], error_headers(error, body), "length")
            caller.data(body)
            caller.end(())
    except Exception:
        log.exception("the answer to a failed call could not be written")
