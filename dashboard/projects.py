"""Projects: those of the settings and those that keys or calls name, each with what was called and spent."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.keyring import KeyRing
from dashboard.problems import refuse_unknown
from dashboard.queries import once_each
from dashboard.usage import period_of, sums_json, zone_asked
from domain.spans import rfc3339
from storage.usage import Sums, UsageQuery, UsageStore

DEFAULT_LAST = "30d"
MOST_PROJECTS = 10_000
_NANOSECONDS = 10**9


async def list_projects(request: Request) -> Response:
    """`GET /api/v1/projects`."""
    given = once_each(request.query_params)
    refuse_unknown(given, ("from", "to", "last", "tz"), "parameter")
    period = period_of(given, zone_asked(given), time.time(), DEFAULT_LAST)
    state = request.app.state
    projects = await run_in_threadpool(_projects, state.usage, state.keys, state.projects, period)
    start, end = (rfc3339(at * _NANOSECONDS) for at in period)
    return JSONResponse({"from": start, "to": end, "projects": projects})


ROUTES = [Route("/api/v1/projects", list_projects)]


def project_names(ring: KeyRing, own: Sequence[str]) -> list[str]:
    """Return the projects that the settings or keys name.

    Raises:
        StoreUnavailable: the store is away.

    """
    return sorted({*own, *(key.project for key in ring.all())})


def _projects(usage: UsageStore, ring: KeyRing, own: Sequence[str], period: tuple[int, int]) -> list[dict[str, Any]]:
    [used] = usage.usage(UsageQuery(by=("project",), most=MOST_PROJECTS), [period])
    sums: Mapping[str, Sums] = {name: sums for (name,), sums in used.groups if name is not None}
    keys = [key.project for key in ring.all() if key.revoked_at is None]
    return [
        {"name": name, "origin": "file" if name in own else "seen", "keys": keys.count(name), **sums_json(sums.get(name, Sums()))}
        for name in sorted({*own, *keys, *sums})
    ]
