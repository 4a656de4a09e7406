"""Redis as the ledger talks to it: short deadlines, no retries, and a breaker, none of which redis-py has by itself.

Its defaults would let a call wait for seconds: 5 s for each answer, ten times. This module imports redis-py, which is an extra, so it is imported
only where a Redis is configured.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import redis
from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from domain.ledger import LedgerForeign, LedgerLost, LedgerUnavailable
from storage.ledger.hearing_time import HearingTime
from storage.ledger.owner import foreign_message, no_store
from storage.ledger.redis_scripts import EPOCH, OF, UNOWNED, Script

log = logging.getLogger("faregate.ledger")

DEADLINE = 0.05
# Redis does one thing after the other; more connections than keep it busy only cost handshakes, just when many calls come at once.
CONNECTIONS = 16
FIRST_PROBE, LAST_PROBE = 0.05, 2.0
LOST, FOREIGN = -1, -4
_TROUBLE = (RedisError, OSError, asyncio.TimeoutError)
Answer = list[Any]


class AsyncRedis:
    """Runs scripts from an event loop. After a failure everything fails at once, until a probe in the background was answered.

    `again` is called when Redis is back, before anybody else is served.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline: float = DEADLINE,
        store: Callable[[], str | None] = no_store,
        again: Callable[[], Awaitable[None]] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Know where it is; nothing is connected yet. `deadline`, in seconds of a loop that listens, is for each answer, connecting included."""
        # Its own deadlines take a loop that is busy for a Redis that is away.
        pool = redis_asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS + 1,  # one for the probe
            timeout=None,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=AsyncRetry(NoBackoff(), 0),
            protocol=2,
        )
        self._client = redis_asyncio.Redis.from_pool(pool)
        self._deadline = deadline
        self._store = store
        self._again = again
        self._sleep = sleep
        self._probing: asyncio.Task[None] | None = None
        self._turns = asyncio.Semaphore(CONNECTIONS)

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open: everything fails at once."""
        return self._probing is not None

    async def run(self, script: Script, *values: str | int) -> Answer:
        """Run a script, and return what it answered, without the `1` in front of most answers being taken off.

        Raises:
            LedgerLost: Redis is there and the ledger in it is not.
            LedgerUnavailable: Redis did not answer in time. What was asked may have been done, or may be done later.
        """
        # To wait for one's turn behind many others is no sign that Redis is away. Whoever waits when it goes away fails at once.
        async with self._turns:
            if self._probing is not None:
                raise LedgerUnavailable("the ledger's Redis does not answer; it is asked again and again")
            return await self.run_past_breaker(script, *values)

    async def run_past_breaker(self, script: Script, *values: str | int) -> Answer:
        """Run a script even if the breaker is open: for what the probe has to do before anybody else is served."""
        try:
            answer = await self._evaluated(script, values)
        except _TROUBLE as error:
            self._trip(error)
            raise LedgerUnavailable(f"the ledger's Redis does not answer: {type(error).__name__}") from error
        return checked(answer)

    async def close(self) -> None:
        """Stop probing and close all connections."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    async def _evaluated(self, script: Script, values: Sequence[str | int]) -> Any:
        keys = _keys(self._store())
        try:
            async with HearingTime(self._deadline):
                return await self._client.evalsha(script.sha, len(keys), *keys, *values)
        except NoScriptError:
            async with HearingTime(self._deadline):
                return await self._client.eval(script.text, len(keys), *keys, *values)

    def _trip(self, error: BaseException) -> None:
        if self._probing is None:
            log.warning("The ledger's Redis does not answer (%s); it is asked again and again.", type(error).__name__)
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        """Ask until there is an answer, for ever."""
        pause = FIRST_PROBE
        while True:
            await self._sleep(pause)
            pause = min(pause * 2, LAST_PROBE)
            try:
                async with HearingTime(self._deadline):
                    await cast("Awaitable[Any]", self._client.ping())
                if self._again is not None:
                    await self._again()
            except (LedgerLost, LedgerForeign):
                break
            except (*_TROUBLE, LedgerUnavailable):
                continue
            break
        log.warning("The ledger's Redis answers again.")
        self._probing = None


class WaitingRedis:
    """Runs scripts from threads."""

    def __init__(self, url: str, *, deadline: float = DEADLINE, store: Callable[[], str | None] = no_store) -> None:
        """Know where it is; nothing is connected yet."""
        self._store = store
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=deadline,
            socket_connect_timeout=deadline,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    def run(self, script: Script, *values: str | int) -> Answer:
        """Run a script; it raises as `AsyncRedis.run` does."""
        try:
            answer = self._evaluated(script, values)
        except _TROUBLE as error:
            raise LedgerUnavailable(f"the ledger's Redis does not answer: {type(error).__name__}") from error
        return checked(answer)

    def owner(self) -> str | None:
        """Return the id of the store that the ledger belongs to; None where it belongs to none, or is lost.

        Raises:
            LedgerUnavailable: Redis did not answer in time.
        """
        try:
            whose = cast("bytes | None", self._client.get(EPOCH))
        except _TROUBLE as error:
            raise LedgerUnavailable(f"the ledger's Redis does not answer: {type(error).__name__}") from error
        text = None if whose is None else whose.decode(errors="replace")
        return None if text == UNOWNED else text

    def keys(self, pattern: str) -> list[bytes]:
        """Return the keys that match.

        Raises:
            LedgerUnavailable: Redis did not answer in time.
        """
        try:
            return list(self._client.scan_iter(pattern, 1000))
        except _TROUBLE as error:
            raise LedgerUnavailable(f"the ledger's Redis does not answer: {type(error).__name__}") from error

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        self._client.connection_pool.disconnect()

    def _evaluated(self, script: Script, values: Sequence[str | int]) -> Any:
        keys = _keys(self._store())
        try:
            return self._client.evalsha(script.sha, len(keys), *keys, *values)
        except NoScriptError:
            return self._client.eval(script.text, len(keys), *keys, *values)


def _keys(store: str | None) -> tuple[str, ...]:
    return (EPOCH,) if store is None else (EPOCH, OF + store)


def checked(answer: Any) -> Answer:
    """Return what a script answered, unless that is that the ledger is lost, or another store's."""
    found: Answer = answer
    if found[0] == LOST:
        raise LedgerLost("the ledger's Redis has lost what it knew; an office has to make the ledger anew")
    if found[0] == FOREIGN:
        raise LedgerForeign(foreign_message(found[1].decode(errors="replace")))
    return found
