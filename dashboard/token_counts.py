"""The office counts tokens for the gate, which has no tokenizer: only for a call whose bytes alone do not fit a budget."""

import asyncio
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.problems import Problem, refuse_unknown
from dashboard.queries import once_each
from pricing.tokens.counter import TokenCounter
from pricing.tokens.ranks import RanksDamaged

# Two megabytes of the worst text take half a second, and more than two at a time would only wait for each other.
LARGEST_BODY = 2 * 2**20
AT_ONCE, MOST_WAITING = 2, 16
LONGEST_MODEL = 256


class Counting:
    """Counts for a few requests at a time, and turns the others away: the gate then goes by the bytes."""

    def __init__(self, counter: TokenCounter) -> None:
        """Take what counts."""
        self._counter = counter
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._present = 0

    async def bound(self, body: bytes, model: str | None) -> int | None:
        """Return a number of tokens that the input in `body` is not above, None where there is no telling.

        Raises:
            Problem: too many ask at once, the body is no JSON, or the tokenizer is broken.
        """
        if self._present >= AT_ONCE + MOST_WAITING:
            raise Problem(503, "Too many counts at once; go by the bytes.")
        self._present += 1
        try:
            async with self._turns:
                return await run_in_threadpool(self._bound, body, model)
        finally:
            self._present -= 1

    def _bound(self, body: bytes, model: str | None) -> int | None:
        try:
            return self._counter.bound(msgspec.json.decode(body), model)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Problem(400, "The body is not JSON.") from None
        except RanksDamaged as error:
            raise Problem(503, str(error)) from error


async def count(request: Request) -> Response:
    """`POST /api/v1/internal/tokens?model=NAME`, with the body of a call: the most tokens that its input can be.

    `bound` is null where there is no telling: the model's tokenizer is not public, or not all of the input is in the body.
    """
    given = once_each(request.query_params)
    refuse_unknown(given, ("model",), "parameter")
    counting: Counting = request.app.state.counting
    bound = await counting.bound(await _body(request), given.get("model", "")[:LONGEST_MODEL] or None)
    return JSONResponse({"bound": bound})


async def _body(request: Request) -> bytes:
    """Return the body.

    Raises:
        Problem: it is too large.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > LARGEST_BODY:
            raise Problem(413, f"Bodies over {LARGEST_BODY} bytes are not counted; go by the bytes.")
        pieces.append(piece)
    return b"".join(pieces)


ROUTES: list[Any] = [Route("/api/v1/internal/tokens", count, methods=["POST"])]
