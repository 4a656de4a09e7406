"""Usage that the provider did not tell is estimated; what it did tell stays."""

import base64
import gzip
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from domain.calls import Call, Usage
from domain.exchange import OwnError
from pricing.book import PriceBook
from pricing.costing import cost_of
from pricing.tokens import counter, prompts
from pricing.tokens.counter import TokenCounter
from pricing.tokens.encodings import Encodings
from recorder import estimating
from recorder.estimating import Estimator, lacks_usage
from recorder.interpret import call_of
from recorder.recorder import Policy, Recorder
from tests.pricing.tokens.test_images import png
from tests.recorder import golden_cases, recorded_answers
from tests.recorder.exchanges import AT, closing, exchange
from tests.recorder.test_recorder import Source, Store
from tests.recorder.websocket_frames import written

FLAGS = (
    *("INPUT", "OUTPUT", "INPUT_UNKNOWN", "OUTPUT_UNKNOWN", "REASONING", "UNSEEN"),
    *("MEDIA", "STORED", "HOSTED", "ODD", "THOUGHTS", "SAMPLED", "SIZE_GUESSED"),
)
SSE = (("content-type", "text/event-stream"),)
TEXT = "What is the capital city of France today?"  # 9 tokens; 16 as a chat
ANSWER = ["The", " capital", " city", " of", " France", " is", " Paris", "."]  # 8 tokens
CHAT = json.dumps({"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": TEXT}]}).encode()


@pytest.fixture(scope="module")
def estimator():
    return Estimator(TokenCounter(Encodings()))


def events(*values):
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


def chat_chunks(model="gpt-4o-2024-08-06", words=ANSWER):
    return [{"id": "c", "model": model, "choices": [{"index": 0, "delta": {"content": word}}]} for word in words]


def chat(*, request=CHAT, response=None, **end):
    body = events(*chat_chunks()) if response is None else response
    end = closing(**({"ending": "client_gone", "response_headers": SSE} | end))
    return exchange(request=request, response=body, end=end, model="gpt-4o")


def told(usage):
    return usage.input_tokens, usage.output_tokens


def test_a_stream_that_was_cancelled_is_counted_for_what_was_sent(estimator):
    call = estimator.interpret(chat())
    assert (call.outcome, told(call.usage), call.usage.source) == ("cancelled", (16, 8), "estimated")
    assert call.usage.flags == ("estimated_input", "tiktoken:o200k", "estimated_output")


@pytest.mark.parametrize("sent", range(len(ANSWER) + 1))
def test_wherever_the_app_leaves_each_token_that_came_is_counted(estimator, sent):
    usage = estimator.interpret(chat(response=events(*chat_chunks()[:sent]))).usage
    assert told(usage) == (16, sent)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"ending": "upstream_cut"}, "error"),
        ({"ending": "complete"}, "ok"),
        ({"ending": "client_gone"}, "cancelled"),
    ],
)
def test_however_an_answer_without_usage_ended_it_is_counted(estimator, changes, outcome):
    call = estimator.interpret(chat(**changes))
    assert (call.outcome, told(call.usage)) == (outcome, (16, 8))


def test_a_call_that_was_interrupted_is_counted_as_far_as_it_was_written_down(estimator):
    cut = replace(chat(), closing=None)
    call = estimator.interpret(cut)
    assert (call.outcome, told(call.usage), call.usage.source) == ("interrupted", (16, 8), "estimated")


def test_a_call_interrupted_before_anything_came_is_counted_for_its_input(estimator):
    call = estimator.interpret(replace(chat(response=b""), closing=None))
    assert told(call.usage) == (16, 0)


def test_a_call_of_which_nothing_is_known_has_no_usage(estimator):
    assert estimator.interpret(replace(chat(request=b"", response=b""), closing=None)).usage is None


def test_a_call_left_before_the_first_byte_is_counted_for_its_input(estimator):
    usage = estimator.interpret(chat(response=b"", status=None, response_headers=())).usage
    assert told(usage) == (16, 0)


