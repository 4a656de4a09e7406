"""The operator's own prices: shown, set and taken back; calls without a price; pricing the past again.

What the settings define is shown and locked. A price that was set counts at once for calls to come; what it would change about recorded calls is
said in the answer, and done only when somebody asks for it.
"""

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.price_lists import all_models, one_model
from dashboard.price_shelf import PriceShelf
from dashboard.problems import Problem, json_object, refuse_unknown
from dashboard.queries import number, once_each, where_of
from dashboard.times import NANOSECONDS, instant_of
from domain.prices import Override
from domain.spans import Span, rfc3339, usd
from pricing.override_documents import FIELDS, document_of, override_of
from storage.adjustments import Adjustment, AdjustmentStore
from storage.prices import StoredPrice

Place = tuple[int, int]
STEP_SECONDS = 2.0
PAST_SECONDS, MOST_GROUPS, MOST_OF_A_GROUP = 1.5, 200, 2_000
_DAY = 86_400
_RUN = re.compile(r"[0-9a-f]{16}")


class Moved(Protocol):
    """How much the calls of one model moved (`recorder.repricing`), in pico-USD."""

    upstream: str
    model: str
    calls: int
    old: int
    new: int
    became_known: int
    became_unknown: int


class Step(Protocol):
    """What one step of pricing again did; `place` is None at the end."""

    scanned: int
    moved: dict[tuple[str, str], Any]
    place: Place | None


class Repricing(Protocol):
    """Prices recorded calls again (`recorder.repricing.Repricer`)."""

    def step(  # noqa: PLR0913 - as there
        self,
        since: int,
        until: int,
        after: Place = ...,
        *,
        run: str | None,
        matches: Callable[[Span], bool] = ...,
        seconds: float = ...,
    ) -> Step:
        """Look at some of the calls between two times; write only where there is a `run`."""

    def of(self, spans: Sequence[Span]) -> Step:
        """Return what would change about these calls."""


class Auditing(Protocol):
    """Compares what providers reported with our prices (`recorder.price_audit.Auditor`)."""

    def step(self, since: int, until: int, after: Place = ..., *, seconds: float = ...) -> Any:
        """Compare some of the calls between two times."""


@dataclass(frozen=True, slots=True)
class PriceDesk:
    """What the routes work with.

    `upstreams` are the configured ones: name, and host with path. `refresh` fetches the price list that the settings name, and says what it found
    (`dry_run`: without putting it in force); it raises ValueError where that cannot be done.
    """

    shelf: PriceShelf
    adjustments: AdjustmentStore
    repricing: Repricing
    auditing: Auditing
    upstreams: Mapping[str, str]
    refresh: Callable[[bool], Mapping[str, Any]]


async def list_prices(request: Request) -> Response:
    """`GET /api/v1/prices`: the operator's own prices."""
    refuse_unknown(request.query_params, (), "parameter")
    shelf = _desk(request).shelf
    stored = await run_in_threadpool(shelf.store.all)
    return JSONResponse({"prices": [*map(own_json, shelf.own), *map(stored_json, stored)]})


async def one_price(request: Request) -> Response:
    """`GET /api/v1/prices/{id}`: one of them, taken back or not."""
    refuse_unknown(request.query_params, (), "parameter")
    shelf, name = _desk(request).shelf, request.path_params["id"]
    own = _own(shelf, name)
    stored = None if own else await run_in_threadpool(shelf.store.get, name)
    if own is None and stored is None:
        raise Problem(404, "There is no price of this id.")
    return JSONResponse(own_json(own) if own is not None else stored_json(stored))  # type: ignore[arg-type] # one of them is there


async def set_price(request: Request) -> Response:
    """`POST /api/v1/prices`: set a price; the answer says how many past calls it would price."""
    body = await json_object(request, FIELDS)
    desk = _desk(request)
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
    desk, name = _desk(request), request.path_params["id"]
    if _own(desk.shelf, name) is not None:
        raise Problem(409, "This price is in the configuration file (faregate.toml); change it there.", origin="file")
    return JSONResponse(await run_in_threadpool(_remove, desk, name, time.time()))


