"""Keys: make, list, rotate, revoke. A secret is in one answer, when it is made, and nowhere else."""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.budget_book import BudgetBook
from dashboard.keyring import KeyRing
from dashboard.problems import Problem, json_object, refuse_unknown
from dashboard.times import NANOSECONDS, instant_of, seconds_of
from domain.budget_text import MOST_COUNT, limit_and_window_of
from domain.budgets import Budget, KeyLimits, Scope
from domain.keys import ApiKey, digest, hint, new_secret
from domain.spans import rfc3339

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,63}")
LONGEST_GRACE = 30 * 86_400
DEFAULT_GRACE = 86_400
_LIMITS = ("rpm", "tpm", "parallel")
_FIELDS = ("name", "project", "models", "tags", "expires", "budget", *_LIMITS)
# Who makes the keys that are not in the store, by their origin.
_MAKERS = {"file": "the configuration file (faregate.toml)", "local": "`faregate up`, for this machine's user"}
MOST, LONGEST_GLOB, LONGEST_TAG = 100, 200, 256


@dataclass(frozen=True, slots=True)
class _Asked:
    """The fields of a key that somebody wants made."""

    name: str
    project: str
    models: tuple[str, ...]
    tags: Mapping[str, str]
    expires_at: float | None
    limits: KeyLimits | None
    budget: Budget | None


async def list_keys(request: Request) -> Response:
    """`GET /api/v1/keys`."""
    refuse_unknown(request.query_params, (), "parameter")
    keys = await run_in_threadpool(_ring(request).all)
    return JSONResponse({"keys": [key_json(key) for key in sorted(keys, key=lambda key: (key.revoked_at or 0, key.name))]})


async def one_key(request: Request) -> Response:
    """`GET /api/v1/keys/{name}`."""
    return JSONResponse(key_json(await run_in_threadpool(_existing, _ring(request), request.path_params["name"])))


async def create_key(request: Request) -> Response:
    """`POST /api/v1/keys`: make a managed key; the answer has its secret."""
    asked = _asked(await json_object(request, _FIELDS), time.time())
    secret = new_secret()
    key = ApiKey(
        id=f"key-{secrets.token_hex(12)}",
        name=asked.name,
        digest=digest(secret),
        project=asked.project,
        models=asked.models,
        tags=asked.tags,
        hint=hint(secret),
        created_at=time.time(),
        expires_at=asked.expires_at,
        limits=asked.limits,
    )
    await run_in_threadpool(_create, _ring(request), key, request.app.state.budgets.book, asked.budget)
    return JSONResponse(key_json(key) | {"secret": secret}, 201)


async def rotate_key(request: Request) -> Response:
    """`POST /api/v1/keys/{name}/rotate`: give a key a new secret; the old one works for `grace_seconds` more."""
    body = await json_object(request, ("grace_seconds",))
    grace = body.get("grace_seconds", DEFAULT_GRACE)
    if isinstance(grace, bool) or not isinstance(grace, int | float) or not 0 <= grace <= LONGEST_GRACE:
        raise Problem(400, f"`grace_seconds` is a number from 0 to {LONGEST_GRACE}.", parameter="grace_seconds")
    secret = new_secret()
    key = await run_in_threadpool(_rotate, _ring(request), request.path_params["name"], secret, time.time(), grace)
    return JSONResponse(key_json(key) | {"secret": secret})


async def revoke_key(request: Request) -> Response:
    """`DELETE /api/v1/keys/{name}`: the key no longer works, and is kept for the calls it made."""
    return JSONResponse(key_json(await run_in_threadpool(_revoke, _ring(request), request.path_params["name"], time.time())))


ROUTES = [
    Route("/api/v1/keys", list_keys, methods=["GET"]),
    Route("/api/v1/keys", create_key, methods=["POST"]),
    Route("/api/v1/keys/{name}", one_key, methods=["GET"]),
    Route("/api/v1/keys/{name}", revoke_key, methods=["DELETE"]),
    Route("/api/v1/keys/{name}/rotate", rotate_key, methods=["POST"]),
]


