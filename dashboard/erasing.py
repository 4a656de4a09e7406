"""Erasing: somebody is to be forgotten, a customer or a user, with calls, bodies, deliveries, and whatever else names them."""

import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.destination_desk import DestinationDesk
from dashboard.problems import Problem, json_object
from storage.spans import SpanStore

STEP = 500
# What one request may take; whoever asked goes on from the place in the answer.
LONGEST = 10.0
_LONGEST_NAME = 1_000


async def erase(request: Request) -> Response:
    """`POST /api/v1/erase`: erase what names a `customer` or a `user`, as much as there is time for; `next` says where to go on (`after`)."""
    body = await json_object(request, ("customer", "user", "after"))
    named = {field: body[field] for field in ("customer", "user") if field in body}
    if len(named) != 1:
        raise Problem(400, "Say who is to be forgotten: one of `customer` and `user`.", parameter="customer")
    [(field, name)] = named.items()
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise Problem(400, f"`{field}` is the label of calls, a text.", parameter=field)
    after = body.get("after", 0)
    if type(after) is not int or not 0 <= after < 2**63:
        raise Problem(400, "`after` is the place that the answer before this one gave as `next`.", parameter="after")
    desk: DestinationDesk | None = request.app.state.destinations
    conditions = 0 if desk is None else await run_in_threadpool(desk.replays.forget, [name])
    calls, events, place = await run_in_threadpool(
        erase_until, time.monotonic() + LONGEST, request.app.state.spans, (field, name), after
    )
    return JSONResponse({"erased": calls, "events": events, "conditions": conditions, "next": place})


ROUTES = [Route("/api/v1/erase", erase, methods=["POST"])]


def erase_until(
    deadline: float, store: SpanStore, who: tuple[str, str], after: int, most: int = STEP
) -> tuple[int, int, int | None]:
    """Erase the calls after the place `after` with this label (its name, and the text), and then the events about whom it names.

    At least one step is taken, and none after `deadline` (`time.monotonic`). Return how many calls and events were erased, and the place to go on
    from, None at the end.
    """
    field, name = who
    calls, place = 0, after
    while True:
        step = store.erase(lambda span: getattr(span.labels, field) == name, after=place, most=most)
        calls += step.spans
        if step.place is None:
            return calls, _erased_events(store, name, most), None
        place = step.place
        if time.monotonic() > deadline:
            return calls, 0, place


def _erased_events(store: SpanStore, name: str, most: int) -> int:
    """Erase all events about somebody, and return how many: there are so few that one request has the time."""
    events, place = 0, 0
    while True:
        step = store.erase_events([name], after=place, most=most)
        events += step.events
        if step.place is None:
            return events
        place = step.place
