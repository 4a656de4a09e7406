"""The operator's own prices: shown, set and taken back.

What the settings define is shown and locked. A price that was set counts at once for calls to come; what it would change about recorded calls is
said in the answer, and done only when somebody asks for it.
"""

import secrets
import time
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard import price_models, repricing
from dashboard.price_desk import PriceDesk, desk_of
from dashboard.price_shelf import PriceShelf
from dashboard.problems import Problem, json_object, refuse_unknown
from dashboard.times import NANOSECONDS
from domain.prices import Override
from domain.spans import rfc3339
from pricing.override_documents import FIELDS, document_of, override_of
from storage.prices import StoredPrice

PAST_SECONDS, MOST_GROUPS, MOST_OF_A_GROUP = 1.5, 200, 2_000


async def list_prices(request: Request) -> Response:
    """`GET /api/v1/prices`: the operator's own prices."""
    refuse_unknown(request.query_params, (), "parameter")
    shelf = desk_of(request).shelf
    stored = await run_in_threadpool(shelf.store.all)
    return JSONResponse({"prices": [*map(own_json, shelf.own), *map(stored_json, stored)]})


async def one_price(request: Request) -> Response:
    """`GET /api/v1/prices/{id}`: one of them, taken back or not."""
    refuse_unknown(request.query_params, (), "parameter")
    shelf, name = desk_of(request).shelf, request.path_params["id"]
    own = _own(shelf, name)
    stored = None if own else await run_in_threadpool(shelf.store.get, name)
    if own is None and stored is None:
        raise Problem(404, "There is no price of this id.")
    return JSONResponse(own_json(own) if own is not None else stored_json(stored))  # type: ignore[arg-type] # one of them is there


async def set_price(request: Request) -> Response:
    """`POST /api/v1/prices`: set a price; the answer says how many past calls it would price."""
    body = await json_object(request, FIELDS)
    desk = desk_of(request)
    given = body.get("id")
    price_id = given if isinstance(given, str) else f"price-{secrets.token_hex(6)}"
    try:
        override = override_of(body, price_id=price_id, origin="database")
    except ValueError as error:
        raise Problem(400, str(error)) from None
    if _own(desk.shelf, override.id) is not None:
        raise Problem(409, "A price of this id is in the configuration file (faregate.toml); choose another id.", parameter="id")
    document = {name: value for name, value in document_of(override).items() if name != "id"}
    stored = StoredPrice(override.id, document, time.time())
    return JSONResponse(await run_in_threadpool(_set, desk, stored), 201)


async def remove_price(request: Request) -> Response:
    """`DELETE /api/v1/prices/{id}`: take a price back. It counts no more, and is kept for the calls that it priced."""
    desk, name = desk_of(request), request.path_params["id"]
    if _own(desk.shelf, name) is not None:
        raise Problem(409, "This price is in the configuration file (faregate.toml); change it there.", origin="file")
    return JSONResponse(await run_in_threadpool(_remove, desk, name, time.time()))


ROUTES = [
    Route("/api/v1/prices", list_prices, methods=["GET"]),
    Route("/api/v1/prices", set_price, methods=["POST"]),
    *price_models.ROUTES,
    *repricing.ROUTES,
    # The names of the others come before it.
    Route("/api/v1/prices/{id}", one_price, methods=["GET"]),
    Route("/api/v1/prices/{id}", remove_price, methods=["DELETE"]),
]


def own_json(override: Override) -> dict[str, Any]:
    """Return a price of the settings: locked, since only the file can change it."""
    return {**document_of(override), "origin": override.origin, "locked": True, "created_at": None, "removed_at": None}


def stored_json(stored: StoredPrice) -> dict[str, Any]:
    """Return a price of the store."""
    return {
        "id": stored.id,
        **stored.document,
        "origin": "database",
        "locked": False,
        "created_at": _seconds(stored.created_at),
        "removed_at": _seconds(stored.removed_at),
    }


def _own(shelf: PriceShelf, name: str) -> Override | None:
    return next((one for one in shelf.own if one.id == name), None)


def _set(desk: PriceDesk, stored: StoredPrice) -> dict[str, Any]:
    try:
        desk.shelf.store.add(stored)
    except ValueError as error:
        raise Problem(409, f"{str(error)[0].upper()}{str(error)[1:]}.", parameter="id") from None
    desk.shelf.publish()
    return stored_json(stored) | {"past_calls": _past(desk)}


def _remove(desk: PriceDesk, name: str, at: float) -> dict[str, Any]:
    if not desk.shelf.store.remove(name, at):
        raise Problem(404, "There is no price of this id, or it was taken back already.")
    desk.shelf.publish()
    stored = desk.shelf.store.get(name)
    assert stored is not None  # noqa: S101 - it was there a line ago, and rows stay
    return stored_json(stored)


def _past(desk: PriceDesk) -> dict[str, Any]:
    """Return how many recorded calls without a price could be priced now, and since when. `complete` says that all of them were looked at."""
    end = time.monotonic() + PAST_SECONDS
    calls, since, complete = 0, None, True
    for group in desk.shelf.store.unpriced(most=MOST_GROUPS):
        if time.monotonic() > end:
            complete = False
            break
        spans = desk.adjustments.calls_without_price(group.upstream, group.model, MOST_OF_A_GROUP)
        priceable = sum(moved.became_known for moved in desk.repricing.of(spans).moved.values())
        complete = complete and len(spans) >= group.calls
        if priceable:
            calls += priceable
            since = group.first_at if since is None else min(since, group.first_at)
    return {
        "priceable": calls,
        "complete": complete,
        "from": None if since is None else rfc3339(since),
        "reprice": None if since is None else f"faregate prices reprice --from {rfc3339(since)} --to now",
    }


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(int(seconds * NANOSECONDS))
