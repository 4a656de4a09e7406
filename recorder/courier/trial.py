"""A call that never was, to try a destination with: clearly marked, and like a real one in everything else."""

from domain.calls import Usage
from domain.events import Event
from domain.exchange import Attempt, Labels
from domain.ids import new_id, span_id_for
from domain.spans import Content, Span

TAG = "faregate.test"
_MODEL = "faregate-test"
_TEXT = "This is a test call of Faregate's. No model was asked."


def trial_span(now: int) -> tuple[Span, Content]:
    """Return a call that ended just now (`now`: Unix nanoseconds), and its bodies."""
    id_ = new_id(now)
    given = {"model": _MODEL, "messages": [{"role": "user", "content": "Is this destination reached?"}]}
    message = {"role": "assistant", "content": _TEXT}
    answered = {
        "object": "chat.completion",
        "model": _MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    began = now - 250_000_000
    span = Span(
        id=id_,
        trace_id=id_,
        span_id=span_id_for(id_),
        parent_span_id=None,
        project="default",
        key="",
        key_name=TAG,
        operation="chat",
        method="POST",
        path="/v1/chat/completions",
        upstream="sim",
        model=_MODEL,
        served_model=_MODEL,
        stream=False,
        outcome="ok",
        status=200,
        error=None,
        started_at=began,
        latency_ms=250.0,
        time_to_first_chunk_ms=100.0,
        chunk_gap_mean_ms=None,
        chunk_gap_max_ms=None,
        overhead_ms=0.0,
        usage=Usage(input_tokens=10, output_tokens=12),
        cost=0,
        cost_status="free",
        price_ref=None,
        labels=Labels(session=TAG, tags={TAG: "true"}),
        attempts=(Attempt("sim", "", began, 200, 100_000),),
        tool_calls=(),
        finish_reasons=("stop",),
        request_bytes=0,
        response_bytes=0,
        content="full",
        notes=("a test of a destination: no model was asked",),
    )
    return span, Content(input=given, output=answered)


def trial_event(now: int, destination: str) -> Event:
    """Return an event that says that it is a test."""
    message = f"This is a test of the destination {destination!r}. Nothing happened."
    return Event(f"destination.test:{new_id(now)}", "destination.test", now, "info", destination, message, {TAG: True})
