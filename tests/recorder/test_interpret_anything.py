import json
import struct

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calls import Call
from domain.exchange import Exchange
from recorder.apis import TABLE
from recorder.interpret import call_of
from tests.recorder.exchanges import closing
from tests.recorder.golden_cases import JSON, PATHS, SSE, chunk, exchange, exchange_of, sse

CASES = [exchange_of(json.loads(path.read_text())) for path in PATHS]
ROUTES = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/moderations", "/v1/x"]


@given(
    st.binary(max_size=200),
    st.binary(max_size=200),
    st.sampled_from(ROUTES),
    st.sampled_from([JSON, SSE, (), (*SSE, ("content-encoding", "gzip")), (("content-type", "audio/mpeg"),)]),
    st.binary(max_size=40),
)
def test_no_bytes_raise(request, response, path, headers, marks):
    call = call_of(exchange(request, response, path=path, response_headers=headers, marks=marks))

    assert isinstance(call, Call)
    msgspec.json.encode([call.input, call.output, call.usage])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "type",
                    "index",
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "arguments",
                    "name",
                    "usage",
                    "x_groq",
                    "error",
                    "response",
                    "output",
                    "item",
                    "part",
                    "summary",
                    "data",
                    "embedding",
                    "output_index",
                    "content_index",
                    "prompt_tokens",
                    "total_tokens",
                    "cost",
                    "text",
                    "logprobs",
                    "audio",
                    "status",
                    "action",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        None,
        "error",
        "response.output_item.added",
        "response.output_text.delta",
        "response.content_part.added",
        "response.completed",
        "response.function_call_arguments.done",
        "response.reasoning_summary_text.delta",
        "response.output_text.annotation.added",
    ]
)


@settings(max_examples=300)
@given(st.lists(st.tuples(KINDS, VALUES), max_size=5), VALUES, st.sampled_from([api.pattern for api in TABLE]))
def test_no_json_is_too_odd_to_be_read(items, request, pattern):
    body = b"".join(
        (b"" if kind is None else f"event: {kind}\n".encode())
        + b"data: "
        + json.dumps({**value, **({} if kind is None else {"type": kind})} if isinstance(value, dict) else value).encode()
        + b"\n\n"
        for kind, value in items
    )
    path = "/v1/" + pattern.replace("[^/]+", "x").replace("(?:/.+)?", "")

    streamed = call_of(exchange(json.dumps(request).encode(), body, path=path, response_headers=SSE))
    whole = call_of(exchange(json.dumps(request).encode(), json.dumps(items and items[0][1]).encode(), path=path))

    for call in (streamed, whole):
        assert not [note for note in call.notes if note.startswith("could not be read as")]
        msgspec.json.encode([call.input, call.output, call.usage])


@settings(max_examples=200)
@given(st.sampled_from(CASES), st.floats(0, 1), st.lists(st.integers(1, 400), max_size=30))
def test_any_cut_gives_a_call_and_any_split_the_same(case, where, sizes):
    cut = case.response[: int(len(case.response) * where)]

    def marked(sizes):
        ends = [min(sum(sizes[: n + 1]), len(cut)) for n in range(len(sizes))]
        return b"".join(struct.pack("<II", n, end) for n, end in enumerate(ends))

    def call(sizes):
        end = closing(status=case.closing.status, response_headers=case.closing.response_headers, marks=marked(sizes))
        return call_of(Exchange(case.opening, end, case.request, cut))

    one, other = call(sizes), call([1] * len(sizes))

    assert (one.output, one.usage, one.outcome, one.chunks) == (other.output, other.usage, other.outcome, other.chunks)
    assert not [note for note in one.notes if note.startswith("could not be read as")]


# a stream is the answer that it was

TEXT = st.text(max_size=12)
CALLS = st.lists(st.tuples(st.text(min_size=1, max_size=4), TEXT), max_size=3)


def pieces(draw, text):
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def answers(draw):
    """A message, and the deltas of a stream of it."""
    content, refusal, calls = draw(TEXT), draw(st.none() | TEXT), draw(CALLS)
    message = {"role": "assistant", "content": content, "refusal": refusal}
    deltas = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": piece} for piece in pieces(draw, content)]
    if refusal is not None:
        deltas += [{"refusal": piece} for piece in pieces(draw, refusal)]
    if calls:
        message["tool_calls"] = []
    for index, (name, arguments) in enumerate(calls):
        call = {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
        message["tool_calls"].append(call)
        deltas.append({"tool_calls": [{"index": index, **call, "function": {"name": name, "arguments": ""}}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces(draw, arguments)]
    return message, deltas


USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@given(answers())
def test_a_stream_is_the_answer_that_it_was(answer):
    message, deltas = answer
    whole = {
        "id": "c1",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    body = sse(*[chunk(delta) for delta in deltas], chunk({}, "stop"), {**chunk({}), "choices": [], "usage": USAGE})

    streamed = call_of(exchange(b"{}", body, response_headers=SSE))
    plain = call_of(exchange(b"{}", json.dumps(whole).encode()))

    assert streamed.output == plain.output
    assert (streamed.usage, streamed.tool_calls, streamed.finish_reasons) == (plain.usage, plain.tool_calls, plain.finish_reasons)


@given(answers())
def test_a_response_cut_before_its_last_event_is_what_it_would_have_been(answer):
    _, deltas = answer
    texts = [delta["content"] for delta in deltas if delta.get("content")]
    part = {"type": "output_text", "text": "".join(texts)}
    item = {"type": "message", "id": "m1", "role": "assistant", "content": [part]}
    started = {"id": "r1", "status": "in_progress", "model": "m", "output": []}
    place = {"item_id": "m1", "output_index": 0, "content_index": 0}
    stream = [
        {"type": "response.created", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": text} for text in texts),
    ]
    body = b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in stream)

    call = call_of(exchange(b"{}", body, path="/v1/responses", response_headers=SSE, ending="client_gone"))

    assert call.output == {**started, "output": [item]}
    assert call.outcome == "cancelled"


def test_json_as_deep_as_is_read_can_be_merged():
    deep = b'{"a":' * 120 + b"1" + b"}" * 120
    body = b'data: {"choices":[{"index":0,"delta":{"content":"x","odd":' + deep + b"}}]}\n\n"

    call = call_of(exchange(b"{}", body * 2, response_headers=SSE))

    assert call.notes == ()
    assert call.output["choices"][0]["message"]["content"] == "xx"
