"""Made-up calls, so that there is something to look at: made for a span of time, and taken away again, by their label `env=demo`."""

import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.problems import Problem, json_object, refuse_unknown
from dashboard.queries import number, once_each
from dashboard.times import seconds_of
from domain.spans import Content, Span
from storage.spans import SpanStore

ENV = "demo"
SHORTEST, LONGEST = 3_600, 366 * 86_400
STEP = 100
LOOKED_AT = 500
# What one request may take; whoever asked goes on from the place in the answer.
LONGEST_ERASING = 10.0
_LARGEST_PLACE = 2**63 - 1

# Given the time now and a number of seconds, the calls of the time until now: always the same ones, by their ids.
History = Callable[[float, float], Iterable[tuple[Span, Content | None]]]


async def make_history(request: Request) -> Response:
    """`POST /api/v1/demo`: make the calls of a past. What is there already stays, and is not made twice."""
    body = await json_object(request, ("history",))
    seconds = _seconds(body.get("history"))
    history: History = request.app.state.history
    made, new = await run_in_threadpool(_save, _store(request), history(time.time(), seconds))
    return JSONResponse({"made": made, "new": new}, 201)


async def clear(request: Request) -> Response:
    """`DELETE /api/v1/demo`: delete the calls labelled env=demo, as many as there is time for; `next` says where to go on (`after`)."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("after",), "parameter")
    after = number(given, "after", 0, 0, _LARGEST_PLACE) or 0
    erased, place = await run_in_threadpool(erase_until, time.monotonic() + LONGEST_ERASING, _store(request), after)
    return JSONResponse({"erased": erased, "next": place})


ROUTES = [
    Route("/api/v1/demo", make_history, methods=["POST"]),
    Route("/api/v1/demo", clear, methods=["DELETE"]),
]


def _save(store: SpanStore, history: Iterable[tuple[Span, Content | None]]) -> tuple[int, int]:
    """Save the calls in small steps, so that recording goes on between them; return how many there are, and how many are new."""
    made = new = 0
    calls = iter(history)
    while batch := list(itertools.islice(calls, STEP)):
        made += len(batch)
        new += store.save(batch)
    return made, new


def erase_until(deadline: float, store: SpanStore, after: int, most: int = LOOKED_AT) -> tuple[int, int | None]:
    """Delete the calls labelled env=demo after the place `after` until `deadline` (`time.monotonic`), `most` at a time, one step at least.

    Return how many were deleted, and the place to go on from, None at the end.
    """
    erased = 0
    place: int | None = after
    while place is not None:
        step = store.erase(lambda span: span.labels.env == ENV, after=place, most=most)
        erased, place = erased + step.spans, step.place
        if time.monotonic() > deadline:
            break
    return erased, place


def _seconds(value: Any) -> float:
    """Return the length of a history in seconds.

    Raises:
        Problem: it is none, too short or too long.

    """
    advice = "`history` is a duration from `1h` to `366d`, such as `30d`."
    if not isinstance(value, str):
        raise Problem(400, advice, parameter="history")
    try:
        seconds = seconds_of(value)
    except ValueError as error:
        raise Problem(400, str(error), parameter="history") from None
    if not SHORTEST <= seconds <= LONGEST:
        raise Problem(400, advice, parameter="history")
    return seconds


def _store(request: Request) -> SpanStore:
    store: SpanStore = request.app.state.spans
    return store
