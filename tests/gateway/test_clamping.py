import json

import pytest

from gateway.budgets.clamping import Clamp, clamp_edit, least_output
from gateway.wire.peek import edited
from pricing.bounds import ATTO_PER_NANO, Bound, Requested

CHAT, MESSAGES, RESPONSES = b"/v1/chat/completions", b"/v1/messages", b"/v1/responses"
GEMINI = b"/v1beta/models/g:streamGenerateContent?alt=sse"


def clamped(body, path, upstream="openai", most=50):
    clamp, edits = clamp_edit(body, path, upstream, most, whole=True)
    return clamp, edited(body, edits)


@pytest.mark.parametrize(
    ("path", "upstream", "body", "wanted"),
    [
        (CHAT, "openai", b'{"a":1, "max_tokens" : 900 ,"b":2}', b'{"a":1, "max_tokens" : 50 ,"b":2}'),
        (CHAT, "openai", b'{"max_completion_tokens":900}', b'{"max_completion_tokens":50}'),
        # Both are there, and either may count: what is lower already stays.
        (CHAT, "openai", b'{"max_tokens":10,"max_completion_tokens":900}', b'{"max_tokens":10,"max_completion_tokens":50}'),
        (CHAT, "openai", b' { "a" : 1 }', b' {"max_completion_tokens":50, "a" : 1 }'),
        (CHAT, "groq", b'{"a":1}', b'{"max_tokens":50,"a":1}'),
        (CHAT, "groq", b"{}", b'{"max_tokens":50}'),
        (CHAT, "openai", b'{"max_tokens":null,"a":1}', b'{"max_tokens":50,"a":1}'),
        (RESPONSES, "openai", b'{"input":"max_tokens"}', b'{"max_output_tokens":50,"input":"max_tokens"}'),
        (MESSAGES, "anthropic", b'{"max_tokens":900,"x":{"max_tokens":7}}', b'{"max_tokens":50,"x":{"max_tokens":7}}'),
        (GEMINI, "gemini", b'{"contents":[]}', b'{"generationConfig":{"maxOutputTokens": 50},"contents":[]}'),
        (GEMINI, "gemini", b'{"generationConfig":{"topK":1}}', b'{"generationConfig":{"maxOutputTokens":50,"topK":1}}'),
        (GEMINI, "gemini", b'{"generationConfig":{"maxOutputTokens": 900}}', b'{"generationConfig":{"maxOutputTokens": 50}}'),
        (GEMINI, "gemini", b'{"generation_config":{"max_output_tokens":900}}', b'{"generation_config":{"max_output_tokens":50}}'),
        (GEMINI, "gemini", b'{"generationConfig":null}', b'{"generationConfig":{"maxOutputTokens": 50}}'),
    ],
)
def test_only_the_maximum_changes(path, upstream, body, wanted):
    clamp, changed = clamped(body, path, upstream)
    assert changed == wanted
    assert json.loads(changed)
    assert clamp.most == 50


def test_the_field_is_named_as_it_stands_in_the_request():
    assert clamped(b'{"max_tokens":900}', CHAT)[0] == Clamp("max_tokens", 50)
    assert clamped(b"{}", CHAT)[0] == Clamp("max_completion_tokens", 50)
    assert clamped(b"{}", GEMINI, "gemini")[0] == Clamp("generationConfig.maxOutputTokens", 50)


@pytest.mark.parametrize(
    ("path", "body", "whole"), [(b"/v1/embeddings", b"{}", True), (CHAT, b"{}", False), (CHAT, b"[1]", True), (CHAT, b"", True)]
)
def test_a_request_without_a_place_for_a_maximum_is_left_alone(path, body, whole):
    assert clamp_edit(body, path, "openai", 50, whole=whole) is None


def bound(**fields):
    # 100 nano-USD of input, and 2 for each token of output, of at most 1,000.
    return Bound(
        **{
            "nano": 2_100,
            "tokens": 1_050,
            "input_tokens": 50,
            "output_tokens": 1_000,
            "input_nano": 100,
            "output_atto": 2 * ATTO_PER_NANO,
        }
        | fields
    )


@pytest.mark.parametrize(
    ("left", "unit", "most"),
    [
        # 400 are left for output, at 2 each.
        (500, "usd", 200),
        (501, "usd", 200),
        # Sixteen tokens are the least that is an answer: 100 + 32
        (132, "usd", 16),
        (131, "usd", None),
        (-5, "usd", None),
        # It would not be lower.
        (2_100, "usd", None),
        # All but the 50 of input.
        (500, "tokens", 450),
        (60, "tokens", None),
        (500, "requests", None),
    ],
)
def test_as_much_output_as_is_left_pays_for(left, unit, most):
    found = least_output(bound(), Requested("generate"), left, unit)
    assert found == most


def test_each_of_several_answers_is_paid_for():
    assert least_output(bound(output_atto=6 * ATTO_PER_NANO), Requested("generate", choices=3), 700, "usd") == 100
    assert least_output(bound(), Requested("generate", choices=3), 650, "tokens") == 200


@pytest.mark.parametrize("requested", [Requested("embed"), Requested("generate", open_cost="it searches")])
def test_what_a_lower_maximum_does_not_bound_is_not_lowered(requested):
    assert least_output(bound(), requested, 500, "usd") is None


def test_what_has_no_price_is_not_lowered():
    assert least_output(bound(unpriced=True), Requested("generate"), 500, "usd") is None
    assert least_output(bound(output_atto=0), Requested("generate"), 500, "usd") is None
