"""`faregate prices cost`: one line out for each line in, priced as the office prices it. Each expected cost is worked out beside it."""

import io
import json
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.commands.costing import Coster, answers
from gateway.commands.exchanges import told_by
from pricing.book import PriceBook
from tests.cli.installation import COMMAND, faregate, surroundings

FIELDS = {"cost_usd", "cost_status", "usage", "cost_lines", "price_ref", "served_model"}
OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com"
GEMINI = "https://generativelanguage.googleapis.com"


def line(endpoint="/chat/completions", request=None, response=None, **changes):
    return {
        "base_url": OPENAI,
        "endpoint": endpoint,
        "timestamp": "2026-11-01T00:00:00Z",
        "request": {"model": "gpt-4o-mini"} if request is None else request,
        "http_status": 200,
        "response_headers": {"content-type": "application/json"},
        "response": response,
        **changes,
    }


def chat(model="gpt-4o-mini", usage=None, **more):
    told = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100} if usage is None else usage
    return {"id": "chatcmpl-1", "model": model, "choices": [{"message": {"content": "hi"}}], "usage": told, **more}


@pytest.fixture(scope="module")
def coster():
    return Coster(PriceBook.packaged())


def cost_of(coster, value):
    return json.loads(coster.answer(value if isinstance(value, bytes) else json.dumps(value).encode()))


