"""Prices of recorded calls: pricing them again, what that changed, and what providers reported beside what we reckon."""

import re
import secrets
import time
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.price_desk import STEP_SECONDS, Place, Step, desk_of, instant_in
from dashboard.problems import Problem, json_object, refuse_unknown
from dashboard.queries import flag, number, once_each, where_of
from domain.spans import rfc3339, usd
from storage.adjustments import Adjustment

_RUN = re.compile(r"[0-9a-f]{16}")


async def reprice(request: Request) -> Response:
    """`POST /api/v1/prices/reprice`: price recorded calls again, some at a time: ask again with `run` and `after` until `after` is null."""
    body = await json_object(request, ("from", "to", "where", "dry_run", "run", "after"))
    now = time.time()
    since, until = instant_in(body, "from", now, None), instant_in(body, "to", now, "now")
    if until <= since:
        raise Problem(400, "`to` is not after `from`.", parameter="to")
    where = where_of(body)
    dry = flag(body, "dry_run")
    run = _run(body.get("run"))
    step = await run_in_threadpool(
        lambda: desk_of(request).repricing.step(
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
    store = desk_of(request).adjustments
    found = await run_in_threadpool(lambda: store.adjustments(call_id=given.get("call"), run=given.get("run"), most=most))
    return JSONResponse({"adjustments": [adjustment_json(one) for one in found]})


async def drift(request: Request) -> Response:
    """`GET /api/v1/prices/drift`: what providers reported beside what we reckon, some calls at a time: ask again with `after` until it is null."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("from", "to", "after"), "parameter")
    now = time.time()
    since, until = instant_in(given, "from", now, "7d"), instant_in(given, "to", now, "now")
    place = _place([int(part) for part in _digits(given["after"])]) if "after" in given else (-1, 0)
    audit = await run_in_threadpool(lambda: desk_of(request).auditing.step(since, until, place, seconds=STEP_SECONDS))
    return JSONResponse(
        {
            "scanned": audit.scanned,
            "models": [compared_json(one) for one in audit.models.values()],
            "after": None if audit.place is None else f"{audit.place[0]},{audit.place[1]}",
            "to": rfc3339(until),
        }
    )


ROUTES = [
    Route("/api/v1/prices/reprice", reprice, methods=["POST"]),
    Route("/api/v1/prices/adjustments", list_adjustments, methods=["GET"]),
    Route("/api/v1/prices/drift", drift, methods=["GET"]),
]


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
