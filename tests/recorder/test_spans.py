"""From a call to a span."""

from dataclasses import replace

import pytest

from domain.calls import Call, CallError, ToolCall, Usage
from domain.exchange import Attempt, Exchange, Labels, OwnError
from domain.ids import span_id_for
from recorder.spans import content_of, record_of, span_of
from recorder.withholding import WITHHELD
from tests.recorder.exchanges import AT, closing, exchange, opening

CALL = Call("chat", "ok", model="gpt-4o", input={"model": "gpt-4o"}, output={"id": "x"})
CARD = "4111 1111 1111 1111"


def test_times_are_milliseconds_and_sizes_are_of_the_whole_bodies():
    span = span_of(exchange(), replace(CALL, first_chunk_us=410_200, chunk_gap_mean_us=12_100.0, chunk_gap_max_us=80_000))
    assert (span.started_at, span.latency_ms) == (AT, 1500.0)
    assert (span.time_to_first_chunk_ms, span.chunk_gap_mean_ms, span.chunk_gap_max_ms) == (410.2, 12.1, 80.0)
    assert span.overhead_ms == 0.35
    assert (span.request_bytes, span.response_bytes) == (20, 20)


def test_the_first_byte_stands_in_for_a_first_chunk_that_was_not_seen():
    assert span_of(exchange(), CALL).time_to_first_chunk_ms == 400.0


def test_a_clock_that_was_set_back_makes_no_negative_latency():
    assert span_of(exchange(end=closing(at=AT - 5)), CALL).latency_ms == 0.0


def test_an_interrupted_call_has_what_was_known_and_nothing_else():
    span = span_of(Exchange(opening(), None, b"12345", b"123"), replace(CALL, outcome="interrupted"))
    assert (span.status, span.latency_ms, span.overhead_ms, span.attempts) == (None, None, None, ())
    assert (span.request_bytes, span.response_bytes) == (5, 3)
    assert span.cost_status == "unknown"


def test_labels_of_the_body_fill_only_what_is_missing():
    own = Labels(session="mine", tags={"team": "a"})
    said = {"session": "theirs", "user": "u1", "tag.team": "b", "tag.step": "2"}
    span = span_of(exchange(labels=own), replace(CALL, body_labels=said))
    assert (span.labels.session, span.labels.user, span.labels.tags) == ("mine", "u1", {"team": "a", "step": "2"})


def test_a_trace_id_comes_from_the_labels_or_the_body_or_is_the_calls_id():
    call_id = opening().id
    plain = exchange(id=call_id)
    assert (span_of(plain, CALL).trace_id, span_of(plain, CALL).span_id) == (call_id, span_id_for(call_id))
    labels = Labels(trace_id="a" * 32, parent_span_id="b" * 16)
    span = span_of(exchange(labels=labels), replace(CALL, body_labels={"trace": "c" * 32}))
    assert (span.trace_id, span.parent_span_id) == ("a" * 32, "b" * 16)
    uuid = "018F3C6E-7B1A-7CC2-9F6E-0A1B2C3D4E5F"
    assert span_of(plain, replace(CALL, body_labels={"trace": uuid})).trace_id == uuid.replace("-", "").lower()
    odd = span_of(plain, replace(CALL, body_labels={"trace": "my-trace"}))
    assert (odd.trace_id, odd.labels.tags) == (call_id, {"trace": "my-trace"})


def test_the_upstream_is_the_last_one_tried():
    tried = (Attempt("openai", "1", AT, 429), Attempt("azure", "1", AT, 200))
    span = span_of(exchange(end=closing(attempts=tried)), CALL)
    assert (span.upstream, span.attempts) == ("azure", tried)


@pytest.mark.parametrize(
    ("end", "call", "upstream", "expected"),
    [
        (closing(), CALL, "openai", ("unknown", None)),
        (closing(), replace(CALL, usage=Usage(reported_cost=5)), "openai", ("reported", 5)),
        (closing(), replace(CALL, usage=Usage(input_tokens=5)), "openai", ("unknown", None)),
        (closing(attempts=()), CALL, "sim", ("free", 0)),
        (closing(ending="refused", attempts=(), sent_us=None), replace(CALL, outcome="denied"), "openai", ("none", None)),
        (closing(ending="failed", status=502, sent_us=None), replace(CALL, outcome="error"), "openai", ("none", None)),
        (
            closing(ending="failed", status=429, attempts=(Attempt("openai", "1", AT, 429, sent=True),)),
            replace(CALL, outcome="error"),
            "openai",
            ("none", None),
        ),
        (closing(ending="failed", status=504), replace(CALL, outcome="error"), "openai", ("unknown", None)),
        (closing(), replace(CALL, operation="models"), "openai", ("none", None)),
        (closing(), replace(CALL, operation="files"), "openai", ("none", None)),
    ],
)
def test_unknown_is_not_free_and_what_was_not_sent_costs_nothing(end, call, upstream, expected):
    span = span_of(exchange(end=end, upstream=upstream), call)
    assert (span.cost_status, span.cost) == expected


