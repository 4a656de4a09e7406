import gzip
import json
import struct

import msgspec
import pytest

from domain.calls import CallError
from domain.exchange import Exchange, OwnError
from recorder.apis import Api, Reading, api_for
from recorder.interpret import _read, call_of
from tests.recorder.exchanges import closing, opening
from tests.recorder.golden_cases import JSON, SSE, chunk, exchange, sse

# outcomes


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "ok"),
        ({"status": 400}, "error"),
        ({"status": 500, "ending": "client_gone"}, "error"),
        ({"ending": "client_gone"}, "cancelled"),
        ({"ending": "upstream_cut"}, "error"),
        ({"ending": "failed", "status": None}, "error"),
        ({"ending": "refused", "status": 429}, "denied"),
        ({"closed": False}, "interrupted"),
    ],
)
def test_the_outcome_follows_from_how_the_call_ended(changes, outcome):
    assert call_of(exchange(b'{"model":"m"}', b"", **changes)).outcome == outcome


def test_our_own_error_is_the_calls_error():
    own = OwnError("insufficient_quota", "budget_exceeded", "The budget is used up.")
    body = b'{"error":{"message":"x","type":"y","code":"z"}}'

    call = call_of(exchange(b'{"model":"m","stream":true}', body, ending="refused", status=429, error=own))

    assert call.error == CallError("insufficient_quota", "budget_exceeded", "The budget is used up.")
    assert (call.outcome, call.model, call.stream) == ("denied", "m", True)


def test_an_upstream_that_breaks_off_is_an_error_even_without_words():
    assert call_of(exchange(ending="failed", status=None)).error.code == "upstream_unavailable"


def test_an_interrupted_stream_is_known_without_headers():
    call = call_of(exchange(b'{"model":"m"}', sse(chunk({"content": "Hi"}))[:-14], closed=False))

    assert (call.outcome, call.stream, call.output["choices"][0]["message"]["content"]) == ("interrupted", True, "Hi")


# times


def test_chunks_are_timed_by_the_reads_that_brought_them():
    body = sse(chunk({"content": "a"}), chunk({"content": "b"}), chunk({}, "stop"))
    first = body.index(b"\n\n") + 2
    second = body.index(b"\n\n", first) + 2
    marks = struct.pack("<6I", 1_000, first, 5_000, second, 6_000, len(body))

    call = call_of(exchange(b"{}", body, response_headers=SSE, marks=marks))

    assert (call.chunks, call.first_chunk_us, call.chunk_gap_mean_us, call.chunk_gap_max_us) == (3, 1_000, 2_500.0, 4_000)


def test_a_packed_stream_is_timed_by_its_reads():
    body = gzip.compress(sse(chunk({"content": "Hi"})))
    marks = struct.pack("<4I", 1_000, 10, 3_000, len(body))
    headers = (*SSE, ("Content-Encoding", "gzip"))

    call = call_of(exchange(b"{}", body, response_headers=headers, marks=marks))

    assert call.output["choices"][0]["message"]["content"] == "Hi"
    assert (call.chunks, call.first_chunk_us, call.chunk_gap_max_us) == (2, 1_000, 2_000)


def test_an_answer_that_is_no_stream_has_no_chunks():
    call = call_of(exchange(b"{}", b'{"id":"x"}', marks=struct.pack("<2I", 1, 10)))

    assert (call.chunks, call.first_chunk_us) == (0, None)


# what is kept


def test_a_packed_request_is_read():
    end = closing(request_headers=(("content-type", "application/json"), ("content-encoding", "gzip")))

    call = call_of(Exchange(opening(), end, gzip.compress(b'{"model":"m","user":"u"}'), b"{}"))

    assert (call.model, call.body_labels) == ("m", {"user": "u"})


def test_a_bomb_is_recorded_in_bounded_space():
    bomb = gzip.compress(b"\0" * 2**26)

    call = call_of(exchange(b"{}", bomb, response_headers=(*JSON, ("content-encoding", "gzip"))))

    assert call.outcome == "ok"
    assert "the answer could be unpacked in part only" in call.notes
    assert len(msgspec.json.encode(call.output)) < 2**20


def test_pictures_in_the_request_are_described():
    url = "data:image/png;base64," + "A" * 4_000
    request = {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}

    call = call_of(exchange(json.dumps(request).encode(), b"{}"))

    kept = call.input["messages"][0]["content"][0]["image_url"]["url"]
    assert kept == {"type": "binary", "bytes": 3_000, "content_type": "image/png"}


def test_long_lists_of_probabilities_are_left_out():
    token = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    body = sse(
        *[chunk({"content": "a"}) | {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [token]}}]}]
        * 600
    )

    call = call_of(exchange(b"{}", body, response_headers=SSE))

    assert call.output["choices"][0]["logprobs"]["content"] == {"type": "left out", "tokens": 600}


def test_cut_copies_are_noted():
    call = call_of(exchange(b'{"model":"m', b'{"id"', request_cut=True, response_cut=True))

    assert call.notes == ("the copy of the request was cut", "the copy of the answer was cut")
    assert call.output == '{"id"'


