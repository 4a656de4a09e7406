"""The HTTP client that destinations send by: verified TLS, no redirects, no proxies of the environment, and only to allowed addresses."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING

import httpcore
import httpx

from destinations.addresses import AddressNotAllowed, is_private, place_of, why_not

if TYPE_CHECKING:
    from destinations.base import DestinationConfig

# Returns the addresses that a host stands for, as text, the preferred first; raises OSError where there are none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
_MOST_ADDRESSES = 8
_CONNECT = 3.0
_MOST_CONNECTIONS = 64


def make_client(
    allow_private: bool, *, timeout: float, ca_file: Path | None = None, resolve: Resolve | None = None
) -> httpx.AsyncClient:
    """Return a client for one destination; whoever gets it closes it.

    Args:
        allow_private: whether private and loopback addresses are allowed, and plain http to them.
        timeout: how long one request may take, in seconds; connecting, at most three of them.
        ca_file: a PEM file with more certificates of CAs to trust.
        resolve: how names become addresses, for tests.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate.

    """
    _keep_urls_out_of_logs()
    resolve = resolve or resolved
    tls = ssl.create_default_context()
    if ca_file is not None:
        tls.load_verify_locations(ca_file)
    return httpx.AsyncClient(
        mounts={
            "https://": _Transport(_CheckedNetwork(resolve, allow_private=allow_private), tls),
            "http://": _Transport(_CheckedNetwork(resolve, allow_private=allow_private, only_private=True), tls),
        },
        transport=_NoTransport(),
        timeout=httpx.Timeout(timeout, connect=min(_CONNECT, timeout)),
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": "faregate", "accept-encoding": "identity"},
        # What a destination would have us remember is not remembered.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )


def client_for(config: "DestinationConfig") -> httpx.AsyncClient:
    """Return the client of a destination with these settings."""
    return make_client(config.allow_private, timeout=config.limits().timeout, ca_file=config.ca_file)


def _keep_urls_out_of_logs() -> None:
    """Make the HTTP client's own loggers quiet: they tell whole URLs, and that of a channel is a credential."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


async def resolved(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, as the system knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=0)
    return [str(place[0]) for *_, place in found]


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to hosts at allowed addresses. Names are looked up here, so that what is checked is what is connected to."""

    def __init__(self, resolve: Resolve, *, allow_private: bool, only_private: bool = False) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._only_private = only_private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._allowed(host, port, timeout)
        # A dead address (IPv6 on a machine without it) must not use up the time of the next one.
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(addresses[-1], port, share, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        del timeout, socket_options
        raise AddressNotAllowed(f"a destination is at no local socket: {path}")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _allowed(self, host: str, port: int, patience: float | None) -> list[str]:
        """Return the addresses of a host.

        Raises:
            AddressNotAllowed: one of them is not allowed, so that none is used: a name that leads both in and out is a trap.
            httpcore.ConnectError: the name leads nowhere.

        """
        try:
            async with asyncio.timeout(patience):
                found = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"the name {host} could not be resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name {host} could not be resolved") from error
        addresses = list(dict.fromkeys(found))[:_MOST_ADDRESSES]
        if not addresses:
            raise httpcore.ConnectError(f"the name {host} has no address")
        for address in addresses:
            self._check(host, address)
        return addresses

    def _check(self, host: str, address: str) -> None:
        reason = why_not(address, allow_private=self._allow_private)
        if reason is not None:
            raise AddressNotAllowed(f"{place_of(host, address)}: {reason}")
        if self._only_private and not is_private(address):
            raise AddressNotAllowed(
                f"{place_of(host, address)}: plain http is only for private addresses, with `allow_private = true`; use https"
            )


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's transport over connections of ours, since it takes no network of one's own."""

    def __init__(self, network: httpcore.AsyncNetworkBackend, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=_MOST_CONNECTIONS,
            max_keepalive_connections=_MOST_CONNECTIONS // 4,
            keepalive_expiry=30.0,
            network_backend=network,
        )


class _NoTransport(httpx.AsyncBaseTransport):
    """For whatever is neither https nor http."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise AddressNotAllowed(f"a destination is spoken to by https, not by {request.url.scheme}")
