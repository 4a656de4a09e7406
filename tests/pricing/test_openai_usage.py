import dataclasses
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.usage.money import pico_usd
from pricing.usage.openai import usage_of
from pricing.usage.reconcile import Counted, reconciled


def given_fields(usage):
    fields = {field.name: getattr(usage, field.name) for field in dataclasses.fields(usage)}
    return {
        name: value for name, value in fields.items() if value not in (None, (), {}) and name not in {"raw", "source", "batch"}
    }


ROWS = {
    "openai chat": (
        {
            "prompt_tokens": 1200,
            "completion_tokens": 80,
            "total_tokens": 1280,
            "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 5, "image_tokens": 7},
            "completion_tokens_details": {"reasoning_tokens": 32, "audio_tokens": 6, "rejected_prediction_tokens": 9},
        },
        {
            "input_tokens": 1200,
            "cache_read_tokens": 1024,
            "input_audio_tokens": 5,
            "input_image_tokens": 7,
            "output_tokens": 80,
            "reasoning_tokens": 32,
            "output_audio_tokens": 6,
        },
    ),
    "openai responses": (
        {
            "input_tokens": 50,
            "input_tokens_details": {
                "cached_tokens": 8,
                "cache_write_tokens": 30,
                "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 10},
            },
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 4},
            "total_tokens": 59,
        },
        {
            "input_tokens": 50,
            "cache_read_tokens": 8,
            "cache_write_tokens": 30,
            "cache_write_30m_tokens": 20,
            "cache_write_12h_tokens": 10,
            "output_tokens": 9,
            "reasoning_tokens": 4,
        },
    ),
    "embeddings": ({"prompt_tokens": 8, "total_tokens": 8}, {"input_tokens": 8}),
    "voyage": ({"total_tokens": 8}, {"input_tokens": 8}),
    "mistral says the cache twice": (
        {
            "prompt_tokens": 9,
            "completion_tokens": 1,
            "total_tokens": 10,
            "num_cached_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
        {"input_tokens": 9, "output_tokens": 1, "cache_read_tokens": 4},
    ),
    "mistral audio": (
        {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "num_cached_tokens": 4, "prompt_audio_seconds": 7},
        {"input_tokens": 9, "output_tokens": 1, "cache_read_tokens": 4, "audio_seconds": 7.0},
    ),
    "groq": (
        {"queue_time": 0.1, "prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "total_time": 0.2},
        {"input_tokens": 9, "output_tokens": 1},
    ),
    "deepseek": (
        {
            "prompt_tokens": 20,
            "completion_tokens": 1,
            "total_tokens": 21,
            "prompt_cache_hit_tokens": 8,
            "prompt_cache_miss_tokens": 12,
        },
        {"input_tokens": 20, "output_tokens": 1, "cache_read_tokens": 8},
    ),
    "xai leaves reasoning out": (
        {
            "prompt_tokens": 1211,
            "completion_tokens": 1,
            "total_tokens": 1215,
            "completion_tokens_details": {"reasoning_tokens": 3},
            "cost_in_usd_ticks": 22_540_000,
        },
        {
            "input_tokens": 1211,
            "output_tokens": 4,
            "reasoning_tokens": 3,
            "reported_cost": 2_254_000_000,
            "flags": ("reasoning_outside",),
        },
    ),
    "xai at an aggregator has it inside": (
        {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, "completion_tokens_details": {"reasoning_tokens": 3}},
        {"input_tokens": 10, "output_tokens": 4, "reasoning_tokens": 3},
    ),
    "openrouter has more reasoning than output": (
        {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 11}},
        {"input_tokens": 10, "output_tokens": 10, "reasoning_tokens": 10, "flags": ("reasoning_clamped",)},
    ),
    "openrouter with a key of one's own": (
        {
            "prompt_tokens": 1,
            "completion_tokens": 1,
            "total_tokens": 2,
            "cost": 0.0000125,
            "is_byok": True,
            "cost_details": {"upstream_inference_cost": 0.00025},
        },
        {"input_tokens": 1, "output_tokens": 1, "reported_cost": 262_500_000},
    ),
    "openrouter's plug-in fee is only in the cost": (
        {
            "prompt_tokens": 1,
            "completion_tokens": 1,
            "total_tokens": 2,
            "cost": 0.0160614,
            "server_tool_use": {"web_search_requests": 2},
        },
        {"input_tokens": 1, "output_tokens": 1, "reported_cost": 16_061_400_000, "searches": {"web": 2}},
    ),
    "gemini hides its thoughts": (
        {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
        {"input_tokens": 35, "output_tokens": 74, "flags": ("hidden_output",)},
    ),
    "hugging face": (
        {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cached_tokens": 5},
        {"input_tokens": 9, "output_tokens": 1, "cache_read_tokens": 5},
    ),
    "perplexity deep research": (
        {
            "prompt_tokens": 9,
            "completion_tokens": 5,
            "total_tokens": 14,
            "citation_tokens": 30,
            "num_search_queries": 18,
            "reasoning_tokens": 3,
        },
        {"input_tokens": 9, "output_tokens": 5, "reasoning_tokens": 3, "searches": {"web": 18}},
    ),
    "cohere bills other units than it counts": (
        {"billed_units": {"input_tokens": 431, "output_tokens": 661}, "tokens": {"input_tokens": 2190, "output_tokens": 1257}},
        {"input_tokens": 431, "output_tokens": 661},
    ),
    "ollama": ({"prompt_tokens": 26, "completion_tokens": 5, "total_tokens": 31}, {"input_tokens": 26, "output_tokens": 5}),
    "no total": ({"prompt_tokens": 9, "completion_tokens": 5}, {"input_tokens": 9, "output_tokens": 5}),
    "no completion but a total": ({"prompt_tokens": 9, "total_tokens": 14}, {"input_tokens": 9, "output_tokens": 5}),
    "an odd total": (
        {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 13},
        {"input_tokens": 9, "output_tokens": 5, "flags": ("total_mismatch",)},
    ),
    "the cache is outside": (
        {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 114, "cache_read_input_tokens": 100},
        {"input_tokens": 109, "cache_read_tokens": 100, "output_tokens": 5, "flags": ("cache_outside",)},
    ),
    "more cached than asked": (
        {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "prompt_tokens_details": {"cached_tokens": 10}},
        {"input_tokens": 9, "cache_read_tokens": 9, "output_tokens": 5, "flags": ("anomalous",)},
    ),
    "negative": (
        {"prompt_tokens": -9, "completion_tokens": 5, "total_tokens": 14},
        {"output_tokens": 5, "flags": ("anomalous",)},
    ),
    "no integers": (
        {"prompt_tokens": 9.5, "completion_tokens": "5", "total_tokens": True},
        {"flags": ("anomalous",)},
    ),
    "whole fractions are counts": ({"prompt_tokens": 9.0, "completion_tokens": 5.0}, {"input_tokens": 9, "output_tokens": 5}),
    "beyond all measure": ({"prompt_tokens": 2**60, "completion_tokens": 5}, {"output_tokens": 5, "flags": ("anomalous",)}),
    "nothing known": ({"units": 3}, {}),
}


@pytest.mark.parametrize("name", ROWS)
def test_usage_means_the_same_for_every_provider(name):
    raw, expected = ROWS[name]

    usage = usage_of(raw)

    assert given_fields(usage) == expected
    assert usage.raw is raw


@pytest.mark.parametrize("raw", [None, {}, [], "x", 3])
def test_no_usage_is_none_and_not_zero(raw):
    assert usage_of(raw) is None


def test_a_cost_is_read_from_its_text():
    raw = {"prompt_tokens": 1, "cost": 0.1}

    usage = usage_of(raw, exact={"prompt_tokens": 1, "cost": "0.100000000001"})

    assert usage.reported_cost == 100_000_000_001


def test_tier_and_searches_are_taken_over():
    usage = usage_of({"prompt_tokens": 1, "num_search_queries": 2}, tier="priority", searches={"file": 3})

    assert (usage.tier, usage.searches) == ("priority", {"web": 2, "file": 3})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.00017640", 176_400_000),
        (0.0001764, 176_400_000),
        (0.1 + 0.2, 300_000_000_000),
        ("0.0000000000005", 0),
        ("0.0000000000015", 2),
        (3, 3 * 10**12),
        (Decimal("1.5"), 1_500_000_000_000),
        ("1e-3", 1_000_000_000),
        (-1, None),
        ("-0.1", None),
        ("nan", None),
        ("inf", None),
        ("1e999999", None),
        ("9000001", None),
        ("dear", None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_money_is_whole_pico_dollars_or_unknown(value, expected):
    assert pico_usd(value) == expected


@given(st.integers(0, 9 * 10**18))
def test_no_pico_dollar_is_lost_between_text_and_integer(pico):
    assert pico_usd(f"{Decimal(pico).scaleb(-12):f}") == pico


COUNT = st.integers(0, 10**9)
MAYBE = st.none() | COUNT


@given(st.builds(Counted, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE))
def test_parts_never_exceed_their_whole(counted):
    settled = reconciled(counted)

    assert settled.input is None or (settled.cache_read or 0) + (settled.cache_write or 0) <= settled.input
    assert settled.output is None or (settled.reasoning or 0) <= settled.output
    assert counted.completion is None or settled.output >= counted.completion


@given(COUNT, COUNT, COUNT)
def test_reasoning_is_counted_once_whether_it_is_inside_or_outside(prompt, visible, reasoning):
    inside = reconciled(Counted(prompt, visible + reasoning, prompt + visible + reasoning, reasoning))
    outside = reconciled(Counted(prompt, visible, prompt + visible + reasoning, reasoning))

    assert inside.output == outside.output == visible + reasoning


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*ROWS["openai responses"][0], *ROWS["openai chat"][0],
        "cached_tokens", "cost", "billed_units", "cost_details", "is_byok", "server_tool_use", "cost_in_usd_ticks", "prompt_audio_seconds"]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(JSONISH)
def test_no_usage_object_raises(raw):
    usage = usage_of(raw)

    assert (usage is None) == (not isinstance(raw, dict) or not raw)


COUNT = st.none() | st.integers(-1, 40) | st.booleans() | st.sampled_from([2.0, 2.5, "3", 2**53, 2**53 + 1, 2**70])
PLAIN = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 20) | COUNT, "completion_tokens": st.integers(0, 20) | COUNT},
    optional={
        "total_tokens": st.integers(0, 40) | COUNT,
        "prompt_tokens_details": st.none()
        | st.dictionaries(st.sampled_from(["cached_tokens", "audio_tokens", "image_tokens"]), COUNT),
        "completion_tokens_details": st.none()
        | st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens", "accepted_prediction_tokens"]), COUNT),
    },
)


@given(PLAIN, st.booleans())
def test_usage_without_anything_odd_means_the_same_whichever_way_it_is_read(raw, summed):
    if summed and type(raw["prompt_tokens"]) is int and type(raw["completion_tokens"]) is int:
        raw = {**raw, "total_tokens": raw["prompt_tokens"] + raw["completion_tokens"]}
    quick, searching = usage_of(raw, tier="flex"), usage_of({**raw, "a field of another provider": None}, tier="flex")

    assert quick is not None
    assert searching is not None
    assert dataclasses.replace(quick, raw=None) == dataclasses.replace(searching, raw=None)
