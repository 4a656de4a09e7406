"""What models cost: the list in force, models that were called without a price, and fetching a newer list."""

import time
from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.price_desk import PriceDesk, desk_of, instant_in
from dashboard.price_lists import all_models, one_model
from dashboard.problems import Problem, json_object, refuse_unknown
from dashboard.queries import flag, number, once_each
from dashboard.times import NANOSECONDS
from domain.spans import rfc3339


async def list_models(request: Request) -> Response:
    """`GET /api/v1/prices/models`: what models cost now, by upstream."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("upstream", "model", "source", "limit"), "parameter")
    desk = desk_of(request)
    rows = await run_in_threadpool(
        all_models, desk.shelf.book, _upstreams(desk, given), given.get("model", "*"), int(time.time() * NANOSECONDS)
    )
    source = given.get("source")
    found = [row for row in rows if source is None or source in row["source"]]
    limit = number(given, "limit", 1000, 1, 100_000)
    return JSONResponse({"models": found[:limit], "more": max(len(found) - limit, 0)})


async def show_model(request: Request) -> Response:
    """`GET /api/v1/prices/models/{model}`: everything about the price of a model, at each upstream that has it."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("upstream", "at"), "parameter")
    desk = desk_of(request)
    at = instant_in(given, "at", time.time(), "now")
    found = await run_in_threadpool(one_model, desk.shelf.book, _upstreams(desk, given), request.path_params["model"], at)
    if not found:
        raise Problem(404, "No upstream has a price for this model at that time; set one with POST /api/v1/prices.")
    return JSONResponse({"model": request.path_params["model"], "upstreams": found})


async def list_unpriced(request: Request) -> Response:
    """`GET /api/v1/prices/unpriced`: what was called without a known price."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("from", "to", "limit"), "parameter")
    now = time.time()
    since = instant_in(given, "from", now, "") if "from" in given else None
    until = instant_in(given, "to", now, "") if "to" in given else None
    most = number(given, "limit", 1000, 1, 10_000)
    found = await run_in_threadpool(lambda: desk_of(request).shelf.store.unpriced(since=since, until=until, most=most))
    return JSONResponse(
        {
            "unpriced": [
                {
                    "upstream": one.upstream,
                    "model": one.model or None,
                    "calls": one.calls,
                    "first_at": rfc3339(one.first_at),
                    "last_at": rfc3339(one.last_at),
                }
                for one in found
            ],
            "calls": sum(one.calls for one in found),
        }
    )


async def refresh(request: Request) -> Response:
    """`POST /api/v1/prices/refresh`: fetch the price list that the settings name."""
    body = await json_object(request, ("dry_run",))
    dry = flag(body, "dry_run")
    try:
        return JSONResponse(await run_in_threadpool(desk_of(request).refresh, dry))
    except ValueError as error:
        raise Problem(409, str(error)) from None


ROUTES = [
    Route("/api/v1/prices/models", list_models, methods=["GET"]),
    Route("/api/v1/prices/models/{model:path}", show_model, methods=["GET"]),
    Route("/api/v1/prices/unpriced", list_unpriced, methods=["GET"]),
    Route("/api/v1/prices/refresh", refresh, methods=["POST"]),
]


def _upstreams(desk: PriceDesk, given: Mapping[str, str]) -> Mapping[str, str]:
    name = given.get("upstream")
    if name is None:
        return desk.upstreams
    if name not in desk.upstreams:
        known = ", ".join(sorted(desk.upstreams)) or "none"
        raise Problem(404, f"There is no upstream of this name; there are {known}.", parameter="upstream")
    return {name: desk.upstreams[name]}