async def list_models(request: Request) -> Response:
    """`GET /api/v1/prices/models`: what models cost now, by upstream."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("upstream", "model", "source", "limit"), "parameter")
    desk = _desk(request)
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
    desk = _desk(request)
    at = _instant(given, "at", time.time(), "now")
    found = await run_in_threadpool(one_model, desk.shelf.book, _upstreams(desk, given), request.path_params["model"], at)
    if not found:
        raise Problem(404, "No upstream has a price for this model at that time; set one with POST /api/v1/prices.")
    return JSONResponse({"model": request.path_params["model"], "upstreams": found})


async def list_unpriced(request: Request) -> Response:
    """`GET /api/v1/prices/unpriced`: what was called without a known price."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("from", "to", "limit"), "parameter")
    now = time.time()
    since = _instant(given, "from", now, "") if "from" in given else None
    until = _instant(given, "to", now, "") if "to" in given else None
    most = number(given, "limit", 1000, 1, 10_000)
    found = await run_in_threadpool(lambda: _desk(request).shelf.store.unpriced(since=since, until=until, most=most))
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


async def reprice(request: Request) -> Response:
    """`POST /api/v1/prices/reprice`: price recorded calls again, some at a time: ask again with `run` and `after` until `after` is null."""
    body = await json_object(request, ("from", "to", "where", "dry_run", "run", "after"))
    now = time.time()
    since, until = _instant(body, "from", now, None), _instant(body, "to", now, "now")
    if until <= since:
        raise Problem(400, "`to` is not after `from`.", parameter="to")
    where = where_of({"where": _text(body, "where")} if "where" in body else {})
    dry = body.get("dry_run", False)
    if not isinstance(dry, bool):
        raise Problem(400, "`dry_run` is true or false.", parameter="dry_run")
    run = _run(body.get("run"))
    step = await run_in_threadpool(
        lambda: _desk(request).repricing.step(
            since,
            until,
            _place(body.get("after")),
            run=None if dry else run,
            matches=(lambda _span: True) if where is None else where.matches,
            seconds=STEP_SECONDS,
        )
    )
    return JSONResponse({"run": None if dry else run, "dry_run": dry, **step_json(step), "to": rfc3339(until)})


async def list_adjustments(request: Request) -> Response:
    """`GET /api/v1/prices/adjustments`: what was changed by pricing again, of one call or in one run."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("call", "run", "limit"), "parameter")
    if not given.keys() & {"call", "run"}:
        raise Problem(400, "Name a `call`, or a `run`.", parameter="call")
    most = number(given, "limit", 1000, 1, 10_000)
    store = _desk(request).adjustments
    found = await run_in_threadpool(lambda: store.adjustments(call_id=given.get("call"), run=given.get("run"), most=most))
    return JSONResponse({"adjustments": [adjustment_json(one) for one in found]})


async def drift(request: Request) -> Response:
    """`GET /api/v1/prices/drift`: what providers reported beside what we reckon, some calls at a time: ask again with `after` until it is null."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("from", "to", "after"), "parameter")
    now = time.time()
    since, until = _instant(given, "from", now, "7d"), _instant(given, "to", now, "now")
    place = _place([int(part) for part in _digits(given["after"])]) if "after" in given else (-1, 0)
    audit = await run_in_threadpool(lambda: _desk(request).auditing.step(since, until, place, seconds=STEP_SECONDS))
    return JSONResponse(
        {
            "scanned": audit.scanned,
            "models": [compared_json(one) for one in audit.models.values()],
            "after": None if audit.place is None else f"{audit.place[0]},{audit.place[1]}",
            "to": rfc3339(until),
        }
    )


async def refresh(request: Request) -> Response:
    """`POST /api/v1/prices/refresh`: fetch the price list that the settings name."""
    body = await json_object(request, ("dry_run",))
    dry = body.get("dry_run", False)
    if not isinstance(dry, bool):
        raise Problem(400, "`dry_run` is true or false.", parameter="dry_run")
    try:
        return JSONResponse(await run_in_threadpool(_desk(request).refresh, dry))
    except ValueError as error:
        raise Problem(409, str(error)) from None