def test_a_form_is_the_input():
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm1\r\n--b--'
    end = closing(request_headers=(("Content-Type", "multipart/form-data; boundary=b"),))

    call = call_of(Exchange(opening(path="/v1/new"), end, form, b"{}"))

    assert (call.model, call.input) == ("m1", {"model": "m1"})


def test_unknown_delta_fields_survive():
    body = sse(
        chunk({"content": "a", "novel": "x", "many": [1], "deep": {"t": "p"}}),
        chunk({"novel": "y", "many": [2], "deep": {"t": "q"}, "n": 3}),
    )

    message = call_of(exchange(b"{}", body, response_headers=SSE)).output["choices"][0]["message"]

    assert message == {"content": "a", "novel": "xy", "many": [1, 2], "deep": {"t": "pq"}, "n": 3}


# paths


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/chat/completions", "chat"),
        ("POST", "/chat/completions", "chat"),
        ("POST", "chat/completions", "chat"),
        ("POST", "/openai/v1/chat/completions", "chat"),
        ("POST", "/api/v1/chat/completions", "chat"),
        ("POST", "/openai/deployments/x/chat/completions", "chat"),
        ("POST", "/v1/completions", "text_completion"),
        ("POST", "/v1/mychat/xcompletions", "unknown"),
        ("GET", "/v1/responses/r/input_items", "responses.input_items"),
        ("POST", "/v1/responses/r/cancel", "responses.cancel"),
        ("DELETE", "/v1/responses/r", "responses.delete"),
        ("GET", "/v1/models/openai/gpt-4o", "models"),
        ("PATCH", "/v1/chat/completions", "unknown"),
    ],
)
def test_an_api_is_known_by_the_end_of_its_path(method, path, operation):
    assert api_for("openai", method, path).operation == operation


def test_an_api_of_another_dialect_is_known_too():
    assert api_for("anthropic", "POST", "/v1/chat/completions").operation == "chat"


def test_query_and_slash_at_the_end_do_not_matter():
    call = call_of(exchange(b"{}", b"{}", path="/v1/chat/completions/?api-version=1"))

    assert call.operation == "chat"


def test_a_reader_that_fails_costs_the_call_its_meaning_only():
    def fails(reading):
        raise KeyError(reading.path)

    reading = Reading(
        exchange(b'{"model":"m"}', b'{"a":1}'), "odd", "/v1/odd", "", 200, "", {"model": "m"}, {}, {"a": 1}, b'{"a":1}'
    )

    call = _read(reading, Api("odd", "odd", fails))

    assert (call.operation, call.model, call.output) == ("odd", "m", {"a": 1})
    assert call.notes == ("could not be read as odd: KeyError",)


def test_what_cannot_even_be_unpacked_is_recorded():
    call = call_of(exchange(b'{"model":"m"}', b"{}", response_headers=((None, None),)))

    assert (call.operation, call.outcome, call.notes) == ("chat", "ok", ("could not be read: TypeError",))


# what need not be stored beside the bodies

ANSWER = {"id": "c1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}


@pytest.mark.parametrize(
    ("request_body", "answer", "is_body"),
    [
        (b'{"model": "m"}', json.dumps(ANSWER, indent=2).encode(), (True, True)),
        (b"\xef\xbb\xbf" + b'{"model":"m"}', json.dumps(ANSWER).replace("Hi", "\\ud800").encode(), (False, False)),
        (
            json.dumps({"model": "m", "picture": "data:image/png;base64," + "A" * 3000}).encode(),
            json.dumps({**ANSWER, "more": "data:image/png;base64," + "A" * 3000}).encode(),
            (False, False),
        ),
        (
            b'{"model":"m"}',
            json.dumps({"choices": [{"index": 0, "logprobs": {"content": [0] * 1000}}]}).encode(),
            (True, False),
        ),
        (
            b'{"model":"m"}',
            json.dumps({"choices": [{"index": 0, "message": {"audio": {"data": "AAAA"}}}]}).encode(),
            (True, False),
        ),
    ],
)
def test_a_value_is_called_that_of_its_body_only_if_nothing_was_done_to_it(request_body, answer, is_body):
    call = call_of(exchange(request_body, answer))

    assert (call.input_is_body, call.output_is_body) == is_body
    if call.output_is_body:
        assert (call.input, call.output) == (json.loads(request_body), json.loads(answer))


def test_what_was_within_gzip_or_streamed_is_not_called_the_bodys():
    packed = gzip.compress(json.dumps(ANSWER).encode())
    unpacked = call_of(exchange(b'{"model":"m"}', packed, response_headers=(("content-encoding", "gzip"),)))
    streamed = call_of(exchange(b'{"model":"m"}', sse(chunk({"content": "Hi"})), response_headers=SSE))

    assert unpacked.output == ANSWER
    assert not unpacked.output_is_body
    assert not streamed.output_is_body
