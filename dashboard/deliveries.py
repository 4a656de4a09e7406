"""Deliveries: lists of them, those of one call, what was sent, and sending again or giving up what is dead."""

import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.delivery_json import brief_json, delivery_json
from dashboard.delivery_search import Chosen, chosen_of, listing_of, matching
from dashboard.destination_desk import DestinationDesk
from dashboard.destinations import configured_name, desk_of, known_name, taking_calls
from dashboard.problems import Problem, json_object, refuse_unknown
from domain.destinations import DeliveryFailed
from domain.spans import Span
from storage.deliveries import DeliveryRecord
from storage.spans import SpanStore

LARGEST_SHOWN = 4 * 2**20
_FIELDS = ("destination", "kind", "where", "from", "to", "ids", "state", "cursor")


async def list_deliveries(request: Request) -> Response:
    """`GET /api/v1/deliveries`: the newest first."""
    desk = desk_of(request)
    asked = listing_of(request.query_params, desk.now())
    if asked.listing.destination is not None:
        await run_in_threadpool(known_name, desk, asked.listing.destination)
    try:
        found = await run_in_threadpool(matching, desk, asked, time.monotonic() + desk.patience)
    except ValueError as error:
        raise Problem(400, f"{error}.", parameter="cursor") from None
    return JSONResponse({"deliveries": [delivery_json(one) for one in found.records], "next_cursor": found.next_cursor})


async def retry_deliveries(request: Request) -> Response:
    """`POST /api/v1/deliveries/retry`: send again what is dead, all of a destination or what the fields choose."""
    desk = desk_of(request)
    chosen = chosen_of(await json_object(request, _FIELDS), desk.now(), states=("dead",))
    configured_name(desk, chosen.destination)
    count, cursor = await run_in_threadpool(_each, desk, chosen, _retry)
    if count:
        await run_in_threadpool(desk.courier.retry, chosen.destination)
    return JSONResponse({"retried": count, "next_cursor": cursor})


async def discard_deliveries(request: Request) -> Response:
    """`POST /api/v1/deliveries/discard`: give up what is dead, or with `state` what is pending. It stays counted as dead."""
    desk = desk_of(request)
    chosen = chosen_of(await json_object(request, _FIELDS), desk.now(), states=("dead", "pending"))
    await run_in_threadpool(known_name, desk, chosen.destination)
    count, cursor = await run_in_threadpool(_each, desk, chosen, _discard)
    return JSONResponse({"discarded": count, "next_cursor": cursor})


async def deliveries_of_call(request: Request) -> Response:
    """`GET /api/v1/calls/{id}/deliveries`: where the span was sent, with the last attempts."""
    span = await _span(request)
    desk: DestinationDesk | None = request.app.state.destinations
    records = [] if desk is None else await run_in_threadpool(desk.store.of_call, span.id)
    return JSONResponse({"id": span.id, "deliveries": [delivery_json(one) for one in records]})


async def payload_of(request: Request) -> Response:
    """`GET /api/v1/calls/{id}/deliveries/{destination}/payload`: what was sent of this call, or is going to be."""
    span = await _span(request)
    return JSONResponse(await run_in_threadpool(_payload_json, desk_of(request), span, request.path_params["destination"]))


async def send_again(request: Request) -> Response:
    """`POST /api/v1/calls/{id}/deliveries/{destination}/send`: send this call to a destination, again or for the first time."""
    await json_object(request, ())
    desk, span = desk_of(request), await _span(request)
    name = taking_calls(desk, request.path_params["destination"])
    return JSONResponse(await run_in_threadpool(_send_again, desk, span, name))


ROUTES = [
    Route("/api/v1/deliveries", list_deliveries),
    Route("/api/v1/deliveries/retry", retry_deliveries, methods=["POST"]),
    Route("/api/v1/deliveries/discard", discard_deliveries, methods=["POST"]),
    Route("/api/v1/calls/{id}/deliveries", deliveries_of_call),
    Route("/api/v1/calls/{id}/deliveries/{destination}/payload", payload_of),
    Route("/api/v1/calls/{id}/deliveries/{destination}/send", send_again, methods=["POST"]),
]


def briefs(desk: DestinationDesk | None, ids: Sequence[str]) -> Mapping[str, list[dict[str, Any]]]:
    """Return the deliveries of calls as their JSON has them, by id. One question to the store for all.

    Raises:
        StoreUnavailable: the store is away.

    """
    if desk is None or not ids:
        return {}
    return {id_: [brief_json(one) for one in records] for id_, records in desk.store.of_calls(ids).items()}


