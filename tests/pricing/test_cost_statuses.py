"""What is known of a cost, and what is never guessed: every trap of ../shared/reference/pricing.md."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calls import Call, SubCall, Usage
from pricing.book import PriceBook
from pricing.costing import cost_of, rounded
from pricing.usage import anthropic, openai
from pricing.usage import gemini as google
from tests.pricing.shapes import chat, gemini, message, plain, response

BOOK = PriceBook.packaged()
NOW = 1_795_000_000 * 10**9


def priced(
    usage, *, upstream="openai", model="gpt-4o", operation="chat", served=None, path="", at=NOW, host=None, book=BOOK, **who
):
    call = Call(operation, "ok", model=model, served_model=served, usage=usage)
    return cost_of(call, upstream=upstream, at=at, book=book, host=host, path=path, **who)


def unknown(cost, *words):
    assert (cost.status, cost.pico) == ("unknown", None)
    assert all(word in " ".join(cost.notes) for word in words), cost.notes


@pytest.mark.parametrize(
    ("upstream", "model"),
    [
        ("openai", "gpt-4o-2099-01-01"),
        ("openai", "gpt-5-foo"),
        ("azure", "prod-chat"),
        ("fireworks", "accounts/fireworks/models/llama-v3p3-70b-instruct"),
        ("vllm", "llama-3.3-70b"),
        ("ollama", "gpt-4o"),
        ("mine", "gpt-4o"),
        ("openai", "x" * 10_000),
        ("openai", ""),
    ],
)
def test_a_model_or_an_upstream_that_nobody_knows_is_unknown_not_free(upstream, model):
    unknown(priced(openai.usage_of(plain(10, 10)), upstream=upstream, model=model))


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (openai.usage_of(plain(10, 10), tier="turbo"), "turbo"),
        (openai.usage_of(plain(10, 10), tier="scale"), "paid for beforehand"),
        (openai.usage_of(plain(10, 10), tier="flex"), "no price for tier flex"),
        (google.usage_of(gemini(10, 10, trafficType="PROVISIONED_THROUGHPUT")), "paid for beforehand"),
        (replace(openai.usage_of(plain(10, 10), tier="flex"), batch=True), "flex"),
    ],
)
def test_a_tier_without_a_price_is_unknown_and_never_the_standard_one(usage, words):
    unknown(priced(usage), "tier", words)


def test_anthropics_priority_tier_is_paid_for_beforehand():
    usage = anthropic.usage_of(message(10, 10, service_tier="priority"))
    unknown(priced(usage, upstream="anthropic", model="claude-opus-4-8"), "paid for beforehand")


def test_a_place_or_a_speed_without_a_price_is_unknown():
    geo = anthropic.usage_of(message(10, 10, inference_geo="moon"))
    unknown(priced(geo, upstream="anthropic", model="claude-opus-4-8"), "served in moon")
    speed = anthropic.usage_of(message(10, 10, speed="fast"))
    unknown(priced(speed, upstream="anthropic", model="claude-haiku-4-5"), "fast")


def test_the_model_that_was_served_counts_and_not_the_one_that_was_asked_for():
    usage = openai.usage_of(plain(1_000, 0))
    assert priced(usage, model="gpt-4o", served="gpt-4o-mini-2024-07-18").pico == 150_000_000
    unknown(priced(usage, model="gpt-4o", served="gpt-4o-2099-01-01"))
    assert priced(usage, model="gpt-4o", served=None).pico == 2_500_000_000


@pytest.mark.parametrize(
    ("upstream", "path", "pico"),
    [
        ("bedrock", "/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/converse", 1_000_000_000),
        ("bedrock", "/model/anthropic.claude-haiku-4-5-20251001-v1:0/invoke", 1_000_000_000),
        ("gemini", "/v1beta/models/gemini-2.5-flash:generateContent?alt=sse", 300_000_000),
        ("azure", "/openai/deployments/gpt-4o/chat/completions?api-version=1", 2_500_000_000),
    ],
)
def test_a_model_that_only_the_path_names_is_found_there(upstream, path, pico):
    assert priced(openai.usage_of(plain(1_000, 0)), upstream=upstream, model=None, path=path).pico == pico


@pytest.mark.parametrize(
    "raw",
    [
        chat(10, 5, cached=11),
        {"prompt_tokens": -1, "completion_tokens": 5, "total_tokens": 4},
        {"prompt_tokens": 10, "completion_tokens": 2**60, "total_tokens": 1},
        {"prompt_tokens": 10.5, "completion_tokens": 1, "total_tokens": 11},
        {"prompt_tokens": "many", "completion_tokens": 1, "total_tokens": 11},
        chat(10, 5, audio_in=11),
        chat(10, 5, audio_out=6),
    ],
)
def test_impossible_numbers_have_no_cost(raw):
    unknown(priced(openai.usage_of(raw), model="gpt-audio"), "anomalous")


def test_no_usage_is_no_cost_until_somebody_estimates_it():
    unknown(priced(None), "no usage")
    unknown(priced(Usage()), "no usage")
    unknown(priced(openai.usage_of({"completion_tokens": 5})), "input tokens")
    unknown(priced(openai.usage_of({"prompt_tokens": 5})), "output tokens")
    assert priced(openai.usage_of({"prompt_tokens": 5, "total_tokens": 5})).status == "exact"


def test_what_was_estimated_or_cut_off_is_an_estimate():
    usage = openai.usage_of(plain(1_000, 100))
    assert (priced(replace(usage, source="estimated")).status, priced(usage).status) == ("estimated", "exact")
    cut = anthropic.usage_of(message(1_000, 1))
    cost = priced(replace(cut, output_tokens=None, flags=("incomplete",)), upstream="anthropic", model="claude-opus-4-8")
    assert (cost.status, cost.pico) == ("estimated", 5_000_000_000)


def test_what_the_provider_reports_goes_first_and_ours_stands_beside_it():
    usage = openai.usage_of(plain(1_000, 100, cost=0.0160614))
    cost = priced(usage, upstream="openrouter", model="openai/gpt-4o")
    assert (cost.status, cost.pico) == ("reported", 16_061_400_000)
    assert sum(Decimal(line["cost_usd"]) for line in cost.lines) == Decimal("0.0035")


def test_a_cost_that_is_reported_for_an_unknown_model_is_known_all_the_same():
    cost = priced(openai.usage_of(plain(10, 10, cost=0.5)), upstream="openrouter", model="new/model")
    assert (cost.status, cost.pico, cost.lines) == ("reported", 5 * 10**11, ())
    assert "no price" in cost.notes[0]


def test_xai_counts_in_ticks_and_the_ticks_count():
    raw = chat(1_083, 3, cached=128, reasoning=1, total=1_087, cost_in_usd_ticks=22_540_000)
    cost = priced(openai.usage_of(raw), upstream="xai", model="grok-4.7")
    assert (cost.status, cost.pico) == ("reported", 2_254_000_000)


def test_reported_costs_that_cannot_be_are_not_believed():
    for odd in (-1, "free", float("nan"), 1e300, [], True):
        cost = priced(openai.usage_of(plain(1_000, 0, cost=odd)))
        assert (cost.status, cost.pico) == ("exact", 2_500_000_000)


def test_free_models_are_free_and_zero_tokens_of_a_dear_one_cost_nothing():
    assert priced(openai.usage_of(plain(10, 10)), upstream="openrouter", model="qwen/qwq-32b:free").status == "free"
    assert (priced(openai.usage_of(plain(0, 0))).status, priced(openai.usage_of(plain(0, 0))).pico) == ("exact", 0)
    assert priced(None, operation="moderation", model="omni-moderation-latest").status == "free"
    unknown(priced(None, operation="moderation", upstream="mistral", model="mistral-moderation-latest"))


def test_a_tool_without_a_price_makes_the_whole_unknown():
    usage = openai.usage_of(response(10, 10), searches={"web": 1})
    unknown(priced(usage, model="o1"), "no price for web of o1")
    assert priced(usage, model="o3").status == "exact"


def test_a_long_cache_write_without_a_price_is_unknown_and_not_a_short_one():
    usage = anthropic.usage_of(message(10, 10, hour=100))
    unknown(priced(usage, upstream="bedrock", model="anthropic.claude-3-5-sonnet-20241022-v2:0"), "cache_write_1h")


def test_what_is_inside_a_call_is_priced_by_its_own_model_and_added():
    inner = SubCall("gpt-4o-mini", "image_generation", openai.usage_of(plain(1_000, 0)))
    usage = replace(openai.usage_of(plain(1_000, 0)), sub_calls=(inner, inner))
    cost = priced(usage)
    assert (cost.status, cost.pico) == ("exact", 2_800_000_000)
    assert [(line["model"], line["quantity"]) for line in cost.lines] == [("gpt-4o", 1_000), ("gpt-4o-mini", 2_000)]


def test_one_unknown_model_inside_makes_the_whole_unknown():
    inner = SubCall("secret-model", "advisor", openai.usage_of(plain(1, 0)))
    unknown(priced(replace(openai.usage_of(plain(1_000, 0)), sub_calls=(inner,))), "secret-model")


def test_results_of_a_batch_are_priced_line_by_line_at_the_batchs_price():
    lines = tuple(
        SubCall(model, "batch", replace(openai.usage_of(plain(1_000, 1_000)), batch=True)) for model in ("gpt-4o", "gpt-4o-mini")
    )
    usage = Usage(sub_calls=lines, batch=True, flags=("batch_results",))
    cost = priced(usage, model=None, operation="files")
    assert (cost.status, cost.pico) == ("exact", 6_250_000_000 + 375_000_000)
    assert cost.notes == ("batch_results",)


def test_thresholds_count_for_each_call_inside_by_itself():
    half = openai.usage_of(plain(200_000, 0))
    usage = Usage(sub_calls=(SubCall("gpt-5.4", "response", half), SubCall("gpt-5.4", "response", half)))
    assert priced(usage, model=None).pico == 10**12


def test_names_that_are_too_long_are_unknown_and_kept_nowhere():
    book = PriceBook.packaged()
    unknown(priced(openai.usage_of(plain(1, 1)), model="x" * 1_000_000, book=book), "no price for x")
    unknown(priced(openai.usage_of(plain(1, 1), tier="t" * 1_000_000), book=book), "no price for a tier")
    assert not any(len(str(part)) > 1_000 for identity in book._found for part in identity)


def test_calls_within_calls_end_somewhere():
    usage = Usage(input_tokens=1, output_tokens=1)
    for _ in range(2_000):
        usage = replace(usage, sub_calls=(SubCall(None, "x", usage),))
    assert priced(usage).status == "exact"


def test_a_cost_is_rounded_once_and_half_to_even():
    assert [rounded(atto) for atto in (0, 499_999_999_999, 500_000_000_000, 1_500_000_000_000, 500_000_000_001)] == [
        0,
        0,
        0,
        2,
        1,
    ]


def test_a_cost_beyond_all_measure_is_no_cost():
    inner = SubCall(None, "x", Usage(input_tokens=2**53, output_tokens=0))
    unknown(priced(Usage(sub_calls=(inner,) * 1_000), model="o1-pro"), "anomalous")


def test_the_reference_names_snapshot_provider_model_tier_and_what_was_corrected():
    cost = priced(openai.usage_of(plain(10, 1), tier="flex"), model="gpt-5")
    assert cost.ref == f"{BOOK.snapshot.ref}/openai/gpt-5/flex"
    corrected = priced(openai.usage_of(plain(10, 1)), model="gpt-4o-audio-preview")
    assert corrected.ref == f"{BOOK.snapshot.ref}/openai/gpt-4o-audio-preview/standard/openai:1"


counts = st.none() | st.integers(-5, 2**60)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [name for name in Usage.__slots__ if name.endswith("_tokens") or name in {"characters", "images", "pages"}]


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(FIELDS), counts),
    st.sampled_from([None, "flex", "batch", "", "\x00", "priority"]),
    st.dictionaries(st.text(max_size=8) | st.sampled_from(["web", "file"]), st.integers(0, 10)),
    anything,
    st.floats() | st.none(),
    st.sampled_from(["gpt-4o", "gpt-6.1-sol", "whisper-large-v3", "sonar", "sonar-deep-research", "\ud800", "a/b", None]),
    st.sampled_from(["openai", "groq", "perplexity", "mine", "\ud800", ""]),
    st.integers(-(2**70), 2**70),
)
def test_no_usage_however_odd_raises_or_is_paid_back(  # noqa: PLR0917 - the columns of the table
    tokens, tier, searches, raw, seconds, model, upstream, when
):
    usage = Usage(**tokens, tier=tier, searches=searches, raw=raw, audio_seconds=seconds)
    cost = priced(usage, upstream=upstream, model=model, at=when)
    assert cost.pico is None or cost.pico >= 0
    assert (cost.pico is None) == (cost.status in {"unknown", "none"})


@settings(max_examples=100, deadline=None)
@given(
    anything
    | st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "cost"]), anything)
)
def test_no_usage_object_however_odd_raises(raw):
    for usage in (openai.usage_of(raw), anthropic.usage_of(raw), google.usage_of(raw)):
        cost = priced(usage)
        assert cost.pico is None or cost.pico >= 0