MESSAGE_START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "model": "claude-sonnet-4-5-20250929",
        "usage": {"input_tokens": 100, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 0, "output_tokens": 1},
    },
}
MESSAGE_DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 50}}
RESPONSE = {
    "id": "resp_1",
    "model": "gpt-4o-2024-08-06",
    "status": "completed",
    "output": [],
    "usage": {"input_tokens": 1000, "input_tokens_details": {"cached_tokens": 400}, "output_tokens": 10, "total_tokens": 1010},
}
# 176 x 0.15 + 1024 x 0.075 + 80 x 0.60 = 151.2 millionths
CACHED = {"prompt_tokens": 1200, "completion_tokens": 80, "total_tokens": 1280, "prompt_tokens_details": {"cached_tokens": 1024}}
# Rates in US dollars for a million tokens, as the providers publish them.
CASES = {
    "chat": (line(response=chat(usage=CACHED)), "0.0001512", "exact"),
    # 1000 x 0.15 + 100 x 0.60
    "chat, streamed with usage at the end": (
        line(
            response=None, sse=[{"model": "gpt-4o-mini", "choices": [{"delta": {"content": "hi"}}]}, chat(choices=[]), "[DONE]"]
        ),
        "0.00021",
        "exact",
    ),
    "chat, payloads as text": (line(response=None, sse=[json.dumps(chat()), "[DONE]"]), "0.00021", "exact"),
    # 600 x 2.50 + 400 x 1.25 + 10 x 10
    "responses": (line("/responses", {"model": "gpt-4o"}, RESPONSE), "0.0021", "exact"),
    "responses, streamed": (
        line("/responses", {"model": "gpt-4o"}, None, sse=[{"type": "response.completed", "response": RESPONSE}]),
        "0.0021",
        "exact",
    ),
    "responses, looked at again": (line("GET /responses/resp_1", {}, RESPONSE), "0.0021", "exact"),
    # 8 x 0.02
    "embeddings": (
        line(
            "/embeddings",
            {"model": "text-embedding-3-small"},
            chat("text-embedding-3-small", {"prompt_tokens": 8, "total_tokens": 8}),
        ),
        "0.00000016",
        "exact",
    ),
    # 5 x 1.50 + 7 x 2.00
    "legacy completions": (
        line(
            "/completions",
            {"model": "gpt-3.5-turbo-instruct"},
            chat("gpt-3.5-turbo-instruct", {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}),
        ),
        "0.0000215",
        "exact",
    ),
    # 10 text x 5 + 40 image x 10 + 50 x 40
    "images": (
        line(
            "/images/generations",
            {"model": "gpt-image-1"},
            {
                "created": 1,
                "data": [{"b64_json": "aGk="}],
                "usage": {
                    "input_tokens": 50,
                    "output_tokens": 50,
                    "total_tokens": 100,
                    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                },
            },
        ),
        "0.00245",
        "exact",
    ),
    # a minute at 0.006
    "transcription by the second": (
        line("/audio/transcriptions", {"model": "whisper-1"}, {"text": "hi", "usage": {"type": "duration", "seconds": 60}}),
        "0.006",
        "exact",
    ),
    # 1000 characters x 15
    "speech": (
        line("/audio/speech", {"model": "tts-1", "input": "h" * 1000}, None, response_headers={"Content-Type": "audio/mpeg"}),
        "0.015",
        "exact",
    ),
    "moderations": (
        line("/moderations", {"input": "x"}, {"id": "modr-1", "model": "omni-moderation-latest", "results": []}),
        "0",
        "free",
    ),
    # 10 x 1 + 60 x 1.25 + 40 x 2 + 1000 x 0.10 + 5 x 5
    "anthropic": (
        line(
            "/v1/messages",
            {"model": "claude-haiku-4-5"},
            {
                "id": "msg_1",
                "model": "claude-haiku-4-5-20251001",
                "content": [],
                "usage": {
                    "input_tokens": 10,
                    "cache_read_input_tokens": 1000,
                    "cache_creation_input_tokens": 100,
                    "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
                    "output_tokens": 5,
                },
            },
            base_url=ANTHROPIC,
        ),
        "0.00029",
        "exact",
    ),
    # 100 x 3 + 2000 x 0.30 + 50 x 15
    "anthropic, streamed": (
        line(
            "/v1/messages",
            {"model": "claude-sonnet-4-5", "stream": True},
            None,
            base_url=ANTHROPIC,
            sse=[MESSAGE_START, json.dumps(MESSAGE_DELTA), {"type": "message_stop"}],
        ),
        "0.00165",
        "exact",
    ),
    # 10 x 0.30 + (5 + 7 of thoughts) x 2.50
    "gemini": (
        line(
            "/v1beta/models/gemini-2.5-flash:generateContent",
            {"contents": []},
            {
                "modelVersion": "gemini-2.5-flash",
                "usageMetadata": {
                    "promptTokenCount": 10,
                    "candidatesTokenCount": 5,
                    "thoughtsTokenCount": 7,
                    "totalTokenCount": 22,
                },
            },
            base_url=GEMINI,
        ),
        "0.000033",
        "exact",
    ),
    "gemini, streamed": (
        line(
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            {"contents": []},
            None,
            base_url=GEMINI,
            sse=[
                {"usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}, "modelVersion": "gemini-2.5-flash"},
                {
                    "candidates": [{"finishReason": "STOP"}],
                    "usageMetadata": {
                        "promptTokenCount": 10,
                        "candidatesTokenCount": 5,
                        "thoughtsTokenCount": 7,
                        "totalTokenCount": 22,
                    },
                    "modelVersion": "gemini-2.5-flash",
                },
            ],
        ),
        "0.000033",
        "exact",
    ),
    # output is what the total leaves: 109 - 35; 35 x 0.30 + 74 x 2.50
    "gemini in OpenAI's shape": (
        line(
            "/chat/completions",
            {"model": "gemini-2.5-flash"},
            chat("gemini-2.5-flash", {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}),
            base_url=f"{GEMINI}/v1beta/openai/",
        ),
        "0.0001955",
        "exact",
    ),
    # ticks of 1e-10 US dollars
    "xai, as reported": (
        line(
            "/chat/completions",
            {"model": "grok-4"},
            chat(
                "grok-4",
                {
                    "prompt_tokens": 1083,
                    "completion_tokens": 3,
                    "total_tokens": 1087,
                    "completion_tokens_details": {"reasoning_tokens": 1},
                    "cost_in_usd_ticks": 22_540_000,
                },
            ),
            base_url="https://api.x.ai/v1",
        ),
        "0.002254",
        "reported",
    ),
    "an error": (line(response={"error": {"message": "slow down"}}, http_status=429), None, "none"),
    "a model without a price": (line(response=chat("no-such-model")), None, "unknown"),
    "a name of the host's own": (line(response=chat(), base_url="http://10.0.0.1:8000/v1"), None, "unknown"),
    "the upstream is told": (line(response=chat(), base_url="http://10.0.0.1:8000/v1", upstream="openai"), "0.00021", "exact"),
    # 1000 x 0.10 + 100 x 0.40
    "prices of one's own": (
        line(
            request={"model": "llama-3"},
            response=chat("llama-3"),
            base_url="http://localhost:8000/v1",
            upstream="vllm",
            prices=[
                {
                    "match": {"upstream": "vllm", "model": "llama-*"},
                    "per_million_usd": {"input": "0.10", "output": "0.40", "cache_read": "0.02"},
                    "from": "2026-01-01",
                }
            ],
        ),
        "0.00014",
        "exact",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_exchange_costs_what_its_provider_charges(coster, name):
    told, cost, status = CASES[name]
    found = cost_of(coster, told)
    assert "error" not in found, found
    assert (found["cost_usd"], found["cost_status"]) == (cost, status), found
    assert found.keys() >= FIELDS


def test_a_reported_cost_loses_no_digit(coster):
    raw = json.dumps(line(response=chat(usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.5})))
    found = cost_of(
        coster,
        raw.replace('"cost": 0.5', '"cost": 0.123456789012000000000000001').replace("openai.com", "openrouter.ai").encode(),
    )
    assert (found["cost_usd"], found["cost_status"]) == ("0.123456789012", "reported")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"endpoint": "chat/completions"}, {}),
        ({"endpoint": "/v1/chat/completions"}, {}),
        ({"endpoint": "chat.completions"}, {}),
        ({"endpoint": "POST /v1/chat/completions"}, {}),
        ({"endpoint": "https://api.openai.com/v1/chat/completions"}, {}),
        ({"base_url": "api.openai.com/v1/"}, {}),
        ({"timestamp": 1_793_491_200}, {}),
        ({"timestamp": "1793491200.25"}, {}),
        ({"timestamp": "2026-11-01T01:00:00+01:00"}, {}),
        ({"http_status": "200"}, {}),
        ({"http_status": None}, {}),
        ({"response_headers": [["content-type", "application/json"], ["content-encoding", "gzip"]]}, {}),
        ({"response_headers": {"content-encoding": "br", "transfer-encoding": "chunked"}}, {}),
        ({"response_headers": None}, {}),
        ({"response_headers": 5}, {}),
        ({"prices": []}, {}),
        ({"extra": {"a": [1]}}, {}),
    ],
)
def test_the_same_told_in_other_words_costs_the_same(coster, before, after):
    found = cost_of(coster, {**line(response=chat(usage=CACHED)), **before, **after})
    assert found["cost_usd"] == "0.0001512", found


