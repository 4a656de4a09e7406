"""Usage of Gemini's native API."""

import pytest

from pricing.usage.gemini import usage_of


@pytest.mark.parametrize(
    ("raw", "given", "made", "flags"),
    [
        ({"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 20, "totalTokenCount": 35}, 10, 25, ()),
        ({"promptTokenCount": 10, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 22}, 17, 5, ()),
        ({"promptTokenCount": 10, "totalTokenCount": 10}, 10, 0, ()),
        ({"promptTokenCount": 10, "totalTokenCount": 14}, 10, 4, ()),
        ({"promptTokenCount": 10, "thoughtsTokenCount": 4, "totalTokenCount": 14}, 10, 4, ()),
        ({"promptTokenCount": 10, "responseTokenCount": 4, "totalTokenCount": 14}, 10, 4, ()),
        ({"promptTokenCount": 10}, 10, None, ()),
        ({"candidatesTokenCount": 4, "totalTokenCount": 4}, None, 4, ()),
        ({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 99}, 10, 5, ("total_mismatch",)),
        ({"promptTokenCount": 10, "totalTokenCount": 9}, 10, None, ("total_mismatch",)),
    ],
)
def test_input_and_output_are_whole(raw, given, made, flags):
    usage = usage_of(raw)
    assert (usage.input_tokens, usage.output_tokens, usage.flags, usage.raw) == (given, made, flags, raw)


def test_the_cached_part_is_inside_the_prompt():
    usage = usage_of({"promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 1, "totalTokenCount": 101})
    assert (usage.input_tokens, usage.cache_read_tokens) == (100, 60)


def test_modalities_are_counted_apart():
    usage = usage_of(
        {
            "promptTokenCount": 100,
            "toolUsePromptTokenCount": 10,
            "candidatesTokenCount": 30,
            "totalTokenCount": 140,
            "promptTokensDetails": [
                {"modality": "AUDIO", "tokenCount": 50},
                {"modality": "VIDEO", "tokenCount": 20},
                {"modality": "TEXT"},
            ],
            "toolUsePromptTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
            "cacheTokensDetails": [{"modality": "IMAGE", "tokenCount": 3}],
            "candidatesTokensDetails": [{"modality": "audio", "tokenCount": 30}],
        }
    )
    assert (usage.input_audio_tokens, usage.input_video_tokens, usage.input_image_tokens) == (55, 20, None)
    assert (usage.output_audio_tokens, usage.cache_read_image_tokens, usage.flags) == (30, 3, ())


@pytest.mark.parametrize(
    ("raw", "header", "tier"),
    [
        ({}, None, None),
        ({"serviceTier": "SERVICE_TIER_PRIORITY"}, "standard", "priority"),
        ({}, "Flex", "flex"),
        ({"trafficType": "ON_DEMAND"}, None, "standard"),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, None, "provisioned"),
        ({"trafficType": "NEW_KIND"}, None, "new_kind"),
    ],
)
def test_the_tier_that_served_the_call(raw, header, tier):
    assert usage_of({"promptTokenCount": 1, **raw}, header_tier=header).tier == tier


@pytest.mark.parametrize(
    "bad",
    [
        {"promptTokenCount": -1},
        {"candidatesTokenCount": 1.5},
        {"cachedContentTokenCount": 11},
        {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 11}]},
        {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": "x"}]},
        {"candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 6}]},
    ],
)
def test_impossible_numbers_are_flagged(bad):
    usage = usage_of({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15, **bad})
    assert "anomalous" in usage.flags


@pytest.mark.parametrize("raw", [None, {}, [], "x"])
def test_no_usage_is_none_and_not_zero(raw):
    assert usage_of(raw) is None


def test_searches_that_did_not_happen_are_left_out():
    assert usage_of({"promptTokenCount": 1}, searches={"web": 0}).searches == {}