def test_an_answer_that_was_not_streamed_and_never_came_says_so(estimator):
    plain = CHAT.replace(b'"stream": true, ', b"")
    usage = estimator.interpret(chat(request=plain, response=b"", status=None, response_headers=())).usage
    assert told(usage) == (16, 0)
    assert "answer_not_seen" in usage.flags


@pytest.mark.parametrize(
    "changes",
    [
        {"ending": "refused", "status": 429, "sent_us": None, "error": OwnError("insufficient_quota", "budget_exceeded", "x")},
        {"ending": "failed", "status": 502, "sent_us": None, "error": OwnError("upstream_error", "upstream_unavailable", "x")},
        {"ending": "client_gone", "status": None, "sent_us": None},
        {"ending": "complete", "status": 400},
        {"ending": "complete", "status": 429},
        {"ending": "complete", "status": 500},
        {"ending": "client_gone", "status": 503},
    ],
)
def test_what_was_refused_never_sent_or_answered_with_an_error_used_nothing(estimator, changes):
    assert (
        estimator.interpret(chat(response=b'{"error":{"message":"no"}}', response_headers=golden_cases.JSON, **changes)).usage
        is None
    )


def test_an_error_in_the_place_of_the_first_token_used_nothing(estimator):
    overloaded = events({"error": {"message": "overloaded", "type": "server_error", "code": "503"}})
    assert estimator.interpret(chat(response=overloaded, ending="complete")).usage is None


def test_an_error_behind_tokens_does_not_take_them_back(estimator):
    broken = events(*chat_chunks()[:3], {"error": {"message": "overloaded", "type": "server_error"}})
    call = estimator.interpret(chat(response=broken, ending="complete"))
    assert (call.outcome, told(call.usage)) == ("error", (16, 3))


def test_what_the_provider_said_stays_and_the_rest_is_estimated(estimator):
    """Anthropic tells the input with the first event, and the output with the last, which did not come."""
    start = {
        "type": "message_start",
        "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 1234, "output_tokens": 1}},
    }
    deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in ANSWER]
    end = closing(ending="client_gone", response_headers=SSE)
    cut = exchange(path="/v1/messages", dialect="anthropic", request=CHAT, response=events(start, *deltas), end=end)
    usage = estimator.interpret(cut).usage
    assert told(usage) == (1234, 10)  # 8 * 1.15, rounded up
    assert usage.source == "estimated"
    assert usage.flags == ("incomplete", "estimated_output", "tiktoken:o200k*1.15")
    assert usage.raw == {"input_tokens": 1234, "output_tokens": 1}


def test_geminis_thoughts_before_its_first_count_are_estimated(estimator):
    chunk = {"candidates": [{"content": {"parts": [{"text": "".join(ANSWER)}]}}], "modelVersion": "gemini-2.5-pro"}
    path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    request = json.dumps({"contents": [{"parts": [{"text": TEXT}]}]}).encode()
    end = closing(ending="client_gone", response_headers=SSE)
    cut = exchange(path=path, dialect="gemini", request=request, response=events(chunk), end=end)
    usage = estimator.interpret(cut).usage
    assert told(usage) == (10, 9)  # 9 and 8, times 1.04, rounded up
    assert "hidden_reasoning_not_counted" in usage.flags
    counted = exchange(path=path, dialect="gemini", request=request, end=end)
    counted.response = events(
        {**chunk, "usageMetadata": {"promptTokenCount": 77, "candidatesTokenCount": 5, "totalTokenCount": 82}}
    )
    assert told(estimator.interpret(counted).usage) == (77, 5)
    assert estimator.interpret(counted).usage.source == "provider"