def test_a_price_counts_from_its_time_on(coster):
    own = {"match": {"model": "gpt-4o-mini"}, "per_million_usd": {"input": "1", "output": "1"}, "from": "2026-06-01"}
    late, early = (
        cost_of(coster, line(response=chat(), prices=[own], timestamp=at))
        for at in ("2026-06-01T00:00:00Z", "2026-05-31T23:59:59Z")
    )
    assert (late["cost_usd"], early["cost_usd"]) == ("0.0011", "0.00021")
    assert "override:line-1" in late["price_ref"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "not JSON"),
        (b"\n", "not JSON"),
        (b"nonsense", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "JSON"),
        (b"[1, 2]", "no JSON object"),
        (b"17", "no JSON object"),
        (b"null", "no JSON object"),
        (b"{}", "base_url"),
        (line(base_url=None), "base_url"),
        (line(endpoint=None), "endpoint"),
        (line(endpoint=["x"]), "endpoint"),
        (line(base_url="http://[::1"), "address"),
        (line(timestamp=None), "timestamp"),
        (line(timestamp="yesterday"), "timestamp"),
        (line(timestamp=-1), "timestamp"),
        (line(timestamp=10**400), "timestamp"),
        (line(timestamp=True), "timestamp"),
        (json.dumps(line()).replace('"2026-11-01T00:00:00Z"', "NaN").encode(), "timestamp"),
        (line(http_status=7), "http_status"),
        (line(http_status=[200]), "http_status"),
        (line(sse={"a": 1}), "sse"),
        (line(prices="all"), "prices"),
        (line(prices=[{"match": {}}]), "price 1 of `prices`"),
        (line(prices=[{"match": {"model": "x"}, "per_million_usd": {"input": "-1"}}]), "price 1 of `prices`"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(coster, value, said):
    found = cost_of(coster, value)
    assert said in found["error"]
    assert (found["cost_usd"], found["cost_status"], found["usage"], found["cost_lines"]) == (None, "unknown", None, [])


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": 1, "total_tokens": -4},
        {"prompt_tokens": 10**400, "completion_tokens": 1, "total_tokens": 1},
        {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6, "prompt_tokens_details": {"cached_tokens": 50}},
        {"prompt_tokens": "many", "completion_tokens": None},
        {"prompt_tokens": 1.5, "completion_tokens": 1, "total_tokens": 2},
        [],
        "usage",
    ],
)
def test_impossible_usage_is_unknown_never_free(coster, usage):
    found = cost_of(coster, line(response=chat(usage=usage), request={"model": "gpt-4o-mini"}))
    assert found["cost_usd"] is None or found["cost_status"] == "estimated"
    assert found["cost_status"] in {"unknown", "estimated"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from([*sorted(line()), "sse", "upstream", "prices", "method", "key"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(fields, json_values, max_size=4), inner=json_values)
def test_whatever_a_line_holds_it_gets_one_line_of_json(coster, changes, inner):
    told = {**line(response=chat(usage=inner)), **changes}
    answer = coster.answer(json.dumps(told).encode())
    assert answer.count(b"\n") == 1
    assert answer.endswith(b"\n")
    assert json.loads(answer).keys() >= FIELDS


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.binary(max_size=60), max_size=8))
def test_lines_are_answered_one_for_one(coster, lines):
    data = b"\n".join(lines)
    wanted = sum(1 for _ in io.BytesIO(data))
    assert len(list(answers(io.BytesIO(data), coster))) == wanted


