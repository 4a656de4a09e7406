"""The office's application: admin API, live stream and page, behind one guard."""

import contextlib
import logging
import secrets
import time
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard import (
    budgets,
    calls,
    deliveries,
    demo,
    destinations,
    erasing,
    keys,
    live,
    page,
    prices,
    projects,
    rules,
    status,
    token_counts,
    usage,
)
from dashboard.budget_json import Budgets
from dashboard.destination_desk import DestinationDesk
from dashboard.keyring import KeyRing
from dashboard.live import Live
from dashboard.price_desk import PriceDesk
from dashboard.problems import Problem, answer_problem
from dashboard.rules import RuleDesk
from dashboard.sign_in import Access, Guard, Sessions, mint, sign_out
from domain.errors import StoreUnavailable
from pricing.tokens.counter import TokenCounter
from pricing.tokens.encodings import Encodings
from storage.spans import SpanStore
from storage.usage import UsageStore

log = logging.getLogger(__name__)

_MESSAGES = {404: "There is nothing at this path.", 405: "This path does not take this method."}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application works with. `status` may wait. `history` makes the calls of a made-up past (see `demo`)."""

    spans: SpanStore
    keys: KeyRing
    sessions: Sessions
    live: Live
    status: Callable[[], Mapping[str, Any]]
    history: demo.History
    admin_token: str
    counter: TokenCounter = field(default_factory=lambda: TokenCounter(Encodings()))
    usage: UsageStore = field(kw_only=True)
    budgets: Budgets = field(kw_only=True)
    projects: Sequence[str] = ("default",)
    prices: PriceDesk = field(kw_only=True)
    destinations: DestinationDesk | None = None
    rules: RuleDesk | None = None


def make_app(parts: Parts, now: Callable[[], float] = time.time) -> Starlette:
    """Return the application.

    Raises:
        ValueError: the admin token is too short.

    """
    access = Access(parts.admin_token, parts.sessions, now)
    app = Starlette(
        routes=[
            *page.ROUTES,
            *calls.ROUTES,
            *keys.ROUTES,
            *live.ROUTES,
            *demo.ROUTES,
            *erasing.ROUTES,
            *status.ROUTES,
            *token_counts.ROUTES,
            *usage.ROUTES,
            *projects.ROUTES,
            *budgets.ROUTES,
            *prices.ROUTES,
            *destinations.ROUTES,
            *deliveries.ROUTES,
            *rules.ROUTES,
            Route("/api/v1/sign-in-links", mint, methods=["POST"]),
            Route("/api/v1/session", sign_out, methods=["DELETE"]),
        ],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={
            Problem: answer_problem,
            StoreUnavailable: _answer_away,
            HTTPException: _answer_http,
            Exception: _answer_bug,
        },
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.access = access
    app.state.spans = parts.spans
    app.state.keys = parts.keys
    app.state.live = parts.live
    app.state.status = parts.status
    app.state.history = parts.history
    app.state.usage = parts.usage
    app.state.budgets = parts.budgets
    app.state.prices = parts.prices
    app.state.destinations = parts.destinations
    app.state.rules = parts.rules
    app.state.projects = parts.projects
    app.state.counting = token_counts.Counting(parts.counter)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with TaskGroup() as tasks:
        tasks.create_task(app.state.live.run())
        yield
        app.state.live.close()


async def _answer_away(_request: Request, _error: Exception) -> Response:
    return Problem(503, "The store is away. Calls are still passed on, and kept in the journal until it is back.").response()


async def _answer_http(_request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    answer = Problem(code, _MESSAGES.get(code, "The request cannot be answered.")).response()
    if isinstance(error, HTTPException) and error.headers:
        answer.headers.update(error.headers)
    return answer


async def _answer_bug(_request: Request, error: Exception) -> Response:
    """Answer what nobody thought of. The class of the error is logged under an id, its text is not: it may hold content."""
    name = secrets.token_hex(6)
    log.error("bug %s in the admin API: %s", name, type(error).__name__)
    return Problem(500, f"Something is wrong on our side. The log has more, under {name}.", id=name).response()