def test_our_own_error_is_the_calls_error_where_the_provider_gave_none():
    end = closing(error=OwnError("upstream_error", "upstream_timeout", "too late"))
    assert span_of(exchange(end=end), CALL).error == CallError("upstream_error", "upstream_timeout", "too late")
    theirs = CallError("t", "c", "m")
    assert span_of(exchange(end=end), replace(CALL, error=theirs)).error == theirs


def test_content_that_was_cut_says_so_and_how_much_is_there():
    end = closing(response_cut=True, response_bytes=8_000_000, request_cut=True, request_bytes=9_000)
    span = span_of(exchange(end=end), CALL)
    assert span.content == "cut"
    assert "response stored up to byte 10 of 8000000" in span.notes
    assert "request stored up to byte 18 of 9000" in span.notes


def test_what_was_withheld_and_shortened_is_noted():
    span = span_of(exchange(end=closing(withheld=77), labels=Labels(shortened=("session",))), CALL)
    assert "labels shortened: session" in span.notes
    assert any(note.startswith("77 bytes") for note in span.notes)


def test_full_content_is_stored_as_it_passed():
    one = exchange(end=closing(response_trailers=(("x-sum", "1"),), marks=b"12345678"))
    span, content = record_of(one, CALL)
    assert content == content_of(one, CALL)
    assert span.content == "full"
    assert (content.request, content.response, content.marks) == (one.request, one.response, b"12345678")
    assert content.response_headers[-1] == ("x-sum", "1")


def test_without_capture_neither_bodies_nor_arguments_are_kept():
    call = replace(CALL, tool_calls=(ToolCall("t1", "find", '{"q":"secret"}'),), error=CallError(None, None, "for x@y.org"))
    span, content = record_of(exchange(capture="none"), call)
    assert content is None
    assert span.content == "none"
    assert span.tool_calls == (ToolCall("t1", "find", ""),)
    assert span.error.message == WITHHELD


@pytest.mark.parametrize(
    ("setting", "asked", "expected"),
    [
        ("full", "redacted", "redacted"),
        ("redacted", "full", "redacted"),
        ("none", "full", "none"),
        ("full", "none", "none"),
        ("redacted", "none", "none"),
        ("full", "full", "full"),
    ],
)
def test_a_call_can_only_tighten_what_is_captured(setting, asked, expected):
    assert record_of(exchange(capture=asked), CALL, capture=setting)[0].content == expected


def test_redacted_content_has_nothing_of_what_was_masked_anywhere():
    call = replace(
        CALL,
        input={"messages": [{"content": f"pay {CARD}"}]},
        output={"choices": [{"text": "mail x@y.org"}]},
        tool_calls=(ToolCall("t1", "pay", f'{{"card":"{CARD}"}}'),),
        error=CallError(None, None, "no x@y.org"),
    )
    end = closing(request_headers=(("x-for", "x@y.org"),))
    raw = f"pay {CARD} x@y.org".encode()
    span, content = record_of(exchange(request=raw, response=b"data: x@y.\n\ndata: org\n\n", end=end, capture="redacted"), call)
    everything = repr(span) + repr(content)
    assert CARD not in everything
    assert "x@y" not in everything
    assert content.request == b'{"messages":[{"content":"pay [card]"}]}'
    assert "redacted: 2 card (0.98), 3 email (0.97)" in span.notes


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        (b"plain x@y.org", b"plain [email]"),
        (b"data: x\n\n", b""),
        (b"event: a\ndata: x\n\n", b""),
        (b"\xff\xfe", b""),
        (b"a" * 2_000_000, b""),
    ],
)
def test_a_body_that_could_not_be_read_is_kept_only_as_short_plain_text(raw, stored):
    _, content = record_of(exchange(request=raw, capture="redacted"), replace(CALL, input=None))
    assert content.request == stored


@pytest.mark.parametrize(
    ("said", "peeked", "expected"),
    [
        ("openai/gpt-4o", "gpt-4o", "gpt-4o"),
        ("meta/llama-3", "meta/llama-3", "meta/llama-3"),
        (None, "gpt-4o", "gpt-4o"),
        ("gpt-4o", None, "gpt-4o"),
        ("other", "gpt-4o", "other"),
        (None, None, None),
    ],
)
def test_the_model_is_without_the_upstream_that_was_put_in_front_of_it(said, peeked, expected):
    assert span_of(exchange(model=peeked), replace(CALL, model=said)).model == expected
