"""Usage of Anthropic's messages."""

import pytest

from pricing.usage.anthropic import merged, usage_of

COMPACTION = {"type": "compaction", "input_tokens": 50_000, "output_tokens": 3_000, "cache_read_input_tokens": 2_000}
ADVISOR = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 100, "output_tokens": 88}


def test_the_cache_is_added_to_the_input():
    usage = usage_of(
        {"input_tokens": 21, "cache_creation_input_tokens": 1000, "cache_read_input_tokens": 4000, "output_tokens": 3}
    )
    assert (usage.input_tokens, usage.cache_write_tokens, usage.cache_read_tokens) == (5021, 1000, 4000)


@pytest.mark.parametrize(
    ("raw", "written", "flags"),
    [
        (
            {
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            },
            30,
            (),
        ),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 10}}, 10, ()),
        (
            {"cache_creation_input_tokens": 40, "cache_creation": {"ephemeral_5m_input_tokens": 10}},
            40,
            ("cache_split_mismatch",),
        ),
        ({"cache_creation_input_tokens": 40, "cache_creation": None}, 40, ()),
        ({}, None, ()),
    ],
)
def test_cache_writes_by_their_time_to_live(raw, written, flags):
    usage = usage_of({"input_tokens": 1, "output_tokens": 1, **raw})
    assert (usage.cache_write_tokens, usage.input_tokens, usage.flags) == (written, 1 + (written or 0), flags)


def test_the_delta_replaces_and_never_adds():
    start = {
        "input_tokens": 702,
        "cache_read_input_tokens": 5,
        "output_tokens": 1,
        "cache_creation": {"ephemeral_1h_input_tokens": 7},
    }
    usage = usage_of(merged(start, {"input_tokens": 1591, "cache_read_input_tokens": None, "output_tokens": 222}))
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (1591 + 5 + 7, 222, 5)
    assert usage.cache_write_1h_tokens == 7


@pytest.mark.parametrize(("earlier", "later"), [(None, None), ([], "x"), ({}, None)])
def test_merging_what_is_no_usage_gives_nothing(earlier, later):
    assert merged(earlier, later) == {}


def test_iterations_outside_the_top_level_are_calls_of_their_own():
    usage = usage_of(
        {"input_tokens": 120, "output_tokens": 68, "iterations": [COMPACTION, {"type": "message", "input_tokens": 120}, ADVISOR]}
    )
    assert (usage.input_tokens, usage.output_tokens) == (120, 68)
    found = [(sub.kind, sub.model, sub.usage.input_tokens, sub.usage.output_tokens) for sub in usage.sub_calls]
    assert found == [("compaction", None, 52_000, 3_000), ("advisor_message", "claude-opus-4-8", 100, 88)]


@pytest.mark.parametrize("odd", [{"type": "future"}, "text", None, {}])
def test_an_iteration_of_an_unknown_kind_is_flagged(odd):
    assert usage_of({"input_tokens": 1, "output_tokens": 1, "iterations": [odd]}).flags == ("unknown_iteration",)


def test_iterations_of_a_batch_are_at_the_batchs_price_too():
    (sub_call,) = usage_of({"input_tokens": 1, "output_tokens": 1, "iterations": [ADVISOR]}, batch=True).sub_calls
    assert sub_call.usage.batch


def test_what_was_served_is_in_the_usage():
    raw = {
        "input_tokens": 1,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
        "service_tier": "priority",
        "speed": "fast",
        "inference_geo": "us",
    }
    usage = usage_of(raw)
    assert (usage.reasoning_tokens, usage.searches) == (4, {"web": 2})
    assert (usage.tier, usage.speed, usage.geo, usage.batch, usage.raw) == ("priority", "fast", "us", False, raw)


def test_the_tier_batch_says_that_it_was_a_batch():
    assert usage_of({"input_tokens": 1, "output_tokens": 1, "service_tier": "batch"}).batch


@pytest.mark.parametrize("bad", [-1, 1.5, "12", True, 2**60, [1], {"a": 1}])
@pytest.mark.parametrize("field", ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"])
def test_a_number_that_cannot_be_a_count_is_unknown_and_flagged(field, bad):
    raw = {"input_tokens": 5, "output_tokens": 3, field: bad}
    usage = usage_of(raw)
    assert "anomalous" in usage.flags
    assert usage.raw is raw
    names = {"input_tokens": "input_tokens", "output_tokens": "output_tokens"}
    assert getattr(usage, names.get(field, "cache_read_tokens" if "read" in field else "cache_write_tokens")) is None


def test_a_whole_number_written_as_a_fraction_is_one():
    usage = usage_of({"input_tokens": 5.0, "output_tokens": 3})
    assert (usage.input_tokens, usage.flags) == (5, ())


@pytest.mark.parametrize("raw", [None, {}, [], "usage", 3])
def test_no_usage_is_none_and_not_zero(raw):
    assert usage_of(raw) is None
