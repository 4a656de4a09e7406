"""Ask the office how many tokens an input can be: the gate has no tokenizer, and needs one only where bytes alone do not fit a budget."""

import asyncio
import json
from collections.abc import Callable
from urllib.parse import quote

from gateway.wire.deadlines import Deadlines
from gateway.wire.pools import Pool, unix_pool

PATH = "/api/v1/internal/tokens"
LARGEST_BODY = 2 * 2**20  # the office counts no larger ones
WITHIN = 0.5
_LARGEST_ANSWER = 64 * 1024
_OK = 200


class TokenCounts:
    """Asks, and takes no answer for an answer: every failure is None, and the caller goes by the bytes."""

    def __init__(
        self, socket_path: str, loop: asyncio.AbstractEventLoop, deadlines: Deadlines, token: Callable[[], str | None]
    ) -> None:
        """Ask the office at `socket_path`; `token` gives the admin token, or None while there is none."""
        self._pool: Pool = unix_pool(socket_path, loop, deadlines)
        self._token = token

    async def input_bound(self, body: bytes, model: str, *, within: float = WITHIN) -> int | None:
        """Return a number of tokens that the input in a call's JSON `body` will not be billed above.

        None after `within` seconds without an answer, or where the office cannot tell: the first question may find it loading its
        tokenizer, which takes a second. Only OpenAI's models, with all of the input in the body, have such a bound.
        """
        token = self._token()
        if token is None or not body or len(body) > LARGEST_BODY:
            return None
        try:
            async with asyncio.timeout(within):
                return await self._ask(_head(model, token, len(body)) + body, within)
        except (OSError, TimeoutError, ValueError):
            return None

    def close(self) -> None:
        """Close the connections that are free."""
        self._pool.close()

    async def _ask(self, request: bytes, within: float) -> int | None:
        connection = await self._pool.connection(within)
        try:
            answer = connection.begin(head_only=False, first_byte=within, idle=within, informed=None)
            connection.write(request)
            connection.request_whole = True
            await answer.head
            await answer.whole(_LARGEST_ANSWER)
            found = json.loads(answer.beginning) if answer.status == _OK else None
        finally:
            connection.release()
        bound = found.get("bound") if isinstance(found, dict) else None
        return bound if type(bound) is int and bound >= 0 else None


def _head(model: str, token: str, length: int) -> bytes:
    lines = (
        f"POST {PATH}?model={quote(model[:256], safe='')} HTTP/1.1",
        "host: office",
        f"authorization: Bearer {token}",
        "content-type: application/json",
        f"content-length: {length}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")
