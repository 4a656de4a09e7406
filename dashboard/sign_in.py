"""Who may use the admin API and its page: holders of the admin token, and browsers that used a one-time link.

A browser's session is a cookie that scripts cannot read and other sites cannot send; what is kept of it is a digest. A change asked for
by cookie must also come from our own page (`Origin`), since cookies alone can be made to come along.
"""

import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Protocol
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.problems import Problem
from dashboard.tries import Tries
from domain.errors import StoreUnavailable

COOKIE = "faregate_session"
LINK_SECONDS = 600
IDLE_SECONDS = 7 * 86_400
LONGEST_SECONDS = 30 * 86_400
SHORTEST_TOKEN = 16
_READING = frozenset({"GET", "HEAD"})
# What anybody may see: the page itself, which holds no data, its parts, and whether the office lives.
_OPEN = frozenset({"/", "/page.js", "/page.css", "/icon.svg", "/healthz"})

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Sessions(Protocol):
    """Where links and sessions are kept, by digest (see `storage.sessions`). All of it may raise `StoreUnavailable`."""

    def add_link(self, digest: str, *, expires_at: float) -> None:
        """Keep a sign-in link."""

    def use_link(self, digest: str, *, now: float) -> bool:
        """Use a link up; return whether it was good."""

    def add_session(self, digest: str, *, now: float, expires_at: float) -> None:
        """Keep a session."""

    def session_seen(self, digest: str, *, now: float, idle: float) -> bool:
        """Return whether a session is good, and note that it was used."""

    def end_session(self, digest: str) -> None:
        """Forget a session."""


class Access:
    """Knows who is signed in."""

    def __init__(self, admin_token: str, sessions: Sessions, now: Callable[[], float] = time.time) -> None:
        """Take the admin token and where sessions are kept.

        Raises:
            ValueError: the token is too short to be one; an empty one would let everybody in.

        """
        if len(admin_token) < SHORTEST_TOKEN:
            raise ValueError(f"The admin token must have at least {SHORTEST_TOKEN} characters.")
        self._admin_token = admin_token.encode()
        self._sessions = sessions
        self._now = now
        self._tries = Tries(now)

    def note_failure(self) -> None:
        """Take note of a wrong token or link."""
        self._tries.fail()

    def refuse_many_tries(self) -> None:
        """Refuse to look at another token or link for now.

        Raises:
            Problem: there were too many wrong ones of late.

        """
        wait = self._tries.wait
        if wait > 0:
            raise Problem(429, "There were too many wrong tokens or links of late; try again later.", retry_after=math.ceil(wait))

    def is_admin(self, authorization: str) -> bool:
        """Return whether an `Authorization` header holds the admin token. Takes the same time for every wrong one."""
        scheme, _, token = authorization.partition(" ")
        return hmac.compare_digest(token.strip().encode(), self._admin_token) and scheme.lower() == "bearer"

    def new_link(self) -> str:
        """Return a token that signs a browser in once, within ten minutes."""
        token = secrets.token_urlsafe(32)
        self._sessions.add_link(digest(token), expires_at=self._now() + LINK_SECONDS)
        return token

    def sign_in(self, token: str) -> str | None:
        """Use a link up; return the new session's secret, or None if the link was not good."""
        if not self._sessions.use_link(digest(token), now=self._now()):
            return None
        secret = secrets.token_urlsafe(32)
        self._sessions.add_session(digest(secret), now=self._now(), expires_at=self._now() + LONGEST_SECONDS)
        return secret

    def is_signed_in(self, secret: str | None) -> bool:
        """Return whether a session's secret is good."""
        return bool(secret) and self._sessions.session_seen(digest(secret or ""), now=self._now(), idle=IDLE_SECONDS)

    def sign_out(self, secret: str) -> None:
        """End a session."""
        self._sessions.end_session(digest(secret))


class Guard:
    """Lets nobody in who is not signed in, whatever the path; only the few paths of `_OPEN` are open."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        """Stand in front of `app`."""
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            send = _with_headers(send)
            refusal = await self._refusal(scope)
            await (refusal or self._app)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _refusal(self, scope: Scope) -> Response | None:
        if scope["path"] in _OPEN and scope["method"] in _READING:
            return None
        headers = Headers(scope=scope)
        try:
            await self._admit(scope["method"], headers, scope)
        except Problem as problem:
            return problem.response()
        return None

    async def _admit(self, method: str, headers: Headers, scope: Scope) -> None:
        authorization = headers.get("authorization")
        if authorization is not None:
            if not self._access.is_admin(authorization):
                # The right one is let in all the same: a stranger's guesses must not lock the owner out, and cannot find 256 random bits.
                self._access.refuse_many_tries()
                self._access.note_failure()
                raise Problem(401, "The admin token is not right. `faregate up` wrote it to the data folder, in local.json.")
            scope["faregate.by"] = "token"
            return
        try:
            signed_in = await run_in_threadpool(self._access.is_signed_in, session_of(headers))
        except StoreUnavailable:
            raise Problem(503, "The store is away, so sessions cannot be checked. The admin token still works.") from None
        if not signed_in:
            raise Problem(
                401, "Send the admin token as `Authorization: Bearer <token>`, or use the sign-in link of `faregate up`."
            )
        if method not in _READING and not _from_our_page(headers):
            raise Problem(403, "A change by cookie must come from our own page.")
        scope["faregate.by"] = "session"


def digest(secret: str) -> str:
    """Return what is kept of a secret of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def session_of(headers: Headers) -> str | None:
    """Return the session's secret from a request's cookies."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def session_cookie(request: Request, secret: str) -> str:
    """Return the `set-cookie` header of a new session."""
    https = request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").partition(",")[0].strip() == "https"
    return f"{COOKIE}={secret}; Path=/; Max-Age={LONGEST_SECONDS}; HttpOnly; SameSite=Strict{'; Secure' if https else ''}"


async def mint(request: Request) -> Response:
    """`POST /api/v1/sign-in-links`: make a link, for holders of the admin token."""
    if request.scope["faregate.by"] != "token":
        raise Problem(403, "Sign-in links are made with the admin token.")
    token = await run_in_threadpool(access_of(request).new_link)
    return JSONResponse({"token": token, "path": f"/?signin={token}", "expires_in": LINK_SECONDS}, 201)


async def sign_out(request: Request) -> Response:
    """`DELETE /api/v1/session`: end the session of this browser."""
    secret = session_of(request.headers)
    if secret:
        await run_in_threadpool(access_of(request).sign_out, secret)
    return Response(status_code=204, headers={"set-cookie": f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"})


def access_of(request: Request) -> Access:
    """Return the application's `Access`."""
    access: Access = request.app.state.access
    return access


def _from_our_page(headers: Headers) -> bool:
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "same-origin"
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(header for header in _HEADERS if header[0] not in present)]
        await send(message)

    return sending
