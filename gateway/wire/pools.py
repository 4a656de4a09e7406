"""Connections to upstreams, kept for the next call: over TCP, TLS, a Unix socket, or inside this process."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from gateway.wire.deadlines import Deadlines
from gateway.wire.engine import Connection

IDLE_SECONDS = 60.0
MOST_IDLE = 512


class Pool:
    """Connections to one origin, the last used first. `busy` says how many serve a call, or are being opened for one."""

    def __init__(
        self,
        connect: Callable[[Callable[[], Connection]], "asyncio.Future[Any] | Any"],
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
    ) -> None:
        """`connect` opens a transport for the protocol that the factory makes."""
        self._connect = connect
        self.loop = loop
        self.deadlines = deadlines
        self._free: list[Connection] = []
        self.busy = 0

    def free_connection(self) -> Connection | None:
        """Return a connection that is free, if there is one."""
        while self._free:
            connection = self._free.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def connection(self, within: float) -> Connection:
        """Return a connection that is free, or a new one.

        Raises:
            OSError: the upstream cannot be reached (`ssl.SSLError`: its certificate was not accepted).
            TimeoutError: not within so many seconds.

        """
        return self.free_connection() or await self.new_connection(within)

    async def new_connection(self, within: float) -> Connection:
        """Return a new connection."""
        # Whoever waits for a connection is on his way there, too.
        self.busy += 1
        try:
            async with asyncio.timeout(within):
                _, connection = await self._connect(lambda: Connection(self))
        finally:
            self.busy -= 1
        return cast("Connection", connection)

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next call."""
        connection.idle_since = monotonic()
        if len(self._free) >= MOST_IDLE:
            connection.transport.abort()
        else:
            self._free.append(connection)

    def forget(self, connection: Connection) -> None:
        """Drop a free connection that the upstream closed."""
        if connection in self._free:
            self._free.remove(connection)

    def close_idle(self, now: float) -> None:
        """Close what nobody used for a while: the upstream is about to, and a call must not meet that."""
        while self._free and now - self._free[0].idle_since > IDLE_SECONDS:
            self._free.pop(0).transport.abort()

    def close(self) -> None:
        """Close all free connections."""
        while self._free:
            self._free.pop().transport.abort()


def tcp_pool(
    host: str, port: int, loop: asyncio.AbstractEventLoop, deadlines: Deadlines, *, tls: ssl.SSLContext | None = None
) -> Pool:
    """Return a pool of TCP connections to `host`; with `tls`, the certificate is checked against the host's name."""

    def connect(factory: Callable[[], Connection]) -> Any:
        return loop.create_connection(factory, host, port, ssl=tls, server_hostname=host if tls else None)

    return Pool(connect, loop, deadlines)


def unix_pool(path: str, loop: asyncio.AbstractEventLoop, deadlines: Deadlines) -> Pool:
    """Return a pool of connections to a Unix socket."""

    def connect(factory: Callable[[], Connection]) -> Any:
        return loop.create_unix_connection(factory, path)

    return Pool(connect, loop, deadlines)


def inner_pool(server: Callable[[], asyncio.Protocol], loop: asyncio.AbstractEventLoop, deadlines: Deadlines) -> Pool:
    """Return a pool of connections to a server inside this process: each one a socket pair, `server` at its other end."""

    async def connect(factory: Callable[[], Any]) -> tuple[Any, Connection]:
        ours, theirs = socket.socketpair()
        await loop.connect_accepted_socket(server, theirs)
        transport, connection = await loop.create_unix_connection(factory, sock=ours)
        return transport, connection

    return Pool(connect, loop, deadlines)


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return the settings for TLS to upstreams: certificates are verified, always; TLS 1.2 at least; HTTP/1.1."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
