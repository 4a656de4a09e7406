"""Destinations: how each stands, a test of one, and replays to it. They are defined in the settings; here nothing of them is changed."""

import math
from difflib import get_close_matches
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.destination_desk import DestinationDesk, destination_json, time_json
from dashboard.problems import Problem, json_object, refuse_unknown
from dashboard.queries import flag, instant
from dashboard.times import NANOSECONDS
from domain.deliveries import Counts
from domain.replays import Estimate, Replay, ReplayAsked
from domain.spans import rfc3339
from routing.where import compile_where

DEFAULT_RATE, LARGEST_RATE = 50.0, 5000.0
_REPLAY_FIELDS = ("where", "from", "to", "rate", "dry_run", "only")
_ONLY = ("missing", "all")


async def list_destinations(request: Request) -> Response:
    """`GET /api/v1/destinations`."""
    refuse_unknown(request.query_params, (), "parameter")
    return JSONResponse({"destinations": await run_in_threadpool(_all, desk_of(request))})


async def one_destination(request: Request) -> Response:
    """`GET /api/v1/destinations/{name}`: with its replays."""
    refuse_unknown(request.query_params, (), "parameter")
    return JSONResponse(await run_in_threadpool(_one, desk_of(request), request.path_params["name"]))


async def test_destination(request: Request) -> Response:
    """`POST /api/v1/destinations/{name}/test`: send a real span through the real queue, and say what happened and where to look."""
    await json_object(request, ())
    desk = desk_of(request)
    name = configured_name(desk, request.path_params["name"])
    try:
        result = await run_in_threadpool(desk.courier.test, name)
    except ValueError:
        raise Problem(503, f"The courier is not at work for `{name}` yet; try again in a moment.", retry_after=2) from None
    return JSONResponse(
        {
            "destination": name,
            "ok": result.ok,
            "message": result.message,
            "status": result.status,
            "took_ms": round(result.took * 1000, 1),
            "call_id": result.call_id or None,
            "trace_id": result.trace_id or None,
            "look_at": result.look_at or None,
        }
    )


async def resume_destination(request: Request) -> Response:
    """`POST /api/v1/destinations/{name}/resume`: try it again now, whatever it is paused for."""
    await json_object(request, ())
    desk = desk_of(request)
    name = configured_name(desk, request.path_params["name"])
    await run_in_threadpool(desk.courier.retry, name)
    return JSONResponse(await run_in_threadpool(_one, desk, name))


async def begin_replay(request: Request) -> Response:
    """`POST /api/v1/destinations/{name}/replay`: owe recorded spans to it again; with `dry_run`, only say what that would be."""
    body = await json_object(request, _REPLAY_FIELDS)
    desk = desk_of(request)
    name = taking_calls(desk, request.path_params["name"])
    asked = _asked(name, body, desk.now())
    if flag(body, "dry_run"):
        estimate = await run_in_threadpool(desk.replays.estimate, asked, desk.patience)
        return JSONResponse(_estimate_json(asked, estimate))
    begun = await run_in_threadpool(desk.replays.begin, asked)
    if begun is None:
        raise Problem(409, "As many replays run as may at once; wait for one, or stop one.")
    return JSONResponse(replay_json(begun), 202)


async def list_replays(request: Request) -> Response:
    """`GET /api/v1/replays`: all that are remembered, the newest first."""
    refuse_unknown(request.query_params, (), "parameter")
    found = await run_in_threadpool(desk_of(request).replays.all)
    return JSONResponse({"replays": [replay_json(one) for one in found]})


async def one_replay(request: Request) -> Response:
    """`GET /api/v1/replays/{id}`: how far it is."""
    refuse_unknown(request.query_params, (), "parameter")
    return JSONResponse(_replay_or_problem(await run_in_threadpool(desk_of(request).replays.get, request.path_params["id"])))


async def stop_replay(request: Request) -> Response:
    """`DELETE /api/v1/replays/{id}`: stop it where it is; what it owed is still sent."""
    return JSONResponse(_replay_or_problem(await run_in_threadpool(desk_of(request).replays.end, request.path_params["id"])))


ROUTES = [
    Route("/api/v1/destinations", list_destinations),
    Route("/api/v1/destinations/{name}", one_destination),
    Route("/api/v1/destinations/{name}/test", test_destination, methods=["POST"]),
    Route("/api/v1/destinations/{name}/resume", resume_destination, methods=["POST"]),
    Route("/api/v1/destinations/{name}/replay", begin_replay, methods=["POST"]),
    Route("/api/v1/replays", list_replays),
    Route("/api/v1/replays/{id}", one_replay, methods=["GET"]),
    Route("/api/v1/replays/{id}", stop_replay, methods=["DELETE"]),
]