def test_a_line_is_answered_before_the_next_one_is_read(coster):
    read = []

    class Lines(io.RawIOBase):
        def readline(self, size=-1, /):
            read.append(size)
            return json.dumps(line(response=chat())).encode() + b"\n"

    found = answers(Lines(), coster)
    for number in range(1, 4):
        next(found)
        assert len(read) == number
    assert all(0 < size < 2**30 for size in read)


def test_an_exchange_is_what_the_gate_would_have_recorded():
    told = told_by(
        json.dumps(line("/v1/messages", {"model": "claude-haiku-4-5"}, None, base_url=ANTHROPIC, sse=[MESSAGE_START])).encode()
    )
    assert (told.exchange.opening.upstream, told.exchange.opening.dialect) == ("anthropic", "anthropic")
    assert told.exchange.response.startswith(b"event: message_start\ndata: {")
    assert told.address == "api.anthropic.com"


def test_the_command_reads_a_file_or_its_input_and_answers_line_by_line(tmp_path):
    lines = [json.dumps(line(response=chat(usage=CACHED))), "nonsense", "", json.dumps(line(response=chat()))]
    (tmp_path / "calls.jsonl").write_text("\n".join(lines) + "\n")
    from_file = faregate("prices", "cost", "calls.jsonl", cwd=tmp_path)
    assert from_file.returncode == 0, from_file.stderr
    found = [json.loads(text) for text in from_file.stdout.splitlines()]
    assert [one["cost_usd"] for one in found] == ["0.0001512", None, None, "0.00021"]
    from_input = faregate("prices", "cost", "-", cwd=tmp_path, stdin="\n".join(lines) + "\n")
    assert from_input.stdout == from_file.stdout
    with subprocess.Popen(
        [*COMMAND, "prices", "cost"], cwd=tmp_path, env=surroundings(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        for _ in range(2):
            run.stdin.write(lines[0].encode() + b"\n")
            run.stdin.flush()
            assert json.loads(run.stdout.readline())["cost_usd"] == "0.0001512"
        run.stdin.close()
        assert run.wait(60) == 0


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path):
    run = faregate("prices", "cost", "nowhere.jsonl", cwd=tmp_path)
    assert run.returncode == 2
    assert "nowhere.jsonl" in run.stderr