def test_a_response_that_was_cut_is_counted(estimator):
    stream = [
        {"type": "response.created", "response": {"id": "r", "model": "gpt-4o", "output": []}},
        *({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": word} for word in ANSWER),
    ]
    request = json.dumps({"model": "gpt-4o", "input": TEXT, "stream": True}).encode()
    end = closing(ending="client_gone", response_headers=SSE)
    cut = exchange(path="/v1/responses", request=request, response=events(*stream), end=end)
    assert told(estimator.interpret(cut).usage) == (16, 8)


def test_a_response_in_the_background_is_not_counted_before_its_usage_is_known(estimator):
    body = json.dumps({"id": "r", "model": "gpt-4o", "background": True, "status": "queued", "output": []}).encode()
    made = exchange(path="/v1/responses", request=json.dumps({"model": "gpt-4o", "input": TEXT}).encode(), response=body)
    assert estimator.interpret(made).usage is None


def test_a_completion_that_was_cut_is_counted(estimator):
    chunks = [{"id": "c", "choices": [{"index": 0, "text": word}]} for word in ANSWER]
    request = json.dumps({"model": "gpt-3.5-turbo-instruct", "prompt": TEXT}).encode()
    end = closing(ending="upstream_cut", response_headers=SSE)
    cut = exchange(path="/v1/completions", request=request, response=events(*chunks), end=end)
    usage = estimator.interpret(cut).usage
    assert told(usage) == (9, 8)
    assert "tiktoken:cl100k" in usage.flags


def test_embeddings_have_input_alone(estimator):
    request = json.dumps({"model": "text-embedding-3-small", "input": [TEXT, TEXT]}).encode()
    made = exchange(
        path="/v1/embeddings", request=request, response=b'{"data":[{"embedding":[0.1]}],"model":"text-embedding-3-small"}'
    )
    usage = estimator.interpret(made).usage
    assert told(usage) == (18, None)
    assert usage.flags == ("estimated_input", "tiktoken:cl100k")


def test_an_answer_cut_in_the_middle_of_its_json_is_counted_by_its_text(estimator):
    body = json.dumps({"id": "c", "choices": [{"message": {"content": "".join(ANSWER)}}]}).encode()[:-10]
    plain = CHAT.replace(b'"stream": true, ', b"")
    usage = estimator.interpret(
        chat(request=plain, response=body, ending="upstream_cut", response_headers=golden_cases.JSON)
    ).usage
    assert usage.input_tokens == 16
    assert 8 < usage.output_tokens < 40


def test_of_an_answer_longer_than_its_copy_the_rest_is_taken_to_be_alike(estimator):
    body = events(*chat_chunks())
    usage = estimator.interpret(chat(ending="complete", response=body, response_cut=True, response_bytes=10 * len(body))).usage
    assert told(usage) == (16, 80)
    assert "extrapolated" in usage.flags


def test_an_input_that_was_not_kept_whole_stays_unknown(estimator):
    usage = estimator.interpret(chat(request=CHAT[:60], request_cut=True)).usage
    assert told(usage) == (None, 8)
    assert "input_not_recorded" in usage.flags


def test_an_answer_that_cannot_be_read_has_no_count_rather_than_none_at_all(estimator):
    """An interrupted call has no headers: that its answer was compressed is not known."""
    cut = replace(chat(response=b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xfe\x00" * 9), closing=None)
    usage = estimator.interpret(cut).usage
    assert told(usage) == (16, None)
    assert "output_not_readable" in usage.flags


def test_a_request_that_was_compressed_is_unpacked(estimator):
    headers = (("content-type", "application/json"), ("content-encoding", "gzip"))
    assert told(estimator.interpret(chat(request=gzip.compress(CHAT), request_headers=headers)).usage) == (16, 8)


def test_pictures_are_counted_by_their_size(estimator):
    url = "data:image/png;base64," + base64.b64encode(png(512, 512) + b"\0" * 9_000).decode()
    content = [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": {"url": url}}]
    request = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}).encode()
    assert told(estimator.interpret(chat(request=request)).usage) == (16 + 255, 8)


def turn(number, *words):
    created = {
        "type": "response.created",
        "response": {"id": f"r{number}", "model": "gpt-4o", "status": "in_progress", "output": []},
    }
    deltas = [{"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": word} for word in words]
    return [created, *deltas]


def finished(number):
    usage = {"input_tokens": 30, "output_tokens": 4, "total_tokens": 34}
    answer = {
        "id": f"r{number}",
        "model": "gpt-4o",
        "status": "completed",
        "usage": usage,
        "output": [{"type": "message", "content": []}],
    }
    return [{"type": "response.completed", "response": answer}]


def session(*turns):
    create = json.dumps({"type": "response.create", "model": "gpt-4o", "input": TEXT}).encode()
    asked = written([create] * len(turns), mask=True)
    server = written([json.dumps(event).encode() for events in turns for event in events], mask=False)
    end = closing(status=101, ending="client_gone", request_headers=(), response_headers=(("Upgrade", "websocket"),))
    return exchange(method="GET", path="/v1/responses", websocket=True, request=asked, response=server, end=end)


def test_a_session_left_in_its_only_response_is_counted(estimator):
    usage = estimator.interpret(session(turn(1, *ANSWER))).usage
    assert (told(usage), usage.source, usage.sub_calls) == ((16, 8), "estimated", ())


@pytest.mark.parametrize("done", [1, 2])
def test_a_session_left_in_a_later_response_has_what_was_told_of_the_others(estimator, done):
    call = estimator.interpret(session(*(finished(number) for number in range(done)), turn(9, *ANSWER)))
    assert [told(one.usage) for one in call.usage.sub_calls] == [*[(30, 4)] * done, (16, 8)]
    assert [one.usage.source for one in call.usage.sub_calls] == [*["provider"] * done, "estimated"]
    assert (told(call.usage), call.usage.source) == ((None, None), "estimated")
    priced = cost(call)
    assert (priced.status, priced.pico) == ("estimated", (30 * done + 16) * 2_500_000 + (4 * done + 8) * 10_000_000)


def test_a_session_whose_responses_all_have_usage_is_left_as_it_is(estimator):
    one = session(finished(1), finished(2))
    assert estimator.interpret(one).usage == call_of(one).usage
    assert estimator.interpret(session(finished(1))).usage.source == "provider"


@pytest.mark.parametrize(
    "operation",
    [
        "models",
        "files",
        "batches",
        "moderation",
        "count_tokens",
        "speech",
        "transcription",
        "image_generation",
        "realtime",
        "unknown",
    ],
)
def test_what_is_not_billed_by_tokens_is_not_estimated(operation):
    assert not lacks_usage(Call(operation, "ok"))


@pytest.mark.parametrize(
    ("usage", "lacking"),
    [
        (Usage(input_tokens=3, output_tokens=0), False),
        (Usage(input_tokens=0, output_tokens=0), False),
        (Usage(input_tokens=3), True),
        (Usage(output_tokens=3), True),
        (Usage(flags=("anomalous",)), False),
        (Usage(), True),
        (None, True),
    ],
)
def test_only_what_is_missing_is_estimated(usage, lacking):
    assert lacks_usage(Call("chat", "ok", usage=usage)) is lacking


def test_a_call_with_usage_is_not_counted_and_no_tokenizer_is_loaded():
    encodings = Encodings()
    eager = Estimator(TokenCounter(encodings))
    for path in golden_cases.PATHS:
        one = golden_cases.exchange_of(json.loads(path.read_text()))
        call = call_of(one)
        if not lacks_usage(call):
            assert eager.estimate(one, call) is call.usage
    assert encodings.loaded == ()


def recorded():
    """Yield every golden exchange with a name."""
    for path in golden_cases.PATHS:
        yield path.stem, golden_cases.exchange_of(json.loads(path.read_text()))
    for api in ("anthropic", "gemini", "audio", "images", "batches", "files", "realtime"):
        for name in recorded_answers.names(api):
            yield f"{api}/{name}", recorded_answers.exchange_of(api, name)


def test_every_golden_answer_cut_anywhere_has_an_estimate_that_only_grows(estimator):
    """Ten cuts of each streamed answer: what came first is never counted for more than what came in all."""
    streams = 0
    for name, one in recorded():
        if one.closing is None or "event-stream" not in str(one.closing.response_headers) or one.closing.status != 200:
            continue
        counts = []
        for tenth in range(1, 10):
            part = one.response[: len(one.response) * tenth // 10]
            cut = replace(one, response=part, closing=replace(one.closing, ending="client_gone"))
            usage = estimator.interpret(cut).usage
            if usage is not None and usage.source == "estimated" and "estimated_output" in usage.flags:
                counts.append(usage.output_tokens)
        streams += bool(counts)
        assert counts == sorted(counts), name
    assert streams > 25


def test_every_golden_chat_whose_usage_is_taken_away_has_an_estimate(estimator):
    compared = 0
    for name, one in recorded():
        call = call_of(one)
        if call.operation != "chat" or call.usage is None or call.error is not None or one.closing.status != 200:
            continue
        usage = estimator.estimate(one, replace(call, usage=None))
        assert usage.source == "estimated", name
        assert usage.output_tokens is not None, name
        compared += 1
    assert compared > 20


@pytest.mark.parametrize(
    "text", ["a" * 200_000, " " * 1_000_000, "\x01" * 300_000, "\\ud800" * 50_000], ids=["a", "space", "control", "half"]
)
def test_hostile_texts_are_counted_and_nothing_is_said_on_stderr(estimator, capfd, text):
    body = CHAT.decode().replace(TEXT, text.replace("\x01", "\\u0001"))
    usage = estimator.interpret(chat(request=body.encode())).usage
    assert usage.input_tokens > 1_000
    assert capfd.readouterr().err == ""


def test_broken_tokenizers_leave_the_usage_as_it_was_and_say_so_once(tmp_path: Path, caplog):
    broken = Estimator(TokenCounter(Encodings(tmp_path)))
    with caplog.at_level(logging.WARNING):
        calls = [broken.interpret(chat()) for _ in range(3)]
    assert [call.usage for call in calls] == [None] * 3
    assert [call.outcome for call in calls] == ["cancelled"] * 3
    assert [record.message for record in caplog.records] == [
        "usage could not be estimated: o200k_base.ranks.xz is not the file that was shipped with Faregate. Install Faregate again."
    ]


def cost(call):
    return cost_of(call, upstream="openai", at=AT, book=PriceBook.packaged())


def test_an_estimate_has_a_price_that_says_so_and_half_of_one_has_none(estimator):
    whole = cost(estimator.interpret(chat()))
    assert (whole.status, whole.pico) == ("estimated", 16 * 2_500_000 + 8 * 10_000_000)
    without_input = cost(estimator.interpret(chat(request=CHAT[:60], request_cut=True)))
    without_output = cost(estimator.interpret(replace(chat(response=b"\x1f\x8b\xff\xfe\x00" * 20), closing=None)))
    assert [(one.status, one.pico) for one in (without_input, without_output)] == [("unknown", None)] * 2


def test_the_recorder_saves_the_estimate_with_the_span(estimator):
    source, store = Source([chat(), replace(chat(), closing=None)]), Store()
    Recorder(source, store, Policy(), interpret=estimator.interpret).step()
    assert [(span.outcome, told(span.usage), span.usage.source) for span in store.spans] == [
        ("cancelled", (16, 8), "estimated"),
        ("interrupted", (16, 8), "estimated"),
    ]


def test_asking_whether_a_call_lacks_usage_costs_a_few_steps():
    """Counted in lines of Python, which no busy machine changes: it is asked of every call."""
    lines = []

    def trace(_frame, event, _argument):
        if event == "line":
            lines.append(1)
        return trace

    call = Call("chat", "ok", usage=Usage(input_tokens=3, output_tokens=4))
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        lacking = lacks_usage(call)
    finally:
        sys.settrace(before)
    assert not lacking
    assert len(lines) < 8


def test_the_page_on_estimates_explains_every_flag():
    page = (Path(__file__).parents[2] / "docs" / "estimates.md").read_text("utf-8")
    flags = {getattr(module, name) for module in (estimating, prompts, counter) for name in FLAGS if hasattr(module, name)}
    assert len(flags) == len(FLAGS)
    assert [flag for flag in flags if f"`{flag}`" not in page] == []