ROUTES = [
    Route("/api/v1/prices", list_prices, methods=["GET"]),
    Route("/api/v1/prices", set_price, methods=["POST"]),
    Route("/api/v1/prices/models", list_models, methods=["GET"]),
    Route("/api/v1/prices/models/{model:path}", show_model, methods=["GET"]),
    Route("/api/v1/prices/unpriced", list_unpriced, methods=["GET"]),
    Route("/api/v1/prices/reprice", reprice, methods=["POST"]),
    Route("/api/v1/prices/adjustments", list_adjustments, methods=["GET"]),
    Route("/api/v1/prices/drift", drift, methods=["GET"]),
    Route("/api/v1/prices/refresh", refresh, methods=["POST"]),
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


def step_json(step: Step) -> dict[str, Any]:
    """Return what a step did."""
    moved = sorted(step.moved.values(), key=lambda one: -abs(one.new - one.old))
    return {
        "scanned": step.scanned,
        "changed": sum(one.calls for one in moved),
        "moved": [
            {
                "upstream": one.upstream,
                "model": one.model or None,
                "calls": one.calls,
                "old_usd": usd(one.old),
                "new_usd": usd(one.new),
                "became_known": one.became_known,
                "became_unknown": one.became_unknown,
            }
            for one in moved
        ],
        "after": None if step.place is None else list(step.place),
    }


def adjustment_json(one: Adjustment) -> dict[str, Any]:
    """Return an adjustment."""
    return {
        "call": one.call_id,
        "run": one.run,
        "made_at": rfc3339(one.made_at),
        "old_cost_usd": None if one.old_cost is None else usd(one.old_cost),
        "old_cost_status": one.old_status,
        "old_price_ref": one.old_ref,
        "new_cost_usd": None if one.new_cost is None else usd(one.new_cost),
        "new_cost_status": one.new_status,
        "new_price_ref": one.new_ref,
        "cost_lines": list(one.lines),
        "notes": list(one.notes),
    }


def compared_json(one: Any) -> dict[str, Any]:
    """Return what providers reported of one model, and what we reckon."""
    return {
        "upstream": one.upstream,
        "model": one.model or None,
        "calls": one.calls,
        "unknown": one.unknown,
        "reported_usd": usd(one.reported),
        "ours_usd": usd(one.ours),
        "furthest": [
            {"call": call, "reported_usd": usd(reported), "ours_usd": usd(ours)}
            for _, call, reported, ours in sorted(one.furthest, reverse=True)
        ],
    }


def _desk(request: Request) -> PriceDesk:
    desk: PriceDesk = request.app.state.prices
    return desk


def _own(shelf: PriceShelf, name: str) -> Override | None:
    return next((one for one in shelf.own if one.id == name), None)


def _upstreams(desk: PriceDesk, given: Mapping[str, str]) -> Mapping[str, str]:
    name = given.get("upstream")
    if name is None:
        return desk.upstreams
    if name not in desk.upstreams:
        known = ", ".join(sorted(desk.upstreams)) or "none"
        raise Problem(404, f"There is no upstream of this name; there are {known}.", parameter="upstream")
    return {name: desk.upstreams[name]}


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


def _instant(given: Mapping[str, Any], name: str, now: float, default: str | None) -> int:
    if name not in given and default is None:
        raise Problem(400, f"`{name}` is needed: a time, or 24h for 24 hours ago.", parameter=name)
    try:
        return instant_of(_text(given, name) if name in given else str(default), now)
    except ValueError as error:
        raise Problem(400, str(error), parameter=name) from None


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given[name]
    if not isinstance(value, str):
        raise Problem(400, f"`{name}` is a text.", parameter=name)
    return value


def _run(value: Any) -> str:
    if value is None:
        return secrets.token_hex(8)
    if not isinstance(value, str) or not _RUN.fullmatch(value):
        raise Problem(400, "`run` is what an earlier answer gave.", parameter="run")
    return value


def _place(value: Any) -> Place:
    if value is None:
        return (-1, 0)
    if not isinstance(value, list) or len(value) != 2 or not all(type(one) is int and -1 <= one < 2**63 for one in value):  # noqa: PLR2004 - a pair
        raise Problem(400, "`after` is what an earlier answer gave.", parameter="after")
    return value[0], value[1]


def _digits(text: str) -> list[str]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):  # noqa: PLR2004 - 64 bits
        raise Problem(400, "`after` is what an earlier answer gave.", parameter="after")
    return parts


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(int(seconds * NANOSECONDS))