async def _span(request: Request) -> Span:
    refuse_unknown(request.query_params, (), "parameter")
    store: SpanStore = request.app.state.spans
    span: Span | None = await run_in_threadpool(store.span, request.path_params["id"].replace("-", "").lower())
    if span is None:
        raise Problem(404, "There is no call with this id; it may have been deleted for its age, or not be recorded yet.")
    return span


def _each(desk: DestinationDesk, chosen: Chosen, change: Any) -> tuple[int, str | None]:
    """Change what is chosen, page by page for as long as one request may take; return how many, and where to go on.

    The list is walked from one end to the other, so that what dies again meanwhile is not chosen again.
    """
    end = time.monotonic() + desk.patience
    if chosen.ids is not None:
        return change(desk, chosen, chosen.ids), None
    count, cursor = 0, chosen.cursor
    while True:
        try:
            page = matching(desk, chosen.search(cursor), end)
        except ValueError as error:
            raise Problem(400, f"{error}.", parameter="cursor") from None
        ids = [id_ for one in page.records if (id_ := one.call_id or one.event_id)]
        count += change(desk, chosen, ids) if ids else 0
        cursor = page.next_cursor
        if cursor is None or time.monotonic() > end:
            return count, cursor


def _retry(desk: DestinationDesk, chosen: Chosen, ids: Sequence[str]) -> int:
    return desk.store.retry_dead(chosen.destination, ids=ids)


def _discard(desk: DestinationDesk, chosen: Chosen, ids: Sequence[str]) -> int:
    return desk.store.discard(chosen.destination, state="pending" if chosen.state == "pending" else "dead", ids=ids)


def _record(desk: DestinationDesk, span: Span, name: str) -> DeliveryRecord | None:
    return next((one for one in desk.store.of_call(span.id) if one.destination == name), None)


def _payload_json(desk: DestinationDesk, span: Span, name: str) -> dict[str, Any]:
    record = _record(desk, span, known_name(desk, name))
    if record is None:
        raise Problem(404, f"This call was never owed to `{name[:80]}`.")
    kept = desk.store.payload(span.id, name) if record.state == "dead" else None
    if kept is not None:
        content_type, body = kept
        note = "This is what was sent of this call, as it was kept when it died; the beginning of it, where it was long."
        return shown_payload("kept", note, content_type, body)
    return _encoded_json(desk, span, record)


def _encoded_json(desk: DestinationDesk, span: Span, record: DeliveryRecord) -> dict[str, Any]:
    if record.destination not in desk.configured:
        raise Problem(409, "The settings do not have this destination any more, so nothing can say what is sent to it.")
    if record.owed is None:
        raise Problem(409, "The terms that this call was owed on cannot be read, so nothing can say what is sent of it.")
    try:
        payload = desk.courier.encoded(record.destination, span, desk.spans.content(span.id), record.owed)
    except (ValueError, DeliveryFailed) as error:
        raise Problem(409, f"This call cannot be encoded for the destination: {error}") from None
    note = (
        "This is made anew from the record, with the settings of now; it stood together with other calls in one request, perhaps."
    )
    return shown_payload("encoded", note, payload.content_type, payload.body)


def shown_payload(source: str, note: str, content_type: str, body: bytes) -> dict[str, Any]:
    """Return a payload as JSON: text where it is text, base64 where it is not."""
    shown = body[:LARGEST_SHOWN]
    try:
        text, form = shown.decode(), "text"
    except UnicodeDecodeError:
        text, form = b64encode(shown).decode(), "base64"
    cut = len(shown) < len(body)
    return {
        "source": source,
        "note": note,
        "content_type": content_type,
        "bytes": len(body),
        "cut": cut,
        "form": form,
        "body": text,
    }


def _send_again(desk: DestinationDesk, span: Span, name: str) -> dict[str, Any]:
    owed = desk.owed_for(span, name)
    if owed is None:
        raise Problem(409, "A rule with `drop` keeps this call from every destination; `faregate rules test` says which.")
    record = _record(desk, span, name)
    if record is not None and record.state == "dead":
        desk.store.retry_dead(name, ids=[span.id])
    elif record is None or record.state == "delivered":
        # What it was owed on before holds, and what rules say now where there is nothing before.
        desk.store.replay(name, [span.id], owed if record is None or record.owed is None else record.owed)
    desk.courier.retry(name)
    record = _record(desk, span, name)
    return {"id": span.id, "delivery": None if record is None else delivery_json(record)}
