"""The page at `/`: until there is a dashboard, the exports to paste, the last calls, and what happens now.

The page holds no data; its script asks the API for it. Nothing but our own script, style and API can be used on it, and nothing can be
put into it as HTML.
"""

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dashboard.sign_in import access_of, session_cookie, session_of
from domain.errors import StoreUnavailable

_STATIC = Path(__file__).parent / "static"
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
_HEADERS = {"content-security-policy": _POLICY, "permissions-policy": "camera=(), microphone=(), geolocation=()"}
_PARTS = {"page.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"}


async def page(request: Request) -> Response:
    """`GET /`: the page for those who are signed in, a way in for the others; `?signin=TOKEN` signs in."""
    token = request.query_params.get("signin")
    if token is not None and request.method == "GET":
        return await _sign_in(request, token)
    try:
        signed_in = await run_in_threadpool(access_of(request).is_signed_in, session_of(request.headers))
    except StoreUnavailable:
        return _away()
    return _html("index.html") if signed_in else _html("signed_out.html", 401)


async def part(request: Request) -> Response:
    """Return the script, the style or the icon."""
    name = request.url.path[1:]
    return Response((_STATIC / name).read_bytes(), headers=_HEADERS, media_type=_PARTS[name])


async def healthz(_request: Request) -> Response:
    """`GET /healthz`: the process lives."""
    return PlainTextResponse("ok\n")


ROUTES = [Route("/", page), *(Route(f"/{name}", part) for name in _PARTS), Route("/healthz", healthz)]


async def _sign_in(request: Request, token: str) -> Response:
    """Use a link up.

    The answer is a page that goes on by itself, and not a redirect: a browser that came from another site would not send a strict
    cookie with the redirected request.
    """
    access = access_of(request)
    access.refuse_many_tries()
    try:
        secret = await run_in_threadpool(access.sign_in, token)
    except StoreUnavailable:
        return _away()
    if secret is None:
        access.note_failure()
        return _html("signed_out.html", 401)
    answer = _html("signing_in.html")
    answer.headers["set-cookie"] = session_cookie(request, secret)
    return answer


def _html(name: str, status: int = 200) -> Response:
    return Response((_STATIC / name).read_bytes(), status, _HEADERS, media_type="text/html")


def _away() -> Response:
    return PlainTextResponse(
        "The store is away, so sign-in cannot be checked. Calls are still passed on and kept.\n", 503, _HEADERS
    )
