"""From an answer's bytes to the cost on its span."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from domain.calls import Call, Usage
from domain.prices import Override
from domain.spans import as_json
from pricing.book import PriceBook
from recorder.interpret import call_of
from recorder.pricing import Pricer
from recorder.spans import span_of
from tests.pricing.shapes import chat, gemini, message, response
from tests.recorder.exchanges import closing, exchange

BOOK = PriceBook.packaged()
HOSTS = {"openai": "api.openai.com/v1", "europe": "eu.api.openai.com/v1", "anthropic": "api.anthropic.com", "sim": ""}
PRICER = Pricer(lambda: BOOK, HOSTS)


def recorded(
    answer, *, path="/v1/chat/completions", upstream="openai", asked=None, end=None, pricer=PRICER, method="POST", **opening
):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    request = json.dumps(asked or {"model": "gpt-4o"}).encode()
    served = replace(end or closing(), attempts=())
    one = exchange(request=request, response=body, end=served, path=path, upstream=upstream, method=method, **opening)
    return span_of(one, call_of(one), pricer.of_call)


def test_a_chat_has_its_cost_its_lines_and_the_price_that_was_used():
    span = recorded({"id": "c1", "model": "gpt-4o-2024-08-06", "choices": [], "usage": chat(10_000, 100, cached=8_192)})
    assert (span.cost, span.cost_status) == (15_760_000_000, "exact")
    shown = as_json(span)
    assert shown["cost_usd"] == "0.01576"
    assert shown["price_ref"] == f"{BOOK.snapshot.ref}/openai/gpt-4o/standard"
    assert shown["cost_lines"][0] == {
        "unit": "cache_read",
        "quantity": 8_192,
        "usd_per_million": "1.25",
        "cost_usd": "0.01024",
        "model": "gpt-4o",
    }
    assert sum(Decimal(line["cost_usd"]) for line in shown["cost_lines"]) == Decimal("0.01576")


def test_the_address_of_the_upstream_counts():
    answer = {"id": "c1", "model": "gpt-6.1-sol", "choices": [], "usage": chat(1_000, 100)}
    assert (recorded(answer).cost, recorded(answer, upstream="europe").cost) == (3 * 10**9, 33 * 10**8)


def test_the_other_apis_are_priced_too():
    said = {"id": "m", "type": "message", "model": "claude-opus-4-8", "content": [], "usage": message(100, 10, read=1_000)}
    span = recorded(said, path="/v1/messages", upstream="anthropic", dialect="anthropic", asked={"model": "claude-opus-4-8"})
    assert (span.cost, span.cost_status) == (1_250_000_000, "exact")
    said = {
        "candidates": [{"finishReason": "STOP"}],
        "modelVersion": "gemini-2.5-flash",
        "usageMetadata": gemini(1_000, 200, thoughts=800),
    }
    span = recorded(
        said, path="/v1beta/models/gemini-2.5-flash:generateContent", upstream="gemini", dialect="gemini", asked={"contents": []}
    )
    assert (span.cost, span.cost_status) == (2_800_000_000, "exact")
    searched = [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
    ]
    said = {
        "id": "r",
        "object": "response",
        "model": "gpt-5",
        "status": "completed",
        "output": searched,
        "usage": response(1_000, 100),
    }
    span = recorded(said, path="/v1/responses", asked={"model": "gpt-5"})
    assert span.cost == 1_250_000_000 + 1_000_000_000 + 10_000_000_000


def test_bedrocks_converse_adds_what_was_cached_and_finds_the_model_in_the_path():
    usage = {
        "inputTokens": 100,
        "outputTokens": 10,
        "totalTokens": 3_110,
        "cacheReadInputTokens": 1_000,
        "cacheReadInputTokenCount": 1_000,
        "cacheWriteInputTokens": 2_000,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 500}, {"ttl": "5m", "inputTokens": 1_500}],
    }
    path = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    span = recorded(
        {"output": {}, "stopReason": "end_turn", "usage": usage}, path=path, upstream="bedrock", asked={"messages": []}
    )
    # 100*3.3 + 1000*0.33 + 1500*4.125 + 500*6.6 + 10*16.5 millionths
    assert (span.operation, span.cost, span.cost_status) == ("chat", 10_312_500_000, "exact")
    assert (span.usage.input_tokens, span.usage.flags, span.finish_reasons) == (3_100, (), ("end_turn",))


def test_a_model_that_bedrock_invokes_by_its_own_api_is_priced():
    said = {"type": "message", "stop_reason": "end_turn", "usage": message(1_000, 100)}
    path = "/model/anthropic.claude-haiku-4-5-20251001-v1:0/invoke"
    assert recorded(said, path=path, upstream="bedrock", asked={"max_tokens": 9}).cost == 1_500_000_000


def test_impossible_numbers_of_bedrock_have_no_cost():
    for usage in (
        {"inputTokens": -1, "outputTokens": 1},
        {"inputTokens": 1, "outputTokens": 1, "cacheDetails": [{"inputTokens": "x"}]},
    ):
        span = recorded({"usage": usage}, path="/model/amazon.nova-pro-v1:0/converse", upstream="bedrock")
        assert (span.cost, span.cost_status) == (None, "unknown")


def test_documents_that_mistral_reads_are_billed_by_the_page():
    said = {"model": "mistral-ocr-latest", "pages": [], "usage_info": {"pages_processed": 3, "doc_size_bytes": 9}}
    span = recorded(said, path="/v1/ocr", upstream="mistral", asked={"model": "mistral-ocr-latest"}, at=1_795_000_000 * 10**9)
    assert (span.operation, span.cost, span.cost_status) == ("ocr", 12_000_000_000, "exact")


def test_results_of_a_batch_that_pass_are_priced_at_the_batchs_price():
    lines = [
        {
            "custom_id": str(n),
            "response": {"status_code": 200, "body": {"model": "gpt-4o", "usage": chat(1_000, 0)}},
            "error": None,
        }
        for n in range(3)
    ]
    body = "\n".join(json.dumps(line) for line in lines).encode()
    span = recorded(body, path="/v1/files/f1/content", method="GET", at=1_795_000_000 * 10**9)
    assert (span.cost, span.cost_status, span.response_id) == (3 * 1_250_000_000, "exact", "f1")
    assert [line["quantity"] for line in span.cost_lines] == [3_000]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/models", "GET"),
        ("/v1/files", "GET"),
        ("/v1/batches/b1", "GET"),
        ("/v1/responses/r1/input_items", "GET"),
        ("/v1/chat/completions/c1", "DELETE"),
    ],
)
def test_looking_at_what_there_is_costs_nothing(path, method):
    assert (recorded({"data": []}, path=path, method=method).cost_status) == "none"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529])
def test_an_error_of_the_provider_is_not_billed(status):
    span = recorded({"error": {"message": "no", "type": "x"}}, end=closing(status=status))
    assert (span.cost, span.cost_status) == (None, "none")


def test_what_was_cut_off_or_told_no_usage_is_unknown_and_says_so():
    span = recorded({"id": "c1", "model": "gpt-4o", "choices": []})
    assert (span.cost, span.cost_status) == (None, "unknown")
    assert "the provider told no usage" in span.notes
    cut = recorded(b'{"id": "c1", "mod', end=closing(ending="upstream_cut"))
    assert (cut.cost, cut.cost_status) == (None, "unknown")


def test_an_unknown_model_is_in_the_notes_and_never_free():
    span = recorded({"id": "c1", "model": "gpt-9", "choices": [], "usage": chat(1, 1)})
    assert (span.cost, span.cost_status, span.price_ref) == (None, "unknown", None)
    assert "no price for gpt-9 at openai" in span.notes


def test_the_simulated_upstream_is_free_whatever_it_tells():
    span = recorded({"id": "c1", "model": "gpt-4o", "choices": [], "usage": chat(1_000, 1)}, upstream="sim")
    assert (span.cost, span.cost_status) == (0, "free")


def test_the_simulated_upstream_costs_what_the_operator_says_if_he_does():
    mine = Override(id="mine", rates={"input": 10**18, "output": 0}, upstream="sim")
    pricer = Pricer(lambda: BOOK.with_overrides([mine]), HOSTS)
    span = recorded({"id": "c1", "model": "echo", "choices": [], "usage": chat(1_000, 1)}, upstream="sim", pricer=pricer)
    assert (span.cost, span.cost_status) == (10**9, "exact")


def test_the_operators_price_for_a_key_counts_for_that_key():
    mine = Override(id="mine", rates={"input": 10**18, "output": 0}, key="ci")
    pricer = Pricer(lambda: BOOK.with_overrides([mine]), HOSTS)
    answer = {"id": "c1", "model": "gpt-4o", "choices": [], "usage": chat(1_000, 1)}
    assert (recorded(answer, pricer=pricer).cost, recorded(answer, pricer=pricer, key_name="other", key="k9").cost) == (
        10**9,
        2_510_000_000,
    )


def test_a_recorded_call_costs_the_same_when_it_is_priced_again():
    span = recorded({"id": "c1", "model": "gpt-4o", "choices": [], "usage": chat(1_000, 100)})
    again = PRICER.of_span(span)
    assert (again.status, again.pico, again.ref, again.lines) == (span.cost_status, span.cost, span.price_ref, span.cost_lines)
    for settled in ("none", "free"):
        kept = replace(span, cost_status=settled, cost=0 if settled == "free" else None, upstream="sim")
        assert PRICER.of_span(kept).status == settled


def test_without_prices_only_what_was_reported_is_known():
    one = exchange()
    assert span_of(one, Call("chat", "ok", usage=Usage(reported_cost=7))).cost == 7
    assert span_of(one, Call("chat", "ok", usage=Usage(input_tokens=7))).cost_status == "unknown"
