"""From a call to the span that is stored and shown: labels, times, attempts, sizes, and as much of the content as may be kept."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from domain.calls import Call, CallError
from domain.exchange import Capture, Closing, Exchange, Labels, Opening
from domain.ids import span_id_for, trace_id_for
from domain.prices import Cost
from domain.spans import Content, ContentState, Span
from recorder.fitting import fitted
from recorder.parameters import parameters_of
from recorder.profiles import STANDARD, Redaction
from recorder.redaction import CannotRedact

# Looking at what there is, and counting tokens, is free at every provider; what a batch costs is on its results.
NEVER_BILLED = frozenset(
    {
        *(
            "models",
            "files",
            "batches",
            "count_tokens",
            "chat.list",
            "chat.retrieve",
            "chat.messages",
            "chat.update",
            "chat.delete",
        ),
        *("responses.input_tokens", "responses.delete", "responses.input_items"),
    }
)
SIMULATED = "sim"
FIRST_ERROR = 400
Price = Callable[[Exchange, Call, str], Cost]
_CAPTURES: tuple[Capture, ...] = ("full", "redacted", "none")
_NAMES = ("session", "run", "section", "customer", "user", "env", "release", "prompt")
_TRACE_ID = re.compile("(?!0{32})[0-9a-f]{32}")


def record_of(  # noqa: PLR0913 - the call, and what is to become of it
    exchange: Exchange,
    call: Call,
    *,
    capture: Capture = "full",
    price: Price | None = None,
    redaction: Redaction = STANDARD,
    key: bytes = b"",
) -> tuple[Span, Content | None]:
    """Return the span of a call and its content, both without what may not be kept.

    `capture` is the setting; the exchange's own may only be stricter. Content is None where nothing of it is kept. `price` says what a
    call that was sent costs; without one it is what the provider reported, or unknown. `redaction` says what is taken out of a content that
    is kept redacted, and `key` is for what is hashed there.
    """
    own = exchange.opening.capture
    strictest = capture if own == capture else max(capture, own, key=_CAPTURES.index)
    span = span_of(exchange, call, price)
    content = content_of(exchange, call)
    if strictest == "full":
        return span, content
    try:
        return fitted(span, content, mode=strictest, profile=(), key=key, policy=redaction, labels=False)
    except CannotRedact as error:
        bare, _ = fitted(span, None, mode="none", profile=(), key=key, policy=replace(redaction, outside=None), labels=False)
        return replace(bare, notes=(*bare.notes, f"content is not kept, since it could not be redacted: {error}")), None


def span_of(exchange: Exchange, call: Call, price: Price | None = None) -> Span:
    """Return the span of a call, as if everything might be kept."""
    opening, closing = exchange.opening, exchange.closing
    labels = _labels(opening.labels, call.body_labels)
    upstream = _served_by(exchange)
    call = _as_sent(call, closing)
    cost = _cost(exchange, call, upstream, price)
    return Span(
        id=opening.id,
        trace_id=labels.trace_id or (trace_id_for(opening.project, labels.run) if labels.run else opening.id),
        span_id=span_id_for(opening.id),
        parent_span_id=labels.parent_span_id,
        project=opening.project,
        key=opening.key,
        key_name=opening.key_name,
        operation=call.operation,
        method=opening.method,
        path=opening.path,
        upstream=upstream,
        model=_model(call.model, exchange.opening),
        served_model=call.served_model,
        stream=call.stream,
        outcome=call.outcome,
        status=None if closing is None else closing.status,
        error=_error(call, closing),
        started_at=opening.at,
        latency_ms=None if closing is None else max(closing.at - opening.at, 0) / 1e6,
        time_to_first_chunk_ms=_first_chunk_ms(call, closing),
        chunk_gap_mean_ms=_ms(call.chunk_gap_mean_us),
        chunk_gap_max_ms=_ms(call.chunk_gap_max_us),
        overhead_ms=None if closing is None else _ms(closing.overhead_us),
        usage=call.usage,
        cost=cost.pico,
        cost_status=cost.status,
        price_ref=cost.ref,
        labels=labels,
        attempts=() if closing is None else closing.attempts,
        tool_calls=call.tool_calls,
        finish_reasons=call.finish_reasons,
        request_bytes=len(exchange.request) if closing is None else closing.request_bytes,
        response_bytes=len(exchange.response) if closing is None else closing.response_bytes,
        content=_content_state(closing),
        changes=() if closing is None else closing.changes,
        notes=_notes(exchange, call, labels) + cost.notes,
        cost_lines=cost.lines,
        response_id=call.response_id,
        decisions=tuple(opening.decisions),
        mirror_of=opening.mirror_of,
        params=parameters_of(call.input),
    )


def content_of(exchange: Exchange, call: Call) -> Content:
    """Return everything that was recorded of the bodies."""
    closing = exchange.closing
    return Content(
        request_headers=() if closing is None else closing.request_headers,
        response_headers=() if closing is None else (*closing.response_headers, *closing.response_trailers),
        request=exchange.request,
        response=exchange.response,
        input=call.input,
        output=call.output,
        marks=b"" if closing is None else closing.marks,
        input_is_body=call.input_is_body,
        output_is_body=call.output_is_body,
    )


def _as_sent(call: Call, closing: Closing | None) -> Call:
    """Return a call whose answer does not say which model it is from with the one that a route asked for: that is what it costs."""
    sent = closing.attempts[-1].model if closing is not None and closing.attempts else None
    return call if sent is None or call.served_model is not None else replace(call, served_model=sent)


def _model(said: str | None, opening: Opening) -> str | None:
    """Return the model that was asked for, without the `upstream/` in front that only said where to go."""
    if said is not None and opening.model is not None and said.endswith(f"/{opening.model}"):
        return opening.model
    return said or opening.model


def _labels(own: Labels, said: Mapping[str, str]) -> Labels:
    """Fill what `own` leaves open from what the body says; a name that is no label of ours is a tag."""
    if not said:
        return own
    missing: dict[str, Any] = {name: said[name] for name in _NAMES if said.get(name) and getattr(own, name) is None}
    tags = {name.removeprefix("tag."): value for name, value in said.items() if name not in _NAMES}
    trace = tags.get("trace", "").replace("-", "").lower()
    if own.trace_id is None and _TRACE_ID.fullmatch(trace):
        missing["trace_id"] = trace
    return replace(own, **missing, tags={**tags, **own.tags}) if missing or tags else own


def _served_by(exchange: Exchange) -> str:
    """Return the upstream that answered: the last one tried, where any was."""
    attempts = exchange.closing.attempts if exchange.closing else ()
    return attempts[-1].upstream if attempts else exchange.opening.upstream


def _error(call: Call, closing: Closing | None) -> CallError | None:
    if call.error is not None or closing is None or closing.error is None:
        return call.error
    return CallError(closing.error.type, closing.error.code, closing.error.message)


def _cost(exchange: Exchange, call: Call, upstream: str, price: Price | None) -> Cost:
    """Return what a call cost: nothing where nothing was sent, or the provider refused it; what is not known is unknown, not free."""
    if not _billable(exchange, call):
        return Cost("none")
    cost = None if price is None else price(exchange, call, upstream)
    if upstream == SIMULATED:
        # Free, unless the operator gave it a price of his own: to try budgets out without an account.
        return cost if cost is not None and cost.pico is not None else Cost("free", 0)
    if cost is not None:
        return cost
    reported = None if call.usage is None else call.usage.reported_cost
    return Cost("unknown") if reported is None else Cost("reported", reported)


def _billable(exchange: Exchange, call: Call) -> bool:
    """Tell whether a call can cost anything: no provider charges for an answer that is an error."""
    closing = exchange.closing
    if call.usage is not None:
        return True
    if call.operation in NEVER_BILLED:
        return False
    if closing is None:
        return True
    if closing.ending == "complete":
        return (closing.status or 0) < FIRST_ERROR
    if closing.ending == "failed" and closing.attempts and all((one.status or 0) >= FIRST_ERROR for one in closing.attempts):
        # Every try was turned down, and one more was not made: a budget had no room for it, say.
        return False
    return closing.ending != "refused" and (closing.ending not in {"failed", "client_gone"} or closing.sent_us is not None)


def _first_chunk_ms(call: Call, closing: Closing | None) -> float | None:
    if call.first_chunk_us is not None:
        return call.first_chunk_us / 1000
    return None if closing is None else _ms(closing.first_byte_us)


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


def _content_state(closing: Closing | None) -> ContentState:
    return "cut" if closing is not None and (closing.request_cut or closing.response_cut) else "full"


def _notes(exchange: Exchange, call: Call, labels: Labels) -> tuple[str, ...]:
    closing = exchange.closing
    notes = list(call.notes)
    if labels.shortened:
        notes.append(f"labels shortened: {', '.join(labels.shortened)}")
    if closing is not None and closing.withheld:
        notes.append(f"{closing.withheld} bytes of usage were withheld from the app, which had not asked for them")
    if closing is not None and closing.request_cut:
        notes.append(f"request stored up to byte {len(exchange.request)} of {closing.request_bytes}")
    if closing is not None and closing.response_cut:
        notes.append(f"response stored up to byte {len(exchange.response)} of {closing.response_bytes}")
    return tuple(notes)