def desk_of(request: Request) -> DestinationDesk:
    """Return what answers are made from.

    Raises:
        Problem: this office has no courier.

    """
    desk: DestinationDesk | None = request.app.state.destinations
    if desk is None:
        raise Problem(503, "This office delivers nothing: it was put together without a courier.")
    return desk


def known_name(desk: DestinationDesk, name: str) -> str:
    """Return the name of a destination of the settings, or of one that deliveries are kept for.

    Raises:
        Problem: there is none; the nearest is named.

    """
    return _known(name, desk.names())


def configured_name(desk: DestinationDesk, name: str) -> str:
    """Return the name of a destination of the settings.

    Raises:
        Problem: there is none; the nearest is named.

    """
    return _known(name, sorted(desk.configured))


def taking_calls(desk: DestinationDesk, name: str) -> str:
    """Return the name of a destination of the settings that takes calls.

    Raises:
        Problem: there is none of this name, or it takes events only.

    """
    configured_name(desk, name)
    if desk.configured[name].TAKES == "events":
        raise Problem(409, f"The destination `{name}` takes events only, no calls.")
    return name


def _known(name: str, names: list[str]) -> str:
    if name in names:
        return name
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    advice = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(names)}." if names else "the settings have none."
    raise Problem(404, f"There is no destination `{name[:80]}`; {advice}")


def _all(desk: DestinationDesk) -> list[dict[str, Any]]:
    counts, standings = desk.store.counts(), desk.courier.status()
    names = sorted({*desk.configured, *counts})
    return [destination_json(desk, name, counts.get(name, Counts()), standings.get(name)) for name in names]


def _one(desk: DestinationDesk, name: str) -> dict[str, Any]:
    known_name(desk, name)
    counts, standings = desk.store.counts(), desk.courier.status()
    found = destination_json(desk, name, counts.get(name, Counts()), standings.get(name))
    return found | {"replays": [replay_json(one) for one in desk.replays.all() if one.asked.destination == name]}


def _asked(name: str, body: Any, now: float) -> ReplayAsked:
    where = body.get("where")
    if where is not None:
        if not isinstance(where, str):
            raise Problem(400, "`where` is a condition as text.", parameter="where")
        try:
            compile_where(where)
        except ValueError as error:
            raise Problem(400, str(error), parameter="where") from None
    since, until = instant(body, "from", now), instant(body, "to", now)
    until = int(now * NANOSECONDS) if until is None else until
    if since is not None and since >= until:
        raise Problem(400, "The period is empty: `from` must be before `to`.", parameter="from")
    only = body.get("only", "missing")
    if only not in _ONLY:
        raise Problem(400, f"`only` is one of {', '.join(_ONLY)}.", parameter="only")
    return ReplayAsked(name, until, since, where, _rate(body), only)


def _rate(body: Any) -> float:
    rate = body.get("rate", DEFAULT_RATE)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= LARGEST_RATE or math.isnan(rate):
        raise Problem(400, f"`rate` is a number of calls per second, at most {LARGEST_RATE:g}.", parameter="rate")
    return float(rate)


def _replay_or_problem(found: Replay | None) -> dict[str, Any]:
    if found is None:
        raise Problem(404, "There is no replay with this id; only the last ones are remembered, and only where they run.")
    return replay_json(found)


def replay_json(replay: Replay) -> dict[str, Any]:
    """Return a replay as JSON."""
    return {
        "id": replay.id,
        **_asked_json(replay.asked),
        "state": replay.state,
        "made_at": rfc3339(replay.made_at),
        "ended_at": time_json(replay.ended_at),
        "looked_at": replay.looked,
        "owed": replay.owed,
        "place": time_json(replay.place),
        "waits": replay.waits,
        "error": replay.error,
    }


def _asked_json(asked: ReplayAsked) -> dict[str, Any]:
    return {
        "destination": asked.destination,
        "where": asked.where,
        "from": time_json(asked.since),
        "to": rfc3339(asked.until),
        "rate": asked.rate,
        "only": asked.only,
    }


def _estimate_json(asked: ReplayAsked, estimate: Estimate) -> dict[str, Any]:
    return {
        **_asked_json(asked),
        "dry_run": True,
        "looked_at": estimate.looked,
        "calls": estimate.spans,
        "bytes": estimate.bytes,
        "seconds": round(estimate.spans / asked.rate, 1),
        "whole": estimate.whole,
        "place": time_json(estimate.place),
    }