def key_json(key: ApiKey) -> dict[str, Any]:
    """Return what may be shown of a key: everything but digests."""
    return {
        "name": key.name,
        "id": key.id,
        "kind": key.kind,
        "project": key.project,
        "models": list(key.models),
        "tags": dict(key.tags),
        "rpm": key.limits.rpm if key.limits else None,
        "tpm": key.limits.tpm if key.limits else None,
        "parallel": key.limits.parallel if key.limits else None,
        "hint": key.hint or None,
        "origin": key.origin,
        "created_at": _time(key.created_at or None),
        "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
        "last_used_at": _time(key.last_used_at),
        "previous_secret_until": _time(key.previous_until),
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(int(seconds * NANOSECONDS))


def _ring(request: Request) -> KeyRing:
    ring: KeyRing = request.app.state.keys
    return ring


def _existing(ring: KeyRing, name: str) -> ApiKey:
    key = ring.from_settings(name) or ring.store.get(name)
    if key is None:
        raise Problem(404, "There is no key of this name.")
    return key


def _changeable(ring: KeyRing, name: str) -> ApiKey:
    key = _existing(ring, name)
    if key.origin != "database":
        raise Problem(409, f"This key is made by {_MAKERS.get(key.origin, key.origin)}; change it there.", origin=key.origin)
    if key.kind != "managed":
        raise Problem(
            409, "This is a provider's own credential that passes through; change it there, or set `server.pass_through`."
        )
    return key


def _create(ring: KeyRing, key: ApiKey, budgets: BudgetBook, budget: Budget | None) -> None:
    """Make a key, and its budget before anybody can call with it."""
    own = ring.from_settings(key.name)
    if own is not None:
        maker = _MAKERS.get(own.origin, own.origin)
        raise Problem(409, f"A key of this name is made by {maker}; choose another name.", parameter="name", origin=own.origin)
    try:
        ring.store.create(key)
    except ValueError:
        raise Problem(409, "There is a key of this name already; revoke it first, or rotate it.", parameter="name") from None
    if budget is not None:
        budgets.store.put(budget, time.time())
        budgets.publish()
    ring.publish()


def _rotate(ring: KeyRing, name: str, secret: str, now: float, grace: float) -> ApiKey:
    key = _changeable(ring, name)
    if key.revoked_at is not None:
        raise Problem(409, "This key was revoked, for good; make another.")
    rotated = ring.store.rotate(key.id, digest=digest(secret), hint=hint(secret), at=now, grace=grace)
    ring.publish()
    return rotated


def _revoke(ring: KeyRing, name: str, now: float) -> ApiKey:
    revoked = ring.store.revoke(_changeable(ring, name).id, now)
    ring.publish()
    return revoked


def _asked(body: Mapping[str, Any], now: float) -> _Asked:
    name = _name(body.get("name"), "name")
    return _Asked(
        name=name,
        project=_name(body.get("project", "default"), "project"),
        models=_models(body.get("models", [])),
        tags=_tags(body.get("tags", {})),
        expires_at=_expiry(body.get("expires"), now),
        limits=_limits(body),
        budget=_budget(body.get("budget"), name),
    )


def _limits(body: Mapping[str, Any]) -> KeyLimits | None:
    limits = KeyLimits(*(_limit(body.get(name), name) for name in _LIMITS))
    return None if limits == KeyLimits() else limits


def _limit(value: Any, field: str) -> int | None:
    if value is not None and (type(value) is not int or not 1 <= value <= MOST_COUNT):
        raise Problem(400, f"`{field}` is a whole number of 1 or more.", parameter=field)
    return value


def _budget(value: Any, name: str) -> Budget | None:
    """Return the budget of a key, from such as `20/month`."""
    if value is None:
        return None
    try:
        limit, unit, window = limit_and_window_of(value if isinstance(value, str) else "")
    except ValueError as error:
        raise Problem(400, f"`budget` is an amount and a window, such as `20/month`: {error}.", parameter="budget") from None
    return Budget(id="", scope=Scope("key", name), limit=limit, window=window, unit=unit)


def _name(value: Any, field: str) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        message = f"`{field}` is needed: up to 64 letters, digits and `.`, `_`, `@`, `:`, `-`, with a letter or digit first."
        raise Problem(400, message, parameter=field)
    return value


def _models(value: Any) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or len(value) > MOST
        or not all(isinstance(glob, str) and 0 < len(glob) <= LONGEST_GLOB for glob in value)
    ):
        raise Problem(
            400,
            '`models` is a list of names or patterns, such as ["gpt-4o*", "groq/*"]; none means every model.',
            parameter="models",
        )
    return tuple(value)


def _tags(value: Any) -> Mapping[str, str]:
    if (
        isinstance(value, dict)
        and len(value) <= MOST
        and all(isinstance(text, str) and len(text) <= LONGEST_TAG for text in value.values())
    ):
        return value
    raise Problem(400, '`tags` is an object of texts, such as {"team": "search"}.', parameter="tags")


def _expiry(value: Any, now: float) -> float | None:
    """Return when a key expires: so long from now (`30d`), or a time in the future."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise Problem(400, "`expires` is a duration such as `30d`, or a time.", parameter="expires")
    try:
        return now + seconds_of(value)
    except ValueError:
        pass
    try:
        at = instant_of(value, now) / NANOSECONDS
    except ValueError as error:
        raise Problem(400, str(error), parameter="expires") from None
    if at <= now:
        raise Problem(400, "`expires` is in the past.", parameter="expires")
    return at
