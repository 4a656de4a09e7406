"""Recorded calls: lists, one call, its bodies, and how it was routed. Their deliveries are in `deliveries`."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.deliveries import briefs
from dashboard.problems import Problem, refuse_unknown
from dashboard.queries import CallSearch, call_search
from domain.spans import Content, Span, as_json
from storage.spans import CallQuery, Page, SpanStore

# How much one request may look at to find what meets its condition; beyond it, the answer is what was found, and a cursor.
MOST_SCANNED, LONGEST_SCAN, STEP = 20_000, 2.0, 200
_BODY_TYPES = ("application/json", "text/", "application/x-ndjson", "application/problem+json")


@dataclass(frozen=True, slots=True)
class Found:
    """Part of a list. `scanned` says how many calls were looked at."""

    spans: list[Span]
    next_cursor: str | None
    scanned: int


def search(store: SpanStore, asked: CallSearch, deadline: float) -> Found:
    """Return the calls that were asked for, newest first, within bounds of rows and time (`time.monotonic`).

    Raises:
        ValueError: the cursor is not one of ours.

    """
    if asked.where is None:
        page = store.calls(asked.query)
        return Found(page.spans, page.next_cursor, len(page.spans))
    found: list[Span] = []
    scanned = 0
    query = replace(asked.query, limit=STEP)
    while True:
        page = store.calls(query)
        matching = [index for index, span in enumerate(page.spans) if asked.where.matches(span)]
        wanted = asked.query.limit - len(found)
        if len(matching) >= wanted:
            last = matching[wanted - 1] + 1
            found += [page.spans[index] for index in matching[:wanted]]
            return Found(found, _cursor_after(store, query, page, last), scanned + last)
        found += [page.spans[index] for index in matching]
        scanned += len(page.spans)
        if page.next_cursor is None or scanned >= MOST_SCANNED or time.monotonic() > deadline:
            return Found(found, page.next_cursor, scanned)
        query = replace(query, cursor=page.next_cursor)


def _cursor_after(store: SpanStore, query: CallQuery, page: Page, count: int) -> str | None:
    """Return the cursor behind the first `count` calls of a page.

    The same page is asked for again, that long. A call that was saved in the meantime may push it by a place: a call is then listed
    twice rather than passed by.
    """
    if count == len(page.spans):
        return page.next_cursor
    return store.calls(replace(query, limit=count)).next_cursor


async def list_calls(request: Request) -> Response:
    """`GET /api/v1/calls`."""
    asked = call_search(request.query_params, time.time())
    try:
        found = await run_in_threadpool(search, _store(request), asked, time.monotonic() + LONGEST_SCAN)
    except ValueError as error:
        raise Problem(400, str(error), parameter="cursor") from None
    delivered = await run_in_threadpool(_deliveries, request, found.spans)
    listed = [as_json(span) | {"deliveries": delivered.get(span.id, [])} for span in found.spans]
    body: dict[str, Any] = {"calls": listed, "next_cursor": found.next_cursor}
    return JSONResponse(body | {"scanned": found.scanned} if asked.where else body)


async def one_call(request: Request) -> Response:
    """`GET /api/v1/calls/{id}`: the call, and what it meant as JSON values."""
    span = await _span(request)
    content = await run_in_threadpool(_store(request).content, span.id)
    delivered = await run_in_threadpool(_deliveries, request, [span])
    return JSONResponse(as_json(span) | {"deliveries": delivered.get(span.id, [])} | _content_json(span, content))


async def body_of_request(request: Request) -> Response:
    """`GET /api/v1/calls/{id}/request`: the recorded bytes."""
    span, content = await _content(request)
    return _attachment(content.request, content.request_headers, f"{span.id}-request")


async def body_of_response(request: Request) -> Response:
    """`GET /api/v1/calls/{id}/response`: the recorded bytes, still compressed if they were."""
    span, content = await _content(request)
    return _attachment(content.response, content.response_headers, f"{span.id}-response")


async def routing_of(request: Request) -> Response:
    """`GET /api/v1/calls/{id}/routing`: what was tried, what was changed, and why."""
    span = await _span(request)
    call = as_json(span)
    why = [_why(attempt) for attempt in call["attempts"]] or ["nothing was sent upstream"]
    return JSONResponse(
        {
            "id": span.id,
            "upstream": span.upstream,
            "model": span.model,
            "served_model": span.served_model,
            "attempts": call["attempts"],
            "changes": call["changes"],
            "rules": call["rules"],
            "why": why,
            "notes": call["notes"],
        }
    )


ROUTES = [
    Route("/api/v1/calls", list_calls),
    Route("/api/v1/calls/{id}", one_call),
    Route("/api/v1/calls/{id}/request", body_of_request),
    Route("/api/v1/calls/{id}/response", body_of_response),
    Route("/api/v1/calls/{id}/routing", routing_of),
]


def _why(attempt: Mapping[str, Any]) -> str:
    place = f"{attempt['upstream']} with credential {attempt['credential']}"
    if attempt["error"]:
        return f"{place} failed: {attempt['error']}"
    return f"{place} answered {attempt['status']}" if attempt["status"] else f"{place} did not answer"


def _deliveries(request: Request, spans: Sequence[Span]) -> Mapping[str, list[dict[str, Any]]]:
    """Return the deliveries of calls by id, with one question to the store."""
    return briefs(request.app.state.destinations, [span.id for span in spans])


def _store(request: Request) -> SpanStore:
    store: SpanStore = request.app.state.spans
    return store


async def _span(request: Request) -> Span:
    refuse_unknown(request.query_params, (), "parameter")
    span = await run_in_threadpool(_store(request).span, request.path_params["id"].replace("-", "").lower())
    if span is None:
        raise Problem(404, "There is no call with this id; it may have been deleted for its age, or not be recorded yet.")
    return span


async def _content(request: Request) -> tuple[Span, Content]:
    span = await _span(request)
    content = await run_in_threadpool(_store(request).content, span.id)
    if content is None:
        raise Problem(404, _why_no_content(span), content=span.content)
    return span, content


def _why_no_content(span: Span) -> str:
    if span.content == "none":
        return "The bodies of this call were not kept: capture was `none`, by setting or by the call's own header."
    return "The bodies of this call have been deleted for their age (`record.keep_content`)."


def _content_json(span: Span, content: Content | None) -> dict[str, Any]:
    if content is None:
        return {
            "input": None,
            "output": None,
            "request_headers": None,
            "response_headers": None,
            "no_content": _why_no_content(span),
        }
    return {
        "input": content.input,
        "output": content.output,
        "request_headers": [list(header) for header in content.request_headers],
        "response_headers": [list(header) for header in content.response_headers],
        "no_content": None,
    }


def _attachment(body: bytes, headers: tuple[tuple[str, str], ...], name: str) -> Response:
    """Return recorded bytes as a download. What a browser might run is not given as what it is."""
    said = {header.lower(): value for header, value in headers}
    media = said.get("content-type", "").partition(";")[0].strip().lower()
    encoded = said.get("content-encoding", "identity").strip().lower() != "identity"
    harmless = not encoded and media.startswith(_BODY_TYPES) and media not in {"text/html", "text/xml", "text/javascript"}
    answer = Response(body, media_type=None, headers={"content-disposition": f'attachment; filename="{name}"'})
    answer.headers["content-type"] = _plain(media) if harmless else "application/octet-stream"
    if encoded:
        answer.headers["x-recorded-encoding"] = json.dumps(said["content-encoding"])[1:-1]
    return answer


def _plain(media: str) -> str:
    return media if media.replace("/", "").replace("-", "").replace("+", "").replace(".", "").isalnum() else "text/plain"
