"""Errors of the admin API: `application/problem+json` (RFC 9457), each with what would be right."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

LARGEST_BODY = 64 * 1024
_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Wrong content type",
    429: "Too many tries",
    500: "A bug of ours",
    503: "Not available now",
}


class Problem(Exception):
    """What a request of the admin API is answered with when it cannot be done.

    `more` is added to the answer; `retry_after` in it, in seconds, is a header too.
    """

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        """Keep it; `detail` is one sentence for whoever asked."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.more = more

    def response(self) -> Response:
        """Return the answer."""
        body = {"type": "about:blank", "title": _TITLES[self.status], "status": self.status, "detail": self.detail, **self.more}
        headers = {"www-authenticate": 'Bearer realm="faregate"'} if self.status == 401 else {}  # noqa: PLR2004
        if "retry_after" in self.more:
            headers["retry-after"] = str(self.more["retry_after"])
        return Response(json.dumps(body), self.status, headers, media_type="application/problem+json")


async def answer_problem(_request: Request, problem: Exception) -> Response:
    """Answer a `Problem` that a route raised."""
    if not isinstance(problem, Problem):  # pragma: no cover - Starlette's signature is wider than what it calls this for
        raise problem
    return problem.response()


def refuse_unknown(names: Iterable[str], known: Iterable[str], kind: str) -> None:
    """Refuse names that nothing would be done with.

    Raises:
        Problem: there is one; it names the nearest that is known.

    """
    known = sorted(known)
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            advice = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known) or 'none'}."
            raise Problem(400, f"There is no {kind} `{name[:80]}`; {advice}", parameter=name[:80])


async def json_object(request: Request, known: Iterable[str], largest: int = LARGEST_BODY) -> Mapping[str, Any]:
    """Return the request's body, a JSON object with known fields only; no body is an empty one. `largest` is in bytes.

    Raises:
        Problem: it is something else.

    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > largest:
            raise Problem(413, f"The body is larger than {largest} bytes.")
    if not body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "Send JSON, with `content-type: application/json`.")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise Problem(400, "The body must be a JSON object.")
    refuse_unknown(value, known, "field")
    return value
